// How a channel and its units travel: QEMU's "ide_bus" and "ide_drive" descriptions, names, order and widths.
// The wire forms are copies: filled before saving, checked and taken over after loading.
#pragma once

#include <array>
#include <cstdint>

#include "hw/ide/ide_channel.h"
#include "migration/vmstate/vmstate.h"

namespace rhea {

/// One unit, version 3.
struct IdeDriveWire {
  IdeUnit* unit = nullptr;        ///< set once
  IdeChannel* channel = nullptr;  ///< set once

  int32_t mult_sectors = 0;
  int32_t identify_set = 0;
  std::array<uint8_t, 512> identify_data{};
  uint8_t feature = 0, error = 0;
  uint32_t nsector = 0;
  uint8_t sector = 0, lcyl = 0, hcyl = 0;
  uint8_t hob_feature = 0, hob_sector = 0, hob_nsector = 0, hob_lcyl = 0, hob_hcyl = 0;
  uint8_t select = 0, status = 0, lba48 = 0;
  uint8_t sense_key = 0, asc = 0, cdrom_changed = 0;
  // ide_drive/pio_state
  static constexpr size_t kBufferBytes = 131076;
  int32_t req_nb_sectors = 0;
  std::vector<uint8_t> io_buffer;  ///< from its start; the rest of the wire's buffer is zero
  int32_t cur_io_buffer_offset = 0, cur_io_buffer_len = 0;
  uint8_t end_transfer_fn_idx = 0;
  int32_t elementary_transfer_size = 0, packet_transfer_size = 0;
  bool have_pio = false;
  // ide_drive/tray_state
  bool tray_open = false, tray_locked = false;
  // ide_drive/atapi/gesn_state
  bool new_media = false, eject_request = false;
  // ide_drive/atapi/packet_state, which QEMU has not: what it takes to go on with a data phase.
  bool have_packet = false;
  bool packet_dma = false;
  uint32_t packet_limit = 0, packet_lba = 0, packet_sectors = 0, packet_sector_bytes = 0;
  std::vector<uint8_t> packet_buffer;
  bool packet_waiting = false;
  // ide_drive/ata_state, which QEMU has not: settings that are not the default, and a transfer that
  // ide_bus/error cannot tell of.
  static constexpr uint8_t kNoTransfer = 0xff;
  bool have_ata = false;
  uint64_t max_sectors = 0;
  bool smart_enabled = true, smart_autosave = true;
  uint8_t smart_self_tests = 0;
  std::array<uint8_t, 21> smart_log{};
  uint8_t transfer_kind = kNoTransfer;
  bool transfer_waiting = false;
  uint32_t transfer_block = 1, transfer_left = 0;
  uint64_t transfer_lba = 0;
};

/// One channel, version 1.
struct IdeBusWire {
  IdeChannel* channel = nullptr;  ///< set once
  uint8_t cmd = 0, unit = 0;
  // ide_bus/error: a request to be tried again when the machine goes on.
  int32_t error_status = 0;
  int64_t retry_sector_num = 0;
  uint32_t retry_nsector = 0;
  uint8_t retry_unit = 0;
};

extern const VMState kIdeDriveVmState;
extern const VMState kIdeBusVmState;

}  // namespace rhea
