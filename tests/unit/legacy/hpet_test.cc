#include "hw/timer/hpet.h"

#include "tests/unit/legacy/board.h"

namespace rhea {
namespace {

constexpr uint64_t kId = 0x00, kConfig = 0x10, kStatus = 0x20, kCounter = 0xf0;
constexpr uint64_t kOn = 1, kLegacy = 2;
constexpr uint64_t kLevel = 2, kInterrupt = 4, kPeriodic = 8, kSetValue = 0x40, kNarrow = 0x100,
                   kMessages = 0x4000;
constexpr int kRoute = 2;
constexpr int64_t kTick = 10;

class HpetTest : public IsaBoard {
 protected:
  HpetTest() { start(*hpet); }
  ~HpetTest() override { hpet->unrealize(); }
  void start(Hpet& d) {
    d.connect(*loop, clock);
    d.memory = memory.get();
    d.intcap = 1u << kRoute;
    for (int n = 0; n < 24; ++n) d.gsi[static_cast<size_t>(n)] = IrqLine(irqs, n);
    d.on_pit_enabled = [this](bool on) { pit_enabled = on; };
    d.send_message = [this](const MsiMessage& m) { sent.push_back(m); };
    EXPECT_TRUE(d.realize());
    d.reset();
  }
  static uint64_t config_of(unsigned n) { return 0x100 + n * 0x20; }
  static uint64_t comparator_of(unsigned n) { return 0x108 + n * 0x20; }
  uint64_t get(uint64_t offset, unsigned size = 8) { return space.load(Hpet::kBase + offset, size); }
  void set(uint64_t offset, uint64_t value, unsigned size = 8) {
    space.store(Hpet::kBase + offset, value, size);
  }
  void timer(unsigned n, uint64_t config, uint64_t at) {
    set(config_of(n), config | kRoute << 9);
    set(comparator_of(n), at);
  }
  std::unique_ptr<MemoryRegion> memory = MemoryRegion::container("memory", MemoryRegion::kWholeSpace);
  AddressSpace space{"memory", *memory};
  std::shared_ptr<Hpet> hpet = std::make_shared<Hpet>();
  bool pit_enabled = true;
  std::vector<MsiMessage> sent;
};

TEST_F(HpetTest, ShowsWhatItIs) {
  EXPECT_EQ(get(kId), 0x0098'9680'8086'a201U);
  EXPECT_EQ(get(kId, 4), 0x8086'a201U);
  EXPECT_EQ(get(kId + 4, 4), 10'000'000U) << "femtoseconds";
  EXPECT_EQ(get(config_of(0)), 0x0000'0004'0000'0030U);
  EXPECT_EQ(get(comparator_of(2)), UINT64_MAX);
  EXPECT_EQ(get(config_of(3)), 0U) << "no fourth timer";
  EXPECT_EQ(hpet->block_id(), 0x8086'a201U);
}

TEST_F(HpetTest, OnlyTheBitsThereAreCanBeWritten) {
  set(kConfig, ~kOn);
  EXPECT_EQ(get(kConfig), kLegacy);
  set(config_of(1), UINT64_MAX);
  EXPECT_EQ(get(config_of(1)), 0x0000'0004'0000'3f7eU);
  set(kId, 0);
  EXPECT_EQ(get(kId, 4), 0x8086'a201U);
}

TEST_F(HpetTest, CountsWhileEnabled) {
  set(kCounter, 0x1'0000'0005);
  EXPECT_EQ(get(kCounter), 0x1'0000'0005U);
  step(1000);
  EXPECT_EQ(get(kCounter), 0x1'0000'0005U);
  set(kConfig, kOn);
  step(1000);
  EXPECT_EQ(get(kCounter), 0x1'0000'0069U);
  set(kCounter, 7);
  EXPECT_EQ(get(kCounter), 0x1'0000'0069U) << "not set while it counts";
  set(kConfig, 0);
  step(1000);
  EXPECT_EQ(get(kCounter), 0x1'0000'0069U);
  set(kCounter + 4, 9, 4);
  EXPECT_EQ(get(kCounter), 0x9'0000'0069U);
}

TEST_F(HpetTest, ATimerGoesOffOnce) {
  timer(0, kInterrupt, 100);
  set(kConfig, kOn);
  step(99 * kTick);
  EXPECT_EQ(irqs.edges(kRoute), 0);
  step(kTick);
  EXPECT_EQ(irqs.edges(kRoute), 1);
  EXPECT_EQ(irqs.level(kRoute), 0) << "a pulse";
  EXPECT_EQ(get(kStatus), 0U);
  step(1'000'000);
  EXPECT_EQ(irqs.edges(kRoute), 1);
  timer(0, kInterrupt, 50);
  step(kTick);
  EXPECT_EQ(irqs.edges(kRoute), 2) << "what the counter has passed counts as now";
}

TEST_F(HpetTest, ALevelStaysUntilItIsAcknowledged) {
  timer(1, kInterrupt | kLevel, 10);
  set(kConfig, kOn);
  step(10 * kTick);
  EXPECT_EQ(irqs.level(kRoute), 1);
  EXPECT_EQ(get(kStatus), 2U);
  set(kStatus, 1);
  EXPECT_EQ(irqs.level(kRoute), 1);
  set(kStatus, 2);
  EXPECT_EQ(irqs.level(kRoute), 0);
  EXPECT_EQ(get(kStatus), 0U);
}

TEST_F(HpetTest, APeriodicTimerKeepsItsPeriod) {
  timer(0, kInterrupt | kPeriodic | kSetValue, 100'000);
  EXPECT_EQ(get(config_of(0)) & kSetValue, 0U) << "once only";
  set(kConfig, kOn);
  for (int i = 0; i < 10; ++i) step(100'000 * kTick);
  EXPECT_EQ(irqs.edges(kRoute), 10);
  EXPECT_EQ(get(comparator_of(0)), 1'100'000U);
  step(350'000 * kTick);  // nobody looked for three periods and a half
  EXPECT_EQ(get(comparator_of(0)), 1'400'000U);
  // Half a register at a time: the other half of the period stays.
  set(comparator_of(0), 200'000, 4);
  EXPECT_EQ(hpet->state.timers[0].period, 200'000U);
  set(comparator_of(0) + 4, 1, 4);
  EXPECT_EQ(hpet->state.timers[0].period, 0x1'0000'0000 + 200'000U);
  EXPECT_EQ(get(comparator_of(0)), 1'400'000U);
}

TEST_F(HpetTest, APeriodThatCannotBeKeptDoesNotKeepUsBusy) {
  timer(0, kInterrupt | kPeriodic | kSetValue, 1);
  set(kConfig, kOn);
  step(1'000'000);
  EXPECT_LE(irqs.edges(kRoute), 101);
  EXPECT_GE(irqs.edges(kRoute), 1);
}

TEST_F(HpetTest, ANarrowTimerAlsoGoesOffWhenItsCounterWraps) {
  set(kCounter, UINT32_MAX - 100);
  timer(0, kInterrupt | kNarrow, 50);
  set(comparator_of(0) + 4, 1, 4);
  EXPECT_EQ(get(comparator_of(0)), 50U) << "there is no upper half";
  set(kConfig, kOn);
  step(99 * kTick);
  EXPECT_EQ(irqs.edges(kRoute), 0);
  step(2 * kTick);
  EXPECT_EQ(irqs.edges(kRoute), 1);
  step(51 * kTick);
  EXPECT_EQ(irqs.edges(kRoute), 2);
  step(1'000'000);
  EXPECT_EQ(irqs.edges(kRoute), 2);
}

TEST_F(HpetTest, LegacyReplacementTakesLinesZeroAndEight) {
  const IrqLine board_timer = hpet->irq_in(Hpet::kPitInput), board_clock = hpet->irq_in(Hpet::kRtcInput);
  board_timer.pulse();
  EXPECT_EQ(irqs.edges(0), 1);
  timer(0, kInterrupt, 10);
  timer(1, kInterrupt, 20);
  set(kConfig, kOn | kLegacy);
  EXPECT_FALSE(pit_enabled);
  board_timer.pulse();
  board_clock.raise();
  EXPECT_EQ(irqs.edges(0), 1);
  EXPECT_EQ(irqs.level(8), 0);
  step(10 * kTick);
  EXPECT_EQ(irqs.edges(0), 2);
  step(10 * kTick);
  EXPECT_EQ(irqs.edges(8), 1);
  EXPECT_EQ(irqs.edges(kRoute), 0);
  set(kConfig, kOn);
  EXPECT_TRUE(pit_enabled);
  EXPECT_EQ(irqs.level(8), 1) << "what the clock has been saying";
}

TEST_F(HpetTest, MessagesIfItHasThem) {
  hpet->unrealize();
  hpet = std::make_shared<Hpet>();
  hpet->msi = true;
  hpet->timers = 40;
  start(*hpet);
  EXPECT_EQ(get(kId, 4), 0x8086'bf01U) << "at most 32 timers";
  timer(23, kInterrupt | kMessages, 10);
  set(config_of(23) + 0x10, 0xfee0'1000'0000'4041);
  set(kConfig, kOn);
  step(10 * kTick);
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_EQ(sent[0].address, 0xfee0'1000U);
  EXPECT_EQ(sent[0].data, 0x4041U);
  EXPECT_EQ(irqs.edges(kRoute), 0);
}

TEST_F(HpetTest, ARouteThatIsNotThereGoesNowhere) {
  set(config_of(0), kInterrupt | 31 << 9);
  set(comparator_of(0), 10);
  set(kConfig, kOn);
  step(10 * kTick);
  set(config_of(0), 0);
  set(kStatus, UINT64_MAX);
}

TEST_F(HpetTest, ResetGivesTheLinesBack) {
  timer(0, kInterrupt, 100);
  set(kConfig, kOn | kLegacy);
  step(50 * kTick);
  hpet->reset();
  EXPECT_TRUE(pit_enabled);
  EXPECT_EQ(get(kConfig), 0U);
  EXPECT_EQ(get(kCounter), 0U);
  EXPECT_EQ(get(comparator_of(0)), UINT64_MAX);
  step(1'000'000);
  EXPECT_EQ(irqs.edges(0), 0);
}

TEST_F(HpetTest, StateTravels) {
  timer(0, kInterrupt | kPeriodic | kSetValue, 100'000);
  timer(2, kInterrupt | kLevel, 30'000);
  set(kConfig, kOn);
  step(60'000 * kTick);
  const std::vector<uint8_t> saved = save(*hpet);
  hpet->reset();
  step(1'000'000);
  ASSERT_TRUE(load(*hpet, saved));
  EXPECT_EQ(get(kStatus), 4U);
  EXPECT_EQ(get(kCounter), 160'000U) << "guest time goes on at the other end; here it has";
  EXPECT_EQ(get(comparator_of(0)), 100'000U);
  const int before = irqs.edges(kRoute);
  step(100'000 * kTick);
  EXPECT_GT(irqs.edges(kRoute) + irqs.level(kRoute), before);
  load_hostile(*hpet, saved, [this] {
    step(2'000'000);
    std::ignore = get(kCounter);
  });
}

TEST_F(HpetTest, NeedsAnInterruptToBeRoutedTo) {
  Hpet other;
  other.connect(*loop, clock);
  const Result<> r = other.realize();
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().message(), "hpet.hpet-intcap property is not set");
}

}  // namespace
}  // namespace rhea
