#include <sys/eventfd.h>

#include <cstring>

#include "tests/unit/accel/kvm_guest.h"
#include "util/byteorder.h"
#include "util/clock.h"
#include "util/unique_fd.h"

namespace rhea::test {
namespace {

class KvmIrq : public KvmGuest {
 protected:
  /// Real-mode interrupt `vector` goes to `handler`.
  void set_vector(unsigned vector, uint16_t handler) {
    store_le<uint16_t>(ram->host() + vector * 4, handler);
    store_le<uint16_t>(ram->host() + vector * 4 + 2, 0);
  }
};

TEST_F(KvmIrq, LinesReachThePic) {
  load(kCode, {0xb0, 0x11, 0xe6, 0x20,                             // out 0x20, ICW1
               0xb0, 0x20, 0xe6, 0x21,                             // out 0x21, vectors from 0x20
               0xb0, 0x04, 0xe6, 0x21,                             // slave at 2
               0xb0, 0x01, 0xe6, 0x21,                             // 8086 mode
               0xb0, 0xef, 0xe6, 0x21,                             // only line 4
               0xba, 0xf8, 0x03, 0xb0, 0x01, 0xee,                 // ready
               0xfb, 0xf4, 0xeb, 0xfc});                           // sti; again: hlt; jmp again
  load(0x1800, {0xb0, 0x24, 0xee, 0xb0, 0x20, 0xe6, 0x20, 0xcf});  // out dx, 0x24; EOI; iret
  set_vector(0x24, 0x1800);
  make_vcpus(1);
  accel->start_vcpus();
  ASSERT_TRUE(port.wait_for(1));
  for (size_t i = 0; i < 3; ++i) {
    accel->gsi(4).pulse();
    ASSERT_TRUE(port.wait_for(2 + i)) << i;
  }
  accel->stop_vcpus();
  KernelPicState pic = accel->irqchip()->get_pic(false).value();
  EXPECT_EQ(pic.irq_base, 0x20);
  EXPECT_EQ(pic.imr, 0xef);
  ASSERT_TRUE(accel->irqchip()->reset());
  EXPECT_EQ(accel->irqchip()->get_pic(false).value().irq_base, 0);
}

TEST_F(KvmIrq, NmiMsiAndIrqfd) {
  load(kCode, {0xba, 0xf8, 0x03, 0xb0, 0x01, 0xee, 0xfb, 0xf4, 0xeb, 0xfc});  // ready; sti; hlt for ever
  load(0x1800, {0xb0, 0x02, 0xee, 0xcf});                                     // NMI
  load(0x1900, {0xb0, 0x40, 0xee, 0x66, 0x31, 0xc0, 0xa3, 0xb0, 0x00, 0xcf});
  set_vector(2, 0x1800);
  set_vector(0x40, 0x1900);
  make_vcpus(1);
  X86State s = state();
  store_le<uint32_t>(&s.lapic[0xf0], 0x1ff);  // software enabled
  s.seg[kDs].base = 0xfee00000;               // the handler writes EOI through DS
  ASSERT_TRUE(vcpu(0).set_state(s));
  accel->start_vcpus();
  ASSERT_TRUE(port.wait_for(1));
  ASSERT_TRUE(vcpu(0).inject_nmi());
  ASSERT_TRUE(port.wait_for(2));
  MsiMessage message{.address = 0xfee00000, .data = 0x40};
  ASSERT_TRUE(accel->irqchip()->send_msi(message));
  ASSERT_TRUE(port.wait_for(3));
  UniqueFd event(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  int gsi = accel->irqchip()->add_msi_route(message).value();
  ASSERT_TRUE(accel->irqchip()->update_msi_route(gsi, message));
  ASSERT_TRUE(accel->irqchip()->add_irqfd(gsi, event.get()));
  eventfd_write(event.get(), 1);
  ASSERT_TRUE(port.wait_for(4));
  accel->irqchip()->remove_irqfd(gsi, event.get());
  accel->irqchip()->remove_msi_route(gsi);
  EXPECT_FALSE(accel->irqchip()->update_msi_route(gsi, {.address = 1}));
  accel->stop_vcpus();
  EXPECT_EQ(port.values(), (std::vector<uint64_t>{1, 2, 0x40, 0x40}));
}

TEST_F(KvmIrq, DoorbellsRingWithoutAnExit) {
  load(kCode, {0xba, 0x00, 0x06, 0xb8, 0x07, 0x00, 0xef,  // out 0x600, ax = 7
               0xb8, 0x08, 0x00, 0xef,                    // out 0x600, ax = 8: not this bell's
               0xba, 0xf8, 0x03, 0xee, 0xf4});            // done
  PortLog device;
  auto region = MemoryRegion::io("device", 8, device);
  system_io().add_subregion(0x600, *region);
  UniqueFd event(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  MemoryRegion::IoEvent bell{.offset = 0, .size = 2, .match_data = true, .data = 7, .fd = event.get()};
  region->add_ioevent(bell);
  make_vcpus(1);
  accel->start_vcpus();
  ASSERT_TRUE(port.wait_for(1));
  accel->stop_vcpus();
  eventfd_t rung = 0;
  EXPECT_EQ(eventfd_read(event.get(), &rung), 0);
  EXPECT_EQ(rung, 1u);
  EXPECT_EQ(device.values(), std::vector<uint64_t>{8});
  region->remove_ioevent(bell);
}

TEST_F(KvmIrq, AnotherProcessorWakesByInitAndSipi) {
  // ds: the local APIC's page. INIT, then SIPI with vector 2, to all but this one.
  load(kCode, {0x66, 0xc7, 0x06, 0x00, 0x03, 0x00, 0xc5, 0x0c, 0x00,  // mov dword [0x300], 0xcc500 (INIT)
               0x66, 0xc7, 0x06, 0x00, 0x03, 0x02, 0xc6, 0x0c, 0x00,  // mov dword [0x300], 0xcc602 (SIPI)
               0xf4});
  load(0x2000, {0xba, 0xf8, 0x03, 0xb0, 0x99, 0xee, 0xf4});
  make_vcpus(2);
  EXPECT_EQ(state(1).mp_state, X86MpState::kUninitialized);
  X86State s = state();
  s.seg[kDs].base = 0xfee00000;
  store_le<uint32_t>(&s.lapic[0xf0], 0x1ff);
  ASSERT_TRUE(vcpu(0).set_state(s));
  load(kCode, {0x66, 0xc7, 0x06, 0x00, 0x03, 0x00, 0x45, 0x0c, 0x00, 0x66, 0xc7, 0x06, 0x00, 0x03, 0x02, 0x46,
               0x0c, 0x00, 0xf4});
  accel->start_vcpus();
  ASSERT_TRUE(port.wait_for(1));
  accel->stop_vcpus();
  EXPECT_EQ(port.values(), std::vector<uint64_t>{0x99});
  EXPECT_EQ(state(1).seg[kCs].base, 0x2000u);
}

TEST_F(KvmIrq, TheClockStandsStillWhileStopped) {
  load(kCode, {0xba, 0xf8, 0x03, 0xee, 0xeb, 0xfe});  // out; then forever
  make_vcpus(1);
  accel->start_vcpus();
  ASSERT_TRUE(port.wait_for(1));
  accel->stop_vcpus();
  uint64_t before = accel->kvmclock_ns();
  EXPECT_NE(before, 0u);
  EXPECT_EQ(accel->kvmclock_ns(), before);
  accel->set_kvmclock_ns(before + 1'000'000'000'000);
  accel->start_vcpus();
  EXPECT_GE(accel->kvmclock_ns(), before + 1'000'000'000'000);
  accel->stop_vcpus();
}

TEST_F(KvmIrq, ThePitOwesNoTicksOfTheTimeItWasStopped) {
  load(kCode, {0xb0, 0x11, 0xe6, 0x20, 0xb0, 0x20, 0xe6, 0x21, 0xb0, 0x04,
               0xe6, 0x21, 0xb0, 0x01, 0xe6, 0x21, 0xb0, 0xfe, 0xe6, 0x21,  // only line 0, vector 0x20
               0xb0, 0x34, 0xe6, 0x43,                                      // channel 0: rate generator
               0xb0, 0xa9, 0xe6, 0x40, 0xb0, 0x04, 0xe6, 0x40,              // 1193 clocks: 1 ms
               0xba, 0xf8, 0x03, 0xfb, 0xf4, 0xeb, 0xfd});                  // sti; again: hlt; jmp again
  load(0x1800, {0xb0, 0x24, 0xee, 0xb0, 0x20, 0xe6, 0x20, 0xcf});           // out dx, 0x24; EOI; iret
  set_vector(0x20, 0x1800);
  make_vcpus(1);
  accel->start_vcpus();
  ASSERT_TRUE(port.wait_for(3));
  accel->stop_vcpus();
  const int64_t loaded = accel->irqchip()->get_pit().value().channels[0].count_load_time;
  constexpr int64_t kMs = 1'000'000;
  const timespec pause{0, 300 * kMs};
  nanosleep(&pause, nullptr);  // what is tested is that time passes
  EXPECT_GE(accel->irqchip()->get_pit().value().channels[0].count_load_time, loaded + 300 * kMs);
  const size_t before = port.values().size();
  const int64_t start = realtime_clock().now_ns();
  accel->start_vcpus();
  ASSERT_TRUE(port.wait_for(before + 100));
  const auto elapsed_ms = static_cast<size_t>((realtime_clock().now_ns() - start) / kMs);
  accel->stop_vcpus();
  EXPECT_GE(elapsed_ms, 80u) << "ticks of the pause were made up for";
}

}  // namespace
}  // namespace rhea::test
