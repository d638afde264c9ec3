#include "accel/qtest/qtest_accel.h"

#include <unistd.h>

#include "accel/accel_internal.h"
#include "util/clock.h"

namespace rhea {

namespace {

/// Keeps a state, so that it can be read back, but never runs.
class QtestVcpu final : public Vcpu {
 public:
  explicit QtestVcpu(VcpuConfig config) : Vcpu(std::move(config)) {}
  int thread_id() const override { return static_cast<int>(getpid()); }
  void run_on(std::function<void()> fn) override { fn(); }
  Result<X86State> get_state() override { return state_; }
  Result<> set_state(const X86State& state) override {
    state_ = state;
    return {};
  }
  Result<> inject_nmi() override {
    state_.events.nmi_pending = true;
    return {};
  }
  Result<> change_registers(const std::function<void(GeneralRegisters&)>& fn) override {
    fn(state_.gpr);
    return {};
  }

 private:
  X86State state_;
};

class QtestAccel : public Accelerator {
 public:
  ~QtestAccel() override {
    if (machine_accelerator() == this) set_machine_accelerator(nullptr);
  }
  std::string_view name() const override { return "qtest"; }
  bool runs_guest() const override { return false; }
  unsigned max_vcpus() const override { return 255; }
  Result<> init(AccelCallbacks) override {
    virtual_clock().set_manual();
    set_machine_accelerator(this);
    return {};
  }
  Result<> create_irqchip(bool) override {
    return fail(ENOTSUP, "accelerator '", name(), "' has no interrupt controllers");
  }
  Result<Vcpu*> create_vcpu(VcpuConfig config) override {
    vcpus_.push_back(std::make_unique<QtestVcpu>(std::move(config)));
    TRY(vcpus_.back()->reset());
    return vcpus_.back().get();
  }
  void start_vcpus() override { running_ = true; }
  void stop_vcpus() override { running_ = false; }
  bool vcpus_running() const override { return running_; }
  void pause_current_vcpu() override {}

 private:
  bool running_ = false;
};

class IdleAccel final : public QtestAccel {
 public:
  std::string_view name() const override { return "none"; }
  Result<> init(AccelCallbacks) override {
    set_machine_accelerator(this);
    return {};
  }
};

}  // namespace

std::unique_ptr<Accelerator> create_idle() {
  return std::make_unique<IdleAccel>();
}

Result<std::unique_ptr<Accelerator>> create_qtest(const Json& options) {
  if (options.is_object() && !options.as_object().empty())
    return fail(kBadAccelOption, "Property 'qtest-accel.", options.as_object()[0].first, "' not found");
  return std::unique_ptr<Accelerator>(std::make_unique<QtestAccel>());
}

}  // namespace rhea
