#include "accel/kvm/kvm_vcpu.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "accel/kvm/kvm_ioctl.h"
#include "util/locks.h"
#include "util/log.h"

namespace rhea {

namespace {

constexpr int kKickSignal = SIGUSR1;
thread_local KvmVcpu* current_vcpu = nullptr;

/// Releases the machine lock, if this thread holds it, while it lives.
class MachineUnlocked {
 public:
  MachineUnlocked() : held_(MachineLock::held()) {
    if (held_) machine_lock().unlock();
  }
  ~MachineUnlocked() {
    if (held_) machine_lock().lock();
  }

 private:
  bool held_;
};

void install_kick_handler() {
  static const bool installed = [] {
    struct sigaction action {};
    action.sa_handler = [](int) {};  // its arrival alone ends KVM_RUN
    return sigaction(kKickSignal, &action, nullptr) == 0;
  }();
  std::ignore = installed;
}

}  // namespace

KvmVcpu* KvmVcpu::current() {
  return current_vcpu;
}

Result<std::unique_ptr<KvmVcpu>> KvmVcpu::create(KvmShared& shared, VcpuConfig config) {
  install_kick_handler();
  std::unique_ptr<KvmVcpu> vcpu(new KvmVcpu(shared, std::move(config)));
  Result<> opened;
  vcpu->start_thread(opened);
  if (!opened) return Failure(std::move(opened).error());
  return vcpu;
}

/// The thread takes no signal but the kick: all others are the main thread's.
void KvmVcpu::start_thread(Result<>& opened) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this, &opened] { thread_main(opened); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return opened_; });
}

KvmVcpu::~KvmVcpu() {
  {
    std::lock_guard lock(mutex_);
    quit_ = true;
    attention_ = true;
    changed_.notify_all();
  }
  if (run_ != nullptr) kick();
  MachineUnlocked unlocked;
  if (thread_.joinable()) thread_.join();
  if (run_ != nullptr) munmap(run_, shared_.run_bytes);
  if (fd_) shared_.parked[apic_id()] = std::move(fd_);
}

Result<> KvmVcpu::open() {
  if (const auto parked = shared_.parked.find(apic_id()); parked != shared_.parked.end()) {
    fd_ = std::move(parked->second);
    shared_.parked.erase(parked);
  } else {
    fd_ = UniqueFd(TRY(
        kvm_call(shared_.vm_fd, KVM_CREATE_VCPU, "KVM_CREATE_VCPU", static_cast<unsigned long>(apic_id()))));
  }
  void* area = mmap(nullptr, shared_.run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(), 0);
  if (area == MAP_FAILED) return fail_errno(errno, "KVM: mapping the vCPU failed");
  run_ = static_cast<kvm_run*>(area);
  // Now: a request to a vCPU that runs waits until it leaves the guest.
  if (const int counters = kvm_ioctl(fd_.get(), KVM_GET_STATS_FD); counters >= 0)
    counters_fd_ = UniqueFd(counters);
  TRY(enable_hyperv());
  TRY(set_cpuid());
  TRY(set_tsc_frequency());
  set_feature_msrs();
  return {};
}

Result<> KvmVcpu::enable_hyperv() {
  kvm_enable_cap cap{};
  cap.cap = KVM_CAP_HYPERV_SYNIC2;
  if (config().hyperv_synic) TRY(kvm_call(fd_.get(), KVM_ENABLE_CAP, "enabling KVM_CAP_HYPERV_SYNIC2", &cap));
  uint16_t version = 0;
  cap.cap = KVM_CAP_HYPERV_ENLIGHTENED_VMCS;
  cap.args[0] = reinterpret_cast<uintptr_t>(&version);
  if (config().hyperv_evmcs)
    TRY(kvm_call(fd_.get(), KVM_ENABLE_CAP, "enabling KVM_CAP_HYPERV_ENLIGHTENED_VMCS", &cap));
  return {};
}

