// The AIO engines, each put through the same: what is written is read, across loops, and errors come back.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <array>
#include <numeric>
#include <thread>

#include "block/aio/engine.h"
#include "util/co_sync.h"
#include "util/unique_fd.h"

namespace rhea {
namespace {

class Engine : public testing::TestWithParam<AioKind> {
 protected:
  void SetUp() override {
    loop->make_current();
    Result<AioEngine*> e = aio_engine(GetParam());
    if (!e) GTEST_SKIP() << e.error().message();
    engine = *e;
  }
  template <class T>
  Result<T> run(CoResult<T> work) {
    return run_to_completion(*loop, std::move(work));
  }
  std::unique_ptr<AioContext> loop = std::move(AioContext::create("test").value());
  UniqueFd fd{memfd_create("engine", MFD_CLOEXEC)};
  AioEngine* engine = nullptr;
};

TEST_P(Engine, ReadsWhatWasWrittenOverManyPieces) {
  std::vector<uint8_t> out(100'000), in(out.size());
  std::iota(out.begin(), out.end(), 0);
  std::vector<iovec> pieces;  // more than one system call takes in one batch
  for (size_t at = 0; at < out.size(); at += 500) pieces.push_back({out.data() + at, 500});
  ASSERT_TRUE(run(engine->co_pwritev(fd.get(), {4096, out.size()}, IoVector(pieces))));
  ASSERT_TRUE(run(engine->co_fdatasync(fd.get())));
  ASSERT_TRUE(run(engine->co_preadv(fd.get(), {4096, in.size()}, IoVector(in.data(), in.size()))));
  EXPECT_EQ(in, out);
}

TEST_P(Engine, BehindTheEndAreZeroes) {
  char byte = 'x', buffer[4] = {1, 1, 1, 1};
  ASSERT_TRUE(run(engine->co_pwritev(fd.get(), {0, 1}, IoVector(&byte, 1))));
  ASSERT_TRUE(run(engine->co_preadv(fd.get(), {0, 4}, IoVector(buffer, 4))));
  EXPECT_EQ(std::string(buffer, 4), std::string("x\0\0\0", 4));
}

TEST_P(Engine, ErrorsCarryTheirErrno) {
  char byte = 0;
  EXPECT_EQ(run(engine->co_preadv(-1, {0, 1}, IoVector(&byte, 1))).error().errnum(), EBADF);
  UniqueFd read_only(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(run(engine->co_pwritev(read_only.get(), {0, 1}, IoVector(&byte, 1))).error().errnum(), EBADF);
}

TEST_P(Engine, ManyRequestsAtOnce) {
  constexpr int kRequests = 1000;  // more than the ring has entries
  std::vector<uint32_t> values(kRequests), back(kRequests);
  std::iota(values.begin(), values.end(), 7u);
  int ended = 0;
  auto count = [&](Result<> r) {
    EXPECT_TRUE(r);
    ++ended;
  };
  for (size_t i = 0; i < kRequests; ++i)
    co_start<void>(engine->co_pwritev(fd.get(), {i * 4, 4}, IoVector(&values[i], 4)), count);
  while (ended < kRequests) loop->run_once(true);
  for (size_t i = 0; i < kRequests; ++i)
    co_start<void>(engine->co_preadv(fd.get(), {i * 4, 4}, IoVector(&back[i], 4)), count);
  while (ended < 2 * kRequests) loop->run_once(true);
  EXPECT_EQ(back, values);
}

TEST_P(Engine, EachLoopHasItsOwn) {
  std::array<int, 2> ended{};
  std::vector<std::jthread> threads;
  for (size_t t = 0; t < 2; ++t)
    threads.emplace_back([this, t, &ended] {
      auto mine = std::move(AioContext::create("other").value());
      mine->make_current();
      AioEngine* e = aio_engine(GetParam()).value();
      for (int i = 0; i < 100; ++i) {
        uint64_t value = t * 1000 + i, back = 0;
        const ByteRange where{t * 4096, 8};
        ASSERT_TRUE(run_to_completion(*mine, e->co_pwritev(fd.get(), where, IoVector(&value, 8))));
        ASSERT_TRUE(run_to_completion(*mine, e->co_preadv(fd.get(), where, IoVector(&back, 8))));
        ended[t] += back == value ? 1 : 0;
      }
    });
  threads.clear();
  EXPECT_EQ(ended[0], 100);
  EXPECT_EQ(ended[1], 100);
}

INSTANTIATE_TEST_SUITE_P(All, Engine, testing::Values(AioKind::kThreads, AioKind::kNative, AioKind::kIoUring),
                         [](const auto& i) {
                           return i.param == AioKind::kThreads  ? "threads"
                                  : i.param == AioKind::kNative ? "native"
                                                                : "io_uring";
                         });

TEST(AioEngine, IoUringNeedsALoop) {
  Result<AioEngine*> e = Result<AioEngine*>(nullptr);
  std::jthread([&] { e = aio_engine(AioKind::kIoUring); }).join();
  ASSERT_FALSE(e);
  EXPECT_EQ(e.error().message(), "io_uring needs a thread that runs a loop");
}

}  // namespace
}  // namespace rhea
