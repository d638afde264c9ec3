#include "hw/ide/identify.h"

#include <algorithm>
#include <string_view>

#include "util/byteorder.h"

namespace rhea {

namespace {

constexpr unsigned kSinglewordWord = 62, kMultiwordWord = 63, kUltraWord = 88;
constexpr uint16_t kSinglewordModes = 0x07, kMultiwordModes = 0x07, kUltraModes = 0x3f;

void put(IdentifyData& d, unsigned word, uint16_t value) {
  store_le<uint16_t>(&d[2 * word], value);
}

/// 8.15.8: two characters a word, the first one high.
void put_text(IdentifyData& d, unsigned word, std::string_view text, size_t width) {
  for (size_t i = 0; i < width; ++i)
    d[2 * word + (i ^ 1)] = i < text.size() ? static_cast<uint8_t>(text[i]) : ' ';
}

void put_modes(IdentifyData& d, const TransferMode& mode) {
  const auto word = [](uint16_t supported, uint8_t selected) {
    return static_cast<uint16_t>(supported | (selected < 8 ? 0x100 << selected : 0));
  };
  put(d, kSinglewordWord, word(kSinglewordModes, mode.singleword));
  put(d, kMultiwordWord, word(kMultiwordModes, mode.multiword));
  put(d, kUltraWord, word(kUltraModes, mode.ultra));
}

void put_wwn(IdentifyData& d, uint64_t wwn) {
  for (unsigned i = 0; i < 4; ++i) put(d, 108 + i, static_cast<uint16_t>(wwn >> (48 - 16 * i)));
}

}  // namespace

bool TransferMode::set(uint8_t value) {
  const uint8_t number = value & 7;
  switch (value >> 3) {
    case 0:  // PIO default
    case 1:  // PIO with flow control
      *this = {kNone, kNone};
      return true;
    case 2:  // single-word DMA
      if (number > 2) return false;
      *this = {kNone, kNone, number};
      return true;
    case 4:  // multiword DMA
      if (number > 2) return false;
      *this = {number, kNone};
      return true;
    case 8:  // Ultra DMA
      if (number > 5) return false;
      *this = {kNone, number};
      return true;
    default:
      return false;
  }
}

IdentifyData identify_packet_device(const DriveIdentity& id, const TransferMode& mode) {
  IdentifyData d{};
  put(d, 0, 0x85c0);  // ATAPI, CD/DVD, removable, DRQ within 50 us, 12-byte packets
  put_text(d, 10, id.serial, 20);
  put(d, 20, 3);  // buffer type, size in sectors, ECC bytes: retired, still read by some
  put(d, 21, 512);
  put(d, 22, 4);
  put_text(d, 23, id.version, 8);
  put_text(d, 27, id.model, 40);
  put(d, 48, 1);       // 32-bit data register accesses
  put(d, 49, 0x0300);  // DMA, LBA
  put(d, 53, 7);       // words 64-70 and 88 are valid
  put_modes(d, mode);
  put(d, kSinglewordWord, 0);  // a packet device tells of none
  put(d, 64, 3);               // PIO modes 3 and 4
  put(d, 65, 180);             // cycle times, ns
  put(d, 66, 180);
  put(d, 67, 300);
  put(d, 68, 180);
  put(d, 71, 30);  // us from PACKET to bus release, from SERVICE to BSY clear
  put(d, 72, 30);
  put(d, 80, 0x1e);  // ATA-1 to ATA/ATAPI-4
  if (id.wwn != 0) {
    put(d, 87, 0x0100 | 0x4000);
    put_wwn(d, id.wwn);
  }
  return d;
}

namespace {

void put32(IdentifyData& d, unsigned word, uint32_t value) {
  put(d, word, static_cast<uint16_t>(value));
  put(d, word + 1, static_cast<uint16_t>(value >> 16));
}

void put_geometry(IdentifyData& d, const DiskDescription& disk) {
  const HdGeometry &g = disk.geometry, &now = disk.translation;
  put(d, 1, static_cast<uint16_t>(g.cyls));
  put(d, 3, static_cast<uint16_t>(g.heads));
  put(d, 4, static_cast<uint16_t>(512 * g.secs));  // unformatted bytes a track, a sector: retired
  put(d, 5, 512);
  put(d, 6, static_cast<uint16_t>(g.secs));
  put(d, 54, static_cast<uint16_t>(now.cyls));
  put(d, 55, static_cast<uint16_t>(now.heads));
  put(d, 56, static_cast<uint16_t>(now.secs));
  put32(d, 57, now.cyls * now.heads * now.secs);
  put32(d, 60, static_cast<uint32_t>(std::min<uint64_t>(disk.sectors, 0x0fff'ffff)));
  put32(d, 100, static_cast<uint32_t>(disk.sectors));
  put32(d, 102, static_cast<uint32_t>(disk.sectors >> 32));
}

/// Which feature sets there are (82-84) and which are enabled (85-87).
void put_features(IdentifyData& d, const DiskDescription& disk) {
  constexpr uint16_t kValid = 0x4000, kWriteCache = 0x0020, kSmart = 0x0001, kWwn = 0x0100;
  constexpr uint16_t kFlush = 0x1000, kFlushExt = 0x2000, kLba48 = 0x0400;
  const uint16_t wwn = disk.identity.wwn != 0 ? kWwn : 0;
  put(d, 82, kValid | kWriteCache | kSmart);
  put(d, 83, kValid | kFlush | kFlushExt | kLba48);
  put(d, 84, kValid | wwn);
  put(d, 85, static_cast<uint16_t>(kValid | (disk.write_cache ? kWriteCache : 0) | kSmart));
  put(d, 86, kFlush | kFlushExt | kLba48);
  put(d, 87, kValid | wwn);
}

}  // namespace

IdentifyData identify_device(const DiskDescription& disk) {
  IdentifyData d{};
  put(d, 0, 0x0040);  // not removable
  put_geometry(d, disk);
  put_text(d, 10, disk.identity.serial, 20);
  put(d, 20, 3);
  put(d, 21, 512);
  put(d, 22, 4);
  put_text(d, 23, disk.identity.version, 8);
  put_text(d, 27, disk.identity.model, 40);
  put(d, 47, static_cast<uint16_t>(0x8000 | disk.max_multiple));
  put(d, 48, 1);       // 32-bit data register accesses
  put(d, 49, 0x0b00);  // IORDY, LBA, DMA
  put(d, 51, 0x0200);  // PIO and DMA timing, retired
  put(d, 52, 0x0200);
  put(d, 53, 7);  // words 54-58, 64-70 and 88 are valid
  if (disk.multiple != 0) put(d, 59, static_cast<uint16_t>(0x0100 | disk.multiple));
  put_modes(d, disk.mode);
  put(d, 64, 3);                                                   // PIO modes 3 and 4
  for (unsigned word = 65; word <= 68; ++word) put(d, word, 120);  // cycle times, ns
  if (disk.trim) put(d, 69, 0x4000);  // what was trimmed reads the same each time
  put(d, 80, 0x00f0);                 // ATA/ATAPI-4 to 7
  put(d, 81, 0x0016);
  put_features(d, disk);
  put(d, 93, 0x6001);  // 80-wire cable, device 0 passed its diagnostics
  put(d, 106, static_cast<uint16_t>(0x6000 | disk.physical_exponent));
  put_wwn(d, disk.identity.wwn);
  if (disk.trim) put(d, 169, 1);
  put(d, 217, disk.rotation_rate);
  return d;
}

HdGeometry translation_of(const IdentifyData& data) {
  const auto word = [&](unsigned n) { return load_le<uint16_t>(&data[2 * n]); };
  return {word(54), word(55), word(56)};
}

bool write_cache_of(const IdentifyData& data) {
  return (load_le<uint16_t>(&data[2 * 85]) & 0x0020) != 0;
}

bool transfer_mode_of(const IdentifyData& data, TransferMode& mode) {
  const auto selected = [&](unsigned word) { return load_le<uint16_t>(&data[2 * word]) >> 8; };
  const unsigned single = selected(kSinglewordWord), multi = selected(kMultiwordWord),
                 ultra = selected(kUltraWord);
  const unsigned chosen = (single != 0 ? 1 : 0) + (multi != 0 ? 1 : 0) + (ultra != 0 ? 1 : 0);
  const auto one_bit = [](unsigned bits) { return (bits & (bits - 1)) == 0; };
  if (chosen > 1 || !one_bit(single) || !one_bit(multi) || !one_bit(ultra)) return false;
  if (single > 0x04 || multi > 0x04 || ultra > 0x20) return false;
  const auto number = [](unsigned bit) {
    return bit == 0 ? TransferMode::kNone : static_cast<uint8_t>(__builtin_ctz(bit));
  };
  mode = {number(multi), number(ultra), number(single)};
  return true;
}

}  // namespace rhea
