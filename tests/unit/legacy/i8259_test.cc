#include "hw/intc/i8259.h"

#include "tests/unit/legacy/board.h"

namespace rhea {
namespace {

class Pic : public IsaBoard {
 protected:
  Pic() {
    master->master = true;
    master->slave = slave.get();
    master->output = IrqLine(irqs, 16);
    slave->output = master->irq_in(2);
    plug(master);
    plug(slave);
    EXPECT_TRUE(master->realize());
    EXPECT_TRUE(slave->realize());
  }
  ~Pic() override {
    slave->unrealize();
    master->unrealize();
  }
  void set_up(uint8_t icw4 = 0x01) {
    out(0x20, 0x11);
    out(0x21, 0x08);
    out(0x21, 0x04);
    out(0x21, icw4);
    out(0xa0, 0x11);
    out(0xa1, 0x70);
    out(0xa1, 0x02);
    out(0xa1, 0x01);
  }
  void pulse(I8259& pic, int n) { pic.irq_in(n).pulse(); }
  bool asked() const { return irqs.level(16) != 0; }
  std::shared_ptr<I8259> master = std::make_shared<I8259>();
  std::shared_ptr<I8259> slave = std::make_shared<I8259>();
};

TEST_F(Pic, GivesVectorsByPriority) {
  set_up();
  EXPECT_FALSE(asked());
  pulse(*master, 4);
  pulse(*master, 1);
  EXPECT_TRUE(asked());
  EXPECT_EQ(master->acknowledge(), 0x09);
  EXPECT_FALSE(asked()) << "4 waits until 1 is finished";
  out(0x20, 0x20);
  EXPECT_TRUE(asked());
  EXPECT_EQ(master->acknowledge(), 0x0c);
  out(0x20, 0x64);  // specific
  EXPECT_FALSE(asked());
}

TEST_F(Pic, TheSlaveAnswersThroughInputTwo) {
  set_up();
  pulse(*slave, 4);
  EXPECT_EQ(master->acknowledge(), 0x74);
  out(0x20, 0x0b);
  EXPECT_EQ(in(0x20), 0x04);
  out(0xa0, 0x0b);
  EXPECT_EQ(in(0xa0), 0x10);
  pulse(*slave, 0);
  EXPECT_FALSE(asked()) << "the master has 2 in service";
  out(0xa0, 0x20);
  out(0x20, 0x20);
  EXPECT_EQ(master->acknowledge(), 0x70);
}

TEST_F(Pic, MasksAndShowsRequests) {
  set_up();
  out(0x21, 0xff);
  pulse(*master, 3);
  EXPECT_FALSE(asked());
  EXPECT_EQ(in(0x21), 0xff);
  EXPECT_EQ(in(0x20), 0x08);
  out(0x21, 0x00);
  EXPECT_TRUE(asked());
}

TEST_F(Pic, ARequestWithdrawnIsSpurious) {
  set_up();
  EXPECT_EQ(master->acknowledge(), 0x0f);
  out(0x20, 0x0b);
  EXPECT_EQ(in(0x20), 0x00) << "nothing is in service";
}

TEST_F(Pic, ElcrMakesInputsLevelTriggered) {
  set_up();
  out(0x4d0, 0xff);
  EXPECT_EQ(in(0x4d0), 0xf8) << "0..2 stay edge triggered";
  master->irq_in(5).raise();
  EXPECT_EQ(master->acknowledge(), 0x0d);
  out(0x20, 0x20);
  EXPECT_TRUE(asked()) << "still high";
  master->irq_in(5).lower();
  EXPECT_FALSE(asked());
}

TEST_F(Pic, RotatesSpeciallyMasksAndPolls) {
  set_up();
  out(0x20, 0xc3);  // 4 gets the highest priority
  pulse(*master, 1);
  pulse(*master, 5);
  EXPECT_EQ(master->acknowledge(), 0x0d);
  out(0x20, 0xa0);  // rotate on EOI
  EXPECT_EQ(master->state.priority_add, 6);
  out(0x20, 0x0c);
  EXPECT_EQ(in(0x20), 0x81) << "poll acknowledges";
  out(0x20, 0x68);  // special mask
  out(0x21, 0x02);
  pulse(*master, 0);
  EXPECT_TRUE(asked());
}

TEST_F(Pic, AutoEoiLeavesNothingInService) {
  set_up(0x03);
  pulse(*master, 6);
  EXPECT_EQ(master->acknowledge(), 0x0e);
  out(0x20, 0x0b);
  EXPECT_EQ(in(0x20), 0x00);
}

TEST_F(Pic, StateSurvivesAndHostileStateIsRefusedOrHarmless) {
  set_up();
  pulse(*master, 4);
  const auto saved = save(*master);
  EXPECT_EQ(saved.size(), 16U);
  master->reset();
  EXPECT_FALSE(asked());
  ASSERT_TRUE(load(*master, saved));
  EXPECT_TRUE(asked());
  EXPECT_EQ(save(*master), saved);
  load_hostile(*master, saved, [this] {
    for (int n = 0; n < 8; ++n) pulse(*master, n);
    master->acknowledge();
    for (uint8_t v : {0x20, 0xa0, 0x0c, 0x11}) {
      out(0x20, v);
      in(0x20);
      out(0x21, v);
    }
  });
}

}  // namespace
}  // namespace rhea
