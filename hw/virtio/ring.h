// The rings of virtio, as the device sees them. Spec: Virtual I/O Device (VIRTIO) 1.2, sections 2.6 to 2.8.
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "hw/virtio/guest_view.h"
#include "util/result.h"

namespace rhea {

/// Where a ring lies and how it is used, as the driver has set it up and negotiated. Guest-controlled.
struct RingLayout {
  uint16_t size = 0;             ///< entries; a power of two in split rings
  GuestAddr descriptors = 0;     ///< descriptor table, or the packed ring
  GuestAddr driver = 0;          ///< available ring, or the driver's event suppression
  GuestAddr device = 0;          ///< used ring, or the device's event suppression
  bool indirect = false;         ///< VIRTIO_F_INDIRECT_DESC
  bool event_index = false;      ///< VIRTIO_F_EVENT_IDX
  bool notify_on_empty = false;  ///< VIRTIO_F_NOTIFY_ON_EMPTY, of legacy drivers
};

/// How far device and driver have come. All of it travels with the machine.
struct RingPosition {
  uint16_t next = 0;      ///< split: index in the available ring; packed: slot that comes next
  uint16_t used = 0;      ///< split: index in the used ring; packed: slot to be used next
  bool next_wrap = true;  ///< packed only
  bool used_wrap = true;
  uint16_t signalled = 0;  ///< `used` when the driver was last asked whether to be interrupted
  bool signalled_valid = false;
  uint32_t in_use = 0;  ///< elements popped and not pushed (packed: their slots)
};

/// One buffer of the driver's: what the device reads, then what it writes. Its memory stays while this lives.
/// Meant to be used again, so that its lists need no allocation in the steady state.
class RingElement {
 public:
  static constexpr size_t kMaxPieces = 1024;

  uint16_t id = 0;     ///< head descriptor, or buffer id
  uint16_t slots = 1;  ///< how many the packed ring gives back
  std::span<const iovec> out() const { return {pieces_.data(), out_count_}; }
  std::span<const iovec> in() const { return std::span(pieces_).subspan(out_count_); }
  uint64_t out_bytes() const { return out_bytes_; }
  uint64_t in_bytes() const { return in_bytes_; }
  /// Marks the first `bytes` of what the device writes as written.
  void mark_written(uint64_t bytes) const;

  /// A piece as the guest knows it.
  struct GuestPiece {
    GuestAddr addr;
    uint64_t bytes;
  };
  size_t out_pieces() const { return out_count_; }
  size_t piece_count() const { return pieces_.size(); }
  GuestPiece guest_piece(size_t i) const { return {addresses_[i], pieces_[i].iov_len}; }
  /// Made anew in `view` of what a stream says (hostile): first `out_count` pieces to be read, then those to
  /// be written. Fails where pop() would have.
  Result<> restore(GuestView view, std::span<const GuestPiece> pieces, size_t out_count);

 private:
  friend class VirtRing;
  void clear();
  Result<> add(GuestAddr addr, uint64_t bytes, bool device_writes);
  GuestView view_;
  std::vector<iovec> pieces_;
  std::vector<GuestPlace> places_;    ///< of pieces_
  std::vector<GuestAddr> addresses_;  ///< of pieces_
  size_t out_count_ = 0;
  uint64_t out_bytes_ = 0, in_bytes_ = 0;
};

/// A ring being served. Whatever the driver writes into it gives at worst an error: then the device needs a
/// reset. One thread at a time.
class VirtRing {
 public:
  /// `space` holds the ring and the buffers.
  static std::unique_ptr<VirtRing> create_split(AddressSpace& space, RingLayout layout,
                                                RingPosition position);
  static std::unique_ptr<VirtRing> create_packed(AddressSpace& space, RingLayout layout,
                                                 RingPosition position);
  virtual ~VirtRing() = default;

  /// Takes the next buffer; false if there is none.
  Result<bool> pop(RingElement& element);
  /// Puts the last one back, as if it had not been popped. Split and packed.
  virtual void unpop(const RingElement& element) = 0;
  /// Gives a buffer back with `written` bytes in what the device writes.
  virtual Result<> push(const RingElement& element, uint32_t written) = 0;
  /// True if pop() would find something (or an error).
  virtual bool has_work() = 0;
  /// Whether the driver is to notify of new buffers. After turning it on look at has_work() once more.
  virtual Result<> set_notifications(bool on) = 0;
  /// Whether the driver wants an interrupt for what was pushed since it was asked last.
  virtual bool take_interrupt() = 0;

  const RingPosition& position() const { return position_; }
  const RingLayout& layout() const { return layout_; }

 protected:
  static constexpr uint16_t kNext = 1, kWrite = 2, kIndirect = 4;
  /// 2.7.5: the same twelve bytes begin both kinds; `a` is flags (split) or id (packed), `b` next or flags.
  struct Descriptor {
    uint64_t addr;
    uint32_t len;
    uint16_t a, b;
  };
  static_assert(sizeof(Descriptor) == 16);

  VirtRing(AddressSpace& space, RingLayout layout, RingPosition position)
      : layout_(layout), position_(position), space_(space) {}
  /// Takes the newest snapshot and finds the three areas in it: "virtio: the … is not in memory".
  Result<> refresh();
  virtual std::array<uint64_t, 3> area_bytes() const = 0;
  virtual Result<bool> take(RingElement& element) = 0;
  Result<> add_piece(RingElement& element, GuestAddr addr, uint32_t bytes, bool device_writes) {
    return element.add(addr, bytes, device_writes);
  }
  /// An indirect table: 2.7.5.3.1, 2.8.7.
  Result<GuestPlace> find_table(const Descriptor& d) const;

  enum Area : uint8_t { kDescriptors, kDriver, kDevice };
  template <class T>
  T load(Area area, uint64_t offset) const {
    return __atomic_load_n(reinterpret_cast<const T*>(areas_[area].host + offset), __ATOMIC_ACQUIRE);
  }
  template <class T>
  void store(Area area, uint64_t offset, T value) {
    __atomic_store_n(reinterpret_cast<T*>(areas_[area].host + offset), value, __ATOMIC_RELEASE);
    areas_[area].mark_written(offset, sizeof value);
  }
  static Descriptor copy_descriptor(const uint8_t* from);

  RingLayout layout_;
  RingPosition position_;
  std::array<GuestPlace, 3> areas_;
  bool notifications_ = true;

 private:
  AddressSpace& space_;
  GuestView view_;
};

/// 2.7.10.1: whether passing `event` on the way from `before` to `now` asks for a notification.
constexpr bool ring_event_passed(uint16_t event, uint16_t now, uint16_t before) {
  return static_cast<uint16_t>(now - event - 1) < static_cast<uint16_t>(now - before);
}

}  // namespace rhea
