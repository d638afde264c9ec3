#include "accel/kvm/kvm_stats.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

#include "accel/kvm/kvm_uapi.h"
#include "util/unique_fd.h"

namespace rhea {
namespace {

constexpr uint32_t kNameBytes = 16;

struct Described {
  const char* name;
  uint32_t flags;
  int16_t exponent;
  uint16_t size;
  uint32_t offset, bucket;
};

/// A descriptor as KVM_GET_STATS_FD gives, in the kernel's format.
class Counters : public testing::Test {
 protected:
  Counters() : fd(memfd_create("counters", MFD_CLOEXEC)) {}
  void fill(const std::vector<Described>& list, const std::vector<uint64_t>& values) {
    kvm_stats_header header{};
    header.name_size = kNameBytes;
    header.num_desc = static_cast<uint32_t>(list.size());
    header.desc_offset = sizeof header;
    std::vector<uint8_t> bytes(sizeof header);
    for (const Described& d : list) {
      kvm_stats_desc desc{};
      desc.flags = d.flags;
      desc.exponent = d.exponent;
      desc.size = d.size;
      desc.offset = d.offset;
      desc.bucket_size = d.bucket;
      char name[kNameBytes] = {};
      std::strncpy(name, d.name, kNameBytes - 1);
      append(bytes, &desc, sizeof desc);
      append(bytes, name, sizeof name);
    }
    header.data_offset = static_cast<uint32_t>(bytes.size());
    append(bytes, values.data(), values.size() * 8);
    std::memcpy(bytes.data(), &header, sizeof header);
    ASSERT_EQ(pwrite(fd.get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
    all = bytes;
  }
  static void append(std::vector<uint8_t>& to, const void* from, size_t n) {
    const auto* at = static_cast<const uint8_t*>(from);
    to.insert(to.end(), at, at + n);
  }
  UniqueFd fd;
  std::vector<uint8_t> all;
};

TEST_F(Counters, AreReadAsTheKernelDescribesThem) {
  fill({{"exits", 0x000, 0, 1, 0, 0},
        {"guest_mode", 0x041, 0, 1, 8, 0},
        {"poll_ns", 0x020, -9, 1, 16, 0},
        {"hist", 0x024, -9, 3, 24, 0},
        {"linear", 0x103, 10, 2, 48, 100}},
       {5, 1, 77, 1, 2, 3, 8, 9});
  const auto read = kvm_read_counters(fd.get());
  ASSERT_TRUE(read) << read.error().message();
  ASSERT_EQ(read->size(), 5U);
  EXPECT_EQ((*read)[0].name, "exits");
  EXPECT_EQ((*read)[0].values, std::vector<uint64_t>{5});
  EXPECT_EQ((*read)[1].unit, CounterUnit::kBoolean);
  EXPECT_EQ((*read)[1].type, CounterType::kInstant);
  EXPECT_EQ((*read)[2].unit, CounterUnit::kSeconds);
  EXPECT_EQ((*read)[2].exponent, -9);
  EXPECT_EQ((*read)[3].values, (std::vector<uint64_t>{1, 2, 3}));
  EXPECT_EQ((*read)[4].type, CounterType::kLinearHistogram);
  EXPECT_EQ((*read)[4].base, CounterBase::kTwo);
  EXPECT_EQ((*read)[4].bucket_size, 100U);
}

TEST_F(Counters, OfLaterKernelsAreLeftOut) {
  fill({{"later", 0x00f, 0, 1, 0, 0},
        {"unit", 0x0f0, 0, 1, 0, 0},
        {"none", 0, 0, 0, 0, 0},
        {"known", 0, 0, 1, 8, 0}},
       {5, 6});
  const auto read = kvm_read_counters(fd.get());
  ASSERT_TRUE(read);
  ASSERT_EQ(read->size(), 1U);
  EXPECT_EQ((*read)[0].name, "known");
}

TEST_F(Counters, EndAtEveryByteWithoutHarm) {
  fill({{"exits", 0, 0, 1, 0, 0}}, {5});
  for (size_t bytes = 0; bytes < all.size(); ++bytes) {
    ASSERT_EQ(ftruncate(fd.get(), static_cast<off_t>(bytes)), 0);
    EXPECT_FALSE(kvm_read_counters(fd.get())) << bytes;
  }
}

}  // namespace
}  // namespace rhea
