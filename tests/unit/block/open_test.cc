// Opening nodes: what works, the message of everything that does not, and that a failure leaves nothing
// behind.
#include <unistd.h>

#include "block/graph/options.h"
#include "tests/unit/block/graph_fixture.h"
#include "tests/unit/block/memory_node.h"

namespace rhea {
namespace {

class Open : public GraphTest {
 protected:
  Open() {
    graph.register_driver(kMemoryDriver);
    path = make_file("a.img", 4096);
  }
  std::string file(const std::string& more = {}) {
    return R"({"driver": "file", "filename": ")" + path + "\"" + (more.empty() ? "" : ", " + more) + "}";
  }
  std::string path;
  NodeRef winner;
};

TEST_F(Open, RawOverFileReadsItsBytes) {
  Result<NodeRef> node = open(R"({"driver": "raw", "file": )" + file() + "}");
  ASSERT_TRUE(node) << node.error().message();
  EXPECT_EQ((*node)->total_bytes(), 4096u);
  EXPECT_EQ((*node)->filename(), path);
  BlockBackend backend(graph, "", {blk_perm::kConsistentRead, blk_perm::kAll});
  Result<> inserted = insert(backend, **node);
  ASSERT_TRUE(inserted) << inserted.error().message();
  char byte[2] = {};
  Result<> read = run(backend.co_preadv({1023, 2}, IoVector(byte, 2)));
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(byte[0], 1);
  EXPECT_EQ(byte[1], 2);
}

TEST_F(Open, SizesAreWholeSectors) {
  Result<NodeRef> node =
      open(R"({"driver": "raw", "file": {"driver": "file", "filename": ")" + make_file("odd", 1000) + "\"}}");
  ASSERT_TRUE(node);
  EXPECT_EQ((*node)->total_bytes(), 1024u);
}

TEST_F(Open, RawShowsAWindow) {
  Result<NodeRef> node = open(R"({"driver": "raw", "offset": 1024, "size": 512, "file": )" + file() + "}");
  ASSERT_TRUE(node) << node.error().message();
  EXPECT_EQ((*node)->total_bytes(), 512u);
  EXPECT_EQ(
      (*node)->filename(),
      R"(json:{"driver": "raw", "offset": 1024, "size": 512, "file": {"driver": "file", "filename": ")" +
          path + "\"}}");
  char byte = 0;
  BlockBackend backend(graph, "", {blk_perm::kConsistentRead, blk_perm::kAll});
  ASSERT_TRUE(insert(backend, **node));
  ASSERT_TRUE(run(backend.co_preadv({0, 1}, IoVector(&byte, 1))));
  EXPECT_EQ(byte, 2);
  EXPECT_EQ(run(backend.co_preadv({512, 1}, IoVector(&byte, 1))).error().errnum(), EIO);
}

