#include "hw/rtc/mc146818.h"
#include "tests/unit/legacy/board.h"

namespace rhea {
namespace {

constexpr int64_t kRtcSecond = 1'000'000'000;

class Rtc : public IsaBoard {
 protected:
  Rtc() {
    rtc->base_year = 0;
    rtc->options.clock = RtcOptions::Source::kVirtual;
    rtc->options.base = RtcOptions::Base::kDate;
    rtc->options.date_unix_s =
        unix_from_civil({.year = 2024, .month = 2, .day = 28, .hour = 23, .minute = 59, .second = 58});
    rtc->connect(*loop, clock);
    plug(rtc);
    EXPECT_TRUE(rtc->realize());
    rtc->reset();
  }
  ~Rtc() override { rtc->unrealize(); }
  uint8_t reg(uint8_t index) {
    out(0x70, index);
    return in(0x71);
  }
  void set(uint8_t index, uint8_t value) {
    out(0x70, index);
    out(0x71, value);
  }
  std::shared_ptr<Mc146818> rtc = std::make_shared<Mc146818>();
};

TEST(CivilTime, GoesBothWays) {
  for (int64_t s :
       {int64_t{0}, int64_t{951'782'399}, int64_t{951'782'400}, int64_t{4'102'444'800}, int64_t{-86'401},
        int64_t{253'402'300'799}, int64_t{-62'167'219'200}, int64_t{1'709'164'800}})
    EXPECT_EQ(unix_from_civil(civil_from_unix(s)), s);
  const CivilTime leap = civil_from_unix(1'709'164'800);  // 2024-02-29
  EXPECT_EQ(leap, (CivilTime{.year = 2024, .month = 2, .day = 29, .weekday = 4}));
}

TEST(CivilTime, AgreesWithTheCLibrary) {
  for (int64_t s = -3'000'000'000; s < 8'000'000'000; s += 86'399 * 7 + 13) {
    const time_t t = s;
    tm utc{};
    gmtime_r(&t, &utc);
    const CivilTime c = civil_from_unix(s);
    ASSERT_EQ(c.year, utc.tm_year + 1900) << s;
    ASSERT_EQ(c.month, utc.tm_mon + 1) << s;
    ASSERT_EQ(c.day, utc.tm_mday) << s;
    ASSERT_EQ(c.weekday, utc.tm_wday) << s;
    ASSERT_EQ(c.hour * 3600 + c.minute * 60 + c.second, utc.tm_hour * 3600 + utc.tm_min * 60 + utc.tm_sec)
        << s;
  }
}

TEST_F(Rtc, ShowsTheTimeInBcd) {
  EXPECT_EQ(reg(0), 0x58);
  EXPECT_EQ(reg(2), 0x59);
  EXPECT_EQ(reg(4), 0x23);
  EXPECT_EQ(reg(6), 0x04);  // Wednesday
  EXPECT_EQ(reg(7), 0x28);
  EXPECT_EQ(reg(8), 0x02);
  EXPECT_EQ(reg(9), 0x24);
  EXPECT_EQ(reg(0x32), 0x20);
  EXPECT_EQ(reg(0x37), 0x20);
  EXPECT_EQ(reg(0x0d), 0x80);
  step(2 * kRtcSecond);
  EXPECT_EQ(reg(0), 0x00);
  EXPECT_EQ(reg(4), 0x00);
  EXPECT_EQ(reg(7), 0x29) << "2024 is a leap year";
}

TEST_F(Rtc, ShowsTwelveHoursAndBinary) {
  set(0x0b, 0x04);
  EXPECT_EQ(reg(4), 0x80 | 11);
  EXPECT_EQ(reg(2), 59);
  step(2 * kRtcSecond);
  EXPECT_EQ(reg(4), 12) << "midnight";
}

TEST_F(Rtc, ShowsThatAnUpdateIsNear) {
  EXPECT_EQ(reg(0x0a), 0x26);
  step(kRtcSecond - 250'000);
  EXPECT_EQ(reg(0x0a), 0x26);
  step(50'000);
  EXPECT_EQ(reg(0x0a), 0xa6);
  step(200'000);
  EXPECT_EQ(reg(0x0a), 0x26);
}

TEST_F(Rtc, SettingTheTimeIsReported) {
  int64_t change = 0;
  rtc->on_change = [&](int64_t s) { change = s; };
  set(0x0b, 0x82);
  set(4, 0x22);
  step(5 * kRtcSecond);
  EXPECT_EQ(reg(0), 0x58) << "stands still";
  set(0x0b, 0x02);
  EXPECT_EQ(reg(4), 0x22);
  EXPECT_NEAR(static_cast<double>(change), -3600, 2);
  step(kRtcSecond);
  EXPECT_EQ(reg(0), 0x59);
}

TEST_F(Rtc, TheDividerStartsHalfASecondBeforeAnUpdate) {
  set(0x0a, 0x76);
  step(10 * kRtcSecond);
  EXPECT_EQ(reg(0), 0x58);
  set(0x0a, 0x26);
  step(kRtcSecond / 2 - 1);
  EXPECT_EQ(reg(0), 0x58);
  step(1);
  EXPECT_EQ(reg(0), 0x59);
}

TEST_F(Rtc, UpdateEndedInterrupts) {
  reg(0x0c);
  set(0x0b, 0x12);
  EXPECT_EQ(irqs.level(8), 0);
  step(kRtcSecond);
  EXPECT_EQ(irqs.level(8), 1);
  EXPECT_EQ(reg(0x0c) & 0x90, 0x90);
  EXPECT_EQ(irqs.level(8), 0);
  step(kRtcSecond);
  EXPECT_EQ(irqs.edges(8), 2);
}

TEST_F(Rtc, FlagsAppearWithoutInterrupts) {
  reg(0x0c);
  EXPECT_EQ(reg(0x0c), 0);
  step(kRtcSecond);
  EXPECT_EQ(reg(0x0c) & 0x90, 0x10);
  EXPECT_EQ(irqs.edges(8), 0);
}

TEST_F(Rtc, AlarmRingsAtItsTimeOnly) {
  set(1, 0x05);
  set(3, 0x00);
  set(5, 0xff);  // any hour
  set(0x0b, 0x22);
  step(6 * kRtcSecond);
  EXPECT_EQ(irqs.level(8), 0);
  step(kRtcSecond);
  EXPECT_EQ(irqs.level(8), 1);
  EXPECT_EQ(reg(0x0c) & 0xa0, 0xa0);
  step(3599 * kRtcSecond);
  EXPECT_EQ(irqs.level(8), 0);
  step(kRtcSecond);
  EXPECT_EQ(irqs.level(8), 1);
}

TEST_F(Rtc, PeriodicInterruptKeepsItsRate) {
  set(0x0a, 0x26);  // 1024 Hz
  set(0x0b, 0x42);
  for (int i = 0; i < 4096; ++i) {
    step(kRtcSecond / 4096);
    if (irqs.level(8) != 0) {
      EXPECT_EQ(reg(0x0c) & 0xc0, 0xc0);
    }
  }
  EXPECT_NEAR(irqs.edges(8), 1024, 1);
}

TEST_F(Rtc, APeriodCountsFromTheLastInterrupt) {
  set(0x0a, 0x2d);  // 8 Hz
  set(0x0b, 0x42);
  for (int i = 0; i < 4; ++i) {
    step(kRtcSecond / 8 + 1000);
    EXPECT_EQ(irqs.level(8), 1) << i;
    reg(0x0c);
    set(0x0a, 0x2f);  // 2 Hz: half a second from that one
    step(kRtcSecond / 2 - 10'000);
    EXPECT_EQ(irqs.level(8), 0) << i;
    step(10'000);
    EXPECT_EQ(irqs.level(8), 1) << i;
    reg(0x0c);
    set(0x0a, 0x2d);
  }
}

TEST_F(Rtc, SlewingMakesUpForLostTicks) {
  rtc->lost_tick_policy = LostTickPolicy::kSlew;
  set(0x0b, 0x42);
  step(kRtcSecond);  // a guest that looks late has lost 1023 of 1024 ticks
  int seen = 0;
  while (irqs.level(8) != 0 && seen < 5000) {
    EXPECT_EQ(reg(0x0c) & 0xc0, 0xc0);
    ++seen;
  }
  EXPECT_NEAR(seen, 1024, 2);
}

TEST_F(Rtc, NvramKeepsBytesAndPort70MasksNmi) {
  rtc->set_cmos(0x34, 0x77);
  EXPECT_EQ(reg(0x34), 0x77);
  set(0x7f, 0x5a);
  EXPECT_EQ(rtc->cmos(0x7f), 0x5a);
  EXPECT_FALSE(rtc->nmi_masked());
  out(0x70, 0x80);
  EXPECT_TRUE(rtc->nmi_masked());
  EXPECT_EQ(in(0x70), 0xff);
}

TEST_F(Rtc, StateSurvives) {
  set(0x0b, 0x42);
  step(3 * kRtcSecond / 2);
  const auto saved = save(*rtc);
  EXPECT_EQ(saved.size(), 128U + 1 + 28 + 8 + 8 + 24 + 4 + 4 + 8 + 8 + 8 + 8 + 8);
  set(0x0b, 0x82);
  set(9, 0x99);
  ASSERT_TRUE(load(*rtc, saved));
  EXPECT_EQ(save(*rtc), saved);
  EXPECT_EQ(reg(0), 0x59);
  EXPECT_EQ(reg(9), 0x24);
}

TEST_F(Rtc, HostileStateIsRefusedOrHarmless) {
  set(0x0b, 0x72);
  load_hostile(*rtc, save(*rtc), [this] {
    for (uint8_t i = 0; i < 0x40; ++i) reg(i);
    step(10'000'000);
    reg(0x0c);
  });
}

TEST_F(Rtc, BytesThatAreNoTimeDoNoHarm) {
  for (uint8_t value : {0x00, 0x7f, 0x99, 0xff}) {
    for (uint8_t index : {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0x32}) {
      set(index, value);
      step(kRtcSecond / 4);
      for (uint8_t i = 0; i < 0x0e; ++i) reg(i);
    }
    set(0x0b, 0x36);
    const auto saved = save(*rtc);
    EXPECT_TRUE(load(*rtc, saved));
  }
}

}  // namespace
}  // namespace rhea
