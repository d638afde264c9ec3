#include <gtest/gtest.h>

#include "util/co_sync.h"
#include "util/thread_pool.h"

namespace rhea {
namespace {

CoResult<int> co_value(int v) {
  co_return v;
}
CoResult<int> co_fails() {
  co_return fail(EIO, "no ", 7);
}
CoResult<int> co_sum(int n) {
  int sum = 0;
  for (int i = 0; i < n; ++i) sum += co_await or_return(co_await co_value(1));
  co_return sum;
}
CoResult<int> co_passes_error() {
  int v = co_await or_return(co_await co_fails());
  co_return v + 1;
}

class CoroutineTest : public testing::Test {
 protected:
  VirtualClock clock;  // outlives the loop that has timers on it
  std::unique_ptr<AioContext> loop = std::move(*AioContext::create("test"));
};

TEST_F(CoroutineTest, LongLoopOfReadyAwaitsNeedsNoStack) {
  auto r = run_to_completion(*loop, co_sum(1'000'000));
  ASSERT_TRUE(r);
  EXPECT_EQ(*r, 1'000'000);
}

TEST_F(CoroutineTest, ErrorEndsTheCoroutine) {
  auto r = run_to_completion(*loop, co_passes_error());
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().message(), "no 7");
  EXPECT_EQ(r.error().errnum(), EIO);
}

CoResult<int> co_pool(int n) {
  int sum = 0;
  for (int i = 0; i < n; ++i) {
    auto work = [&] { return i; };
    sum += co_await thread_pool().co_run(work);
  }
  co_return sum;
}

TEST_F(CoroutineTest, PoolWorkComesBackToTheLoop) {
  auto r = run_to_completion(*loop, co_pool(100));
  ASSERT_TRUE(r);
  EXPECT_EQ(*r, 4950);
}

CoResult<> co_locked(CoMutex& m, AioContext& loop, std::string& out, char c) {
  CoMutex::Guard guard = co_await m.co_lock();
  out += c;
  co_await loop.co_yield_now();
  out += c;
  co_return Result<>();
}

TEST_F(CoroutineTest, MutexServesInOrder) {
  CoMutex m;
  Gate gate;
  std::string out;
  for (char c : {'a', 'b', 'c'}) gate.spawn(co_locked(m, *loop, out, c));
  ASSERT_TRUE(run_to_completion(*loop, gate.co_close()));
  EXPECT_EQ(out, "aabbcc");
}

TEST_F(CoroutineTest, TimersRunInOrderOfDeadline) {
  std::string out;
  Timer late(*loop, realtime_clock(), [&] { out += 'b'; });
  Timer early(*loop, realtime_clock(), [&] { out += 'a'; });
  late.arm_in(2'000'000);
  early.arm_in(1'000'000);
  while (out.size() < 2) loop->run_once(true);
  EXPECT_EQ(out, "ab");
}

TEST_F(CoroutineTest, ManualClockRunsWhatIsDueOnTheWay) {
  clock.set_manual();
  clock.start();
  std::vector<int64_t> at;
  Timer t(*loop, clock, [&] {
    at.push_back(clock.now_ns());
    if (at.size() < 3) t.arm_in(10);
  });
  t.arm_in(10);
  clock.step_to(25, *loop);
  EXPECT_EQ(at, (std::vector<int64_t>{10, 20}));
  EXPECT_EQ(clock.now_ns(), 25);
}

/// The loop that steps the clock runs its own timers; the others hear of it.
TEST_F(CoroutineTest, ManualClockMovesForOtherLoopsToo) {
  clock.set_manual();
  clock.start();
  auto other = std::move(AioContext::create("other").value());
  std::atomic<int> rang{0};
  auto timer = std::make_unique<Timer>(*other, clock, [&] {
    ++rang;
    other->stop();
  });
  for (int round = 1; round <= 200; ++round) {
    std::jthread thread([&] {
      other->run();
      other->post([] {});
    });
    timer->arm_in(10);
    clock.step_to(clock.now_ns() + 10, *loop);
    thread.join();
    ASSERT_EQ(rang, round);
  }
}

TEST_F(CoroutineTest, PostFromAnotherThreadWakesTheLoop) {
  bool done = false;
  std::thread([&] { loop->post([&] { done = true; }); }).join();
  while (!done) loop->run_once(true);
  EXPECT_TRUE(done);
}

}  // namespace
}  // namespace rhea
