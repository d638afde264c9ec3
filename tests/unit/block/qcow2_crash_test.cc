// F6: qcow2 after a crash. A workload's writes and flushes are recorded; then every crash point, and as many
// of the orders that the flushes leave open as the bound allows, become images. Each has to open, to hold all
// flushed data, and to need no more than the repair of leaks. RHEA_CRASH_LONG=1 enumerates far more.
#include <cstdlib>
#include <functional>
#include <set>

#include "block/graph/bitmap_ops.h"
#include "tests/unit/block/qcow2_fixture.h"

namespace rhea {
namespace {

/// What reached the storage, in order.
struct CrashOp {
  enum class Kind : uint8_t { kWrite, kTruncate, kFlush };
  Kind kind = Kind::kFlush;
  uint64_t offset = 0;  ///< kTruncate: the length
  std::vector<uint8_t> data;
};

/// Storage in memory that remembers what was done to it.
struct CrashDisk {
  std::vector<uint8_t> bytes;
  std::vector<CrashOp> log;
  static CrashDisk* current;  ///< what a node opened now is
};
CrashDisk* CrashDisk::current = nullptr;

void crash_apply(std::vector<uint8_t>& bytes, const CrashOp& op, size_t from = 0, size_t to = SIZE_MAX) {
  if (op.kind == CrashOp::Kind::kFlush) return;
  if (op.kind == CrashOp::Kind::kTruncate) return bytes.resize(op.offset);
  to = std::min(to, op.data.size());
  if (from >= to) return;
  if (bytes.size() < op.offset + to) bytes.resize(op.offset + to);
  std::copy(op.data.begin() + static_cast<ptrdiff_t>(from), op.data.begin() + static_cast<ptrdiff_t>(to),
            bytes.begin() + static_cast<ptrdiff_t>(op.offset + from));
}

class CrashNode final : public BlockDriverState {
 public:
  CoResult<> co_open(OpenContext&) override {
    disk_ = CrashDisk::current;
    co_return Result<>();
  }
  void refresh_limits(BlockLimits& limits) const override { limits.request_alignment = 1; }
  CoResult<> co_preadv(ByteRange r, IoVector iov) override {
    iov.zero();
    if (r.offset < disk_->bytes.size()) {
      const uint64_t n = std::min(r.bytes, disk_->bytes.size() - r.offset);
      iov.slice(0, n).copy_from(disk_->bytes.data() + r.offset);
    }
    co_return Result<>();
  }
  CoResult<> co_pwritev(ByteRange r, IoVector iov) override {
    CrashOp op{CrashOp::Kind::kWrite, r.offset, std::vector<uint8_t>(r.bytes)};
    iov.copy_to(op.data.data());
    record(std::move(op));
    co_return Result<>();
  }
  CoResult<> co_pdiscard(ByteRange r) override {
    record({CrashOp::Kind::kWrite, r.offset, std::vector<uint8_t>(r.bytes)});
    co_return Result<>();
  }
  CoResult<> co_flush() override {
    record({CrashOp::Kind::kFlush, 0, {}});
    co_return Result<>();
  }
  CoResult<> co_truncate(uint64_t bytes, Preallocation) override {
    record({CrashOp::Kind::kTruncate, bytes, {}});
    co_return Result<>();
  }
  CoResult<uint64_t> co_getlength() override { co_return disk_->bytes.size(); }
  bool grows_by_writing() const override { return true; }
  std::string exact_filename() const override { return "crash://"; }

 private:
  void record(CrashOp op) {
    crash_apply(disk_->bytes, op);
    disk_->log.push_back(std::move(op));
  }
  CrashDisk* disk_ = nullptr;
};

const BlockDriver kCrashDriver = {
    .name = "crash",
    .is_protocol = true,
    .make = []() -> std::unique_ptr<BlockDriverState> { return std::make_unique<CrashNode>(); },
};

constexpr uint64_t kGuestBytes = 192 << 10;

/// One change that the guest, or an operation for it, made to the disk's content.
struct GuestChange {
  size_t begin = 0;  ///< place in the log when it was asked for
  uint64_t offset = 0;
  std::string bytes;
};
/// A moment from which on everything before has to be there.
struct GuestFlush {
  size_t end = 0;      ///< place in the log when it was done
  size_t changes = 0;  ///< how many changes it covers
};

class Qcow2Crash : public Qcow2Test {
 protected:
  Qcow2Crash() { graph.register_driver(kCrashDriver); }

