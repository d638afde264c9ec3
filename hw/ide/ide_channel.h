// One ATA channel: command block, control block, interrupt, two units. Spec: ATA/ATAPI-6 (T13/1410D),
// chapters 7 and 9.
#pragma once

#include <array>
#include <cstdint>

#include "hw/core/irq.h"
#include "hw/ide/ide_drive.h"

namespace rhea {

class IdeDma;

/// A request that a stream tells to wait for the machine to go on; a drive of the channel takes it over.
struct LoadedRetry {
  int32_t status = 0;  ///< which kind, as on the wire; 0: none
  uint64_t lba = 0;
  uint32_t sectors = 0;
  unsigned unit = 0;
};

/// Machine lock.
class IdeChannel {
 public:
  /// Wiring: INTRQ, and the bus master (null: PIO only).
  IrqLine intrq;
  IdeDma* dma = nullptr;

  std::array<IdeUnit, 2> units;

  // The guest's accesses. `reg` 1..7 of the command block; data moves 1, 2 or 4 bytes.
  uint8_t read_register(unsigned reg);
  void write_register(unsigned reg, uint8_t value);
  uint32_t read_data(unsigned bytes);
  void write_data(uint32_t value, unsigned bytes);
  uint8_t read_alternate_status() const;
  void write_control(uint8_t value);

  // For drives.
  IdeUnit& selected() { return units[selected_]; }
  /// Asks for the guest's attention.
  void raise_interrupt();
  /// Hands `unit`'s block [pos, end) to the guest, or asks the guest for it.
  void start_pio(IdeUnit& unit, bool interrupt);
  /// `error` in the Error register, Status accordingly, interrupt.
  void fail_command(IdeUnit& unit, uint8_t error);
  void drive_quiet(IdeUnit& unit);

  /// Hardware reset.
  void reset();

  // What travels.
  uint8_t control() const { return control_; }
  unsigned selected_unit() const { return selected_; }
  void restore(uint8_t control, unsigned selected) {
    control_ = control;
    selected_ = selected;
  }
  LoadedRetry loaded_retry;

 private:
  bool present(const IdeUnit& u) const { return u.drive != nullptr; }
  uint8_t status_of(const IdeUnit& u) const { return present(u) ? u.regs.status : 0; }
  void set_pending(bool on);
  void write_both(uint8_t value, uint8_t TaskFile::*now, uint8_t TaskFile::*before);
  void command(uint8_t opcode);
  void execute_diagnostic();
  void begin_reset(IdeUnit& unit);
  void finish_reset(IdeUnit& unit);

  uint8_t control_ = 0;
  unsigned selected_ = 0;
  bool pending_ = false;             ///< an interrupt the guest has not read Status for
  std::array<bool, 2> resetting_{};  ///< waits for a drive to become quiet
};

}  // namespace rhea
