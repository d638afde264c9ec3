#include "hw/isa/piix3.h"

namespace rhea {

namespace {
constexpr unsigned kPirqRouteA = 0x60;  // PIRQRC[A:D]: bits 3:0 the IRQ, bit 7 set: not routed
constexpr uint8_t kRouteOff = 0x80;
constexpr unsigned kNoIrq = 16;
constexpr uint8_t kResetCpu = 0x04, kResetHard = 0x02;
std::shared_ptr<Object> make() {
  return std::make_shared<Piix3>();
}
}  // namespace

static constexpr TypeInfo kPiix3CommonType{.name = "pci-piix3", .parent = &PciDevice::kType};
constexpr TypeInfo Piix3::kType{.name = "PIIX3",
                                .parent = &kPiix3CommonType,
                                .create = make,
                                .description = "ISA bridge",
                                .category = DeviceCategory::kBridge};

PciIds Piix3::pci_ids() const {
  return {.vendor = 0x8086, .device = 0x7000, .revision = 0, .class_id = 0x0601};
}

Result<> Piix3::do_realize() {
  set_multifunction(true);
  TRY(PciDevice::do_realize());
  isa_ = std::make_shared<IsaBus>("isa.0", pci_bus()->io(), isa_irqs);
  add_bus(isa_);
  reset_region_ = MemoryRegion::io("piix3-reset-control", 1, reset_control_, {.valid_max = 1, .impl_max = 1});
  pci_bus()->io().add_subregion(0xcf9, *reset_region_, 1);
  for (unsigned i = 0; i < 4; ++i) write_mask()[kPirqRouteA + i] = 0x8f;
  for (unsigned at : {0x4cu, 0x4eu, 0x4fu, 0x69u, 0x6au, 0x70u, 0x76u, 0x77u, 0x78u, 0x79u, 0x80u, 0x82u,
                      0xa0u, 0xa2u, 0xa3u, 0xa4u, 0xa5u, 0xa6u, 0xa7u, 0xa8u, 0xaau, 0xabu, 0xacu, 0xaeu})
    write_mask()[at] = 0xff;
  reset();
  return {};
}

void Piix3::do_unrealize() {
  reset_region_.reset();
  PciDevice::do_unrealize();
}

void Piix3::reset() {
  PciDevice::reset();
  uint8_t* c = config();
  c[pci::kStatus + 1] = 0x02;
  c[0x4c] = 0x4d;
  c[0x4e] = 0x03;
  c[0x69] = 0x02;
  c[0x70] = 0x80;
  c[0x76] = c[0x77] = 0x0c;
  c[0x78] = 0x02;
  c[0xa0] = 0x08;
  c[0xa8] = 0x0f;
  for (unsigned i = 0; i < 4; ++i) c[kPirqRouteA + i] = kRouteOff;
  state = {};
  update_irqs();
}

unsigned Piix3::route(int pirq) const {
  const uint8_t reg = config()[kPirqRouteA + static_cast<unsigned>(pirq)];
  const unsigned irq = reg & 0x0f;
  // IRQs 0, 1, 2, 8 and 13 are reserved for the board.
  constexpr uint16_t kReserved = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 8 | 1 << 13;
  return (reg & kRouteOff) != 0 || (kReserved >> irq & 1) != 0 ? kNoIrq : irq;
}

void Piix3::update_irqs() {
  uint32_t up = 0;  // bit 16 gathers what is not routed
  for (int pirq = 0; pirq < 4; ++pirq)
    if (pirq_levels_[static_cast<size_t>(pirq)] != 0) up |= 1u << route(pirq);
  const auto before = std::exchange(driven_, static_cast<uint16_t>(up));
  for (unsigned irq = 0; irq < kNoIrq; ++irq)
    if (((before ^ up) >> irq & 1) != 0) isa_irqs[irq].set(static_cast<int>(up >> irq & 1));
}

void Piix3::irq_input(int pirq, int level) {
  if (std::exchange(pirq_levels_[static_cast<size_t>(pirq)], level) != level) update_irqs();
}

void Piix3::config_changed(unsigned offset, unsigned size) {
  PciDevice::config_changed(offset, size);
  if (offset < kPirqRouteA + 4 && offset + size > kPirqRouteA) update_irqs();
}

uint64_t Piix3::reset_control_read(uint64_t, unsigned) {
  return state.rcr;
}

void Piix3::reset_control_write(uint64_t, uint64_t value, unsigned) {
  if ((value & kResetCpu) != 0) {  // rising, as the bit never stays set
    if (on_reset_request) on_reset_request();
    return;
  }
  state.rcr = value & kResetHard;
}

constexpr VMStateField kPiix3Fields[] = {
    {.name = "PCIDevice",
     .save =
         [](const void* o, StateWriter& out, const VMStateField&) {
           vmstate_save(PciDevice::kPciVmState, const_cast<Piix3*>(static_cast<const Piix3*>(o)), out);
         },
     .load = [](void* o, StateReader& in, const VMStateField&, int) -> Result<> {
       return vmstate_load(PciDevice::kPciVmState, static_cast<PciDevice*>(static_cast<Piix3*>(o)), in,
                           PciDevice::kPciVmState.version);
     }},
    {.name = "pci_irq_levels_vmstate",
     .save =
         [](const void* o, StateWriter& out, const VMStateField&) {
           for (int level : static_cast<const Piix3*>(o)->pirq_levels()) out.put_be32(level != 0 ? 1 : 0);
         },
     // The devices' own states give the levels again.
     .load = [](void*, StateReader& in, const VMStateField&, int) -> Result<> {
       for (int i = 0; i < 4; ++i) in.get_be32();
       return {};
     },
     .since_version = 3},
};
constexpr VMStateField kRcrFields[] = {
    {.name = "rcr",
     .save = [](const void* o, StateWriter& out,
                const VMStateField&) { out.put_u8(static_cast<const Piix3*>(o)->state.rcr); },
     .load = [](void* o, StateReader& in, const VMStateField&, int) -> Result<> {
       static_cast<Piix3*>(o)->state.rcr = in.get_u8() & kResetHard;
       return {};
     }},
};
constexpr VMState kRcrSubsection{
    .name = "PIIX3/rcr", .version = 1, .fields = kRcrFields, .needed = [](const void* o) {
      return static_cast<const Piix3*>(o)->state.rcr != 0;
    }};
constexpr const VMState* kPiix3Subsections[] = {&kRcrSubsection};
constexpr VMState Piix3::kVmState{.name = "PIIX3",
                                  .version = 3,
                                  .minimum_version = 2,
                                  .fields = kPiix3Fields,
                                  .subsections = kPiix3Subsections,
                                  .pre_load = [](void* o) -> Result<> {
                                    static_cast<Piix3*>(o)->state.rcr = 0;
                                    return {};
                                  },
                                  .post_load = [](void* o, int) -> Result<> {
                                    static_cast<Piix3*>(o)->update_irqs();
                                    return {};
                                  }};

const VMState* Piix3::vmstate() const {
  return &kVmState;
}

}  // namespace rhea