  void make(qcow2::CreateOptions options) {
    options.virtual_bytes = kGuestBytes;
    disk_ = CrashDisk{};
    CrashDisk::current = &disk_;
    Result<NodeRef> node = open(R"({"driver": "crash"})");
    ASSERT_TRUE(node);
    BlockBackend file(graph, "", kAllOfIt);
    ASSERT_TRUE(insert(file, **node));
    ASSERT_TRUE(run(qcow2::co_create_image(file, std::move(options))));
    ASSERT_TRUE(remove(file));
    node->reset();
    reap();
    start_ = disk_.bytes;
    disk_.log.clear();
    attach_disk();
    content_.assign(kGuestBytes, '\0');
    snapshot_ = content_;
    changes_.clear();
    flushes_.assign(1, GuestFlush{});
  }
  void attach_disk(const std::string& extra = {}) {
    Result<NodeRef> node =
        open(R"({"driver": "qcow2", "discard": "unmap", "file": {"driver": "crash"})" + extra + "}");
    ASSERT_TRUE(node) << node.error().message();
    work_.emplace(graph, "", kAllOfIt);
    ASSERT_TRUE(insert(*work_, **node));
  }
  void detach_disk() {
    ASSERT_TRUE(remove(*work_));
    work_.reset();
    reap();
  }
  BlockDriverState& node() { return *work_->node(); }

  // --- The workload's verbs.
  void changed(size_t begin, uint64_t offset, std::string bytes) {
    content_.replace(offset, bytes.size(), bytes);
    changes_.push_back({begin, offset, std::move(bytes)});
  }
  std::string pattern(uint64_t n) {
    std::string out(n, '\0');
    ++serial_;
    for (uint64_t i = 0; i < n; ++i) out[i] = static_cast<char>(serial_ * 7 + i / 512);
    return out;
  }
  void put(uint64_t offset, uint64_t n) {
    const size_t begin = disk_.log.size();
    std::string bytes = pattern(n);
    changed(begin, offset, bytes);  // it may be there as soon as it is asked for
    ASSERT_TRUE(run(work_->co_pwritev({offset, n}, IoVector(bytes.data(), n))));
  }
  void put_compressed(uint64_t offset, uint64_t n) {
    const size_t begin = disk_.log.size();
    std::string bytes = pattern(n);
    changed(begin, offset, bytes);
    ASSERT_TRUE(run(work_->co_pwrite_compressed({offset, n}, IoVector(bytes.data(), n))));
  }
  void zero(uint64_t offset, uint64_t n, bool unmap) {
    changed(disk_.log.size(), offset, std::string(n, '\0'));
    ASSERT_TRUE(run(work_->co_pwrite_zeroes({offset, n}, unmap)));
  }
  void discard(uint64_t offset, uint64_t n) {
    changed(disk_.log.size(), offset, std::string(n, '\0'));
    ASSERT_TRUE(run(work_->co_pdiscard({offset, n})));
  }
  void flush() {
    const size_t covered = changes_.size();
    ASSERT_TRUE(run(work_->co_flush()));
    flushes_.push_back({disk_.log.size(), covered});
  }
  void snapshot(const std::string& name) {
    ImageSnapshot s;
    s.name = name;
    ASSERT_TRUE(run(node().co_snapshot_create(s)));
    snapshot_ = content_;
    flush();
  }
  void apply(const std::string& id) {
    changed(disk_.log.size(), 0, snapshot_);
    ASSERT_TRUE(run(node().co_snapshot_apply(id)));
    flush();
  }
  void drop(const std::string& id) {
    ASSERT_TRUE(run(node().co_snapshot_delete(id)));
    flush();
  }
  void resize(uint64_t bytes) {
    ASSERT_TRUE(run(work_->co_truncate(bytes)));
    flush();
  }
  void empty() {
    changed(disk_.log.size(), 0, std::string(kGuestBytes, '\0'));
    ASSERT_TRUE(run(node().co_make_empty()));
    flush();
  }

