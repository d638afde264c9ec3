// Other options for an open image, machine state beside the disk, temporary overlays (S4.15, S4.16).
#include "block/graph/open.h"
#include "block/graph/reopen.h"
#include "tests/unit/block/qcow2_fixture.h"

namespace rhea {
namespace {

class Qcow2ReopenTest : public Qcow2Test {
 protected:
  void SetUp() override {
    qcow2::CreateOptions o;
    o.virtual_bytes = 1 << 20;
    o.cluster_bytes = 4096;
    create("disk", o);
    attach("disk");
  }
  Result<> reopen(const std::string& json, bool keep_old = true) {
    OptionTree options = OptionTree::from_json(Json::parse(json).value());
    std::vector<ReopenRequest> requests;
    requests.push_back({NodeRef(*backend().node()), std::move(options)});
    return run(co_reopen(graph, std::move(requests), keep_old));
  }
};

TEST_F(Qcow2ReopenTest, OptionsOfTheDriverChange) {
  ASSERT_TRUE(reopen(R"({"lazy-refcounts": true})"));
  EXPECT_TRUE(image().options().lazy_refcounts);
  ASSERT_TRUE(write(0, std::string(5000, 'x')));
  EXPECT_NE(image().header().incompatible & qcow2::kIncompatDirty, 0u);
  ASSERT_TRUE(reopen(R"({"lazy-refcounts": false, "l2-cache-entry-size": 512})"));
  EXPECT_EQ(image().header().incompatible & qcow2::kIncompatDirty, 0u);
  EXPECT_EQ(read(0, 5000).value(), std::string(5000, 'x'));
}

TEST_F(Qcow2ReopenTest, WhatIsNamedStaysWhereItIsOrGoesBack) {
  ASSERT_TRUE(reopen(R"({"pass-discard-other": true})"));
  ASSERT_TRUE(reopen(R"({"lazy-refcounts": true})"));
  EXPECT_TRUE(image().options().discard_other);
  ASSERT_TRUE(reopen(R"({"lazy-refcounts": true, "backing": null})", false));
  EXPECT_FALSE(image().options().discard_other);
}

TEST_F(Qcow2ReopenTest, SomeOptionsCannotChange) {
  const std::string before = graph.dump();
  for (const char* key : {"node-name", "driver"}) {
    const Result<> r = reopen(str_cat("{\"", key, "\": \"raw\"}"));
    ASSERT_FALSE(r);
    EXPECT_EQ(r.error().message(), str_cat("Cannot change the option '", key, "'"));
  }
  const Result<> name = reopen(R"({"file": {"filename": "/elsewhere"}})");
  ASSERT_FALSE(name);
  EXPECT_EQ(name.error().message(), "Cannot change the option 'filename'");
  EXPECT_FALSE(reopen(R"({"overlap-check": "blubb", "lazy-refcounts": true})"));
  EXPECT_FALSE(image().options().lazy_refcounts);
  EXPECT_EQ(graph.dump(), before);
}

TEST_F(Qcow2ReopenTest, ReadOnlyNeedsThatNobodyWrites) {
  EXPECT_FALSE(reopen(R"({"read-only": true})"));
  EXPECT_FALSE(backend().node()->read_only());
  ASSERT_TRUE(write(0, "still writable"));
}

TEST_F(Qcow2ReopenTest, MachineStateLiesBesideTheDisk) {
  ASSERT_TRUE(write(0, std::string(4096, 'd')));
  std::string state(10000, 's'), now(10000, '?');
  BlockDriverState& node = *backend().node();
  ASSERT_TRUE(run(node.co_save_vmstate(3 << 20, IoVector(state.data(), state.size()))));
  ASSERT_TRUE(run(node.co_load_vmstate(3 << 20, IoVector(now.data(), now.size()))));
  EXPECT_EQ(now, state);
  ASSERT_TRUE(run(node.co_load_vmstate(0, IoVector(now.data(), now.size()))));
  EXPECT_EQ(now, std::string(10000, '\0'));
  EXPECT_EQ(read(0, 4096).value(), std::string(4096, 'd'));
}

TEST_F(Qcow2ReopenTest, ATemporaryOverlayTakesTheWrites) {
  ASSERT_TRUE(write(0, std::string(4096, 'd')));
  detach();
  Result<NodeRef> base =
      open(R"({"driver": "qcow2", "read-only": true, "file": {"driver": "file", "filename": ")" +
           path("disk") + R"("}})");
  ASSERT_TRUE(base) << base.error().message();
  Result<NodeRef> top = run(co_open_temporary_overlay(graph, std::move(*base)));
  ASSERT_TRUE(top) << top.error().message();
  BlockBackend disk(graph, "", kAllOfIt);
  ASSERT_TRUE(insert(disk, **top));
  top->reset();
  std::string bytes(100, 'o'), now(200, '?');
  ASSERT_TRUE(run(disk.co_pwritev({0, 100}, IoVector(bytes.data(), 100))));
  ASSERT_TRUE(run(disk.co_preadv({0, 200}, IoVector(now.data(), 200))));
  EXPECT_EQ(now, std::string(100, 'o') + std::string(100, 'd'));
  EXPECT_NE(::access(path("disk").c_str(), F_OK), -1);
  ASSERT_TRUE(remove(disk));
  base->reset();
  reap();
  attach("disk");
  EXPECT_EQ(read(0, 4096).value(), std::string(4096, 'd'));
}

}  // namespace
}  // namespace rhea
