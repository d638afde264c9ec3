// Doorbells and interrupts of a virtio function as event descriptors: the guest's notification of a queue
// rings an eventfd that the queue's loop hears, and what the queue signals reaches the guest by another,
// which the kernel turns into an MSI-X message where it can (irqfd) and the main loop does elsewhere.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "util/aio_context.h"
#include "util/result.h"
#include "util/unique_fd.h"

namespace rhea {

class VirtioPci;

/// Machine lock, but for signal().
class VirtioPciEvents {
 public:
  /// For the queues `owner` has by now, which it keeps as long as this lives. Main loop, as the end of it.
  static Result<std::unique_ptr<VirtioPciEvents>> create(VirtioPci& owner, AioContext& main_loop);
  ~VirtioPciEvents();
  VirtioPciEvents(const VirtioPciEvents&) = delete;

  /// Doorbells are heard or not. When they begin to be, every queue is looked at once.
  void set_on(bool on);
  /// Queue `n` was enabled, or is not any more.
  void queue_changed(size_t n);
  /// A queue's vector, or what the vectors' table says, may have changed.
  void vectors_changed();
  /// The guest is to be interrupted for queue `n`, which is served elsewhere than in the main loop. Any
  /// thread.
  void signal(size_t n);
  /// Interrupts for what was signalled so far.
  void deliver();
  /// What was signalled is void.
  void forget();

 private:
  struct Queue {
    UniqueFd bell;
    std::unique_ptr<FdWatch> watch;  ///< belongs to the queue's loop
    bool rings = false;              ///< the bell is where the guest reaches it
    UniqueFd irq;
    int gsi = -1;
    bool irq_on = false;            ///< the kernel has `irq`
    std::atomic<int> irq_fd{-1};    ///< `irq` while the kernel has it: for signal()
    std::atomic<bool> told{false};  ///< signalled, and the main loop has not seen to it
  };
  VirtioPciEvents(VirtioPci& owner, AioContext& main_loop, size_t queues);
  void start(size_t n);
  void stop(size_t n);
  void rewire(size_t n);
  bool kernel_takes(size_t n, Queue& q);
  void unwire(size_t n, bool drop_route);

  VirtioPci& owner_;
  AioContext& main_loop_;
  std::vector<Queue> queues_;
  UniqueFd call_;  ///< some queue is told
  std::unique_ptr<FdWatch> call_watch_;
  bool on_ = false;
};

}  // namespace rhea
