#include "block/graph/block_backend.h"

#include <algorithm>

#include "block/graph/block_graph.h"
#include "block/graph/io.h"
#include "util/log.h"

namespace rhea {

std::string_view error_policy_name(BlockErrorPolicy p) {
  static constexpr std::string_view kNames[] = {"report", "ignore", "enospc", "stop", "auto"};
  return kNames[static_cast<size_t>(p)];
}

std::string_view io_status_name(BlockIoStatus s) {
  static constexpr std::string_view kNames[] = {"ok", "failed", "nospace"};
  return kNames[static_cast<size_t>(s)];
}

BlockBackend::BlockBackend(BlockGraph& graph, std::string name, PermPair perms)
    : graph_(graph),
      name_(std::move(name)),
      serial_(graph.add_backend(*this)),
      perms_(perms),
      gate_(std::make_shared<RequestGate>()) {}

BlockBackend::~BlockBackend() {
  tell_removal();
  root_.reset();
  graph_.remove_backend(*this);
}

// The owner may destroy a backend while one of these waits; each looks for it again before it goes on.

CoResult<> BlockBackend::co_insert(GraphWriteLock& lock, BlockDriverState& node) {
  BlockGraph& graph = graph_;
  const uint64_t serial = serial_;
  if (root_) co_return fail(EBUSY, "There already is a medium in the device");
  Result<BdrvChild> edge = co_await graph.co_attach_root(lock, *this, node, perms_);
  if (graph.backend_by_serial(serial) == nullptr) co_return fail(ENODEV, "The device is gone");
  // Without a medium no request gets past usable_node(), but one may be just there.
  DrainedSection drained = co_await or_return(co_await graph.co_drain(lock, *this));
  if (graph.backend_by_serial(serial) == nullptr) co_return fail(ENODEV, "The device is gone");
  root_ = co_await or_return(std::move(edge));
  co_return Result<>();
}

void BlockBackend::set_removal_listener(const void* key, std::function<void()> gone) {
  std::erase_if(removal_listeners_, [&](const auto& l) { return l.first == key; });
  if (gone) removal_listeners_.emplace_back(key, std::move(gone));
}

void BlockBackend::tell_removal() {
  const auto listeners = std::exchange(removal_listeners_, {});
  for (const auto& [key, gone] : listeners) gone();
}

CoResult<> BlockBackend::co_remove(GraphWriteLock& lock) {
  BlockGraph& graph = graph_;
  const uint64_t serial = serial_;
  if (!root_) co_return Result<>();
  tell_removal();
  {
    DrainedSection drained = co_await or_return(co_await graph.co_drain(lock, *this));
    // An image that nobody may write any more cannot write what it has in memory either.
    const NodeRef node(root_.node());
    if (node->written() && (root_.perms().perm & (blk_perm::kWrite | blk_perm::kWriteUnchanged)) != 0) {
      const Result<> flushed = co_await co_node_flush(*node);
      if (!flushed) warn_report(str_cat("Node '", node->name(), "': ", flushed.error().message()));
    }
    if (graph.backend_by_serial(serial) != nullptr) root_.reset();
  }
  co_return co_await graph.co_reap(lock);
}

CoResult<> BlockBackend::co_set_perm(GraphWriteLock& lock, PermPair perms) {
  BlockGraph& graph = graph_;
  const uint64_t serial = serial_;
  if (root_) co_await or_return(co_await graph.co_set_edge_perms(lock, root_, perms));
  if (graph.backend_by_serial(serial) != nullptr) perms_ = perms;
  co_return Result<>();
}

Result<> BlockBackend::attach_device(BlockDevOps* ops, std::string id, std::string path) {
  if (device_ != nullptr) return fail(EBUSY, "Drive '", name_, "' is already in use by another device");
  device_ = ops;
  device_id_ = std::move(id);
  device_path_ = std::move(path);
  for (int i = 0; i < drained_; ++i) ops->drained_begin();
  return {};
}

void BlockBackend::detach_device() {
  device_ = nullptr;
  device_id_.clear();
  device_path_.clear();
  iostatus_enabled_ = false;
}

Result<> BlockBackend::change_media_cb(bool load) {
  return device_ != nullptr ? device_->change_media_cb(load) : Result<>();
}

void BlockBackend::eject_request(bool force) {
  if (device_ != nullptr) device_->eject_request_cb(force);
}

/// Accounts for one request.
class BlockBackend::Timed {
 public:
  Timed(BlockBackend& b, BlockAccounting::Kind kind, uint64_t bytes)
      : accounting_(b.accounting_), kind_(kind), bytes_(bytes), start_ns_(BlockAccounting::now_ns()) {}
  Timed(const Timed&) = delete;
  Result<> done(Result<> r) {
    if (r)
      accounting_.done(kind_, bytes_, start_ns_);
    else
      accounting_.failed(kind_, start_ns_);
    return r;
  }

