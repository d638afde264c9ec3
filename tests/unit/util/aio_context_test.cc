// Threads meet at a loop: work handed over and waited for, hooks that look for work instead of sleeping.
#include "util/aio_context.h"

#include <gtest/gtest.h>

#include <thread>

namespace rhea {
namespace {

class LoopThread : public testing::Test {
 protected:
  LoopThread() : thread([this] { loop->run(); }) {}
  ~LoopThread() override {
    loop->stop();
    thread.join();
  }
  std::unique_ptr<AioContext> loop = std::move(AioContext::create("io").value());
  std::thread thread;
};

TEST_F(LoopThread, WhatIsHandedOverIsDoneThereAndThen) {
  int value = 0;  // plain: whoever waits sees what was written
  bool there = false;
  for (int i = 0; i < 1000; ++i)
    loop->run_sync([&] {
      ++value;
      there = loop->in_loop_thread();
      loop->run_sync([&] { ++value; });  // from its own thread: at once
    });
  EXPECT_TRUE(there);
  EXPECT_EQ(value, 2000);
}

TEST_F(LoopThread, HandoversFromManyThreadsKeepTheirOrder) {
  std::vector<int> seen;
  std::vector<std::thread> others;
  others.reserve(4);
  for (int t = 0; t < 4; ++t)
    others.emplace_back([&, t] {
      for (int i = 0; i < 200; ++i) loop->run_sync([&] { seen.push_back(t * 1000 + i); });
    });
  for (auto& other : others) other.join();
  ASSERT_EQ(seen.size(), 800u);
  std::vector<int> next(4);
  for (const int v : seen) EXPECT_EQ(v % 1000, next[static_cast<size_t>(v / 1000)]++);
}

/// Work that appears without anybody waking the loop.
struct Looker final : LoopHook {
  std::atomic<bool> work{false}, looking{false};
  std::atomic<int> done{0}, begun{0};
  bool before_wait() override { return false; }
  bool poll_begin() override {
    ++begun;
    looking = true;
    return true;
  }
  bool poll() override {
    if (!work.exchange(false)) return false;
    ++done;
    return true;
  }
  bool poll_end() override {
    looking = false;
    return poll();
  }
};

TEST_F(LoopThread, LooksForWorkBeforeItSleeps) {
  Looker looker;
  loop->set_poll({.max_ns = 50'000'000});
  loop->run_sync([&] { loop->add_hook(&looker); });
  int64_t looks = 0;
  for (int i = 0; i < 100'000 && looks == 0; ++i) loop->run_sync([&] { looks = loop->poll_ns(); });
  EXPECT_GT(looks, 0) << "short waits have made it look";
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (looker.done == 0 && std::chrono::steady_clock::now() < give_up) {
    if (looker.looking) looker.work = true;
    loop->run_sync([] {});  // keeps the waits short
  }
  EXPECT_GT(looker.done, 0);
  loop->run_sync([&] { loop->remove_hook(&looker); });
}

TEST_F(LoopThread, DoesNotLookWhereItMayNot) {
  Looker looker;
  loop->run_sync([&] { loop->add_hook(&looker); });
  for (int i = 0; i < 1000; ++i) loop->run_sync([] {});
  EXPECT_EQ(looker.begun, 0);
  loop->set_poll({.max_ns = 50'000'000});
  for (int i = 0; i < 1000; ++i) loop->run_sync([] {});
  loop->set_poll({});
  loop->run_sync([] {});
  loop->run_sync([] {});
  int64_t looks = -1;
  loop->run_sync([&] { looks = loop->poll_ns(); });
  EXPECT_EQ(looks, 0);
  loop->run_sync([&] { loop->remove_hook(&looker); });
}

}  // namespace
}  // namespace rhea