Result<> KvmVcpu::set_tsc_frequency() {
  if (config().tsc_khz == 0) return {};
  Result<int> set =
      kvm_call(fd_.get(), KVM_SET_TSC_KHZ, "KVM_SET_TSC_KHZ", static_cast<unsigned long>(config().tsc_khz));
  if (set) return {};
  const int current = kvm_ioctl(fd_.get(), KVM_GET_TSC_KHZ, 0ul);
  if (current > 0 && static_cast<uint64_t>(current) == config().tsc_khz) return {};
  return fail(ENOTSUP, "TSC frequency mismatch between VM (", config().tsc_khz, " kHz) and host (", current,
              " kHz), and TSC scaling unavailable");
}

/// A host may refuse what it said it could; then the guest sees the host's value.
void KvmVcpu::set_feature_msrs() {
  for (const X86Msr& msr : config().feature_msrs) {
    KvmArray<kvm_msrs, kvm_msr_entry> list(1);
    list->nmsrs = 1;
    list->entries[0].index = msr.index;
    list->entries[0].data = msr.value;
    if (kvm_ioctl(fd_.get(), KVM_SET_MSRS, list.get()) != 1 && index() == 0)
      warn_report(
          str_cat("KVM does not take the value ", hex(msr.value), " of feature MSR ", hex(msr.index)));
  }
}

Result<> KvmVcpu::set_cpuid() {
  KvmArray<kvm_cpuid2, kvm_cpuid_entry2> table(cpuid().size());
  for (const CpuidLeaf& leaf : cpuid()) {
    kvm_cpuid_entry2& e = table->entries[table->nent++];
    e.function = leaf.function;
    e.index = leaf.index;
    e.flags = leaf.indexed ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0;
    e.eax = leaf.eax;
    e.ebx = leaf.ebx;
    e.ecx = leaf.ecx;
    e.edx = leaf.edx;
  }
  TRY(kvm_call(fd_.get(), KVM_SET_CPUID2, "KVM_SET_CPUID2", table.get()));
  return {};
}

void KvmVcpu::thread_main(Result<>& opened) {
  current_vcpu = this;
  thread_id_ = static_cast<int>(syscall(SYS_gettid));
  pthread_setname_np(pthread_self(), str_cat("CPU ", index(), "/KVM").c_str());
  sigset_t kick_only;
  sigemptyset(&kick_only);
  sigaddset(&kick_only, kKickSignal);
  pthread_sigmask(SIG_UNBLOCK, &kick_only, nullptr);
  Result<> result = open();
  bool usable = result.has_value();
  {
    std::lock_guard lock(mutex_);
    opened = std::move(result);
    opened_ = true;
    stopped_ = true;
    changed_.notify_all();
  }
  while (usable && wait_for_turn()) {
    if (shared_.split != nullptr && index() == 0) offer_pic_interrupt();
    run_once();
  }
}

/// Does what others asked for; returns true when the guest may run, false when the thread is to end.
bool KvmVcpu::wait_for_turn() {
  __atomic_store_n(&run_->immediate_exit, 0, __ATOMIC_SEQ_CST);
  if (!attention_.load()) return true;
  std::unique_lock lock(mutex_);
  while (true) {
    if (!jobs_.empty()) {
      run_job(lock);
    } else if (quit_) {
      return false;
    } else if (!stop_requested_) {
      attention_ = false;
      break;
    } else if (!stopped_) {
      lock.unlock();
      finish_exit();
      lock.lock();
      was_stopped_ = true;
      stopped_ = true;
      changed_.notify_all();
    } else {
      changed_.wait(lock);
    }
  }
  lock.unlock();
  // Lets the guest know that time lost is no lock-up of its own; fails where it has no paravirtual clock.
  if (std::exchange(was_stopped_, false)) kvm_ioctl(fd_.get(), KVM_KVMCLOCK_CTRL);
  return true;
}

