// Split and packed rings against a driver written here, and against one that means ill.
#include "hw/virtio/ring.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

namespace rhea {
namespace {

constexpr uint64_t kRam = 1 << 20;
constexpr GuestAddr kDesc = 0x1000, kAvail = 0x3000, kUsedRing = 0x5000, kData = 0x10000, kTable = 0x8000;
constexpr uint16_t kNext = 1, kWrite = 2, kIndirect = 4;

class RingTest : public testing::Test {
 protected:
  RingTest() {
    auto block = *RamBlock::create("ram", kRam);
    ram = block->host();
    root = MemoryRegion::container("root", UINT64_MAX);
    memory = MemoryRegion::ram("ram", std::move(block));
    root->add_subregion(0, *memory);
    space = std::make_unique<AddressSpace>("test", *root);
  }
  template <class T>
  void put(GuestAddr at, T value) {
    std::memcpy(ram + at, &value, sizeof value);
  }
  template <class T>
  T get(GuestAddr at) const {
    T value;
    std::memcpy(&value, ram + at, sizeof value);
    return value;
  }
  void describe(GuestAddr at, uint64_t addr, uint32_t len, uint16_t a, uint16_t b) {
    put<uint64_t>(at, addr);
    put<uint32_t>(at + 8, len);
    put<uint16_t>(at + 12, a);
    put<uint16_t>(at + 14, b);
  }
  RingLayout layout(bool events = false, uint16_t size = 8) const {
    return {.size = size,
            .descriptors = kDesc,
            .driver = kAvail,
            .device = kUsedRing,
            .indirect = true,
            .event_index = events};
  }
  std::string pop_error() {
    auto popped = ring->pop(e);
    return popped ? std::string(*popped ? "got one" : "empty") : popped.error().message();
  }
  bool pops() {
    auto popped = ring->pop(e);
    EXPECT_TRUE(popped) << popped.error().message();
    return popped && *popped;
  }
  uint8_t* ram;
  std::unique_ptr<MemoryRegion> root, memory;
  std::unique_ptr<AddressSpace> space;
  std::unique_ptr<VirtRing> ring;
  RingElement e;
};

class SplitRing : public RingTest {
 protected:
  void start(bool events = false, RingPosition position = {}) {
    ring = VirtRing::create_split(*space, layout(events), position);
  }
  void offer(uint16_t head) {
    put<uint16_t>(kAvail + 4 + 2u * (index % 8), head);
    put<uint16_t>(kAvail + 2, ++index);
  }
  uint16_t index = 0;
};

TEST_F(SplitRing, ChainIsReadThenWritten) {
  start();
  EXPECT_FALSE(pops());
  EXPECT_FALSE(ring->has_work());
  describe(kDesc + 16 * 3, kData, 16, kNext, 5);
  describe(kDesc + 16 * 5, kData + 0x100, 0x200, kNext | kWrite, 0);
  describe(kDesc, kData + 0x400, 1, kWrite, 0);
  offer(3);
  EXPECT_TRUE(ring->has_work());
  ASSERT_TRUE(pops());
  EXPECT_EQ(e.id, 3);
  ASSERT_EQ(e.out().size(), 1u);
  ASSERT_EQ(e.in().size(), 2u);
  EXPECT_EQ(e.out()[0].iov_base, ram + kData);
  EXPECT_EQ(e.in_bytes(), 0x201u);
  ASSERT_TRUE(ring->push(e, 0x201));
  EXPECT_EQ(get<uint16_t>(kUsedRing + 2), 1);
  EXPECT_EQ(get<uint32_t>(kUsedRing + 4), 3u);
  EXPECT_EQ(get<uint32_t>(kUsedRing + 8), 0x201u);
  EXPECT_FALSE(pops());
}

TEST_F(SplitRing, IndirectTable) {
  start();
  describe(kTable, kData, 8, kNext, 2);
  describe(kTable + 32, kData + 64, 8, kWrite, 0);
  describe(kDesc, kTable, 48, kIndirect, 0);
  offer(0);
  ASSERT_TRUE(pops());
  EXPECT_EQ(e.out_bytes(), 8u);
  EXPECT_EQ(e.in_bytes(), 8u);
}

TEST_F(SplitRing, UnpopGivesItAgain) {
  start();
  describe(kDesc, kData, 8, 0, 0);
  offer(0);
  ASSERT_TRUE(pops());
  ring->unpop(e);
  EXPECT_EQ(ring->position().in_use, 0u);
  ASSERT_TRUE(pops());
}

TEST_F(SplitRing, FlagsSuppressInterruptsAndNotifications) {
  start();
  ASSERT_TRUE(ring->set_notifications(false));
  EXPECT_EQ(get<uint16_t>(kUsedRing), 1);
  ASSERT_TRUE(ring->set_notifications(true));
  EXPECT_EQ(get<uint16_t>(kUsedRing), 0);
  EXPECT_TRUE(ring->take_interrupt());
  put<uint16_t>(kAvail, 1);
  EXPECT_FALSE(ring->take_interrupt());
}

TEST_F(SplitRing, EventIndexAsksForAPlace) {
  start(true);
  describe(kDesc, kData, 8, kWrite, 0);
  put<uint16_t>(kAvail + 4 + 16, 2);  // used_event: after the third
  std::string interrupts;
  for (int i = 0; i < 5; ++i) {
    offer(0);
    ASSERT_TRUE(pops());
    EXPECT_EQ(get<uint16_t>(kUsedRing + 4 + 64), i + 1);  // avail_event
    ASSERT_TRUE(ring->push(e, 8));
    interrupts += ring->take_interrupt() ? 'i' : '.';
  }
  EXPECT_EQ(interrupts, "i.i..");  // the first one always
}

TEST_F(SplitRing, IndexWrapsAround) {
  RingPosition position;
  position.next = position.used = 0xfffe;
  start(false, position);
  index = 0xfffe;
  put<uint16_t>(kAvail + 2, index);
  describe(kDesc, kData, 8, kWrite, 0);
  for (int i = 0; i < 4; ++i) {
    offer(0);
    ASSERT_TRUE(pops()) << i;
    ASSERT_TRUE(ring->push(e, 1));
  }
  EXPECT_EQ(get<uint16_t>(kUsedRing + 2), 2);
}

TEST_F(SplitRing, BadDriverIsToldApart) {
  struct Case {
    std::function<void()> write;
    const char* error;
  };
  const Case cases[] = {
      {[&] { put<uint16_t>(kAvail + 2, 9); }, "virtio: guest moved available index from 0 to 9"},
      {[&] { offer(8); }, "virtio: guest says index 8 is available, of 8"},
      {[&] { describe(kDesc, kData, 0, 0, 0), offer(0); }, "virtio: zero sized buffers are not allowed"},
      {[&] { describe(kDesc, kData, 8, kNext, 0), offer(0); }, "virtio: looped descriptor"},
      {[&] { describe(kDesc, kData, 8, kNext, 8), offer(0); }, "virtio: next descriptor is 8, of 8"},
      {[&] { describe(kDesc, kRam, 8, 0, 0), offer(0); }, "virtio: buffer at 0x100000 is not in memory"},
      {[&] { describe(kDesc, UINT64_MAX - 3, 8, 0, 0), offer(0); },
       "virtio: buffer at 0xfffffffffffffffc is not in memory"},
      {[&] { describe(kDesc, kData, 8, kNext | kWrite, 1), describe(kDesc + 16, kData, 8, 0, 0), offer(0); },
       "virtio: a buffer to be read follows one to be written"},
      {[&] { describe(kDesc, kTable, 17, kIndirect, 0), offer(0); },
       "virtio: invalid size 17 of an indirect table"},
      {[&] { describe(kDesc, kRam, 16, kIndirect, 0), offer(0); },
       "virtio: indirect table at 0x100000 is not in memory"},
      {[&] {
         describe(kDesc, kTable, 16, kIndirect, 0), describe(kTable, kTable, 16, kIndirect, 0), offer(0);
       },
       "virtio: an indirect table where there may be none"},
      {[&] { describe(kDesc, kTable, 16, kIndirect | kNext, 1), offer(0); },
       "virtio: an indirect descriptor has a next one"},
  };
  for (const Case& c : cases) {
    std::memset(ram, 0, kRam);
    index = 0;
    start();
    c.write();
    EXPECT_EQ(pop_error(), c.error);
  }
}

TEST_F(RingTest, RingOutsideOfMemory) {
  RingLayout l = layout();
  l.device = kRam - 8;
  ring = VirtRing::create_split(*space, l, {});
  EXPECT_EQ(pop_error(), "virtio: the ring's device area at 0xffff8 is not in memory");
  EXPECT_TRUE(ring->has_work());  // so that the error is found
  EXPECT_FALSE(ring->take_interrupt());
  EXPECT_FALSE(ring->push(e, 0));
}

TEST_F(SplitRing, MemoryLivesAsLongAsTheElement) {
  start();
  describe(kDesc, kData, 8, kWrite, 0);
  offer(0);
  ASSERT_TRUE(pops());
  root->remove_subregion(*memory);
  memory.reset();
  std::memset(e.in()[0].iov_base, 1, 8);  // ASan's business
  EXPECT_FALSE(ring->push(e, 8));
}

class PackedRing : public RingTest {
 protected:
  void start(bool events = false) { ring = VirtRing::create_packed(*space, layout(events), {}); }
  /// Puts a chain of `count` pieces of 8 bytes, the last of them written, into the next slots.
  void offer(uint16_t id, int count = 1, uint16_t extra = 0) {
    const int first = slot;
    const uint16_t first_flags = flags(extra | (count > 1 ? kNext : kWrite));
    for (int i = 0; i < count; ++i) {
      const uint16_t f = i == 0 ? 0 : flags(i + 1 < count ? kNext : kWrite);
      describe(kDesc + 16u * static_cast<unsigned>(slot), kData + 64u * static_cast<unsigned>(i), 8, id, f);
      if (++slot == 8) slot = 0, wrap = !wrap;
    }
    put<uint16_t>(kDesc + 16u * static_cast<unsigned>(first) + 14, first_flags);
  }
  uint16_t flags(int more) const { return static_cast<uint16_t>(more | (wrap ? 1 << 7 : 1 << 15)); }
  int slot = 0;
  bool wrap = true;
};

TEST_F(PackedRing, ChainsAndWrap) {
  start();
  EXPECT_FALSE(pops());
  for (uint16_t round = 0; round < 20; ++round) {
    const int count = 1 + round % 3;
    const int at = slot;
    const bool used_wrap = wrap;
    offer(round % 8, count);
    EXPECT_TRUE(ring->has_work());
    ASSERT_TRUE(pops()) << round;
    EXPECT_EQ(e.id, round % 8);
    EXPECT_EQ(e.slots, count);
    EXPECT_EQ(e.out_bytes(), 8u * static_cast<unsigned>(count - 1));
    EXPECT_EQ(e.in_bytes(), 8u);
    EXPECT_FALSE(ring->has_work());
    ASSERT_TRUE(ring->push(e, 5));
    const GuestAddr used = kDesc + 16u * static_cast<unsigned>(at);
    EXPECT_EQ(get<uint32_t>(used + 8), 5u);
    EXPECT_EQ(get<uint16_t>(used + 12), round % 8);
    EXPECT_EQ(get<uint16_t>(used + 14) & 0x8080, used_wrap ? 0x8080 : 0);
  }
}

TEST_F(PackedRing, IndirectTable) {
  start();
  describe(kTable, kData, 8, 0, 0);
  describe(kTable + 16, kData + 64, 8, 0, kWrite);
  describe(kDesc, kTable, 32, 6, flags(kIndirect));
  ASSERT_TRUE(pops());
  EXPECT_EQ(e.id, 6);
  EXPECT_EQ(e.slots, 1);
  EXPECT_EQ(e.out_bytes() + e.in_bytes(), 16u);
}

TEST_F(PackedRing, UnpopOverTheEnd) {
  start();
  for (int i = 0; i < 7; ++i) {
    offer(0);
    ASSERT_TRUE(pops());
    ASSERT_TRUE(ring->push(e, 0));
  }
  offer(3, 2);
  ASSERT_TRUE(pops());
  ring->unpop(e);
  ASSERT_TRUE(pops());
  EXPECT_EQ(e.id, 3);
  EXPECT_EQ(ring->position().next, 1);
  EXPECT_FALSE(ring->position().next_wrap);
}

TEST_F(PackedRing, EventSuppression) {
  start(true);
  ASSERT_TRUE(ring->set_notifications(true));
  EXPECT_EQ(get<uint16_t>(kUsedRing), 0x8000);
  EXPECT_EQ(get<uint16_t>(kUsedRing + 2), 2);
  ASSERT_TRUE(ring->set_notifications(false));
  EXPECT_EQ(get<uint16_t>(kUsedRing + 2), 1);
  put<uint16_t>(kAvail + 2, 1);
  EXPECT_FALSE(ring->take_interrupt());
  put<uint16_t>(kAvail + 2, 2);  // at slot 1 of the second round
  put<uint16_t>(kAvail, 1);
  std::string interrupts;
  for (int i = 0; i < 12; ++i) {
    offer(0);
    ASSERT_TRUE(pops());
    ASSERT_TRUE(ring->push(e, 8));
    interrupts += ring->take_interrupt() ? 'i' : '.';
  }
  EXPECT_EQ(interrupts, ".........i..");
}

TEST_F(PackedRing, BadDriverIsToldApart) {
  start();
  for (uint32_t i = 0; i < 8; ++i) describe(kDesc + 16 * i, kData, 8, 0, flags(kNext));
  EXPECT_EQ(pop_error(), "virtio: looped descriptor");
  describe(kDesc, kData, 8, 8, flags(0));
  EXPECT_EQ(pop_error(), "virtio: buffer id 8 of 8");
  describe(kDesc, kTable, 16, 0, flags(kIndirect | kNext));
  EXPECT_EQ(pop_error(), "virtio: an indirect descriptor in a chain");
  describe(kDesc, kData, 0, 0, flags(0));
  EXPECT_EQ(pop_error(), "virtio: zero sized buffers are not allowed");
}

/// Whatever is in memory, popping ends and what it gives lies in memory.
TEST_F(RingTest, RandomMemory) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 2000; ++round) {
    for (GuestAddr at = kDesc; at < kDesc + 0x100; at += 16) {
      const bool odd = random() % 8 == 0;
      describe(at, odd ? random() * uint64_t{random()} : random() % kRam,
               random() % (odd ? 0xffffffffu : 5000u), static_cast<uint16_t>(random() % 9),
               static_cast<uint16_t>(random()));
    }
    put<uint16_t>(kAvail + 2, static_cast<uint16_t>(random() % 10));
    for (unsigned i = 0; i < 8; ++i) put<uint16_t>(kAvail + 4 + 2 * i, static_cast<uint16_t>(random() % 9));
    ring = round % 2 != 0 ? VirtRing::create_split(*space, layout(), {})
                          : VirtRing::create_packed(*space, layout(), {});
    for (int i = 0; i < 20; ++i) {
      auto popped = ring->pop(e);
      if (!popped || !*popped) break;
      for (const iovec& piece : e.in()) {
        const auto* begin = static_cast<uint8_t*>(piece.iov_base);
        ASSERT_TRUE(begin >= ram && begin + piece.iov_len <= ram + kRam);
      }
      ASSERT_TRUE(ring->push(e, static_cast<uint32_t>(e.in_bytes())));
      std::ignore = ring->take_interrupt();
    }
  }
}

}  // namespace
}  // namespace rhea
