// Queues served in an I/O thread: doorbells as events, interrupts through the kernel's routes, requests
// merged; and what the machine does to the device meanwhile.
#include <sys/eventfd.h>

#include <map>

#include "accel/accel_internal.h"
#include "backends/iothread.h"
#include "tests/unit/virtio/virtio_rig.h"

namespace rhea {
namespace {

/// What the kernel would be told of routes and events.
class FakeIrqchip final : public KernelIrqchip {
 public:
  bool has_pit() const override { return false; }
  void set_gsi(int, int) override {}
  Result<KernelPicState> get_pic(bool) override { return KernelPicState(); }
  Result<> set_pic(bool, const KernelPicState&) override { return {}; }
  Result<KernelIoapicState> get_ioapic() override { return KernelIoapicState(); }
  Result<> set_ioapic(const KernelIoapicState&) override { return {}; }
  Result<KernelPitState> get_pit() override { return KernelPitState(); }
  Result<> set_pit(const KernelPitState&) override { return {}; }
  Result<> set_pit_reinjection(bool) override { return {}; }
  Result<> reset() override { return {}; }
  void stop_time() override {}
  void start_time() override {}
  Result<> send_msi(const MsiMessage&) override { return {}; }
  Result<int> add_msi_route(const MsiMessage& message) override {
    if (full) return fail(ENOSPC, "full");
    routes[next] = message;
    return next++;
  }
  Result<> update_msi_route(int gsi, const MsiMessage& message) override {
    routes.at(gsi) = message;
    return {};
  }
  void remove_msi_route(int gsi) override { EXPECT_EQ(routes.erase(gsi), 1u); }
  Result<> add_irqfd(int gsi, int fd, int) override {
    EXPECT_TRUE(events.emplace(gsi, fd).second);
    return {};
  }
  void remove_irqfd(int gsi, int fd) override {
    EXPECT_EQ(events.at(gsi), fd);
    events.erase(gsi);
  }
  std::map<int, MsiMessage> routes;
  std::map<int, int> events;  ///< by GSI
  int next = 24;
  bool full = false;
};

class FakeAccel final : public Accelerator {
 public:
  FakeAccel() { set_machine_accelerator(this); }
  ~FakeAccel() override { set_machine_accelerator(nullptr); }
  std::string_view name() const override { return "fake"; }
  bool runs_guest() const override { return false; }
  Result<> init(AccelCallbacks) override { return {}; }
  unsigned max_vcpus() const override { return 1; }
  Result<> create_irqchip(bool) override { return {}; }
  KernelIrqchip* irqchip() override { return &chip; }
  Result<Vcpu*> create_vcpu(VcpuConfig) override { return fail(ENOTSUP, "no"); }
  void start_vcpus() override {}
  void stop_vcpus() override {}
  bool vcpus_running() const override { return false; }
  void pause_current_vcpu() override {}
  FakeIrqchip chip;
};

class VirtioEvents : public VirtioRig {
 protected:
  static constexpr uint32_t kFlush = 1 << 9;
  static constexpr GuestAddr kTable = 0xfe100000, kTarget = 0x30000;
  VirtioEvents() {
    EXPECT_TRUE(thread->complete());
    context.io_loop = [this]() -> Result<AioContext*> { return thread->loop(); };
  }
  ~VirtioEvents() override {
    for (auto& d : devices) {  // before the thread ends
      EXPECT_TRUE(run(d->co_stop()));
      remove_device(*d);
    }
    devices.clear();
  }
  AioContext& io() { return *thread->loop(); }
  /// MSI-X on: vector `n` writes `n` + 1 to kTarget.
  void enable_vectors(VirtioPci& f) {
    f.config_write(pci::kBar0 + 4, kTable, 4);
    unsigned at = f.config_read(0x34, 1);
    while (f.config_read(at, 1) != Msix::kCapability) at = f.config_read(at + 1, 1);
    for (uint32_t n = 0; n < 2; ++n) {
      memory_space().store(kTable + 16 * n, kTarget, 4);
      memory_space().store(kTable + 16 * n + 4, 0, 4);
      memory_space().store(kTable + 16 * n + 8, n + 1, 4);
    }
    f.config_write(at + 2, 0x8000, 2);
  }
  void mask(uint32_t vector, bool on) { memory_space().store(kTable + 16 * vector + 12, on ? 1 : 0, 4); }
  template <class F>
  bool wait_for(F&& done) {
    const int64_t end = realtime_clock().now_ns() + 20'000'000'000;
    while (!done()) {
      if (realtime_clock().now_ns() > end) return false;
      loop->run_once(false);
    }
    return true;
  }
  uint16_t used() {
    uint16_t index = 0;
    io().run_sync([&] { index = used_index(); });
    return index;
  }
  /// The doorbell of queue 0 by its legacy register.
  void ring(VirtioPci& f) { out(f, 16, 0, 2); }
  /// `count` writes of one sector each from `sector` on, in one go.
  void offer_writes(VirtioPci& f, int count, uint64_t sector) {
    const GuestAddr ring_at = 0x10000, avail = ring_at + 16 * 256;
    io().run_sync([&] {
      auto index = get<uint16_t>(avail + 2);
      for (int i = 0; i < count; ++i) {
        const GuestAddr at = 0x40000 + 0x400 * static_cast<GuestAddr>(i);
        const auto d = static_cast<uint16_t>(3 * i);
        put<uint32_t>(at, 1);
        put<uint64_t>(at + 8, sector + static_cast<uint64_t>(i));
        std::memset(ram_block->host() + at + 0x100, 'a' + i, 512);
        put<uint8_t>(at + 0x300, 0xff);
        describe(ring_at + 16u * d, at, 16, 1, static_cast<uint16_t>(d + 1));
        describe(ring_at + 16u * (d + 1u), at + 0x100, 512, 1, static_cast<uint16_t>(d + 2));
        describe(ring_at + 16u * (d + 2u), at + 0x300, 1, 2, 0);
        put<uint16_t>(avail + 4 + 2u * (index++ % 256), d);
      }
      put<uint16_t>(avail + 2, index);
    });
    ring(f);
  }
  CoResult<> co_drain_and_look() {
    GraphWriteLock lock = co_await or_return(co_await graph.co_lock());
    const DrainedSection drained = co_await or_return(co_await graph.co_drain_all(lock));
    EXPECT_FALSE(devices[0]->block_backend()->device()->is_busy());
    co_return Result<>();
  }
  uint8_t write_status(int i) { return get<uint8_t>(0x40300 + 0x400 * static_cast<GuestAddr>(i)); }

