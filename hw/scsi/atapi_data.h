// The data CD commands return, made from what is known of drive and medium.
#pragma once

#include <cstdint>
#include <vector>

#include "hw/scsi/atapi.h"

namespace rhea {

/// Minute, second, frame of an address on the disc: 75 frames a second, the first sector is at 00:02:00.
struct Msf {
  explicit Msf(uint32_t lba)
      : m(static_cast<uint8_t>((lba + 150) / 75 / 60)),
        s(static_cast<uint8_t>((lba + 150) / 75 % 60)),
        f(static_cast<uint8_t>((lba + 150) % 75)) {}
  uint8_t m, s, f;
};

using AtapiData = std::vector<uint8_t>;

AtapiData sense_data(const Sense& sense);                       ///< SPC-3 4.5.3, fixed format
AtapiData inquiry_data(const DriveIdentity& id);                ///< SPC-3 6.4.2
AtapiData inquiry_page(const DriveIdentity& id, uint8_t page);  ///< SPC-3 7.6; empty: no such page
AtapiData toc_data(const CdMedium& medium, uint8_t format, bool msf,
                   uint8_t first_track);  ///< empty: bad request
AtapiData configuration_data(const CdMedium& medium, bool tray_open, unsigned request, uint16_t first);
AtapiData disc_information();  ///< MMC-5 6.22, standard information
/// Mode page `page` (0x3f: all) with its header; `control` 0 current, 1 changeable, 2 default. Empty: no such
/// page.
AtapiData mode_page_data(const CdMedium& medium, const Tray& tray, uint8_t page, unsigned control);
/// MMC-5 6.23; empty: no such format.
AtapiData dvd_structure(const CdMedium& medium, uint8_t format);

}  // namespace rhea
