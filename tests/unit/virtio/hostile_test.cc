// Drivers that write anything anywhere: nothing but the device may suffer, and a reset makes it work again.
#include <gtest/gtest.h>

#include <random>

#include "tests/fuzz/virtio_board.h"

namespace rhea {
namespace {

class HostileDriver : public testing::TestWithParam<int> {};

TEST_P(HostileDriver, AnythingAnywhere) {
  for (unsigned seed = 1; seed <= 4; ++seed) {  // more is fuzz_virtio's
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    std::vector<uint8_t> bytes(1500);
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
    bytes[0] = static_cast<uint8_t>(GetParam());
    bytes[2] = 8;  // begins as a driver does
    VirtioBoard board;
    board.run(bytes.data(), bytes.size());
  }
}

INSTANTIATE_TEST_SUITE_P(Virtio, HostileDriver, testing::Range(0, int{std::size(VirtioBoard::kKinds)}));

}  // namespace
}  // namespace rhea
