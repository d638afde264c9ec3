// Local APICs in the kernel, the other interrupt controllers in user space.
// Spec: the kernel's Documentation/virt/kvm/api.rst, KVM_CAP_SPLIT_IRQCHIP.
#pragma once

#include "accel/kvm/kvm_uapi.h"

#include <atomic>
#include <memory>

#include "accel/irqchip.h"

namespace rhea {

class KvmVcpu;

class KvmSplitIrqchip final : public SplitIrqchip {
 public:
  /// Before the first vCPU.
  static Result<std::unique_ptr<KvmSplitIrqchip>> create(int vm_fd);
  Result<> send_msi(const MsiMessage& message) override;
  Result<> set_ioapic_routes(const std::array<std::optional<MsiMessage>, kIoapicPins>& routes) override;
  void set_pic_output(int level) override;

  /// The processor that the PIC's output is wired to.
  void set_bootstrap(KvmVcpu* vcpu) { bootstrap_ = vcpu; }
  /// True while the PIC asks. Any thread.
  bool pic_asks() const { return pic_level_.load(); }

 private:
  explicit KvmSplitIrqchip(int vm_fd) : vm_fd_(vm_fd) {}
  int vm_fd_;
  KvmVcpu* bootstrap_ = nullptr;
  std::atomic<bool> pic_level_{false};
};

}  // namespace rhea
