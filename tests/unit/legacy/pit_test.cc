#include "hw/timer/pcspk.h"
#include "tests/unit/legacy/board.h"

namespace rhea {
namespace {

constexpr int64_t kPitSecond = 1'000'000'000;

class Pit : public IsaBoard {
 protected:
  Pit() {
    pit->connect(*loop, clock);
    plug(pit);
    EXPECT_TRUE(pit->realize());
    pit->reset();
    speaker->pit = pit.get();
    plug(speaker);
    EXPECT_TRUE(speaker->realize());
  }
  ~Pit() override {
    speaker->unrealize();
    pit->unrealize();
  }
  void program(unsigned channel, uint8_t mode, uint16_t count) {
    out(0x43, static_cast<uint8_t>(channel << 6 | 0x30 | mode << 1));
    out(static_cast<uint16_t>(0x40 + channel), static_cast<uint8_t>(count));
    out(static_cast<uint16_t>(0x40 + channel), static_cast<uint8_t>(count >> 8));
  }
  unsigned count(unsigned channel) {
    out(0x43, static_cast<uint8_t>(channel << 6));
    const unsigned low = in(static_cast<uint16_t>(0x40 + channel));
    return low | unsigned{in(static_cast<uint16_t>(0x40 + channel))} << 8;
  }
  uint8_t status(unsigned channel) {
    out(0x43, static_cast<uint8_t>(0xe0 | 2u << channel));
    return in(static_cast<uint16_t>(0x40 + channel));
  }
  static int64_t ticks(int64_t n) { return (n * kPitSecond + kPitHz - 1) / kPitHz; }
  std::shared_ptr<I8254> pit = std::make_shared<I8254>();
  std::shared_ptr<Pcspk> speaker = std::make_shared<Pcspk>();
};

TEST_F(Pit, RateGeneratorKeepsItsRate) {
  program(0, 2, 11932);  // 100 Hz
  for (int i = 0; i < 100; ++i) step(kPitSecond / 100);
  EXPECT_NEAR(irqs.edges(0), 100, 1);
  const int before = irqs.edges(0);
  step(kPitSecond);
  EXPECT_NEAR(irqs.edges(0) - before, 100, 1) << "late ticks are made up for";
}

TEST_F(Pit, SquareWaveIsHighForHalfItsPeriod) {
  program(0, 3, 1000);
  EXPECT_EQ(irqs.level(0), 1);
  step(ticks(499));
  EXPECT_EQ(irqs.level(0), 1);
  step(ticks(2));
  EXPECT_EQ(irqs.level(0), 0);
  step(ticks(500));
  EXPECT_EQ(irqs.level(0), 1);
}

TEST_F(Pit, InterruptOnTerminalCountStrikesOnce) {
  program(0, 0, 1000);
  EXPECT_EQ(irqs.level(0), 0);
  step(ticks(400));
  EXPECT_EQ(count(0), 600U);
  step(ticks(601));
  EXPECT_EQ(irqs.level(0), 1);
  step(kPitSecond);
  EXPECT_EQ(irqs.edges(0), 1);
  out(0x43, 0x30);
  EXPECT_EQ(irqs.level(0), 0) << "a new mode word lowers it";
}

TEST_F(Pit, StrobeIsOneTickLow) {
  program(0, 4, 500);
  const int before = irqs.edges(0);
  step(ticks(499));
  EXPECT_EQ(irqs.level(0), 1);
  step(kPitSecond);
  EXPECT_EQ(irqs.edges(0), before + 1);
}

TEST_F(Pit, LatchHoldsAndReadBackTellsTheMode) {
  program(1, 2, 0x1234);
  step(ticks(0x34));
  out(0x43, 0x40);
  step(ticks(0x100));
  EXPECT_EQ(in(0x41), 0x00);
  EXPECT_EQ(in(0x41), 0x12);
  EXPECT_EQ(status(1), 0xb4);
  out(0x43, 0x56);
  EXPECT_EQ(status(1) & 0x40, 0x40) << "no count yet";
  out(0x41, 0x10);
  EXPECT_EQ(status(1) & 0x7f, 0x16);
}

TEST_F(Pit, CountsInBcd) {
  out(0x43, 0x31);
  out(0x40, 0x00);
  out(0x40, 0x10);
  step(ticks(1));
  EXPECT_EQ(count(0), 0x0999U);
}

TEST_F(Pit, GateStopsAndContinues) {
  out(0x61, 0x00);
  program(2, 0, 1000);
  step(ticks(5000));
  EXPECT_EQ(count(2), 1000U) << "the gate is closed";
  out(0x61, 0x01);
  step(ticks(300));
  EXPECT_EQ(count(2), 700U);
  out(0x61, 0x00);
  step(ticks(300));
  EXPECT_EQ(count(2), 700U);
  EXPECT_EQ(in(0x61) & 0x20, 0x00);
  out(0x61, 0x03);
  step(ticks(701));
  EXPECT_EQ(in(0x61) & 0x23, 0x23);
}

TEST_F(Pit, OneShotWaitsForItsGate) {
  out(0x61, 0x00);
  program(2, 1, 100);
  EXPECT_EQ(in(0x61) & 0x20, 0x20);
  out(0x61, 0x01);
  EXPECT_EQ(in(0x61) & 0x20, 0x00);
  step(ticks(101));
  EXPECT_EQ(in(0x61) & 0x20, 0x20);
}

TEST_F(Pit, RefreshToggles) {
  EXPECT_NE(in(0x61) & 0x10, in(0x61) & 0x10);
}

TEST_F(Pit, AFastCounterDoesNotFloodTheHost) {
  for (uint16_t n : {1, 2, 3}) {
    program(0, 2, n);
    const int before = irqs.edges(0);
    step(kPitSecond / 10);
    EXPECT_LT(irqs.edges(0) - before, 2500);
  }
}

TEST_F(Pit, StateSurvives) {
  program(0, 2, 11932);
  program(2, 0, 30000);
  step(ticks(100));
  const auto saved = save(*pit);
  EXPECT_EQ(saved.size(), 4U + 3 * (4 + 2 + 10 + 8 + 8) + 8);
  pit->reset();
  step(ticks(50));
  ASSERT_TRUE(load(*pit, saved));
  EXPECT_EQ(save(*pit), saved);
  const int before = irqs.edges(0);
  step(kPitSecond);
  EXPECT_NEAR(irqs.edges(0) - before, 100, 1);
}

TEST_F(Pit, HostileStateIsRefusedOrHarmless) {
  program(0, 2, 50);
  load_hostile(*pit, save(*pit), [this] {
    for (unsigned c = 0; c < 3; ++c) {
      count(c);
      status(c);
    }
    in(0x61);
    step(1000);
  });
  program(0, 3, 100);
  step(ticks(200));
}

}  // namespace
}  // namespace rhea