TEST_F(Open, EveryErrorHasItsText) {
  const std::string f = file();
  const std::string missing = dir + "/missing";
  Result<NodeRef> first = open(R"({"driver": "null-co", "node-name": "taken"})");
  ASSERT_TRUE(first);
  BlockBackend drive(graph, "drive0", {});
  struct Case {
    std::string options, filename, message;
  };
  const Case cases[] = {
      {R"({"driver": "nodriver"})", "", "Unknown driver 'nodriver'"},
      {"{}", "", "Must specify either driver or file"},
      {R"({"foo": 1})", "", "Must specify either driver or file"},
      {R"({"driver": "raw"})", "", "A block device must be specified for \"file\""},
      {R"({"driver": "raw", "file": "nono"})", "", "Cannot find device='nono' nor node-name='nono'"},
      {R"({"driver": "raw", "file": "taken", "file.size": 1})", "",
       "Cannot reference an existing block device with additional options or a new filename"},
      {R"({"driver": "raw", "file": "taken"})", path,
       "Cannot reference an existing block device with additional options or a new filename"},
      {R"({"driver": "raw", "file.filename": "x"})", path,
       "Can't specify 'file' and 'filename' options at the same time"},
      {R"({"driver": "file", "filename": "x"})", path,
       "Can't specify 'file' and 'filename' options at the same time"},
      {R"({"driver": "raw", "file": {"size": 5}})", "", "Must specify either driver or file"},
      {"{}", "nosuchproto:abc", "Unknown protocol 'nosuchproto'"},
      {"{}", "json:{\"driver\":\"raw\"", "Could not parse the JSON options: JSON parse error, premature EOI"},
      {"{}", "json:[1]", "Invalid JSON object given"},
      {R"({"driver": "file", "filename": ")" + missing + "\"}", "",
       "Could not open '" + missing + "': No such file or directory"},
      {R"({"driver": "raw"})", missing, "Could not open '" + missing + "': No such file or directory"},
      {R"({"driver": "file"})", "", "The 'file' block driver requires a file name"},
      {R"({"driver": "file", "filename": ""})", "", "The 'file' block driver requires a file name"},
      {R"({"driver": "file", "filename": ")" + dir + "\"}", "",
       "Could not open '" + dir + "': Is a directory"},
      {R"({"driver": "file", "filename": "/dev/null"})", "",
       "'file' driver requires '/dev/null' to be a regular file"},
      {R"({"driver": "host_device", "filename": ")" + path + "\"}", "",
       "'host_device' driver requires '" + path + "' to be either a character or block device"},
      {R"({"driver": "file", "filename": "/dev/fdset/3"})", "",
       "Could not open '/dev/fdset/3': No such file or directory"},
      {R"({"driver": "file", "filename": ")" + path + R"(", "aio": "native"})", "",
       "aio=native was specified, but it requires cache.direct=on, which was not specified."},
      {R"({"driver": "file", "filename": ")" + path + R"(", "aio": "zzz"})", "",
       "Parameter 'aio' does not accept value 'zzz'"},
      {R"({"driver": "raw", "force-share": true, "file": )" + f + "}", "",
       "force-share=on can only be used with read-only images"},
      {R"({"driver": "raw", "discard": "bad", "file": )" + f + "}", "", "Invalid discard option"},
      {R"({"driver": "raw", "detect-zeroes": "bad", "file": )" + f + "}", "", "invalid parameter value: bad"},
      {R"({"driver": "raw", "detect-zeroes": "unmap", "file": )" + f + "}", "",
       "setting detect-zeroes to unmap is not allowed without setting discard operation to unmap"},
      {R"({"driver": "raw", "read-only": "maybe", "file": )" + f + "}", "",
       "Parameter 'read-only' expects 'on' or 'off'"},
      {R"({"driver": "raw", "node-name": "1x", "file": )" + f + "}", "", "Invalid node-name: '1x'"},
      {R"({"driver": "raw", "node-name": "drive0", "file": )" + f + "}", "",
       "node-name=drive0 is conflicting with a device id"},
      {R"({"driver": "raw", "node-name": "taken", "file": )" + f + "}", "",
       "Duplicate nodes with node-name='taken'"},
      {R"({"driver": "raw", "node-name": "n23456789012345678901234567890123", "file": )" + f + "}", "",
       "Node name too long"},
      {R"({"driver": "raw", "foo": 1, "file": )" + f + "}", "",
       "Block format 'raw' does not support the option 'foo'"},
      {R"({"driver": "raw", "file": )" + file(R"("foo": 1)") + "}", "",
       "Block protocol 'file' doesn't support the option 'foo'"},
      {R"({"driver": "raw", "backing": "taken", "file": )" + f + "}", "",
       "Driver doesn't support backing files"},
      {R"({"driver": "raw", "backing": {"driver": "null-co"}, "file": )" + f + "}", "",
       "Driver doesn't support backing files"},
      {R"({"driver": "raw", "size": 1000, "file": )" + f + "}", "", "Specified size is not multiple of 512"},
      {R"({"driver": "raw", "offset": 99999, "file": )" + f + "}", "",
       "Offset (99999) cannot be greater than size of the containing file (4096)"},
      {R"({"driver": "raw", "offset": 512, "size": 4096, "file": )" + f + "}", "",
       "The sum of offset (512) and size (4096) has to be smaller or equal to the  actual size of the "
       "containing "
       "file (4096)"},
      {R"({"driver": "null-co", "latency-ns": -1})", "", "latency-ns is invalid"},
      {R"({"driver": "null-co", "size": -1})", "",
       "Parameter 'size' expects a non-negative number below 2^64"},
      {R"({"driver": "null-co", "size": 9223372036854775807})", "",
       "Could not refresh total sector count: File too large"},
      {R"({"driver": "memory", "fail-length": true})", "",
       "Could not refresh total sector count: Input/output error"},
      {R"({"driver": "memory", "align": 3})", "",
       "Driver 'memory' asks for an alignment that is no power of two"},
      {"{}", "null-co://x", "The only allowed filename for this driver is 'null-co://'"},
  };
  reap();
  const std::string before = graph.dump();
  for (const Case& c : cases) {
    EXPECT_EQ(open_error(c.options, c.filename), c.message) << c.options << " " << c.filename;
    EXPECT_EQ(graph.dump(), before) << c.options << " " << c.filename;
  }
}

