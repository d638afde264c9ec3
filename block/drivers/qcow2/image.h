// Image: the tables of one qcow2 image and the rules by which they change.
//
// Everything that only looks at or changes tables in memory is a *step*: a plain function that runs with
// mutex_ held, from begin to end, and either does all of its work or says what it needs first (Need) and does
// nothing. co_step() runs a step, brings what it needs, and runs it again. So no lock is held while storage
// is waited for, and every change of the tables is all or nothing.
//
// Changed tables stay in memory until co_checkpoint() writes them, in an order that leaves after a crash at
// any point nothing worse than clusters that nobody refers to:
//
//   guest data, new tables > refcounts > refcount table > L2 tables > L1 table > (then) freed clusters'
//   refcounts
//
// with a flush at each ">" that has something on both sides. A cluster that lost its last reference can be
// used again only after the tables that referred to it are durable.
#pragma once

#include <atomic>
#include <mutex>
#include <string_view>
#include <unordered_map>

#include "block/drivers/qcow2/format.h"
#include "block/drivers/qcow2/table_cache.h"
#include "block/graph/block_driver_state.h"
#include "util/co_sync.h"

namespace rhea::qcow2 {

/// What a step lacks.
struct Need {
  enum class Kind : uint8_t {
    kLoad,               ///< a slice of a table
    kGrowRefcountTable,  ///< room for a refcount block
    kNewL2,              ///< an L2 table of its own under L1 entry `offset`
    kWait,               ///< somebody's write to the same clusters must end first
    kError,
    kCorrupt,  ///< an error that the image is to be marked for
  };
  Kind kind = Kind::kError;
  TableCache* cache = nullptr;
  uint64_t offset = 0;
  std::optional<Error> error;
  static Need failed(Error e) { return Need{Kind::kError, nullptr, 0, std::move(e)}; }
};
template <class T = void>
using Step = stdx::expected<T, Need>;

/// The value of a step, or returns what it needs from the enclosing step.
#define STEP(...)                                            \
  ({                                                         \
    auto rhea_step = (__VA_ARGS__);                          \
    if (!rhea_step) [[unlikely]]                             \
      return stdx::unexpected(std::move(rhea_step).error()); \
    std::move(rhea_step).value();                            \
  })

enum class ClusterKind : uint8_t { kUnallocated, kZero, kData, kCompressed };

/// A run of guest bytes of one kind.
struct Mapping {
  ClusterKind kind = ClusterKind::kUnallocated;
  uint64_t bytes = 0;      ///< of the run, from the place asked for
  bool allocated = false;  ///< clusters in the file belong to it (a zero run may have some)
  uint64_t host = 0;       ///< of the first byte, if allocated; data: contiguous for the whole run
  uint64_t entry = 0;      ///< kCompressed: the L2 entry
};

/// Part of a write while it is under way; lives in the frame of the request. Listed with the image so that
/// nobody else gives its clusters away or allocates the same ones meanwhile.
struct WritePlan {
  ByteRange guest;         ///< the part of the request that this plan covers
  uint64_t host = 0;       ///< where the first byte of `clusters` goes
  ByteRange clusters;      ///< whole clusters around `guest`
  ByteRange copied;        ///< what has to be written for `guest` to be: whole clusters or subclusters
  bool allocates = false;  ///< tables have to be changed once the data is there
  bool owns_host = false;  ///< the clusters in the file were allocated for this plan
  bool fresh = false;      ///< ...where the file has nothing yet: they read as zeroes
  WritePlan* next = nullptr;
  WritePlan* prev = nullptr;
  bool listed = false;
};

/// Options of the image that its user chooses at open.
struct ImageOptions {
  uint64_t l2_cache_bytes = 1u << 20;
  uint64_t refcount_cache_bytes = 256u << 10;
  uint32_t l2_slice_bytes = 4096;
  bool lazy_refcounts = false;
  bool discard_request = false, discard_snapshot = true, discard_other = false;
  uint32_t overlap_check = 0;  ///< bits (1 << Meta) of what is never to be overwritten by mistake
};

/// Why a cluster is given back; decides whether the file is told to discard it.
enum class FreeReason : uint8_t { kNever, kRequest, kSnapshot, kOther };

class Image {
 public:
  Image(const std::string& name, const BdrvChild& file, const BdrvChild& data)
      : name_(name), file_(file), data_(data) {}
  Image(const Image&) = delete;

