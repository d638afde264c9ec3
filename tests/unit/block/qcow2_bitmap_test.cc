// Dirty bitmaps that an image keeps: F7's ground. What was written is marked across closing and opening, in
// every granularity, and a killed process leaves bitmaps that nobody believes.
#include "block/graph/bitmap_ops.h"
#include "tests/unit/block/qcow2_fixture.h"

namespace rhea {
namespace {

class Qcow2Bitmaps : public Qcow2Test {
 protected:
  void make(uint64_t cluster = 4096) {
    qcow2::CreateOptions o;
    o.virtual_bytes = 1 << 20;
    o.cluster_bytes = cluster;
    create("disk", o);
    attach("disk");
  }
  void reattach(const std::string& extra = {}) {
    detach();
    attach("disk", extra);
  }
  Result<> add(const std::string& name, uint64_t granularity, bool enabled) {
    Result<std::shared_ptr<DirtyBitmap>> made = run(co_make_bitmap(node(), name, granularity, true, enabled));
    if (!made) return Failure(std::move(made).error());
    node().add_bitmap(std::move(*made));
    return {};
  }
  Result<> remove(const std::string& name) {
    node().remove_bitmap(bitmap(name));
    return run(node().co_remove_stored_bitmap(name));
  }
  qcow2::Qcow2Node& node() { return *static_cast<qcow2::Qcow2Node*>(backend().node()); }
  DirtyBitmap& bitmap(const std::string& name) {
    DirtyBitmap* b = node().bitmaps().find(name);
    EXPECT_NE(b, nullptr) << name;
    return *b;
  }
};

TEST_F(Qcow2Bitmaps, F7_EveryGranularityKeepsWhatWasWritten) {
  make(512);
  for (uint64_t g = 512; g <= uint64_t{1} << 31; g <<= 1) ASSERT_TRUE(add("b" + std::to_string(g), g, true));
  ASSERT_TRUE(write(5000, std::string(700, 'a')));
  ASSERT_TRUE(run(backend().co_pwrite_zeroes({500000, 4096}, true)));
  reattach();
  for (uint64_t g = 512; g <= uint64_t{1} << 31; g <<= 1) {
    SCOPED_TRACE(g);
    DirtyBitmap& b = bitmap("b" + std::to_string(g));
    EXPECT_TRUE(b.enabled());
    EXPECT_FALSE(b.inconsistent());
    for (uint64_t at = 0; at < 1 << 20; at += 512) {
      const uint64_t first = at / g * g, end = first + g;
      const bool touched = (first < 5700 && end > 5000) || (first < 504096 && end > 500000);
      ASSERT_EQ(b.is_set(at), touched) << at;
    }
  }
  EXPECT_EQ(check().leaks, 0u);
}

TEST_F(Qcow2Bitmaps, F7_DisabledOnesRecordNothingAndRemovedOnesLeaveNothing) {
  make();
  ASSERT_TRUE(add("off", 65536, false));
  ASSERT_TRUE(add("gone", 512, true));
  ASSERT_TRUE(write(0, std::string(8192, 'a')));
  reattach();
  EXPECT_FALSE(bitmap("off").enabled());
  EXPECT_FALSE(bitmap("off").is_set(0));
  EXPECT_TRUE(bitmap("gone").is_set(0));
  bitmap("off").merge(bitmap("gone"));
  EXPECT_TRUE(bitmap("off").is_set(65535));
  EXPECT_FALSE(bitmap("off").is_set(65536));
  ASSERT_TRUE((remove("gone")));
  reattach();
  EXPECT_EQ(node().bitmaps().all().size(), 1u);
  EXPECT_TRUE(bitmap("off").is_set(0));
  bitmap("off").clear_all();
  ASSERT_TRUE((remove("off")));
  EXPECT_FALSE(image().header().bitmaps);
  EXPECT_EQ(image().header().autoclear & qcow2::kAutoclearBitmaps, 0u);
}

TEST_F(Qcow2Bitmaps, F7_AKilledProcessLeavesBitmapsNobodyBelieves) {
  make();
  ASSERT_TRUE(add("b", 4096, true));
  reattach();
  ASSERT_TRUE(write(8192, std::string(512, 'x')));
  ASSERT_TRUE(run(backend().co_flush()));
  std::ignore = std::system(("cp " + path("disk") + " " + path("left")).c_str());  // as a crash leaves it
  detach();
  attach("left");
  EXPECT_TRUE(bitmap("b").inconsistent());
  ASSERT_TRUE(write(0, std::string(512, 'x')));
  EXPECT_FALSE(bitmap("b").is_set(0));
  detach();
  attach("left");
  EXPECT_TRUE(bitmap("b").inconsistent()) << "closing in order does not make it true";
  EXPECT_EQ(run(backend().co_truncate(2 << 20)).error().message(),
            "Cannot resize an image with the inconsistent bitmap 'b'");
  ASSERT_TRUE((remove("b")));
}

TEST_F(Qcow2Bitmaps, AReaderLeavesThemAsTheyAre) {
  make();
  ASSERT_TRUE(add("b", 4096, true));
  ASSERT_TRUE(write(0, std::string(512, 'x')));
  detach();
  Result<NodeRef> reader =
      open(R"({"driver": "qcow2", "read-only": true, "file": {"driver": "file", "filename": ")" +
           path("disk") + R"("}})");
  ASSERT_TRUE(reader) << reader.error().message();
  const auto& all = (*reader)->bitmaps().all();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_TRUE(all[0]->is_set(0));
  EXPECT_FALSE(all[0]->inconsistent());
  reader->reset();
  reap();
  attach("disk");
  EXPECT_FALSE(bitmap("b").inconsistent());
}

