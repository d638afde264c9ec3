// BlockDriverState: a node of the block graph; each driver is a subclass. BdrvChild: the owning edge to it.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "block/graph/dirty_bitmap.h"
#include "block/graph/image_ops.h"
#include "block/graph/options.h"
#include "block/graph/range_lock.h"
#include "block/graph/types.h"
#include "util/coroutine.h"
#include "util/iov.h"

namespace rhea {

class BlockBackend;
class BlockDriverState;
class BlockGraph;
class ThrottleMember;

/// What stands behind a BdrvChild; the child's list of users points at it. Main loop.
struct BlockEdge : std::enable_shared_from_this<BlockEdge> {
  BlockDriverState* child = nullptr;
  BlockDriverState* parent_node = nullptr;  ///< null if the parent is a backend
  BlockBackend* parent_backend = nullptr;   ///< null if it is a node, or a backend that is gone already
  std::string name;                         ///< "file", "backing", "root"
  uint32_t role = 0;
  int frozen = 0;  ///< how many operations need it to stay where it is
  PermPair perms;  ///< changed by set_perms(): requests look at it in their own loops
  void set_perms(PermPair p) {
    __atomic_store_n(&perms.perm, p.perm, __ATOMIC_RELAXED);
    perms.shared = p.shared;
  }
  /// Whether writes may make the node longer. Any thread.
  bool may_grow() const { return (__atomic_load_n(&perms.perm, __ATOMIC_RELAXED) & blk_perm::kResize) != 0; }
  /// "node 'x'", "block device 'y'" or "an unnamed block device".
  std::string parent_description() const;
};

/// The owning edge from a parent to a node: move-only, keeps the node alive, carries role and permissions.
/// Made by BlockGraph only. Main loop, except the requests, which any loop may make.
class BdrvChild {
 public:
  BdrvChild() = default;
  explicit BdrvChild(std::shared_ptr<BlockEdge> edge) : edge_(std::move(edge)) {}
  BdrvChild(BdrvChild&&) noexcept = default;
  BdrvChild& operator=(BdrvChild&& other) noexcept {
    reset();
    edge_ = std::move(other.edge_);
    return *this;
  }
  ~BdrvChild() { reset(); }

  explicit operator bool() const { return edge_ != nullptr; }
  BlockDriverState& node() const { return *edge_->child; }
  const std::string& name() const { return edge_->name; }
  uint32_t role() const { return edge_->role; }
  PermPair perms() const { return edge_->perms; }
  const std::shared_ptr<BlockEdge>& edge() const { return edge_; }
  /// Lets go of the node. One that nobody holds any more is closed soon (BlockGraph::co_reap).
  void reset();

  // Requests through the generic layer (block/graph/io.h).
  CoResult<> co_preadv(ByteRange range, IoVector iov) const;
  CoResult<> co_pwritev(ByteRange range, IoVector iov) const;
  CoResult<> co_pwrite_zeroes(ByteRange range, bool may_unmap) const;
  CoResult<> co_pdiscard(ByteRange range) const;
  CoResult<> co_flush() const;
  CoResult<BlockStatus> co_block_status(ByteRange range) const;

 private:
  std::shared_ptr<BlockEdge> edge_;
};

struct BlockDriver;

/// What a driver gets to open its node with. Lives as long as co_open().
struct OpenContext {
  BlockGraph& graph;
  OptionTree& options;          ///< what is the driver's to consume
  const std::string& filename;  ///< protocol drivers: the name; else empty
  BlockDriverState& node;       ///< the one being opened

  /// Opens and attaches a child beyond file() and backing(), as the options `name` or below `name` say; where
  /// they are silent, the image or storage `filename`, a name from inside an image. Without either: an empty
  /// child. The driver puts it into other_children_.
  CoResult<BdrvChild> co_open_child(std::string name, uint32_t role, std::string filename = {});
};

/// The backing file as the image itself names it; empty: none.
struct BackingName {
  std::string file;    ///< relative names are relative to the image
  std::string format;  ///< the driver; empty: unknown
};

/// A node. The driver operations are called by the generic layer only, with ranges inside the node, aligned
/// to limits() and within their maxima; several at a time. Where BlockDriver::any_loop says so any loop may
/// call them, else it is the main loop.
class BlockDriverState {
 public:
  BlockDriverState() = default;
  BlockDriverState(const BlockDriverState&) = delete;
  BlockDriverState& operator=(const BlockDriverState&) = delete;
  virtual ~BlockDriverState();

