#include "hw/acpi/table_set.h"

#include <cassert>

namespace rhea {
namespace {

constexpr uint32_t kChecksumOffset = 9;  // in the standard header

}  // namespace

uint32_t TableSet::append_raw(std::span<const uint8_t> bytes) {
  uint32_t offset = static_cast<uint32_t>(data_.size());
  data_.raw(bytes);
  return offset;
}

uint32_t TableSet::append_table(std::string_view signature, uint8_t revision, std::span<const uint8_t> body,
                                std::string_view oem_table_id) {
  assert(signature.size() == 4);
  uint32_t offset = static_cast<uint32_t>(data_.size());
  uint32_t length = static_cast<uint32_t>(kHeaderBytes + body.size());
  data_.text(signature).u32(length).u8(revision).u8(0);
  data_.fixed(identity_.oem_id, 6, ' ');
  if (oem_table_id.empty())
    data_.fixed(identity_.oem_table_id, 8, ' ');
  else
    data_.fixed(oem_table_id, 8);
  data_.u32(identity_.oem_revision);
  data_.fixed(identity_.creator_id, 4, ' ').u32(identity_.creator_revision);
  data_.raw(body);
  linker_.add_checksum(file_, offset + kChecksumOffset, offset, length);
  return offset;
}

void TableSet::link(uint32_t field, uint8_t size, uint32_t target) {
  data_.patch_le(field, target, size);
  linker_.add_pointer(file_, field, size, file_);
}

}  // namespace rhea
