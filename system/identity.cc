#include "system/identity.h"

#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <unistd.h>

namespace rhea {

namespace {

/// "UID:GID", both decimal.
std::optional<UserIdentity> parse_numbers(std::string_view text) {
  const size_t colon = text.find(':');
  uint64_t uid, gid;
  if (colon == std::string_view::npos || !parse_u64(text.substr(0, colon), uid) ||
      !parse_u64(text.substr(colon + 1), gid))
    return std::nullopt;
  // The last value means "leave it as it is" to setuid(2) and its like.
  if (uid >= UINT32_MAX || gid >= UINT32_MAX) return std::nullopt;
  return UserIdentity{{}, static_cast<uid_t>(uid), static_cast<gid_t>(gid)};
}

Result<> become(const UserIdentity& user) {
  if (setgid(user.gid) < 0) return fail_errno(errno, "Failed to setgid(", user.gid, ")");
  const bool groups =
      user.name.empty() ? setgroups(1, &user.gid) == 0 : initgroups(user.name.c_str(), user.gid) == 0;
  if (!groups) return fail_errno(errno, "Failed to set the groups of user ", user.uid);
  if (setuid(user.uid) < 0) return fail_errno(errno, "Failed to setuid(", user.uid, ")");
  if (user.uid != 0 && setuid(0) == 0) return fail(EPERM, "Dropping privileges failed");
  return {};
}

}  // namespace

Result<UserIdentity> find_user(std::string_view text) {
  const std::string name(text);
  if (const passwd* entry = getpwnam(name.c_str()))
    return UserIdentity{entry->pw_name, entry->pw_uid, entry->pw_gid};
  if (const auto numbers = parse_numbers(text)) return *numbers;
  return fail(ENOENT, "User \"", text, "\" doesn't exist (and is not <uid>:<gid>)");
}

Result<> change_identity(const std::string& root, const std::optional<UserIdentity>& user) {
  if (!root.empty()) {
    if (chroot(root.c_str()) < 0) return fail_errno(errno, "-chroot ", root, ": chroot failed");
    if (chdir("/") < 0) return fail_errno(errno, "-chroot ", root, ": chdir failed");
  }
  return user ? become(*user) : Result<>();
}

void set_process_name(const std::string& name) {
  prctl(PR_SET_NAME, name.c_str(), 0, 0, 0);
}

}  // namespace rhea
