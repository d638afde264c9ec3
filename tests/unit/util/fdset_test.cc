#include "util/fdset.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

namespace rhea {
namespace {

UniqueFd null(int flags) {
  return UniqueFd(::open("/dev/null", flags | O_CLOEXEC));
}

TEST(FdSets, NewSetGetsTheSmallestFreeNumber) {
  FdSets sets;
  EXPECT_EQ(sets.add(null(O_RDONLY), 0, "")->id, 0);
  EXPECT_EQ(sets.add(null(O_RDONLY), 2, "x")->id, 2);
  EXPECT_EQ(sets.add(null(O_RDONLY), std::nullopt, "")->id, 1);
  const auto all = sets.snapshot();
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[2].fds[0].opaque, "x");
}

TEST(FdSets, NegativeNumberIsRefused) {
  FdSets sets;
  EXPECT_EQ(sets.add(null(O_RDONLY), -1, "").error().message(),
            "Parameter 'fdset-id' expects a non-negative value");
  EXPECT_TRUE(sets.snapshot().empty());
}

TEST(FdSets, OpenTakesTheOneWithTheAccessMode) {
  FdSets sets;
  ASSERT_TRUE(sets.add(null(O_RDONLY), 3, ""));
  errno = 0;
  EXPECT_EQ(sets.open(3, O_RDWR), -1);
  EXPECT_EQ(errno, EACCES);
  ASSERT_TRUE(sets.add(null(O_RDWR), 3, ""));
  const UniqueFd fd(sets.open(3, O_RDWR | O_NONBLOCK));
  ASSERT_TRUE(fd);
  EXPECT_EQ(fcntl(fd.get(), F_GETFL) & (O_ACCMODE | O_NONBLOCK), O_RDWR | O_NONBLOCK);
  EXPECT_EQ(fcntl(fd.get(), F_GETFD), FD_CLOEXEC);
  EXPECT_EQ(sets.open(4, O_RDWR), -1);
  EXPECT_EQ(errno, ENOENT);
}

TEST(FdSets, RemovedDescriptorIsClosedWhatWasOpenedLives) {
  FdSets sets;
  const auto added = sets.add(null(O_RDONLY), 1, "");
  const UniqueFd opened(sets.open(1, O_RDONLY));
  EXPECT_EQ(sets.remove(1, added->fd + 1).error().message(),
            "File descriptor named 'fdset-id:1, fd:" + std::to_string(added->fd + 1) + "' not found");
  ASSERT_TRUE(sets.remove(1, added->fd));
  EXPECT_EQ(fcntl(added->fd, F_GETFD), -1);
  EXPECT_NE(fcntl(opened.get(), F_GETFD), -1);
  EXPECT_TRUE(sets.snapshot().empty());
  EXPECT_EQ(sets.remove(1, std::nullopt).error().message(), "File descriptor named 'fdset-id:1' not found");
}

TEST(OpenFile, BadSetNumber) {
  for (const char* path : {"/dev/fdset/", "/dev/fdset/x", "/dev/fdset/-1", "/dev/fdset/1/2"}) {
    errno = 0;
    EXPECT_EQ(open_file(path, O_RDONLY), -1) << path;
    EXPECT_EQ(errno, EINVAL) << path;
  }
}

}  // namespace
}  // namespace rhea
