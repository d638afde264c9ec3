#include <gtest/gtest.h>

#include "memory/memory.h"

namespace rhea {
namespace {

TEST(MemoryTree, PrintsTreesAliasesAndFlatViews) {
  auto root = MemoryRegion::container("system", MemoryRegion::kWholeSpace);
  auto ram = MemoryRegion::ram("pc.ram", RamBlock::create("pc.ram", 0x8000).value());
  auto low = MemoryRegion::alias("ram-below-4g", *ram, 0, 0x4000);
  auto high = MemoryRegion::alias("ram-above-4g", *ram, 0x4000, 0x4000);
  auto rom = MemoryRegion::rom("pc.bios", RamBlock::create("pc.bios", 0x1000).value());
  auto hidden = MemoryRegion::container("hidden", 1);
  root->add_subregion(uint64_t{1} << 32, *high);
  root->add_subregion(0, *low);
  root->add_subregion(0xfffff000, *rom, 1);
  root->add_subregion(0, *hidden);
  hidden->set_enabled(false);
  AddressSpace space("memory", *root);
  EXPECT_EQ(memory_tree_text(false),
            "address-space: memory\n"
            "  0000000000000000-ffffffffffffffff (prio 0, i/o): system\n"
            "    0000000000000000-0000000000003fff (prio 0, ram): alias ram-below-4g @pc.ram "
            "0000000000000000-0000000000003fff\n"
            "    00000000fffff000-00000000ffffffff (prio 1, rom): pc.bios\n"
            "    0000000100000000-0000000100003fff (prio 0, ram): alias ram-above-4g @pc.ram "
            "0000000000004000-0000000000007fff\n"
            "\n"
            "memory-region: pc.ram\n"
            "  0000000000000000-0000000000007fff (prio 0, ram): pc.ram\n"
            "\n");
  EXPECT_EQ(memory_tree_text(true),
            "FlatView #0\n"
            " AS \"memory\", root: system\n"
            " Root memory region: system\n"
            "  0000000000000000-0000000000003fff (prio 0, ram): pc.ram\n"
            "  00000000fffff000-00000000ffffffff (prio 1, rom): pc.bios\n"
            "  0000000100000000-0000000100003fff (prio 0, ram): pc.ram @0000000000004000\n"
            "\n");
}

}  // namespace
}  // namespace rhea
