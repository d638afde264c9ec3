#include "accel/kvm/kvm_irqchip.h"

#include <cstring>

#include "accel/kvm/kvm_ioctl.h"
#include "util/clock.h"

namespace rhea {

namespace {

constexpr int kIoapicPins = 24, kPicPins = 16, kPicPinsEach = 8;
/// Entries for the lines: 16 to the PICs, 23 to the I/O APIC (its input 0 has none, 2 is GSI 0).
constexpr int kLineRoutes = kPicPins + kIoapicPins - 1;
/// A PIT channel whose mode has not been set: it does not count.
constexpr uint8_t kNotProgrammed = 0xff;

void add_line(kvm_irq_routing* table, int gsi, unsigned chip, int pin) {
  kvm_irq_routing_entry& e = table->entries[table->nr++];
  e.gsi = static_cast<uint32_t>(gsi);
  e.type = KVM_IRQ_ROUTING_IRQCHIP;
  e.u.irqchip.irqchip = chip;
  e.u.irqchip.pin = static_cast<uint32_t>(pin);
}

/// PC wiring: ISA interrupts reach both controllers; the timer is the I/O APIC's input 2, as the MADT's
/// override says. Line 2 is that input alone: the PIC's has the other PIC at it.
void add_lines(kvm_irq_routing* table) {
  for (int gsi = 0; gsi < kPicPins; ++gsi)
    if (gsi != 2)
      add_line(table, gsi, gsi < kPicPinsEach ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE,
               gsi % kPicPinsEach);
  for (int gsi = 0; gsi < kIoapicPins; ++gsi) add_line(table, gsi, KVM_IRQCHIP_IOAPIC, gsi == 0 ? 2 : gsi);
}

void add_message(kvm_irq_routing* table, int gsi, const MsiMessage& message) {
  kvm_irq_routing_entry& e = table->entries[table->nr++];
  e.gsi = static_cast<uint32_t>(gsi);
  e.type = KVM_IRQ_ROUTING_MSI;
  e.u.msi.address_lo = static_cast<uint32_t>(message.address);
  e.u.msi.address_hi = static_cast<uint32_t>(message.address >> 32);
  e.u.msi.data = message.data;
}

}  // namespace

Result<std::unique_ptr<KvmIrqchip>> KvmIrqchip::create(int vm_fd, bool pit) {
  TRY(kvm_call(vm_fd, KVM_CREATE_IRQCHIP, "KVM_CREATE_IRQCHIP", 0ul));
  if (pit) {
    kvm_pit_config config{};
    config.flags = KVM_PIT_SPEAKER_DUMMY;  // port 0x61 is answered, no sound is made
    TRY(kvm_call(vm_fd, KVM_CREATE_PIT2, "KVM_CREATE_PIT2", &config));
  }
  int routes = kvm_capability(vm_fd, KVM_CAP_IRQ_ROUTING);
  std::unique_ptr<KvmIrqchip> chip(new KvmIrqchip(vm_fd, pit, routes));
  TRY(chip->write_routes());
  return chip;
}

void KvmIrqchip::set_gsi(int gsi, int level) {
  kvm_irq_level line{};
  line.irq = static_cast<uint32_t>(gsi);
  line.level = static_cast<uint32_t>(level != 0);
  kvm_ioctl(vm_fd_, KVM_IRQ_LINE, &line);
}

Result<> KvmIrqchip::write_routes() {
  KvmArray<kvm_irq_routing, kvm_irq_routing_entry> table(kLineRoutes + messages_.size());
  add_lines(table.get());
  for (const auto& [gsi, message] : messages_) add_message(table.get(), gsi, message);
  TRY(kvm_call(vm_fd_, KVM_SET_GSI_ROUTING, "KVM_SET_GSI_ROUTING", table.get()));
  return {};
}

Result<> KvmIrqchip::set_pit_reinjection(bool on) {
  kvm_reinject_control control{};
  control.pit_reinject = on ? 1 : 0;
  TRY(kvm_call(vm_fd_, KVM_REINJECT_CONTROL, "KVM_REINJECT_CONTROL", &control));
  return {};
}

Result<> KvmIrqchip::send_msi(const MsiMessage& message) {
  kvm_msi msi{};
  msi.address_lo = static_cast<uint32_t>(message.address);
  msi.address_hi = static_cast<uint32_t>(message.address >> 32);
  msi.data = message.data;
  TRY(kvm_call(vm_fd_, KVM_SIGNAL_MSI, "KVM_SIGNAL_MSI", &msi));
  return {};
}

Result<int> KvmIrqchip::add_msi_route(const MsiMessage& message) {
  int gsi = kIoapicPins;
  while (messages_.contains(gsi)) ++gsi;
  if (gsi >= max_routes_ || kLineRoutes + static_cast<int>(messages_.size()) >= max_routes_)
    return fail(ENOSPC, "KVM: no interrupt route is free");
  messages_[gsi] = message;
  if (Result<> written = write_routes(); !written) {
    messages_.erase(gsi);
    return Failure(std::move(written).error());
  }
  return gsi;
}

Result<> KvmIrqchip::update_msi_route(int gsi, const MsiMessage& message) {
  auto it = messages_.find(gsi);
  if (it == messages_.end()) return fail(ENOENT, "KVM: GSI ", gsi, " is no message");
  if (it->second == message) return {};
  it->second = message;
  return write_routes();
}

void KvmIrqchip::remove_msi_route(int gsi) {
  if (messages_.erase(gsi) != 0) std::ignore = write_routes();  // a stale entry does no harm
}

Result<> KvmIrqchip::add_irqfd(int gsi, int event_fd, int resample_fd) {
  kvm_irqfd irqfd{};
  irqfd.fd = static_cast<uint32_t>(event_fd);
  irqfd.gsi = static_cast<uint32_t>(gsi);
  if (resample_fd >= 0) {
    irqfd.flags = KVM_IRQFD_FLAG_RESAMPLE;
    irqfd.resamplefd = static_cast<uint32_t>(resample_fd);
  }
  TRY(kvm_call(vm_fd_, KVM_IRQFD, "KVM_IRQFD", &irqfd));
  return {};
}

void KvmIrqchip::remove_irqfd(int gsi, int event_fd) {
  kvm_irqfd irqfd{};
  irqfd.fd = static_cast<uint32_t>(event_fd);
  irqfd.gsi = static_cast<uint32_t>(gsi);
  irqfd.flags = KVM_IRQFD_FLAG_DEASSIGN;
  kvm_ioctl(vm_fd_, KVM_IRQFD, &irqfd);
}

Result<KernelPicState> KvmIrqchip::get_pic(bool slave) {
  kvm_irqchip chip{};
  chip.chip_id = slave ? KVM_IRQCHIP_PIC_SLAVE : KVM_IRQCHIP_PIC_MASTER;
  TRY(kvm_call(vm_fd_, KVM_GET_IRQCHIP, "KVM_GET_IRQCHIP", &chip));
  const kvm_pic_state& k = chip.chip.pic;
  return KernelPicState{.last_irr = k.last_irr,
                        .irr = k.irr,
                        .imr = k.imr,
                        .isr = k.isr,
                        .priority_add = k.priority_add,
                        .irq_base = k.irq_base,
                        .read_reg_select = k.read_reg_select,
                        .poll = k.poll,
                        .special_mask = k.special_mask,
                        .init_state = k.init_state,
                        .auto_eoi = k.auto_eoi,
                        .rotate_on_auto_eoi = k.rotate_on_auto_eoi,
                        .special_fully_nested_mode = k.special_fully_nested_mode,
                        .init4 = k.init4,
                        .elcr = k.elcr,
                        .elcr_mask = k.elcr_mask};
}

Result<> KvmIrqchip::set_pic(bool slave, const KernelPicState& s) {
  kvm_irqchip chip{};
  chip.chip_id = slave ? KVM_IRQCHIP_PIC_SLAVE : KVM_IRQCHIP_PIC_MASTER;
  kvm_pic_state& k = chip.chip.pic;
  k.last_irr = s.last_irr;
  k.irr = s.irr;
  k.imr = s.imr;
  k.isr = s.isr;
  k.priority_add = s.priority_add;
  k.irq_base = s.irq_base;
  k.read_reg_select = s.read_reg_select;
  k.poll = s.poll;
  k.special_mask = s.special_mask;
  k.init_state = s.init_state;
  k.auto_eoi = s.auto_eoi;
  k.rotate_on_auto_eoi = s.rotate_on_auto_eoi;
  k.special_fully_nested_mode = s.special_fully_nested_mode;
  k.init4 = s.init4;
  k.elcr = s.elcr;
  k.elcr_mask = s.elcr_mask;
  TRY(kvm_call(vm_fd_, KVM_SET_IRQCHIP, "KVM_SET_IRQCHIP", &chip));
  return {};
}

Result<KernelIoapicState> KvmIrqchip::get_ioapic() {
  kvm_irqchip chip{};
  chip.chip_id = KVM_IRQCHIP_IOAPIC;
  TRY(kvm_call(vm_fd_, KVM_GET_IRQCHIP, "KVM_GET_IRQCHIP", &chip));
  const kvm_ioapic_state& k = chip.chip.ioapic;
  KernelIoapicState s{.base = k.base_address, .ioregsel = k.ioregsel, .id = k.id, .irr = k.irr};
  for (size_t i = 0; i < s.redirection.size(); ++i) s.redirection[i] = k.redirtbl[i].bits;
  return s;
}

Result<> KvmIrqchip::set_ioapic(const KernelIoapicState& s) {
  kvm_irqchip chip{};
  chip.chip_id = KVM_IRQCHIP_IOAPIC;
  kvm_ioapic_state& k = chip.chip.ioapic;
  k.base_address = s.base;
  k.ioregsel = s.ioregsel;
  k.id = s.id;
  k.irr = s.irr;
  for (size_t i = 0; i < s.redirection.size(); ++i) k.redirtbl[i].bits = s.redirection[i];
  TRY(kvm_call(vm_fd_, KVM_SET_IRQCHIP, "KVM_SET_IRQCHIP", &chip));
  return {};
}

namespace {

/// Counting began at times of the host's monotonic clock: they move on while the guest's stands still.
KernelPitState shifted(KernelPitState state, int64_t ns) {
  for (KernelPitState::Channel& c : state.channels) c.count_load_time += ns;
  return state;
}

}  // namespace

Result<KernelPitState> KvmIrqchip::get_pit() {
  if (!pit_) return fail(ENOTSUP, "KVM: this machine has no PIT in the kernel");
  if (!stopped_pit_) return read_pit();
  return shifted(stopped_pit_->state, realtime_clock().now_ns() - stopped_pit_->since_ns);
}

Result<> KvmIrqchip::set_pit(const KernelPitState& s) {
  if (!pit_) return fail(ENOTSUP, "KVM: this machine has no PIT in the kernel");
  TRY(write_pit(s));
  if (stopped_pit_) stopped_pit_ = StoppedPit{s, realtime_clock().now_ns()};
  return {};
}

void KvmIrqchip::stop_time() {
  if (!pit_ || stopped_pit_) return;
  if (Result<KernelPitState> state = read_pit(); state)
    stopped_pit_ = StoppedPit{*state, realtime_clock().now_ns()};
}

void KvmIrqchip::start_time() {
  if (!stopped_pit_) return;
  // What is written starts anew and owes nothing. If it fails time has only passed.
  std::ignore = write_pit(shifted(stopped_pit_->state, realtime_clock().now_ns() - stopped_pit_->since_ns));
  stopped_pit_.reset();
}

Result<KernelPitState> KvmIrqchip::read_pit() {
  kvm_pit_state2 k{};
  TRY(kvm_call(vm_fd_, KVM_GET_PIT2, "KVM_GET_PIT2", &k));
  KernelPitState s{.channels = {}, .flags = k.flags};
  for (size_t i = 0; i < 3; ++i) {
    const kvm_pit_channel_state& c = k.channels[i];
    s.channels[i] = {.count = c.count,
                     .latched_count = c.latched_count,
                     .count_latched = c.count_latched,
                     .status_latched = c.status_latched,
                     .status = c.status,
                     .read_state = c.read_state,
                     .write_state = c.write_state,
                     .write_latch = c.write_latch,
                     .rw_mode = c.rw_mode,
                     .mode = c.mode,
                     .bcd = c.bcd,
                     .gate = c.gate,
                     .count_load_time = c.count_load_time};
  }
  return s;
}

Result<> KvmIrqchip::write_pit(const KernelPitState& s) {
  kvm_pit_state2 k{};
  k.flags = s.flags;
  for (size_t i = 0; i < 3; ++i) {
    kvm_pit_channel_state& c = k.channels[i];
    const KernelPitState::Channel& from = s.channels[i];
    c.count = from.count;
    c.latched_count = from.latched_count;
    c.count_latched = from.count_latched;
    c.status_latched = from.status_latched;
    c.status = from.status;
    c.read_state = from.read_state;
    c.write_state = from.write_state;
    c.write_latch = from.write_latch;
    c.rw_mode = from.rw_mode;
    c.mode = from.mode;
    c.bcd = from.bcd;
    c.gate = from.gate;
    c.count_load_time = from.count_load_time;
  }
  TRY(kvm_call(vm_fd_, KVM_SET_PIT2, "KVM_SET_PIT2", &k));
  return {};
}

Result<> KvmIrqchip::reset() {
  // ELCR masks: which inputs of a PC may be level triggered.
  TRY(set_pic(false, {.elcr_mask = 0xf8}));
  TRY(set_pic(true, {.elcr_mask = 0xde}));
  KernelIoapicState ioapic;
  ioapic.redirection.fill(uint64_t{1} << 16);  // masked
  TRY(set_ioapic(ioapic));
  if (!pit_) return {};
  KernelPitState pit;
  for (size_t i = 0; i < 3; ++i)
    pit.channels[i] = {.count = 0x10000, .mode = kNotProgrammed, .gate = static_cast<uint8_t>(i != 2)};
  return set_pit(pit);
}

}  // namespace rhea
