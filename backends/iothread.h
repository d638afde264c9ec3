// iothread: an event loop with a thread of its own, for devices and block nodes to run in.
#pragma once

#include <memory>
#include <thread>

#include "qom/user_creatable.h"
#include "util/aio_context.h"

namespace rhea {

/// Made with -object iothread. The loop runs from complete() to the object's death.
class IoThread final : public UserCreatable {
 public:
  static const TypeInfo kType;  ///< "iothread"
  const TypeInfo& type() const override { return kType; }
  ~IoThread() override;

  Result<> complete() override;
  bool can_be_deleted() const override { return users_ == 0; }
  /// Its loop; null before complete().
  AioContext* loop() const { return loop_.get(); }
  /// The host's id of the thread.
  int thread_id() const { return thread_id_; }
  /// While somebody uses it, it cannot be deleted.
  void add_user() { ++users_; }
  void remove_user() { --users_; }

  // Properties. The loop waits in the kernel and never polls, so that those about polling are kept for who
  // asks; the pool's bounds are those of the process's one pool of threads.
  int64_t poll_max_ns = 32768, poll_grow = 0, poll_shrink = 0;
  int64_t aio_max_batch = 0, thread_pool_min = 0, thread_pool_max = 64;

  /// All of them, in the order of their ids.
  static std::vector<IoThread*> all();

 private:
  static const PropertyInfo kProperties[];
  std::unique_ptr<AioContext> loop_;
  std::thread thread_;
  int thread_id_ = 0;
  unsigned users_ = 0;
};

}  // namespace rhea
