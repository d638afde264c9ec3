#include "hw/misc/port92.h"

#include <utility>

namespace rhea {

namespace {
constexpr uint8_t kFastReset = 0x01, kA20 = 0x02;

constexpr VMStateField kStateFields[] = {field<&Port92State::outport>("outport")};
constexpr VMState kState{.name = "port92", .fields = kStateFields};
constexpr VMStateField kFields[] = {struct_field<&Port92::state>("state", kState)};
constexpr VMState kPort92VmState{
    .name = "port92", .fields = kFields, .post_load = [](void* o, int) -> Result<> {
      auto& port = *static_cast<Port92*>(o);
      if (port.on_a20) port.on_a20((port.state.outport & kA20) != 0);
      return {};
    }};
}  // namespace

constexpr TypeInfo Port92::kType{
    .name = "port92", .parent = &IsaDevice::kType, .create = []() -> std::shared_ptr<Object> {
      return std::make_shared<Port92>();
    }};

Result<> Port92::do_realize() {
  add_ports(0x92, 1, io_, "port92", {.impl_max = 1});
  return {};
}

void Port92::io_write(uint64_t, uint64_t value, unsigned) {
  const uint8_t old = std::exchange(state.outport, static_cast<uint8_t>(value));
  if (on_a20) on_a20((value & kA20) != 0);
  if ((~old & value & kFastReset) != 0 && on_reset_request) on_reset_request();
}

const VMState* Port92::vmstate() const {
  return &kPort92VmState;
}

}  // namespace rhea
