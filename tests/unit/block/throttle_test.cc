// Limits, groups and statistics of drives.
#include <gtest/gtest.h>

#include "block/graph/accounting.h"
#include "block/throttle/group.h"
#include "util/co_sync.h"

namespace rhea {

namespace {

constexpr int64_t kSecond = 1'000'000'000;
using R = ThrottleRate;

/// Moves when told to.
class SteppedClock final : public Clock {
 public:
  int64_t now_ns() const override { return now_.load(); }
  void step(int64_t ns) {
    now_.fetch_add(ns);
    notify_loops();
  }

 private:
  std::atomic<int64_t> now_{5 * kSecond};
};

ThrottleConfig with(R rate, ThrottleLimit limit) {
  ThrottleConfig c;
  c[rate] = limit;
  return c;
}

struct BadLimits {
  const char* name;
  ThrottleConfig config;
  const char* message;
};
class ThrottleConfigCheck : public testing::TestWithParam<BadLimits> {};
TEST_P(ThrottleConfigCheck, SaysWhatIsWrong) {
  const Result<> r = GetParam().config.check();
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().message(), GetParam().message);
}
ThrottleConfig both_kinds() {
  ThrottleConfig c = with(R::kIopsTotal, {.avg = 1});
  c[R::kIopsWrite].avg = 1;
  return c;
}
ThrottleConfig size_alone() {
  ThrottleConfig c = with(R::kBpsTotal, {.avg = 1});
  c.op_bytes = 512;
  return c;
}
INSTANTIATE_TEST_SUITE_P(
    All, ThrottleConfigCheck,
    testing::Values(
        BadLimits{"Both", both_kinds(),
                  "bps/iops/max total values and read/write values cannot be used at the same time"},
        BadLimits{"Size", size_alone(), "iops size requires an iops value to be set"},
        BadLimits{"Negative", with(R::kBpsRead, {.avg = -1}),
                  "bps/iops/max values must be within [0, 1000000000000000]"},
        BadLimits{"Large", with(R::kBpsRead, {.avg = 1'000'000'000'000'001}),
                  "bps/iops/max values must be within [0, 1000000000000000]"},
        BadLimits{"NoLength", with(R::kBpsRead, {.avg = 1, .max = 2, .burst_s = 0}),
                  "the burst length cannot be 0"},
        BadLimits{"LengthAlone", with(R::kBpsRead, {.avg = 1, .burst_s = 2}),
                  "burst length set without burst rate"},
        BadLimits{"LongBurst", with(R::kBpsRead, {.avg = 1, .max = 1'000'000'000'000'000, .burst_s = 2}),
                  "burst length too high for this burst rate"},
        BadLimits{"NegativeLength", with(R::kBpsRead, {.avg = 1, .max = 2, .burst_s = -1}),
                  "burst length too high for this burst rate"},
        BadLimits{"BurstAlone", with(R::kIopsRead, {.max = 2}),
                  "bps_max/iops_max require corresponding bps/iops values"},
        BadLimits{"LowBurst", with(R::kIopsRead, {.avg = 3, .max = 2}),
                  "bps_max/iops_max cannot be lower than bps/iops"}),
    [](const auto& param) { return param.param.name; });

/// How many requests of `bytes` go on in `seconds` if there are always some that wait.
uint64_t run_for(ThrottleBuckets& b, bool is_write, uint64_t bytes, int64_t seconds, int64_t& now) {
  const int64_t end = now + seconds * kSecond;
  uint64_t done = 0;
  for (;; ++done) {
    const int64_t wait = b.wait_ns(is_write, now);
    if (now + wait > end) break;
    now += wait;
    b.account(is_write, bytes);
  }
  now = end;
  return done;
}

TEST(ThrottleBuckets, KeepTheAverage) {
  int64_t now = 0;
  ThrottleBuckets b(now);
  b.set(with(R::kBpsTotal, {.avg = 4096}), now);
  EXPECT_NEAR(static_cast<double>(run_for(b, false, 512, 100, now)), 800, 3);
  b.set(with(R::kIopsWrite, {.avg = 10}), now);
  EXPECT_NEAR(static_cast<double>(run_for(b, true, 65536, 100, now)), 1000, 3);
  EXPECT_EQ(b.wait_ns(false, now), 0) << "reads are not limited";
}

TEST(ThrottleBuckets, BurstsLastAsLongAsTheyMay) {
  int64_t now = 0;
  ThrottleBuckets b(now);
  b.set(with(R::kIopsTotal, {.avg = 10, .max = 70, .burst_s = 4}), now);
  EXPECT_NEAR(static_cast<double>(run_for(b, false, 512, 4, now)), 280, 28);
  EXPECT_NEAR(static_cast<double>(run_for(b, false, 512, 10, now)), 100, 50)
      << "what the burst left and the average";
  EXPECT_NEAR(static_cast<double>(run_for(b, false, 512, 10, now)), 100, 3);
  now += 28 * kSecond;  // the bucket is empty again
  EXPECT_NEAR(static_cast<double>(run_for(b, false, 512, 4, now)), 280, 28);
}

TEST(ThrottleBuckets, LargeRequestsCountAsSeveral) {
  int64_t now = 0;
  ThrottleBuckets b(now);
  ThrottleConfig c = with(R::kIopsTotal, {.avg = 100});
  c.op_bytes = 4096;
  b.set(c, now);
  EXPECT_NEAR(static_cast<double>(run_for(b, true, 16384, 10, now)), 250, 5);
  EXPECT_NEAR(static_cast<double>(run_for(b, true, 512, 10, now)), 1000, 15);
}

class ThrottleGroupTest : public testing::Test {
 protected:
  void SetUp() override {
    loop = std::move(AioContext::create("test")).value();
    loop->make_current();
    group = std::make_shared<ThrottleGroup>("g", clock);
    a.join(group);
    b.join(group);
    group->set_limits(with(R::kIopsTotal, {.avg = 10}));
  }
  CoResult<> co_request(ThrottleMember& member, char name) {
    ThrottleTicket ticket(member, false, 512);
    co_await ticket;
    order += name;
    co_return Result<>();
  }
  void request(ThrottleMember& member, char name) { gate.spawn<void>(co_request(member, name)); }
  void settle() {
    while (loop->run_once(false)) {
    }
  }
  void step(int64_t ns) {
    clock.step(ns);
    settle();
  }
  SteppedClock clock;
  std::unique_ptr<AioContext> loop;
  std::shared_ptr<ThrottleGroup> group;
  ThrottleMember a, b;
  Gate gate;
  std::string order;
};

TEST_F(ThrottleGroupTest, MembersTakeTurns) {
  for (int i = 0; i < 2; ++i) request(a, 'x');  // what a tenth of a second has
  ASSERT_EQ(order, "xx");
  for (int i = 0; i < 3; ++i) request(a, 'a');
  for (int i = 0; i < 3; ++i) request(b, 'b');
  settle();
  EXPECT_EQ(order, "xx") << "all wait";
  for (int i = 0; i < 6; ++i) step(kSecond / 10 + 10);
  EXPECT_EQ(order.substr(2).size(), 6u);
  EXPECT_EQ(order.substr(2), order[2] == 'a' ? "ababab" : "bababa");
}

TEST_F(ThrottleGroupTest, DrainingLetsGo) {
  for (int i = 0; i < 4; ++i) request(a, 'a');
  request(b, 'b');
  settle();
  ASSERT_EQ(order, "aa");
  a.begin_drain();
  settle();
  EXPECT_EQ(order, "aaaa") << "b still waits";
  request(a, 'c');
  EXPECT_EQ(order, "aaaac") << "nothing waits in a drained section";
  a.end_drain();
  step(kSecond);
  EXPECT_EQ(order, "aaaacb");
}

TEST_F(ThrottleGroupTest, NewLimitsHoldForThoseWhoWait) {
  for (int i = 0; i < 5; ++i) request(a, 'a');
  settle();
  ASSERT_EQ(order, "aa");
  group->set_limits(ThrottleConfig());
  settle();
  EXPECT_EQ(order, "aaaaa");
}

TEST_F(ThrottleGroupTest, AMemberThatLeavesDoesNotKeepTheOthersWaiting) {
  for (int i = 0; i < 3; ++i) request(a, 'a');  // the last has the turn
  request(b, 'b');
  settle();
  a.begin_drain();
  settle();
  a.leave();
  a.end_drain();
  EXPECT_EQ(order, "aaa");
  step(kSecond);
  EXPECT_EQ(order, "aaab");
  EXPECT_EQ(group->member_count(), 1u);
}

TEST(TimedAverage, ForgetsWhatIsOld) {
  TimedAverage t(10 * kSecond, 0);
  t.account(7, kSecond);
  t.account(9, 2 * kSecond);
  TimedAverage::Summary s = t.summary(3 * kSecond);
  EXPECT_EQ(s.min, 7u);
  EXPECT_EQ(s.max, 9u);
  EXPECT_EQ(s.average, 8u);
  EXPECT_EQ(s.sum, 16u);
  EXPECT_GT(s.elapsed_ns, 0);
  t.account(1, 8 * kSecond);
  EXPECT_EQ(t.summary(9 * kSecond).max, 9u);
  EXPECT_EQ(t.summary(11 * kSecond).max, 1u) << "the window begun at 5 s";
  EXPECT_EQ(t.summary(100 * kSecond).max, 0u);
}

TEST(BlockAccounting, HistogramsAreCheckedAndFilled) {
  BlockAccounting a;
  EXPECT_FALSE(a.set_histogram(BlockAccounting::kRead, {10, 5}));
  EXPECT_FALSE(a.set_histogram(BlockAccounting::kRead, {0, 5}));
  EXPECT_FALSE(a.histogram(BlockAccounting::kRead));
  ASSERT_TRUE(a.set_histogram(BlockAccounting::kRead, {1, 3'600 * kSecond}));
  const int64_t start = BlockAccounting::now_ns() - kSecond;
  a.done(BlockAccounting::kRead, 512, start);
  a.failed(BlockAccounting::kRead, start);
  EXPECT_EQ(a.histogram(BlockAccounting::kRead)->bins, (std::vector<uint64_t>{0, 2, 0}));
  a.clear_histograms();
  EXPECT_FALSE(a.histogram(BlockAccounting::kRead));
}

TEST(BlockAccounting, WhatDoesNotCountIsNoUse) {
  BlockAccounting a;
  a.set_counted(false, false);
  EXPECT_FALSE(a.idle_ns());
  a.invalid(BlockAccounting::kWrite);
  a.failed(BlockAccounting::kWrite, BlockAccounting::now_ns() - kSecond);
  EXPECT_FALSE(a.idle_ns());
  EXPECT_EQ(a.of[BlockAccounting::kWrite].total_ns.load(), 0u);
  EXPECT_EQ(a.of[BlockAccounting::kWrite].failed.load(), 1u);
  EXPECT_EQ(a.of[BlockAccounting::kWrite].invalid.load(), 1u);
  a.set_counted(true, true);
  a.invalid(BlockAccounting::kWrite);
  EXPECT_TRUE(a.idle_ns());
}

}  // namespace

}  // namespace rhea
