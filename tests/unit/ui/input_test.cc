// The input core: who gets an event, and keys by name and number.
#include "ui/input.h"

#include <gtest/gtest.h>

#include "ui/keycodes.h"
#include "util/aio_context.h"

namespace rhea {
namespace {

struct Recorder final : InputHandler {
  void input_event(const InputStroke& event) override { events.push_back(event); }
  void input_sync() override { ++syncs; }
  std::vector<InputStroke> events;
  int syncs = 0;
};

TEST(InputHub, EventGoesToTheFirstThatTakesItsKind) {
  InputHub hub;
  Recorder keys, mouse, tablet;
  hub.add({.name = "keys", .accepts = kInputKeys}, keys);
  hub.add({.name = "mouse", .accepts = kInputButtons | kInputRelative}, mouse);
  const int index = hub.add({.name = "tablet", .accepts = kInputButtons | kInputAbsolute}, tablet);
  hub.key(nullptr, QKeyCode::kA, true);
  hub.button(nullptr, InputButton::kLeft, true);
  hub.move_to(nullptr, 99, 100, 0, 100);
  hub.sync();
  EXPECT_EQ(keys.events.size(), 1u);
  EXPECT_EQ(keys.syncs, 1);
  EXPECT_EQ(mouse.events.size(), 1u);
  ASSERT_EQ(tablet.events.size(), 2u);
  EXPECT_EQ(tablet.events[0].value, kInputAbsoluteMax);
  EXPECT_EQ(tablet.events[1].value, 0);
  EXPECT_FALSE(hub.pointer_is_absolute(nullptr));
  ASSERT_TRUE(hub.activate(index));
  EXPECT_TRUE(hub.pointer_is_absolute(nullptr));
  ASSERT_EQ(hub.mice().size(), 2u);
  EXPECT_EQ(hub.mice()[0].name, "tablet");
  EXPECT_TRUE(hub.mice()[0].current);
  EXPECT_FALSE(hub.mice()[1].current);
  EXPECT_FALSE(hub.activate(17));
}

TEST(InputHub, HandlersOfAConsoleComeFirst) {
  InputHub hub;
  Recorder any, bound;
  auto* console = reinterpret_cast<Console*>(&any);  // only its address counts
  hub.add({.name = "any", .accepts = kInputKeys}, any);
  hub.add({.name = "bound", .accepts = kInputKeys, .console = console}, bound);
  hub.key(console, QKeyCode::kA, true);
  EXPECT_EQ(bound.events.size(), 1u);
  hub.key(nullptr, QKeyCode::kA, true);
  EXPECT_EQ(any.events.size(), 1u);
}

TEST(InputHub, NothingArrivesWhileTheMachineStands) {
  InputHub hub;
  Recorder keys;
  hub.add({.name = "keys", .accepts = kInputKeys}, keys);
  hub.enabled = [] { return false; };
  hub.key(nullptr, QKeyCode::kA, true);
  EXPECT_TRUE(keys.events.empty());
}

TEST(InputHub, KeysAreReleasedInOppositeOrder) {
  auto loop = std::move(*AioContext::create("test"));
  loop->make_current();
  VirtualClock clock;
  clock.set_manual();
  clock.start();
  InputHub hub;
  Recorder keys;
  hub.add({.name = "keys", .accepts = kInputKeys}, keys);
  hub.send_keys(*loop, clock, {QKeyCode::kCtrl, QKeyCode::kAlt}, 10);
  EXPECT_EQ(keys.events.size(), 1u);
  clock.step_to(100'000'000, *loop);
  ASSERT_EQ(keys.events.size(), 4u);
  EXPECT_EQ(keys.events[1].key, QKeyCode::kAlt);
  EXPECT_TRUE(keys.events[1].down);
  EXPECT_EQ(keys.events[2].key, QKeyCode::kAlt);
  EXPECT_FALSE(keys.events[2].down);
  EXPECT_EQ(keys.events[3].key, QKeyCode::kCtrl);
  hub.clear_queue();
}

TEST(Keycodes, NumbersAndNamesAgree) {
  for (int n = 1; n < 256; ++n) {
    const QKeyCode key = key_of_number(n);
    if (key == QKeyCode::kUnmapped) continue;
    EXPECT_EQ(key_number(key), n);
  }
  EXPECT_EQ(key_of_number(0xc8), QKeyCode::kUp);
  EXPECT_EQ(key_of_number(-1), QKeyCode::kUnmapped);
  EXPECT_EQ(key_of_number(100000), QKeyCode::kUnmapped);
  EXPECT_EQ(key_of_text("0x1e"), QKeyCode::kA);
  EXPECT_EQ(key_of_text("ret"), QKeyCode::kRet);
  EXPECT_EQ(key_of_text("<"), QKeyCode::kLess);
  EXPECT_EQ(key_of_text("0x1eq"), QKeyCode::kUnmapped);
  EXPECT_EQ(key_of_text(""), QKeyCode::kUnmapped);
}

}  // namespace
}  // namespace rhea
