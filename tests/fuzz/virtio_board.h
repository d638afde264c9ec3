// A machine of one virtio function of any kind, driven by bytes: what a guest can write anywhere, at any
// time. Used by fuzz_virtio, and with random bytes by the unit tests.
#pragma once

#include <cstdlib>
#include <cstring>

#include "block/drivers/drivers.h"
#include "block/graph/open.h"
#include "chardev/chardev_set.h"
#include "hw/core/run_state_listener.h"
#include "hw/scsi/scsi_types.h"
#include "hw/virtio/virtio_pci.h"
#include "hw/virtio/virtio_types.h"
#include "ui/input.h"

namespace rhea {

class VirtioBoard {
 public:
  static constexpr const char* kKinds[] = {"virtio-blk-pci",      "virtio-rng-pci",    "virtio-balloon-pci",
                                           "virtio-net-pci",      "virtio-serial-pci", "virtio-mouse-pci",
                                           "virtio-keyboard-pci", "virtio-scsi-pci"};

  void run(const uint8_t* data, size_t size) {
    next_ = data;
    end_ = data + size;
    make(kKinds[u8() % std::size(kKinds)], u8());
    while (next_ != end_) step();
    function_->reset();
    if (function_->backend().status() != 0) spin();
    if (function_->backend().status() != 0) abort();  // whatever was done, a reset ends it
  }
  VirtioBoard() {
    loop_->make_current();
    static const bool registered = [] {
      register_virtio_types(TypeRegistry::instance());
      register_scsi_types(TypeRegistry::instance());
      return true;
    }();
    std::ignore = registered;
    register_block_drivers(graph_);
    system_memory().add_subregion(0, *ram_region_);
  }
  ~VirtioBoard() {
    if (function_ != nullptr) {
      for (const auto& unit : units_) must(run_to_completion(*loop_, unit->co_stop()));
      must(run_to_completion(*loop_, function_->co_stop()));
      units_.clear();
      remove_device(*function_);
      function_.reset();
    }
    node_ = NodeRef();
    must(run_to_completion(*loop_, graph_.co_shutdown()));
    system_memory().remove_subregion(*ram_region_);
  }

 private:
  static constexpr uint64_t kRamBytes = 1 << 20;
  static constexpr uint16_t kIo = 0xc000;
  static constexpr uint32_t kBar = 0xfe000000;
  template <class T>
  static T must(Result<T> r) {
    if (!r) abort();
    if constexpr (!std::is_void_v<T>) return std::move(r).value();
  }
  uint8_t u8() { return next_ != end_ ? *next_++ : 0; }
  uint32_t u32() {
    uint32_t v = u8();
    for (int i = 1; i < 4; ++i) v |= uint32_t{u8()} << (8 * i);
    return v;
  }

  void make(const char* kind, uint8_t how) {
    Json properties = Json::object({{"packed", (how & 1) != 0}});
    scsi_ = std::string_view(kind) == "virtio-scsi-pci";
    if (std::string_view(kind) == "virtio-blk-pci") {
      make_node();
      properties.set("drive", "d");
      properties.set("num-queues", 2);
    }
    function_ = std::static_pointer_cast<VirtioPci>(must(make_device(kind, properties)));
    must(run_to_completion(*loop_, function_->co_prepare(context_)));
    function_->set_devfn(pci::devfn(4, 0));
    must(add_device(function_, pci_.get(), *machine_, "f"));
    map();
    if (!scsi_) return;
    make_node();
    add_unit("scsi-hd", Json::object({{"drive", "d"}}));
    add_unit("scsi-cd", {});
  }
  void make_node() {
    const Json options = Json::object({{"driver", "null-co"}, {"node-name", "d"}, {"size", 1 << 20}});
    OpenRequest request(OptionTree::from_json(options), std::string());
    node_ = must(run_to_completion(*loop_, co_open_node(graph_, std::move(request))));
  }
  void add_unit(const char* type, const Json& properties) {
    std::shared_ptr<Device> unit = must(make_device(type, properties));
    must(run_to_completion(*loop_, unit->co_prepare(context_)));
    must(add_device(unit, function_->backend().child_buses().at(0).get(), *machine_, "unit[*]"));
    units_.push_back(std::move(unit));
  }
  void map() {
    function_->config_write(pci::kBar0, kIo, 4);
    function_->config_write(pci::kBar0 + 4, kBar + 0x100000, 4);
    function_->config_write(pci::kBar0 + 16, kBar, 4);
    function_->config_write(pci::kBar0 + 20, 0, 4);
    function_->config_write(pci::kCommand, 7, 2);
  }
  void spin() {
    for (int i = 0; i < 16; ++i) loop_->run_once(false);
  }
  static unsigned width(uint8_t n) { return 1u << (n % 3); }

