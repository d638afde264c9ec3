#include <cstring>

#include "tests/unit/accel/kvm_guest.h"
#include "util/byteorder.h"

namespace rhea::test {
namespace {

using KvmRun = KvmGuest;

TEST_F(KvmRun, PortsReachTheirHandlers) {
  load(kCode, {0xba, 0xf8, 0x03,  // mov dx, 0x3f8
               0xb0, 0x41,        // mov al, 'A'
               0xee,              // out dx, al
               0xec,              // in al, dx
               0xa2, 0x00, 0x20,  // mov [0x2000], al
               0xee,              // out dx, al
               0xf4});            // hlt
  make_vcpus(1);
  accel->start_vcpus();
  ASSERT_TRUE(port.wait_for(2));
  accel->stop_vcpus();
  EXPECT_EQ(port.values(), (std::vector<uint64_t>{0x41, 0x5a}));
  EXPECT_EQ(ram->host()[0x2000], 0x5a);
}

TEST_F(KvmRun, AStopCompletesTheInputThatIsUnderWay) {
  load(kCode, {0xba, 0xf8, 0x03,  // mov dx, 0x3f8
               0xec,              // again: in al, dx
               0xee,              // out dx, al
               0xeb, 0xfc});      // jmp again
  make_vcpus(1);
  accel->start_vcpus();
  ASSERT_TRUE(port.wait_for(50));
  for (int i = 0; i < 100; ++i) {
    accel->stop_vcpus();
    X86State s = state();
    if (s.rip != kCode && s.rip != kCode + 3u) {
      EXPECT_EQ(s.gpr[kRax] & 0xff, 0x5au);
    }
    // Setting what was read must be neutral, as for a machine that is saved and loaded.
    ASSERT_TRUE(vcpu(0).set_state(s));
    accel->start_vcpus();
  }
  accel->stop_vcpus();
  for (uint64_t v : port.values()) ASSERT_EQ(v, 0x5au);
}

TEST_F(KvmRun, StopAndStartLoseNoExitAndRepeatNone) {
  load(kCode, {0xba, 0xf8, 0x03,  // mov dx, 0x3f8
               0x40,              // again: inc ax
               0xef,              // out dx, ax
               0xeb, 0xfc});      // jmp again
  make_vcpus(1);
  for (int i = 0; i < 200; ++i) {
    accel->start_vcpus();
    if (i % 10 == 0) {
      ASSERT_TRUE(port.wait_for(port.values().size() + 3));
    }
    accel->stop_vcpus();
    size_t count = port.values().size();
    EXPECT_EQ(port.values().size(), count);
  }
  std::vector<uint64_t> values = port.values();
  for (size_t i = 0; i < values.size(); ++i) ASSERT_EQ(values[i], (i + 1) & 0xffff) << "at " << i;
}

TEST_F(KvmRun, StringOutputAndMmioArriveWhole) {
  load(kCode, {0xba, 0xf8, 0x03,                    // mov dx, 0x3f8
               0xbe, 0x00, 0x20,                    // mov si, 0x2000
               0xb9, 0x04, 0x00,                    // mov cx, 4
               0xfc, 0xf3, 0x6e,                    // cld; rep outsb
               0xb8, 0x00, 0xa0,                    // mov ax, 0xa000
               0x8e, 0xd8,                          // mov ds, ax
               0xc7, 0x06, 0x10, 0x00, 0x34, 0x12,  // mov word [0x10], 0x1234
               0xa1, 0x20, 0x00,                    // mov ax, [0x20]
               0xef,                                // out dx, ax
               0xf4});
  PortLog mmio;
  mmio.answer = 0xbeef;
  auto region = MemoryRegion::io("mmio", 0x1000, mmio);
  system_memory().add_subregion(0xa0000, *region);
  std::memcpy(ram->host() + 0x2000, "\1\2\3\4", 4);
  make_vcpus(1);
  accel->start_vcpus();
  ASSERT_TRUE(port.wait_for(5));
  accel->stop_vcpus();
  EXPECT_EQ(port.values(), (std::vector<uint64_t>{1, 2, 3, 4, 0xbeef}));
  EXPECT_EQ(mmio.values(), std::vector<uint64_t>{0x1234});
}

TEST_F(KvmRun, RomRefusesWritesAndShadowRamTakesThem) {
  load(kCode, {0xba, 0xf8, 0x03,              // mov dx, 0x3f8
               0xb8, 0x00, 0xf0,              // mov ax, 0xf000
               0x8e, 0xd8,                    // mov ds, ax
               0xa0, 0x00, 0x00,              // mov al, [0]
               0xee,                          // out dx, al
               0xc6, 0x06, 0x00, 0x00, 0x77,  // mov byte [0], 0x77
               0xa0, 0x00, 0x00, 0xee,        // mov al, [0]; out dx, al
               0x42, 0xee, 0x4a,              // inc dx; out dx, al (shadows); dec dx
               0xc6, 0x06, 0x00, 0x00, 0x77,  // mov byte [0], 0x77
               0xa0, 0x00, 0x00, 0xee,        // mov al, [0]; out dx, al
               0xf4});
  auto rom = MemoryRegion::rom("rom", RamBlock::create("rom", 0x1000).value());
  auto shadow = MemoryRegion::ram("shadow", RamBlock::create("shadow", 0x1000).value());
  rom->ram_block()->host()[0] = 0x11;
  struct Switch final : MmioHandler {
    MemoryRegion* region;
    uint64_t mmio_read(uint64_t, unsigned) override { return 0; }
    void mmio_write(uint64_t, uint64_t, unsigned) override { region->set_enabled(true); }
  } flip;
  flip.region = shadow.get();
  auto flip_region = MemoryRegion::io("flip", 1, flip);
  shadow->set_enabled(false);
  system_io().add_subregion(kPort + 1, *flip_region, 1);
  system_memory().add_subregion(0xf0000, *rom);
  system_memory().add_subregion(0xf0000, *shadow, 1);
  make_vcpus(1);
  accel->start_vcpus();
  ASSERT_TRUE(port.wait_for(3));
  accel->stop_vcpus();
  EXPECT_EQ(port.values(), (std::vector<uint64_t>{0x11, 0x11, 0x77}));
}

TEST_F(KvmRun, OtherVcpusSurviveSlotChanges) {
  load(kCode, {0xba, 0xf8, 0x03, 0x40, 0xef, 0xeb, 0xfc});  // counts out, from memory that is replaced
  make_vcpus(1);
  accel->start_vcpus();
  auto extra = MemoryRegion::ram("extra", RamBlock::create("extra", 0x1000).value());
  for (int i = 0; i < 20; ++i) {
    MachineGuard guard(machine_lock());
    // Covers the middle of the RAM that the guest runs in: its slot goes and comes back in two parts.
    if (i % 2 == 0)
      system_memory().add_subregion(0x40000, *extra, 1);
    else
      system_memory().remove_subregion(*extra);
  }
  ASSERT_TRUE(port.wait_for(port.values().size() + 5));
  accel->stop_vcpus();
  EXPECT_EQ(errors, 0);
  std::vector<uint64_t> values = port.values();
  for (size_t i = 0; i < values.size(); ++i) ASSERT_EQ(values[i], (i + 1) & 0xffff);
}

TEST_F(KvmRun, ATripleFaultAsksForAReset) {
  load(kCode, {0x66, 0xb8, 0x00, 0x90,  // mov ax, 0x9000
               0x0f, 0x00, 0xd8});      // ltr ax: a fault, with no room in the interrupt table for it
  make_vcpus(1);
  X86State s = state();
  s.cr0 |= 1;
  s.idt = {0, 0};
  s.gdt = {0, 0};
  s.seg[kCs] = {.selector = 8, .base = 0, .limit = 0xffffffff, .flags = 0xc09b};
  for (X86Seg i : {kDs, kEs, kSs})
    s.seg[i] = {.selector = 16, .base = 0, .limit = 0xffffffff, .flags = 0xc093};
  ASSERT_TRUE(vcpu(0).set_state(s));
  accel->start_vcpus();
  ASSERT_TRUE(wait_until([&] { return resets.load() == 1; }));
  accel->stop_vcpus();
  ASSERT_TRUE(accel->reset());
  EXPECT_EQ(state().rip, 0xfff0u);
  EXPECT_EQ(state().cr0, 0x60000010u);
  EXPECT_EQ(state().idt.limit, 0xffff);
}

TEST_F(KvmRun, AnInternalErrorPrintsTheStateOnceAndLeavesTheVmStoppable) {
  load(kCode, {0xea, 0x00, 0x00, 0x00, 0xd0});  // jmp 0xd000:0, where there is nothing
  make_vcpus(1);
  testing::internal::CaptureStderr();
  accel->start_vcpus();
  bool stopped = wait_until([&] { return errors.load() == 1; });
  accel->stop_vcpus();
  std::string said = testing::internal::GetCapturedStderr();
  ASSERT_TRUE(stopped) << said;
  EXPECT_NE(said.find("KVM internal error. Suberror: "), std::string::npos) << said;
  EXPECT_EQ(said.find("EIP=", said.find("EIP=") + 1), std::string::npos) << said;
  EXPECT_TRUE(vcpu(0).get_state());
}

TEST_F(KvmRun, PauseFromADeviceKeepsTheVcpuOut) {
  struct Stopper final : MmioHandler {
    Accelerator* accel;
    std::atomic<int> calls{0};
    uint64_t mmio_read(uint64_t, unsigned) override { return 0; }
    void mmio_write(uint64_t, uint64_t, unsigned) override {
      accel->pause_current_vcpu();
      ++calls;
    }
  } stopper;
  stopper.accel = accel.get();
  auto region = MemoryRegion::io("stopper", 1, stopper);
  system_io().add_subregion(0x600, *region);
  load(kCode, {0xba, 0x00, 0x06, 0xee,          // out 0x600, al
               0xba, 0xf8, 0x03, 0xee, 0xf4});  // out 0x3f8, al
  make_vcpus(1);
  accel->start_vcpus();
  ASSERT_TRUE(wait_until([&] { return stopper.calls.load() == 1; }));
  accel->stop_vcpus();
  EXPECT_EQ(state().rip, kCode + 4u);
  EXPECT_TRUE(port.values().empty());
  accel->start_vcpus();
  EXPECT_TRUE(port.wait_for(1));
  accel->stop_vcpus();
}

TEST_F(KvmRun, StopWorksWhileAnExitWaitsForTheMachineLock) {
  load(kCode, {0xba, 0xf8, 0x03, 0x40, 0xef, 0xeb, 0xfc});
  make_vcpus(1);
  MachineGuard guard(machine_lock());
  accel->start_vcpus();
  accel->stop_vcpus();
  EXPECT_TRUE(MachineLock::held());
  X86State s = state();
  EXPECT_EQ(port.values().size(), s.rip == kCode || s.rip == kCode + 3u ? port.values().size() : s.gpr[kRax]);
}

TEST_F(KvmRun, TheStateSurvivesARoundTrip) {
  load(kCode, {0xf4});
  make_vcpus(2);
  for (size_t i = 0; i < 2; ++i) {
    X86State s = state(i);
    for (size_t r = 0; r < 16; ++r) s.gpr[r] = 0x1111'2222'3333'0000 + r;
    s.seg[kFs].base = 0x12345000;
    s.dr[1] = 0x1000;
    s.cr2 = 0xabcdef;
    s.set_msr(0xc0000102, 0xffff'8000'0000'1000);  // KERNEL_GS_BASE
    s.xsave[32] = 0x99;                            // ST0
    s.events.nmi_masked = true;
    ASSERT_TRUE(vcpu(i).set_state(s));
    X86State back = state(i);
    for (X86State* x : {&s, &back}) {
      x->set_msr(0x10, 0);  // the TSC goes on
      x->set_msr(0x3b, 0);
    }
    EXPECT_EQ(back.gpr, s.gpr);
    EXPECT_EQ(back.seg, s.seg);
    EXPECT_EQ(back.msrs, s.msrs);
    EXPECT_EQ(back.xsave, s.xsave);
    EXPECT_EQ(back.events, s.events);
    EXPECT_EQ(back.dr, s.dr);
    EXPECT_EQ(back.mp_state, s.mp_state);
    EXPECT_EQ(back.cr2, s.cr2);
  }
}

TEST_F(KvmRun, TheDirtyLogReachesTheBlock) {
  load(kCode, {0xa2, 0x00, 0x20, 0xba, 0xf8, 0x03, 0xee,  // mov [0x2000], al; out
               0xec, 0x3c, 0x5a, 0x74, 0xfb,              // wait until the port says something else
               0xa2, 0x00, 0x30, 0xee, 0xf4});            // mov [0x3000], al; out
  make_vcpus(1);
  ram->set_tracking(DirtyClient::kMigration, true);
  ASSERT_TRUE(accel->update_dirty_logging());
  accel->start_vcpus();
  ASSERT_TRUE(port.wait_for(1));
  ASSERT_TRUE(accel->sync_dirty_log());
  EXPECT_TRUE(ram->test_and_clear(DirtyClient::kMigration, 0x2000));
  EXPECT_FALSE(ram->test_and_clear(DirtyClient::kMigration, 0x3000));
  {
    MachineGuard guard(machine_lock());
    port.answer = 1;
  }
  ASSERT_TRUE(port.wait_for(2));
  accel->stop_vcpus();
  ASSERT_TRUE(accel->sync_dirty_log());
  EXPECT_TRUE(ram->test_and_clear(DirtyClient::kMigration, 0x3000));
  EXPECT_FALSE(ram->test_and_clear(DirtyClient::kMigration, 0x5000));
  ram->set_tracking(DirtyClient::kMigration, false);
  EXPECT_TRUE(accel->update_dirty_logging());
}

TEST_F(KvmRun, TextsNameVcpusAndRegisters) {
  make_vcpus(2);
  std::string cpus = info_cpus_text(0);
  EXPECT_EQ(cpus, str_cat("* CPU #0: thread_id=", vcpu(0).thread_id(),
                          "\n  CPU #1: thread_id=", vcpu(1).thread_id(), "\n"));
  std::string all = info_registers_text(0, true).value();
  EXPECT_NE(all.find("\nCPU#1\nEAX=00000000"), std::string::npos) << all;
  EXPECT_NE(all.find("EIP=00001000 EFL=00000002 [-------] CPL=0 II=0 A20=1 SMM=0 HLT=0"), std::string::npos)
      << all;
}

}  // namespace
}  // namespace rhea::test
