// Registers, window and VBE of the VGA in any order, with pictures in between.
// Input: records of an operation, an address byte pair and a value.
#include <cstddef>
#include <cstdint>

#include "hw/display/vga_render.h"
#include "util/byteorder.h"

namespace rhea {
namespace {

struct Nothing final : ConsoleSource {
  void render(Console&, bool) override {}
};

void save_and_load(VgaCore& core) {
  StateWriter out;
  vmstate_save(kVgaStateVmState, &core, out);
  StateReader in(out.buffer());
  std::ignore = vmstate_load(kVgaStateVmState, &core, in, 2);
}

}  // namespace
}  // namespace rhea

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace rhea;
  static auto block = std::move(*RamBlock::create("vram", 1 << 20));
  VgaCore core(block);
  VgaRenderer renderer(core);
  Nothing source;
  Object owner;
  Console console(source, owner);
  int pictures = 0;
  for (; size >= 4; data += 4, size -= 4) {
    const auto address = load_le<uint16_t>(data + 1);
    const uint8_t value = data[3];
    switch (data[0] % 8) {
      case 0:
        core.port_read(0x3b0 + address % 0x30u);
        break;
      case 1:
      case 2:
        core.port_write(0x3b0 + address % 0x30u, value);
        break;
      case 3:
        core.window_read(address << 1 | (value & 1));
        break;
      case 4:
        core.window_write(address << 1 | (value & 1), value);
        break;
      case 5:
        core.vbe_write(value % 12, address);
        core.vbe_read(value % 12);
        break;
      case 6:
        save_and_load(core);
        break;
      default:
        if (++pictures < 4) renderer.render(console, false, int64_t{address} << 20);
        break;
    }
  }
  return 0;
}
