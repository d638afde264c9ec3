#include "tests/unit/ide/ide_rig.h"

#include <chrono>

#include "chardev/chardev_set.h"

namespace rhea {

namespace {
CoResult<NodeRef> co_open(BlockGraph& graph, OptionTree options) {
  OpenRequest request(std::move(options), std::string());
  Result<NodeRef> node = co_await co_open_node(graph, std::move(request));
  co_return node;
}
CoResult<> co_own(BlockGraph& graph, BlockDriverState& node) {
  Result<GraphWriteLock> lock = co_await graph.co_lock();
  graph.set_monitor_owned(*lock, node, true);
  co_return Result<>();
}
CoResult<> co_insert(BlockGraph& graph, BlockBackend& backend, BlockDriverState& node) {
  Result<GraphWriteLock> lock = co_await graph.co_lock();
  Result<> r = co_await backend.co_insert(*lock, node);
  co_return r;
}
CoResult<> co_remove(BlockGraph& graph, BlockBackend& backend) {
  Result<GraphWriteLock> lock = co_await graph.co_lock();
  Result<> r = co_await backend.co_remove(*lock);
  co_return r;
}
}  // namespace

IdeRig::IdeRig() {
  loop->make_current();
  static const bool registered = [] {
    register_ide_types(TypeRegistry::instance());
    return true;
  }();
  std::ignore = registered;
  graph.register_driver(kDiscDriver);
  graph.register_driver(kDiskDriver);
  system_memory().add_subregion(0, *ram_region);
  ide->isa_irqs = {IrqLine(irqs, 0), IrqLine(irqs, 1)};
  ide->set_devfn(pci::devfn(1, 1));
  EXPECT_TRUE(add_device(ide, pci.get(), *machine, "ide"));
  ide->config_write(pci::kBar0 + 16, kBmdma, 4);
  ide->config_write(pci::kCommand, pci::kCommandIo | pci::kCommandMaster, 2);
}

IdeRig::~IdeRig() {
  for (auto& d : drives) EXPECT_TRUE(run(d->co_stop()));
  remove_device(*ide);
  drives.clear();
  ide.reset();
  EXPECT_TRUE(run(graph.co_shutdown()));
}

void IdeRig::run_until(const std::function<bool()>& done) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  while (!done()) {
    ASSERT_LT(std::chrono::steady_clock::now(), end) << "nothing happened for 5 s";
    loop->run_once(false);
  }
}

DiscNode& IdeRig::disc(const std::string& node_name, uint64_t bytes) {
  Json options;
  options.set("driver", "disc");
  options.set("node-name", node_name);
  options.set("read-only", true);
  options.set("size", bytes);
  Result<NodeRef> node = run(co_open(graph, OptionTree::from_json(options)));
  EXPECT_TRUE(node) << node.error().message();
  auto* found = static_cast<DiscNode*>(graph.find_node(node_name));
  EXPECT_TRUE(run(co_own(graph, *found)));
  return *found;
}

Result<std::shared_ptr<IdeCd>> IdeRig::try_plug(int bus, const std::string& properties,
                                                const std::string& id) {
  const Json parsed = TRY(Json::parse(properties));
  auto device = TRY(make_device("ide-cd", parsed));
  auto cd = std::static_pointer_cast<IdeCd>(device);
  cd->set_id(id);
  ChardevSet chardevs(*loop);
  DeviceContext context(*loop, virtual_clock(), graph, chardevs);
  TRY(run(cd->co_prepare(context)));
  TRY(add_device(device, &ide->bus(bus), *machine, str_cat("cd", drives.size())));
  return cd;
}

IdeCd& IdeRig::plug(int bus, const std::string& properties, const std::string& id) {
  Result<std::shared_ptr<IdeCd>> cd = try_plug(bus, properties, id);
  EXPECT_TRUE(cd) << cd.error().message();
  drives.push_back(*cd);
  return **cd;
}

