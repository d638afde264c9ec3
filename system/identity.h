// -runas, -chroot, -name process=: as whom and where the process runs.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>

#include "util/result.h"

namespace rhea {

struct UserIdentity {
  std::string name;  ///< empty where numbers were given
  uid_t uid;
  gid_t gid;
};

/// "NAME" or "UID:GID": `User "x" doesn't exist (and is not <uid>:<gid>)`.
Result<UserIdentity> find_user(std::string_view text);
/// Goes to the new root, if one is given, then becomes the user, if one is. Everything that needs what is
/// lost has been opened before. All threads.
Result<> change_identity(const std::string& root, const std::optional<UserIdentity>& user);
/// What ps and top show.
void set_process_name(const std::string& name);

}  // namespace rhea