TEST_F(Open, FailureClosesWhatWasOpened) {
  auto open_files = [] {
    size_t n = 0;
    for (int fd = 0; fd < 256; ++fd) n += ::lseek(fd, 0, SEEK_CUR) >= 0 ? 1 : 0;
    return n;
  };
  const size_t before = open_files();
  EXPECT_NE(open_error(R"({"driver": "raw", "foo": 1, "file": )" + file() + "}"), "(success)");
  EXPECT_EQ(open_files(), before);
}

TEST_F(Open, StringFormAndTypedFormGiveTheSameNode) {
  struct Pair {
    std::string typed, text;
  };
  const Pair pairs[] = {
      {R"({"driver": "null-co", "size": 4096, "read-zeroes": true, "latency-ns": 7})",
       R"({"driver": "null-co", "size": "4k", "read-zeroes": "on", "latency-ns": "7"})"},
      {R"({"driver": "raw", "read-only": true, "cache": {"direct": false, "no-flush": true}, "file": )" +
           file() + "}",
       R"({"driver": "raw", "read-only": "on", "cache.direct": "off", "cache.no-flush": "on", "file.driver": "file",
           "file.filename": ")" +
           path + "\"}"},
      {R"({"driver": "raw", "offset": 512, "size": 1024, "discard": "unmap", "detect-zeroes": "unmap", "file": )" +
           file() + "}",
       R"({"driver": "raw", "offset": "512", "size": "1k", "discard": "unmap", "detect-zeroes": "unmap",
           "file.driver": "file", "file.filename": ")" +
           path + "\"}"},
      {R"({"driver": "raw", "auto-read-only": true, "file": )" + file() + "}",
       R"({"driver": "raw", "auto-read-only": "on", "file.driver": "file", "file.filename": ")" + path +
           "\"}"},
  };
  for (const Pair& p : pairs) {
    Result<NodeRef> a = open(p.typed), b = open(p.text);
    ASSERT_TRUE(a) << a.error().message();
    ASSERT_TRUE(b) << b.error().message();
    auto same = [&](const BlockDriverState& x, const BlockDriverState& y) {
      EXPECT_EQ(x.total_bytes(), y.total_bytes()) << p.text;
      EXPECT_EQ(&x.driver(), &y.driver());
      EXPECT_EQ(x.read_only(), y.read_only());
      EXPECT_EQ(x.flags().auto_read_only, y.flags().auto_read_only);
      EXPECT_EQ(x.flags().direct, y.flags().direct);
      EXPECT_EQ(x.flags().no_flush, y.flags().no_flush);
      EXPECT_EQ(x.flags().unmap, y.flags().unmap);
      EXPECT_EQ(x.flags().detect_zeroes, y.flags().detect_zeroes);
    };
    same(**a, **b);
    if ((*a)->file()) same((*a)->file().node(), (*b)->file().node());
  }
}

TEST_F(Open, ChildrenInheritAndEachOptionKnowsItsOrigin) {
  Result<NodeRef> node =
      open(R"({"driver": "raw", "read-only": true, "cache": {"no-flush": true}, "file": )" +
           file(R"("cache": {"no-flush": false})") + "}");
  ASSERT_TRUE(node) << node.error().message();
  const BlockDriverState& child = (*node)->file().node();
  EXPECT_TRUE(child.read_only());
  EXPECT_FALSE(child.flags().no_flush);
  EXPECT_TRUE(child.flags().unmap);
  EXPECT_FALSE((*node)->flags().unmap);
  EXPECT_EQ(child.effective_options().origin("read-only"), OptionOrigin::kInherited);
  EXPECT_EQ(child.effective_options().origin("cache.no-flush"), OptionOrigin::kExplicit);
  EXPECT_EQ(child.effective_options().origin("discard"), OptionOrigin::kDefault);
}

TEST_F(Open, JsonNameCountsBelowDirectOptions) {
  Result<NodeRef> node = open(R"({"read-only": false})",
                              "json:{\"driver\": \"raw\", \"read-only\": true, \"file\": " + file() + "}");
  ASSERT_TRUE(node) << node.error().message();
  EXPECT_FALSE((*node)->read_only());
  EXPECT_EQ((*node)->effective_options().origin("driver"), OptionOrigin::kJsonFilename);
}

TEST_F(Open, NamesFromInsideAnImageAreNotParsed) {
  OpenRequest request({}, "json:{\"driver\": \"null-co\"}");
  request.user_supplied_name = false;
  Result<NodeRef> node = run(co_open_node(graph, std::move(request)));
  ASSERT_FALSE(node);
  EXPECT_EQ(node.error().message(),
            "Could not open 'json:{\"driver\": \"null-co\"}': No such file or directory");
}

