// INQUIRY: SPC-4 6.4 and 7.8, SBC-3 6.6.
#include <algorithm>

#include "hw/scsi/scsi_disk.h"
#include "util/byteorder.h"

namespace rhea {

namespace {

void scsi_text(std::vector<uint8_t>& out, std::string_view text, size_t width) {
  for (size_t i = 0; i < width; ++i) out.push_back(i < text.size() ? static_cast<uint8_t>(text[i]) : ' ');
}

/// 7.8.6.1: a designation descriptor.
void designation(std::vector<uint8_t>& out, uint8_t code_set, uint8_t kind, std::span<const uint8_t> bytes) {
  out.insert(out.end(), {code_set, kind, 0, static_cast<uint8_t>(bytes.size())});
  out.insert(out.end(), bytes.begin(), bytes.end());
}

std::array<uint8_t, 8> big_endian(uint64_t value) {
  std::array<uint8_t, 8> out{};
  store_be<uint64_t>(out.data(), value);
  return out;
}

}  // namespace

void ScsiDisk::inquiry(ScsiCommand& command) const {
  const bool vital = (command.cdb[1] & 1) != 0;
  if (!vital && command.cdb[2] != 0) return command.check(sense::kInvalidField);
  const std::vector<uint8_t> data = vital ? vital_page(command.cdb[2]) : standard_inquiry();
  if (data.empty()) return command.check(sense::kInvalidField);
  command.give(data, load_be<uint16_t>(&command.cdb[3]));
}

std::vector<uint8_t> ScsiDisk::standard_inquiry() const {
  // Hierarchical addressing, response format 2; command queueing.
  std::vector<uint8_t> out = {peripheral_type(),
                              static_cast<uint8_t>(is_removable() ? 0x80 : 0),
                              static_cast<uint8_t>(scsi_version),
                              0x12,
                              31,
                              0,
                              0,
                              0x12};
  scsi_text(out, vendor, 8);
  scsi_text(out, product, 16);
  scsi_text(out, version, 4);
  return out;
}

std::vector<uint8_t> ScsiDisk::vital_page(uint8_t page) const {
  std::vector<uint8_t> out = {peripheral_type(), page, 0, 0};
  const bool disk = peripheral_type() == 0;
  switch (page) {
    case 0x00:  // which there are
      out.push_back(0x00);
      if (!serial.empty()) out.push_back(0x80);
      out.push_back(0x83);
      if (disk) out.insert(out.end(), {0xb0, 0xb1, 0xb2});
      break;
    case 0x80: {  // unit serial number
      if (serial.empty()) return {};
      const std::string number = serial.substr(0, 36);
      out.insert(out.end(), number.begin(), number.end());
      break;
    }
    case 0x83: {  // device identification
      const std::string name = device_id.substr(0, 251);
      if (!name.empty()) designation(out, 0x02, 0x00, std::vector<uint8_t>(name.begin(), name.end()));
      if (wwn != 0) designation(out, 0x01, 0x03, big_endian(wwn));            // NAA, of the unit
      if (port_wwn != 0) designation(out, 0x61, 0x93, big_endian(port_wwn));  // NAA, of the port
      if (port_index != 0)
        designation(out, 0x61, 0x94,
                    std::array<uint8_t, 4>{0, 0, static_cast<uint8_t>(port_index >> 8),
                                           static_cast<uint8_t>(port_index)});
      break;
    }
    case 0xb0: {  // block limits
      if (!disk) return {};
      const auto in_blocks = [&](uint64_t bytes) {
        return static_cast<uint32_t>(std::min<uint64_t>(bytes / conf.logical_block_size, UINT32_MAX));
      };
      out.resize(64);
      out[4] = 1;  // WRITE SAME wants a length
      store_be<uint16_t>(&out[6], static_cast<uint16_t>(std::min(in_blocks(conf.min_io_size), 0xffffu)));
      store_be<uint32_t>(&out[8], in_blocks(max_io_size));
      store_be<uint32_t>(&out[12], in_blocks(conf.opt_io_size));
      store_be<uint32_t>(&out[20], in_blocks(max_unmap_size));
      store_be<uint32_t>(&out[24], 255);  // ranges of an UNMAP
      store_be<uint32_t>(&out[28], in_blocks(conf.discard_granularity));
      store_be<uint64_t>(&out[36], in_blocks(max_io_size));
      break;
    }
    case 0xb1:  // block device characteristics
      if (!disk) return {};
      out.resize(64);
      store_be<uint16_t>(&out[4], rotation_rate);
      break;
    case 0xb2:  // logical block provisioning: UNMAP and WRITE SAME of both lengths unmap
      if (!disk) return {};
      out.insert(out.end(), {0, 0xe0, static_cast<uint8_t>(conf.discard_granularity != 0 ? 2 : 1), 0});
      break;
    default:
      return {};
  }
  store_be<uint16_t>(&out[2], static_cast<uint16_t>(out.size() - 4));
  return out;
}

}  // namespace rhea
