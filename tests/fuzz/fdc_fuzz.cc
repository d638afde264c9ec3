// The floppy controller: any bytes into its command and data ports, DMA from and to memory, a disk in the
// drive.
#include "block/drivers/drivers.h"
#include "block/graph/open.h"
#include "chardev/chardev_set.h"
#include "hw/dma/i8257.h"
#include "hw/floppy/isa_fdc.h"
#include "tests/fuzz/isa_guest.h"
#include "util/co_sync.h"

namespace rhea {
namespace {

CoResult<> co_give_floppy(BlockGraph& graph) {
  Json options = Json::object(
      {{"driver", "null-co"}, {"node-name", "disk"}, {"size", uint64_t{2880 * 512}}, {"read-zeroes", true}});
  OpenRequest request(OptionTree::from_json(options), std::string());
  Result<NodeRef> opened = co_await co_open_node(graph, std::move(request));
  NodeRef node = co_await or_return(std::move(opened));
  Result<GraphWriteLock> lock = co_await graph.co_lock();
  graph.set_monitor_owned(*lock, *node, true);
  co_return Result<>();
}

void must(const Result<>& r) {
  if (!r) abort();
}

}  // namespace
}  // namespace rhea

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace rhea;
  IsaGuest guest{FuzzInput(data, size)};
  BlockGraph graph(*guest.loop);
  register_block_drivers(graph);
  must(run_to_completion(*guest.loop, co_give_floppy(graph)));
  auto ram = std::move(RamBlock::create("pc.ram", 1 << 20)).value();
  auto memory = MemoryRegion::container("memory", MemoryRegion::kWholeSpace);
  auto ram_region = MemoryRegion::ram("ram", ram);
  memory->add_subregion(0, *ram_region);
  AddressSpace space("memory", *memory);
  auto machine = std::make_shared<Container>();
  auto dma = std::make_shared<I8257>();
  auto fdc = std::make_shared<IsaFdc>();
  auto drive = std::make_shared<FloppyDrive>();
  dma->memory = &space;
  guest.bus->dma[0] = dma.get();
  ChardevSet chardevs(*guest.loop);
  DeviceContext context(*guest.loop, guest.clock, graph, chardevs);
  must(add_device(dma, guest.bus.get(), *machine, "dma"));
  must(run_to_completion(*guest.loop, fdc->co_prepare(context)));
  must(add_device(fdc, guest.bus.get(), *machine, "fdc"));
  must(drive->set_property("drive", "disk"));
  must(run_to_completion(*guest.loop, drive->co_prepare(context)));
  must(add_device(drive, &fdc->floppy_bus(), *machine, "drive"));
  reset_devices(*machine);
  guest.run(*fdc, 0x3f0, 8, [&](uint8_t what) {
    if ((what & 1) != 0)
      return guest.ports.store(what >> 1 & 0x0f, guest.input.u8(), 1);  // the DMA controller
    for (int i = 0; i < 9; ++i)
      guest.ports.store(0x3f5, i == 0 ? what : guest.input.u8(), 1);  // a whole command
  });
  for (const auto& device : {std::static_pointer_cast<Device>(drive), std::static_pointer_cast<Device>(fdc),
                             std::static_pointer_cast<Device>(dma)}) {
    must(run_to_completion(*guest.loop, device->co_stop()));
    remove_device(*device);
  }
  fdc.reset();
  drive.reset();
  must(run_to_completion(*guest.loop, graph.co_shutdown()));
  return 0;
}
