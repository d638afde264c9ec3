// Saved state of virtio-blk-pci: QEMU's layout, round trips with requests that wait, streams that lie.
#include <random>

#include "tests/unit/virtio/virtio_rig.h"

namespace rhea {
namespace {

constexpr size_t kPciBytes = 4 + 256 + 16, kMsixBytes = 2 * 16 + 1;
constexpr size_t kStatus = kPciBytes + kMsixBytes + 2, kConfig = kStatus + 8 + 4, kQueues = kConfig + 57;
constexpr size_t kKind = kQueues + 4 + 16, kElementBytes = 49168;

class VirtioState : public VirtioRig {};

std::string part_at(const std::vector<uint8_t>& bytes, size_t at) {
  if (bytes[at] != 5) return str_cat("mark ", bytes[at]);
  return {reinterpret_cast<const char*>(&bytes[at + 2]), bytes[at + 1]};
}

TEST_F(VirtioState, C_7_GoldenLayout) {
  VirtioPci& f = plug();
  const std::vector<uint8_t> bytes = save(f);
  EXPECT_EQ(std::string(f.backend().vmstate()->name), "virtio-blk");
  EXPECT_EQ(f.backend().vmstate()->version, 2);
  EXPECT_EQ(load_be<uint32_t>(&bytes[0]), 2u) << "PCIDevice version_id";
  EXPECT_EQ(load_le<uint32_t>(&bytes[4]), 0x10011af4u);
  EXPECT_EQ(bytes[kPciBytes + 12], 1) << "first vector, masked";
  EXPECT_EQ(load_be<uint16_t>(&bytes[kPciBytes + kMsixBytes]), 0xffff) << "config_vector";
  EXPECT_EQ(load_be<uint32_t>(&bytes[kConfig - 4]), 57u);
  EXPECT_EQ(load_le<uint64_t>(&bytes[kConfig]), 2048u) << "capacity";
  EXPECT_EQ(load_be<uint32_t>(&bytes[kQueues]), 1u);
  EXPECT_EQ(load_be<uint32_t>(&bytes[kQueues + 4]), 256u);
  EXPECT_EQ(load_be<uint16_t>(&bytes[kQueues + 18]), 0xffff) << "vector";
  EXPECT_EQ(bytes[kKind], 0) << "no request waits";
  size_t at = kKind + 1;
  EXPECT_EQ(part_at(bytes, at), "virtio/64bit_features");
  at += 2 + 21 + 4 + 8;
  EXPECT_EQ(part_at(bytes, at), "virtio/virtqueues");
  at += 2 + 17 + 4 + 16384;
  EXPECT_EQ(part_at(bytes, at), "virtio/extra_state");
  at += 2 + 18 + 4;
  EXPECT_EQ(part_at(bytes, at), "virtio_pci/modern_state");
  at += 2 + 23 + 4 + 16 + 1024 * 28;
  EXPECT_EQ(at, bytes.size());
}

TEST_F(VirtioState, WorkingQueueGoesOnAfterwards) {
  VirtioPci &a = plug(), &b = plug();
  start(a);
  disk(a).bytes[512] = 0x5a;
  disk(b).bytes[1024] = 0xa5;
  offer(a, 0, 1);
  EXPECT_EQ(used_index(), 1);
  EXPECT_EQ(get<uint8_t>(0x21000), 0x5a);
  const std::vector<uint8_t> bytes = save(a);
  a.reset();
  ASSERT_EQ(load_error(b, bytes), "(loaded)");
  EXPECT_EQ(save(b), bytes);
  EXPECT_EQ(in(b, 18, 1), 7u);
  EXPECT_EQ(in(b, 8, 4), 0x10u);
  offer(b, 0, 2);
  EXPECT_EQ(used_index(), 2);
  EXPECT_EQ(get<uint8_t>(0x21000), 0xa5);
  EXPECT_EQ(get<uint8_t>(0x21200), 0);
}

TEST_F(VirtioState, C_7_RequestThatWaitsIsMadeThere) {
  VirtioPci &a = plug(Json::object({{"werror", "stop"}})), &b = plug(Json::object({{"werror", "stop"}}));
  start(a);
  disk(a).fail_next = EIO;
  put<uint8_t>(0x21000, 0x77);
  offer(a, 1, 3);
  EXPECT_EQ(stops, 1);
  EXPECT_EQ(used_index(), 0);
  EXPECT_FALSE(a.block_backend()->device()->is_busy());
  const std::vector<uint8_t> bytes = save(a);
  EXPECT_EQ(bytes[kKind], 1);
  EXPECT_EQ(load_le<uint32_t>(&bytes[kKind + 5]), 2u) << "pieces the device reads";
  EXPECT_EQ(load_le<uint32_t>(&bytes[kKind + 9]), 1u) << "pieces it writes";
  EXPECT_EQ(load_le<uint64_t>(&bytes[kKind + 1 + 16]), 0x21200u) << "in_addr[0]";
  EXPECT_EQ(load_le<uint64_t>(&bytes[kKind + 1 + 16 + 8192 + 8]), 0x21000u) << "out_addr[1]";
  EXPECT_EQ(load_le<uint64_t>(&bytes[kKind + 1 + 16 + 16384 + 16384 + 16 + 8]), 512u) << "out_sg[1].iov_len";
  a.reset();
  ASSERT_EQ(load_error(b, bytes), "(loaded)");
  EXPECT_EQ(save(b), bytes);
  b.block_backend()->device()->machine_resumed();
  loop->run_once(false);
  EXPECT_EQ(used_index(), 1);
  EXPECT_EQ(disk(b).bytes[3 * 512], 0x77);
  EXPECT_EQ(get<uint8_t>(0x21200), 0);
}

TEST_F(VirtioState, QueueOfARequestTravelsWhereThereAreSeveral) {
  const auto several = [] { return Json::object({{"num-queues", 3}, {"rerror", "stop"}}); };
  VirtioPci &a = plug(several()), &b = plug(several());
  start(a, 0x10, 2);
  disk(a).fail_next = EIO;
  offer(a, 0, 3, 0x10, 2);
  const std::vector<uint8_t> bytes = save(a);
  a.reset();
  ASSERT_EQ(load_error(b, bytes), "(loaded)");
  b.block_backend()->device()->machine_resumed();
  loop->run_once(false);
  EXPECT_EQ(used_index(), 1);
}

TEST_F(VirtioState, CacheModeFollowsWhatTheDriverSaid) {
  VirtioPci &a = plug(), &b = plug();
  constexpr uint32_t kConfigWce = 1 << 11;
  start(a, 0x10, 0, kConfigWce);
  out(a, 20 + 32, 0, 1);
  EXPECT_FALSE(a.block_backend()->write_cache_enabled());
  const std::vector<uint8_t> bytes = save(a);
  a.reset();
  EXPECT_TRUE(a.block_backend()->write_cache_enabled());
  ASSERT_EQ(load_error(b, bytes), "(loaded)");
  EXPECT_FALSE(b.block_backend()->write_cache_enabled());
}

TEST_F(VirtioState, BrokenDeviceStaysBroken) {
  VirtioPci &a = plug(), &b = plug();
  start(a);
  put<uint16_t>(0x11002, 999);
  out(a, 16, 0, 2);
  loop->run_once(false);
  EXPECT_EQ(in(a, 18, 1) & 0x40, 0x40u);
  const std::vector<uint8_t> bytes = save(a);
  a.reset();
  ASSERT_EQ(load_error(b, bytes), "(loaded)");
  EXPECT_EQ(in(b, 18, 1) & 0x40, 0x40u);
}

TEST_F(VirtioState, StreamsThatLie) {
  VirtioPci &a = plug(Json::object({{"rerror", "stop"}})), &b = plug(Json::object({{"rerror", "stop"}}));
  start(a);
  disk(a).fail_next = EIO;
  offer(a, 0, 3);
  const std::vector<uint8_t> good = save(a);
  a.reset();
  struct Case {
    size_t at;
    std::vector<uint8_t> bytes;
    const char* error;
  };
  constexpr size_t kElement = kKind + 1;
  const Case cases[] = {
      {kStatus + 2, {4, 0}, "queue_sel 1024 is too large"},
      {kConfig - 4, {0x7f, 0, 0, 0}, "configuration space of 2130706432 bytes"},
      {kQueues, {0, 0, 4, 1}, "it has 1025 virtqueues and here 1"},
      {kQueues + 4, {0, 0, 0, 3}, "VQ 0 has size 3"},
      {kQueues + 4, {0, 0, 0, 0}, "VQ 0 has size 0"},
      {kQueues + 4, {0, 0, 8, 0}, "VQ 0 has size 2048"},
      {kQueues + 16, {9, 9}, "VQ 0 size 0x100 < last_avail_idx 0x909 - used_idx 0x0"},
      {kElement, {0, 1, 0, 0}, "an element of number 256 in a queue of 256"},
      {kElement + 4, {0xff, 0xff, 0xff, 0xff}, "an element has 4294967295 + 2 pieces"},
      {kElement + 16, {0, 0, 0xff, 0xff}, "virtio: buffer at 0xffff0000 is not in memory"},
  };
  for (const Case& c : cases) {
    std::vector<uint8_t> bad = good;
    std::copy(c.bytes.begin(), c.bytes.end(), bad.begin() + static_cast<ptrdiff_t>(c.at));
    const std::string error = load_error(b, bad);
    EXPECT_NE(error.find(c.error), std::string::npos) << error << " for " << c.error;
    b.reset();
  }
  ASSERT_EQ(load_error(b, good), "(loaded)");
}

/// Wherever a stream ends or whatever it holds: an error or a device that works on.
TEST_F(VirtioState, CutAndDamagedStreams) {
  VirtioPci &a = plug(Json::object({{"rerror", "stop"}})), &b = plug(Json::object({{"rerror", "stop"}}));
  start(a);
  disk(a).fail_next = EIO;
  offer(a, 0, 3);
  const std::vector<uint8_t> good = save(a);
  a.reset();
  for (size_t cut = 0; cut < good.size(); cut += cut < kKind + 8 ? 1 : 997) {
    if (good[cut] == 5) continue;  // the optional parts may end anywhere between two
    EXPECT_NE(load_error(b, {good.begin(), good.begin() + static_cast<ptrdiff_t>(cut)}), "(loaded)") << cut;
    b.reset();
  }
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 300; ++round) {
    std::vector<uint8_t> bad = good;
    for (int i = 0; i < 4; ++i) {
      const size_t end = random() % 2 != 0 ? kKind + 40 : good.size();
      bad[random() % end] = static_cast<uint8_t>(random());
    }
    std::ignore = load(b, bad);
    b.block_backend()->device()->machine_resumed();
    loop->run_once(false);
    b.reset();
  }
}

TEST_F(VirtioState, PackedRing) {
  const auto packed = [] { return Json::object({{"packed", true}, {"disable-legacy", "on"}}); };
  VirtioPci &a = plug(packed()), &b = plug(packed());
  a.config_write(pci::kBar0 + 16, 0xfe000000, 4);
  auto write = [&](VirtioPci& f, unsigned at, uint32_t v, unsigned size) {
    memory_space().store(f.bar_address(4) + at, v, size);
  };
  write(a, 20, 3, 1);
  write(a, 8, 1, 4);
  write(a, 12, 1 | 1 << 2, 4);  // VERSION_1, RING_PACKED
  write(a, 20, 11, 1);
  write(a, 22, 0, 2);
  write(a, 24, 8, 2);
  write(a, 32, 0x10000, 4);
  write(a, 40, 0x11000, 4);
  write(a, 48, 0x12000, 4);
  write(a, 28, 1, 2);
  write(a, 20, 15, 1);
  put<uint32_t>(0x20000, 0);
  put<uint64_t>(0x20008, 1);
  auto offer_packed = [&](VirtioPci& f, unsigned slot) {
    constexpr uint16_t kAvail = 1 << 7;
    describe(0x10000 + 16 * slot, 0x20000, 16, 5, kAvail | 1);
    describe(0x10000 + 16 * (slot + 1), 0x21000, 512, 5, kAvail | 3);
    describe(0x10000 + 16 * (slot + 2), 0x21200, 1, 5, kAvail | 2);
    write(f, 0x3000, 0, 2);
    loop->run_once(false);
  };
  offer_packed(a, 0);
  EXPECT_EQ(get<uint16_t>(0x1000e) & 0x8080, 0x8080) << "used";
  const std::vector<uint8_t> bytes = save(a);
  a.reset();
  ASSERT_EQ(load_error(b, bytes), "(loaded)");
  EXPECT_EQ(save(b), bytes);
  offer_packed(b, 3);
  EXPECT_EQ(get<uint16_t>(0x1003e) & 0x8080, 0x8080);
}

/// The other kinds: names and versions are QEMU's; what is saved loads and is then saved alike; streams that
/// were cut or damaged are refused or leave a device that can be reset.
class OtherKinds : public VirtioRig,
                   public testing::WithParamInterface<std::tuple<const char*, const char*, int>> {};

TEST_P(OtherKinds, C_7_RoundTripAndDamage) {
  const auto [type, name, version] = GetParam();
  const bool only_one = std::string_view(type) == "virtio-balloon-pci";
  VirtioPci& a = plug_kind(type);
  VirtioPci& b = only_one ? a : plug_kind(type);
  const VMState& description = *a.backend().vmstate();
  EXPECT_EQ(std::string(description.name), name);
  EXPECT_EQ(description.version, version);
  const auto load_here = [&](VirtioPci& f, const std::vector<uint8_t>& bytes) -> Result<> {
    StateReader reader(bytes);
    TRY(vmstate_load(description, f.backend().vmstate_object(), reader, version));
    return reader.left() == 0 ? Result<>() : fail(EINVAL, "bytes are left");
  };
  start(a);
  const std::vector<uint8_t> good = save(a);
  a.reset();
  Result<> loaded = load_here(b, good);
  ASSERT_TRUE(loaded) << loaded.error().message();
  EXPECT_EQ(save(b), good);
  for (size_t cut = 0; cut < good.size(); cut += cut < 2000 ? 7 : 1999) {
    if (good[cut] == 5) continue;  // the optional parts may end anywhere between two
    EXPECT_FALSE(load_here(b, {good.begin(), good.begin() + static_cast<ptrdiff_t>(cut)})) << cut;
    b.reset();
  }
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 100; ++round) {
    std::vector<uint8_t> bad = good;
    for (int i = 0; i < 4; ++i)
      bad[random() % std::min<size_t>(bad.size(), 2500)] = static_cast<uint8_t>(random());
    std::ignore = load_here(b, bad);
    b.reset();
  }
}

INSTANTIATE_TEST_SUITE_P(Virtio, OtherKinds,
                         testing::Values(std::tuple("virtio-rng-pci", "virtio-rng", 1),
                                         std::tuple("virtio-balloon-pci", "virtio-balloon", 1),
                                         std::tuple("virtio-net-pci", "virtio-net", 11),
                                         std::tuple("virtio-serial-pci", "virtio-console", 3),
                                         std::tuple("virtio-scsi-pci", "virtio-scsi", 1)));

}  // namespace
}  // namespace rhea
