// A guest of a few bytes of real-mode code, for tests of the accelerator.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <initializer_list>
#include <mutex>
#include <vector>

#include "accel/accel.h"
#include "util/locks.h"

namespace rhea::test {

inline constexpr uint16_t kPort = 0x3f8;
inline constexpr uint16_t kCode = 0x1000;

/// A port that writes down what the guest sends and lets a test wait for it.
class PortLog final : public MmioHandler {
 public:
  uint64_t mmio_read(uint64_t, unsigned) override { return answer; }
  void mmio_write(uint64_t, uint64_t value, unsigned) override;
  /// Waits until `count` values have come; false after ten seconds.
  bool wait_for(size_t count);
  std::vector<uint64_t> values();
  uint64_t answer = 0x5a;

 private:
  std::mutex mutex_;
  std::condition_variable more_;
  std::vector<uint64_t> values_;
};

/// RAM at 0 with code at kCode, a PortLog at kPort, and a KVM with in-kernel interrupt controllers.
class KvmGuest : public testing::Test {
 protected:
  static constexpr uint64_t kRamSize = 0x80000;
  void SetUp() override;
  void TearDown() override;
  /// Makes vCPUs; the first starts at kCode in real mode with all segments at 0. Others wait for SIPI.
  void make_vcpus(unsigned count);
  void load(uint64_t at, std::initializer_list<uint8_t> code);
  Vcpu& vcpu(size_t i) { return *accel->vcpus()[i]; }
  X86State state(size_t i = 0);

  std::shared_ptr<RamBlock> ram;
  std::unique_ptr<MemoryRegion> ram_region, port_region;
  PortLog port;
  std::atomic<int> resets{0}, errors{0};
  std::unique_ptr<Accelerator> accel;
};

/// Waits until `done()`; false after ten seconds.
template <class F>
bool wait_until(F done) {
  for (int i = 0; i < 10000; ++i) {
    if (done()) return true;
    timespec ms{0, 1000000};
    nanosleep(&ms, nullptr);
  }
  return false;
}

}  // namespace rhea::test
