#include "hw/pci/msix.h"

#include <bit>

#include "util/byteorder.h"

namespace rhea {

namespace {

constexpr uint32_t kPageBytes = 4096;
constexpr uint8_t kControl = 2, kTable = 4, kPending = 8;  // in the capability
enum Word : uint8_t { kAddress, kUpperAddress, kData, kVectorControl };

/// Table first, pending bits in the upper half of a page if the table leaves it free.
uint32_t pending_offset(uint32_t table_bytes) {
  return std::max(table_bytes, kPageBytes / 2);
}

}  // namespace

Msix::Msix(PciDevice& owner, int bar, uint16_t vectors)
    : owner_(owner),
      vectors_(vectors),
      pending_offset_(pending_offset(vectors * kEntryBytes)),
      table_(size_t{vectors} * 4),
      pending_((size_t{vectors} + 31) / 32 + 1) {
  const auto bytes = static_cast<uint32_t>(pending_offset_ + (size_t{vectors} + 63) / 64 * 8);
  owner.register_bar(
      bar, false,
      MemoryRegion::io(str_cat(owner.type().name, "-msix"), std::bit_ceil(std::max(bytes, kPageBytes)), io_,
                       {.valid_min = 4, .valid_max = 8, .impl_min = 4, .impl_max = 4}));
  capability_ = owner.add_capability(kCapability, 12);
  uint8_t* config = owner.config() + capability_;
  store_le<uint16_t>(config + kControl, static_cast<uint16_t>(vectors - 1));
  store_le<uint32_t>(config + kTable, static_cast<uint32_t>(bar));
  store_le<uint32_t>(config + kPending, pending_offset_ | static_cast<uint32_t>(bar));
  store_le<uint16_t>(owner.write_mask() + capability_ + kControl, kEnable | kMaskAll);
  reset();
}

uint16_t Msix::control() const {
  return load_le<uint16_t>(owner_.config() + capability_ + kControl);
}

bool Msix::masked(uint16_t vector) const {
  return (control() & kMaskAll) != 0 || (table_[4u * vector + kVectorControl] & kMasked) != 0;
}

void Msix::send(uint16_t vector) {
  const uint32_t* entry = &table_[4u * vector];
  if (!owner_.bus_master()) return;
  memory_space().store(uint64_t{entry[kUpperAddress]} << 32 | entry[kAddress], entry[kData], 4);
}

std::optional<Msix::Message> Msix::message(uint16_t vector) const {
  if (vector >= vectors_ || !enabled() || masked(vector) || !owner_.bus_master()) return std::nullopt;
  const uint32_t* entry = &table_[4u * vector];
  return Message{uint64_t{entry[kUpperAddress]} << 32 | entry[kAddress], entry[kData]};
}

void Msix::notify(uint16_t vector) {
  if (vector >= vectors_ || !enabled()) return;
  if (masked(vector))
    pending_[vector / 32] |= 1u << vector % 32;
  else
    send(vector);
}

void Msix::clear_pending(uint16_t vector) {
  if (vector < vectors_) pending_[vector / 32] &= ~(1u << vector % 32);
}

void Msix::send_unmasked() {
  if (!enabled() || (control() & kMaskAll) != 0) return;
  for (uint16_t vector = 0; vector < vectors_; ++vector) {
    if ((pending_[vector / 32] >> vector % 32 & 1) == 0 || masked(vector)) continue;
    clear_pending(vector);
    send(vector);
  }
}

void Msix::config_changed(unsigned offset, unsigned size) {
  const bool control = offset < capability_ + 4 && capability_ + kControl < offset + size;
  if (control) send_unmasked();
  if (control || (offset < pci::kCommand + 2 && pci::kCommand < offset + size)) changed();
}

void Msix::save(StateWriter& out) const {
  for (const uint32_t word : table_)
    for (int shift = 0; shift < 32; shift += 8) out.put_u8(static_cast<uint8_t>(word >> shift));
  for (size_t byte = 0; byte < (size_t{vectors_} + 7) / 8; ++byte)
    out.put_u8(static_cast<uint8_t>(pending_[byte / 4] >> byte % 4 * 8));
}

/// What is pending and not masked any more is sent by config_changed() of the owner or the guest's next
/// write.
void Msix::load(StateReader& in) {
  reset();
  for (size_t i = 0; i < table_.size(); ++i) {
    uint32_t word = 0;
    for (int shift = 0; shift < 32; shift += 8) word |= uint32_t{in.get_u8()} << shift;
    table_[i] = word & word_mask(i);
  }
  for (size_t byte = 0; byte < (size_t{vectors_} + 7) / 8; ++byte)
    pending_[byte / 4] |= uint32_t{in.get_u8()} << byte % 4 * 8;
  if (vectors_ % 32 != 0) pending_[vectors_ / 32] &= (1u << vectors_ % 32) - 1;
  changed();
}

/// Bits of a word of the table that can be set.
uint32_t Msix::word_mask(size_t word) {
  return word % 4 == kVectorControl ? kMasked : word % 4 == kAddress ? ~3u : ~0u;
}

void Msix::reset() {
  table_.assign(table_.size(), 0);
  pending_.assign(pending_.size(), 0);
  for (size_t vector = 0; vector < vectors_; ++vector) table_[4 * vector + kVectorControl] = kMasked;
  changed();
}

uint64_t Msix::table_read(uint64_t offset, unsigned) {
  if (offset / 4 < table_.size()) return table_[offset / 4];
  const uint64_t bit_word = (offset - pending_offset_) / 4;
  return offset >= pending_offset_ && bit_word < pending_.size() ? pending_[bit_word] : 0;
}

/// Pending bits are the function's alone.
void Msix::table_write(uint64_t offset, uint64_t value, unsigned) {
  const uint64_t word = offset / 4;
  if (word >= table_.size()) return;
  const bool is_control = word % 4 == kVectorControl;
  table_[word] = static_cast<uint32_t>(value) & word_mask(word);
  if (is_control) send_unmasked();
  changed();
}

}  // namespace rhea
