#include "hw/virtio/virtio_rng.h"

#include "hw/core/link_property.h"
#include "qapi/vm_control.h"
#include "util/clock.h"

namespace rhea {

namespace {

constexpr PropertyInfo kVirtioRngProperties[] = {
    link_property<VirtioRng, RngBackend, &VirtioRng::backend, &VirtioRng::set_backend>("rng",
                                                                                       "link<rng-backend>"),
    prop<&VirtioRng::max_bytes>("max-bytes"),
    prop<&VirtioRng::period_ms>("period"),
};
constexpr VMState kVirtioRngState{
    .name = "virtio-rng", .version = 1, .minimum_version = 1, .fields = kVirtioStateFields};

}  // namespace

constexpr TypeInfo VirtioRng::kType{
    .name = "virtio-rng-device",
    .parent = &VirtioDevice::kType,
    .create = []() -> std::shared_ptr<Object> { return std::make_shared<VirtioRng>(); },
    .properties = kVirtioRngProperties,
    .category = DeviceCategory::kMisc};

VirtioRng::VirtioRng() = default;

VirtioRng::~VirtioRng() = default;

const VMState* VirtioRng::vmstate() const {
  return &kVirtioRngState;
}

CoResult<> VirtioRng::co_prepare(DeviceContext& context) {
  context_ = &context;
  co_return Result<>();
}

Result<> VirtioRng::do_realize() {
  TRY(VirtioDevice::do_realize());
  if (period_ms == 0) return fail(EINVAL, "'period' parameter expects a positive integer");
  if (max_bytes > INT64_MAX)
    return fail(EINVAL, "'max-bytes' parameter must be non-negative, and less than 2^63");
  if (context_ == nullptr) return fail(EINVAL, "virtio-rng has not been given its loop");
  if (backend_ == nullptr) {
    auto made = std::make_shared<RngBuiltin>();
    TRY(made->complete());
    add_child("default-backend", made);
    backend_ = made;
  }
  ++backend_->users;
  running_ = context_->vm == nullptr || context_->vm->running();
  quota_ = max_bytes;
  period_ = std::make_unique<Timer>(context_->main_loop, context_->clock, [this] { period_begins(); });
  make_queues(1, 8);
  return {};
}

void VirtioRng::do_unrealize() {
  watch_.reset();
  period_.reset();
  --backend_->users;
  VirtioDevice::do_unrealize();
}

void VirtioRng::kind_reset() {
  watch_.reset();
}

void VirtioRng::run_state_changed(bool running) {
  running_ = running;
  if (!running) watch_.reset();
  if (running) serve_all();
}

void VirtioRng::period_begins() {
  quota_ = max_bytes;
  serve_all();
}

/// At most `most` bytes into what the driver gave; how many it were.
Result<uint64_t> VirtioRng::fill(const RingElement& element, uint64_t most) {
  uint64_t done = 0;
  for (const iovec& piece : element.in()) {
    const uint64_t n = std::min<uint64_t>(piece.iov_len, most - done);
    if (n == 0) break;
    const size_t got = TRY(backend_->read({static_cast<uint8_t*>(piece.iov_base), n}));
    done += got;
    if (got < n) break;
  }
  return done;
}

void VirtioRng::wait_for_backend() {
  if (backend_->fd() < 0) return;
  watch_ = context_->main_loop.watch_fd(backend_->fd(), EPOLLIN, [this](uint32_t) {
    watch_.reset();
    serve_all();
  });
}

/// One buffer after another, each with what the backend has at once.
void VirtioRng::serve(VirtioQueue& queue) {
  while (running_ && watch_ == nullptr && may_serve(queue)) {
    if (max_bytes != INT64_MAX && !period_->pending()) {
      quota_ = max_bytes;
      period_->arm_in(int64_t{period_ms} * 1'000'000);
    }
    if (quota_ == 0) return;
    Result<bool> popped = queue.ring->pop(element_);
    if (!popped) return broken(popped.error());
    if (!*popped) return;
    const uint64_t wanted = std::min({element_.in_bytes(), quota_, kMostAtOnce});
    const Result<uint64_t> got = fill(element_, wanted);
    if (!got || (*got == 0 && wanted != 0)) {  // a backend that fails gives nothing
      queue.ring->unpop(element_);
      return wait_for_backend();
    }
    if (max_bytes != INT64_MAX) quota_ -= *got;
    complete(queue, element_, static_cast<uint32_t>(*got));
  }
}

}  // namespace rhea
