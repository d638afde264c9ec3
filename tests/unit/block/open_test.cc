// Opening nodes: what works, the message of everything that does not, and that a failure leaves nothing
// behind.
#include "tests/unit/block/graph_fixture.h"

namespace rhea {
namespace {

class Open : public GraphTest {};

TEST_F(Open, RawOverFileReadsItsBytes) {
  const std::string path = make_file("a.img", 4096);
  Result<NodeRef> node =
      open(R"({"driver": "raw", "file": {"driver": "file", "filename": ")" + path + "\"}}");
  ASSERT_TRUE(node) << node.error().message();
  EXPECT_EQ((*node)->total_bytes(), 4096u);
  BlockBackend backend(graph, "", {blk_perm::kConsistentRead, blk_perm::kAll});
  Result<> inserted = insert(backend, **node);
  ASSERT_TRUE(inserted) << inserted.error().message();
  char byte[2] = {};
  Result<> read = run(backend.co_preadv({1023, 2}, IoVector(byte, 2)));
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(byte[0], 1);
  EXPECT_EQ(byte[1], 2);
}

}  // namespace
}  // namespace rhea
