#include "hw/virtio/virtio_pci_events.h"

#include <sys/eventfd.h>

#include "accel/accel.h"
#include "hw/virtio/virtio_pci.h"

namespace rhea {

namespace {

UniqueFd make_event() {
  return UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
}

void set_event(int fd) {
  const uint64_t one = 1;
  std::ignore = ::write(fd, &one, sizeof one);  // it fails where it is set already, many times
}

/// True if it was set.
bool clear_event(int fd) {
  uint64_t count;
  return ::read(fd, &count, sizeof count) == sizeof count;
}

KernelIrqchip* kernel_irqchip() {
  Accelerator* const accel = machine_accelerator();
  return accel != nullptr ? accel->irqchip() : nullptr;
}

}  // namespace

VirtioPciEvents::VirtioPciEvents(VirtioPci& owner, AioContext& main_loop, size_t queues)
    : owner_(owner), main_loop_(main_loop), queues_(queues) {}

Result<std::unique_ptr<VirtioPciEvents>> VirtioPciEvents::create(VirtioPci& owner, AioContext& main_loop) {
  const VirtioDevice& device = owner.backend();
  std::unique_ptr<VirtioPciEvents> events(new VirtioPciEvents(owner, main_loop, device.queue_count()));
  VirtioPciEvents* const self = events.get();
  bool calls = false;
  for (size_t n = 0; n < self->queues_.size(); ++n) {
    Queue& q = self->queues_[n];
    if (device.queue_loop(n) != nullptr) {
      calls = true;
    } else if (owner.has_doorbells()) {  // without one the guest's writes come to the registers
      q.bell = make_event();
      if (!q.bell) continue;
      q.watch = main_loop.watch_fd(q.bell.get(), EPOLLIN, [self, n](uint32_t) {
        if (clear_event(self->queues_[n].bell.get()) && self->on_) self->owner_.backend().notify(n);
      });
    }
  }
  if (!calls) return events;
  self->call_ = make_event();
  if (!self->call_) return fail_errno(errno, "Could not make an event for interrupts");
  self->call_watch_ = main_loop.watch_fd(self->call_.get(), EPOLLIN, [self](uint32_t) { self->deliver(); });
  return events;
}

VirtioPciEvents::~VirtioPciEvents() {
  set_on(false);
}

void VirtioPciEvents::set_on(bool on) {
  if (std::exchange(on_, on) == on) return;
  const MemoryTransaction all_at_once;
  for (size_t n = 0; n < queues_.size(); ++n) {
    if (on)
      start(n);
    else
      stop(n);
  }
}

void VirtioPciEvents::queue_changed(size_t n) {
  if (!on_) return;
  stop(n);
  start(n);
}

void VirtioPciEvents::start(size_t n) {
  Queue& q = queues_[n];
  VirtioDevice& device = owner_.backend();
  if (!device.queue(n)->enabled) return;
  if (!q.bell) q.bell = make_event();
  if (!q.bell) return;
  if (AioContext* const loop = device.queue_loop(n))
    loop->run_sync([&] {
      q.watch = loop->watch_fd(q.bell.get(), EPOLLIN, [this, n](uint32_t) {
        if (clear_event(queues_[n].bell.get())) owner_.backend().doorbell(n);
      });
    });
  for (const VirtioPci::Doorbell& bell : owner_.doorbells(n, q.bell.get()))
    bell.region->add_ioevent(bell.event);
  q.rings = true;
  rewire(n);
  set_event(q.bell.get());  // for what was put there while nobody heard
}

void VirtioPciEvents::stop(size_t n) {
  Queue& q = queues_[n];
  if (!std::exchange(q.rings, false)) return;
  for (const VirtioPci::Doorbell& bell : owner_.doorbells(n, q.bell.get()))
    bell.region->remove_ioevent(bell.event);
  if (AioContext* const loop = owner_.backend().queue_loop(n)) loop->run_sync([&] { q.watch.reset(); });
  clear_event(q.bell.get());
  unwire(n, true);
}

// --- Interrupts.

void VirtioPciEvents::signal(size_t n) {
  Queue& q = queues_[n];
  if (const int fd = q.irq_fd.load(std::memory_order_acquire); fd >= 0) return set_event(fd);
  if (!q.told.exchange(true, std::memory_order_acq_rel)) set_event(call_.get());
}

void VirtioPciEvents::deliver() {
  if (!call_) return;
  clear_event(call_.get());
  for (size_t n = 0; n < queues_.size(); ++n)
    if (queues_[n].told.exchange(false, std::memory_order_acq_rel))
      owner_.queue_interrupt(owner_.backend().queue(n)->vector);
}

void VirtioPciEvents::forget() {
  for (Queue& q : queues_) q.told.store(false, std::memory_order_release);
}

void VirtioPciEvents::vectors_changed() {
  if (!on_) return;
  for (size_t n = 0; n < queues_.size(); ++n) rewire(n);
}

void VirtioPciEvents::rewire(size_t n) {
  Queue& q = queues_[n];
  if (!q.rings || owner_.backend().queue_loop(n) == nullptr) return;
  if (!kernel_takes(n, q)) return unwire(n, false);
  q.irq_fd.store(q.irq.get(), std::memory_order_release);
}

/// Whether the kernel turns `irq` into the queue's message, from now on if it did not.
bool VirtioPciEvents::kernel_takes(size_t n, Queue& q) {
  KernelIrqchip* const chip = kernel_irqchip();
  if (chip == nullptr || owner_.msix() == nullptr) return false;
  const std::optional<Msix::Message> now = owner_.msix()->message(owner_.backend().queue(n)->vector);
  if (!now) return false;
  const MsiMessage message{.address = now->address, .data = now->data};
  if (q.gsi < 0) {
    const Result<int> gsi = chip->add_msi_route(message);
    if (!gsi) return false;
    q.gsi = *gsi;
  } else if (!chip->update_msi_route(q.gsi, message)) {
    return false;
  }
  if (q.irq_on) return true;
  if (!q.irq) q.irq = make_event();
  q.irq_on = q.irq && chip->add_irqfd(q.gsi, q.irq.get()).has_value();
  return q.irq_on;
}

/// What the kernel has not taken comes by the main loop.
void VirtioPciEvents::unwire(size_t n, bool drop_route) {
  Queue& q = queues_[n];
  KernelIrqchip* const chip = kernel_irqchip();
  if (std::exchange(q.irq_on, false)) {
    q.irq_fd.store(-1, std::memory_order_release);
    owner_.backend().at_home(n, [] {});  // nobody is about to set it any more
    chip->remove_irqfd(q.gsi, q.irq.get());
    if (clear_event(q.irq.get())) owner_.queue_interrupt(owner_.backend().queue(n)->vector);
  }
  if (!drop_route || q.gsi < 0) return;
  chip->remove_msi_route(std::exchange(q.gsi, -1));
}

}  // namespace rhea
