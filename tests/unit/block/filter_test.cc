// Filters: copy-on-read keeps what it reads, compress packs what it writes, blkverify compares.
#include <fstream>

#include "tests/unit/block/graph_fixture.h"

namespace rhea {
namespace {

constexpr PermPair kFilterWriter{blk_perm::kConsistentRead | blk_perm::kWrite, blk_perm::kAll};
constexpr uint64_t kFilterSize = 1 << 20;

class Filter : public GraphTest {
 protected:
  void create(const std::string& name, const std::string& backing = {}) {
    OptionTree options;
    options.set("size", kFilterSize);
    if (!backing.empty()) {
      options.set("backing_file", dir + "/" + backing);
      options.set("backing_fmt", "raw");
    }
    Result<> r = run(co_create_image_file(graph, "qcow2", dir + "/" + name, std::move(options)));
    ASSERT_TRUE(r) << r.error().message();
  }
  void use(Result<NodeRef> r) {
    ASSERT_TRUE(r) << r.error().message();
    node = *r;
    ASSERT_TRUE(insert(backend, *node));
  }
  void read(uint64_t at, size_t n) {
    in.assign(n, 'x');
    Result<> r = run(backend.co_preadv({at, n}, IoVector(in.data(), n)));
    ASSERT_TRUE(r) << r.error().message();
  }
  void write(uint64_t at, size_t n, char fill) {
    std::vector<char> out(n, fill);
    Result<> r = run(backend.co_pwritev({at, n}, IoVector(out.data(), n)));
    ASSERT_TRUE(r) << r.error().message();
  }
  /// Whether the image itself has the byte.
  bool has(BlockDriverState& image, uint64_t at) {
    Result<BlockStatus> s = run(image.co_block_status({at, 1}));
    EXPECT_TRUE(s);
    return s && s->allocated;
  }
  NodeRef node;
  BlockBackend backend{graph, "b", kFilterWriter};
  std::vector<char> in;
};

TEST_F(Filter, CopyOnReadKeepsWholeClustersOfWhatItRead) {
  make_file("base", kFilterSize);
  create("top", "base");
  use(open(str_cat(
      R"({"driver": "copy-on-read", "file": {"driver": "qcow2", "file": {"driver": "file", "filename": ")",
      dir, R"(/top"}}})")));
  BlockDriverState& top = node->file().node();
  EXPECT_FALSE(has(top, 70000));
  read(70000, 1000);
  EXPECT_EQ(in[0], static_cast<char>(70000 / 512));
  EXPECT_TRUE(has(top, 65536));
  EXPECT_TRUE(has(top, 131071));
  EXPECT_FALSE(has(top, 131072));
  // What was there before stays.
  write(200000, 100, 'w');
  read(196608, 65536);
  EXPECT_EQ(in[200000 - 196608], 'w');
  EXPECT_EQ(in[0], static_cast<char>(196608 / 512));
  read(0, kFilterSize);
  for (uint64_t at = 0; at < kFilterSize; at += 65536) EXPECT_TRUE(has(top, at)) << at;
  ASSERT_TRUE(remove(backend));
}

TEST_F(Filter, ADriveMayCopyOnRead) {
  make_file("base", kFilterSize);
  create("top", "base");
  OptionTree options;
  options.set("driver", "qcow2");
  OpenRequest request(std::move(options), dir + "/top");
  request.copy_on_read = true;
  use(run(co_open_node(graph, std::move(request))));
  read(0, 512);
  EXPECT_TRUE(has(*node, 0));
  EXPECT_FALSE(has(*node, 65536));
  ASSERT_TRUE(remove(backend));
  OptionTree read_only;
  read_only.set("driver", "qcow2");
  read_only.set("read-only", true);
  OpenRequest refused(std::move(read_only), dir + "/top");
  refused.copy_on_read = true;
  EXPECT_EQ(run(co_open_node(graph, std::move(refused))).error().message(),
            "Can't use copy-on-read on read-only device");
}

TEST_F(Filter, CopyOnReadStopsAtItsBottom) {
  make_file("base", kFilterSize);
  create("middle", "base");
  create("top", "middle");
  const std::string json = str_cat(
      R"({"driver": "copy-on-read", "bottom": "mid", "file": {"driver": "qcow2", "file": {"driver": "file", "filename": ")",
      dir, R"(/top"}, "backing": "mid"}})");
  EXPECT_EQ(
      open_error(str_cat(R"({"driver": "copy-on-read", "bottom": "nix", "file": {"driver": "null-co"}})")),
      "Bottom node 'nix' not found");
  Result<NodeRef> mid =
      open(str_cat(R"({"driver": "qcow2", "node-name": "mid", "file": {"driver": "file", "filename": ")", dir,
                   R"(/middle"}})"));
  ASSERT_TRUE(mid) << mid.error().message();
  {
    BlockBackend writer(graph, "w", kFilterWriter);
    ASSERT_TRUE(insert(writer, **mid));
    std::vector<char> data(65536, 'm');
    ASSERT_TRUE(run(writer.co_pwritev({65536, data.size()}, IoVector(data.data(), data.size()))));
    ASSERT_TRUE(remove(writer));
  }
  use(open(json));
  BlockDriverState& top = node->file().node();
  read(0, 3 * 65536);
  EXPECT_EQ(in[65536], 'm');
  EXPECT_EQ(in[2 * 65536], static_cast<char>(2 * 128));
  EXPECT_FALSE(has(top, 0));
  EXPECT_TRUE(has(top, 65536));
  EXPECT_FALSE(has(top, 131072));
  ASSERT_TRUE(remove(backend));
}

TEST_F(Filter, CompressWritesPackedClusters) {
  create("image");
  use(open(str_cat(
      R"({"driver": "compress", "file": {"driver": "qcow2", "file": {"driver": "file", "filename": ")", dir,
      R"(/image"}}})")));
  write(1000, 100000, 'c');
  read(0, 131072);
  EXPECT_EQ(in[999], 0);
  EXPECT_EQ(in[1000], 'c');
  EXPECT_EQ(in[100999], 'c');
  EXPECT_EQ(in[101000], 0);
  Result<BlockStatus> s = run(node->file().node().co_block_status({0, 131072}));
  ASSERT_TRUE(s);
  EXPECT_TRUE(s->compressed);
  ASSERT_TRUE(remove(backend));
  EXPECT_EQ(open_error(R"({"driver": "compress", "file": {"driver": "null-co"}})"),
            "Compression is not supported for underlying format: null-co");
}

TEST_F(Filter, BlkverifyEndsTheProcessWhereTheTwoDiffer) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");  // the pool's threads would not be in a fork
  make_file("raw", 65536);
  make_file("test", 65536);
  use(open(str_cat(R"({"driver": "blkverify", "raw": {"driver": "file", "filename": ")", dir,
                   R"(/raw"}, "test": {"driver": "file", "filename": ")", dir, R"(/test"}})")));
  write(512, 1024, 'v');
  read(0, 65536);
  EXPECT_EQ(in[512], 'v');
  {
    std::fstream raw(dir + "/raw", std::ios::in | std::ios::out | std::ios::binary);
    raw.seekp(700);
    raw.put('!');
  }
  EXPECT_EXIT(read(0, 4096), testing::ExitedWithCode(1),
              "blkverify: read offset=0 bytes=4096 contents mismatch at offset 700");
  ASSERT_TRUE(remove(backend));
  EXPECT_EQ(open_error("{}", "blkverify:x"), "blkverify requires raw copy and original image path");
}

}  // namespace
}  // namespace rhea
