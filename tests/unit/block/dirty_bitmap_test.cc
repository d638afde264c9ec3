// Dirty bitmaps in memory: ranges, runs, counting, merging, freezing, the stored form.
#include "block/graph/dirty_bitmap.h"

#include <gtest/gtest.h>

#include "tests/unit/block/graph_fixture.h"

namespace rhea {

namespace {

constexpr uint64_t kUnit = 65536;

std::shared_ptr<DirtyBitmap> make(uint64_t bytes, uint64_t granularity = kUnit) {
  return DirtyBitmap::create("b", bytes, granularity).value();
}

TEST(DirtyBitmap, WidensToWholeUnits) {
  auto b = make(10 * kUnit);
  b->set({kUnit + 1, kUnit});
  EXPECT_FALSE(b->is_set(0));
  EXPECT_TRUE(b->is_set(kUnit));
  EXPECT_TRUE(b->is_set(3 * kUnit - 1));
  EXPECT_FALSE(b->is_set(3 * kUnit));
  EXPECT_EQ(b->dirty_bytes(), 2 * kUnit);
  b->set({UINT64_MAX - 5, 4});  // behind the end
  b->set({9 * kUnit, UINT64_MAX});
  EXPECT_EQ(b->dirty_bytes(), 3 * kUnit);
}

TEST(DirtyBitmap, CountsTheLastUnitAsFarAsItIsInside) {
  auto b = make(kUnit + 512);
  b->set_all();
  EXPECT_EQ(b->dirty_bytes(), kUnit + 512);
  b->clear({kUnit, 1});
  EXPECT_EQ(b->dirty_bytes(), kUnit);
}

TEST(DirtyBitmap, FindsRunsAcrossWords) {
  auto b = make(1000 * kUnit);
  b->set({60 * kUnit, 100 * kUnit});
  EXPECT_EQ(b->next_dirty(0), 60 * kUnit);
  EXPECT_EQ(b->next_area(0, b->bytes()), (ByteRange{60 * kUnit, 100 * kUnit}));
  EXPECT_EQ(b->next_area(70 * kUnit + 5, b->bytes(), 1000), (ByteRange{70 * kUnit + 5, 1000}));
  EXPECT_EQ(b->next_area(0, 61 * kUnit), (ByteRange{60 * kUnit, kUnit}));
  EXPECT_FALSE(b->next_area(160 * kUnit, b->bytes()));
  EXPECT_FALSE(b->next_dirty(160 * kUnit));
}

TEST(DirtyBitmap, RefusesBadGranularities) {
  for (const uint64_t g : {uint64_t{0}, uint64_t{256}, uint64_t{1000}, uint64_t{1} << 32})
    EXPECT_EQ(DirtyBitmap::create("b", 1, g).error().message(),
              "Granularity must be power of 2 and at least 512");
}

TEST(DirtyBitmap, RecordsBesideWhileFrozen) {
  auto b = make(8 * kUnit);
  b->mark({0, 1});
  ASSERT_TRUE(b->freeze());
  b->mark({kUnit, 1});
  EXPECT_TRUE(b->busy());
  EXPECT_FALSE(b->is_set(kUnit));
  b->thaw(true);
  EXPECT_EQ(b->dirty_bytes(), 2 * kUnit);
  ASSERT_TRUE(b->freeze());
  b->mark({2 * kUnit, 1});
  b->thaw(false);
  EXPECT_EQ(b->dirty_bytes(), kUnit);
  EXPECT_TRUE(b->is_set(2 * kUnit));
  b->set_enabled(false);
  b->mark({0, 1});
  EXPECT_FALSE(b->is_set(0));
}

TEST(DirtyBitmap, MergesOtherGranularities) {
  auto a = make(16 * kUnit), b = make(16 * kUnit, 512);
  b->set({kUnit + 512, 1});
  b->set({15 * kUnit, kUnit});
  a->merge(*b);
  EXPECT_EQ(a->dirty_bytes(), 2 * kUnit);
}

TEST(DirtyBitmap, KeepsBitsWhenResized) {
  auto b = make(100 * kUnit);
  b->set_all();
  ASSERT_TRUE(b->resize(200 * kUnit));
  EXPECT_EQ(b->dirty_bytes(), 100 * kUnit);
  ASSERT_TRUE(b->resize(3 * kUnit));
  EXPECT_EQ(b->dirty_bytes(), 3 * kUnit);
  ASSERT_TRUE(b->resize(70 * kUnit));
  EXPECT_EQ(b->dirty_bytes(), 3 * kUnit);
}

TEST(DirtyBitmap, StoredFormComesBack) {
  auto a = make(77 * kUnit), b = make(77 * kUnit);
  a->set({3 * kUnit, kUnit});
  a->set({70 * kUnit, 7 * kUnit});
  std::vector<uint8_t> bytes(a->stored_bytes() + 3, 0xff);
  a->store(0, bytes);
  EXPECT_EQ(bytes[0], 8);
  EXPECT_EQ(bytes[9], 0x1f);
  EXPECT_EQ(bytes[10], 0);
  b->load(0, std::vector<uint8_t>(bytes.size(), 0xff));
  EXPECT_EQ(b->dirty_bytes(), 77 * kUnit);  // nothing behind the end counts
  b->load(0, bytes);
  EXPECT_EQ(b->dirty_bytes(), a->dirty_bytes());
  EXPECT_EQ(a->sha256(), b->sha256());
}

TEST(DirtyBitmap, HashIsThatOfTheBitsInWholeWords) {
  // What the field's own tests print for an empty bitmap of one word.
  EXPECT_EQ(make(512)->sha256(), "af5570f5a1810b7af78caf4bc70a660f0df51e42baf91d4de5b2328de0e83dfc");
}

class NodeBitmaps : public GraphTest {};

TEST_F(NodeBitmaps, RecordWritesZeroesAndDiscards) {
  Result<NodeRef> node = open(R"({"driver": "null-co", "size": 1048576, "discard": "unmap"})");
  ASSERT_TRUE(node);
  BlockBackend backend(graph, "", {blk_perm::kWrite, blk_perm::kAll});
  ASSERT_TRUE(insert(backend, **node));
  auto b = make(1048576);
  (*node)->add_bitmap(b);
  char byte = 1;
  ASSERT_TRUE(run(backend.co_pwritev({0, 1}, IoVector(&byte, 1))));
  ASSERT_TRUE(run(backend.co_pwrite_zeroes({2 * kUnit, 512}, false)));
  ASSERT_TRUE(run(backend.co_pdiscard({4 * kUnit, 512})));
  EXPECT_EQ(b->dirty_bytes(), 3 * kUnit);
  EXPECT_EQ((*node)->highest_written(), 4 * kUnit + 512);
  (*node)->remove_bitmap(*b);
  ASSERT_TRUE(run(backend.co_pwritev({8 * kUnit, 1}, IoVector(&byte, 1))));
  EXPECT_EQ(b->dirty_bytes(), 3 * kUnit);
}

TEST_F(NodeBitmaps, ThresholdIsReportedOnce) {
  Result<NodeRef> node = open(R"({"driver": "null-co", "size": 1048576})");
  ASSERT_TRUE(node);
  BlockBackend backend(graph, "", {blk_perm::kWrite, blk_perm::kAll});
  ASSERT_TRUE(insert(backend, **node));
  std::vector<std::pair<uint64_t, uint64_t>> told;
  graph.write_threshold_exceeded = [&](BlockDriverState&, uint64_t amount, uint64_t threshold) {
    told.emplace_back(amount, threshold);
  };
  (*node)->set_write_threshold(kUnit);
  char bytes[1024] = {};
  ASSERT_TRUE(run(backend.co_pwritev({kUnit - 1024, 1024}, IoVector(bytes, 1024))));
  EXPECT_TRUE(told.empty());
  for (int i = 0; i < 2; ++i)
    ASSERT_TRUE(run(backend.co_pwritev({kUnit - 512, 1024}, IoVector(bytes, 1024))));
  EXPECT_EQ(told, (std::vector<std::pair<uint64_t, uint64_t>>{{512, kUnit}}));
  EXPECT_EQ((*node)->write_threshold(), 0u);
}

}  // namespace

}  // namespace rhea
