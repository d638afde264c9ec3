#include "hw/i2c/i2c_bus.h"

#include "hw/i2c/smbus_eeprom.h"

namespace rhea {

namespace {
constexpr PropertyInfo kProperties[] = {prop<&I2cDevice::address>("address")};
}  // namespace

constexpr TypeInfo I2cDevice::kType{.name = "i2c-slave", .parent = &Device::kType, .properties = kProperties};
constexpr TypeInfo SmbusDevice::kType{.name = "smbus-device", .parent = &I2cDevice::kType};
constexpr TypeInfo I2cBus::kType{.name = "i2c-bus", .parent = &Bus::kType};

I2cDevice* I2cBus::find(uint8_t address) const {
  for (Device* device : devices())
    if (auto* d = static_cast<I2cDevice*>(device); d->address == address) return d;
  return nullptr;
}

void register_i2c_types(TypeRegistry& registry) {
  registry.add({&I2cDevice::kType, &SmbusDevice::kType, &I2cBus::kType, &SmbusEeprom::kType});
}

}  // namespace rhea
