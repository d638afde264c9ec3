#include "util/fdset.h"

#include <fcntl.h>

#include <algorithm>

namespace rhea {

namespace {

/// What fcntl(F_SETFL) may change.
constexpr int kStatusFlags = O_APPEND | O_ASYNC | O_DIRECT | O_NOATIME | O_NONBLOCK;

int fail_with(int error) {
  errno = error;
  return -1;
}

}  // namespace

Result<FdSets::Added> FdSets::add(UniqueFd fd, std::optional<int64_t> id, std::string opaque) {
  if (id && *id < 0) return fail(EINVAL, "Parameter 'fdset-id' expects a non-negative value");
  const std::lock_guard guard(mutex_);
  if (!id) {
    id = 0;
    while (sets_.contains(*id)) ++*id;
  }
  const int number = fd.get();
  sets_[*id].push_back({std::move(fd), std::move(opaque)});
  return Added{*id, number};
}

Result<> FdSets::remove(int64_t id, std::optional<int64_t> fd) {
  const std::lock_guard guard(mutex_);
  const auto set = sets_.find(id);
  bool found = false;
  if (set != sets_.end())
    found = std::erase_if(set->second, [&](const Kept& kept) { return !fd || kept.fd.get() == *fd; }) != 0;
  if (!found && fd) return fail(ENOENT, "File descriptor named 'fdset-id:", id, ", fd:", *fd, "' not found");
  if (!found) return fail(ENOENT, "File descriptor named 'fdset-id:", id, "' not found");
  if (set->second.empty()) sets_.erase(set);
  return {};
}

std::vector<FdSets::Set> FdSets::snapshot() const {
  const std::lock_guard guard(mutex_);
  std::vector<Set> out;
  for (const auto& [id, kept] : sets_) {
    Set& set = out.emplace_back(Set{id, {}});
    for (const Kept& one : kept) set.fds.push_back({one.fd.get(), one.opaque});
  }
  return out;
}

int FdSets::open(int64_t id, int flags) const {
  const std::lock_guard guard(mutex_);
  const auto set = sets_.find(id);
  if (set == sets_.end()) return fail_with(ENOENT);
  for (const Kept& kept : set->second) {
    const int has = fcntl(kept.fd.get(), F_GETFL);
    if (has < 0 || (has & O_ACCMODE) != (flags & O_ACCMODE)) continue;
    UniqueFd fd(fcntl(kept.fd.get(), F_DUPFD_CLOEXEC, 0));
    if (!fd) return -1;
    const int wanted = (has & ~kStatusFlags) | (flags & kStatusFlags);
    if (wanted != has && fcntl(fd.get(), F_SETFL, wanted) < 0) {
      const int error = errno;
      fd.reset();
      return fail_with(error);
    }
    if ((flags & O_TRUNC) != 0 && ftruncate(fd.get(), 0) < 0 && errno != EINVAL) {
      const int error = errno;
      fd.reset();
      return fail_with(error);
    }
    return fd.release();
  }
  return fail_with(EACCES);
}

FdSets& fd_sets() {
  static FdSets sets;
  return sets;
}

int open_file(const std::string& path, int flags, unsigned mode) {
  if (is_fdset_path(path)) {
    int64_t id = -1;
    if (!parse_i64(std::string_view(path).substr(sizeof("/dev/fdset/") - 1), id) || id < 0)
      return fail_with(EINVAL);
    return fd_sets().open(id, flags);
  }
  int fd;
  do fd = ::open(path.c_str(), flags | O_CLOEXEC, mode);
  while (fd < 0 && errno == EINTR);
  return fd;
}

}  // namespace rhea
