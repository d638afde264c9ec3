// NOR flash with the Intel command set, as firmware and its variables live in.
// Spec: JEDEC JESD68.01 (Common Flash Interface); Intel StrataFlash J3 data sheet (290667), chapter 4.
//
// Reads of the array go straight to memory. Any command shows registers instead, until the guest asks for the
// array again. What the guest programs is in memory at once and follows to the disk soon after.
#pragma once

#include <memory>
#include <set>

#include "block/graph/block_backend.h"
#include "hw/core/device.h"
#include "memory/memory.h"
#include "util/co_sync.h"

namespace rhea {

struct PflashState {
  uint8_t write_cycle = 0;  ///< of a command of several writes
  uint8_t command = 0;      ///< what reads show; 0: the array
  uint8_t status = 0;
  uint64_t counter = 0;  ///< bytes a buffered write still brings
};

class PflashCfi01 final : public Device, public MmioHandler {
 public:
  static const TypeInfo kType;  ///< "cfi.pflash01"
  const TypeInfo& type() const override { return kType; }
  bool hotpluggable() const override { return false; }
  /// Finds the disk and reads it: the whole of it is the array.
  CoResult<> co_prepare(DeviceContext& context) override;
  CoResult<> co_stop() override;
  BlockBackend* block_backend() override { return blk_; }
  void reset() override;
  const VMState* vmstate() const override;
  void* vmstate_object() override { return this; }

  /// Wiring, before realize: where the array ends (its last byte is at end - 1).
  GuestAddr end = 0;
  MemoryRegion* system = nullptr;
  std::string name;   ///< of its memory
  std::string drive;  ///< block backend or node
  uint64_t sector_bytes = 4096;
  /// The array; after co_prepare().
  const std::shared_ptr<RamBlock>& array() const { return array_; }
  PflashState state;

  uint64_t mmio_read(uint64_t offset, unsigned size) override;
  void mmio_write(uint64_t offset, uint64_t value, unsigned size) override;

 protected:
  Result<> do_realize() override;
  void do_unrealize() override;

 private:
  class Registers;
  CoResult<> co_find_backend(BlockGraph& graph);
  CoResult<> co_read_all();
  void command_written(uint8_t value);
  void confirm_written(uint64_t offset, uint8_t value);
  void buffer_written(uint64_t offset, uint8_t value);
  void program(uint64_t offset, uint8_t value);
  void erase(uint64_t offset);
  void show_array();
  void show_registers();
  void mark(uint64_t offset);
  CoResult<> co_write_back();
  uint8_t query_byte(uint64_t offset) const;
  static const PropertyInfo kProperties[];
  static const VMState kVmState;

  AioContext* loop_ = nullptr;
  BlockBackend* blk_ = nullptr;
  std::unique_ptr<BlockBackend> own_;
  bool read_only_ = false;
  std::shared_ptr<RamBlock> array_;
  std::unique_ptr<MemoryRegion> array_region_, register_region_;
  std::set<uint64_t> unsaved_;  ///< offsets of sectors that are newer than the disk
  bool saving_ = false;
  Gate work_;
};

}  // namespace rhea
