#include "hw/input/vmport.h"

#include "hw/input/i8042.h"
#include "hw/input/vmmouse.h"
#include "tests/unit/legacy/board.h"

namespace rhea {
namespace {

/// A processor that is nothing but its registers.
class PlainVcpu final : public Vcpu {
 public:
  PlainVcpu() : Vcpu({.cpuid = {{.function = 1, .ecx = 1u << 21}}}) {}
  int thread_id() const override { return 1; }
  void run_on(std::function<void()> fn) override { fn(); }
  Result<X86State> get_state() override { return X86State(); }
  Result<> set_state(const X86State&) override { return {}; }
  Result<> inject_nmi() override { return {}; }
  Result<> change_registers(const std::function<void(GeneralRegisters&)>& fn) override {
    fn(r);
    return {};
  }
  GeneralRegisters r{};
};

class Backdoor : public IsaBoard {
 protected:
  static constexpr uint32_t kMagic = 0x564d5868;
  Backdoor() {
    plug(kbc);
    EXPECT_TRUE(kbc->realize());
    port->current_vcpu = [this] { return calling ? &vcpu : nullptr; };
    port->ram_bytes = 0x4000000;
    for (size_t i = 0; i < port->uuid.size(); ++i) port->uuid[i] = static_cast<uint8_t>(i);
    port->host_time_us = [] { return int64_t{0x1'0000'0002} * 1'000'000 + 7; };
    plug(port);
    EXPECT_TRUE(port->realize());
    mouse->port = port.get();
    mouse->i8042 = kbc.get();
    plug(mouse);
    EXPECT_TRUE(mouse->realize());
    mouse->reset();
  }
  ~Backdoor() override {
    mouse->unrealize();
    port->unrealize();
    kbc->unrealize();
  }
  /// What an IN from the port leaves in EAX.
  uint32_t command(uint16_t number, uint32_t ebx = 0, uint32_t magic = kMagic) {
    vcpu.r[kRax] = magic;
    vcpu.r[kRbx] = ebx;
    vcpu.r[kRcx] = number;
    const auto value = static_cast<uint32_t>(ports.load(0x5658, 4));
    EXPECT_TRUE(!calling || vcpu.r[kRax] == value || !port->read_set_eax);
    return value;
  }
  uint32_t reg(X86Gpr n) const { return static_cast<uint32_t>(vcpu.r[n]); }
  void turn_on_absolute() {
    command(41, 0x45414552);
    EXPECT_EQ(command(39, 1), 0x3442554aU);
    command(41, 0x53424152);
  }
  PlainVcpu vcpu;
  bool calling = true;
  std::shared_ptr<I8042> kbc = std::make_shared<I8042>();
  std::shared_ptr<Vmport> port = std::make_shared<Vmport>();
  std::shared_ptr<Vmmouse> mouse = std::make_shared<Vmmouse>();
};

TEST_F(Backdoor, TellsItsVersion) {
  EXPECT_EQ(command(10), 6U);
  EXPECT_EQ(reg(kRbx), kMagic);
  EXPECT_EQ(reg(kRcx), 2U);
}

TEST_F(Backdoor, TellsMemoryUuidAndTime) {
  EXPECT_EQ(command(20), 0x4000000U);
  EXPECT_EQ(reg(kRbx), 0x1177U);
  EXPECT_EQ(command(19), 0x03020100U);
  EXPECT_EQ(reg(kRbx), 0x07060504U);
  EXPECT_EQ(reg(kRdx), 0x0f0e0d0cU);
  EXPECT_EQ(command(23), 2U);
  EXPECT_EQ(reg(kRbx), 7U);
  EXPECT_EQ(command(46), kMagic);
  EXPECT_EQ(reg(kRsi), 1U);
  EXPECT_EQ(reg(kRdx), 2U);
  EXPECT_EQ(command(68), 8U);
}

TEST_F(Backdoor, AnswersNobodyElse) {
  EXPECT_EQ(command(10, 0, kMagic + 1), UINT32_MAX);
  EXPECT_EQ(command(11), UINT32_MAX);
  EXPECT_EQ(command(0xffff), UINT32_MAX);
  port->signal_unsupported = false;
  EXPECT_EQ(command(10, 0, 5), 5U);
  calling = false;  // an access that no processor makes
  EXPECT_EQ(command(10), UINT32_MAX);
}

TEST_F(Backdoor, WritesAnswerInEaxToo) {
  vcpu.r = {};
  vcpu.r[kRax] = kMagic;
  vcpu.r[kRcx] = 10;
  ports.store(0x5658, 0, 4);
  EXPECT_EQ(reg(kRax), 6U);
}

TEST_F(Backdoor, PointerQueuesPlaces) {
  EXPECT_EQ(command(40), 0xffff0000U) << "off";
  turn_on_absolute();
  input_hub().move_to(nullptr, 100, 200, 50, 200);
  input_hub().button(nullptr, InputButton::kLeft, true);
  input_hub().sync();
  ASSERT_EQ(command(40), 4U);
  EXPECT_EQ(command(39, 4), 0x20U);
  EXPECT_NEAR(reg(kRbx), 0x8000, 0x200);
  EXPECT_NEAR(reg(kRcx), 0x4000, 0x200);
  EXPECT_EQ(reg(kRdx), 0U);
  command(41, 0x4c455252);
  input_hub().move_by(nullptr, -3, 5);
  input_hub().sync();
  EXPECT_EQ(command(39, 4), 0x10020U) << "movements are marked";
  EXPECT_EQ(reg(kRbx), static_cast<uint32_t>(-3));
  EXPECT_EQ(reg(kRcx), 5U);
}

TEST_F(Backdoor, AQueueThatNobodyReadsEnds) {
  turn_on_absolute();
  for (int i = 0; i < 2000; ++i) {
    input_hub().move_to(nullptr, i % 100, 100, 1, 100);
    input_hub().sync();
  }
  EXPECT_EQ(command(40), 1024U);
}

TEST_F(Backdoor, SenselessReadsTurnItOff) {
  for (uint32_t words : {0U, 7U, 2U, UINT32_MAX}) {
    turn_on_absolute();
    command(39, words);
    EXPECT_EQ(command(40) >> 16, 0xffffU) << words;
  }
  turn_on_absolute();
  command(41, 0xf5);
  EXPECT_EQ(command(40) >> 16, 0xffffU);
}

TEST_F(Backdoor, PointerStateTravels) {
  turn_on_absolute();
  input_hub().move_to(nullptr, 1, 2, 1, 2);
  input_hub().sync();
  const std::vector<uint8_t> saved = save(*mouse);
  EXPECT_EQ(saved.size(), 4U + 4 * 1024 + 2 + 2 + 1);
  mouse->reset();
  EXPECT_EQ(command(40), 0xffff0000U);
  ASSERT_TRUE(load(*mouse, saved));
  EXPECT_EQ(command(40), 4U);
  std::vector<uint8_t> bad = saved;
  bad[4 + 4 * 1024] = 0x40;  // more words than the queue has
  EXPECT_FALSE(load(*mouse, bad));
  bad = saved;
  bad[3] = 1;
  EXPECT_FALSE(load(*mouse, bad));
  EXPECT_TRUE(load(*mouse, saved));
}

}  // namespace
}  // namespace rhea
