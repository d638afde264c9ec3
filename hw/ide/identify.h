// IDENTIFY PACKET DEVICE data. Spec: ATA/ATAPI-6 8.16.
#pragma once

#include <array>
#include <cstdint>

#include "hw/ide/atapi.h"

namespace rhea {

/// The transfer mode SET FEATURES chose; one of multiword (0..2) and Ultra (0..5) DMA, or none.
struct TransferMode {
  static constexpr uint8_t kNone = 0xff;
  uint8_t multiword = kNone;
  uint8_t ultra = 5;
  /// Takes the Sector Count of SET FEATURES 03h (table 50); false: no such mode.
  bool set(uint8_t value);
  friend bool operator==(const TransferMode&, const TransferMode&) = default;
};

using IdentifyData = std::array<uint8_t, 512>;

IdentifyData identify_packet_device(const CdIdentity& id, const TransferMode& mode);
/// The mode such data tells of; false if it tells of none that can be.
bool transfer_mode_of(const IdentifyData& data, TransferMode& mode);

}  // namespace rhea
