#include "block/aio/engine.h"

#include "block/aio/io_uring_engine.h"
#include "block/aio/linux_aio_engine.h"
#include "block/aio/threads_engine.h"

namespace rhea {

Result<AioEngine*> aio_engine(AioKind kind) {
  static ThreadsEngine threads;
  static const char kRingKey = 0, kContextKey = 0;
  if (kind == AioKind::kThreads) return &threads;
  AioContext* loop = AioContext::current();
  if (kind == AioKind::kNative) {
    if (loop == nullptr) return fail(EINVAL, "Linux AIO needs a thread that runs a loop");
    if (void* context = loop->attachment(&kContextKey)) return static_cast<LinuxAioEngine*>(context);
    std::shared_ptr<LinuxAioEngine> made = TRY(LinuxAioEngine::create(*loop));
    loop->attach(&kContextKey, made);
    return made.get();
  }
  if (loop == nullptr) return fail(EINVAL, "io_uring needs a thread that runs a loop");
  if (void* ring = loop->attachment(&kRingKey)) return static_cast<IoUringEngine*>(ring);
  std::shared_ptr<IoUringEngine> engine = TRY(IoUringEngine::create(*loop));
  loop->attach(&kRingKey, engine);
  return engine.get();
}

}  // namespace rhea
