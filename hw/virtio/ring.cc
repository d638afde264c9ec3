#include "hw/virtio/ring.h"

#include <cstring>

namespace rhea {

void RingElement::clear() {
  pieces_.clear();
  places_.clear();
  addresses_.clear();
  out_count_ = 0;
  out_bytes_ = in_bytes_ = 0;
  slots = 1;
}

Result<> RingElement::add(GuestAddr addr, uint64_t bytes, bool device_writes) {
  if (bytes == 0) return fail(EINVAL, "virtio: zero sized buffers are not allowed");
  if (!device_writes && in_bytes_ != 0)
    return fail(EINVAL, "virtio: a buffer to be read follows one to be written");
  while (bytes > 0) {
    if (pieces_.size() == kMaxPieces) return fail(EINVAL, "virtio: too many pieces in a descriptor chain");
    const GuestPlace place = view_.find(addr, bytes, device_writes);
    if (place.host == nullptr) return fail(EFAULT, "virtio: buffer at 0x", hex(addr), " is not in memory");
    pieces_.push_back({place.host, place.bytes});
    places_.push_back(place);
    addresses_.push_back(addr);
    (device_writes ? in_bytes_ : out_bytes_) += place.bytes;
    addr += place.bytes;
    bytes -= place.bytes;
  }
  if (!device_writes) out_count_ = pieces_.size();
  return {};
}

Result<> RingElement::restore(GuestView view, std::span<const GuestPiece> pieces, size_t out_count) {
  clear();
  view_ = std::move(view);
  for (size_t i = 0; i < pieces.size(); ++i) TRY(add(pieces[i].addr, pieces[i].bytes, i >= out_count));
  return {};
}

void RingElement::mark_written(uint64_t bytes) const {
  for (size_t i = out_count_; i < places_.size() && bytes > 0; ++i) {
    const uint64_t n = std::min(bytes, places_[i].bytes);
    places_[i].mark_written(0, n);
    bytes -= n;
  }
}

Result<> VirtRing::refresh() {
  GuestView now(space_.view());
  if (now == view_) return {};
  constexpr const char* kNames[] = {"descriptor area", "driver area", "device area"};
  const std::array<uint64_t, 3> bytes = area_bytes();
  const GuestAddr at[] = {layout_.descriptors, layout_.driver, layout_.device};
  std::array<GuestPlace, 3> places;
  for (size_t i = 0; i < places.size(); ++i) {
    places[i] = now.find_whole(at[i], bytes[i], true);
    if (places[i].host == nullptr)
      return fail(EFAULT, "virtio: the ring's ", kNames[i], " at 0x", hex(at[i]), " is not in memory");
    if ((reinterpret_cast<uintptr_t>(places[i].host) & 3) != 0 && i != kDriver)
      return fail(EINVAL, "virtio: the ring's ", kNames[i], " at 0x", hex(at[i]), " is not aligned");
    if ((reinterpret_cast<uintptr_t>(places[i].host) & 1) != 0)
      return fail(EINVAL, "virtio: the ring's ", kNames[i], " at 0x", hex(at[i]), " is not aligned");
  }
  areas_ = places;
  view_ = std::move(now);
  return {};
}

Result<bool> VirtRing::pop(RingElement& element) {
  TRY(refresh());
  element.clear();
  element.view_ = view_;
  return take(element);
}

VirtRing::Descriptor VirtRing::copy_descriptor(const uint8_t* from) {
  Descriptor d;
  std::memcpy(&d, from, sizeof d);
  return d;
}

Result<GuestPlace> VirtRing::find_table(const Descriptor& d) const {
  if (!layout_.indirect) return fail(EINVAL, "virtio: indirect descriptors were not negotiated");
  if (d.len == 0 || d.len % sizeof(Descriptor) != 0)
    return fail(EINVAL, "virtio: invalid size ", d.len, " of an indirect table");
  const GuestPlace table = view_.find_whole(d.addr, d.len, false);
  if (table.host == nullptr)
    return fail(EFAULT, "virtio: indirect table at 0x", hex(d.addr), " is not in memory");
  return table;
}

}  // namespace rhea
