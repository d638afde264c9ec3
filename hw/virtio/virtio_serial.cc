#include "hw/virtio/virtio_serial.h"

#include <linux/virtio_console.h>

#include <algorithm>

#include "util/byteorder.h"

namespace rhea {

namespace {

constexpr size_t kControlIn = 2, kControlOut = 3;
constexpr size_t kMostEvents = 4096;  ///< kept for a guest that gives no room
constexpr uint64_t serial_bit(unsigned n) {
  return uint64_t{1} << n;
}

constexpr PropertyInfo kVirtioSerialProperties[] = {
    prop<&VirtioSerial::max_ports>("max_ports"),
    prop<&VirtioSerial::emergency_write>("emergency-write", "on/off"),
};
constexpr VMState kVirtioSerialState{
    .name = "virtio-console", .version = 3, .minimum_version = 3, .fields = kVirtioStateFields};

}  // namespace

constexpr TypeInfo VirtioSerialBus::kType{
    .name = "virtio-serial-bus", .parent = &Bus::kType, .made_by_owner = true};
constexpr TypeInfo VirtioSerial::kType{
    .name = "virtio-serial-device",
    .parent = &VirtioDevice::kType,
    .create = []() -> std::shared_ptr<Object> { return std::make_shared<VirtioSerial>(); },
    .properties = kVirtioSerialProperties,
    .category = DeviceCategory::kInput};

const VMState* VirtioSerial::vmstate() const {
  return &kVirtioSerialState;
}

Result<> VirtioSerial::do_realize() {
  TRY(VirtioDevice::do_realize());
  constexpr uint32_t kMostPorts = virtio::kMaxQueues / 2 - 1;
  if (max_ports == 0) return fail(EINVAL, "Maximum number of serial ports not specified");
  if (max_ports > kMostPorts) return fail(EINVAL, "maximum ports supported: ", kMostPorts);
  make_queues(2 * size_t{max_ports} + 2, 128);
  for (const size_t n : {kControlIn, kControlOut}) queue(n)->max_size = queue(n)->size = 32;
  ports_.assign(max_ports, nullptr);
  if (serial_bus_ == nullptr) {
    const Device* const function = bus() != nullptr ? bus()->owner() : nullptr;
    static unsigned next = 0;
    const bool named = function != nullptr && !function->id().empty();
    serial_bus_ = std::make_shared<VirtioSerialBus>(
        named ? str_cat(function->id(), ".0") : str_cat("virtio-serial-bus.", next++), *this);
    add_bus(serial_bus_);
  }
  return {};
}

void VirtioSerial::do_unrealize() {
  VirtioDevice::do_unrealize();
  events_.clear();
}

uint64_t VirtioSerial::kind_features() const {
  uint64_t f = 0;
  if (max_ports > 1) f |= serial_bit(VIRTIO_CONSOLE_F_MULTIPORT);
  if (emergency_write) f |= serial_bit(VIRTIO_CONSOLE_F_EMERG_WRITE);
  return f;
}

bool VirtioSerial::multiport() const {
  return has_feature(serial_bit(VIRTIO_CONSOLE_F_MULTIPORT));
}

void VirtioSerial::fill_config(std::span<uint8_t> config) {
  std::fill_n(config.begin(), 12, uint8_t{0});
  store_le<uint32_t>(&config[4], max_ports);
}

/// A character written there comes out of the console, whatever the state of the rings.
void VirtioSerial::config_written(std::span<const uint8_t> config) {
  if (!emergency_write || load_le<uint32_t>(&config[8]) == 0) return;
  const uint8_t byte = config[8];
  for (VirtioSerialPort* p : ports_)
    if (p != nullptr && p->is_console()) {
      std::ignore = p->frontend.write({&byte, 1});
      return;
    }
}

// --- Ports.

Result<> VirtioSerial::add_port(VirtioSerialPort& added) {
  uint32_t& number = added.number;
  if (number == VirtioSerialPort::kAutoNumber) {
    // Number 0 is a console's.
    number = added.is_console() && ports_[0] == nullptr ? 0 : 1;
    while (number != 0 && port(number) != nullptr) ++number;
    if (number >= max_ports)
      return fail(ENOSPC, "virtio-serial-bus: Maximum port limit for this device reached");
  }
  if (!added.is_console() && number == 0)
    return fail(EINVAL,
                "Port number 0 on virtio-serial devices reserved for virtconsole devices for backward "
                "compatibility.");
  if (number >= max_ports)
    return fail(EINVAL, "virtio-serial-bus: Out-of-range port id specified, max. allowed: ", max_ports - 1);
  if (port(number) != nullptr) return fail(EEXIST, "virtio-serial-bus: A port already exists at id ", number);
  for (const VirtioSerialPort* p : ports_)
    if (p != nullptr && !added.name_property.empty() && p->name_property == added.name_property)
      return fail(EEXIST, "virtio-serial-bus: A port already exists by name ", added.name_property);
  ports_[number] = &added;
  send_port_event(number, VIRTIO_CONSOLE_PORT_ADD, 1);
  config_changed();
  return {};
}

void VirtioSerial::remove_port(VirtioSerialPort& removed) {
  if (port(removed.number) != &removed) return;
  ports_[removed.number] = nullptr;
  send_port_event(removed.number, VIRTIO_CONSOLE_PORT_REMOVE, 1);
}

void VirtioSerial::forget_requests() {
  events_.clear();
  for (VirtioSerialPort* p : ports_)
    if (p != nullptr) p->out_waits_ = false;
}

void VirtioSerial::kind_reset() {
  forget_requests();
  for (VirtioSerialPort* p : ports_)
    if (p != nullptr && !p->is_console()) p->set_guest_connected(false);
}

/// A driver of one port knows nothing of opening it.
void VirtioSerial::driver_ready() {
  if (!multiport() && ports_[0] != nullptr) ports_[0]->set_guest_connected(true);
}

void VirtioSerial::run_state_changed(bool running) {
  running_ = running;
  if (!running) return;
  for (VirtioSerialPort* p : ports_)
    if (p != nullptr && p->out_waits_) chardev_takes_more(*p);
  serve_all();
}

void VirtioSerial::serve(VirtioQueue& q) {
  if (!running_) return;
  const size_t n = queue_number(q);
  if (n == kControlIn) return send_waiting_events();
  if (n == kControlOut) return take_control(q);
  const auto number = static_cast<uint32_t>(n < 2 ? 0 : n / 2 - 1);
  VirtioSerialPort* const p = port(number);
  if (n % 2 != 0)
    take_output_or_drop(p, q);
  else if (p != nullptr)
    p->frontend.accept_input();
}

// --- The control queues (5.3.6.2).

void VirtioSerial::send_port_event(uint32_t number, uint16_t event, uint16_t value, std::string_view text) {
  if (!multiport() || queue_count() == 0) return;
  std::vector<uint8_t> message(8);
  store_le<uint32_t>(&message[0], number);
  store_le<uint16_t>(&message[4], event);
  store_le<uint16_t>(&message[6], value);
  message.insert(message.end(), text.begin(), text.end());
  if (events_.size() < kMostEvents) events_.push_back(std::move(message));
  send_waiting_events();
}

void VirtioSerial::send_waiting_events() {
  VirtioQueue& q = *queue(kControlIn);
  size_t sent = 0;
  while (running_ && sent < events_.size() && may_serve(q)) {
    Result<bool> popped = q.ring->pop(element_);
    if (!popped) {
      broken(popped.error());
      break;
    }
    if (!*popped) break;
    const std::vector<uint8_t>& message = events_[sent++];
    size_t done = 0;
    for (const iovec& piece : element_.in()) {
      const size_t n = std::min(piece.iov_len, message.size() - done);
      std::copy_n(message.begin() + static_cast<ptrdiff_t>(done), n, static_cast<uint8_t*>(piece.iov_base));
      done += n;
    }
    complete(q, element_, static_cast<uint32_t>(done));
  }
  events_.erase(events_.begin(), events_.begin() + static_cast<ptrdiff_t>(sent));
}

void VirtioSerial::take_control(VirtioQueue& q) {
  while (running_ && may_serve(q)) {
    Result<bool> popped = q.ring->pop(element_);
    if (!popped) return broken(popped.error());
    if (!*popped) return;
    std::array<uint8_t, 8> message{};
    size_t have = 0;
    for (const iovec& piece : element_.out()) {
      const size_t n = std::min(piece.iov_len, message.size() - have);
      std::copy_n(static_cast<const uint8_t*>(piece.iov_base), n,
                  message.begin() + static_cast<ptrdiff_t>(have));
      have += n;
    }
    complete(q, element_, 0);
    if (have == message.size()) obey(message);  // element_ may be used for the answer
  }
}

void VirtioSerial::obey(std::span<const uint8_t> message) {
  const auto number = load_le<uint32_t>(&message[0]);
  const auto event = load_le<uint16_t>(&message[4]), value = load_le<uint16_t>(&message[6]);
  if (event == VIRTIO_CONSOLE_DEVICE_READY) {
    if (value == 0) return;
    for (uint32_t n = 0; n < ports_.size(); ++n)
      if (ports_[n] != nullptr) send_port_event(n, VIRTIO_CONSOLE_PORT_ADD, 1);
    return;
  }
  VirtioSerialPort* const p = port(number);
  if (p == nullptr) return;
  if (event == VIRTIO_CONSOLE_PORT_OPEN) {
    p->set_guest_connected(value != 0);
    if (value != 0) p->frontend.accept_input();
    return;
  }
  if (event != VIRTIO_CONSOLE_PORT_READY || value == 0) return;
  if (p->is_console()) send_port_event(number, VIRTIO_CONSOLE_CONSOLE_PORT, 1);
  if (!p->name_property.empty())
    send_port_event(number, VIRTIO_CONSOLE_PORT_NAME, 1,
                    std::string_view(p->name_property.c_str(), p->name_property.size() + 1));
  if (p->host_connected()) send_port_event(number, VIRTIO_CONSOLE_PORT_OPEN, 1);
}

// --- Data.

/// How many bytes the guest can be given now: those of one buffer.
size_t VirtioSerial::room_for(VirtioSerialPort& p) {
  VirtioQueue& q = in_queue(p.number);
  if (!running_ || !p.guest_connected() || !may_serve(q) || !q.ring->has_work()) return 0;
  Result<bool> popped = q.ring->pop(p.in_);
  if (!popped) {
    broken(popped.error());
    return 0;
  }
  if (!*popped) return 0;
  q.ring->unpop(p.in_);
  return std::min<uint64_t>(p.in_.in_bytes(), 4096);
}

void VirtioSerial::give(VirtioSerialPort& p, std::span<const uint8_t> bytes) {
  VirtioQueue& q = in_queue(p.number);
  while (!bytes.empty() && may_serve(q)) {
    Result<bool> popped = q.ring->pop(p.in_);
    if (!popped) return broken(popped.error());
    if (!*popped) return;
    size_t done = 0;
    for (const iovec& piece : p.in_.in()) {
      const size_t n = std::min(piece.iov_len, bytes.size() - done);
      std::copy_n(bytes.begin() + static_cast<ptrdiff_t>(done), n, static_cast<uint8_t*>(piece.iov_base));
      done += n;
    }
    complete(q, p.in_, static_cast<uint32_t>(done));
    bytes = bytes.subspan(done);
  }
}

/// What goes to a port that is not there is lost.
void VirtioSerial::take_output_or_drop(VirtioSerialPort* p, VirtioQueue& q) {
  while (running_ && may_serve(q) && (p == nullptr || !p->out_waits_)) {
    RingElement& element = p != nullptr ? p->out_ : element_;
    Result<bool> popped = q.ring->pop(element);
    if (!popped) return broken(popped.error());
    if (!*popped) return;
    if (p == nullptr) {
      complete(q, element, 0);
      continue;
    }
    p->out_done_ = 0;
    p->out_waits_ = true;
    if (!write_out(*p, q)) return;
  }
}

/// False: the chardev takes no more now.
bool VirtioSerial::write_out(VirtioSerialPort& p, VirtioQueue& q) {
  uint64_t at = 0;
  for (const iovec& piece : p.out_.out()) {
    const uint64_t end = at + piece.iov_len;
    if (p.out_done_ < end) {
      const std::span<const uint8_t> rest(static_cast<const uint8_t*>(piece.iov_base) + (p.out_done_ - at),
                                          end - p.out_done_);
      const size_t taken = p.guest_connected() || p.is_console() ? p.frontend.write(rest) : rest.size();
      p.out_done_ += taken;
      if (taken < rest.size()) return false;
    }
    at = end;
  }
  p.out_waits_ = false;
  complete(q, p.out_, 0);
  return true;
}

void VirtioSerial::chardev_takes_more(VirtioSerialPort& p) {
  VirtioQueue& q = out_queue(p.number);
  if (!running_ || !may_serve(q)) return;
  if (p.out_waits_ && !write_out(p, q)) return;
  take_output_or_drop(&p, q);
}

// --- Saved state.

void VirtioSerial::save_kind(StateWriter& out) {
  out.put_be16(0);  // columns and rows of a console, which have always been these
  out.put_be16(0);
  out.put_be32(max_ports);
  uint32_t count = 0;
  for (size_t word = 0; word < (max_ports + 31) / 32; ++word) {
    uint32_t map = 0;
    for (uint32_t i = 0; i < 32; ++i)
      if (port(static_cast<uint32_t>(word) * 32 + i) != nullptr) map |= 1u << i, ++count;
    out.put_be32(map);
  }
  out.put_be32(count);
  for (const VirtioSerialPort* p : ports_) {
    if (p == nullptr) continue;
    out.put_be32(p->number);
    out.put_u8(p->guest_connected() ? 1 : 0);
    out.put_u8(p->host_connected() ? 1 : 0);
    out.put_be32(p->out_waits_ ? 1 : 0);
    if (!p->out_waits_) continue;
    uint32_t piece = 0;
    uint64_t into = p->out_done_;
    for (const iovec& v : p->out_.out()) {
      if (into < v.iov_len) break;
      into -= v.iov_len;
      ++piece;
    }
    out.put_be32(piece);
    out.put_be64(into);
    save_element(out, p->out_);
  }
}

Result<> VirtioSerial::load_kind(StateReader& in, int) {
  loaded_.clear();
  in.get_be32();
  in.get_be32();
  for (size_t word = 0; word < (max_ports + 31) / 32; ++word) {
    const uint32_t map = in.get_be32();
    for (uint32_t i = 0; i < 32; ++i) {
      const uint32_t n = static_cast<uint32_t>(word) * 32 + i;
      if (((map >> i & 1) != 0) != (port(n) != nullptr))
        return fail(EINVAL, "port ", n, " is there and not here, or the reverse");
    }
  }
  const uint32_t count = in.get_be32();
  if (count > max_ports) return fail(EINVAL, "there are ", count, " ports of ", max_ports);
  for (uint32_t i = 0; i < count; ++i) {
    LoadedPort p{};
    p.number = in.get_be32();
    if (port(p.number) == nullptr) return fail(EINVAL, "there is no port ", p.number);
    p.guest = in.get_u8() != 0;
    p.host = in.get_u8() != 0;
    p.waits = in.get_be32() != 0;
    if (p.waits) {
      const uint32_t piece = in.get_be32();
      p.done = in.get_be64();
      p.element = TRY(load_element(in));
      if (piece > p.element.out_count) return fail(EINVAL, "port ", p.number, " stands at piece ", piece);
      for (uint32_t n = 0; n < piece; ++n) p.done += p.element.pieces[n].bytes;
    }
    if (!in.ok()) return fail(EINVAL, "the ports end too early");
    loaded_.push_back(std::move(p));
  }
  return {};
}

Result<> VirtioSerial::kind_loaded(std::span<const uint8_t>) {
  for (const LoadedPort& from : std::exchange(loaded_, {})) {
    VirtioSerialPort& p = *port(from.number);
    p.set_guest_connected(from.guest);
    p.out_waits_ = false;
    if (from.host != p.host_connected())
      send_port_event(p.number, VIRTIO_CONSOLE_PORT_OPEN, p.host_connected() ? 1 : 0);
    if (!from.waits) continue;
    TRY(restore_element(p.out_, from.element, out_queue(from.number)));
    if (from.done > p.out_.out_bytes())
      return fail(EINVAL, "port ", from.number, " stands behind its buffer");
    p.out_done_ = from.done;
    p.out_waits_ = true;
  }
  return {};
}

}  // namespace rhea
