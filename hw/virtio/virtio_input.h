// virtio-input: keyboard, mouse and tablet. Spec: VIRTIO 1.2, section 5.8; codes are those of Linux's input
// layer (linux/input-event-codes.h), as it says.
#pragma once

#include <bitset>
#include <optional>
#include <string>
#include <vector>

#include "hw/virtio/virtio_device.h"
#include "ui/input.h"

namespace rhea {

class VirtioInput : public VirtioDevice, public InputHandler {
 public:
  static const TypeInfo kType;  ///< "virtio-input-device", abstract
  const TypeInfo& type() const override { return kType; }
  const VMState* vmstate() const override;

  // VirtioDevice
  uint16_t virtio_id() const override { return 18; }
  uint64_t kind_features() const override { return 0; }
  uint32_t config_bytes() const override { return 136; }
  void fill_config(std::span<uint8_t> config) override;
  void config_written(std::span<const uint8_t> config) override;
  bool has_legacy() const override { return false; }

  // InputHandler
  void input_event(const InputStroke& event) override;
  void input_sync() override;

  // Properties.
  std::string serial;
  bool wheel_axis = true;  ///< mouse and tablet: the wheel is an axis, else buttons

 protected:
  struct Model {
    const char* name;
    uint16_t product;
    uint32_t accepts;  ///< kInput* bits
  };
  explicit VirtioInput(const Model& model) : model_(model) {}
  Result<> do_realize() override;
  void do_unrealize() override;
  void serve(VirtioQueue& queue) override;
  void kind_reset() override;
  void driver_ready() override;

 private:
  struct Event {
    uint16_t type, code;
    uint32_t value;
  };
  static constexpr size_t kMostWaiting = 64;  ///< events of one report
  size_t answer(std::span<uint8_t> out) const;
  bool takes(uint32_t kinds) const { return (model_.accepts & kinds) != 0; }
  std::bitset<0x300> codes(uint8_t type) const;
  void enlist();
  void add(uint16_t type, uint16_t code, int32_t value);

  const Model& model_;
  uint8_t select_ = 0, subselect_ = 0;  ///< guest-controlled
  std::vector<Event> report_;
  std::optional<InputRegistration> registration_;
  std::vector<RingElement> elements_;
  RingElement element_;
};

/// "virtio-keyboard-device".
class VirtioKeyboard final : public VirtioInput {
 public:
  static const TypeInfo kType;
  const TypeInfo& type() const override { return kType; }
  VirtioKeyboard();
};
/// "virtio-mouse-device".
class VirtioMouse final : public VirtioInput {
 public:
  static const TypeInfo kType;
  const TypeInfo& type() const override { return kType; }
  VirtioMouse();
};
/// "virtio-tablet-device".
class VirtioTablet final : public VirtioInput {
 public:
  static const TypeInfo kType;
  const TypeInfo& type() const override { return kType; }
  VirtioTablet();
};

}  // namespace rhea
