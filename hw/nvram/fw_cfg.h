// The fw_cfg device at I/O ports 0x510-0x51b: how firmware and guests read what the VM process has for them.
// Spec: docs/specs/fw_cfg in QEMU's documentation ("QEMU Firmware Configuration Device").
//
//   0x510  selector  write 16 bits
//   0x511  data      read 8 bits; writes are ignored
//   0x514  DMA       64-bit big-endian descriptor address; writing the low half (0x518) starts the transfer.
//                    Reads give the bytes "QEMU CFG".
#pragma once

#include <memory>

#include "hw/core/device.h"
#include "hw/nvram/fw_cfg_store.h"
#include "memory/memory.h"

namespace rhea {

class FwCfgIo final : public Device {
 public:
  static const TypeInfo kType;  ///< "fw_cfg_io"
  const TypeInfo& type() const override { return kType; }

  /// Where the registers appear and what DMA reaches. Before realize(); both must outlive the device.
  void connect(MemoryRegion& io, AddressSpace& memory) {
    io_ = &io;
    memory_ = &memory;
  }
  /// The contents. Add files after realize() (which sets the number of slots) and before the guest runs.
  FwCfgStore& store() { return store_; }
  bool dma_enabled() const { return dma_enabled_; }

  bool hotpluggable() const override { return false; }
  void reset() override;
  const VMState* vmstate() const override;
  void* vmstate_object() override { return this; }

 protected:
  Result<> do_realize() override;
  void do_unrealize() override;

 private:
  struct Description;  // properties and VMState, which name private members
  uint64_t data_read(uint64_t offset, unsigned size);
  void data_write(uint64_t offset, uint64_t value, unsigned size);
  uint64_t dma_read(uint64_t offset, unsigned size);
  void dma_write(uint64_t offset, uint64_t value, unsigned size);
  void start_dma();
  void before_save();

  FwCfgStore store_;
  bool dma_enabled_ = true;
  uint16_t file_slots_ = 0x20;
  uint64_t dma_address_ = 0;  // guest-controlled

  // Copies for the stream: the cursor, and the sizes of the ACPI files.
  uint16_t saved_entry_ = 0;
  uint32_t saved_offset_ = 0;
  uint64_t tables_bytes_ = 0, loader_bytes_ = 0, rsdp_bytes_ = 0;

  MemoryRegion* io_ = nullptr;
  AddressSpace* memory_ = nullptr;
  MmioOf<FwCfgIo, &FwCfgIo::data_read, &FwCfgIo::data_write> data_handler_{*this};
  MmioOf<FwCfgIo, &FwCfgIo::dma_read, &FwCfgIo::dma_write> dma_handler_{*this};
  std::unique_ptr<MemoryRegion> data_region_, dma_region_;
};

/// Makes the types of this folder known.
void register_nvram_types();

}  // namespace rhea