  // --- Life. Main loop, nothing else in flight.
  CoResult<> co_open(Header header, const ImageOptions& options, bool writable);
  /// Writes everything that changed and clears the dirty bit.
  CoResult<> co_close();
  /// With lazy refcounts: brings those of the file up to date. Nothing else in flight.
  CoResult<> co_settle();
  /// Gets ready for other options: what they need to be on disk is. Nothing else in flight.
  CoResult<> co_prepare_options(const ImageOptions& options, bool writable);
  void set_options(const ImageOptions& options, bool writable);
  /// With lazy refcounts: marks the image, before the first allocation reaches it.
  CoResult<> co_before_linking();

  /// Changes only with nothing in flight, or under mutex(): there what names the refcount table, and what
  /// set_incompatible() sets.
  Header& header() { return header_; }
  const Header& header() const { return header_; }
  /// As it is now. Any thread.
  Header header_copy() {
    std::lock_guard lock(mutex_);
    return header_;
  }
  std::mutex& mutex() { return mutex_; }
  const ImageOptions& options() const { return options_; }
  bool writable() const { return writable_; }
  bool corrupt() const { return corrupt_; }
  uint64_t cluster_bytes() const { return uint64_t{1} << header_.cluster_bits; }
  uint64_t into_cluster(uint64_t at) const { return at & (cluster_bytes() - 1); }
  uint64_t cluster_floor(uint64_t at) const { return at & ~(cluster_bytes() - 1); }
  uint64_t cluster_ceil(uint64_t at) const { return cluster_floor(at + cluster_bytes() - 1); }
  std::vector<uint64_t>& l1() { return l1_; }
  const BdrvChild& file() const { return file_; }
  /// Where guest data lies: the external data file if there is one.
  const BdrvChild& data_child() const { return data_ ? data_ : file_; }

  /// Runs the step `f` until it needs nothing more. `f`: Step<T>(), called with mutex() held.
  template <class T, class F>
  CoResult<T> co_step(F& f) {
    for (;;) {
      Need need;
      {
        std::unique_lock lock(mutex_);
        Step<T> r = f();
        if constexpr (std::is_void_v<T>) {
          if (r) co_return Result<>();
        } else {
          if (r) co_return std::move(*r);
        }
        need = std::move(r).error();
        if (need.kind == Need::Kind::kWait) {
          auto wait = plans_done_.co_wait_unlocking(std::move(lock));
          co_await wait;
          continue;
        }
      }
      co_await or_return(co_await co_bring(std::move(need)));
    }
  }

  // --- Steps: looking.
  /// What the guest reads at `range`: the run at its start.
  Step<Mapping> map(ByteRange range);
  Step<uint64_t> refcount(uint64_t cluster);

  // --- Steps: writing data.
  /// Settles where the start of `range` goes, and lists the plan.
  Step<> plan_write(ByteRange range, WritePlan& plan);
  /// Enters what was written into the tables. The plan stays listed until end_plan().
  Step<> link(WritePlan& plan);
  /// With mutex() held: others may go on. `failed`: gives back what was allocated.
  void end_plan(WritePlan& plan, bool failed);
  /// Makes whole clusters (or subclusters) of `range` read as zeroes; `unmap`: and gives their space back.
  Step<uint64_t> zero(ByteRange range, bool unmap);
  /// Gives whole clusters of `range` back; returns how far it came. `full`: what is below shows through
  /// again.
  Step<uint64_t> discard(ByteRange range, bool full, bool has_backing, FreeReason reason);
  /// Room for `bytes` compressed bytes, maybe in a cluster that others have begun.
  Step<uint64_t> allocate_bytes(uint64_t bytes);
  Step<> link_compressed(uint64_t guest, uint64_t entry);

