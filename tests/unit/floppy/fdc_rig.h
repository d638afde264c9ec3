// A floppy controller with one drive and a disk in memory, a DMA controller, RAM; no CPU.
#pragma once

#include <gtest/gtest.h>

#include "block/graph/block_graph.h"
#include "block/graph/open.h"
#include "hw/dma/i8257.h"
#include "hw/floppy/isa_fdc.h"
#include "util/co_sync.h"

namespace rhea {

/// A disk kept in memory: each sector's bytes are its number. Requests fail or are held back on request.
class DiskNode final : public BlockDriverState {
 public:
  static constexpr uint64_t kBytes = 2880 * 512;
  CoResult<> co_open(OpenContext&) override {
    bytes.resize(kBytes);
    for (uint64_t i = 0; i < kBytes; ++i) bytes[i] = static_cast<uint8_t>(i / 512);
    co_return Result<>();
  }
  CoResult<> co_preadv(ByteRange range, IoVector iov) override;
  CoResult<> co_pwritev(ByteRange range, IoVector iov) override;
  CoResult<uint64_t> co_getlength() override { co_return kBytes; }
  std::string exact_filename() const override { return "disk://"; }
  void release() {
    hold = false;
    held.wake_all();
  }
  std::vector<uint8_t> bytes;
  int fail_next = 0;
  bool hold = false;
  CoQueue held;
};

class Level final : public IrqSink {
 public:
  void set_irq(int, int level) override { now = level; }
  int now = 0;
};

class FdcRig : public testing::Test {
 protected:
  static constexpr uint64_t kRamBytes = 1 << 20, kBuffer = 0x10000;
  FdcRig();
  ~FdcRig() override;

  template <class T>
  Result<T> run(CoResult<T> work) {
    return run_to_completion(*loop, std::move(work));
  }
  uint8_t in(unsigned reg) { return static_cast<uint8_t>(io_space().load(0x3f0 + reg, 1)); }
  void out(unsigned reg, uint8_t value) { io_space().store(0x3f0 + reg, value, 1); }
  void send(std::initializer_list<uint8_t> command) {
    for (const uint8_t byte : command) out(5, byte);
  }
  /// Runs the loop until MSR under `mask` is `value`; false after five seconds.
  bool reaches(uint8_t mask, uint8_t value);
  std::vector<uint8_t> result();
  void set_dma(size_t bytes, uint8_t mode);
  std::vector<uint8_t> save();
  Result<> load(std::span<const uint8_t> bytes);

  std::unique_ptr<AioContext> loop = std::move(AioContext::create("test").value());
  BlockGraph graph{*loop};
  Level irq;
  std::shared_ptr<RamBlock> ram_block = std::move(RamBlock::create("pc.ram", kRamBytes).value());
  std::unique_ptr<MemoryRegion> ram_region = MemoryRegion::ram("ram", ram_block);
  std::shared_ptr<Container> machine = std::make_shared<Container>();
  std::shared_ptr<IsaBus> isa;
  std::shared_ptr<I8257> dma = std::make_shared<I8257>();
  std::shared_ptr<IsaFdc> fdc = std::make_shared<IsaFdc>();
  std::shared_ptr<FloppyDrive> drive;
  DiskNode* disk = nullptr;
};

}  // namespace rhea