Result<std::shared_ptr<IdeHd>> IdeRig::try_plug_disk(int bus, uint64_t bytes, Json properties) {
  const std::string node_name = str_cat("disk", disks_made++);
  Json options;
  options.set("driver", "disk");
  options.set("node-name", node_name);
  options.set("size", bytes);
  options.set("discard", "unmap");
  NodeRef node = TRY(run(co_open(graph, OptionTree::from_json(options))));
  TRY(run(co_own(graph, *node)));
  if (properties.find("drive") == nullptr) properties.set("drive", node_name);
  auto device = TRY(make_device("ide-hd", properties));
  ChardevSet chardevs(*loop);
  DeviceContext context(*loop, virtual_clock(), graph, chardevs);
  TRY(run(device->co_prepare(context)));
  TRY(add_device(device, &ide->bus(bus), *machine, str_cat("hd", disks_made)));
  return std::static_pointer_cast<IdeHd>(device);
}

IdeHd& IdeRig::plug_disk(uint64_t bytes, Json properties) {
  Result<std::shared_ptr<IdeHd>> hd = try_plug_disk(0, bytes, std::move(properties));
  EXPECT_TRUE(hd) << hd.error().message();
  drives.push_back(*hd);
  return **hd;
}

void IdeRig::insert(IdeCd& cd, BlockDriverState& node) {
  EXPECT_TRUE(run(co_insert(graph, *cd.block_backend(), node)));
}
void IdeRig::remove(IdeCd& cd) {
  EXPECT_TRUE(run(co_remove(graph, *cd.block_backend())));
}

void IdeRig::send_packet(std::initializer_list<uint8_t> bytes, unsigned limit, uint8_t feature) {
  out(0x1f6, 0xa0);
  out(0x1f1, feature);
  out(0x1f4, static_cast<uint8_t>(limit));
  out(0x1f5, static_cast<uint8_t>(limit >> 8));
  out(0x1f7, ata::kPacket);
  Cdb cdb{};
  std::copy(bytes.begin(), bytes.end(), cdb.begin());
  for (size_t i = 0; i < cdb.size(); i += 2) io_space().store(0x1f0, load_le<uint16_t>(&cdb[i]), 2);
}

void IdeRig::wait_not_busy() {
  run_until([&] { return (in(0x3f6) & ata::kBsy) == 0; });
}

PacketResult IdeRig::packet(std::initializer_list<uint8_t> cdb, unsigned limit, uint8_t feature) {
  send_packet(cdb, limit, feature);
  PacketResult r;
  for (;;) {
    wait_not_busy();
    if (HasFatalFailure() || (in(0x3f6) & ata::kDrq) == 0) break;
    EXPECT_EQ(irqs.now[0], 1);
    in(0x1f7);
    EXPECT_EQ(irqs.now[0], 0);
    EXPECT_EQ(in(0x1f2), ata::kToHost);
    const unsigned bytes = in(0x1f4) | in(0x1f5) << 8;
    r.blocks.push_back(bytes);
    for (unsigned i = 0; i < bytes; i += 2) {
      const auto word = static_cast<uint16_t>(io_space().load(0x1f0, 2));
      r.data.push_back(static_cast<uint8_t>(word));
      if (i + 1 < bytes) r.data.push_back(static_cast<uint8_t>(word >> 8));
    }
  }
  EXPECT_EQ(irqs.now[0], 1) << "no interrupt at the end";
  r.error = in(0x1f1);
  r.reason = in(0x1f2);
  r.status = in(0x1f7);
  return r;
}

unsigned IdeRig::request_sense() {
  const PacketResult r = packet({0x03, 0, 0, 0, 18});
  if (r.data.size() != 18) return ~0u;
  return unsigned{r.data[2]} << 16 | unsigned{r.data[12]} << 8 | r.data[13];
}

void IdeRig::set_prds(std::initializer_list<std::pair<uint32_t, uint32_t>> prds) {
  GuestAddr at = 0x1000;
  for (const auto& [address, control] : prds) {
    memory_space().store(at, address, 4);
    memory_space().store(at + 4, control, 4);
    at += 8;
  }
  out(kBmdma, 0);
  out(kBmdma + 2, 0x06);
  io_space().store(kBmdma + 4, 0x1000, 4);
}

std::vector<uint8_t> IdeRig::save(Device& device) {
  StateWriter writer;
  vmstate_save(*device.vmstate(), device.vmstate_object(), writer);
  return writer.buffer();
}

Result<> IdeRig::load(Device& device, std::span<const uint8_t> bytes) {
  StateReader reader(bytes);
  TRY(vmstate_load(*device.vmstate(), device.vmstate_object(), reader, device.vmstate()->version));
  if (reader.left() != 0) return fail(EINVAL, reader.left(), " bytes are left");
  return {};
}

}  // namespace rhea
