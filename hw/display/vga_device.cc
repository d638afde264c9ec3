#include "hw/display/vga_device.h"

#include <algorithm>
#include <bit>

#include "accel/accel.h"
#include "util/clock.h"
#include "util/log.h"

namespace rhea {

namespace {

constexpr uint32_t kMaxMegabytes = 512;
constexpr uint16_t kFirstPort = 0x3b0, kPorts = 0x30, kVbePort = 0x1ce;

/// Makes the accelerator look again which memory it logs.
void update_dirty_logging() {
  if (machine_accelerator() == nullptr) return;
  Result<> r = machine_accelerator()->update_dirty_logging();
  if (!r) error_report(r.error());
}

}  // namespace

Result<std::unique_ptr<VgaDisplay>> VgaDisplay::create(Object& owner, std::string ram_id,
                                                       uint32_t megabytes) {
  const uint64_t size = uint64_t{std::bit_ceil(std::clamp(megabytes, 1u, kMaxMegabytes))} << 20;
  auto vram = TRY(RamBlock::create(std::move(ram_id), size));
  return std::unique_ptr<VgaDisplay>(new VgaDisplay(owner, std::move(vram)));
}

VgaDisplay::VgaDisplay(Object& owner, std::shared_ptr<RamBlock> vram)
    : core_(std::move(vram)), console_(*this, owner) {}

VgaDisplay::~VgaDisplay() {
  const MemoryTransaction transaction;
  shown_.clear();
}

std::unique_ptr<MemoryRegion> VgaDisplay::vram_region() const {
  return MemoryRegion::ram("vga.vram", core_.shared_vram());
}

void VgaDisplay::show_legacy(MemoryRegion& memory, MemoryRegion& io) {
  const MemoryTransaction transaction;
  const AccessRules bytes{.impl_max = 1};
  all_ports_ = MemoryRegion::io("vga", kPorts, ports_, bytes);
  struct Range {
    uint16_t first, count;
  };
  for (const Range r :
       {Range{0x3b4, 2}, Range{0x3ba, 1}, Range{0x3c0, 16}, Range{0x3d4, 2}, Range{0x3da, 1}}) {
    auto ports =
        MemoryRegion::alias("vga", *all_ports_, static_cast<uint64_t>(r.first - kFirstPort), r.count);
    io.add_subregion(r.first, *ports);
    shown_.push_back(std::move(ports));
  }
  auto vbe = MemoryRegion::io("vbe", 4, vbe_, {.valid_max = 2, .impl_max = 2, .unaligned = true});
  io.add_subregion(kVbePort, *vbe);
  shown_.push_back(std::move(vbe));
  auto window = MemoryRegion::io("vga-lowmem", 0x20000, window_, bytes);
  memory.add_subregion(0xa0000, *window, 1);
  shown_.push_back(std::move(window));
}

/// Words: the index at 0x1ce; the data at 0x1cf, and for those who cannot reach that at 0x1d0.
uint64_t VgaDisplay::vbe_read(uint64_t offset, unsigned size) {
  if (size != 2) return 0xff;
  if (offset == 0) return core_.vbe_selected();
  return offset <= 2 ? core_.vbe_read(core_.vbe_selected()) : 0xffff;
}

void VgaDisplay::vbe_write(uint64_t offset, uint64_t value, unsigned size) {
  if (size != 2) return;
  if (offset == 0)
    core_.vbe_select(static_cast<uint16_t>(value));
  else if (offset <= 2)
    core_.vbe_write(core_.vbe_selected(), static_cast<uint16_t>(value));
}

void VgaDisplay::render(Console& console, bool all) {
  if (core_.vram().tracking(DirtyClient::kDisplay) && machine_accelerator() != nullptr) {
    Result<> r = machine_accelerator()->sync_dirty_log();
    if (!r) error_report(r.error());
  }
  renderer_.render(console, all || std::exchange(stale_, false), virtual_clock().now_ns());
}

void VgaDisplay::set_watched(bool watched) {
  core_.vram().set_tracking(DirtyClient::kDisplay, watched);
  update_dirty_logging();
}

}  // namespace rhea