  /// Sets copied flags of the L2 table at `table` from entry `first` on as the refcounts are now, or will be
  /// when the references of `leaving`, another table for the same part of the disk (may be empty), are gone;
  /// returns the last entry it came to.
  Step<uint64_t> refresh_copied(uint64_t table, uint64_t first, const std::vector<uint64_t>& leaving);
  /// With mutex() held, nothing in flight and nothing dirty: the active tables are others now.
  void drop_l2_cache();

  // --- Steps: clusters.
  struct Run {
    uint64_t offset = 0;
    uint64_t clusters = 0;
    bool fresh = false;
  };
  /// 1 to `want` free clusters in a row, with one reference each.
  /// `what`: for messages.
  Step<Run> allocate(uint64_t want, std::string_view what = "data cluster");
  /// Exactly `clusters` in a row.
  Step<Run> allocate_contiguous(uint64_t clusters);
  /// One reference more or less for each cluster that [offset, offset + bytes) touches.
  Step<> add_reference(uint64_t offset, uint64_t bytes);
  Step<> drop_reference(uint64_t cluster, FreeReason reason);
  /// With mutex() held: drops a reference when the tables that hold it are durable.
  void free_later(uint64_t offset, uint64_t bytes, FreeReason reason);
  /// With mutex() held: drops all references of an L2 entry, later.
  void free_entry_later(uint64_t entry, FreeReason reason);

  // --- Writing tables.
  /// Writes everything that changed. `durable`: and waits until it, and all data written before, is on disk.
  CoResult<> co_checkpoint(bool durable);
  /// If much has piled up.
  CoResult<> co_relieve();
  CoResult<> co_write_header();
  CoResult<> co_write_header(const Header& header);
  CoResult<> co_grow_l1(uint64_t entries);
  /// Counts of 2^order bits. Nothing may be in flight.
  CoResult<> co_change_refcount_width(uint32_t order);
  /// Makes ordinary clusters of all that only a flag says is zero. Nothing may be in flight.
  CoResult<> co_expand_zero_clusters(bool has_backing);
  /// For whoever changed l1() under mutex().
  void l1_changed(uint64_t index) { l1_dirty_[index / kSectorEntries] = true; }
  /// An error that says the image is broken, and marks it so if it is open for writing.
  Need corruption(std::string what);
  CoResult<> co_flush_children();

  // --- Points where tests let requests fail or wait; "l2_load" and the like.
  bool hears_events() const { return file_.node().hears_debug_events(); }
  CoResult<> co_event(std::string_view event) {
    if (!hears_events()) [[likely]]
      co_return Result<>();
    co_return co_await file_.node().co_debug_event(event);
  }

  uint64_t snapshot_table_bytes = 0;  ///< of the table the header names, once it was read

  // --- What lies where, for the overlap check.
  enum class Meta : uint8_t {
    kHeader,
    kActiveL1,
    kActiveL2,
    kRefcountTable,
    kRefcountBlock,
    kSnapshotTable,
    kInactiveL1,
    kBitmapDirectory,
    kInactiveL2
  };
  void mark_meta(uint64_t offset, uint64_t bytes, Meta what);
  void unmark_meta(uint64_t offset, uint64_t bytes);

 private:
  friend class Checker;
  static constexpr size_t kSectorEntries = 512 / 8;
  struct L2Place {
    uint64_t slice_offset;  ///< in the file
    uint32_t index;         ///< in the slice
  };
  struct Free {
    uint64_t cluster;
    uint64_t count;
    FreeReason reason;
  };
  struct Batch;

  /// With mutex() held: tables or counts differ from the file's.
  bool has_changes() const;
  CoResult<> co_bring(Need need);
  CoResult<> co_load(TableCache& cache, uint64_t offset);
  CoResult<> co_new_l2(uint64_t l1_index);
  CoResult<> co_grow_refcount_table();
  CoResult<> co_mark_corrupt(std::string what);
  CoResult<> co_mark_snapshots();
  CoResult<uint64_t> co_without_zero_flag(uint64_t entry, uint64_t owners, bool has_backing,
                                          std::vector<uint64_t>& gone);
  Need bad_allocation(uint64_t offset, std::string_view what);
  CoResult<> co_set_dirty_bit();
  CoResult<> co_write_table(uint64_t offset, const std::vector<uint64_t>& entries, std::vector<bool> sectors);
  CoResult<> co_write_slices(const std::vector<TableCache::Written>& slices, uint32_t slice_bytes);
  CoResult<> co_write_batch(const Batch& batch);
  CoResult<> co_apply_frees(std::vector<Free> frees);
  CoResult<> co_read_entries(uint64_t offset, std::vector<uint64_t>& entries);
  Result<> check_tables();

