#include "hw/char/serial.h"

#include "hw/char/attach.h"

namespace rhea {

namespace {

constexpr uint16_t kPorts[] = {0x3f8, 0x2f8, 0x3e8, 0x2e8};
constexpr uint8_t kIrqs[] = {4, 3, 4, 3};

constexpr PropertyInfo kSerialProperties[] = {
    prop<&IsaSerial::index>("index"),
    prop<&IsaSerial::iobase>("iobase"),
    prop<&IsaSerial::irq>("irq"),
    prop<&IsaSerial::chardev_id>("chardev", "ID of a chardev to use as a backend"),
    prop<&IsaSerial::baudbase>("baudbase"),
};

uint32_t ports_so_far(const IsaBus& bus) {
  uint32_t count = 0;
  for (const Device* device : bus.devices())
    if (device->realized() && &device->type() == &IsaSerial::kType) ++count;
  return count;
}

UartState& uart_state(void* object) {
  return static_cast<IsaSerial*>(object)->uart.state;
}
constexpr VMStateField kSerialFields[] = {
    {.name = "state",
     .save =
         [](const void* o, StateWriter& out, const VMStateField&) {
           vmstate_save(kUartStateVmState, &uart_state(const_cast<void*>(o)), out);
         },
     .load = [](void* o, StateReader& in, const VMStateField&,
                int version) { return vmstate_load(kUartStateVmState, &uart_state(o), in, version); },
     .nested = &kUartStateVmState}};
constexpr VMState kVmState{
    .name = "serial",
    .version = 3,
    .minimum_version = 2,
    .fields = kSerialFields,
    .pre_save = [](void* o) { static_cast<IsaSerial*>(o)->uart.before_save(); },
    .post_load = [](void* o, int version) { return static_cast<IsaSerial*>(o)->uart.after_load(version); }};

}  // namespace

constexpr TypeInfo IsaSerial::kType{
    .name = "isa-serial",
    .parent = &IsaDevice::kType,
    .create = []() -> std::shared_ptr<Object> { return std::make_shared<IsaSerial>(); },
    .properties = kSerialProperties,
    .description = "16550A serial port",
    .user_creatable = true,
    .category = DeviceCategory::kInput};

CoResult<> IsaSerial::co_prepare(DeviceContext& context) {
  connect(context.main_loop, context.clock);
  co_return attach_chardev(context, *this, chardev_id, uart.chardev);
}

Result<> IsaSerial::do_realize() {
  const uint32_t n = index != kUnset ? index : ports_so_far(isa_bus());
  if (n >= kMaxPorts) return fail(EINVAL, "Max. supported number of ISA serial ports is ", kMaxPorts);
  const uint32_t port = iobase != kUnset ? iobase : kPorts[n];
  const uint32_t isa_irq = irq != kUnset ? irq : kIrqs[n];
  if (port > 0xfff8) return fail(EINVAL, "isa-serial: iobase ", port, " leaves no room for 8 ports");
  if (isa_irq > 15) return fail(EINVAL, "isa-serial: there is no ISA interrupt ", isa_irq);
  index = n;
  iobase = port;
  irq = isa_irq;
  line_ = isa_bus().irq(isa_irq);
  add_irq_output(line_);
  uart.baudbase = baudbase;
  uart.start(line_, *loop_, *clock_);
  add_ports(static_cast<uint16_t>(port), 8, io_, "serial", {.impl_max = 1});
  return {};
}

void IsaSerial::do_unrealize() {
  IsaDevice::do_unrealize();
  uart.stop();
}

const VMState* IsaSerial::vmstate() const {
  return &kVmState;
}

}  // namespace rhea
