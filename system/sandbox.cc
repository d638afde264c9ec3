#include "system/sandbox.h"

#include <dlfcn.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/prctl.h>

#include <memory>
#include <span>

namespace rhea {

namespace {

/// The few functions of libseccomp (seccomp(3)) that a filter takes.
struct Library {
  decltype(&seccomp_init) init;
  decltype(&seccomp_release) release;
  decltype(&seccomp_load) load;
  decltype(&seccomp_attr_set) attr_set;
  decltype(&seccomp_syscall_resolve_name) resolve;
  decltype(&seccomp_rule_add_array) add;
};

template <class F>
bool find_symbol(void* handle, const char* name, F& out) {
  out = reinterpret_cast<F>(dlsym(handle, name));
  return out != nullptr;
}

Result<Library> load_library() {
  void* handle = dlopen("libseccomp.so.2", RTLD_NOW | RTLD_LOCAL);
  Library l{};
  if (handle == nullptr || !find_symbol(handle, "seccomp_init", l.init) ||
      !find_symbol(handle, "seccomp_release", l.release) || !find_symbol(handle, "seccomp_load", l.load) ||
      !find_symbol(handle, "seccomp_attr_set", l.attr_set) ||
      !find_symbol(handle, "seccomp_syscall_resolve_name", l.resolve) ||
      !find_symbol(handle, "seccomp_rule_add_array", l.add))
    return fail(ENOTSUP, "seccomp support is not available: ", dlerror());
  return l;
}

constexpr const char* kObsolete[] = {
    // What no program of today uses, and what is the administrator's.
    "_sysctl",
    "afs_syscall",
    "bdflush",
    "break",
    "create_module",
    "ftime",
    "get_kernel_syms",
    "getpmsg",
    "gtty",
    "idle",
    "kexec_file_load",
    "kexec_load",
    "lock",
    "mount",
    "mpx",
    "prof",
    "profil",
    "putpmsg",
    "query_module",
    "readdir",
    "reboot",
    "security",
    "sgetmask",
    "ssetmask",
    "stty",
    "swapoff",
    "swapon",
    "sysfs",
    "syslog",
    "tuxcall",
    "ulimit",
    "umount",
    "umount2",
    "uselib",
    "ustat",
    "vserver"};
constexpr const char* kPrivileges[] = {"setfsgid",  "setfsuid",  "setgid",   "setpgid", "setregid",
                                       "setresgid", "setresuid", "setreuid", "setsid",  "setuid"};
constexpr const char* kSpawn[] = {"execve", "execveat", "fork", "vfork"};
constexpr const char* kResources[] = {
    "getpriority",   "sched_get_priority_max", "sched_get_priority_min", "sched_getaffinity",
    "sched_getattr", "sched_getparam",         "sched_getscheduler",     "sched_setaffinity",
    "sched_setattr", "sched_setparam",         "sched_setscheduler",     "setpriority"};

class Filter {
 public:
  static Result<Filter> create() {
    Filter f(TRY(load_library()));
    f.context_ = f.lib_.init(SCMP_ACT_ALLOW);
    if (f.context_ == nullptr) return fail(ENOMEM, "seccomp: no memory for a filter");
    const int rc = f.lib_.attr_set(f.context_, SCMP_FLTATR_CTL_TSYNC, 1);
    if (rc != 0) return fail_errno(-rc, "seccomp: cannot cover all threads");
    return f;
  }
  Filter(Filter&& other) noexcept : lib_(other.lib_), context_(std::exchange(other.context_, nullptr)) {}
  Filter& operator=(Filter&&) = delete;
  ~Filter() {
    if (context_ != nullptr) lib_.release(context_);
  }

  Result<> deny(std::span<const char* const> names, uint32_t action) {
    for (const char* name : names) TRY(deny(name, action, {}));
    return {};
  }
  /// New threads stay allowed: clone() with CLONE_THREAD. What clone3() is asked for a filter cannot see, so
  /// it is said not to exist, and the C library uses clone().
  Result<> deny_processes() {
    TRY(deny(kSpawn, SCMP_ACT_KILL_PROCESS));
    const scmp_arg_cmp no_thread[] = {
        {.arg = 0, .op = SCMP_CMP_MASKED_EQ, .datum_a = CLONE_THREAD, .datum_b = 0}};
    TRY(deny("clone", SCMP_ACT_KILL_PROCESS, no_thread));
    return deny("clone3", SCMP_ACT_ERRNO(ENOSYS), {});
  }
  Result<> load() {
    const int rc = lib_.load(context_);
    if (rc != 0) return fail_errno(-rc, "failed to install seccomp syscall filter in the kernel");
    return {};
  }

 private:
  explicit Filter(Library lib) : lib_(lib) {}
  Result<> deny(const char* name, uint32_t action, std::span<const scmp_arg_cmp> when) {
    const int number = lib_.resolve(name);
    if (number == __NR_SCMP_ERROR) return {};  // never heard of
    const int rc = lib_.add(context_, action, number, static_cast<unsigned>(when.size()), when.data());
    if (rc != 0 && rc != -EDOM) return fail_errno(-rc, "seccomp: cannot deny ", name);
    return {};
  }
  Library lib_;
  scmp_filter_ctx context_ = nullptr;
};

}  // namespace

Result<> enter_sandbox(const SandboxOptions& options) {
  if (!options.enabled) return {};
  if (options.privileges == SandboxOptions::Privileges::kChildren &&
      prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    return fail_errno(errno, "failed to set no_new_privs aborting");
  Filter filter = TRY(Filter::create());
  if (options.deny_obsolete) TRY(filter.deny(kObsolete, SCMP_ACT_KILL_PROCESS));
  if (options.privileges == SandboxOptions::Privileges::kDeny)
    TRY(filter.deny(kPrivileges, SCMP_ACT_KILL_PROCESS));
  if (options.deny_spawn) TRY(filter.deny_processes());
  if (options.deny_resource_control) TRY(filter.deny(kResources, SCMP_ACT_ERRNO(EPERM)));
  return filter.load();
}

}  // namespace rhea
