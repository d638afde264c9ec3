#include "hw/scsi/atapi_data.h"

#include <algorithm>
#include <string_view>

#include "util/byteorder.h"

namespace rhea {

namespace {

void append(AtapiData& out, std::initializer_list<uint8_t> bytes) {
  out.insert(out.end(), bytes);
}

void append_text(AtapiData& out, std::string_view text, size_t width) {
  for (size_t i = 0; i < width; ++i) out.push_back(i < text.size() ? static_cast<uint8_t>(text[i]) : ' ');
}

void append_be32(AtapiData& out, uint32_t v) {
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<uint8_t>(v >> shift));
}

/// A disc address as TOC formats 0 and 1 hold it.
void append_address(AtapiData& out, uint32_t lba, bool msf) {
  if (!msf) return append_be32(out, lba);
  const Msf at(lba);
  append(out, {0, at.m, at.s, at.f});
}

/// Stores the number of bytes behind a leading 16-bit length.
AtapiData with_length(AtapiData out) {
  store_be<uint16_t>(out.data(), static_cast<uint16_t>(out.size() - 2));
  return out;
}

constexpr uint8_t kDataTrack = 0x14;  // ADR 1: position; control 4: data
constexpr uint8_t kLeadOut = 0xaa;

}  // namespace

AtapiData sense_data(const Sense& sense) {
  AtapiData out(18);
  out[0] = 0xf0;  // valid, current
  out[2] = static_cast<uint8_t>(sense.key);
  out[7] = static_cast<uint8_t>(out.size() - 8);
  out[12] = sense.asc;
  out[13] = sense.ascq;
  return out;
}

AtapiData inquiry_data(const DriveIdentity& id) {
  // CD/DVD device, removable, no standard claimed, ATAPI response format 1.
  AtapiData out = {0x05, 0x80, 0x00, 0x21, 31, 0, 0, 0};
  append_text(out, "QEMU", 8);
  append_text(out, id.model, 16);
  append_text(out, id.version, 4);
  return out;
}

AtapiData inquiry_page(const DriveIdentity& id, uint8_t page) {
  AtapiData out = {0x05, page, 0, 0};
  switch (page) {
    case 0x00:  // supported pages
      append(out, {0x00, 0x80, 0x83});
      break;
    case 0x80:  // unit serial number
      append_text(out, id.serial, 20);
      break;
    case 0x83:                              // device identification
      append(out, {0x02, 0x00, 0x00, 20});  // ASCII, vendor specific: the serial number
      append_text(out, id.serial, 20);
      append(out, {0x02, 0x01, 0x00, 68});  // ASCII, T10 vendor identification
      append_text(out, "ATA", 8);
      append_text(out, id.model, 40);
      append_text(out, id.serial, 20);
      if (id.wwn != 0) {
        append(out, {0x01, 0x03, 0x00, 8});  // binary, NAA
        append_be32(out, static_cast<uint32_t>(id.wwn >> 32));
        append_be32(out, static_cast<uint32_t>(id.wwn));
      }
      break;
    default:
      return {};
  }
  store_be<uint16_t>(&out[2], static_cast<uint16_t>(out.size() - 4));
  return out;
}

AtapiData toc_data(const CdMedium& medium, uint8_t format, bool msf, uint8_t first_track) {
  AtapiData out = {0, 0, 1, 1};  // first and last track, or session
  switch (format) {
    case 0:  // MMC-5 6.25.3.2: tracks from `first_track`
      if (first_track > 1 && first_track != kLeadOut) return {};
      if (first_track <= 1) {
        append(out, {0, kDataTrack, 1, 0});
        append_address(out, 0, msf);
      }
      append(out, {0, kDataTrack | 2, kLeadOut, 0});
      append_address(out, medium.sectors, msf);
      return with_length(std::move(out));
    case 1:  // 6.25.3.3: the last session's first track
      append(out, {0, kDataTrack, 1, 0});
      append_address(out, 0, msf);
      return with_length(std::move(out));
    case 2: {  // 6.25.3.4: the lead-in's entries; always minutes, seconds, frames
      auto entry = [&](uint8_t point, uint8_t m, uint8_t s, uint8_t f) {
        append(out, {1, kDataTrack, 0, point, 0, 0, 0, 0, m, s, f});
      };
      const Msf start(0), end(medium.sectors);
      entry(0xa0, 1, 0, 0);  // first track
      entry(0xa1, 1, 0, 0);  // last track
      entry(0xa2, end.m, end.s, end.f);
      entry(0x01, start.m, start.s, start.f);
      return with_length(std::move(out));
    }
    default:
      return {};
  }
}

