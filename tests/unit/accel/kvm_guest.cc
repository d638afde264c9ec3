#include "tests/unit/accel/kvm_guest.h"

#include <chrono>
#include <cstring>

namespace rhea::test {

void PortLog::mmio_write(uint64_t, uint64_t value, unsigned) {
  std::lock_guard lock(mutex_);
  values_.push_back(value);
  more_.notify_all();
}

bool PortLog::wait_for(size_t count) {
  std::unique_lock lock(mutex_);
  return more_.wait_for(lock, std::chrono::seconds(10), [&] { return values_.size() >= count; });
}

std::vector<uint64_t> PortLog::values() {
  std::lock_guard lock(mutex_);
  return values_;
}

void KvmGuest::SetUp() {
  std::vector<AccelRequest> kvm = parse_accel_list("kvm");
  testing::internal::CaptureStderr();
  auto made = create_accelerator(kvm);
  std::string said = testing::internal::GetCapturedStderr();
  if (!made) GTEST_SKIP() << "no usable KVM here: " << said << made.error().message();
  accel = std::move(*made);
  ram = RamBlock::create("ram", kRamSize).value();
  ram_region = MemoryRegion::ram("ram", ram);
  port_region = MemoryRegion::io("port", 8, port);
  system_memory().add_subregion(0, *ram_region);
  system_io().add_subregion(kPort, *port_region);
  AccelCallbacks callbacks{.on_guest_reset = [this] { ++resets; },
                           .on_guest_shutdown = {},
                           .on_internal_error = [this] { ++errors; }};
  ASSERT_TRUE(accel->init(std::move(callbacks)));
  Result<> chip = accel->create_irqchip(true);
  ASSERT_TRUE(chip) << chip.error().message();
}

void KvmGuest::TearDown() {
  accel.reset();
  ram_region.reset();
  port_region.reset();
}

void KvmGuest::make_vcpus(unsigned count) {
  for (unsigned i = 0; i < count; ++i) {
    Result<Vcpu*> made = accel->create_vcpu({.index = i, .apic_id = i, .cpuid = *accel->supported_cpuid()});
    ASSERT_TRUE(made) << made.error().message();
  }
  Result<> reset = accel->reset();
  ASSERT_TRUE(reset) << reset.error().message();
  X86State s = state();
  s.rip = kCode;
  s.gpr[kRsp] = 0x8000;
  s.seg[kCs].selector = 0;
  s.seg[kCs].base = 0;
  Result<> set = vcpu(0).set_state(s);
  ASSERT_TRUE(set) << set.error().message();
}

void KvmGuest::load(uint64_t at, std::initializer_list<uint8_t> code) {
  std::memcpy(ram->host() + at, code.begin(), code.size());
}

X86State KvmGuest::state(size_t i) {
  Result<X86State> s = vcpu(i).get_state();
  EXPECT_TRUE(s) << (s ? "" : s.error().message());
  return s ? *s : X86State{};
}

}  // namespace rhea::test
