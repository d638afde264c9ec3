// blkdebug: which requests fail, which wait, and how rules are given.
#include "tests/unit/block/graph_fixture.h"

namespace rhea {
namespace {

constexpr PermPair kBlkdebugWriter{blk_perm::kConsistentRead | blk_perm::kWrite, blk_perm::kAll};
constexpr int kDone = -1;

class Blkdebug : public GraphTest {
 protected:
  std::string config(const std::string& text) {
    std::ofstream(dir + "/rules") << text;
    return dir + "/rules";
  }
  /// A raw node over rules over a file.
  void make(const std::string& rules_file, const std::string& options = {}) {
    const std::string image = make_file("image", 65536);
    const std::string json = str_cat(R"({"driver": "raw", "file.driver": "blkdebug", )",
                                     R"("file.image.driver": "file", "file.image.filename": ")", image,
                                     R"(", "file.config": ")", rules_file, "\"", options, "}");
    Result<NodeRef> r = open(json);
    ASSERT_TRUE(r) << r.error().message();
    node = *r;
    ASSERT_TRUE(insert(backend, *node));
  }
  std::string rule_error(const std::string& text) {
    return open_error("{}", str_cat("blkdebug:", config(text), ":", dir, "/image"));
  }
  static int outcome(const Result<>& r) { return r ? kDone : r.error().errnum(); }
  int read(uint64_t at = 0) { return outcome(run(backend.co_preadv({at, 512}, IoVector(buffer, 512)))); }
  int write(uint64_t at = 0) { return outcome(run(backend.co_pwritev({at, 512}, IoVector(buffer, 512)))); }
  int flush() { return outcome(run(backend.co_flush())); }

  char buffer[512] = {};
  NodeRef node;
  BlockBackend backend{graph, "b", kBlkdebugWriter};
};

TEST_F(Blkdebug, FailsAsOftenAsItIsTold) {
  make(config("# once\n[inject-error]\nevent = \"read_aio\"\nerrno = \"5\"\nonce = \"on\"\n"));
  EXPECT_EQ(read(), EIO);
  EXPECT_EQ(read(), kDone);
  EXPECT_EQ(read(), kDone);
}

TEST_F(Blkdebug, FailsWhereItIsTold) {
  make({}, R"(, "file.inject-error.0.event": "read_aio", "file.inject-error.0.sector": 3,
               "file.inject-error.0.errno": 28)");
  EXPECT_EQ(read(0), kDone);
  EXPECT_EQ(read(3 * 512), ENOSPC);
  EXPECT_EQ(read(4 * 512), kDone);
  EXPECT_EQ(read(3 * 512), ENOSPC);
}

TEST_F(Blkdebug, FailsRequestsOfAKind) {
  make({}, R"(, "file.inject-error.0.event": "none", "file.inject-error.0.iotype": "flush",
               "file.inject-error.0.immediately": true)");
  EXPECT_EQ(write(), kDone);
  EXPECT_EQ(read(), kDone);
  EXPECT_EQ(flush(), EIO);
}

TEST_F(Blkdebug, StatesOrderTheRules) {
  make(
      config("[inject-error]\nevent = \"write_aio\"\nerrno = \"28\"\nstate = \"2\"\n"
             "[set-state]\nevent = \"flush_to_disk\"\nstate = \"1\"\nnew_state = \"2\"\n"
             "[set-state]\nevent = \"flush_to_disk\"\nstate = \"2\"\nnew_state = \"3\"\n"));
  EXPECT_EQ(write(), kDone);
  EXPECT_EQ(flush(), kDone);
  EXPECT_EQ(write(), ENOSPC);
}

TEST_F(Blkdebug, ABreakpointHoldsARequestUntilItIsResumed) {
  make({});
  ASSERT_TRUE(node->debug_break("write_aio", "A"));
  int ended = 0;
  loop->make_current();
  co_start<void>(backend.co_pwritev({0, 512}, IoVector(buffer, 512)), [&](const Result<>& r) {
    EXPECT_TRUE(r);
    ++ended;
  });
  for (int i = 0; i < 16; ++i) loop->run_once(false);
  EXPECT_TRUE(node->debug_is_suspended("A"));
  EXPECT_EQ(ended, 0);
  EXPECT_EQ(read(512), kDone) << "others go on";
  EXPECT_FALSE(node->debug_resume("B"));
  ASSERT_TRUE(node->debug_resume("A"));
  while (ended == 0) loop->run_once(true);
  EXPECT_FALSE(node->debug_is_suspended("A"));
  EXPECT_FALSE(node->debug_remove_break("A")) << "it holds one request and no more";
  EXPECT_FALSE(node->debug_break("no such event", "A"));
}

TEST_F(Blkdebug, RefusesRulesThatMeanNothing) {
  make_file("image", 512);
  EXPECT_EQ(rule_error("[inject-error]\nevent = \"bogus\"\n"), "invalid parameter value: bogus");
  EXPECT_EQ(rule_error("[set-state]\nevent = \"read_aio\"\nfoo = \"1\"\n"), "Invalid parameter 'foo'");
  EXPECT_EQ(rule_error("[other]\nevent = \"read_aio\"\n"), "There is no option group 'other'");
  EXPECT_EQ(rule_error("[inject-error]\nerrno = \"5\"\n"), "Missing event name for rule");
  EXPECT_EQ(rule_error("[inject-error]\nevent = \"read_aio\"\niotype = \"x\"\n"),
            "invalid parameter value: x");
  EXPECT_EQ(rule_error("[set-state]\nevent = \"read_aio\"\nstate = \"x\"\n"),
            "Parameter 'state' expects a number");
  EXPECT_EQ(open_error("{}", str_cat("blkdebug:", dir, "/none:", dir, "/image")),
            "Could not read blkdebug config file: No such file or directory");
  EXPECT_EQ(open_error("{}", "blkdebug:image"), "blkdebug requires both config file and image path");
  const std::string image = make_file("image", 65536);
  EXPECT_EQ(open_error(R"({"driver": "raw", "file": {"image": {"detect-zeroes": "off"}}})",
                       str_cat("blkdebug:", config(""), ":", image)),
            "(success)")
      << "options for the image leave its name alone";
}

TEST_F(Blkdebug, RefusesLimitsThatDoNotFit) {
  const std::string path = make_file("image", 65536);
  auto error = [&](const char* limits) {
    return open_error(str_cat(R"({"driver": "blkdebug", "image.driver": "file", "image.filename": ")", path,
                              "\", ", limits, "}"));
  };
  EXPECT_EQ(error(R"("align": 3)"), "Cannot meet constraints with align 3");
  EXPECT_EQ(error(R"("align": 512, "max-transfer": 100)"), "Cannot meet constraints with max-transfer 100");
  EXPECT_EQ(error(R"("inject-error.1.event": "read_aio")"), "Unused option '1.event' for [inject-error]");
  EXPECT_EQ(error(R"("align": 4096, "max-transfer": 8192)"), "(success)");
}

}  // namespace
}  // namespace rhea
