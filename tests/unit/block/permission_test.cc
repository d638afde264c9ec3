// Permissions: conflicts name both users, and a change that fails changes nothing.
#include "tests/unit/block/graph_fixture.h"
#include "tests/unit/block/memory_node.h"

namespace rhea {
namespace {

using namespace blk_perm;
constexpr PermPair kPermissionReader{kConsistentRead, kAll};
constexpr PermPair kPermissionWriter{kConsistentRead | kWrite, kConsistentRead | kWriteUnchanged};

class Permissions : public GraphTest {
 protected:
  NodeRef must_open(const std::string& json) {
    Result<NodeRef> r = open(json);
    EXPECT_TRUE(r) << r.error().message();
    return r ? *r : NodeRef();
  }
};

TEST_F(Permissions, ConflictNamesBothUsers) {
  NodeRef node = must_open(R"({"driver": "null-co", "node-name": "r"})");
  BlockBackend a(graph, "", kPermissionWriter), b(graph, "", kPermissionWriter);
  BlockDevOps ops;
  ASSERT_TRUE(a.attach_device(&ops, "", "/machine/peripheral/v1/virtio-backend"));
  ASSERT_TRUE(b.attach_device(&ops, "v2", "/machine/peripheral/v2"));
  ASSERT_TRUE(insert(a, *node));
  reap();
  const std::string before = graph.dump();
  Result<> r = insert(b, *node);
  ASSERT_FALSE(r);
  EXPECT_EQ(
      r.error().message(),
      "Permission conflict on node 'r': permissions 'write' are both required by block device "
      "'/machine/peripheral/v1/virtio-backend' (uses node 'r' as 'root' child) and unshared by block device "
      "'v2' (uses node 'r' as 'root' child).");
  reap();
  EXPECT_EQ(graph.dump(), before);
  EXPECT_EQ(b.node(), nullptr);
}

TEST_F(Permissions, ConflictBelowANodeNamesTheNodes) {
  NodeRef f = must_open(R"({"driver": "null-co", "node-name": "f"})");
  NodeRef r1 = must_open(R"({"driver": "raw", "file": "f", "node-name": "r1"})");
  NodeRef r2 = must_open(R"({"driver": "raw", "file": "f", "node-name": "r2"})");
  BlockBackend a(graph, "a", kPermissionWriter), b(graph, "b", kPermissionWriter);
  ASSERT_TRUE(insert(a, *r1));
  reap();
  const std::string before = graph.dump();
  Result<> r = insert(b, *r2);
  ASSERT_FALSE(r);
  EXPECT_EQ(
      r.error().message(),
      "Permission conflict on node 'f': permissions 'write' are both required by node 'r1' (uses node 'f' as "
      "'file' child) and unshared by node 'r2' (uses node 'f' as 'file' child).");
  reap();
  EXPECT_EQ(graph.dump(), before);
}

TEST_F(Permissions, PassThroughAFilterAndAreGivenBack) {
  NodeRef f = must_open(R"({"driver": "null-co", "node-name": "f"})");
  NodeRef r = must_open(R"({"driver": "raw", "file": "f"})");
  {
    BlockBackend a(graph, "a", kPermissionWriter);
    ASSERT_TRUE(insert(a, *r));
    EXPECT_EQ(f->cumulative_perms(), kPermissionWriter);
  }
  reap();
  EXPECT_EQ(f->cumulative_perms(), PermPair{});
}

TEST_F(Permissions, WindowKeepsTheFileFromBeingResized) {
  NodeRef f = must_open(R"({"driver": "null-co", "node-name": "f"})");
  NodeRef r = must_open(R"({"driver": "raw", "file": "f", "size": 4096})");
  EXPECT_EQ(f->cumulative_perms().shared, kAll & ~kResize);
}

TEST_F(Permissions, ReadOnlyNodeTakesNoWriter) {
  NodeRef node = must_open(R"({"driver": "null-co", "read-only": true})");
  BlockBackend a(graph, "a", kPermissionWriter);
  Result<> r = insert(a, *node);
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().message(), "Block node is read-only");
}

TEST_F(Permissions, SettingThemKeepsTheOldOnesOnFailure) {
  NodeRef node = must_open(R"({"driver": "null-co", "node-name": "n"})");
  BlockBackend a(graph, "a", kPermissionReader), b(graph, "b", kPermissionWriter);
  ASSERT_TRUE(insert(a, *node));
  ASSERT_TRUE(insert(b, *node));
  EXPECT_FALSE(set_perm(a, {kConsistentRead | kWrite, kAll}));
  EXPECT_EQ(a.perms(), kPermissionReader);
  ASSERT_TRUE(set_perm(b, kPermissionReader));
  EXPECT_TRUE(set_perm(a, {kConsistentRead | kWrite, kAll}));
}

TEST_F(Permissions, EmptyBackendAppliesThemWhenAMediumComes) {
  NodeRef node = must_open(R"({"driver": "null-co"})");
  BlockBackend a(graph, "a", {});
  ASSERT_TRUE(set_perm(a, kPermissionWriter));
  EXPECT_EQ(node->cumulative_perms(), PermPair{});
  ASSERT_TRUE(insert(a, *node));
  EXPECT_EQ(node->cumulative_perms(), kPermissionWriter);
  ASSERT_TRUE(remove(a));
  EXPECT_EQ(node->cumulative_perms(), PermPair{});
}

TEST_F(Permissions, UnnamedUserIsSaidToBeUnnamed) {
  BlockBackend a(graph, "", kPermissionReader);
  NodeRef node = must_open(R"({"driver": "null-co"})");
  ASSERT_TRUE(insert(a, *node));
  EXPECT_EQ(node->parents()[0]->parent_description(), "an unnamed block device");
}

TEST_F(Permissions, NodeClosesWhenItsLastUserGoes) {
  BlockBackend a(graph, "a", kPermissionReader);
  {
    NodeRef node = must_open(R"({"driver": "raw", "node-name": "top", "file": {"driver": "null-co"}})");
    ASSERT_TRUE(insert(a, *node));
  }
  EXPECT_NE(graph.find_node("top"), nullptr);
  ASSERT_TRUE(remove(a));
  EXPECT_TRUE(graph.nodes().empty());
}

TEST_F(Permissions, BackendMayGoWhileAMediumIsPutIn) {
  const std::string path = make_file("image", 4096);
  NodeRef node = must_open(R"({"driver": "file", "filename": ")" + path + "\"}");
  auto insert_into = [](BlockGraph& g, BlockBackend& b, BlockDriverState& n) -> CoResult<> {
    GraphWriteLock lock = co_await or_return(co_await g.co_lock());
    co_return co_await b.co_insert(lock, n);
  };
  auto backend = std::make_unique<BlockBackend>(graph, "", kPermissionReader);
  std::string message;
  loop->make_current();
  co_start<void>(insert_into(graph, *backend, *node),
                 [&](Result<> r) { message = r ? "(success)" : r.error().message(); });
  EXPECT_EQ(message, "");  // the image locks are being taken on a pool thread
  backend.reset();
  while (message.empty()) loop->run_once(true);
  EXPECT_EQ(message, "The device is gone");
  reap();
  EXPECT_TRUE(node->parents().empty());
}

TEST_F(Permissions, DeviceIsTheOnlyOne) {
  BlockBackend a(graph, "a", kPermissionReader);
  BlockDevOps ops;
  ASSERT_TRUE(a.attach_device(&ops, "d", "/d"));
  EXPECT_EQ(a.attach_device(&ops, "e", "/e").error().errnum(), EBUSY);
  a.detach_device();
  EXPECT_TRUE(a.attach_device(&ops, "e", "/e"));
}

}  // namespace
}  // namespace rhea
