// Resource descriptors for _CRS and _PRS buffers. Spec: ACPI 6.4, section 6.4.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <vector>

#include "hw/acpi/aml.h"

namespace rhea::aml {

// One or more encoded descriptors, without the end tag.
struct Resource {
  Bytes bytes;
};

enum class Trigger : uint8_t { kLevel = 0, kEdge = 1 };
enum class Polarity : uint8_t { kHigh = 0, kLow = 1 };
enum class Sharing : uint8_t { kExclusive = 0, kShared = 1 };
enum class Caching : uint8_t { kNone = 0, kCacheable = 1, kWriteCombining = 2, kPrefetchable = 3 };

Resource io(uint16_t min, uint16_t max, uint8_t alignment, uint8_t length);  // 16-bit decode
Resource isa_dma(uint8_t mask);  // channels; 8 bits wide, compatible, no bus master
Resource irq(uint16_t mask);     // edge, active high, exclusive: no flag byte
Resource irq(uint16_t mask, Trigger trigger, Polarity polarity, Sharing sharing);
Resource interrupts(Trigger trigger, Polarity polarity, Sharing sharing,
                    std::initializer_list<uint32_t> gsis);  // extended interrupt descriptor, consumer
Resource memory32_fixed(uint32_t base, uint32_t length, bool writable);

// Windows that a bridge passes on (producer, fixed ends, positive decode). `last` is inclusive.
Resource word_bus_number(uint16_t first, uint16_t last);
Resource word_io(uint16_t first, uint16_t last);
Resource dword_memory(uint32_t first, uint32_t last, Caching caching);
Resource qword_memory(uint64_t first, uint64_t last, Caching caching);

// The buffer of all descriptors and the end tag.
Term resource_template(const std::vector<Resource>& resources);

}  // namespace rhea::aml
