// Fuzzes a hard disk through its registers: a guest that writes any port, gives any command, points the bus
// master at any table, while the storage fails, the machine stops and goes on, and state is saved and loaded.
#include <algorithm>
#include <cstdlib>

#include "block/drivers/drivers.h"
#include "block/graph/open.h"
#include "chardev/chardev_set.h"
#include "hw/ide/ide_hd.h"
#include "hw/ide/piix3_ide.h"
#include "util/byteorder.h"

namespace rhea {
namespace {

constexpr uint16_t kBmdma = 0xc000;
constexpr uint64_t kRamBytes = 1 << 20;

template <class T>
T must(Result<T> r) {
  if (!r) abort();
  if constexpr (!std::is_void_v<T>) return std::move(r).value();
}

/// A disk on a node whose requests fail now and then.
CoResult<> co_give_disk(BlockGraph& graph) {
  Json options = Json::object({{"driver", "blkdebug"},
                               {"node-name", "disk"},
                               {"discard", "unmap"},
                               {"image.driver", "null-co"},
                               {"image.size", uint64_t{8 << 20}},
                               {"image.read-zeroes", true},
                               {"inject-error.0.event", "none"},
                               {"inject-error.0.sector", 100},
                               {"inject-error.0.immediately", true}});
  OpenRequest request(OptionTree::from_json(options), std::string());
  Result<NodeRef> opened = co_await co_open_node(graph, std::move(request));
  NodeRef node = co_await or_return(std::move(opened));
  Result<GraphWriteLock> lock = co_await graph.co_lock();
  graph.set_monitor_owned(*lock, *graph.find_node("disk"), true);
  co_return Result<>();
}

/// The machine: one disk, whose failures stop the machine.
class Board {
 public:
  Board() {
    loop_->make_current();
    register_block_drivers(graph_);
    must(run_to_completion(*loop_, co_give_disk(graph_)));
    system_memory().add_subregion(0, *ram_region_);
    ide_->set_devfn(pci::devfn(1, 1));
    must(add_device(ide_, pci_.get(), *machine_, "ide"));
    hd_ = std::make_shared<IdeHd>();
    must(hd_->set_property("drive", "disk"));
    must(hd_->set_property("rerror", "stop"));
    must(hd_->set_property("werror", "stop"));
    ChardevSet chardevs(*loop_);
    DeviceContext context(*loop_, virtual_clock(), graph_, chardevs);
    must(run_to_completion(*loop_, hd_->co_prepare(context)));
    must(add_device(hd_, &ide_->bus(0), *machine_, "hd"));
    map_ports();
  }
  ~Board() {
    must(run_to_completion(*loop_, hd_->co_stop()));
    remove_device(*ide_);
    hd_.reset();
    ide_.reset();
    must(run_to_completion(*loop_, graph_.co_shutdown()));
  }

  void run(const uint8_t* data, size_t size) {
    next_ = data;
    end_ = data + size;
    while (next_ != end_) step();
    // Whatever was done, a reset makes a working drive of it.
    reset_devices(*machine_);
    map_ports();
    spin();
    if ((io_space().load(0x3f6, 1) & ata::kBsy) != 0 || io_space().load(0x1f4, 1) != 0) abort();
  }

 private:
  uint8_t u8() { return next_ != end_ ? *next_++ : 0; }
  uint32_t u32() {
    uint32_t v = u8();
    for (int i = 1; i < 4; ++i) v |= uint32_t{u8()} << (8 * i);
    return v;
  }
  void spin() {
    for (int i = 0; i < 64 && !hd_->is_quiet(); ++i) loop_->run_once(false);
  }
  void map_ports() {
    ide_->config_write(pci::kBar0 + 16, kBmdma, 4);
    ide_->config_write(pci::kCommand, pci::kCommandIo | pci::kCommandMaster, 2);
  }
  static unsigned width(uint8_t n) { return 1u << (n % 3); }

  void step() {
    const uint8_t op = u8();
    switch (op % 12) {
      case 0: {
        const uint8_t reg = u8();
        return io_space().store(0x1f0 + reg % 8, u32(), width(reg >> 4));
      }
      case 1:
        return static_cast<void>(io_space().load(0x1f0 + u8() % 8, width(op >> 4)));
      case 2:
        return io_space().store(0x3f6, u8(), 1);
      case 3:
        return packet();
      case 4: {
        const uint8_t reg = u8();
        return io_space().store(kBmdma + reg % 8, u32(), width(reg >> 4));
      }
      case 5:
        return table();
      case 6:
        return drain();
      case 7:
        return spin();
      case 8:
        return host(u8());
      case 9:
        return save_and_load();
      case 10: {
        const uint8_t at = u8();
        return ide_->config_write(at & 0xfc, u32(), 4);
      }
      case 11:
        reset_devices(*machine_);
        return map_ports();
    }
  }
  /// A command with registers of the fuzzer's choice; half of them inside the disk.
  void packet() {
    io_space().store(0x1f6, (u8() & 0x4f) | 0xa0, 1);
    for (unsigned reg = 1; reg < 6; ++reg) io_space().store(0x1f0 + reg, u8(), 1);
    io_space().store(0x1f7, u8(), 1);
  }
  void table() {
    const int entries = u8() % 8 + 1;
    for (int i = 0; i < entries; ++i) {
      memory_space().store(0x1000 + 8ull * static_cast<unsigned>(i), u32(), 4);
      memory_space().store(0x1004 + 8ull * static_cast<unsigned>(i), u32(), 4);
    }
    io_space().store(kBmdma + 4, 0x1000, 4);
  }
  void drain() {
    for (int i = u8() * 16; i > 0; --i) io_space().load(0x1f0, 4);
  }
  void host(uint8_t what) {
    if ((what & 1) != 0) hd_->machine_resumed();
    if ((what & 2) != 0) fill();
  }
  /// What a guest that writes does.
  void fill() {
    for (int i = u8() * 16; i > 0; --i) io_space().store(0x1f0, 0x01234567, 4);
  }
  /// A good stream loads; one with a byte changed loads or is refused, and the device starts afresh.
  void save_and_load() {
    spin();
    if (!hd_->is_quiet()) return;
    StateWriter writer;
    vmstate_save(*ide_->vmstate(), ide_->vmstate_object(), writer);
    std::vector<uint8_t> bytes = writer.buffer();
    const uint32_t at = u32();
    const uint8_t change = u8();
    bytes[at % bytes.size()] ^= change;
    StateReader reader(bytes);
    if (!vmstate_load(*ide_->vmstate(), ide_->vmstate_object(), reader, ide_->vmstate()->version))
      ide_->reset();
  }

  const uint8_t* next_ = nullptr;
  const uint8_t* end_ = nullptr;
  std::unique_ptr<AioContext> loop_ = must(AioContext::create("fuzz"));
  BlockGraph graph_{*loop_};
  std::shared_ptr<RamBlock> ram_ = must(RamBlock::create("pc.ram", kRamBytes));
  std::unique_ptr<MemoryRegion> ram_region_ = MemoryRegion::ram("ram", ram_);
  std::shared_ptr<Container> machine_ = std::make_shared<Container>();
  std::shared_ptr<PciBus> pci_ = std::make_shared<PciBus>("pci.0", system_memory(), system_io());
  std::shared_ptr<Piix3Ide> ide_ = std::make_shared<Piix3Ide>();
  std::shared_ptr<IdeHd> hd_;
};

}  // namespace
}  // namespace rhea

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  rhea::Board board;
  board.run(data, size);
  return 0;
}
