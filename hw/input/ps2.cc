#include "hw/input/ps2.h"

namespace rhea {

namespace {

constexpr int32_t kRing = 256;
constexpr int32_t kMaxOnWire = 32;  // sixteen bytes of keys and the longest replies

Result<> check_queue(void* object, int) {
  auto& s = *static_cast<Ps2State*>(object);
  if (s.rptr < 0 || s.rptr >= kRing || s.count < 0 || s.count > kMaxOnWire)
    return fail(EINVAL, "queue of ", s.count, " bytes at ", s.rptr, " is not possible");
  if (s.write_cmd < Ps2State::kNoCommand || s.write_cmd > 0xff)
    return fail(EINVAL, "command ", s.write_cmd, " is not a byte");
  s.wptr = (s.rptr + s.count) % kRing;
  return {};
}

constexpr VMStateField kPs2Fields[] = {
    field<&Ps2State::write_cmd>("write_cmd"), field<&Ps2State::rptr>("queue.rptr"),
    field<&Ps2State::wptr>("queue.wptr"), field<&Ps2State::count>("queue.count"),
    field<&Ps2State::data>("queue.data")};

}  // namespace

constexpr VMState kPs2StateVmState{.name = "PS2 Common State",
                                   .version = 3,
                                   .minimum_version = 2,
                                   .fields = kPs2Fields,
                                   .post_load = check_queue};
constexpr TypeInfo Ps2Device::kType{.name = "ps2-device", .parent = &Device::kSysBusType};

void Ps2Device::reset() {
  common = {};
}

uint8_t Ps2Device::take() {
  if (common.count == 0) return 0;
  const uint8_t byte = common.data[static_cast<size_t>(common.rptr)];
  common.rptr = (common.rptr + 1) % kRing;
  --common.count;
  if (common.rptr == common.cwptr) common.cwptr = -1;
  return byte;
}

bool Ps2Device::room_for(size_t bytes) const {
  return common.count + static_cast<int32_t>(bytes) <= kQueueBytes;
}

void Ps2Device::enqueue(std::span<const uint8_t> bytes) {
  if (bytes.empty() || !room_for(bytes.size())) return;
  const bool was_empty = common.count == 0;
  for (uint8_t byte : bytes) {
    common.data[static_cast<size_t>(common.wptr)] = byte;
    common.wptr = (common.wptr + 1) % kRing;
    ++common.count;
  }
  if (was_empty && on_data) on_data();
}

void Ps2Device::reply(std::initializer_list<uint8_t> bytes) {
  const bool was_empty = common.count == 0;
  if (common.cwptr >= 0) {
    common.count -= (common.cwptr - common.rptr + kRing) % kRing;
    common.rptr = common.cwptr;
  }
  common.cwptr = common.rptr;
  common.rptr = (common.rptr - static_cast<int32_t>(bytes.size()) + kRing) % kRing;
  int32_t at = common.rptr;
  for (uint8_t byte : bytes) {
    common.data[static_cast<size_t>(at)] = byte;
    at = (at + 1) % kRing;
  }
  common.count += static_cast<int32_t>(bytes.size());
  if (was_empty && on_data) on_data();
}

void Ps2Device::clear_queue() {
  common.rptr = common.wptr = common.count = 0;
  common.cwptr = -1;
}

}  // namespace rhea
