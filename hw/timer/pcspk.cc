#include "hw/timer/pcspk.h"

namespace rhea {

namespace {
constexpr unsigned kPcspkChannel = 2;
constexpr uint8_t kGate = 0x01, kData = 0x02, kRefresh = 0x10, kOutput = 0x20;

constexpr PropertyInfo kPcspkProperties[] = {prop<&Pcspk::iobase>("iobase"),
                                             prop<&Pcspk::migrate>("migrate")};

constexpr VMStateField kStateFields[] = {field<&PcspkState::data_on>("data_on"),
                                         field<&PcspkState::dummy_refresh_clock>("dummy_refresh_clock")};
constexpr VMState kState{.name = "pcspk", .version = 1, .fields = kStateFields};
constexpr VMStateField kPcspkFields[] = {struct_field<&Pcspk::state>("state", kState)};
constexpr VMState kVmState{.name = "pcspk", .version = 1, .fields = kPcspkFields};
}  // namespace

constexpr TypeInfo Pcspk::kType{
    .name = "isa-pcspk",
    .parent = &IsaDevice::kType,
    .create = []() -> std::shared_ptr<Object> { return std::make_shared<Pcspk>(); },
    .properties = kPcspkProperties,
    .description = "port 0x61: timer channel 2 and speaker switch"};

Result<> Pcspk::do_realize() {
  if (pit == nullptr) return fail(EINVAL, "pcspk: No \"pit\" set or available");
  if (iobase > 0xffff) return fail(EINVAL, "isa-pcspk: iobase ", iobase, " is outside the port space");
  add_ports(static_cast<uint16_t>(iobase), 1, io_, "pcspk", {.impl_max = 1});
  return {};
}

void Pcspk::reset() {
  state = {};
}

uint64_t Pcspk::io_read(uint64_t, unsigned) {
  state.dummy_refresh_clock ^= 1;
  return (pit->channel_gate(kPcspkChannel) ? kGate : 0) | (state.data_on != 0 ? kData : 0) |
         (state.dummy_refresh_clock != 0 ? kRefresh : 0) | (pit->channel_output(kPcspkChannel) ? kOutput : 0);
}

void Pcspk::io_write(uint64_t, uint64_t value, unsigned) {
  pit->set_channel_gate(kPcspkChannel, (value & kGate) != 0);
  state.data_on = value >> 1 & 1;
}

const VMState* Pcspk::vmstate() const {
  return migrate ? &kVmState : nullptr;
}

}  // namespace rhea
