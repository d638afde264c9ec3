// Configuration space by ports 0xcf8 and 0xcfc: functions of several kinds, BARs anywhere, regions that
// overlap.
#include "hw/ide/piix3_ide.h"
#include "hw/pci/i440fx.h"
#include "hw/watchdog/i6300esb.h"
#include "tests/fuzz/isa_guest.h"

namespace rhea {
namespace {

/// The whole board is at the process's address spaces: it is made anew for each input.
class PciGuest {
 public:
  PciGuest() {
    loop_->make_current();
    clock_.set_manual();
    clock_.start();
    host_->pci_memory = pci_memory_.get();
    host_->io = &system_io();
    add(host_, nullptr, -1);
    bridge_->ram = ram_region_.get();
    bridge_->system = &system_memory();
    bridge_->pci_memory = pci_memory_.get();
    system_memory().add_subregion(0, *pci_memory_, -1);
    add(bridge_, &host_->pci(), pci::devfn(0, 0));
    add(ide_, &host_->pci(), pci::devfn(1, 1));
    watchdog_->connect(*loop_, clock_, nullptr);
    add(watchdog_, &host_->pci(), pci::devfn(2, 0));
  }
  ~PciGuest() {
    for (const auto& device :
         {std::static_pointer_cast<Device>(watchdog_), std::static_pointer_cast<Device>(ide_),
          std::static_pointer_cast<Device>(bridge_), std::static_pointer_cast<Device>(host_)})
      remove_device(*device);
  }
  void run(FuzzInput input) {
    while (!input.done()) {
      const uint8_t op = input.u8();
      const unsigned width = 1u << (op >> 4) % 3;
      switch (op & 7) {
        case 0:
          io_space().store(0xcf8, input.u32(), 4);
          break;
        case 1:
        case 2:  // functions that are there
          io_space().store(0xcf8, 0x8000'0000 | (input.u16() & 0x17fc), 4);
          [[fallthrough]];
        case 3:
          io_space().store(0xcfc + (op >> 6), input.u32(), width);
          break;
        case 4:
          io_space().load(0xcfc + (op >> 6), width);
          break;
        case 5:
          memory_space().load(input.u32(), width);
          break;
        case 6:
          io_space().load(input.u16(), width);
          break;
        default:
          reset_devices(*machine_);
          break;
      }
    }
  }

 private:
  template <class T>
  void add(std::shared_ptr<T> device, Bus* bus, int devfn) {
    if constexpr (requires { device->set_devfn(devfn); }) device->set_devfn(devfn);
    if (!add_device(device, bus, *machine_, "device[*]")) abort();
  }
  VirtualClock clock_;  // outlives the loop, which knows it
  std::unique_ptr<AioContext> loop_ = std::move(AioContext::create("fuzz")).value();
  std::shared_ptr<RamBlock> ram_ = std::move(RamBlock::create("pc.ram", 1 << 20)).value();
  std::unique_ptr<MemoryRegion> ram_region_ = MemoryRegion::ram("ram", ram_);
  std::unique_ptr<MemoryRegion> pci_memory_ = MemoryRegion::container("pci", MemoryRegion::kWholeSpace);
  std::shared_ptr<Container> machine_ = std::make_shared<Container>();
  std::shared_ptr<I440fxPciHost> host_ = std::make_shared<I440fxPciHost>();
  std::shared_ptr<I440fx> bridge_ = std::make_shared<I440fx>();
  std::shared_ptr<Piix3Ide> ide_ = std::make_shared<Piix3Ide>();
  std::shared_ptr<I6300Esb> watchdog_ = std::make_shared<I6300Esb>();
};

}  // namespace
}  // namespace rhea

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  rhea::PciGuest guest;
  guest.run(rhea::FuzzInput(data, size));
  return 0;
}
