// A virtio-blk-pci on a PCI bus of its own, RAM, a disk node that fails on request; no CPU.
#pragma once

#include <gtest/gtest.h>

#include <cstring>

#include "block/graph/open.h"
#include "chardev/chardev_set.h"
#include "hw/virtio/virtio_blk.h"
#include "hw/virtio/virtio_pci.h"
#include "hw/virtio/virtio_types.h"
#include "tests/unit/ide/disc_node.h"
#include "util/byteorder.h"

namespace rhea {

class VirtioRig : public testing::Test {
 protected:
  static constexpr uint64_t kRamBytes = 4 << 20;
  static constexpr uint16_t kIo = 0xc000;
  VirtioRig() {
    loop->make_current();
    static const bool registered = [] {
      register_virtio_types(TypeRegistry::instance());
      return true;
    }();
    std::ignore = registered;
    graph.register_driver(kDiskDriver);
    graph.stop_machine = [this] { ++stops; };
    system_memory().add_subregion(0, *ram_region);
  }
  ~VirtioRig() override {
    for (auto& d : devices) {
      EXPECT_TRUE(run(d->co_stop()));
      remove_device(*d);
    }
    devices.clear();
    EXPECT_TRUE(run(graph.co_shutdown()));
    system_memory().remove_subregion(*ram_region);
  }
  template <class T>
  Result<T> run(CoResult<T> work) {
    return run_to_completion(*loop, std::move(work));
  }

  /// A function on a new disk of 1 MiB, in the next slot.
  VirtioPci& plug(Json properties = Json::object({})) {
    const std::string node = str_cat("disk", devices.size());
    Json options;
    options.set("driver", "disk");
    options.set("node-name", node);
    options.set("size", 1 << 20);
    OpenRequest request(OptionTree::from_json(options), std::string());
    nodes.push_back(run(co_open_node(graph, std::move(request))).value());
    properties.set("drive", node);
    return plug_kind("virtio-blk-pci", std::move(properties));
  }
  VirtioPci& plug_kind(const char* type, Json properties = Json::object({})) {
    auto device = make_device(type, properties).value();
    auto function = std::static_pointer_cast<VirtioPci>(device);
    EXPECT_TRUE(run(function->co_prepare(context)));
    function->set_devfn(pci::devfn(static_cast<int>(devices.size()) + 4, 0));
    Result<> added = add_device(function, pci.get(), *machine, str_cat("d", devices.size()));
    EXPECT_TRUE(added) << added.error().message();
    devices.push_back(function);
    function->config_write(pci::kBar0, kIo + 0x100 * static_cast<uint32_t>(devices.size() - 1), 4);
    function->config_write(pci::kCommand, 7, 2);
    return *function;
  }
  DiskNode& disk(VirtioPci& f) { return static_cast<DiskNode&>(*f.block_backend()->node()); }

  void out(VirtioPci& f, unsigned reg, uint32_t value, unsigned size) {
    io_space().store(f.bar_address(0) + reg, value, size);
  }
  uint32_t in(VirtioPci& f, unsigned reg, unsigned size) {
    return static_cast<uint32_t>(io_space().load(f.bar_address(0) + reg, size));
  }
  /// As a processor does it: what was put before is seen by a device's thread that sees this.
  template <class T>
  void put(GuestAddr at, T value) {
    __atomic_store_n(word<T>(at), value, __ATOMIC_RELEASE);
  }
  template <class T>
  T get(GuestAddr at) {
    return __atomic_load_n(word<T>(at), __ATOMIC_ACQUIRE);
  }
  template <class T>
  T* word(GuestAddr at) {
    EXPECT_EQ(at % sizeof(T), 0u);
    return reinterpret_cast<T*>(ram_block->host() + at);
  }
  /// A legacy driver with queue `n` at page `page`.
  void start(VirtioPci& f, uint32_t page = 0x10, uint16_t n = 0, uint32_t features = 0) {
    out(f, 18, 0, 1);
    out(f, 18, 3, 1);
    out(f, 4, features, 4);
    out(f, 14, n, 2);
    out(f, 8, page, 4);
    out(f, 18, 7, 1);
  }
  /// One request of `type` for `sector`, its header, data of 512 bytes and status at 0x20000.
  void offer(VirtioPci& f, uint32_t type, uint64_t sector, uint32_t page = 0x10, uint16_t n = 0) {
    const GuestAddr ring = GuestAddr{page} << 12, avail = ring + 16 * 256;
    const auto index = get<uint16_t>(avail + 2);
    put<uint32_t>(0x20000, type);
    put<uint64_t>(0x20008, sector);
    put<uint8_t>(0x21200, 0xff);
    describe(ring, 0x20000, 16, 1, 1);
    describe(ring + 16, 0x21000, 512, static_cast<uint16_t>(type == 1 ? 1 : 3), 2);
    describe(ring + 32, 0x21200, 1, 2, 0);
    put<uint16_t>(avail + 4 + 2u * (index % 256), 0);
    put<uint16_t>(avail + 2, static_cast<uint16_t>(index + 1));
    out(f, 16, n, 2);
    for (int i = 0; i < 8; ++i) loop->run_once(false);
  }
  void describe(GuestAddr at, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next) {
    put<uint64_t>(at, addr);
    put<uint32_t>(at + 8, len);
    put<uint16_t>(at + 12, flags);
    put<uint16_t>(at + 14, next);
  }
  uint16_t used_index(uint32_t page = 0x10) {
    const GuestAddr avail = (GuestAddr{page} << 12) + 16 * 256;
    return get<uint16_t>(((avail + 6 + 512 + 4095) & ~GuestAddr{4095}) + 2);
  }

  static std::vector<uint8_t> save(VirtioPci& f) {
    StateWriter writer;
    vmstate_save(*f.backend().vmstate(), f.backend().vmstate_object(), writer);
    return writer.buffer();
  }
  static Result<> load(VirtioPci& f, std::span<const uint8_t> bytes) {
    StateReader reader(bytes);
    TRY(vmstate_load(*f.backend().vmstate(), f.backend().vmstate_object(), reader, 2));
    if (reader.left() != 0) return fail(EINVAL, reader.left(), " bytes are left");
    return {};
  }
  static std::string load_error(VirtioPci& f, const std::vector<uint8_t>& bytes) {
    const Result<> r = load(f, bytes);
    return r ? "(loaded)" : r.error().message();
  }

  std::unique_ptr<AioContext> loop = std::move(AioContext::create("test").value());
  BlockGraph graph{*loop};
  ChardevSet chardevs{*loop};
  DeviceContext context{*loop, virtual_clock(), graph, chardevs};
  int stops = 0;
  std::shared_ptr<RamBlock> ram_block = std::move(RamBlock::create("pc.ram", kRamBytes).value());
  std::unique_ptr<MemoryRegion> ram_region = MemoryRegion::ram("ram", ram_block);
  std::shared_ptr<Container> machine = std::make_shared<Container>();
  std::shared_ptr<PciBus> pci = std::make_shared<PciBus>("pci.0", system_memory(), system_io());
  std::vector<NodeRef> nodes;
  std::vector<std::shared_ptr<VirtioPci>> devices;
};

}  // namespace rhea
