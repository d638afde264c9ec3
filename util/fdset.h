// FdSets: descriptors handed over in numbered sets, opened again as "/dev/fdset/N".
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "util/result.h"
#include "util/unique_fd.h"

namespace rhea {

/// The process's sets: -add-fd and QMP's add-fd fill them; open_file() takes from them. A descriptor stays
/// until it is removed; what was opened from it lives on by itself. Any thread.
class FdSets {
 public:
  struct Entry {
    int fd;              ///< the number clients see
    std::string opaque;  ///< theirs; empty if none
  };
  struct Set {
    int64_t id;
    std::vector<Entry> fds;
  };
  struct Added {
    int64_t id;
    int fd;
  };

  /// Keeps `fd` in set `id`, or in a new one with the smallest free number. "Parameter 'fdset-id' expects a
  /// non-negative value".
  Result<Added> add(UniqueFd fd, std::optional<int64_t> id, std::string opaque);
  /// Closes descriptor `fd` of the set, or all of it: "File descriptor named 'fdset-id:N, fd:M' not found".
  Result<> remove(int64_t id, std::optional<int64_t> fd);
  /// All of them, in order of their numbers.
  std::vector<Set> snapshot() const;
  /// A duplicate of one of the set's descriptors whose access mode is that of the open(2) `flags`, with the
  /// other flags set on it as far as fcntl(2) can. -1 with errno ENOENT: no such set; EACCES: none that fits.
  int open(int64_t id, int flags) const;

 private:
  struct Kept {
    UniqueFd fd;
    std::string opaque;
  };
  mutable std::mutex mutex_;
  std::map<int64_t, std::vector<Kept>> sets_;
};

/// The process's sets.
FdSets& fd_sets();

/// open(2) with O_CLOEXEC, restarted when interrupted. "/dev/fdset/N" takes from set N. -1 with errno.
int open_file(const std::string& path, int flags, unsigned mode = 0666);

/// True for names in "/dev/fdset/".
inline bool is_fdset_path(std::string_view path) {
  return path.starts_with("/dev/fdset/");
}

}  // namespace rhea
