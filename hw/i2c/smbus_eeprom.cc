#include "hw/i2c/smbus_eeprom.h"

namespace rhea {

namespace {

std::shared_ptr<Object> make() {
  return std::make_shared<SmbusEeprom>();
}

/// A member of ours inside `nested` levels of the wire's structure: `self` is the device at each.
constexpr VMStateField level(const char* name, const VMState& nested) {
  return {.name = name,
          .save = [](const void* o, StateWriter& out,
                     const VMStateField& f) { vmstate_save(*f.nested, const_cast<void*>(o), out); },
          .load = [](void* o, StateReader& in, const VMStateField& f, int) -> Result<> {
            return vmstate_load(*f.nested, o, in, f.nested->version);
          },
          .nested = &nested};
}

template <auto Member>
constexpr VMStateField member(const char* name) {
  return {.name = name,
          .save =
              [](const void* o, StateWriter& out, const VMStateField&) {
                detail::vm_save_value(static_cast<const SmbusEeprom*>(static_cast<const Device*>(o))->*Member,
                                      out);
              },
          .load = [](void* o, StateReader& in, const VMStateField&, int) -> Result<> {
            detail::vm_load_value(static_cast<SmbusEeprom*>(static_cast<Device*>(o))->*Member, in);
            return {};
          }};
}

Result<> check_address(void* o, int) {
  auto* d = static_cast<SmbusEeprom*>(static_cast<Device*>(o));
  d->address &= 0x7f;
  return {};
}

constexpr VMStateField kAddressFields[] = {member<&SmbusEeprom::address>("address")};
constexpr VMState kI2c{
    .name = "I2CSlave", .version = 1, .fields = kAddressFields, .post_load = check_address};
constexpr VMStateField kMessageFields[] = {level("i2c", kI2c), member<&SmbusEeprom::mode>("mode"),
                                           member<&SmbusEeprom::message_bytes>("data_len"),
                                           member<&SmbusEeprom::message_data>("data_buf")};
constexpr VMState kMessage{.name = "smbus-device", .version = 1, .fields = kMessageFields};
constexpr VMStateField kSmbusEepromFields[] = {
    level("smbusdev", kMessage), member<&SmbusEeprom::data>("data"), member<&SmbusEeprom::offset>("offset"),
    member<&SmbusEeprom::accessed>("accessed")};
constexpr VMState kVmState{.name = "smbus-eeprom", .version = 1, .fields = kSmbusEepromFields};

}  // namespace

constexpr TypeInfo SmbusEeprom::kType{.name = "smbus-eeprom", .parent = &SmbusDevice::kType, .create = make};

void SmbusEeprom::reset() {
  data.fill(0);
  offset = 0;
}

const VMState* SmbusEeprom::vmstate() const {
  return &kVmState;
}

/// The first byte is where; the others go there.
void SmbusEeprom::message(std::span<const uint8_t> bytes) {
  accessed = true;
  if (bytes.empty()) return;
  offset = bytes[0];
  for (uint8_t byte : bytes.subspan(1)) data[offset++] = byte;
}

uint8_t SmbusEeprom::next_byte() {
  accessed = true;
  return data[offset++];
}

}  // namespace rhea
