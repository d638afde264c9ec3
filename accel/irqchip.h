// Interrupt controllers and the timer that live in the kernel: their state, and the messages they take.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>

#include "util/result.h"

namespace rhea {

/// A message signalled interrupt: a write of `data` to `address`.
struct MsiMessage {
  uint64_t address = 0;
  uint32_t data = 0;
  friend bool operator==(const MsiMessage&, const MsiMessage&) = default;
};

/// One 8259A (Intel 8259A data sheet); the names are those of its registers and latches.
struct KernelPicState {
  uint8_t last_irr = 0, irr = 0, imr = 0, isr = 0;
  uint8_t priority_add = 0, irq_base = 0, read_reg_select = 0, poll = 0, special_mask = 0, init_state = 0;
  uint8_t auto_eoi = 0, rotate_on_auto_eoi = 0, special_fully_nested_mode = 0, init4 = 0, elcr = 0;
  uint8_t elcr_mask = 0;
  friend bool operator==(const KernelPicState&, const KernelPicState&) = default;
};

/// The 82093AA I/O APIC.
struct KernelIoapicState {
  uint64_t base = 0xfec00000;
  uint32_t ioregsel = 0, id = 0, irr = 0;
  std::array<uint64_t, 24> redirection{};
  friend bool operator==(const KernelIoapicState&, const KernelIoapicState&) = default;
};

/// The 82C54 timer, its gate and the speaker's data bit.
struct KernelPitState {
  struct Channel {
    uint32_t count = 0;
    uint16_t latched_count = 0;
    uint8_t count_latched = 0, status_latched = 0, status = 0;
    uint8_t read_state = 0, write_state = 0, write_latch = 0;
    uint8_t rw_mode = 0, mode = 0, bcd = 0, gate = 0;
    int64_t count_load_time = 0;
    friend bool operator==(const Channel&, const Channel&) = default;
  };
  std::array<Channel, 3> channels;
  uint32_t flags = 0;
  friend bool operator==(const KernelPitState&, const KernelPitState&) = default;
};

/// What a machine brings where only the local APICs are the kernel's (kernel-irqchip=split): its own PIC, I/O
/// APIC and PIT talk to them through this.
class SplitIrqchip {
 public:
  static constexpr size_t kIoapicPins = 24;
  virtual ~SplitIrqchip() = default;
  /// Delivers a message now. Any thread.
  virtual Result<> send_msi(const MsiMessage& message) = 0;
  /// What each input of the I/O APIC sends at present, masked ones nothing: so that the ends of
  /// level-triggered interrupts are reported. Machine lock.
  virtual Result<> set_ioapic_routes(const std::array<std::optional<MsiMessage>, kIoapicPins>& routes) = 0;
  /// The PIC's INT output, at the bootstrap processor. Machine lock.
  virtual void set_pic_output(int level) = 0;
  /// Wiring, before the first vCPU starts; called with the machine lock: the vector of the PIC's interrupt,
  /// which the processor takes; and a local APIC's end of a level-triggered interrupt.
  std::function<uint8_t()> acknowledge_pic;
  std::function<void(uint8_t vector)> on_end_of_interrupt;
};

/// PIC, I/O APIC and PIT of an accelerator that has them in the kernel. Main thread, vCPUs stopped, except
/// where noted.
class KernelIrqchip {
 public:
  virtual ~KernelIrqchip() = default;
  virtual bool has_pit() const = 0;
  /// Drives input `gsi`: 0-15 reach PIC and I/O APIC (0 as the latter's input 2), 16-23 the I/O APIC. Any
  /// thread.
  virtual void set_gsi(int gsi, int level) = 0;
  virtual Result<KernelPicState> get_pic(bool slave) = 0;
  virtual Result<> set_pic(bool slave, const KernelPicState& state) = 0;
  virtual Result<KernelIoapicState> get_ioapic() = 0;
  virtual Result<> set_ioapic(const KernelIoapicState& state) = 0;
  virtual Result<KernelPitState> get_pit() = 0;
  virtual Result<> set_pit(const KernelPitState& state) = 0;
  /// Whether the PIT's interrupts that the guest was too slow for are made up for; they are at first. Fails
  /// where the kernel offers no choice.
  virtual Result<> set_pit_reinjection(bool on) = 0;
  /// All of them as after power-up.
  virtual Result<> reset() = 0;
  /// The vCPUs have stopped, or are about to start: the PIT counts no time in between, as little as the
  /// guest's other clocks do, and its interrupts of that time are not made up for. Until start_time()
  /// get_pit() and set_pit() are about the time at which it stands.
  virtual void stop_time() = 0;
  virtual void start_time() = 0;

  /// Delivers a message now. Any thread.
  virtual Result<> send_msi(const MsiMessage& message) = 0;
  /// A GSI that stands for `message`; fails with ENOSPC when all are taken. Machine lock, as the following.
  virtual Result<int> add_msi_route(const MsiMessage& message) = 0;
  virtual Result<> update_msi_route(int gsi, const MsiMessage& message) = 0;
  virtual void remove_msi_route(int gsi) = 0;
  /// Whenever `event_fd` is signalled, `gsi` is raised. With `resample_fd` (level-triggered lines; else -1)
  /// that one is signalled when the guest acknowledges. Both stay the caller's.
  virtual Result<> add_irqfd(int gsi, int event_fd, int resample_fd = -1) = 0;
  virtual void remove_irqfd(int gsi, int event_fd) = 0;
};

}  // namespace rhea
