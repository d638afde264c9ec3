#include "backends/iothread.h"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <future>

namespace rhea {

namespace {

/// A count or a time that is not below zero, told in the words users know.
template <auto Member>
constexpr PropertyInfo bounded(const char* name) {
  PropertyInfo info = prop<Member>(name);
  info.type = "int";
  info.at_run_time = true;
  info.set = [](Object& o, std::string_view n, const Json& value, ValueForm form) -> Result<> {
    const int64_t v = TRY(property_int(n, value, form, INT64_MIN, INT64_MAX));
    if (v < 0) return fail(EINVAL, n, " value must be in range [0, ", INT64_MAX, "]");
    auto& thread = static_cast<IoThread&>(o);
    thread.*Member = v;
    thread.apply_limits();
    return {};
  };
  return info;
}

/// Bounds of the pool; the lower may not pass the upper, once both are known.
template <auto Member>
constexpr PropertyInfo pool_bound(const char* name) {
  PropertyInfo info = bounded<Member>(name);
  info.set = [](Object& o, std::string_view n, const Json& value, ValueForm form) -> Result<> {
    auto& thread = static_cast<IoThread&>(o);
    const int64_t v = TRY(property_int(n, value, form, INT64_MIN, INT64_MAX));
    if (v < 0) return fail(EINVAL, n, " value must be in range [0, ", INT64_MAX, "]");
    const int64_t before = std::exchange(thread.*Member, v);
    if (thread.loop() == nullptr || thread.thread_pool_min <= thread.thread_pool_max) return {};
    thread.*Member = before;
    return fail(EINVAL, "bad thread-pool-min/thread-pool-max values");
  };
  return info;
}

}  // namespace

constexpr PropertyInfo IoThread::kProperties[] = {
    bounded<&IoThread::poll_max_ns>("poll-max-ns"),
    bounded<&IoThread::poll_grow>("poll-grow"),
    bounded<&IoThread::poll_shrink>("poll-shrink"),
    bounded<&IoThread::aio_max_batch>("aio-max-batch"),
    pool_bound<&IoThread::thread_pool_min>("thread-pool-min"),
    pool_bound<&IoThread::thread_pool_max>("thread-pool-max"),
};
static constexpr TypeInfo kEventLoopBaseType{
    .name = "event-loop-base", .parent = &Object::kType, .interfaces = UserCreatable::kInterfaces};
constexpr TypeInfo IoThread::kType{
    .name = "iothread",
    .parent = &kEventLoopBaseType,
    .create = []() -> std::shared_ptr<Object> { return std::make_shared<IoThread>(); },
    .properties = IoThread::kProperties,
    .user_creatable = true};

IoThread::~IoThread() {
  if (!thread_.joinable()) return;
  loop_->stop();
  thread_.join();
}

Result<> IoThread::complete() {
  if (thread_pool_min > thread_pool_max || thread_pool_max == 0)
    return fail(EINVAL, "bad thread-pool-min/thread-pool-max values");
  loop_ = TRY(AioContext::create(name().empty() ? std::string("machine") : name()));
  loop_->attach(&AioLimits::kKey, aio_limits_);
  apply_limits();
  std::promise<int> started;
  std::future<int> id = started.get_future();
  thread_ = std::thread([this, &started] {
    const std::string shown = str_cat("IO ", loop_->name()).substr(0, 15);  // the kernel's limit
    pthread_setname_np(pthread_self(), shown.c_str());
    started.set_value(static_cast<int>(::gettid()));
    loop_->run();
  });
  thread_id_ = id.get();
  return {};
}

void IoThread::apply_limits() {
  aio_limits_->max_batch.store(aio_max_batch, std::memory_order_relaxed);
  if (loop_ != nullptr) loop_->set_poll({.max_ns = poll_max_ns, .grow = poll_grow, .shrink = poll_shrink});
}

std::vector<IoThread*> IoThread::all() {
  std::vector<IoThread*> out;
  for (const auto& child : qom_root().container("/objects").children())
    if (auto* thread = dynamic_cast<IoThread*>(child.get())) out.push_back(thread);
  std::ranges::sort(out, {}, &Object::name);
  return out;
}

}  // namespace rhea
