// What runs the guest's processors: the accelerator and its virtual CPUs.
//
// Order of use by a machine: create_accelerators() -> init() -> create_irqchip() (if wanted) -> create_vcpu()
// for each -> reset() -> start_vcpus() / stop_vcpus() as the run state goes. The destructor stops and joins
// all.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "accel/cpuid.h"
#include "accel/irqchip.h"
#include "accel/x86_state.h"
#include "memory/memory.h"
#include "util/irq.h"
#include "util/json.h"
#include "util/result.h"

namespace rhea {

/// What the accelerator reports. Each is called on a vCPU's thread with the machine lock held, and that vCPU
/// then stays out of the guest until start_vcpus(); post to the main loop what takes long.
struct AccelCallbacks {
  std::function<void()> on_guest_reset;     ///< triple fault, or a reset asked of the hypervisor
  std::function<void()> on_guest_shutdown;  ///< a power-off asked of the hypervisor
  std::function<void()> on_internal_error;  ///< it cannot go on; the vCPU's state has been printed
};

struct VcpuConfig {
  unsigned index = 0;  ///< counts up from 0; 0 is the bootstrap processor
  uint32_t apic_id = 0;
  CpuidTable cpuid;
  std::vector<X86Msr> feature_msrs;  ///< read-only registers that tell features; the others are the host's
  uint64_t tsc_khz = 0;              ///< 0: the host's
  bool hyperv_synic = false, hyperv_evmcs = false;
};

/// A virtual CPU. Belongs to its accelerator. Main thread with the machine lock, except where noted.
class Vcpu {
 public:
  virtual ~Vcpu() = default;
  unsigned index() const { return config_.index; }
  uint32_t apic_id() const { return config_.apic_id; }
  const CpuidTable& cpuid() const { return config_.cpuid; }
  const VcpuConfig& config() const { return config_; }
  /// The host's id of its thread. Any thread.
  virtual int thread_id() const = 0;
  /// Runs `fn` on the vCPU's thread, out of the guest, and waits for it; the guest's other vCPUs go on. The
  /// machine lock is released meanwhile, and held while `fn` runs.
  virtual void run_on(std::function<void()> fn) = 0;
  /// The state now; a running vCPU leaves the guest for a moment.
  virtual Result<X86State> get_state() = 0;
  /// Replaces the state. The vCPU must be stopped.
  virtual Result<> set_state(const X86State& state) = 0;
  /// Raises a non-maskable interrupt.
  virtual Result<> inject_nmi() = 0;
  /// In X86State's order.
  using GeneralRegisters = std::array<uint64_t, 16>;
  /// For a device that handles an access of this vCPU, on its thread: lets `fn` look at the general registers
  /// and change them, before what the access reads goes to its own.
  virtual Result<> change_registers(const std::function<void(GeneralRegisters&)>& fn) = 0;
  /// Puts it to its state after power-up; stopped.
  Result<> reset();

 protected:
  explicit Vcpu(VcpuConfig config) : config_(std::move(config)) {}

 private:
  VcpuConfig config_;
};

class Accelerator {
 public:
  virtual ~Accelerator() = default;
  virtual std::string_view name() const = 0;  ///< "kvm" or "qtest"
  /// False for qtest: vCPUs exist, but do not run.
  virtual bool runs_guest() const = 0;
  /// Follows memory_space() and io_space() from now on.
  virtual Result<> init(AccelCallbacks callbacks) = 0;
  /// What CPUID may say here; null: anything.
  virtual const CpuidTable* supported_cpuid() const { return nullptr; }
  /// What CPUID may say of Hyper-V's enlightenments; empty if there are none.
  virtual const CpuidTable& supported_hyperv_cpuid() const {
    static const CpuidTable kNone;
    return kNone;
  }
  /// The value of MSR `index`, one that tells features, at its most; 0 if it has none.
  virtual uint64_t feature_msr(uint32_t) const { return 0; }
  virtual unsigned max_vcpus() const = 0;

