// A board for one ISA device: ports, recorded interrupt lines, a clock that only the test moves.
#pragma once

#include <gtest/gtest.h>

#include "hw/isa/isa_bus.h"
#include "util/aio_context.h"

namespace rhea {

/// Sixteen (or more) interrupt lines that remember their level and count their rising edges.
class IrqRecorder final : public IrqSink {
 public:
  void set_irq(int n, int level) override {
    auto& line = lines_.at(static_cast<size_t>(n));
    if (level != 0 && line.level == 0) ++line.edges;
    line.level = level;
  }
  int level(int n) const { return lines_.at(static_cast<size_t>(n)).level; }
  int edges(int n) const { return lines_.at(static_cast<size_t>(n)).edges; }

 private:
  struct Line {
    int level = 0, edges = 0;
  };
  std::array<Line, 32> lines_{};
};

class IsaBoard : public testing::Test {
 protected:
  IsaBoard() {
    clock.set_manual();
    clock.start();
  }

  template <class T>
  std::shared_ptr<T> plug(std::shared_ptr<T> device) {
    EXPECT_TRUE(bus->plug(*device));
    return device;
  }
  uint8_t in(uint16_t port) { return static_cast<uint8_t>(ports.load(port, 1)); }
  void out(uint16_t port, uint8_t value) { ports.store(port, value, 1); }
  void step(int64_t ns) { clock.step_to(clock.now_ns() + ns, *loop); }

  static std::vector<uint8_t> save(Device& device) {
    StateWriter out;
    vmstate_save(*device.vmstate(), device.vmstate_object(), out);
    return out.buffer();
  }
  static Result<> load(Device& device, std::span<const uint8_t> bytes) {
    StateReader in(bytes);
    TRY(vmstate_load(*device.vmstate(), device.vmstate_object(), in, device.vmstate()->version));
    if (in.left() != 0) return fail(EINVAL, in.left(), " bytes are left");
    return {};
  }
  /// Loads `good` with each byte in turn replaced by each of a few values, and cut at each length: whatever
  /// comes of it, nothing breaks. `poke` then uses the device.
  template <class Poke>
  static void load_hostile(Device& device, const std::vector<uint8_t>& good, Poke poke) {
    for (size_t at = 0; at < good.size(); ++at) {
      for (uint8_t value : {0x00, 0x01, 0x7f, 0x80, 0xff}) {
        std::vector<uint8_t> bad = good;
        bad[at] = value;
        if (load(device, bad)) poke();
      }
      if (load(device, std::span(good).first(at))) poke();  // an optional end may be missing
    }
    EXPECT_TRUE(load(device, good));
  }

  VirtualClock clock;  // outlives the loop, which knows it
  std::unique_ptr<AioContext> loop = *AioContext::create("test");
  IrqRecorder irqs;
  std::unique_ptr<MemoryRegion> io = MemoryRegion::container("io", 0x10000);
  AddressSpace ports{"I/O", *io};
  std::shared_ptr<IsaBus> bus = std::make_shared<IsaBus>("isa.0", *io, lines());

 private:
  std::array<IrqLine, 16> lines() {
    std::array<IrqLine, 16> result;
    for (int n = 0; n < 16; ++n) result[static_cast<size_t>(n)] = IrqLine(irqs, n);
    return result;
  }
};

}  // namespace rhea
