// Image locks: between nodes of one process, byte for byte, and with other people's programs.
#include <fcntl.h>
#include <unistd.h>

#include "tests/unit/block/graph_fixture.h"

namespace rhea {
namespace {

using namespace blk_perm;

class ImageLock : public GraphTest {
 protected:
  ImageLock() { path = make_file("image", 65536); }
  NodeRef must_open(const std::string& more = {}) {
    Result<NodeRef> r = open(R"({"driver": "file", "filename": ")" + path + "\"" + more + "}");
    EXPECT_TRUE(r) << r.error().message();
    return r ? *r : NodeRef();
  }
  /// The bytes of the image that an open file of another process would find locked.
  std::vector<int> locked_bytes() const {
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    std::vector<int> out;
    for (int at = 90; at < 210; ++at) {
      struct flock fl {};
      fl.l_type = F_WRLCK;
      fl.l_start = at;
      fl.l_len = 1;
      EXPECT_EQ(::fcntl(fd.get(), F_OFD_GETLK, &fl), 0);
      if (fl.l_type != F_UNLCK) out.push_back(at);
    }
    return out;
  }
  /// Exit status of a shell command, -1 if its program is not installed.
  int shell(const std::string& program, const std::string& arguments) const {
    if (std::system(("command -v " + program + " >/dev/null").c_str()) != 0) return -1;
    const int status = std::system((program + " " + arguments + " >" + dir + "/log 2>&1").c_str());
    return WEXITSTATUS(status);
  }
  std::string log() const {
    std::ifstream in(dir + "/log");
    return {std::istreambuf_iterator<char>(in), {}};
  }
  std::string path;
};

TEST_F(ImageLock, BytesFollowPermissions) {
  NodeRef node = must_open();
  EXPECT_EQ(locked_bytes(), std::vector<int>{});
  BlockBackend user(graph, "u", {kConsistentRead | kWrite, kConsistentRead | kWriteUnchanged});
  ASSERT_TRUE(insert(user, *node));
  EXPECT_EQ(locked_bytes(), (std::vector<int>{100, 101, 201, 203}));
  ASSERT_TRUE(set_perm(user, {kConsistentRead, kAll & ~kWrite}));
  EXPECT_EQ(locked_bytes(), (std::vector<int>{100, 201}));
  ASSERT_TRUE(remove(user));
  EXPECT_EQ(locked_bytes(), std::vector<int>{});
}

TEST_F(ImageLock, OpeningForWritingIsNoConflictWithOneself) {
  NodeRef node = must_open(R"(, "auto-read-only": true)");
  BlockBackend user(graph, "u", {kConsistentRead, kConsistentRead | kWriteUnchanged});
  ASSERT_TRUE(insert(user, *node));
  EXPECT_EQ(locked_bytes(), (std::vector<int>{100, 201, 203}));
  Result<> r = set_perm(user, {kConsistentRead | kWrite, kConsistentRead | kWriteUnchanged});
  ASSERT_TRUE(r) << r.error().message();
  EXPECT_EQ(locked_bytes(), (std::vector<int>{100, 101, 201, 203}));
  ASSERT_TRUE(set_perm(user, {kConsistentRead, kConsistentRead | kWriteUnchanged}));
  EXPECT_EQ(locked_bytes(), (std::vector<int>{100, 201, 203}));
  NodeRef other = must_open();
  BlockBackend reader(graph, "r", {kConsistentRead, kAll & ~kWrite});
  ASSERT_TRUE(insert(reader, *other));
  r = set_perm(user, {kConsistentRead | kWrite, kConsistentRead | kWriteUnchanged});
  ASSERT_FALSE(r) << "another's locks count";
  EXPECT_EQ(r.error().message(), "Failed to get \"write\" lock");
  EXPECT_EQ(locked_bytes(), (std::vector<int>{100, 201, 203}));
}

TEST_F(ImageLock, SecondNodeIsAnotherUser) {
  NodeRef a = must_open(), b = must_open();
  BlockBackend first(graph, "first", {kConsistentRead | kWrite, kConsistentRead | kWriteUnchanged});
  BlockBackend second(graph, "second", {kConsistentRead, kAll & ~kWrite});
  ASSERT_TRUE(insert(first, *a));
  Result<> r = insert(second, *b);
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().message(), "Failed to get shared \"write\" lock");
  EXPECT_EQ(r.error().hint(), "Is another process using the image [" + path + "]?");
  EXPECT_EQ(locked_bytes(), (std::vector<int>{100, 101, 201, 203}));
  ASSERT_TRUE(set_perm(second, {kConsistentRead | kWrite, kAll}));
  r = insert(second, *b);
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().message(), "Failed to get \"write\" lock");
  ASSERT_TRUE(set_perm(second, {kConsistentRead, kAll}));
  EXPECT_TRUE(insert(second, *b));
}

TEST_F(ImageLock, FailedChangeKeepsTheLocksThereWere) {
  NodeRef a = must_open(), b = must_open();
  BlockBackend first(graph, "first", {kConsistentRead | kWrite, kAll});
  BlockBackend second(graph, "second", {kConsistentRead, kAll});
  ASSERT_TRUE(insert(first, *a));
  ASSERT_TRUE(insert(second, *b));
  const std::vector<int> before = locked_bytes();
  EXPECT_FALSE(set_perm(second, {kConsistentRead | kResize, kConsistentRead}));
  EXPECT_EQ(locked_bytes(), before);
}

TEST_F(ImageLock, ForceShareUnsharesNothing) {
  NodeRef a = must_open(), b = must_open(R"(, "force-share": true, "read-only": true)");
  BlockBackend first(graph, "first", {kConsistentRead | kWrite, kConsistentRead});
  BlockBackend second(graph, "second", {kConsistentRead, kConsistentRead});
  ASSERT_TRUE(insert(first, *a));
  EXPECT_TRUE(insert(second, *b));
}

