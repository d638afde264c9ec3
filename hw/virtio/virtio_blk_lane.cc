// Requests of virtio-blk. Spec: VIRTIO 1.2, section 5.2.6.
#include "hw/virtio/virtio_blk_lane.h"

#include <algorithm>
#include <cstring>

#include "block/qmp/io_error.h"

namespace rhea {

namespace {
constexpr uint64_t kLaneSector = 512;
constexpr uint64_t lane_bit(unsigned n) {
  return uint64_t{1} << n;
}
/// Requests taken before others in the loop have their turn: a driver can add new ones as fast as they end.
constexpr int kLaneBurst = 1024;
}  // namespace

/// Moves `bytes` off the beginning into `out`; false if there are too few.
bool VirtioBlkLane::Pieces::take_front(void* out, size_t bytes) {
  auto* to = static_cast<uint8_t*>(out);
  while (bytes > 0 && first_ < pieces_.size()) {
    iovec& p = pieces_[first_];
    const size_t n = std::min(bytes, p.iov_len);
    std::memcpy(to, p.iov_base, n);
    to += n;
    bytes -= n;
    p.iov_base = static_cast<uint8_t*>(p.iov_base) + n;
    p.iov_len -= n;
    if (p.iov_len == 0) ++first_;
  }
  return bytes == 0;
}

/// Cuts the last byte off and tells where it is; null if there is none.
uint8_t* VirtioBlkLane::Pieces::take_last() {
  if (pieces_.empty()) return nullptr;
  iovec& p = pieces_.back();
  uint8_t* last = static_cast<uint8_t*>(p.iov_base) + --p.iov_len;
  if (p.iov_len == 0) pieces_.pop_back();
  return last;
}

VirtioBlkLane::VirtioBlkLane(VirtioBlk& device, AioContext* loop) : device_(device), loop_(loop) {
  batch_.reserve(kMaxMerged);
  if (loop_ != nullptr) at_home([this] { loop_->add_hook(this); });
}

VirtioBlkLane::~VirtioBlkLane() {
  if (loop_ != nullptr) at_home([this] { loop_->remove_hook(this); });
}

CoResult<> VirtioBlkLane::co_stop() {
  struct Quiet {
    VirtioBlkLane& lane;
    bool await_ready() const { return false; }
    bool await_suspend(std::coroutine_handle<> h) {
      bool busy = false;
      const detail::Waiter waiter{h, AioContext::current()};
      lane.at_home([&] {
        lane.stopped_ = true;
        busy = lane.is_busy();
        if (busy) lane.stopping_ = waiter;
      });
      return busy;
    }
    void await_resume() const {}
  };
  Quiet quiet{*this};
  co_await quiet;
  at_home([] {});  // the last one's end is over
  co_return Result<>();
}

std::unique_ptr<VirtioBlkLane::Request> VirtioBlkLane::take_spare() {
  if (spare_.empty()) return std::make_unique<Request>();
  std::unique_ptr<Request> request = std::move(spare_.back());
  spare_.pop_back();
  return request;
}

void VirtioBlkLane::forget(uint64_t epoch) {
  epoch_ = epoch;
  for (auto& request : waiting_) spare_.push_back(std::move(request));
  waiting_.clear();
  to_tell_.clear();
  retry_ = false;
  tell_quiet_ = is_busy();
}

void VirtioBlkLane::retry() {
  retry_ = true;
  if (drained_ == 0) serve_queues();
}

void VirtioBlkLane::drained_end() {
  if (--drained_ == 0) serve_queues();
}

/// What failed and waited first, then what the driver has put into the queues meanwhile.
void VirtioBlkLane::serve_queues() {
  ++serving_depth_;
  if (std::exchange(retry_, false) && !stopped_)
    for (auto& request : std::exchange(waiting_, {})) start(std::move(request));
  submit_batch();
  --serving_depth_;
  for (size_t n = 0; n < device_.queue_count(); ++n)
    if (&device_.lane_of(n) == this) serve(*device_.queue(n));
  tell_driver();
}

// --- From the queues.

void VirtioBlkLane::serve(VirtioQueue& queue) {
  if (!may_serve(queue)) return;
  ++serving_depth_;
  int left = kLaneBurst;
  bool more = true;
  while (more && left > 0) {
    // No doorbells while it is looked at anyway; one that is missed is made up for by the last look.
    if (Result<> off = queue.ring->set_notifications(false); !off) {
      broken(off.error());
      break;
    }
    left -= take(queue, left);
    submit_batch();
    if (queue.ring == nullptr) break;
    if (Result<> on = queue.ring->set_notifications(true); !on) {
      broken(on.error());
      break;
    }
    more = may_serve(queue) && queue.ring->has_work();
  }
  --serving_depth_;
  tell_driver();
  if (!more || left > 0) return;
  const size_t n = device_.queue_number(queue);
  if (loop_ != nullptr)
    loop_->post([this, n] { serve(*device_.queue(n)); });
  else
    device_.post_main([n](VirtioBlk& device) { device.notify(n); });
}

int VirtioBlkLane::take(VirtioQueue& queue, int most) {
  for (int taken = 0;; ++taken) {
    if (taken == most || !may_serve(queue)) return taken;
    std::unique_ptr<Request> request = take_spare();
    Result<bool> popped = queue.ring->pop(request->element);
    if (!popped || !*popped) {
      spare_.push_back(std::move(request));
      if (!popped) broken(popped.error());
      return taken;
    }
    request->queue = &queue;
    start(std::move(request));
  }
}

void VirtioBlkLane::start(std::unique_ptr<Request> request) {
  Request& r = *request;
  r.epoch = epoch_;
  r.next = nullptr;
  r.out.assign(r.element.out());
  r.in.assign(r.element.in());
  r.status = r.in.take_last();
  if (r.status == nullptr || !r.out.take_front(&r.header, sizeof r.header)) {
    spare_.push_back(std::move(request));
    return broken(Error(EINVAL, "virtio-blk: missing headers"));
  }
  in_flight_.fetch_add(1, std::memory_order_relaxed);
  const uint32_t type = r.header.type & ~uint32_t{VIRTIO_BLK_T_BARRIER};
  if (type != VIRTIO_BLK_T_IN && type != VIRTIO_BLK_T_OUT) {
    submit_batch();
    execute(request.release());
    return;
  }
  if (!is_valid_transfer(r)) return finish(std::move(request), VIRTIO_BLK_S_IOERR);
  const bool full = batch_.size() == kMaxMerged || !device_.request_merging;
  if (!batch_.empty() && (full || batch_.front()->is_write() != r.is_write())) submit_batch();
  batch_.push_back(request.release());
}

bool VirtioBlkLane::is_valid_transfer(Request& request) const {
  const uint64_t sector = request.header.sector, total = device_.capacity_sectors();
  const uint64_t block = device_.conf.logical_block_size;
  uint64_t bytes = 0;
  for (const iovec& piece : request.data().rest()) bytes += piece.iov_len;
  request.bytes = bytes;
  const bool inside = bytes % block == 0 && sector <= total && bytes / kLaneSector <= total - sector &&
                      sector % (block / kLaneSector) == 0;
  return inside && !(request.is_write() && (device_.kind_features() & lane_bit(VIRTIO_BLK_F_RO)) != 0);
}

// --- Transfers. Those of neighbouring sectors are made as one.

void VirtioBlkLane::submit_batch() {
  if (batch_.empty()) return;
  auto by_sector = [](const Request* a, const Request* b) { return a->header.sector < b->header.sector; };
  if (!std::ranges::is_sorted(batch_, by_sector)) std::ranges::stable_sort(batch_, by_sector);
  for (size_t first = 0; first < batch_.size();) {
    Request* const request = batch_[first];
    first = merge_from(first);
    transfer(request);
  }
  batch_.clear();
}

/// Links the requests that continue batch_[first] to it; the number of the first that does not.
size_t VirtioBlkLane::merge_from(size_t first) {
  Request& head = *batch_[first];
  size_t pieces = head.data().rest().size(), end = first + 1;
  uint64_t bytes = head.bytes;
  const BlockDriverState* const node = device_.hold_.get()->node();
  const uint64_t limit =
      node != nullptr && node->limits().max_transfer != 0 ? node->limits().max_transfer : INT32_MAX;
  for (; end < batch_.size(); ++end) {
    Request& r = *batch_[end];
    const size_t count = r.data().rest().size();
    const bool follows = r.header.sector == head.header.sector + bytes / kLaneSector;
    if (!follows || count > kMaxMergedPieces - std::min(pieces, kMaxMergedPieces) ||
        r.bytes > limit - std::min(bytes, limit))
      break;
    batch_[end - 1]->next = &r;
    pieces += count;
    bytes += r.bytes;
  }
  if (end == first + 1) return end;
  head.merged.clear();
  for (size_t i = first; i < end; ++i) {
    const std::span<const iovec> rest = batch_[i]->data().rest();
    head.merged.insert(head.merged.end(), rest.begin(), rest.end());
  }
  return end;
}

detail::Detached VirtioBlkLane::transfer(Request* first) {
  const IoVector data = first->next != nullptr ? IoVector(first->merged) : first->data().view();
  const ByteRange range{first->header.sector * kLaneSector, data.size()};
  BlockBackend& blk = *device_.hold_.get();
  const bool is_write = first->is_write();
  const int64_t start_ns = first->next != nullptr ? BlockAccounting::now_ns() : 0;
  auto work = is_write ? blk.co_pwritev(range, data) : blk.co_preadv(range, data);
  const Result<> done = co_await work;
  if (first->next != nullptr) count_merged(*first, done.has_value(), start_ns);
  for (Request* next = nullptr; first != nullptr; first = next) {
    next = first->next;
    const uint8_t status = done ? uint8_t{VIRTIO_BLK_S_OK} : failed(!is_write, done.error());
    finish(std::unique_ptr<Request>(first), status);
  }
}

/// Those made together with the first are requests of the guest's too; the first one's bytes are all bytes.
void VirtioBlkLane::count_merged(const Request& first, bool done, int64_t start_ns) const {
  BlockAccounting& accounting = device_.hold_.get()->accounting();
  const auto kind = first.is_write() ? BlockAccounting::kWrite : BlockAccounting::kRead;
  for (const Request* r = first.next; r != nullptr; r = r->next) {
    if (done)
      accounting.done(kind, 0, start_ns);
    else
      accounting.failed(kind, start_ns);
    accounting.of[kind].merged.fetch_add(1, std::memory_order_relaxed);
  }
}

// --- The others.

detail::Detached VirtioBlkLane::execute(Request* request) {
  Request& r = *request;
  uint8_t status = VIRTIO_BLK_S_UNSUPP;
  switch (r.header.type & ~uint32_t{VIRTIO_BLK_T_BARRIER}) {
    case VIRTIO_BLK_T_GET_ID:
      status = give_id(r);
      break;
    case VIRTIO_BLK_T_FLUSH: {
      const Result<> flushed = co_await device_.hold_.get()->co_flush();
      status = flushed ? uint8_t{VIRTIO_BLK_S_OK} : failed(false, flushed.error());
      break;
    }
    case VIRTIO_BLK_T_DISCARD:
    case VIRTIO_BLK_T_WRITE_ZEROES: {
      auto work = co_ranges(r, r.header.type == VIRTIO_BLK_T_WRITE_ZEROES);
      const Result<uint8_t> done = co_await work;
      status = done ? *done : uint8_t{VIRTIO_BLK_S_IOERR};
      break;
    }
    default:
      break;
  }
  finish(std::unique_ptr<Request>(request), status);
}

uint8_t VirtioBlkLane::give_id(Request& request) const {
  char id[VIRTIO_BLK_ID_BYTES] = {};
  std::memcpy(id, device_.serial.data(), std::min(device_.serial.size(), sizeof id));
  const IoVector to = request.in.view();
  to.slice(0, std::min(to.size(), sizeof id)).copy_from(id);
  return VIRTIO_BLK_S_OK;
}

CoResult<uint8_t> VirtioBlkLane::co_ranges(Request& request, bool zeroes) {
  virtio_blk_discard_write_zeroes range{};
  const uint64_t feature = lane_bit(zeroes ? VIRTIO_BLK_F_WRITE_ZEROES : VIRTIO_BLK_F_DISCARD);
  const uint32_t most = zeroes ? device_.max_write_zeroes_sectors : device_.max_discard_sectors;
  if ((device_.kind_features() & feature) == 0) co_return uint8_t{VIRTIO_BLK_S_UNSUPP};
  // One range, as the configuration says.
  if (request.out.view().size() != sizeof range || !request.out.take_front(&range, sizeof range))
    co_return uint8_t{VIRTIO_BLK_S_UNSUPP};
  const bool unmap = (range.flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP) != 0;
  if ((range.flags & ~uint32_t{VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP}) != 0 || (unmap && !zeroes))
    co_return uint8_t{VIRTIO_BLK_S_UNSUPP};
  const uint64_t total = device_.capacity_sectors();
  if (range.num_sectors > most || range.sector > total || range.num_sectors > total - range.sector ||
      (device_.kind_features() & lane_bit(VIRTIO_BLK_F_RO)) != 0)
    co_return uint8_t{VIRTIO_BLK_S_IOERR};
  const ByteRange bytes{range.sector * kLaneSector, uint64_t{range.num_sectors} * kLaneSector};
  BlockBackend& blk = *device_.hold_.get();
  auto work = zeroes ? blk.co_pwrite_zeroes(bytes, unmap) : blk.co_pdiscard(bytes);
  Result<> done = co_await work;
  if (!done) co_return failed(false, done.error());
  co_return uint8_t{VIRTIO_BLK_S_OK};
}

// --- Back to the driver.

/// What the driver is told of a failed request; events and the stop of the machine are the main loop's.
uint8_t VirtioBlkLane::failed(bool is_read, const Error& error) {
  const int errnum = error.errnum();
  BlockBackend& blk = *device_.hold_.get();
  const IoErrorAction action = blk.error_action(is_read, errnum);
  if (loop_ == nullptr)
    handle_io_error(blk, is_read, errnum);
  else
    device_.post_main(
        [is_read, errnum](VirtioBlk& device) { handle_io_error(*device.hold_.get(), is_read, errnum); });
  switch (action) {
    case IoErrorAction::kIgnore:
      return VIRTIO_BLK_S_OK;
    case IoErrorAction::kStop:
      return kWaits;
    case IoErrorAction::kReport:
      break;
  }
  return VIRTIO_BLK_S_IOERR;
}

void VirtioBlkLane::finish(std::unique_ptr<Request> request, uint8_t status) {
  Request& r = *request;
  VirtioQueue& queue = *r.queue;
  if (r.epoch == epoch_ && queue.ring != nullptr && status == kWaits) {
    waiting_.push_back(std::move(request));
  } else {
    if (r.epoch == epoch_ && queue.ring != nullptr) {
      *r.status = status;
      const auto written = static_cast<uint32_t>(std::min<uint64_t>(r.element.in_bytes(), UINT32_MAX));
      if (Result<> pushed = queue.ring->push(r.element, written); !pushed) broken(pushed.error());
      if (std::ranges::find(to_tell_, &queue) == to_tell_.end()) to_tell_.push_back(&queue);
    }
    spare_.push_back(std::move(request));
  }
  if (loop_ == nullptr && serving_depth_ == 0) tell_driver();
  if (in_flight_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  if (std::exchange(tell_quiet_, false)) {
    if (loop_ == nullptr)
      device_.became_quiet();
    else
      device_.post_main([](VirtioBlk& device) { device.became_quiet(); });
  }
  if (const detail::Waiter waiter = std::exchange(stopping_, {}); waiter.handle) waiter.wake();
}

/// One interrupt for all that was given back since the last, if the driver wants it.
void VirtioBlkLane::tell_driver() {
  if (serving_depth_ != 0) return;
  for (VirtioQueue* queue : to_tell_) {
    if (queue->ring == nullptr || !queue->ring->take_interrupt()) continue;
    if (loop_ == nullptr)
      device_.transport().queue_interrupt(queue->vector);
    else
      device_.transport().signal_queue(device_.queue_number(*queue));
  }
  to_tell_.clear();
}

void VirtioBlkLane::broken(const Error& error) {
  if (!std::exchange(serving_, false)) return;
  if (loop_ == nullptr) return device_.broken(error);
  device_.post_main([epoch = epoch_, message = std::string(error.message())](VirtioBlk& device) {
    if (device.epoch_ == epoch) device.broken(Error(EINVAL, message));
  });
}

// --- Looking instead of sleeping.

bool VirtioBlkLane::poll_begin() {
  if (!serving_) return false;
  bool any = false;
  for (size_t n = 0; n < device_.queue_count(); ++n) {
    VirtioQueue& queue = *device_.queue(n);
    if (&device_.lane_of(n) == this && may_serve(queue))
      any |= queue.ring->set_notifications(false).has_value();
  }
  return any;
}

bool VirtioBlkLane::poll() {
  if (!serving_) return false;
  bool found = false;
  for (size_t n = 0; n < device_.queue_count(); ++n) {
    VirtioQueue& queue = *device_.queue(n);
    if (&device_.lane_of(n) != this || !may_serve(queue) || !queue.ring->has_work()) continue;
    serve(queue);
    found = true;
  }
  return found;
}

bool VirtioBlkLane::poll_end() {
  if (!serving_) return false;
  for (size_t n = 0; n < device_.queue_count(); ++n) {
    VirtioQueue& queue = *device_.queue(n);
    if (&device_.lane_of(n) == this && may_serve(queue))
      std::ignore = queue.ring->set_notifications(true);  // poll() tells
  }
  return poll();
}

}  // namespace rhea
