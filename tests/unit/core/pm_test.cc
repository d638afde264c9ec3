// PIIX4 power management: where its registers are, the PM timer, SCI, sleeping states.
#include "core_fixture.h"
#include "hw/acpi/piix4_pm.h"

namespace rhea::test {
namespace {

constexpr int64_t kHalf = 1 << 23;
/// The first ns at which the timer has counted `ticks`.
int64_t ns_at(int64_t ticks) {
  return static_cast<int64_t>((static_cast<__int128>(ticks) * 1'000'000'000 + 3'579'544) / 3'579'545);
}

class Pm : public CoreTest {
 protected:
  Pm()
      : loop(std::move(*AioContext::create("test"))),
        memory(MemoryRegion::container("pci", MemoryRegion::kWholeSpace)),
        ports(MemoryRegion::container("io", 0x10000)),
        view("io", *ports),
        bus(std::make_shared<PciBus>("pci.0", *memory, *ports)),
        pm(std::make_shared<Piix4Pm>()) {
    loop->make_current();
    machine().add_child("pci.0", std::static_pointer_cast<Object>(bus));
    pm->loop = loop.get();
    pm->clock = &clock;
    pm->sci = IrqLine(irqs, 9);
    pm->on_soft_off = [this] { slept += "S5 "; };
    pm->on_suspend = [this] { slept += "S3 "; };
    pm->on_suspend_disk = [this] { slept += "S4 "; };
    pm->set_devfn(pci::devfn(1, 3));
    EXPECT_EQ(message(add_device(pm, bus.get(), machine(), "pm")), "");
    pm->config_write(0x40, 0x601, 4);
    pm->config_write(0x80, 1, 1);
  }
  ~Pm() override {
    remove_device(*pm);  // its timer needs the loop
    pm.reset();
  }
  uint64_t in(unsigned at, unsigned size = 2) { return view.load(0x600 + at, size); }
  void out(unsigned at, uint64_t value, unsigned size = 2) { view.store(0x600 + at, value, size); }
  void advance_to(int64_t ns) {
    clock.now = ns;
    loop->run_due_timers(clock);
  }
  int sci() { return irqs.level[9]; }

  std::unique_ptr<AioContext> loop;
  StepClock clock;
  IrqLog irqs;
  std::string slept;
  std::unique_ptr<MemoryRegion> memory, ports;
  AddressSpace view;
  std::shared_ptr<PciBus> bus;
  std::shared_ptr<Piix4Pm> pm;
};

TEST_F(Pm, WindowFollowsBaseAndEnable) {
  EXPECT_EQ(in(4), 0u);
  EXPECT_EQ(in(0x10), 0xffffu);
  pm->config_write(0x40, 0xffffffff, 4);
  EXPECT_EQ(pm->config_read(0x40, 4), 0xffc1u);
  EXPECT_EQ(in(4), 0xffffu);
  EXPECT_EQ(view.load(0xffc4, 2), 0u);
  pm->config_write(0x80, 0, 1);
  EXPECT_EQ(view.load(0xffc4, 2), 0xffffu);
}

TEST_F(Pm, ResetValues) {
  reset_devices(machine());
  EXPECT_EQ(pm->config_read(0, 4), 0x71138086u);
  EXPECT_EQ(pm->config_read(4, 4), 0x02800000u);
  EXPECT_EQ(pm->config_read(8, 4), 0x06800003u);
  EXPECT_EQ(pm->config_read(0x3c, 2), 0x0100u);
  EXPECT_EQ(pm->config_read(0x40, 4), 1u);
  EXPECT_EQ(pm->config_read(0x5b, 1), 2u);
  EXPECT_EQ(pm->config_read(0x80, 1), 0u);
  pm->config_write(0xd2, 0xff, 1);
  EXPECT_EQ(pm->config_read(0xd2, 1), 0x0fu);
}

TEST_F(Pm, TimerCountsAndWraps) {
  EXPECT_EQ(in(8, 4), 0u);
  clock.now = 1'000'000'000;
  EXPECT_EQ(in(8, 4), 3'579'545u);
  EXPECT_EQ(in(8, 2), 3'579'545u & 0xffff);
  EXPECT_EQ(in(10, 1), 3'579'545u >> 16);
  clock.now = ns_at(2 * kHalf) - 1;
  EXPECT_EQ(in(8, 4), 0xffffffu);
  clock.now = ns_at(2 * kHalf);
  EXPECT_EQ(in(8, 4), 0u);
  out(8, 0x1234, 4);
  EXPECT_EQ(in(8, 4), 0u);
}

TEST_F(Pm, TimerStatusComesWithEachChangeOfBit23) {
  clock.now = ns_at(kHalf) - 1;
  EXPECT_EQ(in(0), 0u);
  clock.now = ns_at(kHalf);
  EXPECT_EQ(in(0), 1u);
  out(0, 1);
  EXPECT_EQ(in(0), 0u);
  clock.now = ns_at(2 * kHalf) - 1;
  EXPECT_EQ(in(0), 0u);
  clock.now = ns_at(2 * kHalf);
  EXPECT_EQ(in(0), 1u);
}

TEST_F(Pm, TimerRaisesTheSciWhereEnabled) {
  advance_to(ns_at(kHalf));
  EXPECT_EQ(sci(), 0);
  out(0, 1);
  out(2, 1);
  EXPECT_EQ(loop->next_deadline_ns(clock), ns_at(2 * kHalf));
  advance_to(ns_at(2 * kHalf) - 1);
  EXPECT_EQ(sci(), 0);
  advance_to(ns_at(2 * kHalf));
  EXPECT_EQ(sci(), 1);
  EXPECT_EQ(loop->next_deadline_ns(clock), INT64_MAX) << "not again before the guest clears it";
  out(0, 1);
  EXPECT_EQ(sci(), 0);
  EXPECT_EQ(loop->next_deadline_ns(clock), ns_at(3 * kHalf));
}

TEST_F(Pm, PowerButtonIsStatusPlusEnable) {
  pm->acpi().press_power_button();
  EXPECT_EQ(in(0), 0x100u);
  EXPECT_EQ(sci(), 0);
  out(2, 0x100);
  EXPECT_EQ(sci(), 1);
  out(1, 0x01, 1);  // the byte the bit is in
  EXPECT_EQ(in(0), 0u);
  EXPECT_EQ(sci(), 0);
}

TEST_F(Pm, BytesOfTheEnableRegisterAreWrittenAlone) {
  out(2, 0x0521);
  out(3, 0x01, 1);
  EXPECT_EQ(in(2), 0x0121u);
  out(2, 0x20, 1);
  EXPECT_EQ(in(2), 0x0120u);
  EXPECT_EQ(in(3, 1), 0x01u);
  EXPECT_EQ(in(0, 4), 0x01200000u);
}

TEST_F(Pm, SleepEnableReadsAsZeroAndActs) {
  out(4, 0x2000 | 0 << 10);
  EXPECT_EQ(slept, "S5 ");
  EXPECT_EQ(in(4), 0u);
  out(4, 1 << 10);
  EXPECT_EQ(slept, "S5 ");
  out(5, 0x20 | 1 << 2, 1);
  EXPECT_EQ(slept, "S5 S3 ");
  EXPECT_EQ(in(4), 0x0400u);
  out(4, 0x2000 | 2 << 10);
  EXPECT_EQ(slept, "S5 S3 S4 ");
  out(4, 0x2000 | 7 << 10);
  pm->disable_s3 = pm->disable_s4 = 1;
  out(4, 0x2000 | 1 << 10);
  out(4, 0x2000 | 2 << 10);
  EXPECT_EQ(slept, "S5 S3 S4 ");
}

TEST_F(Pm, ApmSwitchesAcpiOnAndOff) {
  view.store(0xb2, 0xf1, 1);
  EXPECT_EQ(in(4), 1u);
  EXPECT_EQ(view.load(0xb2, 1), 0xf1u);
  view.store(0xb3, 0x42, 1);
  EXPECT_EQ(view.load(0xb3, 1), 0x42u);
  view.store(0xb2, 0x77, 1);
  EXPECT_EQ(in(4), 1u);
  view.store(0xb2, 0xf0, 1);
  EXPECT_EQ(in(4), 0u);
}

TEST_F(Pm, GpeBlock) {
  EXPECT_EQ(view.load(0xafe0, 4), 0u);
  pm->acpi().raise_gpe(1);
  EXPECT_EQ(view.load(0xafe0, 1), 2u);
  EXPECT_EQ(sci(), 0);
  view.store(0xafe2, 0x02, 1);
  EXPECT_EQ(sci(), 1);
  view.store(0xafe0, 0x02, 1);
  EXPECT_EQ(sci(), 0);
  view.store(0xafe0, 0xffffffff, 4);
  EXPECT_EQ(view.load(0xafe0, 4), 0xffff0000u);
  pm->acpi().raise_gpe(15);
  EXPECT_EQ(view.load(0xafe1, 1), 0x80u);
}

TEST_F(Pm, ResetClearsAllAndLowersTheSci) {
  out(2, 0x100);
  pm->acpi().press_power_button();
  EXPECT_EQ(sci(), 1);
  clock.now = ns_at(5 * kHalf) + 1;
  reset_devices(machine());
  EXPECT_EQ(sci(), 0);
  pm->config_write(0x40, 0x601, 4);
  pm->config_write(0x80, 1, 1);
  EXPECT_EQ(in(0, 4), 0u) << "changes of bit 23 before the reset do not count";
}

TEST_F(Pm, StateTravels) {
  out(2, 0x0101);
  out(4, 0x0401);
  view.store(0xb3, 0x33, 1);
  view.store(0xafe2, 0x06, 1);
  pm->acpi().raise_gpe(2);
  StateWriter saved;
  vmstate_save(*pm->vmstate(), pm.get(), saved);
  EXPECT_EQ(saved.buffer().size(), 2408u + 2 + 14 + 4 + 4);
  reset_devices(machine());
  EXPECT_EQ(sci(), 0);
  StateReader reader(saved.buffer());
  ASSERT_EQ(message(vmstate_load(*pm->vmstate(), pm.get(), reader, 3)), "");
  EXPECT_EQ(reader.left(), 0u);
  EXPECT_EQ(in(2), 0x0101u);
  EXPECT_EQ(in(4), 0x0401u);
  EXPECT_EQ(view.load(0xb3, 1), 0x33u);
  EXPECT_EQ(sci(), 1);
  EXPECT_EQ(loop->next_deadline_ns(clock), ns_at(kHalf));
  auto bytes = saved.buffer();
  bytes[276 + 6 + 2 + 48 + 8] = 0x80;  // the sign of ar.tmr.overflow_time
  StateReader hostile(bytes);
  EXPECT_NE(message(vmstate_load(*pm->vmstate(), pm.get(), hostile, 3)), "");
}

}  // namespace
}  // namespace rhea::test