  /// Unique; made by the graph ("#block123") if the user gave none.
  const std::string& name() const { return name_; }
  const BlockDriver& driver() const { return *driver_; }
  BlockGraph& graph() const { return *graph_; }
  const OpenFlags& flags() const { return flags_; }
  bool read_only() const { return flags_.read_only; }
  const BlockLimits& limits() const { return limits_; }
  /// Length in bytes, whole sectors. Any thread.
  uint64_t total_bytes() const { return total_bytes_.load(std::memory_order_relaxed); }
  /// What people know the image by: the file name, or "" where there is none.
  const std::string& filename() const { return filename_; }
  /// What opens the same image again, for names of nodes that a file name cannot express.
  Json full_options() const;
  /// The options the user gave for this node (children's excluded unless references).
  const OptionTree& explicit_options() const { return explicit_options_; }
  /// With what is inherited and defaulted; each knows its origin.
  const OptionTree& effective_options() const { return effective_options_; }
  const BdrvChild& file() const { return file_; }
  const BdrvChild& backing() const { return backing_; }
  /// What the image says its backing file is, used or not.
  const BackingName& backing_name() const { return backing_name_; }
  /// All edges to children. Main loop.
  std::vector<const BdrvChild*> children() const;
  /// Who uses this node, oldest first. Main loop.
  const std::vector<BlockEdge*>& parents() const { return parents_; }
  /// What all users together need, and what all of them allow.
  PermPair cumulative_perms() const;
  bool monitor_owned() const { return monitor_owned_; }
  /// True if a drive, device or job uses it directly.
  bool has_backend() const;
  /// A filter that an operation put in by itself: query-block shows what is below it.
  bool implicit() const { return implicit_; }
  void set_implicit() { implicit_ = true; }
  /// False while it is being opened.
  bool is_open() const { return opened_; }

  // --- Driver operations: life.
  /// What file() is to this node; asked before co_open().
  virtual uint32_t file_role(const OptionTree& options) const {
    (void)options;
    return child_role::kImage;
  }
  /// Opens the node; file() and backing() are there if the driver has them. Called once, on the main loop.
  virtual CoResult<> co_open(OpenContext& ctx) = 0;
  /// Releases what needs waiting for; nothing is in flight. Called once, if co_open() succeeded.
  virtual CoResult<> co_close();
  /// Fills in the limits after opening; those of file() are there already.
  virtual void refresh_limits(BlockLimits&) const {}
  /// The name for filename(); by default that of file(). "": a name is made of full_options().
  virtual std::string exact_filename() const;

  // --- Driver operations: permissions. The default passes the parents' needs to a filtered child, and for a
  // child that holds an image asks for what an image needs.
  virtual PermPair child_perms(const BlockEdge& child, PermPair cumulative) const;
  /// Prepares for new cumulative permissions (image locks, reopening); nothing else changes yet.
  virtual CoResult<> co_check_perm(PermPair perms);
  /// After co_check_perm(): makes it so, or forgets it. `needs_drain`: commit only with no request in flight.
  /// Neither can fail.
  virtual CoResult<> co_commit_perm();
  virtual CoResult<> co_abort_perm();
  virtual bool perm_commit_needs_drain() const { return false; }

  // --- Driver operations: other options while it is open (block/graph/reopen.h).
  /// Takes what it can change out of `options` and gets ready; requests see nothing of it yet. `flags`: the
  /// generic ones as they will be. Nothing is in flight.
  virtual CoResult<> co_reopen_prepare(OptionTree& options, const OpenFlags& flags);
  /// After co_reopen_prepare(): makes it so; flags() are the new ones. Cannot fail.
  /// Takes those of `old` away that are void because of what is given now.
  virtual void drop_overridden(const OptionTree& given, OptionTree& old) const {
    (void)given;
    (void)old;
  }
  virtual void reopen_commit() {}
  virtual void reopen_abort() {}

