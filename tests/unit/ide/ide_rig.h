// A machine of one PIIX3 IDE function with drives, RAM, and a host that changes discs; no CPU.
#pragma once

#include <gtest/gtest.h>

#include "block/graph/open.h"
#include "hw/ide/ide_cd.h"
#include "hw/ide/ide_hd.h"
#include "hw/ide/piix3_ide.h"
#include "qapi/event.h"
#include "tests/unit/ide/disc_node.h"
#include "util/byteorder.h"

namespace rhea {

class EventLog final : public EventSink {
 public:
  EventLog() { set_qapi_event_sink(this); }
  ~EventLog() override { set_qapi_event_sink(nullptr); }
  void emit(std::string_view name, Json data) override { events.push_back(str_cat(name, " ", data.dump())); }
  std::vector<std::string> take() { return std::exchange(events, {}); }
  std::vector<std::string> events;
};

class Levels final : public IrqSink {
 public:
  void set_irq(int n, int level) override { now[static_cast<size_t>(n)] = level; }
  std::array<int, 2> now{};
};

/// What came of a packet command.
struct PacketResult {
  uint8_t status = 0, error = 0, reason = 0;
  std::vector<uint8_t> data;
  std::vector<unsigned> blocks;  ///< byte count of each
  bool good() const { return (status & ata::kErr) == 0; }
};

class IdeRig : public testing::Test {
 protected:
  static constexpr uint16_t kBmdma = 0xc000;
  static constexpr uint64_t kRamBytes = 4 << 20;
  IdeRig();
  ~IdeRig() override;

  template <class T>
  Result<T> run(CoResult<T> work) {
    return run_to_completion(*loop, std::move(work));
  }
  /// Runs the loop until `done`, at most five seconds.
  void run_until(const std::function<bool()>& done);

  /// A disc node of `bytes` bytes.
  DiscNode& disc(const std::string& node_name, uint64_t bytes);
  /// An ide-cd with `properties` on channel `bus`.
  Result<std::shared_ptr<IdeCd>> try_plug(int bus, const std::string& properties, const std::string& id = {});
  IdeCd& plug(int bus = 0, const std::string& properties = "{}", const std::string& id = "ide0-0-0");
  /// An ide-hd on a new disk node of `bytes` bytes named "disk<n>".
  Result<std::shared_ptr<IdeHd>> try_plug_disk(int bus, uint64_t bytes, Json properties = {});
  IdeHd& plug_disk(uint64_t bytes = 1 << 20, Json properties = {});
  DiskNode& disk_node(IdeHd& hd) { return static_cast<DiskNode&>(*hd.block_backend()->node()); }
  void insert(IdeCd& cd, BlockDriverState& node);
  void remove(IdeCd& cd);

  uint8_t in(uint16_t port) { return static_cast<uint8_t>(io_space().load(port, 1)); }
  void out(uint16_t port, uint8_t value) { io_space().store(port, value, 1); }

  /// Sends a packet to unit 0 of the primary channel and moves all data by PIO.
  PacketResult packet(std::initializer_list<uint8_t> cdb, unsigned limit = 0xfffe, uint8_t feature = 0);
  /// The same without waiting for anything after the CDB.
  void send_packet(std::initializer_list<uint8_t> cdb, unsigned limit = 0xfffe, uint8_t feature = 0);
  void wait_not_busy();
  /// Sense key << 16 | ASC << 8 | ASCQ.
  unsigned request_sense();
  /// Writes a table of {address, control word} at 0x1000 and points the primary bus master at it.
  void set_prds(std::initializer_list<std::pair<uint32_t, uint32_t>> prds);
  void start_dma() { out(kBmdma, 0x09); }
  uint8_t ram(uint64_t at) { return static_cast<uint8_t>(memory_space().load(at, 1)); }

  static std::vector<uint8_t> save(Device& device);
  static Result<> load(Device& device, std::span<const uint8_t> bytes);

  std::unique_ptr<AioContext> loop = std::move(AioContext::create("test").value());
  BlockGraph graph{*loop};
  EventLog events;
  Levels irqs;
  std::shared_ptr<RamBlock> ram_block = std::move(RamBlock::create("pc.ram", kRamBytes).value());
  std::unique_ptr<MemoryRegion> ram_region = MemoryRegion::ram("ram", ram_block);
  std::shared_ptr<Container> machine = std::make_shared<Container>();
  std::shared_ptr<PciBus> pci = std::make_shared<PciBus>("pci.0", system_memory(), system_io());
  std::shared_ptr<Piix3Ide> ide = std::make_shared<Piix3Ide>();
  std::vector<std::shared_ptr<IdeStorage>> drives;
  int disks_made = 0;
};

}  // namespace rhea
