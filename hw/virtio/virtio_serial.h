// virtio-serial: consoles and channels to the host. Spec: VIRTIO 1.2, section 5.3.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "chardev/char_frontend.h"
#include "hw/core/run_state_listener.h"
#include "hw/virtio/virtio_device.h"

namespace rhea {

class VirtioSerial;

/// Where the ports plug in.
class VirtioSerialBus final : public Bus {
 public:
  static const TypeInfo kType;  ///< "virtio-serial-bus"
  const TypeInfo& type() const override { return kType; }
  VirtioSerialBus(std::string name, VirtioSerial& serial) : Bus(std::move(name)), serial_(serial) {}
  const char* bus_kind() const override { return "virtio-serial-bus"; }
  bool hotplug_allowed() const override { return true; }
  VirtioSerial& serial() const { return serial_; }

 private:
  VirtioSerial& serial_;
};

/// A port: the base of "virtconsole" and "virtserialport".
class VirtioSerialPort : public Device {
 public:
  static constexpr uint32_t kAutoNumber = UINT32_MAX;
  static const TypeInfo kType;  ///< "virtio-serial-port", abstract
  const TypeInfo& type() const override { return kType; }
  ~VirtioSerialPort() override;
  const char* bus_type() const override { return "virtio-serial-bus"; }
  CoResult<> co_prepare(DeviceContext& context) override;
  virtual bool is_console() const { return false; }

  /// The guest's end; the chardev and the event say so.
  void set_guest_connected(bool connected);
  bool guest_connected() const { return guest_connected_; }
  bool host_connected() const { return host_connected_; }

  // Properties.
  std::string chardev, name_property;
  uint32_t number = kAutoNumber;

  CharFrontend frontend;

 protected:
  Result<> do_realize() override;
  void do_unrealize() override;
  void describe(std::string& out) const override;
  static const PropertyInfo kProperties[];

 private:
  friend class VirtioSerial;
  VirtioSerial& serial() const { return static_cast<VirtioSerialBus*>(bus())->serial(); }
  void host_changed(bool connected);
  bool guest_connected_ = false, host_connected_ = false;
  RingElement in_, out_;    ///< buffers at work, to be used again
  bool out_waits_ = false;  ///< the chardev has not taken all of out_
  uint64_t out_done_ = 0;   ///< bytes of it that it has
};

class VirtioSerial final : public VirtioDevice, public RunStateListener {
 public:
  static const TypeInfo kType;  ///< "virtio-serial-device"
  const TypeInfo& type() const override { return kType; }

  const VMState* vmstate() const override;
  void run_state_changed(bool running) override;

  // VirtioDevice
  uint16_t virtio_id() const override { return 3; }
  uint64_t kind_features() const override;
  uint32_t config_bytes() const override { return 12; }
  void fill_config(std::span<uint8_t> config) override;
  void config_written(std::span<const uint8_t> config) override;
  uint32_t wanted_vectors() const override { return max_ports + 1; }

  // Properties.
  uint32_t max_ports = 31;
  bool emergency_write = true;

  // For the ports.
  Result<> add_port(VirtioSerialPort& port);
  void remove_port(VirtioSerialPort& port);
  /// Tells the guest, where it can be told.
  void send_port_event(uint32_t number, uint16_t event, uint16_t value, std::string_view text = {});
  size_t room_for(VirtioSerialPort& port);
  void give(VirtioSerialPort& port, std::span<const uint8_t> bytes);
  void chardev_takes_more(VirtioSerialPort& port);

 protected:
  Result<> do_realize() override;
  void do_unrealize() override;
  void serve(VirtioQueue& queue) override;
  void forget_requests() override;
  void kind_reset() override;
  void driver_ready() override;
  void save_kind(StateWriter& out) override;
  Result<> load_kind(StateReader& in, int version) override;
  Result<> kind_loaded(std::span<const uint8_t> config) override;

 private:
  bool multiport() const;
  VirtioQueue& in_queue(uint32_t port) { return *queue(port == 0 ? 0 : 2 + 2 * size_t{port}); }
  VirtioQueue& out_queue(uint32_t port) { return *queue(port == 0 ? 1 : 3 + 2 * size_t{port}); }
  VirtioSerialPort* port(uint32_t number) const { return number < ports_.size() ? ports_[number] : nullptr; }
  void take_control(VirtioQueue& queue);
  void obey(std::span<const uint8_t> message);
  void send_waiting_events();
  void take_output_or_drop(VirtioSerialPort* port, VirtioQueue& queue);
  bool write_out(VirtioSerialPort& port, VirtioQueue& queue);

  std::shared_ptr<VirtioSerialBus> serial_bus_;
  std::vector<VirtioSerialPort*> ports_;      ///< by number
  std::vector<std::vector<uint8_t>> events_;  ///< which the guest has given no room for yet
  RingElement element_;
  bool running_ = true;
  struct LoadedPort {
    uint32_t number;
    bool guest, host, waits;
    uint64_t done;
    SavedElement element;
  };
  std::vector<LoadedPort> loaded_;
};

/// "virtconsole".
class VirtConsole final : public VirtioSerialPort {
 public:
  static const TypeInfo kType;
  const TypeInfo& type() const override { return kType; }
  bool is_console() const override { return true; }
};
/// "virtserialport".
class VirtSerialPort final : public VirtioSerialPort {
 public:
  static const TypeInfo kType;
  const TypeInfo& type() const override { return kType; }
};

}  // namespace rhea
