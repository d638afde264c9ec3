// The fw_cfg device's registers, reset and saved state.
#include "hw/nvram/fw_cfg.h"

#include <gtest/gtest.h>

#include "util/byteorder.h"

namespace rhea {
namespace {

constexpr uint64_t kSelect = 0x510, kData = 0x511, kDmaHigh = 0x514, kDmaLow = 0x518;

class FwCfgDevice : public testing::Test {
 protected:
  void SetUp() override {
    block = RamBlock::create("test.ram", 0x10000).value();
    ram = MemoryRegion::ram("ram", block);
    memory_root->add_subregion(0, *ram);
    device->connect(*io_root, *memory);
  }
  void realize() {
    ASSERT_TRUE(device->realize());
    device->store().set(FwCfgKey::kSignature, {'Q', 'E', 'M', 'U'});
    ASSERT_TRUE(device->store().add_file("etc/x", {'x', 'y', 'z'}));
  }
  void TearDown() override { device->unrealize(); }
  uint64_t in(uint64_t port, unsigned size) { return io->load(port, size); }
  void out(uint64_t port, uint64_t value, unsigned size) { io->store(port, value, size); }
  void dma(uint32_t control, uint32_t length, uint64_t address) {
    store_be<uint32_t>(block->host() + 0x100, control);
    store_be<uint32_t>(block->host() + 0x104, length);
    store_be<uint64_t>(block->host() + 0x108, address);
    out(kDmaHigh, 0, 4);
    out(kDmaLow, byte_swapped(uint32_t{0x100}), 4);
  }

  std::unique_ptr<MemoryRegion> memory_root = MemoryRegion::container("memory", MemoryRegion::kWholeSpace);
  std::unique_ptr<MemoryRegion> io_root = MemoryRegion::container("io", 0x10000);
  std::unique_ptr<AddressSpace> memory = std::make_unique<AddressSpace>("memory", *memory_root);
  std::unique_ptr<AddressSpace> io = std::make_unique<AddressSpace>("io", *io_root);
  std::shared_ptr<RamBlock> block;
  std::unique_ptr<MemoryRegion> ram;
  std::shared_ptr<FwCfgIo> device = std::make_shared<FwCfgIo>();
};

TEST_F(FwCfgDevice, SelectsAndReadsBytes) {
  realize();
  out(kSelect, 0, 2);
  EXPECT_EQ(in(kData, 1), 'Q');
  EXPECT_EQ(in(kData, 1), 'E');
  out(kSelect, 0x20, 2);
  EXPECT_EQ(in(kData, 1), 'x');
}

TEST_F(FwCfgDevice, WritesToDataAreIgnored) {
  realize();
  out(kSelect, 0, 2);
  out(kData, 0x55, 1);
  out(kSelect, 0x20, 1);  // half a selector selects nothing
  EXPECT_EQ(in(kData, 1), 'Q');
}

TEST_F(FwCfgDevice, DmaRegisterReadsItsSignature) {
  realize();
  EXPECT_EQ(in(kDmaHigh, 4), 0x554d4551u);  // "QEMU"
  EXPECT_EQ(in(kDmaLow, 4), 0x47464320u);   // " CFG"
}

TEST_F(FwCfgDevice, DmaCopiesIntoRam) {
  realize();
  dma(0x20u << 16 | 0x0a, 3, 0x200);
  EXPECT_EQ(std::string(reinterpret_cast<char*>(block->host() + 0x200), 3), "xyz");
  EXPECT_EQ(load_be<uint32_t>(block->host() + 0x100), 0u);
}

TEST_F(FwCfgDevice, DmaOutsideRamFails) {
  realize();
  dma(0x0a, 4, 0xffff'0000'0000);
  EXPECT_EQ(load_be<uint32_t>(block->host() + 0x100), 1u);
  dma(0x0a, 4, 0xfffe);
  EXPECT_EQ(load_be<uint32_t>(block->host() + 0x100), 1u);
  out(kDmaHigh, 0xffff'ffff, 4);  // a descriptor where nothing is
  out(kDmaLow, 0xffff'ffff, 4);
}

TEST_F(FwCfgDevice, WithoutDmaThePortsAreNotThere) {
  ASSERT_TRUE(device->set_property("dma_enabled", Json(false)));
  realize();
  EXPECT_EQ(in(kDmaHigh, 4), 0xffff'ffffu);
}

TEST_F(FwCfgDevice, TooFewFileSlotsIsAnError) {
  ASSERT_TRUE(device->set_property("x-file-slots", Json(uint64_t{4})));
  auto result = device->realize();
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().message().find("x-file-slots"), std::string::npos);
}

TEST_F(FwCfgDevice, ResetRewinds) {
  realize();
  out(kSelect, 0x20, 2);
  in(kData, 1);
  device->reset();
  EXPECT_EQ(in(kData, 1), 'Q');
}

TEST_F(FwCfgDevice, SavedStateHoldsTheCursorAndTheDmaAddress) {
  realize();
  out(kSelect, 0x20, 2);
  in(kData, 1);
  out(kDmaHigh, 0x78563412, 4);
  StateWriter writer;
  vmstate_save(*device->vmstate(), device->vmstate_object(), writer);
  // cur_entry, cur_offset, then subsection "fw_cfg/dma" version 1: dma_addr
  std::vector<uint8_t> expected{0x00, 0x20, 0, 0, 0, 1, 0x05, 10};
  for (char c : std::string("fw_cfg/dma")) expected.push_back(static_cast<uint8_t>(c));
  for (uint8_t b : {0, 0, 0, 1, 0x12, 0x34, 0x56, 0x78, 0, 0, 0, 0}) expected.push_back(b);
  EXPECT_EQ(writer.buffer(), expected);

  device->reset();
  StateReader reader(writer.buffer());
  ASSERT_TRUE(vmstate_load(*device->vmstate(), device->vmstate_object(), reader, device->vmstate()->version));
  EXPECT_EQ(in(kData, 1), 'y');
}

}  // namespace
}  // namespace rhea
