#include "hw/input/i8042.h"

#include "tests/unit/legacy/board.h"

namespace rhea {
namespace {

class Kbc : public IsaBoard {
 protected:
  Kbc() {
    kbc->on_a20 = [this](bool on) { a20 = on; };
    kbc->on_reset_request = [this] { ++resets; };
    plug(kbc);
    EXPECT_TRUE(kbc->realize());
  }
  ~Kbc() override { kbc->unrealize(); }
  void command(uint8_t c) { out(0x64, c); }
  void data(uint8_t d) { out(0x60, d); }
  bool full() { return (in(0x64) & 0x01) != 0; }
  std::vector<int> answers() {
    std::vector<int> bytes;
    while (full() && bytes.size() < 64) bytes.push_back(in(0x60));
    return bytes;
  }
  std::vector<int> keyboard(uint8_t byte) {
    data(byte);
    return answers();
  }
  std::vector<int> mouse(uint8_t byte) {
    command(0xd4);
    data(byte);
    return answers();
  }
  using V = std::vector<int>;
  bool a20 = true;
  int resets = 0;
  std::shared_ptr<I8042> kbc = std::make_shared<I8042>();
};

TEST_F(Kbc, TestsItself) {
  command(0xaa);
  EXPECT_EQ(answers(), V{0x55});
  EXPECT_EQ(in(0x64) & 0x04, 0x04);
  command(0xab);
  EXPECT_EQ(answers(), V{0x00});
  command(0xa9);
  EXPECT_EQ(answers(), V{0x00});
  command(0xc0);
  EXPECT_EQ(answers(), V{0x80});
}

TEST_F(Kbc, CommandByteIsKept) {
  command(0x60);
  data(0x65);
  command(0x20);
  EXPECT_EQ(answers(), V{0x65});
  command(0xad);
  command(0xa7);
  command(0x20);
  EXPECT_EQ(answers(), V{0x75});
  command(0xae);
  command(0xa8);
  command(0x20);
  EXPECT_EQ(answers(), V{0x45});
}

TEST_F(Kbc, OutputPortSwitchesA20AndResets) {
  command(0xd0);
  EXPECT_EQ(answers(), V{0xc3});
  command(0xd1);
  data(0xc1);
  EXPECT_FALSE(a20);
  command(0xdf);
  EXPECT_TRUE(a20);
  EXPECT_EQ(resets, 0);
  command(0xd1);
  data(0xc2);
  EXPECT_EQ(resets, 1);
  command(0xfe);
  EXPECT_EQ(resets, 2);
  command(0xff);
  EXPECT_EQ(resets, 2) << "pulses nothing";
}

TEST_F(Kbc, BuffersAreWrittenFromBothSides) {
  command(0xd2);
  data(0x42);
  EXPECT_EQ(in(0x64) & 0x21, 0x01);
  EXPECT_EQ(irqs.level(1), 1);
  EXPECT_EQ(in(0x60), 0x42);
  EXPECT_EQ(irqs.level(1), 0);
  command(0xd3);
  data(0x43);
  EXPECT_EQ(in(0x64) & 0x21, 0x21);
  EXPECT_EQ(irqs.level(12), 1);
  EXPECT_EQ(answers(), V{0x43});
}

TEST_F(Kbc, KeyboardAnswersItsCommands) {
  EXPECT_EQ(keyboard(0xff), (V{0xfa, 0xaa}));
  EXPECT_EQ(keyboard(0xf2), (V{0xfa, 0xab, 0x83}));
  EXPECT_EQ(keyboard(0xee), V{0xee});
  EXPECT_EQ(keyboard(0xf5), V{0xfa});
  EXPECT_EQ(keyboard(0xf4), V{0xfa});
  EXPECT_EQ(keyboard(0xed), V{0xfa});
  EXPECT_EQ(keyboard(0x05), V{0xfa});
  EXPECT_EQ(kbc->keyboard().leds(), 5);
  EXPECT_EQ(keyboard(0xf3), V{0xfa});
  EXPECT_EQ(keyboard(0x20), V{0xfa});
  EXPECT_EQ(keyboard(0xf0), V{0xfa});
  EXPECT_EQ(keyboard(0x00), (V{0xfa, 0x02}));
  EXPECT_EQ(keyboard(0x11), V{0xfe});
}

TEST_F(Kbc, KeysComeInTheChosenSet) {
  kbc->keyboard().key_event(0x1e, true);
  kbc->keyboard().key_event(0x1e, false);
  EXPECT_EQ(answers(), (V{0x1c, 0xf0, 0x1c}));
  command(0x60);
  data(0x41);  // translated
  kbc->keyboard().key_event(0xe052, true);
  kbc->keyboard().key_event(0xe052, false);
  EXPECT_EQ(answers(), (V{0xe0, 0x52, 0xe0, 0xd2}));
  kbc->keyboard().key_event(Ps2Keyboard::kPause, true);
  EXPECT_EQ(answers(), (V{0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5}));
  EXPECT_EQ(keyboard(0xf2), (V{0xfa, 0xab, 0x41}));
}

TEST_F(Kbc, EachByteInterrupts) {
  kbc->keyboard().key_event(0x1e, true);
  kbc->keyboard().key_event(0x1e, false);
  EXPECT_EQ(irqs.edges(1), 1);
  in(0x60);
  EXPECT_EQ(irqs.edges(1), 2);
  in(0x60);
  EXPECT_EQ(irqs.edges(1), 3);
  in(0x60);
  EXPECT_EQ(irqs.level(1), 0);
}

TEST_F(Kbc, ADisabledKeyboardWaits) {
  command(0xad);
  kbc->keyboard().key_event(0x1e, true);
  EXPECT_FALSE(full());
  command(0xae);
  EXPECT_EQ(answers(), V{0x1c});
}

TEST_F(Kbc, AFullQueueLosesKeysButNotReplies) {
  for (int i = 0; i < 100; ++i) kbc->keyboard().key_event(0x1e, true);
  data(0xee);
  const V bytes = answers();
  ASSERT_GE(bytes.size(), 17U);
  EXPECT_LE(bytes.size(), 18U);
  EXPECT_EQ(bytes[0], 0x1c) << "was in the buffer already";
  EXPECT_EQ(bytes[1], 0xee) << "replies come first";
}

TEST_F(Kbc, MouseTellsItsTypeAndMoves) {
  EXPECT_EQ(mouse(0xff), (V{0xfa, 0xaa, 0x00}));
  EXPECT_EQ(mouse(0xf2), (V{0xfa, 0x00}));
  for (uint8_t rate : {200, 100, 80}) {
    EXPECT_EQ(mouse(0xf3), V{0xfa});
    EXPECT_EQ(mouse(rate), V{0xfa});
  }
  EXPECT_EQ(mouse(0xf2), (V{0xfa, 0x03}));
  EXPECT_EQ(mouse(0xf4), V{0xfa});
  EXPECT_EQ(mouse(0xe9), (V{0xfa, 0x20, 0x02, 80}));
  kbc->mouse().move(5, -3, 1, 1);
  EXPECT_EQ(answers(), (V{0x29, 0x05, 0xfd, 0x01}));
  kbc->mouse().move(1'000'000, 0, 0, 0);
  EXPECT_GE(answers().size(), 4U);
}

TEST_F(Kbc, StateSurvives) {
  command(0x60);
  data(0x47);
  kbc->keyboard().key_event(0x1e, true);
  kbc->keyboard().key_event(0x1e, false);
  data(0xf2);
  auto saved_kbc = save(*kbc), saved_kbd = save(kbc->keyboard()), saved_mouse = save(kbc->mouse());
  EXPECT_EQ(saved_mouse.size(), 4U + 12 + 256 + 6 + 12 + 1);
  kbc->reset();
  kbc->keyboard().reset();
  kbc->mouse().reset();
  ASSERT_TRUE(load(kbc->keyboard(), saved_kbd));
  ASSERT_TRUE(load(kbc->mouse(), saved_mouse));
  ASSERT_TRUE(load(*kbc, saved_kbc));
  EXPECT_EQ(save(*kbc), saved_kbc);
  EXPECT_EQ(save(kbc->keyboard()), saved_kbd);
  EXPECT_EQ(irqs.level(1), 1);
  EXPECT_EQ(answers(), (V{0x1e, 0xfa, 0xab, 0x41, 0x9e}));
}

TEST_F(Kbc, HostileStateIsRefusedOrHarmless) {
  kbc->keyboard().key_event(0x1e, true);
  kbc->keyboard().key_event(0x1e, false);
  data(0xf2);
  auto poke = [this] {
    for (uint8_t byte : {0xf2, 0xf0, 0x00, 0xed, 0x02}) {
      keyboard(byte);
      mouse(byte);
    }
    kbc->keyboard().key_event(0xe052, true);
    kbc->mouse().move(1, 1, 1, 1);
    answers();
  };
  load_hostile(*kbc, save(*kbc), poke);
  load_hostile(kbc->keyboard(), save(kbc->keyboard()), poke);
  load_hostile(kbc->mouse(), save(kbc->mouse()), poke);
}

}  // namespace
}  // namespace rhea
