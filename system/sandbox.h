// -sandbox: which system calls the process gives up.
#pragma once

#include "util/result.h"

namespace rhea {

/// What -sandbox denies. All of it is denied for good: nothing gives it back.
struct SandboxOptions {
  enum class Privileges : uint8_t { kAllow, kDeny, kChildren };
  bool enabled = false;
  bool deny_obsolete = true;                   ///< and what only the host's administrator needs
  Privileges privileges = Privileges::kAllow;  ///< changing user and group; kChildren: only by exec
  bool deny_spawn = false;                     ///< new processes
  bool deny_resource_control = false;          ///< scheduling and priorities
};

/// Puts the filter in place for every thread there is and will be. Loads libseccomp, which nothing else
/// needs: "seccomp support is not available: …".
Result<> enter_sandbox(const SandboxOptions& options);

}  // namespace rhea
