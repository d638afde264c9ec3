#include <linux/virtio_console.h>

#include "chardev/chardev_set.h"
#include "hw/virtio/virtio_serial.h"
#include "qapi/qapi_events_devices.h"

namespace rhea {

constexpr PropertyInfo VirtioSerialPort::kProperties[] = {
    {.name = "nr",
     .type = "uint32",
     .get = [](const Object& o) -> Json { return static_cast<const VirtioSerialPort&>(o).number; },
     .set = [](Object& o, std::string_view name, const Json& value, ValueForm form) -> Result<> {
       static_cast<VirtioSerialPort&>(o).number =
           static_cast<uint32_t>(TRY(property_uint(name, value, form, UINT32_MAX)));
       return {};
     }},
    prop<&VirtioSerialPort::name_property>("name"),
    prop<&VirtioSerialPort::chardev>("chardev", "ID of a chardev to use as a backend"),
};
constexpr TypeInfo VirtioSerialPort::kType{.name = "virtio-serial-port",
                                           .parent = &Device::kType,
                                           .properties = VirtioSerialPort::kProperties,
                                           .category = DeviceCategory::kInput};
constexpr TypeInfo VirtSerialPort::kType{
    .name = "virtserialport",
    .parent = &VirtioSerialPort::kType,
    .create = []() -> std::shared_ptr<Object> { return std::make_shared<VirtSerialPort>(); },
    .user_creatable = true};
constexpr TypeInfo VirtConsole::kType{
    .name = "virtconsole",
    .parent = &VirtioSerialPort::kType,
    .create = []() -> std::shared_ptr<Object> { return std::make_shared<VirtConsole>(); },
    .user_creatable = true};

VirtioSerialPort::~VirtioSerialPort() = default;

CoResult<> VirtioSerialPort::co_prepare(DeviceContext& context) {
  if (chardev.empty()) co_return Result<>();
  Chardev* const found = context.chars.find(chardev);
  if (found == nullptr)
    co_return fail(ENOENT, "Property '", type().name, ".chardev' can't find value '", chardev, "'");
  Result<> attached = frontend.attach(*found);
  co_return attached;
}

Result<> VirtioSerialPort::do_realize() {
  TRY(serial().add_port(*this));
  // A console's guest is there whether it says so or not.
  if (is_console()) {
    guest_connected_ = true;
    host_connected_ = frontend.chardev() != nullptr;
  }
  CharHandlers handlers;
  handlers.can_read = [this] { return serial().room_for(*this); };
  handlers.read = [this](std::span<const uint8_t> bytes) { serial().give(*this, bytes); };
  handlers.event = [this](CharEvent event) {
    if (event == CharEvent::kOpened) host_changed(true);
    if (event == CharEvent::kClosed) host_changed(false);
  };
  handlers.writable = [this] { serial().chardev_takes_more(*this); };
  frontend.set_handlers(std::move(handlers));
  frontend.set_open(guest_connected_);
  return {};
}

void VirtioSerialPort::do_unrealize() {
  frontend.detach();
  serial().remove_port(*this);
}

void VirtioSerialPort::host_changed(bool connected) {
  if (is_console() || std::exchange(host_connected_, connected) == connected) return;
  serial().send_port_event(number, VIRTIO_CONSOLE_PORT_OPEN, connected ? 1 : 0);
}

void VirtioSerialPort::set_guest_connected(bool connected) {
  if (is_console() || std::exchange(guest_connected_, connected) == connected) return;
  frontend.set_open(connected);
  if (!id().empty()) qapi_event_send_vserport_change(id(), connected);
}

void VirtioSerialPort::describe(std::string& out) const {
  auto word = [](bool on) { return on ? "on" : "off"; };
  str_append(out, "port ", number, ", guest ", word(guest_connected_), ", host ", word(host_connected_),
             ", throttle ", word(out_waits_), "\n");
}

}  // namespace rhea