  /// Makes PIC, I/O APIC, local APICs and, if `pit`, the 8254 in the kernel. Before the first vCPU. Fails if
  /// the accelerator has none: see irqchip().
  virtual Result<> create_irqchip(bool pit) = 0;
  /// Null where the machine must bring its own interrupt controllers.
  virtual KernelIrqchip* irqchip() { return nullptr; }
  /// Not null where local APICs alone are the kernel's.
  virtual SplitIrqchip* split_irqchip() { return nullptr; }
  /// True if create_irqchip() is to be called, before it was.
  virtual bool wants_irqchip() const { return false; }
  /// A line to input `gsi` of the kernel's controllers; unconnected without them.
  IrqLine gsi(int n) { return irqchip() != nullptr ? IrqLine(gsi_sink_, n) : IrqLine(); }

  virtual Result<Vcpu*> create_vcpu(VcpuConfig config) = 0;
  /// Takes one away; another with its APIC id may come later. Main thread.
  virtual void remove_vcpu(Vcpu& vcpu);
  const std::vector<std::unique_ptr<Vcpu>>& vcpus() const { return vcpus_; }

  /// Lets all vCPUs enter the guest. Main thread.
  virtual void start_vcpus() = 0;
  /// Returns when no vCPU runs guest code or handles an exit, and what an exit left to be done is done. Main
  /// thread; the machine lock, held by the caller, is released while it waits.
  virtual void stop_vcpus() = 0;
  virtual bool vcpus_running() const = 0;
  /// From a vCPU's thread (a device that asks for a stop, reset or shutdown): it does not enter the guest
  /// again before start_vcpus(). No effect on other threads.
  virtual void pause_current_vcpu() = 0;
  /// The vCPU whose thread is calling, null on others.
  virtual Vcpu* current_vcpu() const { return nullptr; }

  /// All vCPUs and the kernel's interrupt controllers as after power-up. Main thread, stopped.
  Result<> reset();

  /// The guest's paravirtual clock in ns, which stands still while the vCPUs are stopped; 0 if there is none.
  virtual uint64_t kvmclock_ns() const { return 0; }
  /// Takes effect at the next start.
  virtual void set_kvmclock_ns(uint64_t) {}

  /// Looks which RAM blocks are tracked (RamBlock::set_tracking) and logs the guest's writes to those.
  /// Machine lock.
  virtual Result<> update_dirty_logging() { return {}; }
  /// Moves what was logged since the last call into the blocks' bitmaps. Machine lock.
  virtual Result<> sync_dirty_log() { return {}; }

 protected:
  std::vector<std::unique_ptr<Vcpu>> vcpus_;

 private:
  class GsiSink final : public IrqSink {
   public:
    explicit GsiSink(Accelerator& accel) : accel_(accel) {}
    void set_irq(int n, int level) override;

   private:
    Accelerator& accel_;
  };
  GsiSink gsi_sink_{*this};
};

/// One accelerator asked for: its name and its options ("kernel-irqchip"), an object with strings or typed
/// values.
struct AccelRequest {
  std::string name;
  Json options;
};

/// The requests of `-machine accel=kvm:qtest` (names between colons).
std::vector<AccelRequest> parse_accel_list(std::string_view names);

/// The first of `requests` that can be had. Each that cannot is reported: `invalid accelerator NAME`, or the
/// reason and `failed to initialize NAME: REASON`; a later one is announced with `falling back to NAME`.
/// With `quiet_kvm` (a qtest socket was given) the lack of KVM is not worth a message. Wrong options are an
/// error at once. `may_idle`: nothing will run, so that where none works, and "tcg", which this program has
/// not, is among those asked for, it is one without processors.
Result<std::unique_ptr<Accelerator>> create_accelerator(std::span<const AccelRequest> requests,
                                                        bool quiet_kvm = false, bool may_idle = false);

/// "Accelerators supported in QEMU binary:" and one name a line, as `-accel help` prints.
std::string accelerators_help();

/// The accelerator of the machine, for query-kvm and the like; null before there is one. It registers itself
/// in init().
Accelerator* machine_accelerator();

/// The NMI that the board's button raises: through input LINT1 of the vCPU's local APIC, where it is lost if
/// the guest has not programmed that as an NMI.
Result<> inject_lint1_nmi(Vcpu& vcpu);

/// `info cpus`: one line a vCPU.
std::string info_cpus_text(unsigned current);
/// `info registers` (all: with the "CPU#n" headings of `-a`).
Result<std::string> info_registers_text(unsigned current, bool all);

}  // namespace rhea
