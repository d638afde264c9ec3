// iothread: an event loop with a thread of its own, for devices and block nodes to run in.
#pragma once

#include <memory>
#include <thread>

#include "qom/user_creatable.h"
#include "util/aio_context.h"
#include "util/aio_limits.h"

namespace rhea {

/// Made with -object iothread. The loop runs from complete() to the object's death. It can be deleted while
/// devices use it, as users know it from QEMU: it then leaves the tree, and lives on until the last of them
/// lets go.
class IoThread final : public UserCreatable {
 public:
  static const TypeInfo kType;  ///< "iothread"
  const TypeInfo& type() const override { return kType; }
  ~IoThread() override;

  Result<> complete() override;
  /// Its loop; null before complete().
  AioContext* loop() const { return loop_.get(); }
  /// The host's id of the thread.
  int thread_id() const { return thread_id_; }

  // Properties. The loop looks for work for up to poll_max_ns before it sleeps. With native AIO
  // aio_max_batch requests are submitted at once at most; the pool's bounds are those of the process's one
  // pool of threads.
  int64_t poll_max_ns = 32768, poll_grow = 0, poll_shrink = 0;
  int64_t aio_max_batch = 0, thread_pool_min = 0, thread_pool_max = 64;

  /// What was set holds from now on.
  void apply_limits();

  /// All of them, in the order of their ids.
  static std::vector<IoThread*> all();

 private:
  static const PropertyInfo kProperties[];
  std::shared_ptr<AioLimits> aio_limits_ = std::make_shared<AioLimits>();
  std::unique_ptr<AioContext> loop_;
  std::thread thread_;
  int thread_id_ = 0;
};

}  // namespace rhea