TEST_F(Qcow2Bitmaps, SizesFollowTheDisk) {
  make(512);
  ASSERT_TRUE(add("b", 512, true));
  ASSERT_TRUE(run(backend().co_truncate(8 << 20)));
  ASSERT_TRUE(write((8 << 20) - 512, std::string(512, 'x')));
  reattach();
  EXPECT_TRUE(bitmap("b").is_set((8 << 20) - 512));
  EXPECT_FALSE(bitmap("b").is_set(1 << 20));
  ASSERT_TRUE(run(backend().co_truncate(1 << 20)));
  reattach();
  EXPECT_EQ(bitmap("b").bytes(), 1u << 20);
  EXPECT_FALSE(bitmap("b").is_set(0));
}

TEST_F(Qcow2Bitmaps, WhatCannotBeKeptIsRefused) {
  make();
  const std::string prefix = "Can't make bitmap '";
  EXPECT_EQ(add(std::string(1024, 'a'), 512, true).error().message(),
            prefix + std::string(1024, 'a') + "' persistent in '" + node().name() +
                "': Name length exceeds maximum (1023 characters)");
  EXPECT_EQ(run(node().co_check_new_bitmap("b", 256)).error().message(),
            prefix + "b' persistent in '" + node().name() + "': Granularity is under minimum (512 bytes)");
  ASSERT_TRUE(add("b", 512, true));
  EXPECT_EQ(add("b", 512, true).error().message(), "Bitmap already exists: b");
}

TEST_F(Qcow2Bitmaps, BentDirectoriesAreRefused) {
  make();
  ASSERT_TRUE(add("b", 4096, true));
  ASSERT_TRUE(write(0, std::string(512, 'x')));
  detach();
  attach("disk");
  const uint64_t directory = image().header().bitmaps->directory_offset;
  detach();
  std::string good;
  {
    std::ifstream in(path("disk"), std::ios::binary);
    good.assign(std::istreambuf_iterator<char>(in), {});
  }
  attach("disk");
  const uint64_t now = image().header().bitmaps->directory_offset;
  detach();
  std::ignore = directory;
  for (size_t at = 0; at < 24; ++at) {
    for (const int value : {0xff, 0x01}) {
      std::string bent = good;
      bent[now + at] = static_cast<char>(value);
      std::ofstream(path("bent"), std::ios::binary) << bent;
      Result<NodeRef> r =
          open(R"({"driver": "qcow2", "file": {"driver": "file", "filename": ")" + path("bent") + R"("}})");
      if (r) r->reset();  // refused or not: nothing else happens
      reap();
    }
  }
  attach("disk");
  EXPECT_TRUE(bitmap("b").is_set(0));
}

}  // namespace
}  // namespace rhea
