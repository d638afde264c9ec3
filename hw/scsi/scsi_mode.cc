// MODE SENSE and MODE SELECT: SPC-4 6.9 to 6.12 and 7.5, SBC-3 6.5.
#include <algorithm>

#include "hw/scsi/scsi_disk.h"
#include "util/byteorder.h"

namespace rhea {

namespace {

constexpr uint8_t kAllPages = 0x3f, kRecovery = 0x01, kRigidGeometry = 0x04, kCaching = 0x08;
constexpr uint8_t kWriteCache = 0x04;  ///< in byte 2 of the caching page
constexpr unsigned kChangeable = 1, kSaved = 3;

/// SBC-3's rigid disk page: cylinders, heads, a rate.
std::vector<uint8_t> rigid_page(const HdGeometry& g) {
  std::vector<uint8_t> out(24);
  out[0] = kRigidGeometry;
  out[1] = 0x16;
  out[2] = static_cast<uint8_t>(g.cyls >> 16);
  store_be<uint16_t>(&out[3], static_cast<uint16_t>(g.cyls));
  out[5] = static_cast<uint8_t>(g.heads);
  store_be<uint16_t>(&out[20], 5400);
  return out;
}

}  // namespace

/// The pages asked for, whole; empty if there is no such page.
std::vector<uint8_t> ScsiHd::mode_pages(uint8_t page, unsigned control) const {
  std::vector<uint8_t> out;
  const auto add = [&](std::vector<uint8_t> body, size_t changeable_at, uint8_t changeable) {
    if (page != kAllPages && page != body[0]) return;
    if (control == kChangeable) {
      std::fill(body.begin() + 2, body.end(), uint8_t{0});
      if (changeable != 0) body[changeable_at] = changeable;
    }
    out.insert(out.end(), body.begin(), body.end());
  };
  std::vector<uint8_t> recovery(12);
  recovery[0] = kRecovery;
  recovery[1] = 0x0a;
  recovery[2] = 0x80;  // bad blocks are written elsewhere
  add(recovery, 0, 0);
  add(rigid_page(geometry_), 0, 0);
  std::vector<uint8_t> caching(20);
  caching[0] = kCaching;
  caching[1] = 0x12;
  if (blk().write_cache_enabled()) caching[2] = kWriteCache;
  add(caching, 2, kWriteCache);
  return out;
}

void ScsiHd::mode_sense(ScsiCommand& command) const {
  const ScsiCdb& cdb = command.cdb;
  const bool is_long = cdb[0] == scsi::kModeSense10;
  const unsigned control = cdb[2] >> 6;
  if (control == kSaved) return command.check(sense::kSavingUnsupported);
  const std::vector<uint8_t> pages = mode_pages(cdb[2] & 0x3f, control);
  if (pages.empty() || cdb[3] != 0) return command.check(sense::kInvalidField);
  std::vector<uint8_t> out(is_long ? 8 : 4);
  uint8_t& specific = out[is_long ? 3 : 2];
  if (blk().node() != nullptr && blk().node()->read_only()) specific |= 0x80;
  if (dpofua) specific |= 0x10;
  const Result<uint64_t> bytes = blk().getlength();
  const uint64_t blocks = bytes ? *bytes / block_bytes() : 0;
  const bool wants_descriptor = (cdb[1] & 8) == 0;
  if (wants_descriptor && blocks != 0) {
    std::array<uint8_t, 8> descriptor{};
    store_be<uint32_t>(&descriptor[0], static_cast<uint32_t>(blocks > 0xff'ffff ? 0 : blocks));
    store_be<uint32_t>(&descriptor[4], block_bytes());
    out.insert(out.end(), descriptor.begin(), descriptor.end());
    out[is_long ? 7 : 3] = descriptor.size();
  }
  out.insert(out.end(), pages.begin(), pages.end());
  if (is_long)
    store_be<uint16_t>(out.data(), static_cast<uint16_t>(out.size() - 2));
  else
    out[0] = static_cast<uint8_t>(out.size() - 1);
  command.give(out, is_long ? load_be<uint16_t>(&cdb[7]) : cdb[4]);
}

/// Each page must be one there is, of its length, and differ in what may be changed alone.
bool ScsiHd::check_mode_pages(std::span<const uint8_t> pages, Sense& why) const {
  while (!pages.empty()) {
    why = sense::kListLength;
    if (pages.size() < 2) return false;
    why = sense::kInvalidParameter;
    const uint8_t page = pages[0] & 0x3f;
    if ((pages[0] & 0x40) != 0 || page == kAllPages) return false;
    const std::vector<uint8_t> now = mode_pages(page, 0), mask = mode_pages(page, kChangeable);
    if (now.empty() || pages[1] != now[1]) return false;
    why = sense::kListLength;
    if (pages.size() < now.size()) return false;
    why = sense::kInvalidParameter;
    for (size_t i = 2; i < now.size(); ++i)
      if (((pages[i] ^ now[i]) & ~mask[i]) != 0) return false;
    pages = pages.subspan(now.size());
  }
  return true;
}

void ScsiHd::mode_select(ScsiCommand& command) {
  const ScsiCdb& cdb = command.cdb;
  const bool is_long = cdb[0] == scsi::kModeSelect10;
  const size_t bytes = is_long ? load_be<uint16_t>(&cdb[7]) : cdb[4];
  if ((cdb[1] & 0x11) != 0x10) return command.check(sense::kInvalidField);  // PF, and nothing to save
  if (bytes == 0) return command.good();
  std::vector<uint8_t> list(bytes);
  command.out.slice(0, bytes).copy_to(list.data());
  const size_t header = is_long ? 8 : 4;
  if (bytes < header) return command.check(sense::kListLength);
  const size_t descriptors = is_long ? load_be<uint16_t>(&list[6]) : list[3];
  if (header + descriptors > bytes) return command.check(sense::kListLength);
  if (descriptors != 0) {
    if (descriptors != 8) return command.check(sense::kInvalidParameter);
    const uint32_t size = load_be<uint32_t>(&list[header + 4]) & 0xff'ffff;
    if (size != block_bytes()) return command.check(sense::kInvalidParameter);
  }
  const std::span<const uint8_t> pages = std::span(list).subspan(header + descriptors);
  Sense why;
  if (!check_mode_pages(pages, why)) return command.check(why);
  for (size_t at = 0; at < pages.size(); at += 2 + size_t{pages[at + 1]}) {
    if ((pages[at] & 0x3f) != kCaching) continue;
    blk().set_write_cache_enabled((pages[at + 2] & kWriteCache) != 0);
  }
  command.good(bytes);
}

}  // namespace rhea