  // --- Driver operations: requests.
  virtual CoResult<> co_preadv(ByteRange range, IoVector iov) = 0;
  virtual CoResult<> co_pwritev(ByteRange range, IoVector iov);
  /// ENOTSUP: the generic layer writes zeroes from memory.
  virtual CoResult<> co_pwrite_zeroes(ByteRange range, bool may_unmap);
  /// Zeroes for a part of one unit of pwrite_zeroes_alignment. True if the driver has seen to it; false: the
  /// generic layer writes them from memory.
  virtual CoResult<bool> co_pwrite_zeroes_part(ByteRange range);
  /// Whether zeroes at `range` take no longer than a few pages of data, as far as is known. Any thread.
  virtual bool zeroes_fast(ByteRange range) const;
  /// ENOTSUP: nothing happens.
  virtual CoResult<> co_pdiscard(ByteRange range);
  /// Writes whole units of the image's own size, packed. ENOTSUP: the format knows no such thing.
  virtual CoResult<> co_pwrite_compressed(ByteRange range, IoVector iov);
  /// Makes completed writes durable. By default that of file().
  virtual CoResult<> co_flush();
  virtual CoResult<BlockStatus> co_block_status(ByteRange range);
  /// Bytes; need not be whole sectors.
  virtual CoResult<uint64_t> co_getlength() = 0;
  /// What is new reads as zeroes.
  virtual CoResult<> co_truncate(uint64_t bytes, Preallocation how);
  /// Bytes the image takes on its storage; ENOTSUP where nobody knows.
  virtual CoResult<uint64_t> co_allocated_size();
  /// Forgets what is cached: another host has had the image.
  virtual CoResult<> co_invalidate_cache();

  // --- Driver operations: the image as a whole. Main loop, nothing else in flight but for co_details().
  virtual CoResult<ImageDetails> co_details();
  /// ENOTSUP: the format has nothing to check.
  virtual CoResult<CheckResult> co_check(CheckOptions options);
  /// Whether images of this kind can hold internal snapshots at all.
  virtual bool supports_snapshots() const { return false; }
  /// `snapshot` has name, dates and machine state; the id is the format's to give.
  virtual CoResult<> co_snapshot_create(ImageSnapshot snapshot);
  virtual CoResult<> co_snapshot_apply(const std::string& id);
  /// Shows a snapshot's content for reading, as long as the node is open; the image must be open for reading
  /// only.
  virtual CoResult<> co_snapshot_load(const std::string& id);
  virtual CoResult<> co_snapshot_delete(const std::string& id);
  /// Machine state beside the disk, from byte `at` on. What was never written reads as zeroes.
  virtual CoResult<> co_load_vmstate(uint64_t at, IoVector iov);
  virtual CoResult<> co_save_vmstate(uint64_t at, IoVector iov);
  /// Forgets all of its own content: the backing file shows through everywhere.
  virtual CoResult<> co_make_empty();
  /// Changes what the image says about its backing file; empty: none.
  virtual CoResult<> co_change_backing_name(BackingName name);
  /// Changes what the image itself is, as the driver's amend_options say; takes those it knows out of
  /// `options`.
  virtual CoResult<> co_amend(OptionTree& options);

  /// Whether images of this kind can keep dirty bitmaps at all.
  virtual bool supports_persistent_bitmaps() const { return false; }
  /// Whether a persistent bitmap of that name and granularity can be kept in the image from now on.
  virtual CoResult<> co_check_new_bitmap(const std::string& name, uint64_t granularity);
  /// Removes what is stored of a persistent bitmap; fine if nothing is.
  virtual CoResult<> co_remove_stored_bitmap(const std::string& name);