  void step() {
    const uint8_t op = u8();
    switch (op % 12) {
      case 0:
        return io_space().store(kIo + u8() % 128, u32(), width(op >> 4));
      case 1:
        return static_cast<void>(io_space().load(kIo + u8() % 128, width(op >> 4)));
      case 2:
        return memory_space().store(kBar + u8() % 64, u32(), width(op >> 4));
      case 3:
        return static_cast<void>(memory_space().load(kBar + (u32() & 0x3fff), width(op >> 4)));
      case 4:
        return memory_space().store(kBar + 0x2000 + u8() % 140, u32(), width(op >> 4));
      case 5:
        return io_space().store(kIo + 16, u8() % 8, 2);
      case 6:
        return memory_space().store((u32() & (kRamBytes - 1)), u32(), width(op >> 4));
      case 7:
        return offer();
      case 8:
        return start();
      case 9:
        return host(u8());
      case 10:
        return save_and_load();
      case 11:
        return memory_space().store(kBar + 0x100000 + u8() * 4u, u32(), 4);
    }
  }
  /// What a driver does to begin, with features of the fuzzer's choice.
  void start() {
    const uint32_t features = u32();
    io_space().store(kIo + 18, 0, 1);
    io_space().store(kIo + 18, 3, 1);
    io_space().store(kIo + 4, features, 4);
    for (uint16_t n = 0; n < 6; ++n) {
      io_space().store(kIo + 14, n, 2);
      io_space().store(kIo + 8, 0x10u + 4u * n, 4);
    }
    io_space().store(kIo + 18, 7, 1);
  }
  /// A chain of up to three pieces, mostly inside memory.
  void offer() {
    if (scsi_ && (u8() & 1) != 0) return offer_command();
    const uint16_t n = u8() % 6;
    const GuestAddr ring = (0x10u + 4u * n) << 12;
    const VirtioQueue* const queue = function_->backend().queue(n);
    if (queue == nullptr) return;
    const uint32_t size = queue->max_size;
    const unsigned pieces = u8() % 3 + 1;
    for (unsigned i = 0; i < pieces; ++i) {
      const uint8_t kind = u8();
      const uint64_t at = kind < 240 ? 0x40000 + (u32() & 0xffff) : uint64_t{u32()} << 8;
      put(ring + 16 * i, at, 8);
      put(ring + 16 * i + 8, kind < 200 ? u8() * 8u + 1 : u32(), 4);
      put(ring + 16 * i + 12, (i + 1 < pieces ? 1u : 0u) | (kind & 1u) * 2u | (kind > 250 ? 4u : 0u), 2);
      put(ring + 16 * i + 14, i + 1, 2);
    }
    const GuestAddr avail = ring + 16ull * size;
    publish(n, avail, size);
  }
  static void publish(uint16_t n, GuestAddr avail, uint32_t size) {
    const auto index = static_cast<uint16_t>(memory_space().load(avail + 2, 2));
    put(avail + 4 + 2ull * (index % size), 0, 2);
    put(avail + 2, index + 1u, 2);
    io_space().store(kIo + 16, n, 2);
  }
  /// A command or a task management function for a unit that is there, with room for its data.
  void offer_command() {
    constexpr GuestAddr kHead = 0x40000, kData = 0x48000;
    const uint16_t n = u8() % 4 == 0 ? 0 : 2;
    const GuestAddr ring = (0x10u + 4u * n) << 12;
    const uint8_t target = u8() % 2;
    put(kHead, n == 0 ? u8() % 3u : 0x0001u | uint64_t{target} << 8, 8);
    if (n == 0) put(kHead + 4, u8() % 9u, 4), put(kHead + 8, 1u | uint64_t{target} << 8, 8);
    for (unsigned i = 0; i < 16; ++i) put(kHead + 19 + i, u8(), 1);
    const bool out = (u8() & 1) != 0;
    const uint32_t lengths[] = {51, out ? 4096u : 108u, out ? 108u : 4096u};
    for (unsigned i = 0; i < 3; ++i) {
      put(ring + 16 * i, kHead + (kData - kHead) * i, 8);
      put(ring + 16 * i + 8, lengths[i], 4);
      put(ring + 16 * i + 12, (i < 2 ? 1u : 0u) | (i == 2 || (i == 1 && !out) ? 2u : 0u), 2);
      put(ring + 16 * i + 14, i + 1, 2);
    }
    const uint32_t size = function_->backend().queue(n)->max_size;
    publish(n, ring + 16ull * size, size);
  }
  static void put(GuestAddr at, uint64_t value, unsigned size) { memory_space().store(at, value, size); }
  void host(uint8_t what) {
    if ((what & 1) != 0) RunStateListener::tell((what & 2) != 0);
    if ((what & 4) != 0) input_hub().button(nullptr, InputButton::kLeft, (what & 8) != 0);
    if ((what & 4) != 0) input_hub().sync();
    if ((what & 16) != 0) function_->reset(), map();
    spin();
  }
  /// A stream with a byte changed loads or is refused, and the device starts afresh.
  void save_and_load() {
    const VMState& description = *function_->backend().vmstate();
    StateWriter writer;
    vmstate_save(description, function_->backend().vmstate_object(), writer);
    std::vector<uint8_t> bytes = writer.buffer();
    const uint32_t at = u32();
    bytes[at % std::min<size_t>(bytes.size(), 4096)] ^= u8();
    StateReader reader(bytes);
    if (!vmstate_load(description, function_->backend().vmstate_object(), reader, description.version))
      function_->reset();
  }

  const uint8_t* next_ = nullptr;
  const uint8_t* end_ = nullptr;
  std::unique_ptr<AioContext> loop_ = must(AioContext::create("fuzz"));
  BlockGraph graph_{*loop_};
  ChardevSet chardevs_{*loop_};
  DeviceContext context_{*loop_, virtual_clock(), graph_, chardevs_};
  std::shared_ptr<RamBlock> ram_ = must(RamBlock::create("pc.ram", kRamBytes));
  std::unique_ptr<MemoryRegion> ram_region_ = MemoryRegion::ram("ram", ram_);
  std::shared_ptr<Container> machine_ = std::make_shared<Container>();
  std::shared_ptr<PciBus> pci_ = std::make_shared<PciBus>("pci.0", system_memory(), system_io());
  NodeRef node_;
  std::shared_ptr<VirtioPci> function_;
  std::vector<std::shared_ptr<Device>> units_;
  bool scsi_ = false;
};

}  // namespace rhea