  std::shared_ptr<IoThread> thread = std::make_shared<IoThread>();
};

TEST_F(VirtioEvents, RequestsAreMadeInTheThread) {
  VirtioPci& f = plug();
  start(f);
  EXPECT_EQ(f.backend().queue_loop(0), &io());
  offer(f, 0, 1);
  ASSERT_TRUE(wait_for([&] { return used() == 1; }));
  EXPECT_EQ(get<uint8_t>(0x21200), 0);
  ASSERT_TRUE(wait_for([&] { return in(f, 19, 1) == 1; })) << "the interrupt, by the main loop";
}

TEST_F(VirtioEvents, NeighbouringRequestsAreMadeAsOne) {
  VirtioPci& f = plug();
  start(f, 0x10, 0, kFlush);
  const int before = disk(f).requests;
  offer_writes(f, 20, 10);
  ASSERT_TRUE(wait_for([&] { return used() == 20; }));
  io().run_sync([&] {
    EXPECT_EQ(disk(f).requests - before, 1);
    for (int i = 0; i < 20; ++i) {
      EXPECT_EQ(write_status(i), 0);
      EXPECT_EQ(disk(f).bytes[512 * (10 + static_cast<size_t>(i))], 'a' + i);
    }
  });
  EXPECT_EQ(f.block_backend()->accounting().of[BlockAccounting::kWrite].operations.load(), 20u);
}

TEST_F(VirtioEvents, ApartWhereThePropertySaysSo) {
  Json properties;
  properties.set("request-merging", false);
  VirtioPci& f = plug(std::move(properties));
  start(f, 0x10, 0, kFlush);
  const int before = disk(f).requests;
  offer_writes(f, 20, 10);
  ASSERT_TRUE(wait_for([&] { return used() == 20; }));
  io().run_sync([&] { EXPECT_EQ(disk(f).requests - before, 20); });
}

TEST_F(VirtioEvents, AFailureIsThatOfAllThatWereMerged) {
  VirtioPci& f = plug();
  start(f);
  io().run_sync([&] { disk(f).fail_next = EIO; });
  offer_writes(f, 3, 0);
  ASSERT_TRUE(wait_for([&] { return used() == 3; }));
  io().run_sync([&] {
    for (int i = 0; i < 3; ++i) EXPECT_EQ(write_status(i), 1);
  });
}

TEST_F(VirtioEvents, AResetWithRequestsUnderWay) {
  VirtioPci& f = plug();
  start(f);
  io().run_sync([&] { disk(f).hold = true; });
  offer_writes(f, 4, 0);
  ASSERT_TRUE(wait_for([&] { return f.block_backend()->gate().in_flight() != 0; }));
  out(f, 18, 0, 1);
  EXPECT_EQ(in(f, 18, 1), 7u) << "2.4.2: until they have ended";
  io().run_sync([&] { disk(f).release(); });
  ASSERT_TRUE(wait_for([&] { return in(f, 18, 1) == 0; }));
  EXPECT_EQ(used(), 0) << "nothing is given back";
  put<uint16_t>(0x10000 + 16 * 256 + 2, 0);
  start(f);
  offer(f, 0, 1);
  EXPECT_TRUE(wait_for([&] { return used() == 1; }));
}

TEST_F(VirtioEvents, NothingIsTakenWhileTheMachineStands) {
  VirtioPci& f = plug();
  start(f);
  RunStateListener::tell(false);
  offer_writes(f, 1, 0);
  EXPECT_EQ(used(), 1) << "a write to the register itself is served; only its event is not heard";
  RunStateListener::tell(true);
  offer_writes(f, 1, 0);
  EXPECT_TRUE(wait_for([&] { return used() == 2; }));
}

TEST_F(VirtioEvents, ADrainWaitsForWhatTheThreadStillDoes) {
  VirtioPci& f = plug();
  start(f);
  for (int round = 0; round < 200; ++round) {
    offer_writes(f, 4, 0);
    EXPECT_TRUE(run(co_drain_and_look()));
  }
  EXPECT_TRUE(wait_for([&] { return used() == static_cast<uint16_t>(800); }));
}

TEST_F(VirtioEvents, TheKernelTakesInterrupts) {
  FakeAccel accel;
  VirtioPci& f = plug();
  enable_vectors(f);
  start(f);
  EXPECT_TRUE(accel.chip.events.empty()) << "no vector yet";
  out(f, 14, 0, 2);
  out(f, 22, 1, 2);
  EXPECT_TRUE(accel.chip.events.empty()) << "masked";
  mask(1, false);
  ASSERT_EQ(accel.chip.events.size(), 1u);
  const auto [gsi, fd] = *accel.chip.events.begin();
  EXPECT_EQ(accel.chip.routes.at(gsi), (MsiMessage{.address = kTarget, .data = 2}));
  memory_space().store(kTable + 16 + 8, 77, 4);
  EXPECT_EQ(accel.chip.routes.at(gsi).data, 77u) << "the route follows the table";

  offer(f, 0, 1);
  uint64_t count = 0;
  ASSERT_TRUE(wait_for([&] { return ::read(fd, &count, sizeof count) == sizeof count; }))
      << "the event is signalled";
  EXPECT_EQ(get<uint32_t>(kTarget), 0u) << "and no message sent beside it";

  mask(1, true);
  EXPECT_TRUE(accel.chip.events.empty());
  EXPECT_EQ(accel.chip.routes.size(), 1u) << "the route is kept for when it is unmasked";
  offer(f, 0, 1);
  ASSERT_TRUE(wait_for([&] { return (memory_space().load(kTable + 0x800, 4) & 2) != 0; })) << "pending";
  mask(1, false);
  EXPECT_EQ(get<uint32_t>(kTarget), 77u) << "sent when unmasked";
  EXPECT_EQ(accel.chip.events.size(), 1u);

  out(f, 18, 0, 1);
  EXPECT_TRUE(accel.chip.events.empty());
  EXPECT_TRUE(accel.chip.routes.empty());
}

TEST_F(VirtioEvents, WithoutARouteTheMainLoopSendsIt) {
  FakeAccel accel;
  accel.chip.full = true;
  VirtioPci& f = plug();
  enable_vectors(f);
  mask(1, false);
  start(f);
  out(f, 14, 0, 2);
  out(f, 22, 1, 2);
  EXPECT_TRUE(accel.chip.events.empty());
  offer(f, 0, 1);
  EXPECT_TRUE(wait_for([&] { return get<uint32_t>(kTarget) == 2; }));
}

TEST_F(VirtioEvents, ABrokenRingIsTheMainLoopsToTell) {
  VirtioPci& f = plug();
  start(f);
  put<uint16_t>(0x10000 + 16 * 256 + 2, 5000);
  ring(f);
  EXPECT_TRUE(wait_for([&] { return (in(f, 18, 1) & virtio::kNeedsReset) != 0; }));
  out(f, 18, 0, 1);
  EXPECT_EQ(in(f, 18, 1), 0u);
}

}  // namespace
}  // namespace rhea
