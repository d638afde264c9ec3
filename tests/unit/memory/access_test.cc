#include <gtest/gtest.h>

#include <thread>

#include "memory/memory.h"
#include "util/locks.h"

namespace rhea {
namespace {

/// Backed by bytes; writes down each access.
struct LogHandler final : MmioHandler {
  std::array<uint8_t, 64> bytes{};
  std::string log;
  bool lock_held = false;
  uint64_t mmio_read(uint64_t offset, unsigned size) override {
    lock_held = MachineLock::held();
    str_append(log, "r", offset, "/", size, " ");
    uint64_t v = 0;
    for (unsigned i = 0; i < size; ++i) v |= uint64_t{bytes.at(offset + i)} << i * 8;
    return v;
  }
  void mmio_write(uint64_t offset, uint64_t value, unsigned size) override {
    lock_held = MachineLock::held();
    str_append(log, "w", offset, "/", size, "=", hex(value), " ");
    for (unsigned i = 0; i < size; ++i) bytes.at(offset + i) = static_cast<uint8_t>(value >> i * 8);
  }
};

struct RuleCase {
  const char* name;
  AccessRules rules;
  uint64_t addr;
  unsigned size;
  const char* reads;   // accesses the handler gets for a load
  const char* writes;  // and for a store of 0x8877665544332211
};

class Rules : public testing::TestWithParam<RuleCase> {};

TEST_P(Rules, CutAccesses) {
  const RuleCase& c = GetParam();
  LogHandler handler;
  for (size_t i = 0; i < handler.bytes.size(); ++i) handler.bytes[i] = static_cast<uint8_t>(i);
  auto root = MemoryRegion::io("dev", 32, handler, c.rules);
  AddressSpace space("s", *root);
  uint64_t expected = 0;
  for (unsigned i = 0; i < c.size; ++i) expected |= (c.addr + i < 32 ? c.addr + i : 0xff) << i * 8;
  bool refused = std::string_view(c.reads).empty();
  EXPECT_EQ(space.load(c.addr, c.size), refused ? (uint64_t{1} << c.size * 8) - 1 : expected);
  EXPECT_EQ(handler.log, c.reads);
  handler.log.clear();
  space.store(c.addr, 0x8877665544332211, c.size);
  EXPECT_EQ(handler.log, c.writes);
}

INSTANTIATE_TEST_SUITE_P(Memory, Rules,
                         testing::ValuesIn(std::to_array<RuleCase>({
                             {"PlainDword", {}, 4, 4, "r4/4 ", "w4/4=44332211 "},
                             {"Qword", {}, 8, 8, "r8/8 ", "w8/8=8877665544332211 "},
                             {"UnalignedIsSplit", {}, 1, 4, "r1/1 r2/2 r4/1 ", "w1/1=11 w2/2=3322 w4/1=44 "},
                             {"UnalignedAllowed", {.unaligned = true}, 1, 4, "r1/4 ", "w1/4=44332211 "},
                             {"TooWideIsSplit", {.valid_max = 2}, 4, 4, "r4/2 r6/2 ", "w4/2=2211 w6/2=4433 "},
                             {"TooNarrowIsRefused", {.valid_min = 4}, 4, 2, "", ""},
                             {"ImplementedNarrower", {.impl_max = 1}, 2, 2, "r2/1 r3/1 ", "w2/1=11 w3/1=22 "},
                             {"ImplementedWider", {.impl_min = 4}, 5, 1, "r4/4 ", "r4/4 w4/4=7061104 "},
                             {"PastTheEnd", {}, 30, 4, "r30/2 ", "w30/2=2211 "},
                         })),
                         [](const auto& tested) { return tested.param.name; });

TEST(Access, UnassignedReadsAsOnes) {
  auto root = MemoryRegion::container("root", 0x1000);
  AddressSpace space("s", *root);
  uint32_t v = 0;
  EXPECT_EQ(space.read(0x10, &v, 4), MemResult::kUnassigned);
  EXPECT_EQ(v, 0xffff'ffffu);
  EXPECT_EQ(space.write(0x10, &v, 4), MemResult::kUnassigned);
  EXPECT_EQ(space.load(UINT64_MAX - 1, 8), UINT64_MAX);
}

TEST(Access, CopiesAcrossRamGapAndDevice) {
  LogHandler handler;
  auto root = MemoryRegion::container("root", 0x10000);
  auto ram = MemoryRegion::ram("ram", RamBlock::create("ram", 0x1000).value());
  auto dev = MemoryRegion::io("dev", 32, handler);
  root->add_subregion(0, *ram);
  root->add_subregion(0x1004, *dev);
  AddressSpace space("s", *root);
  std::vector<uint8_t> data(12, 0x5a);
  EXPECT_EQ(space.write(0xffc, data.data(), data.size()), MemResult::kUnassigned);
  EXPECT_EQ(ram->ram_block()->host()[0xfff], 0x5a);
  EXPECT_EQ(handler.log, "w0/4=5a5a5a5a ");
  std::vector<uint8_t> back(12);
  space.read(0xffc, back.data(), back.size());
  EXPECT_EQ(back,
            (std::vector<uint8_t>{0x5a, 0x5a, 0x5a, 0x5a, 0xff, 0xff, 0xff, 0xff, 0x5a, 0x5a, 0x5a, 0x5a}));
}

TEST(Access, ADeviceTakesTheWholeAccessWhereAnotherCoversItsNextByte) {
  LogHandler wide, inner;
  auto root = MemoryRegion::container("root", 0x10000);
  auto address = MemoryRegion::io("address", 4, wide), reset = MemoryRegion::io("reset", 1, inner);
  root->add_subregion(0xcf8, *address);
  root->add_subregion(0xcf9, *reset, 1);
  AddressSpace space("s", *root);
  space.store(0xcf8, 0x80000004, 4);
  EXPECT_EQ(wide.log, "w0/4=80000004 ");
  EXPECT_EQ(space.load(0xcf8, 4), 0x80000004u);
  EXPECT_EQ(inner.log, "");
  space.store(0xcf9, 2, 1);
  EXPECT_EQ(inner.log, "w0/1=2 ");
}

TEST(Access, RomDropsWritesOrHandsThemOn) {
  LogHandler handler;
  auto root = MemoryRegion::container("root", 0x10000);
  auto rom = MemoryRegion::rom("rom", RamBlock::create("rom", 0x1000).value());
  auto flash = MemoryRegion::rom("flash", RamBlock::create("flash", 0x1000).value(), &handler);
  rom->ram_block()->host()[4] = 9;
  root->add_subregion(0, *rom);
  root->add_subregion(0x1000, *flash);
  AddressSpace space("s", *root);
  EXPECT_EQ(space.load(4, 1), 9u);
  uint8_t v = 1;
  EXPECT_EQ(space.write(4, &v, 1), MemResult::kRefused);
  EXPECT_EQ(space.load(4, 1), 9u);
  EXPECT_EQ(space.write(0x1008, &v, 1), MemResult::kOk);
  EXPECT_EQ(handler.log, "w8/1=1 ");
  EXPECT_EQ(space.map(4, 100, true).host, nullptr);
  EXPECT_EQ(space.map(4, 100, false).bytes, 100u);
  EXPECT_EQ(space.map(0xff0, 100, false).bytes, 16u);
}

TEST(Access, ReadonlyAliasRefusesWrites) {
  auto root = MemoryRegion::container("root", 0x10000);
  auto ram = MemoryRegion::ram("ram", RamBlock::create("ram", 0x1000).value());
  auto shadow = MemoryRegion::alias("shadow", *ram, 0, 0x1000);
  root->add_subregion(0, *shadow);
  AddressSpace space("s", *root);
  shadow->set_readonly(true);
  space.store(0, 5, 4);
  EXPECT_EQ(space.load(0, 4), 0u);
  shadow->set_readonly(false);
  space.store(0, 5, 4);
  EXPECT_EQ(space.load(0, 4), 5u);
}

TEST(Access, WritesMarkTrackedPages) {
  auto ram = MemoryRegion::ram("ram", RamBlock::create("ram", 0x4000).value());
  AddressSpace space("s", *ram);
  ram->ram_block()->set_tracking(DirtyClient::kMigration, true);
  space.store(0x1ffc, 1, 8);
  for (uint64_t page = 0; page < 4; ++page)
    EXPECT_EQ(ram->ram_block()->test_and_clear(DirtyClient::kMigration, page * kPageSize),
              page == 1 || page == 2);
}

TEST(Access, TakesTheMachineLockUnlessHeldOrNotNeeded) {
  LogHandler handler;
  auto locked = MemoryRegion::io("locked", 32, handler);
  auto free = MemoryRegion::io("free", 32, handler, {.lockless = true});
  AddressSpace a("a", *locked), b("b", *free);
  a.load(0, 1);
  EXPECT_TRUE(handler.lock_held);
  EXPECT_FALSE(MachineLock::held());
  b.load(0, 1);
  EXPECT_FALSE(handler.lock_held);
  MachineGuard guard(machine_lock());
  a.load(0, 1);
  EXPECT_TRUE(handler.lock_held);
  EXPECT_TRUE(MachineLock::held());
}

TEST(Access, AHandlerMayRemoveItsOwnRegion) {
  struct Suicidal final : MmioHandler {
    std::unique_ptr<MemoryRegion> region;
    uint64_t mmio_read(uint64_t, unsigned) override { return 0; }
    void mmio_write(uint64_t, uint64_t, unsigned) override { region.reset(); }
  } handler;
  auto root = MemoryRegion::container("root", 0x1000);
  handler.region = MemoryRegion::io("r", 8, handler, {.valid_max = 1});
  root->add_subregion(0, *handler.region);
  AddressSpace space("s", *root);
  space.store(0, 0, 4);  // the first byte takes it away, the others find nothing
  EXPECT_EQ(space.load(0, 4), 0xffff'ffffu);
}

TEST(Access, ReadersOnOtherThreadsSurviveTopologyChanges) {
  auto root = MemoryRegion::container("root", 0x10000);
  auto base = MemoryRegion::ram("base", RamBlock::create("base", 0x1000).value());
  root->add_subregion(0, *base);
  AddressSpace space("s", *root);
  std::atomic<bool> stop{false};
  std::thread reader([&] {
    while (!stop) space.load(0x800, 4);
  });
  for (int i = 0; i < 300; ++i) {
    MachineGuard guard(machine_lock());
    auto over = MemoryRegion::ram("over", RamBlock::create("over", 0x1000).value());
    root->add_subregion(0, *over, 1);
    over->set_readonly(true);
  }
  stop = true;
  reader.join();
}

}  // namespace
}  // namespace rhea
