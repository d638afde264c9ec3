// A dirty bitmap of an image in memory: which parts were written since some moment.
#pragma once

#include <atomic>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <span>
#include <string>

#include "block/graph/types.h"
#include "util/result.h"

namespace rhea::qcow2 {

/// One bit per `granularity` bytes. Bits on any thread; the rest is the main loop's.
class ImageBitmap {
 public:
  static constexpr uint64_t kMinGranularity = 512;
  static constexpr uint64_t kMaxGranularity = uint64_t{1} << 31;
  static constexpr size_t kMaxName = 1023;
  static constexpr uint64_t kMaxStoredBytes = uint64_t{1} << 29;

  /// Clear and enabled. EFBIG for more bits than an image can keep, ENOMEM.
  static Result<std::unique_ptr<ImageBitmap>> create(std::string name, uint64_t bytes, uint64_t granularity);

  const std::string& name() const { return name_; }
  uint64_t bytes() const { return bytes_; }
  uint64_t granularity() const { return granularity_; }
  bool enabled() const { return enabled_; }
  void set_enabled(bool on) {
    enabled_ = on;
    modified_ = true;
  }
  /// Something of it is other than what was loaded.
  bool modified() const { return modified_; }
  void set_unmodified() { modified_ = false; }
  /// The image was not closed in order: its bits are not known, and nothing can be done but to remove it.
  bool inconsistent() const { return inconsistent_; }
  void set_inconsistent() { inconsistent_ = true; }

  /// A write: recorded if enabled.
  void mark(ByteRange range);
  void clear_all();
  /// Adds what `other`, of the same disk size, has; the granularities may differ.
  void merge(const ImageBitmap& other);
  /// The disk has another size; what is new is clear.
  Result<> resize(uint64_t bytes);
  bool is_set(uint64_t offset) const;

  // --- Storing. Bit n is bit n % 8 of byte n / 8.
  size_t stored_bytes() const { return static_cast<size_t>((bits() + 7) / 8); }
  /// From bit `first` on, a multiple of 8; whole bytes. Those behind the end are zero.
  void store(uint64_t first, std::span<uint8_t> out) const;
  void load(uint64_t first, std::span<const uint8_t> in);

 private:
  struct Free {
    void operator()(uint8_t* p) const { std::free(p); }
  };
  using Memory = std::unique_ptr<uint8_t, Free>;
  ImageBitmap(std::string name, uint64_t bytes, uint64_t granularity, Memory memory)
      : name_(std::move(name)), bytes_(bytes), granularity_(granularity), memory_(std::move(memory)) {}
  uint64_t bits() const { return (bytes_ + granularity_ - 1) / granularity_; }
  static Result<Memory> allocate(uint64_t bytes, uint64_t granularity);
  void set(ByteRange range);

  const std::string name_;
  uint64_t bytes_;
  const uint64_t granularity_;
  std::atomic<bool> enabled_{true}, modified_{true};
  bool inconsistent_ = false;
  mutable std::mutex mutex_;  // guards what follows
  Memory memory_;
};

}  // namespace rhea::qcow2
