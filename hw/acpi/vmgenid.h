// The generation id: 16 bytes that differ between runs of one saved machine, which guests seed randomness
// from. Specs: Microsoft, "Virtual Machine Generation ID" (2012); QEMU's documentation, docs/specs/vmgenid.
//
// The guest's firmware places a page with the id, and writes its address back through fw_cfg.
#pragma once

#include <array>
#include <functional>

#include "hw/core/device.h"

namespace rhea {

using VmGenerationId = std::array<uint8_t, 16>;  ///< in the order of its text

class VmGenId final : public Device {
 public:
  static const TypeInfo kType;  ///< "vmgenid"
  static constexpr const char* kPageFile = "etc/vmgenid_guid";
  static constexpr const char* kAddressFile = "etc/vmgenid_addr";
  static constexpr uint32_t kPageBytes = 4096, kAddressBytes = 8;
  static constexpr uint32_t kIdAt = 40;  ///< in the page: clear of what firmware may take for an ACPI header
  static constexpr unsigned kGpe = 5;

  const TypeInfo& type() const override { return kType; }
  bool hotpluggable() const override { return false; }
  void reset() override { address = {}; }
  const VMState* vmstate() const override;
  void* vmstate_object() override { return this; }

  /// The page for fw_cfg.
  std::vector<uint8_t> page() const;
  /// The id as text: "324e6eaf-d1d1-4bf6-bf41-b9bb6c91fb87".
  std::string text() const;
  /// Whoever tells the guest that the id has changed.
  std::function<void()> on_change;

  VmGenerationId id{};
  bool automatic = true;             ///< a new id each time
  std::array<uint8_t, 8> address{};  ///< where the guest has the page, little endian; 0: not yet known

 protected:
  Result<> do_realize() override;

 private:
  VmGenerationId in_memory_order() const;
  static Result<> after_load(void* object, int version);
  static const PropertyInfo kProperties[];
  static const VMState kVmState;
};

}  // namespace rhea
