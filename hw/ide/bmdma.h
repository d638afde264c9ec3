// One channel of the PIIX bus-master IDE function. Spec: SFF-8038i "Programming Interface for Bus Master IDE
// Controller", revision 1.0, sections 1.2 (PRD table), 2 (registers), 3 (operation).
#pragma once

#include <cstdint>
#include <functional>

#include "hw/core/irq.h"
#include "hw/ide/ide_dma.h"

namespace rhea {

struct BmdmaState {
  uint8_t command = 0;  // BMICx 2.1
  uint8_t status = 0;   // BMISx 2.2
  uint32_t prdt = 0;    // BMIDTPx 2.3: guest-physical address, bits 1:0 read as zero
  // Where in the table a transfer is.
  uint32_t next_prd = 0;  ///< address of the entry to be fetched next
  uint32_t prd_addr = 0;  ///< memory of the entry in use not yet used
  uint32_t prd_left = 0;  ///< its bytes
  bool prd_last = false;  ///< it is the table's last
};

/// Machine lock.
class BmdmaChannel final : public IdeDma, public IrqSink {
 public:
  // BMISx.
  static constexpr uint8_t kActive = 0x01, kError = 0x02, kInterrupt = 0x04, kCapable = 0x60;
  // BMICx.
  static constexpr uint8_t kStart = 0x01, kToMemory = 0x08;

  /// Wiring: the ISA interrupt line; reads guest memory as the function's bus master.
  IrqLine irq;
  std::function<MemResult(GuestAddr, void*, uint64_t)> dma_read;
  /// Whether the function may use the bus; empty: it may. If not, all memory seems to be zeroes, and what is
  /// written is lost.
  std::function<bool()> may_master;

  /// `offset` 0..7. Unused ones read as ones.
  uint8_t read(unsigned offset) const;
  void write(unsigned offset, uint8_t value);
  void reset();

  /// INTRQ of the channel.
  void set_irq(int, int level) override;

  void request(IdeDrive& drive) override;
  void withdraw(IdeDrive& drive) override;
  uint64_t collect(GuestScatter& out, uint64_t max, Direction direction) override;
  void suspended() override { running_ = false; }
  void restart(IdeDrive& drive) override;
  void finished() override;
  void overrun() override;
  void stopped() override;

  BmdmaState state;

 private:
  /// Fetches the next entry; false: the table has ended or cannot be read.
  bool fetch_prd();
  bool at_end() const { return state.prd_left == 0 && state.prd_last; }
  bool reachable() const { return !may_master || may_master(); }
  void rewind();
  void write_command(uint8_t value);
  void run();

  IdeDrive* drive_ = nullptr;  ///< asks for data to be moved
  bool running_ = false;       ///< dma_run() has been called, and not ended
  bool intrq_ = false;
};

}  // namespace rhea
