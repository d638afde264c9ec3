// DirtyBitmap: which parts of a node were written since some moment. DirtyBitmapSet: those of one node.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "block/graph/types.h"
#include "util/result.h"

namespace rhea {

/// One bit per `granularity` bytes. Offsets and lengths are bytes; what is set or cleared is widened to whole
/// units. Bits may be looked at and changed on any thread; the rest is the main loop's.
class DirtyBitmap {
 public:
  static constexpr uint64_t kMinGranularity = 512;
  static constexpr uint64_t kMaxGranularity = uint64_t{1} << 31;
  static constexpr size_t kMaxName = 1023;

  /// Clear and enabled. `name`: empty for those of jobs, which nobody finds. ENOMEM for one too large.
  static Result<std::shared_ptr<DirtyBitmap>> create(std::string name, uint64_t bytes, uint64_t granularity);
  DirtyBitmap(const DirtyBitmap&) = delete;
  ~DirtyBitmap();

  const std::string& name() const { return name_; }
  uint64_t granularity() const { return granularity_; }
  uint64_t bytes() const { return bytes_; }
  uint64_t bits() const { return (bytes_ + granularity_ - 1) / granularity_; }

  // --- State as clients see it.
  bool enabled() const { return enabled_; }
  void set_enabled(bool on) {
    if (enabled_.exchange(on) != on) modified_ = true;
  }
  /// Something of it is other than what was loaded or stored.
  bool modified() const { return modified_; }
  void set_unmodified() { modified_ = false; }
  /// Kept in the image when it is closed, if the format can.
  bool persistent() const { return persistent_; }
  void set_persistent(bool on) { persistent_ = on; }
  /// Loaded from an image that was not closed in order: nothing can be done with it but remove it.
  bool inconsistent() const { return inconsistent_; }
  void set_inconsistent() { inconsistent_ = true; }
  /// Belongs to an image open for reading: what is stored stays as it is.
  bool read_only() const { return read_only_; }
  void set_read_only(bool on) { read_only_ = on; }
  /// In use by an operation: others leave it alone.
  bool busy() const { return busy_ || frozen(); }
  void set_busy(bool on) { busy_ = on; }
  /// Whether writes are recorded now, in it or beside it while it is frozen.
  bool recording() const { return enabled_ || frozen(); }

  // --- Bits.
  void set(ByteRange range);
  void clear(ByteRange range);
  void set_all();
  void clear_all();
  bool is_set(uint64_t offset) const;
  /// Bytes marked, the last unit counted as far as it is inside.
  uint64_t dirty_bytes() const;
  /// The first marked unit at or behind `offset`.
  std::optional<uint64_t> next_dirty(uint64_t offset) const;
  /// The first run of marked bytes in [from, to), at most `max_bytes` long (0: any length).
  std::optional<ByteRange> next_area(uint64_t from, uint64_t to, uint64_t max_bytes = 0) const;
  /// A write has happened: recorded if enabled.
  void mark(ByteRange range);
  /// Adds what `other` has; the granularities may differ.
  void merge(const DirtyBitmap& other);
  /// The node has a new length; what is new is clear. ENOMEM: as before.
  Result<> resize(uint64_t bytes);
  /// Exchanges the bits of two bitmaps of one shape.
  void swap_bits(DirtyBitmap& other);

  // --- Backups: while it is frozen, writes are recorded beside it.
  Result<> freeze();
  bool frozen() const { return successor_ != nullptr; }
  /// `keep`: its bits stay and those recorded meanwhile come to them; else only the latter remain.
  void thaw(bool keep);

  // --- Storing. Bit n is bit n % 8 of byte n / 8.
  /// Bytes that hold all bits.
  size_t stored_bytes() const { return static_cast<size_t>((bits() + 7) / 8); }
  /// Reads or sets bits from `first` on (a multiple of 8), whole bytes; those behind the end are zero.
  void store(uint64_t first, std::span<uint8_t> out) const;
  void load(uint64_t first, std::span<const uint8_t> in);
  /// Lower-case SHA-256 of the bits in whole words of eight bytes.
  std::string sha256() const;

 private:
  struct Free {
    void operator()(uint64_t* p) const { std::free(p); }
  };
  using Words = std::unique_ptr<uint64_t, Free>;
  DirtyBitmap(std::string name, uint64_t bytes, uint64_t granularity, Words words)
      : name_(std::move(name)), bytes_(bytes), granularity_(granularity), words_(std::move(words)) {}
  static Words allocate(uint64_t bits);
  static uint64_t word_count(uint64_t bits) { return bits / 64 + 1; }
  void change(ByteRange range, bool value);
  void change_bits(uint64_t first, uint64_t last, bool value);
  std::optional<uint64_t> next_bit(uint64_t from, uint64_t to, bool value) const;
  void trim();

  const std::string name_;
  uint64_t bytes_;
  const uint64_t granularity_;
  std::atomic<bool> enabled_{true}, modified_{true};
  bool persistent_ = false, inconsistent_ = false, read_only_ = false, busy_ = false;
  std::shared_ptr<DirtyBitmap> successor_;
  mutable std::mutex mutex_;  // guards what follows
  Words words_;
  uint64_t count_ = 0;
};

/// The bitmaps of one node. Finding and changing on the main loop, with no request in flight where one comes
/// or goes; mark() on any thread.
class DirtyBitmapSet {
 public:
  const std::vector<std::shared_ptr<DirtyBitmap>>& all() const { return all_; }
  bool empty() const { return all_.empty(); }
  /// By its name; null if there is none or `name` is empty.
  DirtyBitmap* find(std::string_view name) const;
  void add(std::shared_ptr<DirtyBitmap> bitmap);
  void remove(const DirtyBitmap& bitmap);
  /// A write to the node has ended.
  void mark(ByteRange range);
  /// The node has a new length.
  void resize(uint64_t bytes);

 private:
  std::mutex mutex_;  // guards all_ against mark()
  std::vector<std::shared_ptr<DirtyBitmap>> all_;
};

}  // namespace rhea
