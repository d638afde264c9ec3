// Guest physical memory and port space: regions, address spaces, the flat view.
//
// Regions form a tree (containers with subregions at offsets, overlapping by priority; aliases show part of
// another region). An AddressSpace renders its tree into a flat view: disjoint ranges sorted by address,
// which accesses look up and listeners (the accelerator) follow. Topology changes happen under the machine
// lock; readers on any thread take a snapshot.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "memory/guest_ram.h"
#include "util/result.h"
#include "util/shared_snapshot.h"

namespace rhea {

using GuestAddr = uint64_t;

/// A region that behaves: what a device does when the guest reads or writes it. Machine lock held (see
/// AccessRules::lockless).
class MmioHandler {
 public:
  virtual ~MmioHandler() = default;
  /// `offset` within the region, `size` 1, 2, 4 or 8 as AccessRules::impl allow; the value is little endian
  /// in the low bytes.
  virtual uint64_t mmio_read(uint64_t offset, unsigned size) = 0;
  virtual void mmio_write(uint64_t offset, uint64_t value, unsigned size) = 0;
};

/// An MmioHandler made of a device's member functions: `MmioOf<Pit, &Pit::io_read, &Pit::io_write>
/// io{*this};`
template <class D, uint64_t (D::*Read)(uint64_t, unsigned), void (D::*Write)(uint64_t, uint64_t, unsigned)>
class MmioOf final : public MmioHandler {
 public:
  explicit MmioOf(D& device) : device_(device) {}
  uint64_t mmio_read(uint64_t offset, unsigned size) override { return (device_.*Read)(offset, size); }
  void mmio_write(uint64_t offset, uint64_t value, unsigned size) override {
    (device_.*Write)(offset, value, size);
  }

 private:
  D& device_;
};

/// Which accesses a handler gets. One wider than `valid_max`, or unaligned, is split as a bus does it; one
/// narrower than `valid_min` reads as all ones and is not written (a guest error is logged). One that is
/// valid but outside `impl` is split, or widened: a narrow read picks bytes of the aligned wide one, a narrow
/// write is merged into what a wide read gives.
struct AccessRules {
  uint8_t valid_min = 1, valid_max = 8;
  uint8_t impl_min = 1, impl_max = 8;
  bool unaligned = false;  ///< unaligned accesses reach the handler as they are
  bool lockless = false;   ///< the handler is safe without the machine lock
};

class MemoryRegion {
 public:
  enum class Kind { kContainer, kIo, kRam, kRom, kAlias };
  static constexpr uint64_t kWholeSpace = UINT64_MAX;  ///< size of a region that covers 2^64 bytes

  /// Sizes are in bytes, at most kWholeSpace. Names show up in `info mtree`.
  static std::unique_ptr<MemoryRegion> container(std::string name, uint64_t size);
  /// `handler` must outlive the region.
  static std::unique_ptr<MemoryRegion> io(std::string name, uint64_t size, MmioHandler& handler,
                                          AccessRules rules = {});
  static std::unique_ptr<MemoryRegion> ram(std::string name, std::shared_ptr<RamBlock> block);
  /// Guest writes go to `on_write` if given, else they are dropped.
  static std::unique_ptr<MemoryRegion> rom(std::string name, std::shared_ptr<RamBlock> block,
                                           MmioHandler* on_write = nullptr);
  /// Shows [offset, offset + size) of `target`, which must outlive it.
  static std::unique_ptr<MemoryRegion> alias(std::string name, MemoryRegion& target, uint64_t offset,
                                             uint64_t size);
  ~MemoryRegion();
  MemoryRegion(const MemoryRegion&) = delete;

  const std::string& name() const { return name_; }
  Kind kind() const { return kind_; }
  uint64_t size() const { return size_; }
  RamBlock* ram_block() const { return ram_.get(); }
  const std::shared_ptr<RamBlock>& shared_block() const { return ram_; }
  MmioHandler* handler() const { return handler_; }
  const AccessRules& rules() const { return rules_; }
  MemoryRegion* container() const { return container_; }
  uint64_t offset_in_container() const { return offset_; }
  int priority() const { return priority_; }
  bool enabled() const { return enabled_; }
  bool readonly() const { return readonly_; }
  MemoryRegion* alias_target() const { return alias_; }
  uint64_t alias_offset() const { return alias_offset_; }
  const std::vector<MemoryRegion*>& subregions() const { return subregions_; }  ///< highest priority first

  /// Places `sub` (borrowed; it removes itself when it dies) at `offset`; higher priority wins where regions
  /// overlap.
  void add_subregion(uint64_t offset, MemoryRegion& sub, int priority = 0);
  void remove_subregion(MemoryRegion& sub);
  void set_enabled(bool on);
  void set_offset(uint64_t offset);
  void set_size(uint64_t size);
  void set_alias_offset(uint64_t offset);
  /// RAM and aliases of RAM: guest writes are refused (dropped).
  void set_readonly(bool on);

  // ioeventfd: a guest write of `size` bytes (0: any size) at `offset` signals `fd` instead of coming to the
  // handler; without an exit where the accelerator can. With `match_data`, only of that value.
  struct IoEvent {
    uint64_t offset;
    unsigned size;
    bool match_data;
    uint64_t data;
    int fd;
    friend bool operator==(const IoEvent&, const IoEvent&) = default;
  };
  void add_ioevent(const IoEvent& event);
  void remove_ioevent(const IoEvent& event);
  const std::vector<IoEvent>& ioevents() const { return ioevents_; }

