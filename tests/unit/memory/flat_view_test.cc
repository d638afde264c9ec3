#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <map>
#include <random>

#include "memory/memory.h"

namespace rhea {
namespace {

struct NullHandler final : MmioHandler {
  uint64_t mmio_read(uint64_t, unsigned) override { return 0; }
  void mmio_write(uint64_t, uint64_t, unsigned) override {}
};

NullHandler null_handler;

std::unique_ptr<MemoryRegion> io(const char* name, uint64_t size) {
  return MemoryRegion::io(name, size, null_handler);
}

std::unique_ptr<MemoryRegion> ram(const char* name, uint64_t size) {
  return MemoryRegion::ram(name, RamBlock::create(name, size).value());
}

std::string shown(const AddressSpace& space) {
  std::string out;
  for (const FlatRange& r : space.view()->ranges)
    str_append(out, hex(r.start), "+", hex(r.size), " ", r.region->name(), "@", hex(r.region_offset),
               r.readonly ? " ro" : "", "; ");
  return out;
}

TEST(FlatView, HigherPriorityCutsLowerInTwo) {
  auto root = MemoryRegion::container("root", 0x10000);
  auto low = io("low", 0x1000), high = io("high", 0x100);
  root->add_subregion(0x1000, *low);
  root->add_subregion(0x1800, *high, 1);
  AddressSpace space("s", *root);
  EXPECT_EQ(shown(space), "1000+800 low@0; 1800+100 high@0; 1900+700 low@900; ");
}

TEST(FlatView, AmongEqualsTheLatestWins) {
  auto root = MemoryRegion::container("root", 0x10000);
  auto first = io("first", 0x1000), second = io("second", 0x1000);
  root->add_subregion(0, *first);
  root->add_subregion(0x800, *second);
  AddressSpace space("s", *root);
  EXPECT_EQ(shown(space), "0+800 first@0; 800+1000 second@0; ");
}

TEST(FlatView, ContainerClipsAndNegativePriorityFillsHoles) {
  auto root = MemoryRegion::container("root", 0x2000);
  auto back = io("back", 0x10000), box = MemoryRegion::container("box", 0x100), wide = io("wide", 0x1000);
  root->add_subregion(0, *back, -1);
  root->add_subregion(0x1000, *box);
  box->add_subregion(0x80, *wide);
  AddressSpace space("s", *root);
  EXPECT_EQ(shown(space), "0+1080 back@0; 1080+80 wide@0; 1100+f00 back@1100; ");
}

TEST(FlatView, AliasesShowPartsAndMergeWhereContiguous) {
  auto root = MemoryRegion::container("root", MemoryRegion::kWholeSpace);
  auto memory = ram("ram", 0x8000);
  auto below = MemoryRegion::alias("below", *memory, 0, 0x4000);
  auto next = MemoryRegion::alias("next", *memory, 0x4000, 0x1000);
  auto high = MemoryRegion::alias("high", *memory, 0x5000, 0x3000);
  root->add_subregion(0, *below);
  root->add_subregion(0x4000, *next);
  root->add_subregion(uint64_t{1} << 32, *high);
  AddressSpace space("s", *root);
  EXPECT_EQ(shown(space), "0+5000 ram@0; 100000000+3000 ram@5000; ");
  next->set_readonly(true);
  EXPECT_EQ(shown(space), "0+4000 ram@0; 4000+1000 ram@4000 ro; 100000000+3000 ram@5000; ");
  high->set_alias_offset(0);
  next->set_enabled(false);
  EXPECT_EQ(shown(space), "0+4000 ram@0; 100000000+3000 ram@0; ");
}

TEST(FlatView, WholeSpaceRegionsAndTheLastPage) {
  auto root = MemoryRegion::container("root", MemoryRegion::kWholeSpace);
  auto all = io("all", MemoryRegion::kWholeSpace), last = io("last", 0x1000);
  root->add_subregion(0, *all);
  AddressSpace space("s", *root);
  EXPECT_EQ(shown(space), "0+ffffffffffffffff all@0; ");
  root->add_subregion(0xffff'ffff'ffff'f000, *last, 1);
  EXPECT_EQ(shown(space), "0+fffffffffffff000 all@0; fffffffffffff000+1000 last@0; ");
  EXPECT_EQ(space.view()->find(UINT64_MAX)->region, last.get());
}

TEST(FlatView, AnAliasThatShowsItselfEnds) {
  auto root = MemoryRegion::container("root", 0x1000);
  auto self = MemoryRegion::alias("self", *root, 0, 0x1000);
  root->add_subregion(0, *self);
  AddressSpace space("s", *root);
  EXPECT_EQ(shown(space), "");
}

TEST(FlatView, ADyingRegionLeavesEvenInsideATransaction) {
  auto root = MemoryRegion::container("root", 0x1000);
  auto r = io("r", 0x1000);
  root->add_subregion(0, *r);
  AddressSpace space("s", *root);
  MemoryTransaction all;
  r.reset();
  EXPECT_EQ(shown(space), "");
}

TEST(FlatView, ASnapshotKeepsItsMemory) {
  auto root = MemoryRegion::container("root", 0x1000);
  auto r = ram("r", 0x1000);
  root->add_subregion(0, *r);
  AddressSpace space("s", *root);
  auto snapshot = space.view();
  r.reset();
  snapshot->ranges[0].ram->host()[5] = 7;
  EXPECT_EQ(snapshot->blocks.size(), 1u);
}

/// Writes down what it is told.
struct Recorder final : MemoryListener {
  std::string log;
  void begin() override { log += "begin "; }
  void range_removed(const FlatRange& r) override {
    str_append(log, "-", hex(r.start), "+", hex(r.size), " ");
  }
  void range_added(const FlatRange& r) override { str_append(log, "+", hex(r.start), "+", hex(r.size), " "); }
  void ioevent_removed(GuestAddr a, const MemoryRegion::IoEvent& e) override {
    str_append(log, "-bell ", hex(a), "/", e.size, " ");
  }
  void ioevent_added(GuestAddr a, const MemoryRegion::IoEvent& e) override {
    str_append(log, "+bell ", hex(a), "/", e.size, " ");
  }
  void commit() override { log += "commit "; }
  std::string take() { return std::exchange(log, {}); }
};

TEST(MemoryListener, HearsDifferencesOnly) {
  auto root = MemoryRegion::container("root", 0x10000);
  auto a = ram("a", 0x1000), b = ram("b", 0x1000);
  root->add_subregion(0, *a);
  AddressSpace space("s", *root);
  Recorder rec;
  space.add_listener(rec);
  EXPECT_EQ(rec.take(), "begin +0+1000 commit ");
  root->add_subregion(0x4000, *b);
  EXPECT_EQ(rec.take(), "begin +4000+1000 commit ");
  {
    MemoryTransaction outer;
    MemoryTransaction inner;
    b->set_offset(0x5000);
    a->set_enabled(false);
    EXPECT_EQ(rec.take(), "");
  }
  EXPECT_EQ(rec.take(), "begin -0+1000 -4000+1000 +5000+1000 commit ");
  {
    MemoryTransaction nothing_in_the_end;
    a->set_enabled(true);
    a->set_enabled(false);
  }
  EXPECT_EQ(rec.take(), "");
  space.remove_listener(rec);
  a->set_enabled(true);
  EXPECT_EQ(rec.take(), "");
}

TEST(MemoryListener, DoorbellsFollowTheirRegion) {
  auto root = MemoryRegion::container("root", 0x10000);
  auto bar = io("bar", 0x1000), cover = io("cover", 0x10);
  root->add_subregion(0x2000, *bar);
  AddressSpace space("s", *root);
  Recorder rec;
  space.add_listener(rec);
  rec.take();
  MemoryRegion::IoEvent bell{.offset = 0x100, .size = 2, .match_data = false, .data = 0, .fd = 9};
  bar->add_ioevent(bell);
  EXPECT_EQ(rec.take(), "begin +bell 2100/2 commit ");
  bar->set_offset(0x3000);
  EXPECT_EQ(rec.take(), "begin -bell 2100/2 -2000+1000 +3000+1000 +bell 3100/2 commit ");
  root->add_subregion(0x3100, *cover, 1);
  EXPECT_NE(rec.take().find("-bell 3100/2"), std::string::npos);
  cover.reset();
  EXPECT_NE(rec.take().find("+bell 3100/2"), std::string::npos);
  bar->remove_ioevent(bell);
  EXPECT_EQ(rec.take(), "begin -bell 3100/2 commit ");
}

/// Counts the writes that come to it.
struct CountingHandler final : MmioHandler {
  int writes = 0;
  uint64_t mmio_read(uint64_t, unsigned) override { return 0; }
  void mmio_write(uint64_t, uint64_t, unsigned) override { ++writes; }
};

TEST(AddressSpaceWrites, RingDoorbellsInsteadOfTheHandler) {
  CountingHandler handler;
  auto root = MemoryRegion::container("root", 0x10000);
  auto bar = MemoryRegion::io("bar", 0x1000, handler);
  root->add_subregion(0x2000, *bar);
  AddressSpace space("s", *root);
  const int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  auto rung = [&] {
    uint64_t count = 0;
    return ::read(fd, &count, sizeof count) == sizeof count ? count : 0;
  };
  const MemoryRegion::IoEvent by_value{.offset = 0x10, .size = 2, .match_data = true, .data = 1, .fd = fd};
  const MemoryRegion::IoEvent any_size{.offset = 0x20, .size = 0, .match_data = false, .data = 0, .fd = fd};
  bar->add_ioevent(by_value);
  bar->add_ioevent(any_size);
  space.store(0x2010, 1, 2);
  EXPECT_EQ(rung(), 1u);
  EXPECT_EQ(handler.writes, 0);
  space.store(0x2010, 2, 2);  // another value
  space.store(0x2010, 1, 4);  // another size
  space.store(0x2014, 1, 2);  // another place
  EXPECT_EQ(rung(), 0u);
  EXPECT_EQ(handler.writes, 3);
  for (const unsigned size : {1u, 2u, 4u}) space.store(0x2020, 77, size);
  EXPECT_EQ(rung(), 3u);
  EXPECT_EQ(handler.writes, 3);
  bar->remove_ioevent(any_size);
  space.store(0x2020, 77, 2);
  EXPECT_EQ(handler.writes, 4);
  ::close(fd);
}

// --- random trees against a model that looks at each address by itself -----------------------------------

constexpr uint64_t kModelSize = 0x200;

struct Seen {
  const MemoryRegion* region = nullptr;
  uint64_t offset = 0;
  bool readonly = false;
  bool operator==(const Seen&) const = default;
};

/// What `region` shows at `offset` within it: looked up as a person would.
bool model_lookup(MemoryRegion& region, uint64_t offset, bool readonly, Seen& out) {
  if (!region.enabled() || offset >= region.size()) return false;
  readonly |= region.readonly();
  if (region.alias_target() != nullptr)
    return model_lookup(*region.alias_target(), offset + region.alias_offset(), readonly, out);
  for (MemoryRegion* sub : region.subregions()) {
    if (offset < sub->offset_in_container()) continue;
    if (model_lookup(*sub, offset - sub->offset_in_container(), readonly, out)) return true;
  }
  if (region.kind() == MemoryRegion::Kind::kContainer) return false;
  out = {&region, offset, readonly};
  return true;
}

class RandomTree {
 public:
  explicit RandomTree(uint32_t seed) : random_(seed) {
    regions_.push_back(MemoryRegion::container("root", kModelSize));
  }
  MemoryRegion& root() { return *regions_[0]; }

  void step() {
    switch (pick(8)) {
      case 0:
      case 1:
      case 2:
        return add();
      case 3:
        return any().set_enabled(pick(3) != 0);
      case 4:
        return any().set_readonly(pick(2) != 0);
      case 5:
        return any().set_offset(pick(kModelSize));
      case 6:
        return any().set_size(1 + pick(kModelSize));
      default:
        if (MemoryRegion& r = any(); r.container() != nullptr) r.container()->remove_subregion(r);
    }
  }

 private:
  uint64_t pick(uint64_t n) { return random_() % n; }
  /// Any but the root.
  MemoryRegion& any() {
    if (regions_.size() == 1) add();
    return *regions_[1 + pick(regions_.size() - 1)];
  }
  void add() {
    if (regions_.size() > 24) return;
    MemoryRegion& parent = *regions_[pick(regions_.size())];
    uint64_t size = 1 + pick(kModelSize);
    uint64_t kind = pick(4);
    if (kind == 0)
      regions_.push_back(MemoryRegion::container("c", size));
    else if (kind == 1 && regions_.size() > 1)
      regions_.push_back(MemoryRegion::alias("a", any(), pick(kModelSize), size));  // shows earlier ones only
    else
      regions_.push_back(io("i", size));
    if (parent.alias_target() == nullptr && &parent != regions_.back().get() &&
        !reaches(*regions_.back(), parent))
      parent.add_subregion(pick(kModelSize), *regions_.back(), static_cast<int>(pick(3)) - 1);
  }
  /// Whether `from` shows `to`: adding `from` below `to` would make a circle.
  static bool reaches(const MemoryRegion& from, const MemoryRegion& to) {
    if (&from == &to) return true;
    if (from.alias_target() != nullptr && reaches(*from.alias_target(), to)) return true;
    for (const MemoryRegion* sub : from.subregions())
      if (reaches(*sub, to)) return true;
    return false;
  }
  std::mt19937 random_;
  std::vector<std::unique_ptr<MemoryRegion>> regions_;
};

/// A listener's picture of the space, kept from what it is told.
struct Mirror final : MemoryListener {
  std::map<GuestAddr, FlatRange> ranges;
  void range_removed(const FlatRange& r) override { EXPECT_EQ(ranges.erase(r.start), 1u); }
  void range_added(const FlatRange& r) override { EXPECT_TRUE(ranges.emplace(r.start, r).second); }
};

TEST(FlatView, RandomTreesMatchTheModel) {
  uint32_t first = std::random_device{}();
  for (uint32_t seed = first; seed != first + 60; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    RandomTree tree(seed);
    AddressSpace space("s", tree.root());
    Mirror mirror;
    space.add_listener(mirror);
    for (int i = 0; i < 60; ++i) {
      tree.step();
      auto view = space.view();
      for (uint64_t addr = 0; addr < kModelSize; ++addr) {
        Seen want, got;
        model_lookup(tree.root(), addr, false, want);
        if (const FlatRange* r = view->find(addr))
          got = {r->region, r->region_offset + (addr - r->start), r->readonly};
        ASSERT_EQ(got, want) << "address " << addr << " after step " << i;
      }
      ASSERT_EQ(mirror.ranges.size(), view->ranges.size());
      for (const FlatRange& r : view->ranges) ASSERT_EQ(mirror.ranges.at(r.start), r);
    }
    space.remove_listener(mirror);
  }
}

}  // namespace
}  // namespace rhea
