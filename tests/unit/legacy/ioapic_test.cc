#include "hw/intc/ioapic.h"

#include "tests/unit/legacy/board.h"

namespace rhea {
namespace {

class IoapicTest : public IsaBoard {
 protected:
  IoapicTest() {
    apic->memory = memory.get();
    apic->deliver = [this](const MsiMessage& m) { sent.push_back(m); };
    EXPECT_TRUE(apic->realize());
    apic->reset();
  }
  ~IoapicTest() override { apic->unrealize(); }
  uint32_t reg(uint8_t index) {
    space.store(Ioapic::kBase, index, 4);
    return static_cast<uint32_t>(space.load(Ioapic::kBase + 0x10, 4));
  }
  void set(uint8_t index, uint32_t value) {
    space.store(Ioapic::kBase, index, 4);
    space.store(Ioapic::kBase + 0x10, value, 4);
  }
  void entry(unsigned pin, uint32_t low, uint32_t high = 0) {
    set(static_cast<uint8_t>(0x11 + 2 * pin), high);
    set(static_cast<uint8_t>(0x10 + 2 * pin), low);
  }
  std::unique_ptr<MemoryRegion> memory = MemoryRegion::container("memory", MemoryRegion::kWholeSpace);
  AddressSpace space{"memory", *memory};
  std::shared_ptr<Ioapic> apic = std::make_shared<Ioapic>();
  std::vector<MsiMessage> sent;
};

TEST_F(IoapicTest, ShowsItsRegisters) {
  EXPECT_EQ(reg(1), 0x0017'0020U);
  set(0, 0x0f00'0000);
  EXPECT_EQ(reg(0), 0x0f00'0000U);
  EXPECT_EQ(reg(2), 0x0f00'0000U);
  EXPECT_EQ(reg(0x10), 0x0001'0000U);
  set(0x10, 0xffff'ffff);
  set(0x11, 0xffff'ffff);
  EXPECT_EQ(reg(0x10), 0x0001'afffU);
  EXPECT_EQ(reg(0x11), 0xff00'0000U);
  EXPECT_EQ(reg(0x40), 0U);
  EXPECT_EQ(reg(0xff), 0U);
}

TEST_F(IoapicTest, EdgesAreSentOnce) {
  entry(4, 0x0031, 0x0200'0000);
  apic->irq_in(4).raise();
  apic->irq_in(4).raise();
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_EQ(sent[0], (MsiMessage{.address = 0xfee0'2000, .data = 0x31}));
  apic->irq_in(4).lower();
  apic->irq_in(4).raise();
  EXPECT_EQ(sent.size(), 2U);
}

TEST_F(IoapicTest, AnEdgeOnAMaskedPinIsLostALevelIsNot) {
  apic->irq_in(4).pulse();
  apic->irq_in(10).raise();
  entry(4, 0x0031);
  EXPECT_EQ(sent.size(), 0U);
  entry(10, 0x8041);
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_EQ(sent[0].data, 0xc041U);
  EXPECT_EQ(reg(0x10 + 20), 0x0000'c041U);
}

TEST_F(IoapicTest, ALevelComesAgainAfterItsEnd) {
  entry(10, 0x8041);
  apic->irq_in(10).raise();
  EXPECT_EQ(sent.size(), 1U);
  apic->end_of_interrupt(0x40);
  EXPECT_EQ(sent.size(), 1U);
  space.store(Ioapic::kBase + 0x40, 0x41, 4);
  EXPECT_EQ(sent.size(), 2U) << "still high";
  apic->irq_in(10).lower();
  apic->end_of_interrupt(0x41);
  EXPECT_EQ(sent.size(), 2U);
  EXPECT_EQ(reg(0x10 + 20), 0x0000'8041U);
}

TEST_F(IoapicTest, StateSurvivesAndHostileStateIsRefusedOrHarmless) {
  entry(10, 0x8041, 0x0100'0000);
  apic->irq_in(10).raise();
  const auto saved = save(*apic);
  EXPECT_EQ(saved.size(), 1U + 1 + 8 + 4 + 24 * 8);
  apic->reset();
  ASSERT_TRUE(load(*apic, saved));
  EXPECT_EQ(save(*apic), saved);
  load_hostile(*apic, saved, [this] {
    for (int n = 0; n < 24; ++n) apic->irq_in(n).pulse();
    apic->end_of_interrupt(0x41);
    reg(0x10);
  });
}

}  // namespace
}  // namespace rhea
