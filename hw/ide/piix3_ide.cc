#include "hw/ide/piix3_ide.h"

#include "hw/ide/ide_cd.h"
#include "hw/ide/ide_hd.h"

namespace rhea {

namespace {

// IDETIM 0 and 1, 16 bits each, and SIDETIM. Timings mean nothing here; bit 15 would enable decoding, but
// boot code exists that uses the ports without, so they are always there.
constexpr unsigned kIdeTim = 0x40;
constexpr uint16_t kCommandPorts[] = {0x1f0, 0x170};
constexpr uint16_t kControlPorts[] = {0x3f6, 0x376};

std::shared_ptr<Object> make_piix3_ide() {
  return std::make_shared<Piix3Ide>();
}

}  // namespace

static constexpr TypeInfo kPciIdeType{.name = "pci-ide", .parent = &PciDevice::kType};
constexpr TypeInfo Piix3Ide::kType{.name = "piix3-ide",
                                   .parent = &kPciIdeType,
                                   .create = make_piix3_ide,
                                   .category = DeviceCategory::kStorage};

void register_ide_types(TypeRegistry& registry) {
  registry.add({&IdeBus::kType, &IdeDrive::kType, &IdeCd::kType, &IdeHd::kType, &Piix3Ide::kType});
}

Piix3Ide::Piix3Ide() {
  for (int n = 0; n < 2; ++n) {
    const auto i = static_cast<size_t>(n);
    buses_[i] = std::make_shared<IdeBus>(n);
    add_bus(buses_[i]);
    IdeChannel& c = channel(n);
    c.dma = &bmdma_[i];
    c.intrq = IrqLine(bmdma_[i], 0);
    ports_[i] = std::make_unique<Ports>(c);
    bmdma_wire_[i].channel = &bmdma_[i];
    bus_wire_[i].channel = &c;
    auto& wires = n == 0 ? primary_wire_ : secondary_wire_;
    for (size_t unit = 0; unit < 2; ++unit) {
      wires[unit].unit = &c.units[unit];
      wires[unit].channel = &c;
    }
  }
}

PciIds Piix3Ide::pci_ids() const {
  return {.vendor = 0x8086, .device = 0x7010, .revision = 0, .class_id = 0x0101, .prog_if = 0x80};
}

std::string Piix3Ide::fw_name() const {
  return str_cat("ide@", hex(static_cast<uint64_t>(devfn() >> 3)), ",",
                 hex(static_cast<uint64_t>(devfn() & 7)));
}

Result<> Piix3Ide::do_realize() {
  TRY(PciDevice::do_realize());
  for (unsigned at = kIdeTim; at < kIdeTim + 5; ++at) write_mask()[at] = 0xff;
  const MemoryTransaction transaction;
  for (size_t n = 0; n < 2; ++n) {
    bmdma_[n].irq = isa_irqs[n];
    bmdma_[n].dma_read = [this](GuestAddr addr, void* out, uint64_t bytes) {
      return dma_read(addr, out, bytes);
    };
    bmdma_[n].may_master = [this] { return (config()[pci::kCommand] & pci::kCommandMaster) != 0; };
    Ports& p = *ports_[n];
    p.command = MemoryRegion::io("ide", 8, p.command_io, {.valid_max = 4, .impl_max = 4});
    p.control = MemoryRegion::io("ide", 1, p.control_io, {.valid_max = 1, .impl_max = 1});
    pci_bus()->io().add_subregion(kCommandPorts[n], *p.command);
    pci_bus()->io().add_subregion(kControlPorts[n], *p.control);
  }
  register_bar(4, true, MemoryRegion::io("piix-bmdma", 16, bmdma_io_, {.valid_max = 4, .impl_max = 4}));
  reset();
  return {};
}

void Piix3Ide::do_unrealize() {
  for (size_t n = 0; n < 2; ++n) {
    ports_[n]->command.reset();
    ports_[n]->control.reset();
    bmdma_[n].dma_read = nullptr;
    bmdma_[n].may_master = nullptr;
  }
  PciDevice::do_unrealize();
}

void Piix3Ide::reset() {
  PciDevice::reset();
  for (int n = 0; n < 2; ++n) {
    channel(n).reset();
    bmdma(n).reset();
  }
  config()[pci::kStatus] = 0x80;      // fast back-to-back
  config()[pci::kStatus + 1] = 0x02;  // medium DEVSEL timing
}

// --- ports

uint64_t Piix3Ide::Ports::command_read(uint64_t offset, unsigned size) {
  if (offset == ata::kData) return channel.read_data(size);
  uint64_t value = 0;
  for (unsigned i = 0; i < size; ++i) {
    const auto reg = static_cast<unsigned>(offset) + i;
    value |= uint64_t{reg < 8 ? channel.read_register(reg) : uint8_t{0xff}} << (8 * i);
  }
  return value;
}

void Piix3Ide::Ports::command_write(uint64_t offset, uint64_t value, unsigned size) {
  if (offset == ata::kData) return channel.write_data(static_cast<uint32_t>(value), size);
  for (unsigned i = 0; i < size; ++i) {
    const auto reg = static_cast<unsigned>(offset) + i;
    if (reg < 8) channel.write_register(reg, static_cast<uint8_t>(value >> (8 * i)));
  }
}

uint64_t Piix3Ide::Ports::control_read(uint64_t, unsigned) {
  return channel.read_alternate_status();
}

void Piix3Ide::Ports::control_write(uint64_t, uint64_t value, unsigned) {
  channel.write_control(static_cast<uint8_t>(value));
}

uint64_t Piix3Ide::bmdma_read(uint64_t offset, unsigned size) {
  uint64_t value = 0;
  for (unsigned i = 0; i < size; ++i) {
    const auto at = static_cast<unsigned>(offset) + i;
    value |= uint64_t{bmdma_[(at >> 3) & 1].read(at & 7)} << (8 * i);
  }
  return value;
}

void Piix3Ide::bmdma_write(uint64_t offset, uint64_t value, unsigned size) {
  for (unsigned i = 0; i < size; ++i) {
    const auto at = static_cast<unsigned>(offset) + i;
    bmdma_[(at >> 3) & 1].write(at & 7, static_cast<uint8_t>(value >> (8 * i)));
  }
}

// --- state

namespace {

/// Status bits whose place on the wire QEMU once used for something else: they travel in a subsection.
constexpr uint8_t kMovedBits = 0x78;

using D = BmdmaWire;

void bmdma_pre_save(void* object) {
  D& d = *static_cast<D*>(object);
  const BmdmaState& s = d.channel->state;
  d.cmd = s.command;
  d.compat_status = s.status & static_cast<uint8_t>(~kMovedBits);
  d.status = s.status;
  d.addr = s.prdt;
  d.cur_addr = s.next_prd;
  d.cur_prd_last = s.prd_last ? 1 : 0;
  d.cur_prd_addr = s.prd_addr;
  d.cur_prd_len = s.prd_left;
}

Result<> bmdma_pre_load(void* object) {
  D& d = *static_cast<D*>(object);
  BmdmaChannel* channel = d.channel;
  d = D();
  d.channel = channel;
  return {};
}

Result<> bmdma_post_load(void* object, int /*version*/) {
  D& d = *static_cast<D*>(object);
  if (d.cur_prd_len > 0x10000) return fail(EINVAL, "memory region of ", d.cur_prd_len, " bytes");
  if (d.cur_prd_last > 0x8000'0000) return fail(EINVAL, "flag ", d.cur_prd_last);
  BmdmaState s;
  s.command = d.cmd & (BmdmaChannel::kStart | BmdmaChannel::kToMemory);
  s.status =
      (d.have_status ? d.status : d.compat_status & static_cast<uint8_t>(~kMovedBits)) &
      (BmdmaChannel::kActive | BmdmaChannel::kError | BmdmaChannel::kInterrupt | BmdmaChannel::kCapable);
  s.prdt = d.addr & ~3u;
  s.next_prd = d.cur_addr & ~3u;
  s.prd_addr = d.cur_prd_addr & ~1u;
  s.prd_left = d.cur_prd_len & ~1u;
  s.prd_last = d.cur_prd_last != 0;
  d.channel->state = s;
  return {};
}

constexpr VMStateField kCurrentFields[] = {
    field<&D::cur_addr>("cur_addr"),
    field<&D::cur_prd_last>("cur_prd_last"),
    field<&D::cur_prd_addr>("cur_prd_addr"),
    field<&D::cur_prd_len>("cur_prd_len"),
};
constexpr VMState kCurrentState{
    .name = "ide bmdma_current", .version = 1, .fields = kCurrentFields, .needed = [](const void* o) {
      return static_cast<const D*>(o)->cur_prd_len != 0;
    }};

constexpr VMStateField status_field() {
  VMStateField f = field<&D::status>("status");
  f.load = [](void* o, StateReader& in, const VMStateField&, int) -> Result<> {
    static_cast<D*>(o)->status = in.get_u8();
    static_cast<D*>(o)->have_status = true;
    return {};
  };
  return f;
}
constexpr VMStateField kStatusFields[] = {status_field()};
constexpr VMState kStatusState{
    .name = "ide bmdma/status", .version = 1, .fields = kStatusFields, .needed = [](const void* o) {
      return (static_cast<const D*>(o)->status & kMovedBits) != 0;
    }};

constexpr const VMState* kBmdmaSubsections[] = {&kCurrentState, &kStatusState};
constexpr VMStateField kBmdmaFields[] = {
    field<&D::cmd>("cmd"),
    field<&D::compat_status>("migration_compat_status"),
    field<&D::addr>("addr"),
    field<&D::retry_sector_num>("migration_retry_sector_num"),
    field<&D::retry_nsector>("migration_retry_nsector"),
    field<&D::retry_unit>("migration_retry_unit"),
};
constexpr VMState kBmdmaVmState{.name = "ide bmdma",
                                .version = 3,
                                .minimum_version = 3,
                                .fields = kBmdmaFields,
                                .subsections = kBmdmaSubsections,
                                .pre_save = bmdma_pre_save,
                                .pre_load = bmdma_pre_load,
                                .post_load = bmdma_post_load};

/// The PCI part is the object itself, not a member.
constexpr VMStateField kParent{
    .name = "parent_obj",
    .save = [](const void* o, StateWriter& out,
               const VMStateField& self) { vmstate_save(*self.nested, const_cast<void*>(o), out); },
    .load = [](void* o, StateReader& in, const VMStateField& self, int) -> Result<> {
      return vmstate_load(*self.nested, o, in, self.nested->version);
    },
    .nested = &PciDevice::kPciVmState};

}  // namespace

constexpr VMStateField Piix3Ide::kFields[] = {
    kParent,
    struct_field<&Piix3Ide::bmdma_wire_>("bmdma", kBmdmaVmState),
    struct_field<&Piix3Ide::bus_wire_>("bus", kIdeBusVmState),
    struct_field<&Piix3Ide::primary_wire_>("bus[0].ifs", kIdeDriveVmState),
    struct_field<&Piix3Ide::secondary_wire_>("bus[1].ifs", kIdeDriveVmState),
};
constexpr VMState Piix3Ide::kVmState{
    .name = "ide", .version = 3, .minimum_version = 3, .fields = Piix3Ide::kFields};

const VMState* Piix3Ide::vmstate() const {
  return &kVmState;
}

}  // namespace rhea
