// The part of a display adapter that is the same on every bus: core, video memory, console, legacy ports.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "hw/display/vga_render.h"
#include "memory/memory.h"

namespace rhea {

class VgaDisplay final : public ConsoleSource {
 public:
  /// `megabytes` of video memory are brought to a power of two from 1 to 512. `owner` outlives it.
  static Result<std::unique_ptr<VgaDisplay>> create(Object& owner, std::string ram_id, uint32_t megabytes);
  ~VgaDisplay() override;

  VgaCore& core() { return core_; }
  /// Shows ports 0x3b4…0x3da and 0x1ce…0x1d1 in `io` and the window in `memory`, while this lives.
  void show_legacy(MemoryRegion& memory, MemoryRegion& io);
  /// The video memory as a region of its own.
  std::unique_ptr<MemoryRegion> vram_region() const;
  /// After the state came from elsewhere, or a reset.
  void invalidate() { stale_ = true; }

  void render(Console& console, bool all) override;
  void set_watched(bool watched) override;

 private:
  VgaDisplay(Object& owner, std::shared_ptr<RamBlock> vram);
  uint64_t port_read(uint64_t offset, unsigned) {
    return core_.port_read(0x3b0 + static_cast<uint32_t>(offset));
  }
  void port_write(uint64_t offset, uint64_t value, unsigned) {
    core_.port_write(0x3b0 + static_cast<uint32_t>(offset), static_cast<uint8_t>(value));
  }
  uint64_t vbe_read(uint64_t offset, unsigned size);
  void vbe_write(uint64_t offset, uint64_t value, unsigned size);
  uint64_t window_read(uint64_t offset, unsigned) { return core_.window_read(static_cast<uint32_t>(offset)); }
  void window_write(uint64_t offset, uint64_t value, unsigned) {
    core_.window_write(static_cast<uint32_t>(offset), static_cast<uint8_t>(value));
  }

  VgaCore core_;
  VgaRenderer renderer_{core_};
  bool stale_ = true;
  MmioOf<VgaDisplay, &VgaDisplay::port_read, &VgaDisplay::port_write> ports_{*this};
  MmioOf<VgaDisplay, &VgaDisplay::vbe_read, &VgaDisplay::vbe_write> vbe_{*this};
  MmioOf<VgaDisplay, &VgaDisplay::window_read, &VgaDisplay::window_write> window_{*this};
  std::unique_ptr<MemoryRegion> all_ports_;
  std::vector<std::unique_ptr<MemoryRegion>> shown_;
  Console console_;
};

}  // namespace rhea
