#include "hw/ide/ide_dma.h"

#include <algorithm>

namespace rhea {

uint8_t* GuestScatter::add_buffer(std::optional<GuestAddr> addr, uint64_t bytes) {
  buffered_.push_back({addr, std::make_unique<uint8_t[]>(bytes), bytes});
  uint8_t* const data = buffered_.back().data.get();
  pieces_.push_back({data, bytes});
  return data;
}

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
    add_buffer(addr, n);
    addr += n;
    bytes -= n;
  }
}

void GuestScatter::add_source(GuestAddr addr, uint64_t bytes) {
  bytes_ += bytes;
  while (bytes > 0) {
    const AddressSpace::Mapping m = memory_space().map(addr, bytes, false);
    uint64_t n = m.bytes;
    if (m.host != nullptr && n > 0) {
      pieces_.push_back({m.host, n});
    } else {
      n = std::min<uint64_t>(bytes, kPageSize - addr % kPageSize);
      memory_space().read(addr, add_buffer(std::nullopt, n), n);
    }
    addr += n;
    bytes -= n;
  }
}

void GuestScatter::add_nowhere(uint64_t bytes) {
  bytes_ += bytes;
  add_buffer(std::nullopt, bytes);
}

void GuestScatter::commit() {
  for (const auto& r : ram_) r.block->mark_dirty(r.offset, r.bytes);
  for (const auto& b : buffered_)
    if (b.addr) memory_space().write(*b.addr, b.data.get(), b.bytes);
}

}  // namespace rhea
