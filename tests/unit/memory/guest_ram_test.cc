#include <gtest/gtest.h>

#include "memory/guest_ram.h"

namespace rhea {
namespace {

TEST(RamBlock, RefusesBadSizes) {
  EXPECT_FALSE(RamBlock::create("r", 0));
  EXPECT_FALSE(RamBlock::create("r", 4097));
  EXPECT_FALSE(RamBlock::create("r", UINT64_MAX & ~uint64_t{4095}));
  EXPECT_FALSE(RamBlock::create("r", uint64_t{1} << 62));
}

TEST(RamBlock, IsZeroAndAligned) {
  auto block = RamBlock::create("r", uint64_t{4} << 20).value();
  EXPECT_EQ(reinterpret_cast<uintptr_t>(block->host()) % (2 << 20), 0u);
  EXPECT_EQ(block->host()[block->size() - 1], 0);
}

TEST(RamBlock, TracksEachClientByItself) {
  auto block = RamBlock::create("r", 100 * kPageSize).value();
  block->mark_dirty(0, 1);
  EXPECT_FALSE(block->test_and_clear(DirtyClient::kDisplay, 0));
  block->set_tracking(DirtyClient::kDisplay, true);
  block->mark_dirty(99 * kPageSize + 5, 1);
  EXPECT_FALSE(block->test_and_clear(DirtyClient::kMigration, 99 * kPageSize));
  EXPECT_TRUE(block->test_and_clear(DirtyClient::kDisplay, 99 * kPageSize));
  EXPECT_FALSE(block->test_and_clear(DirtyClient::kDisplay, 99 * kPageSize));
  block->mark_dirty(0, 1);
  block->set_tracking(DirtyClient::kDisplay, false);
  EXPECT_FALSE(block->tracked());
  block->set_tracking(DirtyClient::kDisplay, true);  // starts clean
  EXPECT_FALSE(block->test_and_clear(DirtyClient::kDisplay, 0));
}

TEST(RamBlock, MarksStayInBounds) {
  auto block = RamBlock::create("r", 2 * kPageSize).value();
  block->set_tracking(DirtyClient::kMigration, true);
  block->mark_dirty(kPageSize, UINT64_MAX);
  block->mark_dirty(UINT64_MAX, UINT64_MAX);
  EXPECT_FALSE(block->test_and_clear(DirtyClient::kMigration, 0));
  EXPECT_TRUE(block->test_and_clear(DirtyClient::kMigration, kPageSize));
  EXPECT_FALSE(block->test_and_clear(DirtyClient::kMigration, 1000 * kPageSize));
}

TEST(RamBlock, TakesTheAcceleratorsLog) {
  auto block = RamBlock::create("r", 130 * kPageSize).value();
  block->set_tracking(DirtyClient::kMigration, true);
  std::array<uint64_t, 2> words = {1, uint64_t{1} << 63};
  block->mark_dirty_pages(2 * kPageSize, words);
  for (uint64_t page = 0; page < 130; ++page)
    EXPECT_EQ(block->test_and_clear(DirtyClient::kMigration, page * kPageSize), page == 2 || page == 129);
}

}  // namespace
}  // namespace rhea
