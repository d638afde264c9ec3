#include "hw/char/serial.h"

#include <deque>

#include "chardev/chardev.h"
#include "tests/unit/legacy/board.h"

namespace rhea {
namespace {

/// The other side of the line: remembers what was sent, and can stop taking it.
class Line final : public Chardev {
 public:
  Line() : Chardev("line") { set_open(true); }
  std::string_view backend() const override { return "test"; }
  using Chardev::deliver;
  using Chardev::emit;
  using Chardev::flush_backlog;
  using Chardev::input_room;
  size_t push(std::span<const uint8_t> data) override {
    if (!taking) return 0;
    sent.append(data.begin(), data.end());
    return data.size();
  }
  void send_break() override { ++breaks; }
  std::string sent;
  bool taking = true;
  int breaks = 0;
};

class Serial : public IsaBoard {
 protected:
  Serial() {
    serial = plug(std::make_shared<IsaSerial>());
    serial->connect(*loop, clock);
    EXPECT_TRUE(serial->uart.chardev.attach(line));
    EXPECT_TRUE(serial->realize());
    serial->reset();
  }
  ~Serial() override { serial->unrealize(); }
  void receive(std::string_view text) {
    line.deliver(std::span(reinterpret_cast<const uint8_t*>(text.data()), text.size()));
  }
  static constexpr uint16_t kRbr = 0x3f8, kThr = 0x3f8, kIer = 0x3f9, kIir = 0x3fa, kFcr = 0x3fa,
                            kLcr = 0x3fb, kMcr = 0x3fc, kLsr = 0x3fd, kMsr = 0x3fe, kScr = 0x3ff;
  Line line;
  std::shared_ptr<IsaSerial> serial;
};

TEST_F(Serial, StartsAsTheDataSheetSays) {
  EXPECT_EQ(in(kIer), 0x00);
  EXPECT_EQ(in(kIir), 0x01);
  EXPECT_EQ(in(kLcr), 0x00);
  EXPECT_EQ(in(kLsr), 0x60);
  EXPECT_EQ(in(kMsr), 0xb0);
}

TEST_F(Serial, ScratchAndDividerHoldWhatIsWritten) {
  out(kScr, 0xa5);
  EXPECT_EQ(in(kScr), 0xa5);
  out(kLcr, 0x83);
  out(kThr, 0x34);
  out(kIer, 0x12);
  EXPECT_EQ(in(kRbr), 0x34);
  EXPECT_EQ(in(kIer), 0x12);
  EXPECT_EQ(serial->uart.state.divider, 0x1234);
  out(kLcr, 0x03);
  EXPECT_EQ(in(kIer), 0x00);
}

TEST_F(Serial, SendsAtOnce) {
  for (char c : std::string_view("Rhea")) {
    EXPECT_EQ(in(kLsr)&0x60, 0x60);
    out(kThr, static_cast<uint8_t>(c));
  }
  EXPECT_EQ(line.sent, "Rhea");
}

TEST_F(Serial, TransmitterEmptyInterruptsAndIirTakesIt) {
  out(kIer, 0x02);
  EXPECT_EQ(irqs.level(4), 1) << "enabling it while empty interrupts";
  EXPECT_EQ(in(kIir), 0x02);
  EXPECT_EQ(irqs.level(4), 0);
  EXPECT_EQ(in(kIir), 0x01);
  out(kThr, 'x');
  EXPECT_EQ(irqs.level(4), 1);
}

TEST_F(Serial, WaitsForAReaderThatSleepsAndLosesNothingBeforeTheFifoIsFull) {
  line.taking = false;
  out(kFcr, 0x01);
  size_t written = 0;
  while ((in(kLsr)&0x20) != 0 && written < 200'000) {
    out(kThr, static_cast<uint8_t>('a' + written++ % 26));
  }
  EXPECT_GE(written, Chardev::kBacklogBytes);
  ASSERT_LT(written, 200'000U) << "the transmitter never got busy";
  const auto saved = save(*serial);
  EXPECT_TRUE(load(*serial, saved));
  EXPECT_EQ(save(*serial), saved);
  line.taking = true;
  line.flush_backlog();
  EXPECT_EQ(in(kLsr)&0x60, 0x60);
  EXPECT_EQ(line.sent.size(), written);
  for (size_t i = 0; i < line.sent.size(); ++i) ASSERT_EQ(line.sent[i], static_cast<char>('a' + i % 26));
}

TEST_F(Serial, ReceivesWithoutFifo) {
  out(kIer, 0x01);
  EXPECT_EQ(line.input_room(), 1U);
  receive("k");
  EXPECT_EQ(line.input_room(), 0U);
  EXPECT_EQ(irqs.level(4), 1);
  EXPECT_EQ(in(kIir), 0x04);
  EXPECT_EQ(in(kLsr)&0x01, 0x01);
  EXPECT_EQ(in(kRbr), 'k');
  EXPECT_EQ(in(kLsr)&0x01, 0x00);
  EXPECT_EQ(irqs.level(4), 0);
}

TEST_F(Serial, FifoInterruptsAtTheTriggerAndAfterFourCharacterTimes) {
  out(kFcr, 0x81);  // trigger at 8
  out(kIer, 0x01);
  EXPECT_EQ(line.input_room(), 8U);
  receive("abc");
  EXPECT_EQ(irqs.level(4), 0);
  EXPECT_EQ(in(kIir), 0xc1);
  step(10'000'000);
  EXPECT_EQ(irqs.level(4), 1);
  EXPECT_EQ(in(kIir), 0xcc);
  EXPECT_EQ(in(kRbr), 'a');
  EXPECT_EQ(irqs.level(4), 0) << "reading begins a new time-out";
  receive("defghi");
  EXPECT_EQ(in(kIir), 0xc4);
  std::string rest;
  while ((in(kLsr)&1) != 0) rest += static_cast<char>(in(kRbr));
  EXPECT_EQ(rest, "bcdefghi");
  step(10'000'000);
  EXPECT_EQ(irqs.level(4), 0);
}

TEST_F(Serial, LoopbackReturnsCharactersAndModemLines) {
  out(kMcr, 0x1a);  // loop, OUT2, RTS
  EXPECT_EQ(in(kMsr)&0xf0, 0x90);
  out(kMcr, 0x15);  // loop, OUT1, DTR
  EXPECT_EQ(in(kMsr)&0xf0, 0x60);
  out(kThr, 'z');
  EXPECT_EQ(in(kLsr)&0x01, 0x01);
  EXPECT_EQ(in(kRbr), 'z');
  EXPECT_EQ(line.sent, "");
  EXPECT_EQ(line.input_room(), 0U);
}

TEST_F(Serial, BreaksGoBothWays) {
  out(kLcr, 0x43);
  EXPECT_EQ(line.breaks, 1);
  out(kIer, 0x04);
  line.emit(CharEvent::kBreak);
  EXPECT_EQ(in(kIir), 0x06);
  EXPECT_EQ(in(kLsr)&0x11, 0x11);
  EXPECT_EQ(in(kIir), 0x01);
}

TEST_F(Serial, OverrunIsALineErrorOfHighestPriority) {
  out(kIer, 0x07);
  out(kMcr, 0x10);
  out(kThr, '1');
  out(kThr, '2');
  EXPECT_EQ(in(kIir), 0x06);
  EXPECT_EQ(in(kLsr)&0x02, 0x02);
  EXPECT_EQ(in(kIir), 0x04);
  EXPECT_EQ(in(kRbr), '2');
  EXPECT_EQ(in(kIir), 0x02);
}

TEST_F(Serial, PlainStateIsTenBytesAndTheDivider) {
  // divider (2), rbr, ier, iir, lcr, mcr, lsr, msr, scr, fcr
  const std::vector<uint8_t> expected = {0x00, 0x0c, 0, 0, 0x01, 0, 0x08, 0x60, 0xb0, 0, 0};
  EXPECT_EQ(save(*serial), expected);
}

TEST_F(Serial, StateSurvivesWithAFullReceiver) {
  out(kFcr, 0xc1);
  out(kIer, 0x03);
  receive("hello");
  const auto saved = save(*serial);
  serial->reset();
  EXPECT_TRUE(load(*serial, saved));
  EXPECT_EQ(save(*serial), saved);
  step(10'000'000);
  EXPECT_EQ(in(kIir), 0xcc) << "the time-out goes on";
  std::string text;
  while ((in(kLsr)&1) != 0) text += static_cast<char>(in(kRbr));
  EXPECT_EQ(text, "hello");
}

TEST_F(Serial, HostileStateIsRefusedOrHarmless) {
  out(kFcr, 0xc1);
  receive("hello");
  load_hostile(*serial, save(*serial), [this] {
    for (int i = 0; i < 40; ++i) in(kRbr);
    out(kThr, 'x');
    in(kIir);
    step(1'000'000);
  });
}

TEST_F(Serial, PortsFollowTheirNumber) {
  auto second = plug(std::make_shared<IsaSerial>());
  second->connect(*loop, clock);
  ASSERT_TRUE(second->realize());
  EXPECT_EQ(second->index, 1U);
  EXPECT_EQ(second->iobase, 0x2f8U);
  EXPECT_EQ(second->irq, 3U);
  auto fifth = plug(std::make_shared<IsaSerial>());
  fifth->connect(*loop, clock);
  fifth->index = 4;
  EXPECT_FALSE(fifth->realize());
  auto odd = plug(std::make_shared<IsaSerial>());
  odd->connect(*loop, clock);
  odd->irq = 16;
  EXPECT_FALSE(odd->realize());
  second->unrealize();
}

}  // namespace
}  // namespace rhea
