// Resource descriptor encodings. Spec: ACPI 6.4, sections 6.4.2 (small) and 6.4.3 (large).
#include "hw/acpi/aml_resource.h"

namespace rhea::aml {
namespace {

constexpr uint8_t kMinFixed = 1 << 2, kMaxFixed = 1 << 3;  // 6.4.3.5, general flags
constexpr uint8_t kTypeMemory = 0, kTypeIo = 1, kTypeBus = 2;
constexpr uint8_t kEntireRange = 3;  // ISA and non-ISA I/O ranges
constexpr uint8_t kReadWrite = 1;

struct Window {
  uint8_t tag, type, type_flags;
  unsigned width;  // bytes of each of the five address fields
};

// The body is three bytes of type and flags, then granularity, min, max, translation, length.
Resource window(const Window& w, uint64_t first, uint64_t last) {
  ByteBuffer b;
  b.u8(w.tag).u16(static_cast<uint16_t>(3 + 5 * w.width));
  b.u8(w.type).u8(kMinFixed | kMaxFixed).u8(w.type_flags);
  for (uint64_t v : {uint64_t{0}, first, last, uint64_t{0}, last - first + 1}) b.le(v, w.width);
  return {b.take()};
}

uint8_t memory_flags(Caching caching) {
  return static_cast<uint8_t>(kReadWrite | static_cast<unsigned>(caching) << 1);
}

}  // namespace

Resource io(uint16_t min, uint16_t max, uint8_t alignment, uint8_t length) {
  return {ByteBuffer().u8(0x47).u8(1).u16(min).u16(max).u8(alignment).u8(length).take()};
}

Resource isa_dma(uint8_t mask) {
  return {ByteBuffer().u8(0x2a).u8(mask).u8(0).take()};
}

Resource irq(uint16_t mask) {
  return {ByteBuffer().u8(0x22).u16(mask).take()};
}

Resource irq(uint16_t mask, Trigger trigger, Polarity polarity, Sharing sharing) {
  uint8_t flags = static_cast<uint8_t>(static_cast<unsigned>(trigger) | static_cast<unsigned>(polarity) << 3 |
                                       static_cast<unsigned>(sharing) << 4);
  return {ByteBuffer().u8(0x23).u16(mask).u8(flags).take()};
}

Resource interrupts(Trigger trigger, Polarity polarity, Sharing sharing,
                    std::initializer_list<uint32_t> gsis) {
  uint8_t flags =
      static_cast<uint8_t>(1u | static_cast<unsigned>(trigger) << 1 | static_cast<unsigned>(polarity) << 2 |
                           static_cast<unsigned>(sharing) << 3);
  ByteBuffer b;
  b.u8(0x89).u16(static_cast<uint16_t>(2 + 4 * gsis.size()));
  b.u8(flags).u8(static_cast<uint8_t>(gsis.size()));
  for (uint32_t g : gsis) b.u32(g);
  return {b.take()};
}

Resource memory32_fixed(uint32_t base, uint32_t length, bool writable) {
  return {ByteBuffer().u8(0x86).u16(9).u8(writable ? 1 : 0).u32(base).u32(length).take()};
}

Resource word_bus_number(uint16_t first, uint16_t last) {
  return window({0x88, kTypeBus, 0, 2}, first, last);
}
Resource word_io(uint16_t first, uint16_t last) {
  return window({0x88, kTypeIo, kEntireRange, 2}, first, last);
}
Resource dword_memory(uint32_t first, uint32_t last, Caching caching) {
  return window({0x87, kTypeMemory, memory_flags(caching), 4}, first, last);
}
Resource qword_memory(uint64_t first, uint64_t last, Caching caching) {
  return window({0x8a, kTypeMemory, memory_flags(caching), 8}, first, last);
}

Term resource_template(const std::vector<Resource>& resources) {
  Bytes all;
  for (const Resource& r : resources) all.insert(all.end(), r.bytes.begin(), r.bytes.end());
  all.push_back(0x79);
  all.push_back(0);  // a checksum of zero is treated as correct (6.4.2.9)
  return buffer(all);
}

}  // namespace rhea::aml