  // --- The images a crash can leave.
  /// What is wrong with the image; empty: nothing.
  std::string judge(std::vector<uint8_t> bytes, size_t crash_at) {
    CrashDisk left;
    left.bytes = std::move(bytes);
    CrashDisk::current = &left;
    Result<NodeRef> opened = open(R"({"driver": "qcow2", "file": {"driver": "crash"}})");
    if (!opened) return "does not open: " + opened.error().message();
    std::string wrong = examine(**opened, crash_at);
    opened->reset();
    reap();
    return wrong;
  }
  std::string examine(BlockDriverState& image, size_t crash_at) {
    BlockBackend disk(graph, "", kAllOfIt);
    if (Result<> r = insert(disk, image); !r) return r.error().message();
    std::string said;
    const auto listen = [&](const std::string& line) { said += line + "; "; };
    Result<CheckResult> found = run(image.co_check({false, false, listen}));
    std::string wrong;
    if (!found || found->corruptions != 0 || found->check_errors != 0)
      wrong = "is corrupt: " + said.substr(0, 300);
    if (wrong.empty()) wrong = compare(disk, crash_at);
    if (wrong.empty()) {
      Result<CheckResult> fixed = run(image.co_check({true, false, listen}));
      if (fixed) fixed = run(image.co_check({false, false, listen}));
      if (!fixed || fixed->corruptions + fixed->leaks + fixed->check_errors != 0)
        wrong = "is not clean after the repair of leaks: " + said.substr(0, 300);
      if (wrong.empty()) wrong = compare(disk, crash_at);
    }
    std::ignore = remove(disk);
    return wrong;
  }
  /// Each sector is as it was flushed, or as something asked for since would have it.
  std::string compare(BlockBackend& disk, size_t crash_at) {
    GuestFlush last;
    for (const GuestFlush& f : flushes_)
      if (f.end <= crash_at) last = f;
    std::string flushed(kGuestBytes, '\0');
    for (size_t i = 0; i < last.changes; ++i)
      flushed.replace(changes_[i].offset, changes_[i].bytes.size(), changes_[i].bytes);
    std::string now(kGuestBytes, '?');
    if (Result<> r = run(disk.co_preadv({0, kGuestBytes}, IoVector(now.data(), kGuestBytes))); !r)
      return "cannot be read: " + r.error().message();
    for (uint64_t at = 0; at < kGuestBytes; at += kSectorBytes) {
      bool good = now.compare(at, kSectorBytes, flushed, at, kSectorBytes) == 0;
      for (size_t i = last.changes; i < changes_.size() && !good; ++i) {
        const GuestChange& c = changes_[i];
        if (c.begin > crash_at || at < c.offset || at >= c.offset + c.bytes.size()) continue;
        good = now.compare(at, kSectorBytes, c.bytes, at - c.offset, kSectorBytes) == 0;
      }
      if (!good) return "has lost flushed data at " + std::to_string(at);
    }
    return {};
  }