  // --- Driver operations: points where tests let requests fail or wait (blkdebug). Events have QEMU's names:
  // "l2_load", "flush_to_disk" …
  /// Whether co_debug_event() does anything: whoever has an event to tell asks first.
  virtual bool hears_debug_events() const { return false; }
  virtual CoResult<> co_debug_event(std::string_view event);
  /// A breakpoint at `event` for one request, known by `tag`. ENOTSUP where nobody hears events.
  virtual Result<> debug_break(std::string_view event, std::string_view tag);
  virtual Result<> debug_remove_break(std::string_view tag);
  virtual Result<> debug_resume(std::string_view tag);
  virtual bool debug_is_suspended(std::string_view tag);

  // --- Driver operations: removable media behind the node.
  virtual bool is_inserted() const { return !file_ || file_.node().is_inserted(); }

  // --- Driver operations: limits and statistics.
  /// What limits requests of this node; null: nothing does.
  virtual ThrottleMember* throttle_member() { return nullptr; }
  /// Discards that reached the storage, where a driver counts them.
  struct DiscardStats {
    uint64_t done = 0, failed = 0, bytes = 0;
  };
  virtual std::optional<DiscardStats> discard_stats() const { return std::nullopt; }
  /// The end of the farthest write that was begun. Any thread.
  uint64_t highest_write_end() const { return highest_write_end_.load(std::memory_order_relaxed); }
  void raise_highest_write_end(uint64_t end) {
    uint64_t seen = highest_write_end();
    while (seen < end && !highest_write_end_.compare_exchange_weak(seen, end, std::memory_order_relaxed)) {
    }
  }

  /// A write behind the end makes the node longer, for users that may resize it.
  virtual bool grows_by_writing() const { return false; }
  /// It now reaches to `bytes` at least. Any thread.
  void raise_length(uint64_t bytes);
  /// Asks the driver for the length anew. Main loop or a request of the driver's own.
  CoResult<> co_refresh_length();
  /// Whether anything was written since it was opened: closing flushes then. Any thread.
  bool written() const { return written_.load(std::memory_order_relaxed); }
  void set_written() { written_.store(true, std::memory_order_relaxed); }
  /// Whether what is read from the backing file is written here too: then writes are ordered with such reads.
  bool copies_on_read() const { return copy_on_read_.load(std::memory_order_relaxed) > 0; }
  /// Somebody above reads that way, or no more. Main loop.
  void add_copy_on_read(int change) { copy_on_read_.fetch_add(change, std::memory_order_relaxed); }
  /// A write, a discard or zeroes for `range` have ended, well or not. Any thread.
  void write_ended(ByteRange range) {
    if (watched_.load(std::memory_order_acquire)) [[unlikely]]
      tell_of_write(range);
    uint64_t highest = highest_written_.load(std::memory_order_relaxed);
    while (highest < range.end() &&
           !highest_written_.compare_exchange_weak(highest, range.end(), std::memory_order_relaxed))
      continue;
  }
  /// Which parts were written; a format driver adds those of its image in co_open() and stores the persistent
  /// ones. Main loop.
  const DirtyBitmapSet& bitmaps() const { return bitmaps_; }
  void add_bitmap(std::shared_ptr<DirtyBitmap> bitmap);
  void remove_bitmap(const DirtyBitmap& bitmap);
  /// The end of the last byte written since it was opened.
  uint64_t highest_written() const { return highest_written_.load(std::memory_order_relaxed); }
  /// The offset a write behind which is reported once (BlockGraph::write_threshold_exceeded); 0: none.
  uint64_t write_threshold() const { return write_threshold_.load(std::memory_order_relaxed); }
  void set_write_threshold(uint64_t bytes);
  /// Orders overlapping writes where one reads, changes and writes back a larger unit.
  RangeLock& write_ranges() { return write_ranges_; }

 protected:
  /// The node has this length now. Nothing is in flight.
  void set_length(uint64_t bytes) {
    total_bytes_.store((bytes + kSectorBytes - 1) / kSectorBytes * kSectorBytes, std::memory_order_relaxed);
  }

  OpenFlags flags_;
  BdrvChild file_;
  BdrvChild backing_;
  BackingName backing_name_;               ///< set by co_open() of a driver that supports backing files
  std::vector<BdrvChild> other_children_;  ///< what a driver has beyond these two

