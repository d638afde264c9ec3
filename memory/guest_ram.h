// RAM blocks: host memory that guests see, with dirty bitmaps.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "util/result.h"
#include "util/unique_fd.h"

namespace rhea {

/// Who wants to know which pages changed.
enum class DirtyClient : uint8_t { kMigration, kDisplay };
inline constexpr int kDirtyClients = 2;
inline constexpr uint64_t kPageSize = 4096;

/// Where a block's memory comes from.
struct RamBacking {
  UniqueFd fd;  ///< a file, mapped from its beginning; none: anonymous memory
  bool shared = false, readonly = false;
  bool reserve = true;              ///< swap space, or huge pages, are reserved
  uint64_t align = 0;               ///< of the mapping; 0: as suits its size
  uint64_t page_bytes = kPageSize;  ///< the host's pages it consists of
};

/// A stretch of host memory backing guest RAM or ROM. `id` names it in migration streams ("pc.ram",
/// "pc.bios").
class RamBlock {
 public:
  /// Anonymous memory of `size` bytes (a multiple of 4096), not yet touched.
  static Result<std::shared_ptr<RamBlock>> create(std::string id, uint64_t size);
  /// Memory of `size` bytes (a multiple of the backing's pages) from `backing`.
  static Result<std::shared_ptr<RamBlock>> map(std::string id, uint64_t size, RamBacking backing);
  ~RamBlock();
  RamBlock(const RamBlock&) = delete;

  const std::string& id() const { return id_; }
  uint8_t* host() const { return host_; }
  uint64_t size() const { return size_; }
  uint64_t page_bytes() const { return backing_.page_bytes; }
  /// The file behind it, -1 if there is none.
  int fd() const { return backing_.fd.get(); }
  bool shared() const { return backing_.shared; }

  /// Bytes [offset, offset + bytes) were written by us (not by the guest: the accelerator's log tells those).
  /// Any thread.
  void mark_dirty(uint64_t offset, uint64_t bytes);
  /// The same for each bit set in `words`: bit 0 of the first word is the page at `offset`. What the
  /// accelerator's log says comes in this way.
  void mark_dirty_pages(uint64_t offset, std::span<const uint64_t> words);
  /// Starts or ends tracking for a client; off costs nothing on the write path.
  void set_tracking(DirtyClient client, bool on);
  bool tracking(DirtyClient client) const {
    return (tracked_.load(std::memory_order_relaxed) >> static_cast<int>(client)) & 1;
  }
  /// Whether the page at `offset` was marked since the last clear; `test_and_clear` clears it.
  bool test_and_clear(DirtyClient client, uint64_t offset);
  /// True while any client tracks.
  bool tracked() const { return tracked_.load(std::memory_order_relaxed) != 0; }

 private:
  RamBlock(std::string id, uint8_t* host, uint64_t size, RamBacking backing)
      : id_(std::move(id)), host_(host), size_(size), backing_(std::move(backing)) {}
  std::string id_;
  uint8_t* host_;
  uint64_t size_;
  RamBacking backing_;
  std::atomic<uint32_t> tracked_{0};
  std::array<std::unique_ptr<std::atomic<uint64_t>[]>, kDirtyClients> bitmaps_;
};

}  // namespace rhea