AtapiData configuration_data(const CdMedium& medium, bool tray_open, unsigned request, uint16_t first) {
  constexpr uint16_t kProfileCd = 0x0008, kProfileDvd = 0x0010;
  const bool dvd = medium.is_dvd() && !tray_open;
  const bool cd = medium.present && !tray_open && !dvd;
  AtapiData out(8);
  store_be<uint16_t>(&out[6], dvd ? kProfileDvd : cd ? kProfileCd : uint16_t{0});
  // MMC-5 5.3: code, version << 2 | persistent << 1 | current, length, data.
  auto feature = [&](uint16_t code, uint8_t flags, bool current, std::initializer_list<uint8_t> body) {
    const bool wanted = request == 2 ? code == first : code >= first && (request == 0 || current);
    if (!wanted) return;
    append(out, {static_cast<uint8_t>(code >> 8), static_cast<uint8_t>(code),
                 static_cast<uint8_t>(flags | (current ? 1 : 0)), static_cast<uint8_t>(body.size())});
    append(out, body);
  };
  const auto on = [](bool b) { return static_cast<uint8_t>(b ? 1 : 0); };
  feature(0x0000, 0x02, true, {0x00, 0x10, on(dvd), 0, 0x00, 0x08, on(cd), 0});  // profile list
  feature(0x0001, 0x0a, true, {0, 0, 0, 2, 0x01, 0, 0, 0});                      // core: ATAPI, DBE
  feature(0x0003, 0x02, true, {0x29, 0, 0, 0});                   // removable medium: tray, eject, lock
  feature(0x0010, 0x00, dvd || cd, {0, 0, 0x08, 0, 0, 1, 0, 0});  // random readable, 2048-byte blocks
  feature(0x001e, 0x08, cd, {0, 0, 0, 0});                        // CD read
  feature(0x001f, 0x00, dvd, {});                                 // DVD read
  store_be<uint32_t>(out.data(), static_cast<uint32_t>(out.size() - 4));
  return out;
}

AtapiData disc_information() {
  AtapiData out(34);
  out[2] = 0x0e;        // disc and last session complete
  out[3] = 1;           // first track
  out[4] = out[5] = 1;  // sessions; first track of the last one
  out[6] = 1;           // last track of the last one
  out[7] = 0x20;        // unrestricted use
  return with_length(std::move(out));
}

namespace {

struct ModePage {
  uint8_t code;
  std::vector<uint8_t> body;
};

std::vector<ModePage> mode_pages(const Tray& tray) {
  return {
      {0x01, {0x00, 0x05, 0x00, 0x00, 0x00, 0x00}},                 // read error recovery: 5 tries
      {0x0d, {0x00, 0x0d, 0x00, 60, 0x00, 75}},                     // CD device parameters: seconds, frames
      {0x0e, {0x00, 0x00, 0x24, 0, 0, 0, 0, 0, 0, 0, 2, 0, 2, 0}},  // CD audio control
      // Capabilities (MMC-3 5.5.10): reads CD-R/RW, DVD-ROM/R/RAM; mode 2 forms, sessions; tray, eject, lock;
      // speeds in kB/s, buffer in kB.
      {0x2a, {0x3b, 0x00, 0x70, 0x00, static_cast<uint8_t>(0x29 | (tray.locked() ? 2 : 0)),
              0x00, 0x02, 0xc0, 0x00, 0x00,
              0x02, 0x00, 0x02, 0xc0, 0x00,
              0x00, 0x00, 0x00, 0x00, 0x00}},
  };
}

}  // namespace

AtapiData mode_page_data(const CdMedium& medium, const Tray& tray, uint8_t page, unsigned control) {
  AtapiData out(8);
  out[2] = tray.open() ? 0x71 : medium.present ? 0x01 : 0x70;  // medium type, SFF-8020i table 82
  for (const auto& p : mode_pages(tray)) {
    if (page != 0x3f && page != p.code) continue;
    append(out, {p.code, static_cast<uint8_t>(p.body.size())});
    // Nothing can be changed: that mask is all zeroes.
    for (uint8_t byte : p.body) out.push_back(control == 1 ? 0 : byte);
  }
  if (out.size() == 8) return {};
  return with_length(std::move(out));
}

AtapiData dvd_structure(const CdMedium& medium, uint8_t format) {
  constexpr uint32_t kFirstSector = 0x030000;  // physical sector number of the data area
  switch (format) {
    case 0x00: {  // physical format
      AtapiData out(4 + 2048);
      out[4] = 0x01;  // DVD-ROM, part version 1
      out[5] = 0x0f;  // 120 mm, no maximum rate
      out[6] = 0x01;  // one layer, embossed
      store_be<uint32_t>(&out[8], kFirstSector);
      store_be<uint32_t>(&out[12], kFirstSector + medium.sectors - 1);
      return with_length(std::move(out));
    }
    case 0x01:  // copyright: no protection, all regions
      return with_length(AtapiData(8));
    case 0x04:  // manufacturing information: blank
      return with_length(AtapiData(4 + 2048));
    case 0xff: {  // which formats can be read
      AtapiData out(4);
      auto entry = [&](uint8_t code, uint16_t size) {
        append(out, {code, 0x40, static_cast<uint8_t>(size >> 8), static_cast<uint8_t>(size)});
      };
      entry(0x00, 2052);
      entry(0x01, 8);
      entry(0x04, 2052);
      entry(0xff, 20);
      return with_length(std::move(out));
    }
    default:
      return {};
  }
}

}  // namespace rhea
