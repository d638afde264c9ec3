// Reads and writes of guest memory: RAM is copied, I/O is cut into accesses its rules allow.
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <mutex>

#include "memory/memory_internal.h"
#include "util/locks.h"
#include "util/log.h"

namespace rhea {

namespace {

uint64_t ones(unsigned bytes) {
  return bytes >= 8 ? UINT64_MAX : (uint64_t{1} << bytes * 8) - 1;
}

/// The widest access at `offset` that is no larger than `bytes` and that the rules take.
unsigned piece_size(const AccessRules& rules, uint64_t offset, uint64_t bytes) {
  uint64_t limit = std::min<uint64_t>({bytes, rules.valid_max, 8});
  if (!rules.unaligned && offset != 0) limit = std::min(limit, offset & -offset);
  return static_cast<unsigned>(std::bit_floor(limit));
}

uint64_t read_implemented(MemoryRegion& region, uint64_t offset, unsigned size) {
  const AccessRules& rules = region.rules();
  MmioHandler& handler = *region.handler();
  if (size < rules.impl_min) {
    uint64_t within = offset & (rules.impl_min - 1);
    return handler.mmio_read(offset - within, rules.impl_min) >> within * 8 & ones(size);
  }
  unsigned step = std::min<unsigned>(size, rules.impl_max);
  uint64_t value = 0;
  for (unsigned done = 0; done < size; done += step)
    value |= (handler.mmio_read(offset + done, step) & ones(step)) << done * 8;
  return value;
}

void write_implemented(MemoryRegion& region, uint64_t offset, uint64_t value, unsigned size) {
  const AccessRules& rules = region.rules();
  MmioHandler& handler = *region.handler();
  if (size < rules.impl_min) {
    uint64_t within = offset & (rules.impl_min - 1);
    uint64_t mask = ones(size) << within * 8;
    uint64_t wide = handler.mmio_read(offset - within, rules.impl_min) & ~mask;
    handler.mmio_write(offset - within, wide | (value << within * 8 & mask), rules.impl_min);
    return;
  }
  unsigned step = std::min<unsigned>(size, rules.impl_max);
  for (unsigned done = 0; done < size; done += step)
    handler.mmio_write(offset + done, value >> done * 8 & ones(step), step);
}

/// Rings the doorbell that lies there, where the accelerator has not done it: the write is then done with.
bool ring_doorbell(const MemoryRegion& region, uint64_t offset, uint64_t value, unsigned size) {
  for (const MemoryRegion::IoEvent& event : region.ioevents()) {
    if (event.offset != offset || (event.size != 0 && event.size != size)) continue;
    if (event.match_data && event.data != value) continue;
    const uint64_t one = 1;
    return ::write(event.fd, &one, sizeof one) == sizeof one;
  }
  return false;
}

/// One piece of an access to a device; `data` is little endian. The handler may change the topology, even
/// take the region away: nothing of it is touched afterwards.
MemResult access_io(const FlatRange& range, uint64_t offset, uint8_t* data, unsigned size, bool write) {
  MemoryRegion& region = *range.region;
  if (size < region.rules().valid_min) {
    log_guest_error("'", region.name(), "': ", write ? "write" : "read", " of ", size, " bytes at offset 0x",
                    hex(offset), " is not allowed");
    if (!write) std::memset(data, 0xff, size);
    return MemResult::kRefused;
  }
  uint64_t value = 0;
  if (write) {
    std::memcpy(&value, data, size);
    if (!region.ioevents().empty() && ring_doorbell(region, offset, value, size)) return MemResult::kOk;
    write_implemented(region, offset, value, size);
  } else {
    value = read_implemented(region, offset, size);
    std::memcpy(data, &value, size);
  }
  return MemResult::kOk;
}

/// Aligned accesses of a machine word are seen whole by the guest's processors, and by devices' threads in
/// the order in which they were made.
template <class T>
void copy_word(uint8_t* to, const uint8_t* from) {
  auto value = __atomic_load_n(reinterpret_cast<const T*>(from), __ATOMIC_ACQUIRE);
  __atomic_store_n(reinterpret_cast<T*>(to), value, __ATOMIC_RELEASE);
}

void copy_ram(uint8_t* to, const uint8_t* from, uint64_t bytes) {
  auto either = reinterpret_cast<uintptr_t>(to) | reinterpret_cast<uintptr_t>(from);
  if ((either & (bytes - 1)) == 0) {
    if (bytes == 8) return copy_word<uint64_t>(to, from);
    if (bytes == 4) return copy_word<uint32_t>(to, from);
    if (bytes == 2) return copy_word<uint16_t>(to, from);
  }
  std::memcpy(to, from, bytes);
}

struct Piece {
  uint64_t bytes;
  MemResult result;
};

Piece access_ram(const FlatRange& range, uint64_t into, uint8_t* data, uint64_t bytes, bool write) {
  uint64_t offset = range.region_offset + into;
  uint64_t n = std::min(bytes, range.size - into);
  if (!write) {
    copy_ram(data, range.ram->host() + offset, n);
    return {n, MemResult::kOk};
  }
  if (range.readonly) return {n, MemResult::kRefused};
  copy_ram(range.ram->host() + offset, data, n);
  if (range.ram->tracked()) range.ram->mark_dirty(offset, n);
  return {n, MemResult::kOk};
}

/// How many bytes from `addr` on belong to no range, at most `bytes`.
uint64_t gap_after(const FlatView& view, GuestAddr addr, uint64_t bytes) {
  auto next = std::upper_bound(view.ranges.begin(), view.ranges.end(), addr,
                               [](GuestAddr v, const FlatRange& r) { return v < r.start; });
  return next == view.ranges.end() ? bytes : std::min(bytes, next->start - addr);
}

bool needs_device(const FlatRange& range, bool write) {
  if (range.ram == nullptr) return true;
  // Only the region knows whether a write to ROM has a taker; looked up again under the lock.
  return write && range.readonly;
}

Piece access_device(const FlatRange& range, uint64_t into, uint8_t* data, uint64_t bytes, bool write) {
  if (range.ram != nullptr &&
      (range.region->kind() != MemoryRegion::Kind::kRom || range.region->handler() == nullptr))
    return access_ram(range, into, data, bytes, write);
  // A device decodes the address an access starts at and takes the whole of it, also where another region
  // covers the next byte: CONFIG_ADDRESS at port 0xcf8 is 32 bits wide around the reset register at 0xcf9.
  const uint64_t offset = range.region_offset + into;
  unsigned size = piece_size(range.region->rules(), offset, std::min(bytes, range.region->size() - offset));
  return {size, access_io(range, offset, data, size, write)};
}

Piece access_piece(const AddressSpace& space, GuestAddr addr, uint8_t* data, uint64_t bytes, bool write) {
  std::shared_ptr<const FlatView> view = space.view();
  const FlatRange* range = view->find(addr);
  std::unique_lock<MachineLock> lock;
  if (range != nullptr && needs_device(*range, write) && !range->lockless && !MachineLock::held()) {
    lock = std::unique_lock(machine_lock());
    view = space.view();  // the region may have gone while we waited
    range = view->find(addr);
  }
  if (range == nullptr) {
    uint64_t n = gap_after(*view, addr, bytes);
    if (!write) std::memset(data, 0xff, n);
    return {n, MemResult::kUnassigned};
  }
  uint64_t into = addr - range->start;
  return needs_device(*range, write) ? access_device(*range, into, data, bytes, write)
                                     : access_ram(*range, into, data, bytes, write);
}

}  // namespace

MemResult AddressSpace::access(GuestAddr addr, uint8_t* data, uint64_t bytes, bool write) {
  MemResult worst = MemResult::kOk;
  while (bytes != 0) {
    Piece piece = access_piece(*this, addr, data, bytes, write);
    worst = std::max(worst, piece.result);
    addr += piece.bytes;
    data += piece.bytes;
    bytes -= piece.bytes;
  }
  return worst;
}

MemResult AddressSpace::read(GuestAddr addr, void* out, uint64_t bytes) {
  return access(addr, static_cast<uint8_t*>(out), bytes, false);
}

MemResult AddressSpace::write(GuestAddr addr, const void* data, uint64_t bytes) {
  return access(addr, static_cast<uint8_t*>(const_cast<void*>(data)), bytes, true);  // only read from
}

uint64_t AddressSpace::load(GuestAddr addr, unsigned size) {
  alignas(8) uint8_t bytes[8] = {};
  access(addr, bytes, std::min(size, 8u), false);
  uint64_t value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

void AddressSpace::store(GuestAddr addr, uint64_t value, unsigned size) {
  alignas(8) uint8_t bytes[8];
  std::memcpy(bytes, &value, sizeof value);
  access(addr, bytes, std::min(size, 8u), true);
}

}  // namespace rhea
