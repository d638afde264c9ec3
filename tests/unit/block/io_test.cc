// The generic request layer over memory with odd alignments, and draining.
#include <random>
#include <thread>

#include "block/graph/graph_edit.h"
#include "block/graph/io.h"
#include "tests/unit/block/graph_fixture.h"
#include "tests/unit/block/memory_node.h"
#include "util/clock.h"

namespace rhea {
namespace {

constexpr PermPair kIoWriter{blk_perm::kConsistentRead | blk_perm::kWrite, blk_perm::kAll};

class NodeIo : public GraphTest {
 protected:
  NodeIo() { graph.register_driver(kMemoryDriver); }
  MemoryNode& make(const std::string& options) {
    Result<NodeRef> r = open(R"({"driver": "memory", )" + options + "}");
    EXPECT_TRUE(r) << r.error().message();
    node = *r;
    EXPECT_TRUE(insert(backend, *node));
    return static_cast<MemoryNode&>(*node);
  }
  Result<> write(uint64_t offset, std::string bytes) {
    return run(backend.co_pwritev({offset, bytes.size()}, IoVector(bytes.data(), bytes.size())));
  }
  Result<std::string> read(uint64_t offset, size_t bytes) {
    std::string out(bytes, '?');
    TRY(run(backend.co_preadv({offset, bytes}, IoVector(out.data(), bytes))));
    return out;
  }
  NodeRef node;
  BlockBackend backend{graph, "b", kIoWriter};
};

TEST_F(NodeIo, AnyRequestWorksOverAnyAlignment) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  MemoryNode& memory = make(R"("size": 16384, "align": 4096, "max-transfer": 8192)");
  std::string expected(16384, 0);
  for (int i = 0; i < 300; ++i) {
    const size_t offset = random() % 16384, n = 1 + random() % (16384 - offset);
    const std::string bytes(n, static_cast<char>('a' + i % 26));
    if (i % 5 == 4) {
      ASSERT_TRUE(run(backend.co_pwrite_zeroes({offset, n}, true)));
      expected.replace(offset, n, n, '\0');
    } else {
      ASSERT_TRUE(write(offset, bytes));
      expected.replace(offset, n, bytes);
    }
    const size_t from = random() % 16384;
    ASSERT_EQ(read(from, 16384 - from).value(), expected.substr(from)) << i;
  }
  EXPECT_EQ(std::string(memory.engine.bytes().begin(), memory.engine.bytes().end()), expected);
}

TEST_F(NodeIo, OverlappingPartialWritesDoNotLoseEachOther) {
  MemoryNode& memory = make(R"("size": 4096, "align": 4096)");
  memory.engine.set_delay_ns(1000);
  int ended = 0;
  std::vector<std::string> bytes;
  bytes.reserve(64);
  for (int i = 0; i < 64; ++i) bytes.emplace_back(64, static_cast<char>(i + 1));
  loop->make_current();
  for (int i = 0; i < 64; ++i)
    co_start<void>(backend.co_pwritev({static_cast<uint64_t>(i) * 64, 64}, IoVector(bytes[i].data(), 64)),
                   [&](Result<> r) {
                     EXPECT_TRUE(r);
                     ++ended;
                   });
  while (ended < 64) loop->run_once(true);
  for (int i = 0; i < 64; ++i) EXPECT_EQ(memory.engine.bytes()[static_cast<size_t>(i) * 64], i + 1);
}

TEST_F(NodeIo, ErrorsOfTheStorageReachTheUser) {
  MemoryNode& memory = make(R"("size": 4096)");
  memory.engine.fail_next_write(ENOSPC);
  EXPECT_EQ(write(0, "x").error().errnum(), ENOSPC);
  memory.engine.fail_next_read(EIO);
  EXPECT_EQ(read(0, 1).error().errnum(), EIO);
  memory.engine.fail_next_flush(EIO);
  EXPECT_EQ(run(backend.co_flush()).error().errnum(), EIO);
  EXPECT_TRUE(write(0, "x"));
  EXPECT_EQ(backend.accounting().of[BlockAccounting::kWrite].failed.load(), 1u);
  EXPECT_EQ(backend.accounting().of[BlockAccounting::kWrite].operations.load(), 1u);
}

TEST_F(NodeIo, RequestsOutsideTheNodeAreRefused) {
  make(R"("size": 4096)");
  EXPECT_EQ(read(4096, 1).error().errnum(), EIO);
  EXPECT_EQ(read(UINT64_MAX - 1, 1).error().errnum(), EIO);
  EXPECT_EQ(write(4095, "xy").error().errnum(), EIO);
  EXPECT_EQ(write(UINT64_MAX, "x").error().errnum(), EIO);
  EXPECT_EQ(run(backend.co_pwrite_zeroes({1, UINT64_MAX}, false)).error().errnum(), EIO);
  EXPECT_EQ(run(backend.co_pdiscard({UINT64_MAX, 2})).error().errnum(), EIO);
  EXPECT_TRUE(read(4096, 0));
}

TEST_F(NodeIo, ReadOnlyNodeRefusesWrites) {
  Result<NodeRef> r = open(R"({"driver": "memory", "read-only": true})");
  ASSERT_TRUE(r);
  char byte = 0;
  EXPECT_EQ(run(co_node_pwritev(**r, {0, 1}, IoVector(&byte, 1))).error().errnum(), EPERM);
}

TEST_F(NodeIo, WriteThroughFlushesEachWrite) {
  MemoryNode& memory = make(R"("size": 4096)");
  ASSERT_TRUE(write(0, "x"));
  EXPECT_EQ(memory.engine.flushes(), 0);
  backend.set_write_cache_enabled(false);
  ASSERT_TRUE(write(0, "x"));
  EXPECT_EQ(memory.engine.flushes(), 1);
}

TEST_F(NodeIo, ClosingFlushesWhatWasWritten) {
  MemoryNode& memory = make(R"("size": 4096)");
  MemoryEngine& engine = memory.engine;
  ASSERT_TRUE(write(0, "x"));
  engine.fail_next_flush(EIO);
  testing::internal::CaptureStderr();
  node.reset();
  ASSERT_TRUE(remove(backend));
  EXPECT_NE(testing::internal::GetCapturedStderr().find("Injected: Input/output error"), std::string::npos);
}

TEST_F(NodeIo, NoFlushIgnoresFlushes) {
  MemoryNode& memory = make(R"("cache": {"no-flush": true})");
  EXPECT_TRUE(run(backend.co_flush()));
  EXPECT_EQ(memory.engine.flushes(), 0);
}

TEST_F(NodeIo, WithoutAMediumThereIsNoMedium) {
  EXPECT_EQ(read(0, 1).error().errnum(), ENOMEDIUM);
  EXPECT_EQ(backend.getlength().error().errnum(), ENOMEDIUM);
}

TEST_F(NodeIo, ThreadWithoutALoopIsServedByTheMainLoop) {
  make(R"("size": 4096)");
  ASSERT_TRUE(write(0, "hello"));
  std::string got(5, '?');
  std::atomic<bool> ended{false};
  std::jthread vcpu([&] {
    co_start<void>(backend.co_preadv({0, 5}, IoVector(got.data(), 5)), [&](Result<> r) {
      EXPECT_TRUE(r);
      ended = true;  // on either thread: whichever comes second
      loop->wake();
    });
  });
  while (!ended) loop->run_once(true);
  EXPECT_EQ(got, "hello");
}

class Drain : public NodeIo {
 protected:
  CoResult<> co_change_while_busy(MemoryNode& memory, bool& ended_before) {
    GraphWriteLock lock = co_await or_return(co_await graph.co_lock());
    DrainedSection drained = co_await or_return(co_await graph.co_drain(lock, memory));
    ended_before = ended == 1 && backend.gate().in_flight() == 0;
    co_start<void>(backend.co_preadv({0, 1}, IoVector(&late_byte, 1)), [this](Result<>) { ++ended; });
    for (int i = 0; i < 10; ++i) co_await loop->co_yield_now();
    EXPECT_EQ(ended, 1) << "a request went through a drained backend";
    co_return Result<>();
  }
  int ended = 0;
  char byte = 0, late_byte = 0;
};

TEST_F(Drain, WaitsForWhatIsInFlightAndHoldsBackTheRest) {
  MemoryNode& memory = make(R"("size": 4096)");
  memory.engine.set_delay_ns(2'000'000);
  loop->make_current();
  co_start<void>(backend.co_preadv({0, 1}, IoVector(&byte, 1)), [&](Result<>) { ++ended; });
  bool ended_before = false;
  ASSERT_TRUE(run(co_change_while_busy(memory, ended_before)));
  EXPECT_TRUE(ended_before);
  while (ended < 2) loop->run_once(true);
}

TEST_F(Drain, DeviceIsToldAndAlsoOneThatComesLater) {
  struct Ops : BlockDevOps {
    void drained_begin() override { ++depth; }
    void drained_end() override { --depth; }
    int depth = 0;
  } ops;
  MemoryNode& memory = make(R"("size": 4096)");
  auto section = [](BlockGraph& g, BlockDriverState& n, BlockBackend& b, Ops& o) -> CoResult<> {
    GraphWriteLock lock = co_await or_return(co_await g.co_lock());
    {
      DrainedSection drained = co_await or_return(co_await g.co_drain(lock, n));
      EXPECT_TRUE(b.attach_device(&o, "d", "/d"));
      EXPECT_EQ(o.depth, 1);
    }
    EXPECT_EQ(o.depth, 0);
    DrainedSection again = co_await or_return(co_await g.co_drain_all(lock));
    EXPECT_EQ(o.depth, 1);
    co_return Result<>();
  };
  ASSERT_TRUE(run(section(graph, memory, backend, ops)));
  EXPECT_EQ(ops.depth, 0);
  backend.detach_device();
}

TEST_F(Drain, BackendMayGoWhileItIsDrained) {
  auto section = [](BlockGraph& g) -> CoResult<> {
    GraphWriteLock lock = co_await or_return(co_await g.co_lock());
    auto gone = std::make_unique<BlockBackend>(g, "gone", PermPair{});
    DrainedSection drained = co_await or_return(co_await g.co_drain_all(lock));
    gone.reset();
    co_return Result<>();
  };
  EXPECT_TRUE(run(section(graph)));
}

TEST_F(Drain, OtherLoopsRequestsTakePartToo) {
  make(R"("size": 4096)");
  auto other = std::move(AioContext::create("iothread").value());
  std::atomic<int> done{0}, stop{0};
  auto hammer = [](BlockBackend& b, std::atomic<int>& n, std::atomic<int>& quit) -> CoResult<> {
    char buffer = 0;
    while (!quit) {
      co_await or_return(co_await b.co_preadv({0, 1}, IoVector(&buffer, 1)));
      ++n;
      co_await AioContext::current()->co_yield_now();
    }
    co_return Result<>();
  };
  std::atomic<bool> ended{false};
  std::jthread iothread([&] {
    other->make_current();
    co_start<void>(hammer(backend, done, stop), [&](Result<> r) {
      EXPECT_TRUE(r);
      ended = true;
      other->stop();
    });
    if (!ended) other->run();
  });
  for (int i = 0; i < 200; ++i) {
    ASSERT_TRUE(run(backend.co_drain()));
    std::this_thread::yield();
  }
  while (done < 100) std::this_thread::yield();
  stop = 1;
  iothread.join();
}

/// Shows what is below, and tells the loop that came by.
class HomeNode final : public BlockDriverState {
 public:
  uint32_t file_role(const OptionTree&) const override {
    return child_role::kFiltered | child_role::kPrimary;
  }
  CoResult<> co_open(OpenContext&) override { co_return Result<>(); }
  CoResult<> co_preadv(ByteRange r, IoVector iov) override {
    seen = AioContext::current();
    return file_.co_preadv(r, iov);
  }
  CoResult<uint64_t> co_getlength() override { co_return file_.node().total_bytes(); }
  AioContext* seen = nullptr;
};
constexpr BlockDriver kHomeDriver = {
    .name = "home",
    .is_filter = true,
    .make = []() -> std::unique_ptr<BlockDriverState> { return std::make_unique<HomeNode>(); },
};
constexpr BlockDriver kRoamingDriver = {
    .name = "roaming",
    .is_filter = true,
    .any_loop = true,
    .make = []() -> std::unique_ptr<BlockDriverState> { return std::make_unique<HomeNode>(); },
};

class OtherLoop : public NodeIo {
 protected:
  OtherLoop() {
    graph.register_driver(kHomeDriver);
    graph.register_driver(kRoamingDriver);
    thread = std::jthread([this] { other->run(); });
  }
  ~OtherLoop() override { other->stop(); }
  /// Reads from the other loop; the loop where that ends.
  AioContext* read_there() {
    std::atomic<AioContext*> ended{nullptr};
    char byte = 0;
    other->post([&] {
      co_start<void>(backend.co_preadv({0, 1}, IoVector(&byte, 1)), [&](Result<> r) {
        EXPECT_TRUE(r);
        AioContext* const here = AioContext::current();
        loop->post([&ended, here] { ended = here; });
      });
    });
    while (ended == nullptr) loop->run_once(true);
    return ended;
  }
  HomeNode& put_above(const char* driver) {
    const std::string name = str_cat("f", ++filters);
    Result<NodeRef> made = open(str_cat(R"({"driver": ")", driver, R"(", "node-name": ")", name,
                                        R"(", "file": ")", node->name(), "\"}"));
    EXPECT_TRUE(made) << made.error().message();
    node = *made;
    EXPECT_TRUE(run(co_exchange(*node)));
    return static_cast<HomeNode&>(*node);
  }
  CoResult<> co_exchange(BlockDriverState& next) {
    GraphWriteLock lock = co_await or_return(co_await graph.co_lock());
    co_await or_return(co_await backend.co_remove(lock));
    co_return co_await backend.co_insert(lock, next);
  }
  int filters = 0;
  std::unique_ptr<AioContext> other = std::move(AioContext::create("iothread").value());
  std::jthread thread;
};

