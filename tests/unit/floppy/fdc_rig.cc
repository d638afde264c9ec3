#include "tests/unit/floppy/fdc_rig.h"

#include <chrono>
#include <cstring>

#include "chardev/chardev_set.h"

namespace rhea {

namespace {

const BlockDriver kDiskDriver = {
    .name = "disk",
    .is_protocol = true,
    .make = []() -> std::unique_ptr<BlockDriverState> { return std::make_unique<DiskNode>(); },
};

CoResult<> co_make_disk(BlockGraph& graph) {
  Json options;
  options.set("driver", "disk");
  options.set("node-name", "disk0");
  options.set("read-only", false);
  OpenRequest request(OptionTree::from_json(options), std::string());
  Result<NodeRef> opened = co_await co_open_node(graph, std::move(request));
  NodeRef node = co_await or_return(std::move(opened));
  Result<GraphWriteLock> lock = co_await graph.co_lock();
  graph.set_monitor_owned(*lock, *node, true);
  co_return Result<>();
}

}  // namespace

CoResult<> DiskNode::co_preadv(ByteRange range, IoVector iov) {
  while (hold) co_await held.co_wait();
  if (fail_next != 0) co_return fail(std::exchange(fail_next, 0), "bad sector");
  uint64_t at = range.offset;
  iov.for_each([&](void* data, size_t n) {
    std::memcpy(data, &bytes[at], n);
    at += n;
  });
  co_return Result<>();
}

CoResult<> DiskNode::co_pwritev(ByteRange range, IoVector iov) {
  while (hold) co_await held.co_wait();
  if (fail_next != 0) co_return fail(std::exchange(fail_next, 0), "bad sector");
  uint64_t at = range.offset;
  iov.for_each([&](void* data, size_t n) {
    std::memcpy(&bytes[at], data, n);
    at += n;
  });
  co_return Result<>();
}

FdcRig::FdcRig() {
  loop->make_current();
  static const bool registered = [] {
    register_floppy_types(TypeRegistry::instance());
    return true;
  }();
  std::ignore = registered;
  graph.register_driver(kDiskDriver);
  system_memory().add_subregion(0, *ram_region);
  std::array<IrqLine, 16> lines;
  lines[6] = IrqLine(irq, 6);
  isa = std::make_shared<IsaBus>("isa.0", system_io(), lines);
  isa->dma[0] = dma.get();
  dma->memory = &memory_space();
  EXPECT_TRUE(add_device(dma, isa.get(), *machine, "dma"));
  ChardevSet chardevs(*loop);
  DeviceContext context(*loop, virtual_clock(), graph, chardevs);
  EXPECT_TRUE(run(fdc->co_prepare(context)));
  EXPECT_TRUE(add_device(fdc, isa.get(), *machine, "fdc"));
  EXPECT_TRUE(run(co_make_disk(graph)));
  disk = static_cast<DiskNode*>(graph.find_node("disk0"));
  drive = std::make_shared<FloppyDrive>();
  EXPECT_TRUE(drive->set_property("drive", "disk0"));
  EXPECT_TRUE(run(drive->co_prepare(context)));
  EXPECT_TRUE(add_device(drive, &fdc->floppy_bus(), *machine, "drive"));
}

FdcRig::~FdcRig() {
  disk->release();
  EXPECT_TRUE(run(fdc->co_stop()));
  remove_device(*fdc);
  remove_device(*dma);
  drive.reset();
  fdc.reset();
  EXPECT_TRUE(run(graph.co_shutdown()));
}

bool FdcRig::reaches(uint8_t mask, uint8_t value) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  while ((in(4) & mask) != value) {
    if (std::chrono::steady_clock::now() > end) return false;
    loop->run_once(false);
  }
  return true;
}

std::vector<uint8_t> FdcRig::result() {
  EXPECT_TRUE(reaches(0xf0, 0xd0)) << "no result";
  std::vector<uint8_t> out;
  while ((in(4) & 0xd0) == 0xd0) out.push_back(in(5));
  return out;
}

void FdcRig::set_dma(size_t bytes, uint8_t mode) {
  auto port = [](uint16_t at, size_t value) { io_space().store(at, value & 0xff, 1); };
  port(0x0a, 4 | 2);
  port(0x0c, 0);
  port(0x0b, mode | 2u);
  port(0x04, kBuffer);
  port(0x04, kBuffer >> 8);
  port(0x81, kBuffer >> 16);
  port(0x05, bytes - 1);
  port(0x05, (bytes - 1) >> 8);
  port(0x0a, 2);
}

std::vector<uint8_t> FdcRig::save() {
  StateWriter writer;
  vmstate_save(*fdc->vmstate(), fdc->vmstate_object(), writer);
  return writer.buffer();
}

Result<> FdcRig::load(std::span<const uint8_t> bytes) {
  StateReader reader(bytes);
  return vmstate_load(*fdc->vmstate(), fdc->vmstate_object(), reader, fdc->vmstate()->version);
}

}  // namespace rhea