  /// Tries crash points and orders; the first bad image's description, or empty.
  std::string enumerate(const std::vector<CrashOp>& log, size_t bound) {
    states_ = 0;
    std::mt19937 random(2026);
    std::vector<uint8_t> durable = start_;
    std::vector<size_t> pending;
    for (size_t at = 0; at <= log.size(); ++at) {
      std::set<std::vector<bool>> tried;
      const auto attempt = [&](const std::vector<bool>& reached, size_t torn) -> std::string {
        if (torn == SIZE_MAX && !tried.insert(reached).second) return {};
        std::vector<uint8_t> bytes = durable;
        for (size_t i = 0; i < pending.size(); ++i) {
          if (i == torn)  // only its first half, in sectors
            crash_apply(bytes, log[pending[i]], 0,
                        log[pending[i]].data.size() / 2 / kSectorBytes * kSectorBytes);
          else if (reached[i])
            crash_apply(bytes, log[pending[i]]);
        }
        ++states_;
        const std::string wrong = judge(std::move(bytes), at);
        return wrong.empty() ? wrong
                             : "crash after " + std::to_string(at) + " of " + std::to_string(log.size()) +
                                   " operations: the image " + wrong;
      };
      const size_t n = pending.size();
      std::vector<bool> all(n, true), none(n, false);
      std::string wrong = attempt(all, SIZE_MAX);
      if (wrong.empty() && n != 0) wrong = attempt(all, n - 1);
      if (wrong.empty() && n != 0) {  // the newest without the older ones, and the other way round
        std::vector<bool> only = none, without = all;
        only[n - 1] = true;
        wrong = attempt(only, SIZE_MAX);
        for (size_t i = 0; i < n && i < bound && wrong.empty(); ++i) {
          without = all;
          without[n - 1 - i] = false;
          wrong = attempt(without, SIZE_MAX);
        }
      }
      for (size_t i = 0; i < bound && wrong.empty() && n > 1; ++i) {
        std::vector<bool> some(n);
        for (size_t k = 0; k < n; ++k) some[k] = random() % 2 == 0;
        wrong = attempt(some, SIZE_MAX);
      }
      if (!wrong.empty()) return wrong;
      if (at == log.size()) break;
      if (log[at].kind == CrashOp::Kind::kFlush) {
        for (const size_t i : pending) crash_apply(durable, log[i]);
        pending.clear();
      } else {
        pending.push_back(at);
      }
    }
    return {};
  }
  static size_t bound() { return std::getenv("RHEA_CRASH_LONG") != nullptr ? 64 : 2; }

  /// Ends the workload and tries all images it can leave.
  void expect_safe() {
    const std::vector<CrashOp> log = disk_.log;
    const std::string wrong = enumerate(log, bound());
    CrashDisk::current = &disk_;
    EXPECT_EQ(wrong, "");
    EXPECT_GT(states_, log.size());
    detach_disk();
  }

