// Options about the process itself: descriptors it inherits, what it may do, as whom it runs.
#include <fcntl.h>
#include <unistd.h>

#include "qapi/qapi_types_audio.h"
#include "system/identity.h"
#include "system/option_handlers.h"
#include "system/sandbox.h"
#include "util/fdset.h"

namespace rhea {

namespace {

/// -1 for a number left out or negative.
Result<int> descriptor_number(const Fields& f, std::string_view key) {
  const std::string* text = f.find(key);
  if (text == nullptr) return -1;
  int64_t n;
  if (!parse_i64(*text, n)) return fail(EINVAL, "Parameter '", key, "' expects a number");
  return n < 0 || n > INT32_MAX ? -1 : static_cast<int>(n);
}

}  // namespace

Result<> opt_add_fd(CommandLine&, std::string_view text) {
  const Fields f = TRY(Fields::parse(text, {}, "add-fd"));
  const int fd = TRY(descriptor_number(f, "fd"));
  const int set = TRY(descriptor_number(f, "set"));
  if (fd < 0) return fail(EINVAL, "fd option is required and must be non-negative");
  if (fd <= STDERR_FILENO) return fail(EINVAL, "fd cannot be a standard I/O stream");
  // What we opened ourselves is closed on exec; what was handed down is not.
  const int flags = fcntl(fd, F_GETFD);
  if (flags < 0 || (flags & FD_CLOEXEC) != 0) return fail(EINVAL, "fd is not valid or already in use");
  if (set < 0) return fail(EINVAL, "set option is required and must be non-negative");
  fcntl(fd, F_SETFD, FD_CLOEXEC);
  const std::string* opaque = f.find("opaque");
  TRY(fd_sets().add(UniqueFd(fd), set, opaque != nullptr ? *opaque : std::string()));
  return {};
}

Result<> opt_overcommit(CommandLine& c, std::string_view text) {
  const Fields f = TRY(Fields::parse(text, {}, "overcommit"));
  c.lock_memory = TRY(f.flag("mem-lock", c.lock_memory));
  if (TRY(f.flag("cpu-pm", false)))
    return fail(ENOTSUP, "giving the host's power states to the guest (cpu-pm=on) is not available");
  return {};
}

Result<> opt_audiodev(CommandLine& c, std::string_view text) {
  if (text == "help" || text == "?") {
    c.answer = "Available audio drivers:\nnone\n";
    return {};
  }
  OptionArgument argument = TRY(parse_tree(text, "driver", OptionSyntax::kStrict));
  Audiodev audiodev = TRY(from_json<Audiodev>(std::move(argument.values), argument.form));
  if (!id_wellformed(audiodev.id)) return fail(EINVAL, "Parameter 'id' expects an identifier");
  c.audiodevs.push_back(std::move(audiodev.id));
  return {};
}

namespace {

Result<bool> denies(const Fields& f, std::string_view key, bool otherwise) {
  const std::string* text = f.find(key);
  if (text == nullptr) return otherwise;
  if (*text == "deny") return true;
  if (*text == "allow") return false;
  return fail(EINVAL, "invalid argument for ", key);
}

Result<SandboxOptions::Privileges> privileges(const Fields& f) {
  const std::string* text = f.find("elevateprivileges");
  if (text != nullptr && *text == "children") return SandboxOptions::Privileges::kChildren;
  return TRY(denies(f, "elevateprivileges", false)) ? SandboxOptions::Privileges::kDeny
                                                    : SandboxOptions::Privileges::kAllow;
}

}  // namespace

Result<> opt_sandbox(CommandLine& c, std::string_view text) {
  const Fields f = TRY(Fields::parse(text, "enable", "sandbox"));
  SandboxOptions sandbox;
  sandbox.enabled = TRY(f.flag("enable", false));
  if (sandbox.enabled) {
    sandbox.deny_obsolete = TRY(denies(f, "obsolete", true));
    sandbox.privileges = TRY(privileges(f));
    sandbox.deny_spawn = TRY(denies(f, "spawn", false));
    sandbox.deny_resource_control = TRY(denies(f, "resourcecontrol", false));
  }
  c.sandbox = sandbox;
  return {};
}

Result<> opt_runas(CommandLine& c, std::string_view text) {
  c.run_as = TRY(find_user(text));
  return {};
}

}  // namespace rhea
