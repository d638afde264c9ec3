// Fuzzes every kind of virtio device through its registers, rings and saved state.
#include "tests/fuzz/virtio_board.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  rhea::VirtioBoard board;
  board.run(data, size);
  return 0;
}
