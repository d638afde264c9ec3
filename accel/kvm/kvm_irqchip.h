// PIC, I/O APIC and PIT in the kernel, and the routing of GSIs and messages to them.
#pragma once

#include "accel/kvm/kvm_uapi.h"

#include <map>
#include <memory>
#include <optional>

#include "accel/irqchip.h"

namespace rhea {

class KvmIrqchip final : public KernelIrqchip {
 public:
  static Result<std::unique_ptr<KvmIrqchip>> create(int vm_fd, bool pit);

  bool has_pit() const override { return pit_; }
  void set_gsi(int gsi, int level) override;
  Result<KernelPicState> get_pic(bool slave) override;
  Result<> set_pic(bool slave, const KernelPicState& state) override;
  Result<KernelIoapicState> get_ioapic() override;
  Result<> set_ioapic(const KernelIoapicState& state) override;
  Result<KernelPitState> get_pit() override;
  Result<> set_pit(const KernelPitState& state) override;
  Result<> set_pit_reinjection(bool on) override;
  Result<> reset() override;
  void stop_time() override;
  void start_time() override;
  Result<> send_msi(const MsiMessage& message) override;
  Result<int> add_msi_route(const MsiMessage& message) override;
  Result<> update_msi_route(int gsi, const MsiMessage& message) override;
  void remove_msi_route(int gsi) override;
  Result<> add_irqfd(int gsi, int event_fd, int resample_fd) override;
  void remove_irqfd(int gsi, int event_fd) override;

 private:
  KvmIrqchip(int vm_fd, bool pit, int max_routes) : vm_fd_(vm_fd), pit_(pit), max_routes_(max_routes) {}
  /// The PIT at which time stopped, and when that was on the host's monotonic clock.
  struct StoppedPit {
    KernelPitState state;
    int64_t since_ns;
  };
  Result<> write_routes();
  Result<KernelPitState> read_pit();
  Result<> write_pit(const KernelPitState& state);
  int vm_fd_;
  bool pit_;
  int max_routes_;
  std::map<int, MsiMessage> messages_;  ///< by GSI
  std::optional<StoppedPit> stopped_pit_;
};

}  // namespace rhea
