// A vCPU and its thread.
//
// The thread enters the guest, handles the exit, and looks at what others asked of it in between: to stop, to
// run a job, to end. Who asks sets the flag first and kicks then; the thread clears the kernel's
// immediate_exit first and looks at the flags then, so no request is slept over.
#pragma once

#include "accel/kvm/kvm_uapi.h"

#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <thread>

#include "accel/accel.h"
#include "accel/kvm/kvm_gate.h"
#include "accel/kvm/kvm_split.h"
#include "accel/kvm/kvm_state.h"
#include "util/unique_fd.h"

namespace rhea {

/// What all vCPUs of a VM share.
struct KvmShared {
  int vm_fd = -1;
  size_t run_bytes = 0;  ///< of the structure shared with the kernel
  KvmStateShape shape;
  AccelCallbacks callbacks;
  KvmGate gate;
  /// The kernel keeps a vCPU as long as the VM; what was taken away waits here for its APIC id to come again.
  std::map<uint32_t, UniqueFd> parked;
  KvmSplitIrqchip* split = nullptr;  ///< null with all or none of the controllers in the kernel
};

class KvmVcpu final : public Vcpu {
 public:
  /// Makes the vCPU and starts its thread, stopped.
  static Result<std::unique_ptr<KvmVcpu>> create(KvmShared& shared, VcpuConfig config);
  /// Ends the thread. The machine lock is released meanwhile.
  ~KvmVcpu() override;

  int thread_id() const override { return thread_id_; }
  void run_on(std::function<void()> fn) override;
  Result<X86State> get_state() override;
  Result<> set_state(const X86State& state) override;
  Result<> inject_nmi() override;
  Result<> change_registers(const std::function<void(GeneralRegisters&)>& fn) override;

  /// Asks to leave the guest and stay out; wait_stopped() waits for it, without the machine lock.
  void request_stop();
  void wait_stopped();
  void start();
  bool is_current() const { return std::this_thread::get_id() == thread_.get_id(); }
  /// Makes KVM_RUN return soon. Any thread.
  void kick();
  KvmGate::Place& place() { return in_run_; }
  static KvmVcpu* current();
  /// Where its counters can be read; -1 where the host has none.
  int counters_fd() const { return counters_fd_.get(); }

 private:
  struct Job {
    std::function<void()> fn;
    bool done = false;
  };
  KvmVcpu(KvmShared& shared, VcpuConfig config) : Vcpu(std::move(config)), shared_(shared) {}
  Result<> open();
  Result<> enable_hyperv();
  Result<> set_cpuid();
  Result<> set_tsc_frequency();
  void set_feature_msrs();
  void start_thread(Result<>& opened);
  void thread_main(Result<>& opened);
  bool wait_for_turn();
  void run_job(std::unique_lock<std::mutex>& lock);
  int enter_guest();
  void offer_pic_interrupt();
  void run_once();
  void finish_exit();
  void handle_exit();
  void handle_io();
  void handle_mmio();
  void handle_system_event();
  void handle_end_of_interrupt();
  void report_guest(const std::function<void()>& callback);
  void internal_error(const std::string& what);
  void print_internal_error();

  KvmShared& shared_;
  UniqueFd fd_, counters_fd_;
  kvm_run* run_ = nullptr;
  std::thread thread_;
  int thread_id_ = 0;
  bool exit_open_ = false;    ///< the kernel completes the last exit at the next entry; own thread
  bool was_stopped_ = false;  ///< the guest is to be told of the pause; own thread
  std::atomic<bool> in_run_{false};
  std::atomic<bool> attention_{true};  ///< something below is to be looked at

  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  bool opened_ = false;
  bool stop_requested_ = true;
  bool stopped_ = false;
  bool quit_ = false;
  std::deque<Job*> jobs_;
};

}  // namespace rhea