 private:
  friend class BdrvChild;
  friend class BlockGraph;
  friend class GraphEdit;
  friend class NodeOpener;
  friend class NodeRef;
  friend class PermTransaction;
  friend class Reopener;
  void tell_of_write(ByteRange range);
  void update_watched();
  BlockGraph* graph_ = nullptr;
  const BlockDriver* driver_ = nullptr;
  std::string name_;
  std::string filename_;
  OptionTree explicit_options_;
  OptionTree effective_options_;
  BlockLimits limits_;
  std::atomic<uint64_t> total_bytes_{0};
  std::atomic<bool> written_{false};
  std::atomic<uint64_t> highest_write_end_{0};
  std::atomic<int> copy_on_read_{0};
  RangeLock write_ranges_;
  DirtyBitmapSet bitmaps_;
  std::atomic<bool> watched_{false};  ///< there are bitmaps or a threshold
  std::atomic<uint64_t> highest_written_{0}, write_threshold_{0};
  std::vector<BlockEdge*> parents_;
  int refs_ = 0;
  bool monitor_owned_ = false;
  bool implicit_ = false;
  bool opened_ = false;
  bool dying_ = false;
};

/// Keeps a node alive without being a user of it. Copyable. Main loop.
class NodeRef {
 public:
  NodeRef() = default;
  explicit NodeRef(BlockDriverState& node) : node_(&node) { ++node.refs_; }
  NodeRef(const NodeRef& o) : node_(o.node_) {
    if (node_ != nullptr) ++node_->refs_;
  }
  NodeRef(NodeRef&& o) noexcept : node_(std::exchange(o.node_, nullptr)) {}
  NodeRef& operator=(NodeRef o) noexcept {
    std::swap(node_, o.node_);
    return *this;
  }
  ~NodeRef() { reset(); }
  void reset();
  explicit operator bool() const { return node_ != nullptr; }
  BlockDriverState& operator*() const { return *node_; }
  BlockDriverState* operator->() const { return node_; }
  BlockDriverState* get() const { return node_; }

 private:
  BlockDriverState* node_ = nullptr;
};

/// What the graph knows of a driver before there is a node of it.
struct BlockDriver {
  std::string_view name;
  bool is_protocol = false;     ///< stores bytes itself; else it reads them from file()
  bool is_filter = false;       ///< shows its child's bytes unchanged
  bool needs_filename = false;  ///< protocol drivers
  bool supports_backing = false;
  bool can_compress = false;  ///< co_pwrite_compressed() does something
  /// Requests may come from several loops at once. Those of a backend that reaches a node for which that is
  /// not so are made in the main loop, wherever they come from.
  bool any_loop = false;
  /// "nbd" of "nbd:host:port"; empty: none.
  std::string_view protocol_name = {};
  std::array<std::string_view, 2> other_protocol_names = {};
  bool speaks(std::string_view protocol) const {
    return protocol == protocol_name || (!protocol.empty() && (protocol == other_protocol_names[0] ||
                                                               protocol == other_protocol_names[1]));
  }
  /// How sure it is that an image with this beginning is its own: 0 (not) to 100.
  int (*probe)(std::span<const uint8_t> head) = nullptr;
  /// The same for a file name that names a host device; protocol drivers.
  int (*probe_device)(const std::string& filename) = nullptr;
  /// Splits a file name into options, which it adds to `options`.
  Result<> (*parse_filename)(const std::string& filename, OptionTree& options) = nullptr;
  std::unique_ptr<BlockDriverState> (*make)() = nullptr;
  /// What co_create() takes, in the order people see it; empty: images of this kind cannot be made.
  std::span<const CreateOption> create_options = {};
  /// What co_amend() takes; empty: images of this kind cannot be changed so.
  std::span<const CreateOption> amend_options = {};
  /// Makes an image; takes its options out of `options`.
  CoResult<> (*co_create)(BlockGraph& graph, const std::string& filename, OptionTree& options) = nullptr;
  /// Makes an image in a node there is (blockdev-create); `options` are those of the driver's branch of
  /// BlockdevCreateOptions. Null: it cannot.
  CoResult<> (*co_blockdev_create)(BlockGraph& graph, OptionTree& options) = nullptr;
};

}  // namespace rhea
