// QMP: query-iothreads.
#include "backends/iothread.h"
#include "qapi/qapi_commands_qom.h"

namespace rhea {

Result<std::vector<IOThreadInfo>> qmp_query_iothreads(QmpContext&) {
  std::vector<IOThreadInfo> out;
  for (const IoThread* thread : IoThread::all()) {
    IOThreadInfo& info = out.emplace_back();
    info.id = thread->name();
    info.thread_id = thread->thread_id();
    info.poll_max_ns = thread->poll_max_ns;
    info.poll_grow = thread->poll_grow;
    info.poll_shrink = thread->poll_shrink;
    info.aio_max_batch = thread->aio_max_batch;
  }
  return out;
}

}  // namespace rhea
