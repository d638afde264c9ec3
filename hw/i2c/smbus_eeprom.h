// 256 bytes at an address, as the serial presence detect of a memory module: empty until the guest writes it.
#pragma once

#include <array>

#include "hw/i2c/i2c_bus.h"

namespace rhea {

class SmbusEeprom final : public SmbusDevice {
 public:
  static const TypeInfo kType;  ///< "smbus-eeprom"
  const TypeInfo& type() const override { return kType; }
  void reset() override;
  const VMState* vmstate() const override;
  void message(std::span<const uint8_t> bytes) override;
  uint8_t next_byte() override;

  std::array<uint8_t, 256> data{};
  uint8_t offset = 0;  ///< of the next byte
  bool accessed = false;
  // Of messages on their way, which there never are: on the wire only.
  int32_t mode = 0, message_bytes = 0;
  std::array<uint8_t, 34> message_data{};
};

}  // namespace rhea