 private:
  MemoryRegion(std::string name, Kind kind, uint64_t size);
  std::string name_;
  Kind kind_;
  uint64_t size_;
  std::shared_ptr<RamBlock> ram_;
  MmioHandler* handler_ = nullptr;
  AccessRules rules_;
  MemoryRegion* alias_ = nullptr;
  uint64_t alias_offset_ = 0;
  MemoryRegion* container_ = nullptr;
  uint64_t offset_ = 0;
  int priority_ = 0;
  bool enabled_ = true;
  bool readonly_ = false;
  std::vector<MemoryRegion*> subregions_;
  std::vector<IoEvent> ioevents_;
};

/// Topology changes between construction and destruction become visible at once, at the end. Nests. Machine
/// lock. Only the death of a region that is shown takes effect at once.
class MemoryTransaction {
 public:
  MemoryTransaction();
  ~MemoryTransaction();
  MemoryTransaction(const MemoryTransaction&) = delete;
};

/// One range of a flat view: [start, start + size) shows `region` from `region_offset` on. In a snapshot read
/// without the machine lock, `region` may be gone already: only `ram` may be followed then.
struct FlatRange {
  GuestAddr start;
  uint64_t size;
  MemoryRegion* region;
  uint64_t region_offset;
  bool readonly;
  RamBlock* ram = nullptr;  ///< what backs it, for RAM and ROM; alive as long as the view
  bool lockless = false;
  friend bool operator==(const FlatRange&, const FlatRange&) = default;
};

struct FlatView {
  std::vector<FlatRange> ranges;  ///< sorted, disjoint
  /// Keeps the memory that readers of an old snapshot still touch.
  std::vector<std::shared_ptr<RamBlock>> blocks;
  /// The range holding `addr`, null if none.
  const FlatRange* find(GuestAddr addr) const;
};

/// Told what changes in an address space. Machine lock; removals come before additions.
class MemoryListener {
 public:
  virtual ~MemoryListener() = default;
  virtual void begin() {}
  virtual void range_removed(const FlatRange&) {}
  virtual void range_added(const FlatRange&) {}
  virtual void ioevent_removed(GuestAddr, const MemoryRegion::IoEvent&) {}
  virtual void ioevent_added(GuestAddr, const MemoryRegion::IoEvent&) {}
  virtual void commit() {}
};

enum class MemResult : uint8_t { kOk, kUnassigned, kRefused };

class AddressSpace {
 public:
  /// Shows the tree under `root`, which must outlive it.
  AddressSpace(std::string name, MemoryRegion& root);
  ~AddressSpace();
  AddressSpace(const AddressSpace&) = delete;

  const std::string& name() const { return name_; }
  MemoryRegion& root() const { return root_; }
  std::shared_ptr<const FlatView> view() const;

  /// Copies out of or into guest memory; I/O regions are accessed in pieces as their rules allow. Unassigned
  /// bytes read as ones. Takes the machine lock itself for I/O regions if the caller does not hold it. Any
  /// thread.
  MemResult read(GuestAddr addr, void* out, uint64_t bytes);
  MemResult write(GuestAddr addr, const void* data, uint64_t bytes);
  /// One access of 1, 2, 4 or 8 bytes, little endian; in RAM it is not torn if aligned.
  uint64_t load(GuestAddr addr, unsigned size);
  void store(GuestAddr addr, uint64_t value, unsigned size);

  /// Host pointer to guest RAM at `addr` for at most `bytes`; `*mapped` gets how many are contiguous. Null if
  /// that is no RAM (or is ROM and `for_write`). Valid while the view stands; the caller holds the snapshot
  /// `view()` or the machine lock. After writing through it, call RamBlock::mark_dirty
  /// (mapped_block/mapped_offset tell where).
  struct Mapping {
    uint8_t* host = nullptr;
    uint64_t bytes = 0;
    RamBlock* block = nullptr;
    uint64_t offset = 0;
  };
  Mapping map(GuestAddr addr, uint64_t bytes, bool for_write);

  void add_listener(MemoryListener& listener);  ///< told of the present ranges at once
  void remove_listener(MemoryListener& listener);

  /// All address spaces, for `info mtree`.
  static const std::vector<AddressSpace*>& all();

 private:
  friend class MemoryTransaction;
  friend void memory_update_spaces();
  void update();
  MemResult access(GuestAddr addr, uint8_t* data, uint64_t bytes, bool write);
  std::string name_;
  MemoryRegion& root_;
  SharedSnapshot<const FlatView> view_;
  struct BoundEvent {
    GuestAddr addr;
    MemoryRegion::IoEvent event;
    friend bool operator==(const BoundEvent&, const BoundEvent&) = default;
  };
  static std::vector<BoundEvent> bind_events(const FlatView& view);
  void notify(const FlatView& before, const FlatView& after, const std::vector<BoundEvent>& events);
  std::vector<BoundEvent> events_;
  std::vector<MemoryListener*> listeners_;
};

/// The guest's physical address space and its port space ("memory", "I/O").
MemoryRegion& system_memory();
MemoryRegion& system_io();
AddressSpace& memory_space();
AddressSpace& io_space();

/// `info mtree` (with `flat`: `info mtree -f`).
std::string memory_tree_text(bool flat);

}  // namespace rhea
