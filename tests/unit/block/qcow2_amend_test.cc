// Changing images that hold something; the cache of table pieces without memory; parts of units that are zero
// anyway.
#include "block/drivers/qcow2/table_cache.h"
#include "block/graph/reopen.h"
#include "tests/unit/block/qcow2_fixture.h"

namespace rhea {
namespace {

class Qcow2Amend : public Qcow2Test {
 protected:
  std::string amend(std::initializer_list<std::pair<const char*, const char*>> options) {
    OptionTree tree;
    for (const auto& [key, value] : options) tree.set(key, value);
    Result<> r = run(backend().node()->co_amend(tree));
    return r ? "" : r.error().message();
  }
  void make(uint64_t cluster = 4096) {
    qcow2::CreateOptions o;
    o.virtual_bytes = 1 << 20;
    o.cluster_bytes = cluster;
    create("disk", o);
    attach("disk");
  }
  void reattach() {
    detach();
    attach("disk");
  }
};

TEST_F(Qcow2Amend, EveryRefcountWidthHoldsWhatIsThere) {
  make(512);
  ASSERT_TRUE(write(0, std::string(20000, 'a')));
  ASSERT_TRUE(write(700000, std::string(5000, 'b')));
  for (const char* bits : {"64", "1", "2", "32", "4", "8", "16"}) {
    SCOPED_TRACE(bits);
    EXPECT_EQ(amend({{"refcount_bits", bits}}), "");
    expect_clean();
    ASSERT_TRUE(write(300000 + 600 * static_cast<uint64_t>(std::atoi(bits)), std::string(600, 'c')));
    reattach();
    EXPECT_EQ(read(0, 20000).value(), std::string(20000, 'a'));
    EXPECT_EQ(read(700000, 5000).value(), std::string(5000, 'b'));
    EXPECT_EQ(uint64_t{1} << image().header().refcount_order, static_cast<uint64_t>(std::atoi(bits)));
  }
}

TEST_F(Qcow2Amend, ARefcountThatDoesNotFitIsNamed) {
  make();
  ASSERT_TRUE(write(0, std::string(4096, 'a')));
  ASSERT_TRUE(run(backend().node()->co_snapshot_create(ImageSnapshot{})));
  const std::string said = amend({{"refcount_bits", "1"}});
  EXPECT_TRUE(said.starts_with("Cannot decrease refcount entry width to 1 bits: Cluster at offset 0x"))
      << said;
  EXPECT_TRUE(said.ends_with(" has a refcount of 2")) << said;
  expect_clean();
}

TEST_F(Qcow2Amend, Version2HasNoZeroClusters) {
  make();
  ASSERT_TRUE(write(0, std::string(16384, 'a')));
  ASSERT_TRUE(run(backend().co_pwrite_zeroes({4096, 4096}, false)));
  ASSERT_TRUE(run(backend().node()->co_snapshot_create(ImageSnapshot{})));
  ASSERT_TRUE(run(backend().co_pwrite_zeroes({8192, 8192}, false)));
  ASSERT_TRUE(run(backend().co_pwrite_zeroes({100 * 4096, 4096}, true)));
  EXPECT_EQ(amend({{"compat", "0.10"}}), "");
  EXPECT_EQ(image().header().version, 2u);
  reattach();
  EXPECT_EQ(read(0, 16384).value(), std::string(4096, 'a') + std::string(12288, '\0'));
  ASSERT_TRUE(run(backend().node()->co_snapshot_apply("1")));
  EXPECT_EQ(read(0, 16384).value(),
            std::string(4096, 'a') + std::string(4096, '\0') + std::string(8192, 'a'));
  EXPECT_EQ(amend({{"compat", "1.1"}, {"lazy_refcounts", "on"}, {"size", "2097152"}}), "");
  reattach();
  EXPECT_EQ(image().header().virtual_bytes, 2u << 20);
  EXPECT_NE(image().header().compatible & qcow2::kCompatLazyRefcounts, 0u);
}

TEST_F(Qcow2Amend, WhatCannotBeIsRefused) {
  make();
  EXPECT_EQ(amend({{"compat", "0.42"}}), "Unknown compatibility level 0.42");
  EXPECT_EQ(
      amend({{"compat", "0.10"}, {"lazy_refcounts", "on"}}),
      "Lazy refcounts only supported with compatibility level 1.1 and above (use compat=1.1 or greater)");
  EXPECT_EQ(amend({{"backing_file", "x"}}), "Cannot amend the backing file");
  EXPECT_EQ(amend({{"data_file", "x"}}),
            "data-file can only be set for images that use an external data file");
  EXPECT_EQ(amend({{"data_file_raw", "on"}}), "data-file-raw cannot be set on existing images");
  EXPECT_EQ(amend({{"refcount_bits", "3"}}),
            "Refcount width must be a power of two and may not exceed 64 bits");
  EXPECT_EQ(amend({{"refcount_bits", "64"}}), "");
  EXPECT_EQ(amend({{"compat", "0.10"}}), "compat=0.10 requires refcount_bits=16");
}

/// A piece that is being written stays as it was, also where there is no memory for a copy.
TEST(Qcow2TableCache, WithoutMemoryWhatIsWrittenStaysAsItWas) {
  qcow2::TableCache cache;
  cache.configure(1 << 16, 512);
  auto data = std::make_shared<AlignedBuffer>();
  ASSERT_TRUE(data->allocate(512, 512));
  std::memset(data->data(), 1, 512);
  qcow2::TableSlice& slice = cache.insert(4096, std::move(data));
  ASSERT_TRUE(cache.reserve(slice));
  cache.change(slice)[0] = 2;
  const auto batch = cache.take_dirty();
  ASSERT_EQ(batch.size(), 1u);
  cache.allocate = [](AlignedBuffer&, uint32_t) { return false; };
  EXPECT_FALSE(cache.reserve(slice));
  EXPECT_FALSE(slice.dirty);
  EXPECT_EQ(batch[0].data->data(), slice.data->data());
  cache.written(batch, true);
}

TEST_F(Qcow2Amend, PartsOfAnEmptySubclusterBecomeZeroWithoutACluster) {
  qcow2::CreateOptions o;
  o.virtual_bytes = 1 << 20;
  o.extended_l2 = true;
  create("disk", o);
  attach("disk");
  ASSERT_TRUE(run(backend().co_pwrite_zeroes({1000, 5000}, false)));
  BlockStatus s = run(backend().co_block_status({0, 6144})).value();
  EXPECT_TRUE(s.zero && s.allocated && !s.data);
  EXPECT_EQ(s.bytes, 6144u);
  EXPECT_FALSE(s.offset_valid);
  ASSERT_TRUE(write(2048, std::string(512, 'x')));
  ASSERT_TRUE(run(backend().co_pwrite_zeroes({2560, 100}, false)));  // beside data: that stays
  EXPECT_EQ(read(2048, 512).value(), std::string(512, 'x'));
}

/// A raw node's window can be moved while it is open.
TEST_F(Qcow2Amend, RawWindowMoves) {
  make_file("raw", 8192);
  Result<NodeRef> node = open(
      R"({"driver": "raw", "node-name": "r", "offset": 512, "size": 1024, "file": {"driver": "file", "filename": ")" +
      path("raw") + R"("}})");
  ASSERT_TRUE(node);
  EXPECT_EQ((*node)->total_bytes(), 1024u);
  OptionTree other;
  other.set("driver", "raw");
  other.set("offset", uint64_t{1536});
  other.set("size", uint64_t{2048});
  std::vector<ReopenRequest> requests;
  requests.push_back({*node, std::move(other)});
  ASSERT_TRUE(run(co_reopen(graph, std::move(requests), true)));
  EXPECT_EQ((*node)->total_bytes(), 2048u);
  char byte = 0;
  ASSERT_TRUE(run((*node)->co_preadv({0, 1}, IoVector(&byte, 1))));
  EXPECT_EQ(byte, 3);
  OptionTree bad;
  bad.set("driver", "raw");
  bad.set("offset", uint64_t{9000});
  requests.clear();
  requests.push_back({*node, std::move(bad)});
  EXPECT_FALSE(run(co_reopen(graph, std::move(requests), true)));
  EXPECT_EQ((*node)->total_bytes(), 2048u);
}

}  // namespace
}  // namespace rhea
