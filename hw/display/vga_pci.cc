#include "hw/display/vga_pci.h"

#include <algorithm>

namespace rhea {

namespace {

constexpr uint64_t kMmioBytes = 0x1000;
constexpr uint64_t kEdidBytes = 0x180;  // a base block and room for two more
constexpr uint32_t kDefaultWidth = 1280, kDefaultHeight = 800, kMaxSide = 4095;
constexpr uint32_t kExtendedBytes = 8;
constexpr uint32_t kBigEndian = 0xbebebebe, kLittleEndian = 0x1e1e1e1e;

template <class T>
std::shared_ptr<Object> make() {
  return std::make_shared<T>();
}

constexpr PropertyInfo kCommon[] = {
    prop<&VgaPci::vgamem_mb>("vgamem_mb"), prop<&VgaPci::extended_regs>("qemu-extended-regs", "on/off"),
    prop<&VgaPci::edid>("edid", "on/off"), prop<&VgaPci::xres>("xres"),
    prop<&VgaPci::yres>("yres"),           prop<&VgaPci::xmax>("xmax"),
    prop<&VgaPci::ymax>("ymax"),           prop<&VgaPci::refresh_rate>("refresh_rate"),
};
constexpr PropertyInfo kPrimary[] = {prop<&VgaPrimary::mmio>("mmio", "on/off")};

}  // namespace

constexpr TypeInfo VgaPci::kType{.name = "pci-vga",
                                 .parent = &PciDevice::kType,
                                 .properties = kCommon,
                                 .category = DeviceCategory::kDisplay};
constexpr TypeInfo VgaPrimary::kType{.name = "VGA",
                                     .parent = &VgaPci::kType,
                                     .create = make<VgaPrimary>,
                                     .properties = kPrimary,
                                     .user_creatable = true,
                                     .category = DeviceCategory::kDisplay};
constexpr TypeInfo VgaSecondary::kType{.name = "secondary-vga",
                                       .parent = &VgaPci::kType,
                                       .create = make<VgaSecondary>,
                                       .user_creatable = true,
                                       .category = DeviceCategory::kDisplay};

PciIds VgaPci::pci_ids() const {
  return {.vendor = 0x1234,
          .device = 0x1111,
          .revision = static_cast<uint8_t>(extended_regs ? 2 : 0),
          .class_id = static_cast<uint16_t>(primary() ? 0x0300 : 0x0380)};
}

Result<> VgaPci::do_realize() {
  TRY(PciDevice::do_realize());
  const std::string path = bus_path();
  Result<std::unique_ptr<VgaDisplay>> display =
      VgaDisplay::create(*this, str_cat(path, path.empty() ? "" : "/", "vga.vram"), vgamem_mb);
  if (!display) {
    PciDevice::do_unrealize();
    return Failure(std::move(display).error());
  }
  display_ = std::move(*display);
  if (xres == 0) xres = kDefaultWidth;
  if (yres == 0) yres = kDefaultHeight;
  if (primary()) display_->show_legacy(pci_bus()->memory(), pci_bus()->io());
  register_bar(0, false, display_->vram_region(), true);
  if (has_mmio()) make_mmio();
  return {};
}

void VgaPci::make_mmio() {
  auto mmio = MemoryRegion::container("vga.mmio", kMmioBytes);
  auto add = [&](uint64_t at, std::unique_ptr<MemoryRegion> part) {
    mmio->add_subregion(at, *part);
    mmio_parts_.push_back(std::move(part));
  };
  auto background = MemoryRegion::io("vga.mmio", kMmioBytes, holes_);
  mmio->add_subregion(0, *background, -1);
  mmio_parts_.push_back(std::move(background));
  if (edid) {
    edid_ = make_edid(std::min(xres, kMaxSide), std::min(yres, kMaxSide), refresh_rate);
    add(0, MemoryRegion::io("edid", kEdidBytes, edid_handler_, {.valid_max = 4, .impl_max = 1}));
  }
  add(0x400, MemoryRegion::io("vga ioports remapped", 0x20, ports_handler_, {.valid_max = 4, .impl_max = 1}));
  add(0x500, MemoryRegion::io("bochs dispi interface", 0x16, vbe_handler_,
                              {.valid_max = 4, .impl_min = 2, .impl_max = 2}));
  if (extended_regs)
    add(0x600, MemoryRegion::io("qemu extended regs", kExtendedBytes, extended_handler_,
                                {.valid_max = 4, .impl_min = 4, .impl_max = 4}));
  register_bar(2, false, std::move(mmio));
}

uint64_t VgaPci::extended_read(uint64_t offset, unsigned) {
  if (offset == 0) return kExtendedBytes;
  return display_->core().big_endian ? kBigEndian : kLittleEndian;
}

void VgaPci::extended_write(uint64_t offset, uint64_t value, unsigned) {
  if (offset != 4) return;
  if (value == kBigEndian || value == kLittleEndian) {
    display_->core().big_endian = value == kBigEndian;
    display_->invalidate();
  }
}

void VgaPci::do_unrealize() {
  const MemoryTransaction transaction;
  PciDevice::do_unrealize();
  mmio_parts_.clear();
  display_.reset();
}

void VgaPci::reset() {
  PciDevice::reset();
  if (display_ == nullptr) return;
  display_->core().reset();
  display_->invalidate();
}

namespace {
VgaPci& cast(void* o) {
  return *static_cast<VgaPci*>(o);
}
constexpr VMStateField kVgaPciFields[] = {
    {.name = "dev",
     .save =
         [](const void* o, StateWriter& out, const VMStateField&) {
           vmstate_save(PciDevice::kPciVmState, &cast(const_cast<void*>(o)), out);
         },
     .load = [](void* o, StateReader& in, const VMStateField&,
                int version) { return vmstate_load(PciDevice::kPciVmState, &cast(o), in, version); },
     .nested = &PciDevice::kPciVmState},
    {.name = "vga",
     .save =
         [](const void* o, StateWriter& out, const VMStateField&) {
           vmstate_save(kVgaStateVmState, &cast(const_cast<void*>(o)).display().core(), out);
         },
     .load =
         [](void* o, StateReader& in, const VMStateField&, int) {
           return vmstate_load(kVgaStateVmState, &cast(o).display().core(), in, kVgaStateVmState.version);
         },
     .nested = &kVgaStateVmState},
};
}  // namespace

constexpr VMState VgaPci::kVmState{.name = "vga",
                                   .version = 2,
                                   .minimum_version = 2,
                                   .fields = kVgaPciFields,
                                   .post_load = [](void* o, int) -> Result<> {
                                     cast(o).display().invalidate();
                                     return {};
                                   }};

const VMState* VgaPci::vmstate() const {
  return &kVmState;
}

}  // namespace rhea
