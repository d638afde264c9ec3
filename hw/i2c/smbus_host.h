// The SMBus host controller of the PIIX4. Spec: Intel 82371AB data sheet (290562-001), 7.3.
// Nothing takes time on this bus: a transfer is seen under way by one read of the status, and then is over.
#pragma once

#include "hw/i2c/i2c_bus.h"
#include "memory/memory.h"
#include "migration/vmstate/vmstate.h"

namespace rhea {

struct SmbusHostState {
  static constexpr size_t kBlockBytes = 32;
  uint8_t status = 0;   ///< SMBHSTSTS
  uint8_t control = 0;  ///< SMBHSTCNT
  uint8_t command = 0;  ///< SMBHSTCMD
  uint8_t address = 0;  ///< SMBHSTADD: bit 0 reads
  uint8_t data0 = 0, data1 = 0;
  uint32_t index = 0;  ///< into the block
  std::array<uint8_t, kBlockBytes> block{};
  bool started = false;  ///< the transfer is done when the guest has seen that it is under way
  // On the wire only: of a later controller, whose blocks go byte by byte.
  uint8_t aux_control = 2, block_byte = 0;
  bool i2c_enable = false, byte_done = false, reads_i2c_block = false;
};

class SmbusHost {
 public:
  static constexpr uint64_t kBytes = 16;
  static const VMState kVmState;  ///< of `state`
  explicit SmbusHost(I2cBus& bus) : bus_(bus) {}
  SmbusHost(const SmbusHost&) = delete;
  void reset() { state = {}; }
  uint64_t read(uint64_t offset, unsigned size);
  void write(uint64_t offset, uint64_t value, unsigned size);
  SmbusHostState state;

 private:
  uint8_t next_block_byte();
  bool transfer();
  bool transfer_block(I2cDevice& device, bool reads);

  I2cBus& bus_;
};

}  // namespace rhea
