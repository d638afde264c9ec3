// Words the whole block layer shares: byte ranges, permissions, roles of edges, open flags, limits.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace rhea {

class BlockDriverState;

/// Bytes [offset, offset + bytes) of a node.
struct ByteRange {
  constexpr ByteRange() = default;
  constexpr ByteRange(uint64_t o, uint64_t n) : offset(o), bytes(n) {}
  uint64_t offset = 0;
  uint64_t bytes = 0;
  uint64_t end() const { return offset + bytes; }
  friend bool operator==(const ByteRange&, const ByteRange&) = default;
};

/// No node is longer, so that offsets fit off_t with room for rounding.
inline constexpr uint64_t kMaxNodeBytes = INT64_MAX - 65535;
/// Sizes are reported in whole sectors.
inline constexpr uint64_t kSectorBytes = 512;

/// What a user of a node may do to it; the same values are the bit numbers of image locks.
namespace blk_perm {
inline constexpr uint32_t kConsistentRead = 1;  ///< reads see what was written last
inline constexpr uint32_t kWrite = 2;
inline constexpr uint32_t kWriteUnchanged = 4;  ///< writes that do not change what readers see
inline constexpr uint32_t kResize = 8;
inline constexpr uint32_t kAll = 15;
inline constexpr int kCount = 4;
}  // namespace blk_perm

/// What a user needs and what it lets others do at the same time.
struct PermPair {
  uint32_t perm = 0;
  uint32_t shared = blk_perm::kAll;
  friend bool operator==(const PermPair&, const PermPair&) = default;
};

/// "consistent read", "write", "write unchanged" or "resize" of bit number `bit` (0..3).
std::string_view perm_bit_name(int bit);
/// The names of all bits in `perm`, joined by ", ".
std::string perm_names(uint32_t perm);

/// What a child is to its parent; bits.
namespace child_role {
inline constexpr uint32_t kData = 1;      ///< holds guest-visible data
inline constexpr uint32_t kMetadata = 2;  ///< holds the parent's own tables
inline constexpr uint32_t kFiltered = 4;  ///< parent shows exactly this child's content
inline constexpr uint32_t kCow = 8;       ///< backing file: read where the parent has nothing
inline constexpr uint32_t kPrimary = 16;  ///< the child the parent stands for
inline constexpr uint32_t kImage = kData | kMetadata | kPrimary;
}  // namespace child_role

enum class DetectZeroes : uint8_t { kOff, kOn, kUnmap };
/// "off", "on" or "unmap".
std::string_view detect_zeroes_name(DetectZeroes d);

/// The engine of host files where their options name none.
enum class AioDefault : uint8_t { kThreads, kNative, kIoUring };

/// The resolved generic options of a node.
struct OpenFlags {
  bool read_only = false;
  bool auto_read_only = false;  ///< may become read-only where writing is not possible
  bool direct = false;          ///< bypass the host page cache
  bool no_flush = false;        ///< flush requests are ignored
  bool unmap = false;           ///< discard requests go down
  bool force_share = false;
  bool copy_on_read = false;
  bool protocol = false;   ///< a file name names storage, not an image inside storage
  bool probed = false;     ///< the format was guessed
  bool for_check = false;  ///< a damaged image is to be opened as it is
  DetectZeroes detect_zeroes = DetectZeroes::kOff;
  AioDefault aio = AioDefault::kThreads;
};

/// What requests a driver can take. Zero means no limit where a maximum is meant.
struct BlockLimits {
  uint32_t request_alignment = 1;  ///< offset and length of requests; a power of two
  uint32_t memory_alignment = 1;   ///< address and length of each piece; a power of two
  uint64_t max_transfer = 0;       ///< bytes in one request
  uint64_t max_pdiscard = 0;
  uint64_t max_pwrite_zeroes = 0;
  uint32_t pwrite_zeroes_alignment = 1;
  bool variable_length = false;  ///< the length may change under us (medium)
};

/// What is known about a run of bytes.
struct BlockStatus {
  uint64_t bytes = 0;       ///< length of the run, from the start asked for
  bool data = true;         ///< reading goes to storage
  bool zero = false;        ///< reads as zeroes
  bool allocated = true;    ///< this node answers for it; else what lies below its backing file does
  bool compressed = false;  ///< data is there, packed
  bool offset_valid = false;
  uint64_t host_offset = 0;
  BlockDriverState* host_node = nullptr;  ///< whose offset that is; null: the node asked
  bool may_be_hole = false;  ///< it has a place there, but perhaps was never written: that node knows
};

}  // namespace rhea