  /// Before the first change a step makes to a slice: it will be possible.
  static Step<> reserve(TableCache& cache, TableSlice& slice) {
    if (cache.reserve(slice)) return {};
    return stdx::unexpected(Need::failed(Error(ENOMEM, "Cannot allocate memory for a table")));
  }
  Step<uint64_t> l2_table(uint64_t guest);
  Step<TableSlice*> l2_slice(uint64_t guest, uint32_t& index);
  Step<TableSlice*> l2_slice_for_write(uint64_t guest, uint32_t& index);
  uint64_t entry_at(const TableSlice& slice, uint32_t index) const;
  uint64_t bitmap_at(const TableSlice& slice, uint32_t index) const;
  void set_entry(TableSlice& slice, uint32_t index, uint64_t entry, uint64_t bitmap);
  uint32_t entries_per_slice() const { return l2_.slice_bytes() / header_.l2_entry_bytes(); }
  /// What one (sub)cluster is; `sub`: its number in the cluster.
  Step<Mapping> classify(uint64_t guest, uint64_t entry, uint64_t bitmap, uint32_t sub);
  std::string l2_place(uint64_t guest) const;
  Step<> check_entry(uint64_t guest, uint64_t entry);
  bool conflicts(uint64_t first, uint64_t end, bool any) const;
  void list_plan(WritePlan& plan);
  bool writes_in_place(uint64_t entry, uint64_t bitmap, uint32_t first_sub, uint32_t last_sub) const;
  Step<> plan_one_in_place(ByteRange range, WritePlan& plan, uint64_t entry);
  Step<> plan_allocation(ByteRange range, WritePlan& plan, TableSlice& slice, uint32_t index);

  Step<TableSlice*> refcount_slice(uint64_t cluster, uint64_t& index, bool& absent);
  Step<> ensure_refcount_block(uint64_t cluster);
  uint64_t refcounts_per_slice() const {
    return (uint64_t{refcounts_.slice_bytes()} * 8) >> header_.refcount_order;
  }
  Step<> claim(uint64_t first, uint64_t count);
  const char* meta_name(uint64_t cluster) const;

  const std::string& name_;
  const BdrvChild& file_;
  const BdrvChild& data_;
  std::mutex mutex_;  ///< guards all that follows
  Header header_;
  ImageOptions options_;
  bool writable_ = false;
  std::atomic<bool> corrupt_{false};  ///< looked at without the mutex too
  bool refcounts_lazy_ = false;       ///< the dirty bit is set: refcounts need not be written before close
  std::vector<uint64_t> l1_;
  std::vector<bool> l1_dirty_;  ///< per 512 bytes
  std::vector<uint64_t> refcount_table_;
  std::vector<bool> refcount_table_dirty_;
  TableCache l2_, refcounts_;
  std::unordered_map<uint64_t, Meta> meta_;  ///< by cluster number
  uint64_t free_hint_ = 0;                   ///< no free cluster lies before this one
  uint64_t fresh_from_ = 0;                  ///< the file has nothing from this byte on
  uint64_t open_bytes_ = 0;                  ///< where the next compressed bytes may go; 0: nowhere
  std::vector<Free> frees_;
  WritePlan* plans_ = nullptr;
  CoQueue plans_done_;
  bool corruption_reported_ = false;

  static constexpr size_t kLoadLocks = 16;
  CoMutex load_locks_[kLoadLocks];
  CoMutex checkpoint_lock_;  ///< taken before table_lock_
  CoMutex table_lock_;       ///< new L2 tables, refcount table growth, the header
};

}  // namespace rhea::qcow2
