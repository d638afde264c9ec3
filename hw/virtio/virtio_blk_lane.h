// VirtioBlkLane: where a virtio disk's requests are taken from its queues, merged, made and given back.
#pragma once

#include <linux/virtio_blk.h>

#include <atomic>
#include <memory>
#include <vector>

#include "hw/virtio/virtio_blk.h"
#include "util/co_sync.h"
#include "util/iov.h"

namespace rhea {

/// Lives in one loop: that of an I/O thread, where it takes no lock, or the main one, where it is used under
/// the machine lock. Everything is called there (at_home()), but for what says otherwise. What serves the
/// guest allocates nothing in the steady state.
class VirtioBlkLane final : public LoopHook {
 public:
  /// `loop` null: the main loop. Main loop, as its end; nothing is in flight then.
  VirtioBlkLane(VirtioBlk& device, AioContext* loop);
  ~VirtioBlkLane() override;

  /// Any thread.
  AioContext* loop() const { return loop_; }
  /// Calls `fn` at home and waits for it. Under the machine lock.
  template <class F>
  void at_home(F&& fn) {
    if (loop_ != nullptr)
      loop_->run_sync(fn);
    else
      fn();
  }
  /// Whether requests are under way. Any thread; exact at home.
  bool is_busy() const { return in_flight_.load(std::memory_order_acquire) != 0; }
  /// Takes no more requests and waits for those under way. Main loop.
  CoResult<> co_stop();

  /// The driver is ready for its queues to be served, or not.
  void set_serving(bool on) { serving_ = on; }
  /// Takes what waits in `queue` and starts it.
  void serve(VirtioQueue& queue);
  /// What is under way or waits is of the past: it is not given back. `epoch` begins.
  void forget(uint64_t epoch);
  void drained_begin() { ++drained_; }
  void drained_end();
  /// Makes the requests that wait for the machine to go on again.
  void retry();

  // Requests that wait, oldest first.
  template <class F>
  void for_each_waiting(F&& fn) const {
    for (const auto& r : waiting_) fn(device_.queue_number(*r->queue), r->element);
  }
  /// Another one; `fill` makes its element.
  template <class F>
  Result<> add_waiting(VirtioQueue& queue, F&& fill) {
    auto request = take_spare();
    TRY(fill(request->element));
    request->queue = &queue;
    request->epoch = epoch_;
    waiting_.push_back(std::move(request));
    return {};
  }

  // LoopHook, in an I/O thread
  bool before_wait() override { return false; }
  void after_batch() override { tell_driver(); }
  bool poll_begin() override;
  bool poll() override;
  bool poll_end() override;

 private:
  /// Data of a descriptor chain: what is left when what stands before and behind it has been taken.
  class Pieces {
   public:
    void assign(std::span<const iovec> all) {
      pieces_.assign(all.begin(), all.end());
      first_ = 0;
    }
    bool take_front(void* out, size_t bytes);
    uint8_t* take_last();
    std::span<const iovec> rest() const { return std::span(pieces_).subspan(first_); }
    IoVector view() const { return IoVector(rest()); }

   private:
    std::vector<iovec> pieces_;
    size_t first_ = 0;
  };
  struct Request {
    RingElement element;
    VirtioQueue* queue = nullptr;
    uint64_t epoch = 0;
    virtio_blk_outhdr header{};
    Pieces out, in;
    uint8_t* status = nullptr;
    uint64_t bytes = 0;         ///< of a transfer
    Request* next = nullptr;    ///< which is made together with this one
    std::vector<iovec> merged;  ///< their data
    bool is_write() const { return (header.type & ~uint32_t{VIRTIO_BLK_T_BARRIER}) == VIRTIO_BLK_T_OUT; }
    const Pieces& data() const { return is_write() ? out : in; }
  };
  static constexpr uint8_t kWaits = 0xff;  ///< no status: it is made again when the machine goes on
  static constexpr size_t kMaxMerged = 32, kMaxMergedPieces = 64;

  bool may_serve(const VirtioQueue& queue) const {
    return serving_ && drained_ == 0 && !stopped_ && queue.ring != nullptr;
  }
  int take(VirtioQueue& queue, int most);
  void start(std::unique_ptr<Request> request);
  bool is_valid_transfer(Request& request) const;
  void submit_batch();
  size_t merge_from(size_t first);
  detail::Detached transfer(Request* first);
  void count_merged(const Request& first, bool done, int64_t start_ns) const;
  detail::Detached execute(Request* request);
  CoResult<uint8_t> co_ranges(Request& request, bool zeroes);
  uint8_t give_id(Request& request) const;
  uint8_t failed(bool is_read, const Error& error);
  void finish(std::unique_ptr<Request> request, uint8_t status);
  void tell_driver();
  void broken(const Error& error);
  void serve_queues();
  std::unique_ptr<Request> take_spare();

  VirtioBlk& device_;
  AioContext* const loop_;
  bool serving_ = false, stopped_ = false, retry_ = false;
  bool tell_quiet_ = false;  ///< the device waits for the end of what was forgotten
  int drained_ = 0;
  int serving_depth_ = 0;
  uint64_t epoch_ = 0;
  std::atomic<int> in_flight_{0};
  detail::Waiter stopping_{};
  std::vector<std::unique_ptr<Request>> spare_, waiting_;
  std::vector<Request*> batch_;  ///< transfers of one direction, not submitted yet; counted in in_flight_
  std::vector<VirtioQueue*> to_tell_;
};

}  // namespace rhea