TEST_F(Open, FilePrefixIsPartOfANameNotOfAnOption) {
  EXPECT_EQ(open_error(R"({"driver": "raw"})", "file:" + path), "(success)");
  EXPECT_EQ(open_error(R"({"driver": "file", "filename": "file:)" + path + "\"}"),
            "Could not open 'file:" + path + "': No such file or directory");
}

TEST_F(Open, ProbingFallsBackToRawWithAWarning) {
  testing::internal::CaptureStderr();
  Result<NodeRef> node = open("{}", path);
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "WARNING: Image format was not specified for '" + path +
                "' and probing guessed raw.\n"
                "         Automatically detecting the format is dangerous for raw images, write operations "
                "on block 0 "
                "will be restricted.\n"
                "         Specify the 'raw' format explicitly to remove the restrictions.\n");
  ASSERT_TRUE(node) << node.error().message();
  EXPECT_EQ((*node)->driver().name, "raw");

  BlockBackend backend(graph, "", {blk_perm::kConsistentRead | blk_perm::kWrite, blk_perm::kAll});
  ASSERT_TRUE(insert(backend, **node));
  char header[] = "QFI\xfb";
  Result<> write = run(backend.co_pwritev({0, 4}, IoVector(header, 4)));
  ASSERT_FALSE(write);
  EXPECT_EQ(write.error().errnum(), EPERM);
  EXPECT_TRUE(run(backend.co_pwritev({512, 4}, IoVector(header, 4))));
  char harmless[] = "boot";
  EXPECT_TRUE(run(backend.co_pwritev({0, 4}, IoVector(harmless, 4))));
}

TEST_F(Open, ProbingAReadOnlyImageNeedsNoWarning) {
  testing::internal::CaptureStderr();
  Result<NodeRef> node = open(R"({"read-only": true})", path);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  ASSERT_TRUE(node) << node.error().message();
  EXPECT_EQ((*node)->driver().name, "raw");
}

TEST_F(Open, ProbingRefusesAFormatItCannotRead) {
  const std::string image = make_file("q", 1024);
  std::ofstream(image, std::ios::binary | std::ios::in) << "QFI\xfb";
  EXPECT_EQ(open_error("{}", image), "Could not determine image format: No compatible driver found");
}

TEST_F(Open, EmptyImageIsRawWithoutAWarning) {
  testing::internal::CaptureStderr();
  EXPECT_EQ(open_error("{}", make_file("empty", 0)), "(success)");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST_F(Open, EmptyBackingIsDeprecatedAndNullIsNot) {
  testing::internal::CaptureStderr();
  EXPECT_EQ(open_error(R"({"driver": "raw", "backing": "", "file": )" + file() + "}"), "(success)");
  EXPECT_NE(testing::internal::GetCapturedStderr().find(
                "Use of \"backing\": \"\" is deprecated; use \"backing\": null instead"),
            std::string::npos);
  EXPECT_EQ(open_error(R"({"driver": "raw", "backing": null, "file": )" + file() + "}"), "(success)");
}

TEST_F(Open, ReferencesShareANode) {
  Result<NodeRef> storage = open(R"({"driver": "file", "node-name": "s", "filename": ")" + path + "\"}");
  ASSERT_TRUE(storage);
  Result<NodeRef> a = open(R"({"driver": "raw", "file": "s"})"),
                  b = open(R"({"driver": "raw", "file": "s"})");
  ASSERT_TRUE(a && b);
  EXPECT_EQ((*storage)->parents().size(), 2u);
  a->reset();
  reap();
  EXPECT_EQ((*storage)->parents().size(), 1u);
}

TEST_F(Open, GeneratedNamesAreUniqueAndNobodyCanTakeThem) {
  Result<NodeRef> a = open(R"({"driver": "null-co"})"), b = open(R"({"driver": "null-co"})");
  ASSERT_TRUE(a && b);
  EXPECT_NE((*a)->name(), (*b)->name());
  EXPECT_EQ((*a)->name().substr(0, 6), "#block");
}

TEST_F(Open, ManyOpensAtOnceEndEachForItself) {
  // Two with the same name: exactly one wins, and the graph knows one node.
  int won = 0, ended = 0;
  loop->make_current();
  for (int i = 0; i < 2; ++i) {
    OptionTree o;
    o.set("driver", "raw");
    o.set("node-name", "same");
    o.set("file.driver", "file");
    o.set("file.filename", path);
    co_start<NodeRef>(co_open_node(graph, OpenRequest(std::move(o))), [&](Result<NodeRef> r) {
      won += r ? 1 : 0;
      if (r) winner = std::move(*r);
      ++ended;
    });
  }
  while (ended < 2) loop->run_once(true);
  EXPECT_EQ(won, 1);
  EXPECT_EQ(graph.find_node("same"), winner.get());
  winner.reset();
}

}  // namespace
}  // namespace rhea
