#include "hw/ide/ide_dma.h"

#include <algorithm>

namespace rhea {

void GuestScatter::add(GuestAddr addr, uint64_t bytes) {
  bytes_ += bytes;
  while (bytes > 0) {
    const AddressSpace::Mapping m = memory_space().map(addr, bytes, true);
    if (m.host != nullptr && m.bytes > 0) {
      pieces_.push_back({m.host, m.bytes});
      ram_.push_back({m.block, m.offset, m.bytes});
      addr += m.bytes;
      bytes -= m.bytes;
      continue;
    }
    // No RAM here: a buffer up to the next page, where there may be some.
    const uint64_t n = std::min<uint64_t>(bytes, kPageSize - addr % kPageSize);
    buffered_.push_back({addr, std::make_unique<uint8_t[]>(n), n});
    pieces_.push_back({buffered_.back().data.get(), n});
    addr += n;
    bytes -= n;
  }
}

void GuestScatter::commit() {
  for (const auto& r : ram_) r.block->mark_dirty(r.offset, r.bytes);
  for (const auto& b : buffered_) memory_space().write(b.addr, b.data.get(), b.bytes);
}

}  // namespace rhea
