// Items, files, the cursor, and DMA descriptors good and hostile.
#include "hw/nvram/fw_cfg_store.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace rhea {
namespace {

class Ram final : public FwCfgMemory {
 public:
  bool read(uint64_t address, std::span<uint8_t> out) override {
    if (!fits(address, out.size())) return false;
    std::copy_n(bytes.begin() + static_cast<long>(address), out.size(), out.begin());
    return true;
  }
  bool write(uint64_t address, std::span<const uint8_t> data) override {
    if (!fits(address, data.size())) return false;
    std::copy(data.begin(), data.end(), bytes.begin() + static_cast<long>(address));
    return true;
  }
  bool fits(uint64_t address, uint64_t size) const {
    return address <= bytes.size() && size <= bytes.size() - address;
  }
  void descriptor(uint64_t at, uint32_t control, uint32_t length, uint64_t address) {
    ByteBuffer b;
    b.be(control, 4).be(length, 4).be(address, 8);
    write(at, b.bytes());
  }
  uint32_t result(uint64_t at) const {
    return uint32_t{bytes[at]} << 24 | bytes[at + 1] << 16 | bytes[at + 2] << 8 | bytes[at + 3];
  }
  Bytes bytes = Bytes(0x10000, 0xee);
};

std::string read_text(FwCfgStore& s, uint16_t key, size_t count) {
  std::string out;
  s.select(key);
  for (size_t i = 0; i < count; i++) out += static_cast<char>(s.read_byte());
  return out;
}

class FwCfg : public testing::Test {
 protected:
  void SetUp() override {
    store.set(FwCfgKey::kSignature, {'Q', 'E', 'M', 'U'});
    store.set_u32(FwCfgKey::kFeatures, 3);
    ASSERT_TRUE(store.add_file("etc/b", {'b', 'b'}));
    ASSERT_TRUE(store.add_file("etc/a", {'a', 'a', 'a'}));
    ASSERT_TRUE(
        store.add_file("etc/w", Bytes(8, 'w'), {.writable = true, .after_write = [this] { writes++; }}));
  }
  FwCfgStore store;
  Ram ram;
  int writes = 0;
};

TEST_F(FwCfg, ItemsReadFromTheirStartAndEndInZeros) {
  EXPECT_EQ(read_text(store, 0, 6), std::string("QEMU\0\0", 6));
  EXPECT_EQ(read_text(store, 1, 4), std::string("\3\0\0\0", 4));
  EXPECT_EQ(read_text(store, 0, 2), "QE");
}

TEST_F(FwCfg, UnknownNumbersReadAsZeros) {
  EXPECT_EQ(read_text(store, 0x18, 1), std::string(1, '\0'));
  EXPECT_EQ(store.cursor().key, 0x18);
  EXPECT_EQ(read_text(store, 0x3ffe, 1), std::string(1, '\0'));
  EXPECT_EQ(store.cursor().key, 0xffff);
}

TEST_F(FwCfg, DirectoryListsFilesByName) {
  std::string d = read_text(store, 0x19, 4 + 3 * 64);
  EXPECT_EQ(d.substr(0, 4), std::string("\0\0\0\3", 4));
  EXPECT_EQ(d.substr(4, 13), std::string("\0\0\0\3\0\x20\0\0etc/a", 13));
  EXPECT_EQ(d.substr(68, 13), std::string("\0\0\0\2\0\x21\0\0etc/b", 13));
  EXPECT_EQ(read_text(store, 0x21, 2), "bb");
}

TEST_F(FwCfg, FileErrorsNameTheFile) {
  EXPECT_EQ(store.add_file("etc/a", {}).error().message(), "duplicate fw_cfg file name: etc/a");
  EXPECT_FALSE(store.add_file("", {}));
  EXPECT_FALSE(store.add_file(std::string(56, 'x'), {}));
  EXPECT_TRUE(store.add_file(std::string(55, 'x'), {}));
  EXPECT_FALSE(store.replace_file("etc/none", {}));
  FwCfgStore tiny(1);
  EXPECT_TRUE(tiny.add_file("a", {}));
  EXPECT_NE(tiny.add_file("b", {}).error().message().find("no fw_cfg file slot left"), std::string::npos);
}

TEST_F(FwCfg, SelectingAFileMayRebuildIt) {
  int builds = 0;
  ASSERT_TRUE(store.add_file("etc/lazy", {'0'}, {.before_select = [&] {
                               builds++;
                               std::ignore = store.replace_file("etc/lazy", {'1', '2'});
                             }}));
  EXPECT_EQ(builds, 0);
  EXPECT_EQ(read_text(store, 0x22, 2), "12");
  EXPECT_EQ(builds, 1);  // the directory's sizes are those of built files
  EXPECT_EQ(read_text(store, 0x19, 4 + 4 * 64).substr(4 + 2 * 64, 4), std::string("\0\0\0\2", 4));
}

TEST_F(FwCfg, SizesRoundUpToTheUnit) {
  ASSERT_TRUE(store.add_file("etc/lazy", {'0'}, {.unit = 16}));
  EXPECT_EQ(read_text(store, 0x19, 4 + 4 * 64).substr(4 + 2 * 64, 4), std::string("\0\0\0\x10", 4));
  EXPECT_EQ(read_text(store, 0x22, 18), "0" + std::string(17, '\0'));
  EXPECT_EQ(store.cursor().offset, 16u);
}

TEST_F(FwCfg, DmaReadsSelectedItemAndPadsWithZeros) {
  ram.descriptor(0x100, 0 << 16 | 0x0a, 6, 0x200);
  store.dma(ram, 0x100);
  EXPECT_EQ(ram.result(0x100), 0u);
  EXPECT_EQ(std::string(ram.bytes.begin() + 0x200, ram.bytes.begin() + 0x207),
            std::string("QEMU\0\0\xee", 7));
}

TEST_F(FwCfg, DmaSkipsAndContinues) {
  ram.descriptor(0x100, 0x0c, 2, 0);
  store.dma(ram, 0x100);
  ram.descriptor(0x100, 0x02, 2, 0x200);
  store.dma(ram, 0x100);
  EXPECT_EQ(std::string(ram.bytes.begin() + 0x200, ram.bytes.begin() + 0x202), "MU");
}

TEST_F(FwCfg, DmaWritesOnlyWhereAllowed) {
  ram.descriptor(0x100, 0x22u << 16 | 0x18, 8, 0x200);  // etc/w
  store.dma(ram, 0x100);
  EXPECT_EQ(ram.result(0x100), 0u);
  EXPECT_EQ(*store.file("etc/w"), Bytes(8, 0xee));
  EXPECT_EQ(writes, 1);
  ram.descriptor(0x100, 0x20u << 16 | 0x18, 3, 0x200);  // etc/a
  store.dma(ram, 0x100);
  EXPECT_EQ(ram.result(0x100), 1u);
  ram.descriptor(0x100, 0x22u << 16 | 0x18, 9, 0x200);  // one byte too many
  store.dma(ram, 0x100);
  EXPECT_EQ(ram.result(0x100), 1u);
  EXPECT_EQ(writes, 1);
}

TEST_F(FwCfg, DmaOutsideRamReportsAnError) {
  for (uint64_t address : {uint64_t{0xffff}, uint64_t{0x1'0000'0000}, ~uint64_t{0}, ~uint64_t{3}}) {
    ram.descriptor(0x100, 0x0a, 4, address);
    store.dma(ram, 0x100);
    EXPECT_EQ(ram.result(0x100), 1u) << address;
  }
}

TEST_F(FwCfg, HugeTransfersAreRefused) {
  ram.descriptor(0x100, 0x0a, 0xffff'ffff, 0x200);
  store.dma(ram, 0x100);
  EXPECT_EQ(ram.result(0x100), 1u);
  ram.descriptor(0x100, 0x22u << 16 | 0x18, 0xffff'ffff, 0);
  store.dma(ram, 0x100);
  EXPECT_EQ(ram.result(0x100), 1u);
}

TEST_F(FwCfg, DescriptorsOutsideRamAreIgnored) {
  Bytes before = ram.bytes;
  for (uint64_t at : {uint64_t{0xfff8}, uint64_t{0x10000}, ~uint64_t{0}, ~uint64_t{0} - 15})
    store.dma(ram, at);
  // A descriptor that begins in RAM but ends outside still gets its error where there is room for it.
  EXPECT_EQ(ram.result(0xfff8), 1u);
  ram.bytes[0xfff8] = ram.bytes[0xfff9] = ram.bytes[0xfffa] = ram.bytes[0xfffb] = 0xee;
  EXPECT_EQ(ram.bytes, before);
}

TEST_F(FwCfg, AnyCursorIsSafe) {
  store.set_cursor({0x20, 0xffff'ffff});
  EXPECT_EQ(store.read_byte(), 0);
  store.set_cursor({0xffff, 7});
  EXPECT_EQ(store.read_byte(), 0);
}

TEST_F(FwCfg, RandomDescriptorsNeverFault) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 20000; i++) {
    uint32_t control = static_cast<uint32_t>(random() % 0x24 << 16 | random() % 32);
    ram.descriptor(0x100, control, static_cast<uint32_t>(random() >> random() % 64),
                   random() >> random() % 64);
    store.dma(ram, 0x100);
    store.read_byte();
  }
}

}  // namespace
}  // namespace rhea
