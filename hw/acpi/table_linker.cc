#include "hw/acpi/table_linker.h"

#include <cassert>

namespace rhea {
namespace {

ByteBuffer record(TableLinker::Command command) {
  ByteBuffer b;
  b.u32(static_cast<uint32_t>(command));
  return b;
}

ByteBuffer& file_name(ByteBuffer& b, std::string_view name) {
  assert(name.size() < TableLinker::kNameBytes);
  return b.fixed(name, TableLinker::kNameBytes);
}

void append_record(Bytes& out, ByteBuffer b) {
  assert(b.size() <= TableLinker::kRecordBytes);
  b.zeros(TableLinker::kRecordBytes - b.size());
  out.insert(out.end(), b.bytes().begin(), b.bytes().end());
}

}  // namespace

void TableLinker::allocate(std::string_view file, uint32_t alignment, Zone zone) {
  assert(alignment != 0 && (alignment & (alignment - 1)) == 0);
  ByteBuffer b = record(Command::kAllocate);
  file_name(b, file).u32(alignment).u8(static_cast<uint8_t>(zone));
  append_record(allocations_, std::move(b));
}

void TableLinker::add_pointer(std::string_view dest, uint32_t offset, uint8_t size, std::string_view source) {
  ByteBuffer b = record(Command::kAddPointer);
  file_name(b, dest);
  file_name(b, source).u32(offset).u8(size);
  append_record(pointers_, std::move(b));
}

void TableLinker::add_checksum(std::string_view file, uint32_t at, uint32_t start, uint32_t length) {
  ByteBuffer b = record(Command::kAddChecksum);
  file_name(b, file).u32(at).u32(start).u32(length);
  append_record(checksums_, std::move(b));
}

void TableLinker::write_pointer(std::string_view dest, uint32_t offset, uint8_t size, std::string_view source,
                                uint32_t source_offset) {
  ByteBuffer b = record(Command::kWritePointer);
  file_name(b, dest);
  file_name(b, source).u32(offset).u32(source_offset).u8(size);
  append_record(pointers_, std::move(b));
}

Bytes TableLinker::finish() const {
  Bytes out = allocations_;
  out.insert(out.end(), pointers_.begin(), pointers_.end());
  out.insert(out.end(), checksums_.begin(), checksums_.end());
  return out;
}

}  // namespace rhea
