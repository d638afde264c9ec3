// What a vCPU does when KVM_RUN returns.
#include "accel/kvm/kvm_ioctl.h"
#include "accel/kvm/kvm_vcpu.h"
#include "util/locks.h"
#include "util/log.h"

namespace rhea {

void KvmVcpu::handle_exit() {
  switch (run_->exit_reason) {
    case KVM_EXIT_IO:
      return handle_io();
    case KVM_EXIT_MMIO:
      return handle_mmio();
    case KVM_EXIT_INTR:
    case KVM_EXIT_IRQ_WINDOW_OPEN:
      return;
    case KVM_EXIT_SHUTDOWN:  // a triple fault
      return report_guest(shared_.callbacks.on_guest_reset);
    case KVM_EXIT_SYSTEM_EVENT:
      return handle_system_event();
    case KVM_EXIT_IOAPIC_EOI:
      return handle_end_of_interrupt();
    case KVM_EXIT_FAIL_ENTRY:
      return internal_error(str_cat("KVM: entry failed, hardware error 0x",
                                    hex(run_->fail_entry.hardware_entry_failure_reason)));
    case KVM_EXIT_INTERNAL_ERROR:
      return print_internal_error();
    case KVM_EXIT_UNKNOWN:
      return internal_error(
          str_cat("KVM: unknown exit, hardware reason ", hex(run_->hw.hardware_exit_reason)));
    default:
      return internal_error(str_cat("KVM: unknown exit reason ", run_->exit_reason));
  }
}

/// A string instruction brings several accesses at once; they stay together under one hold of the lock.
void KvmVcpu::handle_io() {
  auto* data = reinterpret_cast<uint8_t*>(run_) + run_->io.data_offset;
  unsigned size = run_->io.size;
  std::unique_lock<MachineLock> lock;
  if (run_->io.count > 1) lock = std::unique_lock(machine_lock());
  exit_open_ = true;
  for (uint32_t i = 0; i < run_->io.count; ++i, data += size) {
    if (run_->io.direction == KVM_EXIT_IO_OUT)
      std::ignore = io_space().write(run_->io.port, data, size);  // a port nobody has takes it silently
    else
      std::ignore = io_space().read(run_->io.port, data, size);  // and reads as ones
  }
}

void KvmVcpu::handle_mmio() {
  exit_open_ = true;
  auto& access = run_->mmio;
  uint32_t bytes = std::min<uint32_t>(access.len, sizeof access.data);
  if (access.is_write)
    std::ignore = memory_space().write(access.phys_addr, access.data, bytes);
  else
    std::ignore = memory_space().read(access.phys_addr, access.data, bytes);
}

void KvmVcpu::handle_system_event() {
  switch (run_->system_event.type) {
    case KVM_SYSTEM_EVENT_SHUTDOWN:
      return report_guest(shared_.callbacks.on_guest_shutdown);
    case KVM_SYSTEM_EVENT_RESET:
      return report_guest(shared_.callbacks.on_guest_reset);
    default:
      return internal_error(str_cat("KVM: unknown system event ", run_->system_event.type));
  }
}

void KvmVcpu::handle_end_of_interrupt() {
  if (shared_.split == nullptr || !shared_.split->on_end_of_interrupt) return;
  MachineGuard machine(machine_lock());
  shared_.split->on_end_of_interrupt(run_->eoi.vector);
}

/// Tells the machine and stays out of the guest until it is started again.
void KvmVcpu::report_guest(const std::function<void()>& callback) {
  request_stop();
  if (!callback) return;
  MachineGuard machine(machine_lock());
  callback();
}

void KvmVcpu::print_internal_error() {
  std::string text = str_cat("KVM internal error. Suberror: ", run_->internal.suberror);
  uint32_t words = std::min<uint32_t>(run_->internal.ndata, std::size(run_->internal.data));
  for (uint32_t i = 0; i < words; ++i)
    str_append(text, "\nextra data[", i, "]: 0x", hex(run_->internal.data[i], 16));
  if (run_->internal.suberror == KVM_INTERNAL_ERROR_EMULATION) text += "\nemulation failure";
  internal_error(text);
}

void KvmVcpu::internal_error(const std::string& what) {
  std::string text = what;
  Result<X86State> state = kvm_get_state(fd_.get(), shared_.shape);
  text += "\n";
  text += state ? x86_registers_text(*state) : state.error().message();
  error_report(text);
  report_guest(shared_.callbacks.on_internal_error);
}

}  // namespace rhea
