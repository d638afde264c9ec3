// The two-wire bus with one master and the devices that it addresses. What one does with a message it got,
// or offers to be read, is System Management Bus: version 2.0 of its specification, chapter 5.
#pragma once

#include <span>

#include "hw/core/device.h"

namespace rhea {

class TypeRegistry;

/// Abstract "i2c-slave": what has an address.
class I2cDevice : public Device {
 public:
  static const TypeInfo kType;
  const TypeInfo& type() const override { return kType; }
  const char* bus_type() const override { return "i2c-bus"; }
  bool hotpluggable() const override { return false; }

  /// The master wrote `bytes`, none of them with a quick command. Machine lock, as all here.
  virtual void message(std::span<const uint8_t> bytes) = 0;
  /// The master reads one byte more.
  virtual uint8_t next_byte() = 0;

  uint8_t address = 0;  ///< property: 7 bits
};

/// Abstract "smbus-device".
class SmbusDevice : public I2cDevice {
 public:
  static const TypeInfo kType;
  const TypeInfo& type() const override { return kType; }
};

class I2cBus final : public Bus {
 public:
  static const TypeInfo kType;  ///< "i2c-bus"
  explicit I2cBus(std::string bus_name) : Bus(std::move(bus_name)) {}
  const TypeInfo& type() const override { return kType; }
  const char* bus_kind() const override { return "i2c-bus"; }
  /// Who answers to the address; null: nobody.
  I2cDevice* find(uint8_t address) const;
};

/// The types of this folder.
void register_i2c_types(TypeRegistry& registry);

}  // namespace rhea
