#include "accel/kvm/kvm_split.h"

#include "accel/kvm/kvm_ioctl.h"
#include "accel/kvm/kvm_vcpu.h"

namespace rhea {

Result<std::unique_ptr<KvmSplitIrqchip>> KvmSplitIrqchip::create(int vm_fd) {
  kvm_enable_cap split{};
  split.cap = KVM_CAP_SPLIT_IRQCHIP;
  split.args[0] = kIoapicPins;
  if (const int r = kvm_ioctl(vm_fd, KVM_ENABLE_CAP, &split); r < 0)
    return fail_errno(-r, "KVM of this host has no split interrupt controllers");
  return std::unique_ptr<KvmSplitIrqchip>(new KvmSplitIrqchip(vm_fd));
}

Result<> KvmSplitIrqchip::send_msi(const MsiMessage& message) {
  kvm_msi msi{};
  msi.address_lo = static_cast<uint32_t>(message.address);
  msi.address_hi = static_cast<uint32_t>(message.address >> 32);
  msi.data = message.data;
  TRY(kvm_call(vm_fd_, KVM_SIGNAL_MSI, "KVM_SIGNAL_MSI", &msi));
  return {};
}

Result<> KvmSplitIrqchip::set_ioapic_routes(
    const std::array<std::optional<MsiMessage>, kIoapicPins>& routes) {
  KvmArray<kvm_irq_routing, kvm_irq_routing_entry> table(kIoapicPins);
  for (uint32_t pin = 0; pin < kIoapicPins; ++pin) {
    if (!routes[pin]) continue;
    kvm_irq_routing_entry& e = table->entries[table->nr++];
    e.gsi = pin;
    e.type = KVM_IRQ_ROUTING_MSI;
    e.u.msi.address_lo = static_cast<uint32_t>(routes[pin]->address);
    e.u.msi.address_hi = static_cast<uint32_t>(routes[pin]->address >> 32);
    e.u.msi.data = routes[pin]->data;
  }
  TRY(kvm_call(vm_fd_, KVM_SET_GSI_ROUTING, "KVM_SET_GSI_ROUTING", table.get()));
  return {};
}

void KvmSplitIrqchip::set_pic_output(int level) {
  const bool was = pic_level_.exchange(level != 0);
  if (level != 0 && !was && bootstrap_ != nullptr) bootstrap_->kick();
}

}  // namespace rhea
