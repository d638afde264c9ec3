#include "hw/ide/identify.h"

#include <string_view>

#include "util/byteorder.h"

namespace rhea {

namespace {

constexpr unsigned kMultiwordWord = 63, kUltraWord = 88;
constexpr uint16_t kMultiwordModes = 0x07, kUltraModes = 0x3f;

void put(IdentifyData& d, unsigned word, uint16_t value) {
  store_le<uint16_t>(&d[2 * word], value);
}

/// 8.15.8: two characters a word, the first one high.
void put_text(IdentifyData& d, unsigned word, std::string_view text, size_t width) {
  for (size_t i = 0; i < width; ++i)
    d[2 * word + (i ^ 1)] = i < text.size() ? static_cast<uint8_t>(text[i]) : ' ';
}

}  // namespace

bool TransferMode::set(uint8_t value) {
  const uint8_t number = value & 7;
  switch (value >> 3) {
    case 0:  // PIO default
    case 1:  // PIO with flow control
      *this = {kNone, kNone};
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

IdentifyData identify_packet_device(const CdIdentity& id, const TransferMode& mode) {
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
  put(d, kMultiwordWord,
      static_cast<uint16_t>(kMultiwordModes | (mode.multiword < 3 ? 0x100 << mode.multiword : 0)));
  put(d, 64, 3);    // PIO modes 3 and 4
  put(d, 65, 180);  // cycle times, ns
  put(d, 66, 180);
  put(d, 67, 300);
  put(d, 68, 180);
  put(d, 71, 30);  // us from PACKET to bus release, from SERVICE to BSY clear
  put(d, 72, 30);
  put(d, 80, 0x1e);  // ATA-1 to ATA/ATAPI-4
  put(d, kUltraWord, static_cast<uint16_t>(kUltraModes | (mode.ultra < 6 ? 0x100 << mode.ultra : 0)));
  if (id.wwn != 0) {
    put(d, 87, 0x0100 | 0x4000);
    for (unsigned i = 0; i < 4; ++i) put(d, 108 + i, static_cast<uint16_t>(id.wwn >> (48 - 16 * i)));
  }
  return d;
}

bool transfer_mode_of(const IdentifyData& data, TransferMode& mode) {
  const auto selected = [&](unsigned word) { return load_le<uint16_t>(&data[2 * word]) >> 8; };
  const unsigned multiword = selected(kMultiwordWord), ultra = selected(kUltraWord);
  const auto single = [](unsigned bits) { return (bits & (bits - 1)) == 0; };
  if (!single(multiword) || !single(ultra) || (multiword != 0 && ultra != 0)) return false;
  if (multiword > 0x04 || ultra > 0x20) return false;
  const auto number = [](unsigned bit) {
    return bit == 0 ? TransferMode::kNone : static_cast<uint8_t>(__builtin_ctz(bit));
  };
  mode = {number(multiword), number(ultra)};
  return true;
}

}  // namespace rhea