  CrashDisk disk_;
  std::vector<uint8_t> start_;
  std::optional<BlockBackend> work_;
  std::string content_, snapshot_;
  std::vector<GuestChange> changes_;
  std::vector<GuestFlush> flushes_;
  size_t states_ = 0;
  unsigned serial_ = 0;
};

qcow2::CreateOptions crash_options(uint64_t cluster, uint32_t refcount_bits = 16) {
  qcow2::CreateOptions o;
  o.cluster_bytes = cluster;
  o.refcount_bits = refcount_bits;
  return o;
}

TEST_F(Qcow2Crash, F6_Writes) {
  make(crash_options(4096));
  put(0, 512);
  put(8192, 12288);
  flush();
  put(512, 1024);  // in place
  put(100 * 512, 4096);
  flush();
  put(9000 / 512 * 512, 6144);
  expect_safe();
}

TEST_F(Qcow2Crash, F6_SmallClustersGrowTheRefcounts) {
  make(crash_options(512, 64));
  for (uint64_t i = 0; i < 6; ++i) {
    put(i * 20480, 9 * 512);
    if (i % 2 == 1) flush();
  }
  flush();
  expect_safe();
}

TEST_F(Qcow2Crash, F6_DiscardAndZeroes) {
  make(crash_options(4096));
  put(0, 32768);
  flush();
  discard(0, 8192);
  put(65536, 8192);  // may take what was freed, but not before it is free
  flush();
  zero(16384, 8192, true);
  zero(24576, 4096, false);
  put(81920, 8192);
  flush();
  put(24576, 512);
  flush();
  expect_safe();
}

TEST_F(Qcow2Crash, F6_CompressedWritesAndTheirReplacement) {
  make(crash_options(4096));
  put_compressed(0, 4096);
  put_compressed(4096, 4096);
  flush();
  put(512, 512);  // unpacks one
  flush();
  put_compressed(8192, 8192);
  discard(4096, 4096);
  flush();
  put_compressed(16384, 4096);
  flush();
  expect_safe();
}

TEST_F(Qcow2Crash, F6_SnapshotsAreMadeAppliedAndDeleted) {
  make(crash_options(4096));
  put(0, 8192);
  flush();
  snapshot("one");
  put(0, 4096);  // copied on write
  put(40960, 4096);
  flush();
  apply("1");
  put(4096, 512);
  flush();
  drop("1");
  put(8192, 4096);
  flush();
  expect_safe();
}

TEST_F(Qcow2Crash, F6_Resizing) {
  make(crash_options(512));
  put(0, 4096);
  flush();
  resize(8 << 20);
  put(4096, 4096);
  flush();
  resize(kGuestBytes);
  put(8192, 512);
  flush();
  expect_safe();
}

TEST_F(Qcow2Crash, F6_EmptyingAsCommitDoes) {
  make(crash_options(4096));
  put(0, 16384);
  put_compressed(20480, 4096);
  flush();
  empty();
  put(0, 8192);
  flush();
  expect_safe();
}

TEST_F(Qcow2Crash, F6_BitmapsAreStoredAndMarked) {
  make(crash_options(4096));
  for (const auto& [name, granularity] : {std::pair{"one", 512u}, {"two", 65536u}}) {
    auto bitmap = run(co_make_bitmap(node(), name, granularity, true, true));
    ASSERT_TRUE(bitmap);
    node().add_bitmap(std::move(*bitmap));
  }
  put(0, 8192);
  flush();
  for (int i = 0; i < 2; ++i) {  // stored at close, marked as in use at open, stored again
    detach_disk();
    CrashDisk::current = &disk_;
    attach_disk();
    put(16384 + 4096 * static_cast<uint64_t>(i), 512);
    flush();
  }
  expect_safe();
}

TEST_F(Qcow2Crash, F6_Subclusters) {
  qcow2::CreateOptions o = crash_options(16384);
  o.extended_l2 = true;
  make(o);
  put(512, 512);
  put(4096, 1024);
  flush();
  zero(4096, 512, false);
  put(16384, 16384);
  flush();
  discard(16384, 16384);
  put(32768, 2048);
  flush();
  expect_safe();
}

/// The judge can condemn: a workload whose flushes are left out, one after the other, is found out, as is
/// storage that loses what it said was durable.
TEST_F(Qcow2Crash, F6_MissingFlushesAreFound) {
  make(crash_options(4096));
  put(0, 16384);
  flush();
  discard(0, 8192);
  put(65536, 8192);
  flush();
  put(81920, 8192);
  flush();
  const std::vector<GuestFlush> flushes = flushes_;
  const std::vector<GuestChange> changes = changes_;
  const std::vector<CrashOp> log = disk_.log;
  const auto without = [&](size_t dropped) {
    std::vector<CrashOp> shorter = log;
    shorter.erase(shorter.begin() + static_cast<ptrdiff_t>(dropped));
    for (GuestFlush& f : flushes_) f.end -= f.end > dropped ? 1 : 0;
    for (GuestChange& c : changes_) c.begin -= c.begin > dropped ? 1 : 0;
    const std::string wrong = enumerate(shorter, 8);
    flushes_ = flushes;
    changes_ = changes;
    return wrong;
  };
  size_t flushes_in_log = 0, found = 0;
  for (size_t i = 0; i < log.size(); ++i) {
    if (log[i].kind != CrashOp::Kind::kFlush) continue;
    ++flushes_in_log;
    found += without(i).empty() ? 0 : 1;
  }
  EXPECT_GT(flushes_in_log, 4u);
  EXPECT_GE(found, 3u) << "of " << flushes_in_log;
  CrashDisk::current = &disk_;
  detach_disk();
}

/// Tables written before the counts of what they refer to.
TEST_F(Qcow2Crash, F6_TablesBeforeTheirCountsAreFound) {
  make(crash_options(4096));
  put(0, 8192);
  flush();
  std::vector<CrashOp> turned = disk_.log;
  // The metadata of one flush, last first.
  std::vector<CrashOp> writes;
  for (const CrashOp& op : turned)
    if (op.kind == CrashOp::Kind::kWrite) writes.push_back(op);
  ASSERT_GE(writes.size(), 3u);
  std::ranges::reverse(writes);
  std::vector<CrashOp> log;
  for (CrashOp& op : writes) {
    log.push_back(std::move(op));
    log.push_back({CrashOp::Kind::kFlush, 0, {}});
  }
  flushes_.resize(1);
  EXPECT_NE(enumerate(log, 2), "");
  CrashDisk::current = &disk_;
  detach_disk();
}

}  // namespace
}  // namespace rhea