 private:
  BlockAccounting& accounting_;
  const BlockAccounting::Kind kind_;
  const uint64_t bytes_;
  const int64_t start_ns_;
};

/// A request's way to the main loop and back, where something below serves no other. Behind the gate.
class BlockBackend::Detour {
 public:
  explicit Detour(const BlockBackend& b)
      : main_(b.graph_.main_loop()), home_(b.main_loop_only_ ? AioContext::current() : nullptr) {}
  struct Hop {
    AioContext* loop;  ///< null: nowhere
    bool await_ready() const noexcept { return loop == nullptr || loop->in_loop_thread(); }
    void await_suspend(std::coroutine_handle<> h) const { loop->schedule(h); }
    void await_resume() const noexcept {}
  };
  Hop there() const { return Hop{home_ != nullptr ? &main_ : nullptr}; }
  Hop back() const { return Hop{home_}; }

 private:
  AioContext& main_;
  AioContext* const home_;
};

namespace {
bool serves_any_loop(const BlockDriverState& node) {
  return node.driver().any_loop &&
         std::ranges::all_of(node.children(), [](const BdrvChild* c) { return serves_any_loop(c->node()); });
}
}  // namespace

/// Where requests are made from now on. With none in flight.
void BlockBackend::choose_loop() {
  main_loop_only_ = root_ && !serves_any_loop(root_.node());
}

Result<BlockDriverState*> BlockBackend::usable_node() {
  if (!is_inserted()) return fail(ENOMEDIUM, "Device '", name_, "' has no medium");
  return &root_.node();
}

/// The same, for a read that must be inside.
Result<BlockDriverState*> BlockBackend::node_to_read(ByteRange range) {
  BlockDriverState* const bs = TRY(usable_node());
  if (range.offset <= bs->total_bytes() && range.bytes <= bs->total_bytes() - range.offset) return bs;
  return fail(EIO, "Read of ", range.bytes, " bytes at ", range.offset, " ends past the medium");
}

// Each request: onto a loop, through the gate (after which the root edge stays as it is), to the main loop if
// need be, down the graph, and back.

CoResult<> BlockBackend::co_preadv(ByteRange range, IoVector iov) {
  if (AioContext::current() == nullptr) co_await graph_.main_loop().co_switch();
  RequestGate::Pass pass = co_await gate_->co_enter();
  const Detour detour(*this);
  co_await detour.there();
  Result<BlockDriverState*> bs = node_to_read(range);
  Result<> r;
  if (bs) {
    Timed timed(*this, BlockAccounting::kRead, range.bytes);
    if (throttle_.limited()) {
      ThrottleTicket ticket(throttle_, false, range.bytes);
      co_await ticket;
    }
    r = timed.done(co_await co_node_preadv(**bs, range, iov));
  } else {
    if (is_inserted()) accounting_.invalid(BlockAccounting::kRead);
    r = Failure(std::move(bs).error());
  }
  co_await detour.back();
  co_return r;
}

CoResult<> BlockBackend::co_peek(ByteRange range, IoVector iov) {
  if (AioContext::current() == nullptr) co_await graph_.main_loop().co_switch();
  RequestGate::Pass pass = co_await gate_->co_enter();
  const Detour detour(*this);
  co_await detour.there();
  Result<BlockDriverState*> bs = node_to_read(range);
  Result<> r;
  if (bs)
    r = co_await co_node_preadv(**bs, range, iov);
  else
    r = Failure(std::move(bs).error());
  co_await detour.back();
  co_return r;
}

CoResult<> BlockBackend::co_pwritev(ByteRange range, IoVector iov) {
  if (AioContext::current() == nullptr) co_await graph_.main_loop().co_switch();
  RequestGate::Pass pass = co_await gate_->co_enter();
  const Detour detour(*this);
  co_await detour.there();
  Result<BlockDriverState*> bs = usable_node();
  Result<> r;
  if (bs) {
    Timed timed(*this, BlockAccounting::kWrite, range.bytes);
    if (throttle_.limited()) {
      ThrottleTicket ticket(throttle_, true, range.bytes);
      co_await ticket;
    }
    r = co_await co_node_pwritev(**bs, range, iov, root_.edge()->may_grow());
    if (r && !write_cache_enabled()) r = co_await co_node_flush(**bs);
    r = timed.done(std::move(r));
  } else {
    r = Failure(std::move(bs).error());
  }
  co_await detour.back();
  co_return r;
}

CoResult<> BlockBackend::co_pwrite_zeroes(ByteRange range, bool may_unmap) {
  if (AioContext::current() == nullptr) co_await graph_.main_loop().co_switch();
  RequestGate::Pass pass = co_await gate_->co_enter();
  const Detour detour(*this);
  co_await detour.there();
  Result<BlockDriverState*> bs = usable_node();
  Result<> r;
  if (bs) {
    Timed timed(*this, BlockAccounting::kWrite, range.bytes);
    if (throttle_.limited()) {
      ThrottleTicket ticket(throttle_, true, range.bytes);
      co_await ticket;
    }
    r = co_await co_node_pwrite_zeroes(**bs, range, may_unmap, root_.edge()->may_grow());
    if (r && !write_cache_enabled()) r = co_await co_node_flush(**bs);
    r = timed.done(std::move(r));
  } else {
    r = Failure(std::move(bs).error());
  }
  co_await detour.back();
  co_return r;
}

CoResult<> BlockBackend::co_pdiscard(ByteRange range) {
  if (AioContext::current() == nullptr) co_await graph_.main_loop().co_switch();
  RequestGate::Pass pass = co_await gate_->co_enter();
  const Detour detour(*this);
  co_await detour.there();
  Result<BlockDriverState*> bs = usable_node();
  Result<> r;
  if (bs) {
    Timed timed(*this, BlockAccounting::kUnmap, range.bytes);
    r = timed.done(co_await co_node_pdiscard(**bs, range));
  } else {
    r = Failure(std::move(bs).error());
  }
  co_await detour.back();
  co_return r;
}

CoResult<> BlockBackend::co_flush() {
  if (AioContext::current() == nullptr) co_await graph_.main_loop().co_switch();
  RequestGate::Pass pass = co_await gate_->co_enter();
  const Detour detour(*this);
  co_await detour.there();
  Result<BlockDriverState*> bs = usable_node();
  Result<> r;
  if (bs) {
    Timed timed(*this, BlockAccounting::kFlush, 0);
    r = timed.done(co_await co_node_flush(**bs));
  } else {
    r = Failure(std::move(bs).error());
  }
  co_await detour.back();
  co_return r;
}

CoResult<> BlockBackend::co_pwrite_compressed(ByteRange range, IoVector iov) {
  if (AioContext::current() == nullptr) co_await graph_.main_loop().co_switch();
  RequestGate::Pass pass = co_await gate_->co_enter();
  const Detour detour(*this);
  co_await detour.there();
  Result<BlockDriverState*> bs = usable_node();
  Result<> r;
  if (bs) {
    Timed timed(*this, BlockAccounting::kWrite, range.bytes);
    if (throttle_.limited()) {
      ThrottleTicket ticket(throttle_, true, range.bytes);
      co_await ticket;
    }
    r = timed.done(co_await co_node_pwrite_compressed(**bs, range, iov));
  } else {
    r = Failure(std::move(bs).error());
  }
  co_await detour.back();
  co_return r;
}

// These two are the main loop's.

CoResult<BlockStatus> BlockBackend::co_block_status(ByteRange range) {
  RequestGate::Pass pass = co_await gate_->co_enter();
  BlockDriverState* bs = co_await or_return(usable_node());
  co_return co_await co_node_block_status(*bs, range);
}

CoResult<> BlockBackend::co_truncate(uint64_t bytes, Preallocation how) {
  RequestGate::Pass pass = co_await gate_->co_enter();
  BlockDriverState* bs = co_await or_return(usable_node());
  co_return co_await co_node_truncate(*bs, bytes, how);
}

Result<uint64_t> BlockBackend::getlength() const {
  if (!is_inserted()) return fail(ENOMEDIUM, "No medium found");
  return root_.node().total_bytes();
}

CoResult<> BlockBackend::co_drain() {
  std::shared_ptr<RequestGate> gate = gate_;
  gate->begin();
  {
    const UndelayedRequests undelayed(*this);
    co_await gate->co_idle();
  }
  gate->end();
  co_return Result<>();
}

IoErrorAction BlockBackend::error_action(bool is_read, int errnum) const {
  switch (is_read ? on_read_error_ : on_write_error_) {
    case BlockErrorPolicy::kAuto:
      return !is_read && errnum == ENOSPC ? IoErrorAction::kStop : IoErrorAction::kReport;
    case BlockErrorPolicy::kEnospc:
      return errnum == ENOSPC ? IoErrorAction::kStop : IoErrorAction::kReport;
    case BlockErrorPolicy::kStop:
      return IoErrorAction::kStop;
    case BlockErrorPolicy::kIgnore:
      return IoErrorAction::kIgnore;
    case BlockErrorPolicy::kReport:
      break;
  }
  return IoErrorAction::kReport;
}

bool BlockBackend::iostatus_enabled() const {
  return iostatus_enabled_ &&
         (on_write_error_ == BlockErrorPolicy::kEnospc || on_write_error_ == BlockErrorPolicy::kStop ||
          on_read_error_ == BlockErrorPolicy::kStop);
}

void BlockBackend::set_iostatus_error(int errnum) {
  if (iostatus_ == BlockIoStatus::kOk)
    iostatus_ = errnum == ENOSPC ? BlockIoStatus::kNospace : BlockIoStatus::kFailed;
}

}  // namespace rhea
