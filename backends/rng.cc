#include "backends/rng.h"

#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

namespace rhea {

namespace {

Json get_opened(const Object& o) {
  return static_cast<const RngBackend&>(o).opened;
}

/// An old way to ask for what happens anyway.
Result<> set_opened(Object& o, std::string_view name, const Json& value, ValueForm form) {
  const bool wanted = TRY(property_bool(name, value, form));
  if (!wanted && static_cast<RngBackend&>(o).opened)
    return fail(EPERM, "Insufficient permission to perform this operation");
  return {};
}

Result<> set_filename(Object& o, std::string_view name, const Json& value, ValueForm form) {
  auto& rng = static_cast<RngRandom&>(o);
  if (rng.opened) return fail(EPERM, "Insufficient permission to perform this operation");
  rng.filename = TRY(property_str(name, value, form));
  return {};
}

}  // namespace

constexpr PropertyInfo RngBackend::kProperties[] = {
    {.name = "opened", .type = "bool", .get = get_opened, .set = set_opened}};
constexpr TypeInfo RngBackend::kType{.name = "rng-backend",
                                     .parent = &Object::kType,
                                     .properties = RngBackend::kProperties,
                                     .interfaces = UserCreatable::kInterfaces};

constexpr TypeInfo RngBuiltin::kType{
    .name = "rng-builtin",
    .parent = &RngBackend::kType,
    .create = []() -> std::shared_ptr<Object> { return std::make_shared<RngBuiltin>(); },
    .user_creatable = true};

Result<> RngBuiltin::complete() {
  opened = true;
  return {};
}

Result<size_t> RngBuiltin::read(std::span<uint8_t> out) {
  size_t done = 0;
  while (done < out.size()) {
    const ssize_t n = ::getrandom(out.data() + done, out.size() - done, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(errno, "getrandom");
    done += static_cast<size_t>(n);
  }
  return done;
}

constexpr PropertyInfo RngRandom::kProperties[] = {
    {.name = "filename",
     .type = "string",
     .get = [](const Object& o) -> Json { return static_cast<const RngRandom&>(o).filename; },
     .set = set_filename}};
constexpr TypeInfo RngRandom::kType{
    .name = "rng-random",
    .parent = &RngBackend::kType,
    .create = []() -> std::shared_ptr<Object> { return std::make_shared<RngRandom>(); },
    .properties = RngRandom::kProperties,
    .user_creatable = true};

Result<> RngRandom::complete() {
  if (filename.empty()) return fail(EINVAL, "Parameter 'filename' expects a valid filename");
  fd_ = UniqueFd(::open(filename.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (!fd_) return fail_errno(errno, "Could not open '", filename, "'");
  opened = true;
  return {};
}

Result<size_t> RngRandom::read(std::span<uint8_t> out) {
  while (true) {
    const ssize_t n = ::read(fd_.get(), out.data(), out.size());
    if (n >= 0) return static_cast<size_t>(n);
    if (errno == EAGAIN) return size_t{0};
    if (errno != EINTR) return fail_errno(errno, "Could not read '", filename, "'");
  }
}

}  // namespace rhea
