#include <cstring>
#include <fstream>
#include <iterator>

#include "tests/unit/accel/kvm_guest.h"

namespace rhea::test {
namespace {

constexpr const char* kFirmware = "/usr/share/seabios/bios-256k.bin";

/// The firmware's debug port: reads as 0xe9 where there is one.
struct DebugPort final : MmioHandler {
  std::mutex mutex;
  std::string text;
  uint64_t mmio_read(uint64_t, unsigned) override { return 0xe9; }
  void mmio_write(uint64_t, uint64_t value, unsigned) override {
    std::lock_guard lock(mutex);
    text += static_cast<char>(value);
  }
  bool has(std::string_view wanted) {
    std::lock_guard lock(mutex);
    return text.find(wanted) != std::string::npos;
  }
};

TEST_F(KvmGuest, FirmwareRunsFromTheResetVector) {
  std::ifstream file(kFirmware, std::ios::binary);
  std::string image{std::istreambuf_iterator<char>(file), {}};
  if (image.size() != 256 << 10) GTEST_SKIP() << "no " << kFirmware;
  auto block = RamBlock::create("bios", image.size()).value();
  std::memcpy(block->host(), image.data(), image.size());
  auto rom = MemoryRegion::rom("bios", block);
  auto low = MemoryRegion::alias("isa-bios", *rom, image.size() - 0x20000, 0x20000);
  system_memory().add_subregion(0x1'0000'0000 - image.size(), *rom);
  system_memory().add_subregion(0xe0000, *low);
  DebugPort debug;
  auto debug_region = MemoryRegion::io("debugcon", 1, debug);
  system_io().add_subregion(0x402, *debug_region);
  make_vcpus(1);
  ASSERT_TRUE(accel->reset());
  EXPECT_EQ(state().rip, 0xfff0u);
  accel->start_vcpus();
  EXPECT_TRUE(wait_until([&] { return debug.has("SeaBIOS (version"); }));
  accel->stop_vcpus();
  EXPECT_EQ(errors, 0) << debug.text;
}

}  // namespace
}  // namespace rhea::test
