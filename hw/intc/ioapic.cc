#include "hw/intc/ioapic.h"

namespace rhea {

namespace {

constexpr unsigned kPins = IoapicState::kPins;
constexpr uint64_t kRegSel = 0x00, kWindow = 0x10, kEoi = 0x40;
constexpr uint8_t kId = 0, kVersion = 1, kArbitration = 2, kTable = 0x10;
// IOREDTBL.
constexpr uint64_t kLogical = 1 << 11, kDeliveryStatus = 1 << 12, kRemoteIrr = 1 << 14, kLevel = 1 << 15,
                   kMasked = 1 << 16, kReadOnly = kDeliveryStatus | kRemoteIrr, kLowDefined = 0x1ffff,
                   kHighDefined = 0xff00'0000;
constexpr uint8_t kFirstVersionWithEoi = 0x20;

constexpr PropertyInfo kIoapicProperties[] = {prop<&Ioapic::version>("version")};

constexpr VMStateField kIoapicStateFields[] = {
    field<&IoapicState::id>("id"), field<&IoapicState::ioregsel>("ioregsel"), padding(8, 2),
    field<&IoapicState::irr>("irr", 2), field<&IoapicState::redirection>("ioredtbl")};

MsiMessage message_of(uint64_t entry) {
  constexpr uint64_t kLocalApics = 0xfee0'0000;
  const uint64_t destination = entry >> 56;
  const bool level = (entry & kLevel) != 0;
  return {.address = kLocalApics | destination << 12 | ((entry & kLogical) != 0 ? 4 : 0),
          .data = static_cast<uint32_t>((entry & 0x7ff) | (level ? 0xc000 : 0))};
}

}  // namespace

constexpr VMState kIoapicStateVmState{.name = "ioapic",
                                      .version = 3,
                                      .minimum_version = 1,
                                      .fields = kIoapicStateFields,
                                      .post_load = [](void* o, int version) -> Result<> {
                                        auto& s = *static_cast<IoapicState*>(o);
                                        if (version < 2) s.irr = 0;
                                        s.id &= 0x0f;
                                        s.irr &= (1u << kPins) - 1;
                                        for (uint64_t& entry : s.redirection)
                                          entry &= kHighDefined << 32 | kLowDefined;
                                        return {};
                                      }};

static constexpr TypeInfo kIoapicCommonType{.name = "ioapic-common", .parent = &Device::kSysBusType};
constexpr TypeInfo Ioapic::kType{
    .name = "ioapic",
    .parent = &kIoapicCommonType,
    .create = []() -> std::shared_ptr<Object> { return std::make_shared<Ioapic>(); },
    .properties = kIoapicProperties,
    .description = "I/O interrupt controller"};

Result<> Ioapic::do_realize() {
  if (version != 0x11 && version != 0x20)
    return fail(EINVAL, "IOAPIC only supports version 0x11 or 0x20 (default: 0x20)");
  region_ = MemoryRegion::io("ioapic", kBytes, mmio_, {.impl_max = 4});
  if (memory != nullptr) memory->add_subregion(kBase, *region_);
  return {};
}

void Ioapic::do_unrealize() {
  region_.reset();
}

void Ioapic::clear() {
  state = {};
  state.redirection.fill(kMasked);
}

void Ioapic::reset() {
  clear();
  if (on_table_change) on_table_change();
}

std::optional<MsiMessage> Ioapic::route(unsigned pin) const {
  constexpr uint64_t kMode = 0x700, kExtInt = 0x700;
  const uint64_t entry = state.redirection[pin];
  if ((entry & kMasked) != 0 || (entry & kMode) == kExtInt) return std::nullopt;
  return message_of(entry);
}

// --- inputs

void Ioapic::irq_input(int n, int level) {
  if (n < 0 || n >= static_cast<int>(kPins)) return;
  const auto pin = static_cast<unsigned>(n);
  const uint32_t bit = 1u << pin;
  const bool rising = level != 0 && (levels_ & bit) == 0;
  if (rising) ++counts_[pin];
  levels_ = level != 0 ? levels_ | bit : levels_ & ~bit;
  const uint64_t entry = state.redirection[pin];
  if ((entry & kLevel) != 0)
    state.irr = level != 0 ? state.irr | bit : state.irr & ~bit;
  else if (rising && (entry & kMasked) == 0)  // 3.2.4: an edge on a masked pin is lost
    state.irr |= bit;
  service(pin);
}

void Ioapic::service(unsigned pin) {
  const uint32_t bit = 1u << pin;
  uint64_t& entry = state.redirection[pin];
  if ((state.irr & bit) == 0 || (entry & kMasked) != 0) return;
  if ((entry & kLevel) != 0) {
    if ((entry & kRemoteIrr) != 0) return;  // sent, and not finished yet
    entry |= kRemoteIrr;
  } else {
    state.irr &= ~bit;
  }
  if (deliver) deliver(message_of(entry));
}

void Ioapic::service_all() {
  for (unsigned pin = 0; pin < kPins; ++pin) service(pin);
}

void Ioapic::end_of_interrupt(uint8_t vector) {
  for (uint64_t& entry : state.redirection)
    if ((entry & 0xff) == vector && (entry & kLevel) != 0) entry &= ~kRemoteIrr;
  service_all();
}

// --- registers

uint64_t Ioapic::mmio_read(uint64_t offset, unsigned size) {
  if (offset == kRegSel) return state.ioregsel;
  if (offset == kWindow && size == 4) return read_window();
  return 0;
}

void Ioapic::mmio_write(uint64_t offset, uint64_t value, unsigned size) {
  if (offset == kRegSel)
    state.ioregsel = static_cast<uint8_t>(value);
  else if (offset == kWindow && size == 4)
    write_window(static_cast<uint32_t>(value));
  else if (offset == kEoi && size == 4 && version >= kFirstVersionWithEoi)
    end_of_interrupt(static_cast<uint8_t>(value));
}

uint32_t Ioapic::read_window() const {
  const uint8_t reg = state.ioregsel;
  if (reg == kId || reg == kArbitration) return uint32_t{state.id} << 24;
  if (reg == kVersion) return version | (kPins - 1) << 16;
  if (reg < kTable || reg >= kTable + 2 * kPins) return 0;
  const unsigned index = reg - kTable;
  return static_cast<uint32_t>(state.redirection[index / 2] >> (index % 2 * 32));
}

void Ioapic::write_window(uint32_t value) {
  const uint8_t reg = state.ioregsel;
  if (reg == kId)
    state.id = value >> 24 & 0x0f;
  else if (reg >= kTable && reg < kTable + 2 * kPins)
    write_entry(reg - kTable, value);
}

void Ioapic::write_entry(unsigned index, uint32_t value) {
  const unsigned pin = index / 2;
  uint64_t& entry = state.redirection[pin];
  if (index % 2 != 0) {
    entry = (entry & 0xffff'ffff) | (value & kHighDefined) << 32;
    if (on_table_change) on_table_change();
    return;
  }
  const uint64_t kept = entry & (kReadOnly | kHighDefined << 32);
  entry = kept | (value & kLowDefined & ~kReadOnly);
  const uint32_t bit = 1u << pin;
  if (on_table_change) on_table_change();
  if ((entry & kLevel) == 0) {
    entry &= ~kRemoteIrr;  // how guests without an EOI register finish a level interrupt
  } else {
    state.irr = (levels_ & bit) != 0 ? state.irr | bit : state.irr & ~bit;
  }
  service(pin);
}

namespace {
constexpr VMStateField kIoapicFields[] = {
    {.name = "state",
     .save =
         [](const void* o, StateWriter& out, const VMStateField&) {
           vmstate_save(kIoapicStateVmState, const_cast<IoapicState*>(&static_cast<const Ioapic*>(o)->state),
                        out);
         },
     .load =
         [](void* o, StateReader& in, const VMStateField&, int version) {
           return vmstate_load(kIoapicStateVmState, &static_cast<Ioapic*>(o)->state, in, version);
         },
     .nested = &kIoapicStateVmState}};
constexpr VMState kIoapicVmState{.name = "ioapic",
                                 .version = 3,
                                 .minimum_version = 1,
                                 .fields = kIoapicFields,
                                 .post_load = [](void* o, int) -> Result<> {
                                   const auto& chip = *static_cast<const Ioapic*>(o);
                                   if (chip.on_table_change) chip.on_table_change();
                                   return {};
                                 }};
}  // namespace

const VMState* Ioapic::vmstate() const {
  return &kIoapicVmState;
}

}  // namespace rhea