TEST_F(ImageLock, OffMeansOff) {
  NodeRef node = must_open(R"(, "locking": "off")");
  BlockBackend user(graph, "u", {kConsistentRead | kWrite, 0});
  ASSERT_TRUE(insert(user, *node));
  EXPECT_EQ(locked_bytes(), std::vector<int>{});
}

TEST_F(ImageLock, AutoReadOnlyOpensForWritingOnlyWhileSomebodyWrites) {
  NodeRef node = must_open(R"(, "auto-read-only": true)");
  auto writable = [&] {
    for (int fd = 3; fd < 256; ++fd) {
      char link[256] = {};
      if (::readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), link, sizeof link - 1) > 0 &&
          path == link && (::fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDWR)
        return true;
    }
    return false;
  };
  EXPECT_FALSE(writable());
  BlockBackend user(graph, "u", {kConsistentRead | kWrite, kConsistentRead});
  ASSERT_TRUE(insert(user, *node));
  EXPECT_TRUE(writable());
  EXPECT_EQ(locked_bytes(), (std::vector<int>{100, 101, 201, 202, 203}));
  char byte = 'w';
  EXPECT_TRUE(run(user.co_pwritev({0, 1}, IoVector(&byte, 1))));
  ASSERT_TRUE(set_perm(user, {kConsistentRead, kAll}));
  EXPECT_FALSE(writable());
  EXPECT_EQ(locked_bytes(), std::vector<int>{100});
}

TEST_F(ImageLock,
       AReaderThatSharesNoWritesBecomesAWriter) {  // a qcow2 image of a disk: -blockdev, then -device
  NodeRef node = must_open(R"(, "auto-read-only": true)"), other = must_open();
  BlockBackend user(graph, "u", {kConsistentRead, kConsistentRead | kWriteUnchanged});
  ASSERT_TRUE(insert(user, *node));
  EXPECT_EQ(locked_bytes(), (std::vector<int>{100, 201, 203}));
  Result<> r = set_perm(user, {kConsistentRead | kWrite, kConsistentRead | kWriteUnchanged});
  ASSERT_TRUE(r) << r.error().message();
  EXPECT_EQ(locked_bytes(), (std::vector<int>{100, 101, 201, 203}));
  ASSERT_TRUE(set_perm(user, {kConsistentRead, kConsistentRead | kWriteUnchanged}));
  EXPECT_EQ(locked_bytes(), (std::vector<int>{100, 201, 203}));
  BlockBackend reader(graph, "reader", {kConsistentRead, kConsistentRead});
  ASSERT_TRUE(insert(reader, *other));
  EXPECT_FALSE(set_perm(user, {kConsistentRead | kWrite, kConsistentRead | kWriteUnchanged}));
  ASSERT_TRUE(remove(reader));
  EXPECT_EQ(locked_bytes(), (std::vector<int>{100, 201, 203}));
}

TEST_F(ImageLock, OtherProgramsRespectOurs) {
  NodeRef node = must_open();
  BlockBackend user(graph, "u", {kConsistentRead | kWrite, kConsistentRead | kWriteUnchanged});
  ASSERT_TRUE(insert(user, *node));
  const int status = shell("qemu-io", "-f raw -c 'write 0 512' " + path);
  if (status < 0) GTEST_SKIP() << "qemu-io is not installed";
  EXPECT_EQ(status, 1);
  EXPECT_NE(log().find("Failed to get \"write\" lock"), std::string::npos) << log();
  EXPECT_EQ(shell("qemu-io", "-r -f raw -U -c 'read 0 512' " + path), 0) << log();
  ASSERT_TRUE(remove(user));
  EXPECT_EQ(shell("qemu-io", "-f raw -c 'write 0 512' " + path), 0) << log();
}

TEST_F(ImageLock, WeRespectThoseOfOtherPrograms) {
  // The program holds its locks until it reads the end of its input.
  if (shell("qemu-io", "--version") != 0) GTEST_SKIP() << "qemu-io is not installed";
  FILE* other = ::popen(("qemu-io -f raw " + path + " >/dev/null 2>&1").c_str(), "w");
  ASSERT_NE(other, nullptr);
  for (int i = 0; i < 1000 && locked_bytes().empty(); ++i) ::usleep(10'000);
  ASSERT_FALSE(locked_bytes().empty()) << "qemu-io took no locks within 10 s";
  NodeRef node = must_open();
  BlockBackend user(graph, "u", {kConsistentRead, kConsistentRead});
  Result<> r = insert(user, *node);
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().message(), "Failed to get shared \"write\" lock");
  ::pclose(other);
  EXPECT_TRUE(insert(user, *node));
}

TEST_F(ImageLock, WhatWeWriteOtherProgramsRead) {
  NodeRef node = must_open();
  BlockBackend user(graph, "u", {kConsistentRead | kWrite, kAll});
  ASSERT_TRUE(insert(user, *node));
  std::string bytes(4096, '\x5a');
  ASSERT_TRUE(run(user.co_pwritev({8192, bytes.size()}, IoVector(bytes.data(), bytes.size()))));
  ASSERT_TRUE(run(user.co_pwrite_zeroes({0, 4096}, true)));
  ASSERT_TRUE(remove(user));
  const int status = shell("qemu-io", "-f raw -c 'read -P 0x5a 8192 4096' -c 'read -P 0 0 4096' " + path);
  if (status < 0) GTEST_SKIP() << "qemu-io is not installed";
  EXPECT_EQ(status, 0) << log();
  EXPECT_EQ(log().find("failed"), std::string::npos) << log();
}

}  // namespace
}  // namespace rhea
