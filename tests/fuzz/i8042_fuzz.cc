// The keyboard controller with keyboard and mouse: any order of commands, bytes and keys.
#include "hw/input/i8042.h"
#include "tests/fuzz/isa_guest.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace rhea;
  IsaGuest guest{FuzzInput(data, size)};
  auto kbc = guest.add(std::make_shared<I8042>());
  guest.run(*kbc, 0x60, 5, [&](uint8_t what) {
    const uint16_t more = guest.input.u16();
    if ((what & 1) != 0) return kbc->keyboard().key_event(more, (what & 2) != 0);
    kbc->mouse().move(static_cast<int8_t>(more), static_cast<int8_t>(more >> 8), what >> 4, what >> 1);
  });
  kbc->unrealize();
  return 0;
}
