// Fuzzes fw_cfg: a guest that selects any item, reads on, and points the DMA interface at any descriptor.
#include <cstdlib>
#include <cstring>
#include <span>

#include "hw/nvram/fw_cfg.h"

namespace rhea {
namespace {

constexpr uint64_t kRamBytes = 1 << 16;

class Board {
 public:
  Board() {
    Result<std::shared_ptr<RamBlock>> block = RamBlock::create("ram", kRamBytes);
    if (!block) abort();
    ram_ = *block;
    ram_region_ = MemoryRegion::ram("ram", ram_);
    system_->add_subregion(0, *ram_region_);
    device_->connect(*io_, memory_);
    if (!device_->realize()) abort();
    FwCfgStore& store = device_->store();
    store.set_u32(FwCfgKey::kSignature, 0x554d4551);
    if (!store.add_file("etc/plain", Bytes(100)) ||
        !store.add_file("etc/writable", Bytes(16), {.writable = true}) ||
        !store.add_file("etc/rounded", Bytes(33), {.unit = 0x1000}))
      abort();
    device_->reset();
  }
  ~Board() { device_->unrealize(); }

  void run(std::span<const uint8_t> input) {
    while (input.size() >= 5) {
      uint32_t value = 0;
      std::memcpy(&value, &input[1], sizeof value);
      step(input[0], value);
      input = input.subspan(5);
    }
    device_->reset();
    ports_.store(0x510, 0, 2);
    if (ports_.load(0x511, 1) != 'Q') abort();
  }

 private:
  void step(uint8_t what, uint32_t value) {
    switch (what % 6) {
      case 0:
        return ports_.store(0x510, value & 0xffff, 2);
      case 1:
        std::ignore = ports_.load(0x511, 1);
        return;
      case 2:
        return ports_.store(0x510 + value % 12, value, 1u << (what / 6 % 3));
      case 3:
        return memory_.store(value % kRamBytes & ~3u, value >> 8, 4);
      case 4:
        return descriptor(what, value);
      default:
        ports_.store(0x514, 0, 4);
        return ports_.store(0x518, __builtin_bswap32(value % (2 * kRamBytes)), 4);
    }
  }
  /// A well-formed descriptor, so that transfers of all kinds are met: control, length, address, big endian.
  void descriptor(uint8_t what, uint32_t value) {
    const uint32_t at = value % 1024 * 16;
    memory_.store(at, __builtin_bswap32((value >> 16 & 0x3f) << 16 | (what >> 3 & 0x1f)), 4);
    memory_.store(at + 4, __builtin_bswap32(value >> 4 & 0xffff), 4);
    memory_.store(at + 8, 0, 4);
    memory_.store(at + 12, __builtin_bswap32(value & 0x1ffff), 4);
    ports_.store(0x518, __builtin_bswap32(at), 4);
  }

  std::unique_ptr<MemoryRegion> io_ = MemoryRegion::container("io", 0x10000);
  std::unique_ptr<MemoryRegion> system_ = MemoryRegion::container("system", MemoryRegion::kWholeSpace);
  AddressSpace ports_{"ports", *io_};
  AddressSpace memory_{"memory", *system_};
  std::shared_ptr<RamBlock> ram_;
  std::unique_ptr<MemoryRegion> ram_region_;
  std::shared_ptr<FwCfgIo> device_ = std::make_shared<FwCfgIo>();
};

}  // namespace
}  // namespace rhea

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  rhea::Board board;
  board.run({data, size});
  return 0;
}