void KvmVcpu::run_job(std::unique_lock<std::mutex>& lock) {
  Job* job = jobs_.front();
  jobs_.pop_front();
  lock.unlock();
  finish_exit();
  {
    MachineGuard machine(machine_lock());
    job->fn();
  }
  lock.lock();
  job->done = true;
  changed_.notify_all();
}

void KvmVcpu::run_on(std::function<void()> fn) {
  if (is_current()) return fn();
  Job job{std::move(fn)};
  {
    std::lock_guard lock(mutex_);
    jobs_.push_back(&job);
    attention_ = true;
    changed_.notify_all();
  }
  kick();
  MachineUnlocked unlocked;
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return job.done; });
}

void KvmVcpu::kick() {
  __atomic_store_n(&run_->immediate_exit, 1, __ATOMIC_SEQ_CST);
  if (in_run_.load()) pthread_kill(thread_.native_handle(), kKickSignal);
}

void KvmVcpu::request_stop() {
  {
    std::lock_guard lock(mutex_);
    stop_requested_ = true;
    attention_ = true;
    changed_.notify_all();
  }
  kick();
}

void KvmVcpu::wait_stopped() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return stopped_; });
}

void KvmVcpu::start() {
  std::lock_guard lock(mutex_);
  stop_requested_ = false;
  stopped_ = false;
  changed_.notify_all();
}

Result<X86State> KvmVcpu::get_state() {
  Result<X86State> state = fail(ECANCELED, "the vCPU ended");
  run_on([&] { state = kvm_get_state(fd_.get(), shared_.shape); });
  return state;
}

Result<> KvmVcpu::set_state(const X86State& state) {
  Result<> result;
  run_on([&] { result = kvm_set_state(fd_.get(), shared_.shape, state); });
  return result;
}

Result<> KvmVcpu::inject_nmi() {
  Result<> result;
  run_on([&] {
    if (int r = kvm_ioctl(fd_.get(), KVM_NMI); r < 0) result = fail_errno(-r, "KVM: KVM_NMI failed");
  });
  return result;
}

Result<> KvmVcpu::change_registers(const std::function<void(GeneralRegisters&)>& fn) {
  return kvm_change_registers(fd_.get(), fn);
}

/// An interrupt of the PIC in user space goes in when the guest can take one; until then the kernel is asked
/// to say when that is.
void KvmVcpu::offer_pic_interrupt() {
  run_->request_interrupt_window = 0;
  if (!shared_.split->pic_asks()) return;
  if (run_->ready_for_interrupt_injection != 0 && run_->if_flag != 0) {
    MachineGuard machine(machine_lock());
    if (shared_.split->pic_asks() && shared_.split->acknowledge_pic) {
      kvm_interrupt interrupt{};
      interrupt.irq = shared_.split->acknowledge_pic();
      run_->ready_for_interrupt_injection = 0;  // until the next exit says so again
      if (const int r = kvm_ioctl(fd_.get(), KVM_INTERRUPT, &interrupt); r < 0)
        internal_error(str_cat("KVM: KVM_INTERRUPT failed: ", errno_text(-r)));
    }
  }
  run_->request_interrupt_window = shared_.split->pic_asks() ? 1 : 0;
}

/// -errno, or 0 with an exit to handle.
int KvmVcpu::enter_guest() {
  shared_.gate.enter(in_run_);
  int r = ioctl(fd_.get(), KVM_RUN, 0);
  int error = r < 0 ? -errno : 0;
  shared_.gate.leave(in_run_);
  return error;
}

void KvmVcpu::run_once() {
  int r = enter_guest();
  exit_open_ = false;
  if (r == -EINTR || r == -EAGAIN) return;
  if (r < 0)
    internal_error(str_cat("error: kvm run failed ", errno_text(-r)));
  else
    handle_exit();
}

/// The result of an input, and the rest of a string instruction, reach the registers at the next entry only:
/// enters for that alone.
void KvmVcpu::finish_exit() {
  while (exit_open_) {
    __atomic_store_n(&run_->immediate_exit, 1, __ATOMIC_SEQ_CST);
    run_once();
  }
}

}  // namespace rhea