TEST_F(OtherLoop, RequestsMakeADetourWhereANodeServesTheMainLoopOnly) {
  make(R"("size": 4096)");
  EXPECT_EQ(read_there(), other.get());
  HomeNode& roaming = put_above("roaming");
  EXPECT_EQ(read_there(), other.get());
  EXPECT_EQ(roaming.seen, other.get());
  HomeNode& home = put_above("home");
  EXPECT_EQ(read_there(), other.get()) << "it ends where it was made";
  EXPECT_EQ(home.seen, loop.get());
  EXPECT_EQ(roaming.seen, loop.get()) << "and all below";
  HomeNode& above = put_above("roaming");
  EXPECT_EQ(read_there(), other.get());
  EXPECT_EQ(above.seen, loop.get()) << "and above";
}

/// A filter comes and goes under requests, as that of a job does.
TEST_F(OtherLoop, FiltersComeAndGoUnderRequests) {
  make(R"("size": 4096)");
  std::atomic<bool> enough{false}, ended{false};
  std::atomic<int> done{0};
  char byte = 0;
  auto hammer = [](BlockBackend& b, char* at, std::atomic<int>& n, std::atomic<bool>& quit) -> CoResult<> {
    while (!quit) {
      AioContext* const before = AioContext::current();
      co_await or_return(co_await b.co_preadv({0, 1}, IoVector(at, 1)));
      EXPECT_EQ(AioContext::current(), before);
      ++n;
      co_await before->co_yield_now();
    }
    co_return Result<>();
  };
  other->post([&] {
    co_start<void>(hammer(backend, &byte, done, enough), [&](Result<> r) {
      EXPECT_TRUE(r);
      ended = true;
      loop->post([] {});
    });
  });
  auto round = [](BlockGraph& g, BlockDriverState& base) -> CoResult<> {
    GraphWriteLock lock = co_await or_return(co_await g.co_lock());
    const NodeRef filter = co_await or_return(make_filter_node(lock, g, kHomeDriver, "filter", base.flags()));
    co_await or_return(co_await co_insert_filter(lock, *filter, base, "file"));
    for (int i = 0; i < 20; ++i) co_await g.main_loop().co_yield_now();
    co_return co_await co_remove_filter(lock, *filter);
  };
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(run(round(graph, *node)));
  while (done < 100) loop->run_once(false);
  enough = true;
  while (!ended) loop->run_once(true);
}

}  // namespace
}  // namespace rhea
