// A board for one device on the ISA bus, and a guest that reads and writes its ports as the fuzzer's input
// says, lets time pass, resets it, saves and loads it.
#pragma once

#include <cstdlib>

#include "hw/isa/isa_bus.h"
#include "util/aio_context.h"

namespace rhea {

/// The fuzzer's input, taken in pieces; zeros behind its end.
class FuzzInput {
 public:
  FuzzInput(const uint8_t* data, size_t size) : next_(data), end_(data + size) {}
  bool done() const { return next_ == end_; }
  uint8_t u8() { return next_ != end_ ? *next_++ : 0; }
  uint16_t u16() {
    const uint8_t low = u8();
    return static_cast<uint16_t>(low | u8() << 8);
  }
  uint32_t u32() {
    const uint16_t low = u16();
    return low | uint32_t{u16()} << 16;
  }

 private:
  const uint8_t *next_, *end_;
};

class IsaGuest {
 public:
  explicit IsaGuest(FuzzInput input) : input(input) {
    loop->make_current();
    clock.set_manual();
    clock.start();
  }

  /// Plugs the device in and makes it work.
  template <class T>
  std::shared_ptr<T> add(std::shared_ptr<T> device) {
    if (!bus->plug(*device) || !device->realize()) abort();
    device->reset();
    return device;
  }
  /// Runs the input to its end: `base` + 0..count are the ports. `other` does what the device alone has.
  template <class Other>
  void run(Device& device, uint16_t base, uint16_t count, Other other) {
    while (!input.done()) {
      const uint8_t op = input.u8();
      const auto port = static_cast<uint16_t>(base + (op >> 3) % count);
      switch (op & 7) {
        case 0:
        case 1:
        case 2:
          ports.store(port, input.u8(), 1);
          break;
        case 3:
        case 4:
          ports.load(port, (op & 0x80) != 0 ? 2 : 1);
          break;
        case 5:
          pass(input.u16());
          break;
        case 6:
          other(input.u8());
          break;
        default:
          (op & 8) != 0 ? device.reset() : save_and_load(device);
          break;
      }
      loop->run_once(false);
    }
    device.reset();
  }
  /// Lets 2^(units / 2048) ns and some pass: up to a second.
  void pass(uint16_t units) {
    clock.step_to(clock.now_ns() + (int64_t{1} << (units >> 11)) + (units & 0x7ff), *loop);
  }
  /// A good stream loads; one with a byte changed loads or is refused, and the device starts afresh.
  void save_and_load(Device& device) {
    StateWriter writer;
    vmstate_save(*device.vmstate(), device.vmstate_object(), writer);
    std::vector<uint8_t> bytes = writer.buffer();
    if (bytes.empty()) return;
    const uint16_t at = input.u16();
    bytes[at % bytes.size()] ^= input.u8();
    StateReader reader(bytes);
    if (!vmstate_load(*device.vmstate(), device.vmstate_object(), reader, device.vmstate()->version))
      device.reset();
  }

  VirtualClock clock;  // outlives the loop, which knows it
  std::unique_ptr<AioContext> loop = std::move(AioContext::create("fuzz")).value();
  std::unique_ptr<MemoryRegion> io = MemoryRegion::container("io", 0x10000);
  AddressSpace ports{"I/O", *io};
  std::shared_ptr<IsaBus> bus = std::make_shared<IsaBus>("isa.0", *io, std::array<IrqLine, 16>());
  FuzzInput input;
};

}  // namespace rhea
