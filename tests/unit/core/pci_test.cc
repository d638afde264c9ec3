#include "hw/pci/pci_device.h"

#include "core_fixture.h"
#include "util/byteorder.h"

namespace rhea::test {
namespace {

struct Counter final : MmioHandler {
  uint64_t mmio_read(uint64_t offset, unsigned) override { return 0xa0 + offset; }
  void mmio_write(uint64_t, uint64_t, unsigned) override {}
};
Counter counter;

class TestFunction final : public PciDevice {
 public:
  PciIds pci_ids() const override {
    return {.vendor = 0x1234, .device = 0x5678, .revision = 9, .class_id = 0x0101};
  }

 protected:
  Result<> do_realize() override {
    TRY(PciDevice::do_realize());
    config()[pci::kInterruptPin] = 1;
    register_bar(0, false, MemoryRegion::io("bar-mem", 0x1000, counter));
    register_bar(4, true, MemoryRegion::io("bar-io", 16, counter));
    return {};
  }
};

class Pci : public CoreTest {
 protected:
  Pci()
      : memory(MemoryRegion::container("pci", MemoryRegion::kWholeSpace)),
        ports(MemoryRegion::container("io", 0x10000)),
        memory_view("m", *memory),
        port_view("p", *ports),
        bus(std::make_shared<PciBus>("pci.0", *memory, *ports)) {
    machine().add_child("pci.0", std::static_pointer_cast<Object>(bus));
    std::vector<IrqLine> inputs;
    inputs.reserve(4);
    for (int i = 0; i < 4; ++i) inputs.push_back(IrqLine(irqs, i));
    bus->set_router([](int devfn, int pin) { return ((devfn >> 3) + pin - 1) & 3; }, std::move(inputs));
  }
  std::string plug(const char* addr, bool multifunction = false) {
    auto d = std::make_shared<TestFunction>();
    if (addr != nullptr)
      if (const auto r = d->set_property("addr", Json(addr)); !r) return message(r);
    d->set_multifunction(multifunction);
    last = d;
    return message(add_device(d, bus.get(), machine(), "device[*]"));
  }
  TestFunction& device() { return *last; }

  IrqLog irqs;
  std::unique_ptr<MemoryRegion> memory, ports;
  AddressSpace memory_view, port_view;
  std::shared_ptr<PciBus> bus;
  std::shared_ptr<TestFunction> last;
};

TEST_F(Pci, AddressesAreChosenAndChecked) {
  EXPECT_EQ(plug("0"), "");
  EXPECT_EQ(plug(nullptr), "");
  EXPECT_EQ(device().devfn(), 8);
  EXPECT_EQ(device().bus_path(), "0000:00:01.0");
  EXPECT_EQ(device().get_property("addr")->dump(), "8");
  EXPECT_EQ(plug("01.0"),
            "PCI: slot 1 function 0 not available for pci-device, in use by pci-device,id=(null)");
  EXPECT_EQ(plug("1.1"), "PCI: single function device can't be populated in function 1.1");
  EXPECT_EQ(plug("0x1f.7"), "");
  EXPECT_EQ(device().bus_path(), "0000:00:1f.7");
  EXPECT_EQ(plug("1f"), "PCI: 1f.0 indicates single function, but 1f.7 is already populated.");
  EXPECT_EQ(plug("1f", true), "");
  EXPECT_EQ(device().config()[pci::kHeaderType], 0x80);
  EXPECT_EQ(plug("1f.1", true), "");
  EXPECT_EQ(device().config()[pci::kHeaderType], 0);
  for (const char* bad : {"20", "3.8", "zz", "", "-1", "3.", ".1", "0x", "1.1.1"})
    EXPECT_EQ(plug(bad), str_cat("Property 'pci-device.addr' doesn't take value '", bad, "'"));
  TestFunction d;
  EXPECT_EQ(message(d.set_property("addr", int64_t{256})),
            "Parameter 'addr' expects a value between -1 and 255");
  EXPECT_EQ(message(d.set_property("addr", true)), "Invalid parameter type for 'addr', expected int or str");
  EXPECT_EQ(message(d.set_property("addr", int64_t{24})), "");
  EXPECT_EQ(d.devfn(), 24);
}

TEST_F(Pci, AFullBusSaysSo) {
  for (int i = 0; i < 32; ++i) ASSERT_EQ(plug(nullptr), "");
  EXPECT_EQ(plug(nullptr), "PCI: no slot/function available for pci-device, all in use or reserved");
  remove_device(*bus->function(pci::devfn(7, 0)));
  EXPECT_EQ(plug(nullptr), "");
  EXPECT_EQ(device().devfn(), pci::devfn(7, 0));
}

TEST_F(Pci, HeaderShowsTheIdsAndGuardsThem) {
  ASSERT_EQ(plug("2"), "");
  auto read = [&](unsigned at, unsigned size) { return bus->config_read(0x1000 + at, size); };
  EXPECT_EQ(read(0, 4), 0x56781234u);
  EXPECT_EQ(read(8, 4), 0x01010009u);
  EXPECT_EQ(read(0x2c, 4), 0x11001af4u);
  for (unsigned at = 0; at < 64; at += 4) bus->config_write(0x1000 + at, 0xffffffff, 4);
  EXPECT_EQ(read(0, 4), 0x56781234u);
  EXPECT_EQ(read(4, 2), 0x0507u);
  EXPECT_EQ(read(0x0c, 4), 0x000000ffu);
  EXPECT_EQ(read(0x10, 4), 0xfffff000u);
  EXPECT_EQ(read(0x14, 4), 0u);
  EXPECT_EQ(read(0x20, 4), 0xfffffff1u);
  EXPECT_EQ(read(0x3c, 2), 0x01ffu);
  device().config()[pci::kStatus + 1] = 0xf9;
  bus->config_write(0x1007, 0x80, 1);
  EXPECT_EQ(read(7, 1), 0x79u);
  device().reset();
  EXPECT_EQ(read(4, 4) & 0xffff, 0u);
  EXPECT_EQ(read(0x20, 4), 1u);
}

TEST_F(Pci, AbsentFunctionsReadAsOnes) {
  EXPECT_EQ(bus->config_read(0, 4), 0xffffffffu);
  EXPECT_EQ(bus->config_read(0, 2), 0xffffu);
  EXPECT_EQ(bus->config_read(0, 1), 0xffu);
  ASSERT_EQ(plug("0"), "");
  EXPECT_EQ(bus->config_read(0x10000, 4), 0xffffffffu);  // bus 1
  EXPECT_EQ(bus->config_read(0xff, 4), 0xffffffffu);     // runs past the end
  bus->config_write(0xff, 0, 4);
}

TEST_F(Pci, BarsFollowAddressAndCommand) {
  ASSERT_EQ(plug("2"), "");
  auto port = [&](uint64_t at) { return port_view.load(at, 1); };
  bus->config_write(0x1020, 0xc000, 4);
  EXPECT_EQ(port(0xc003), 0xffu);
  bus->config_write(0x1004, 1, 2);
  EXPECT_EQ(port(0xc003), 0xa3u);
  EXPECT_EQ(device().bar_address(4), 0xc000u);
  bus->config_write(0x1020, 0xffffffff, 4);  // sizing
  EXPECT_EQ(port(0xc003), 0xffu);
  EXPECT_EQ(device().bar_address(4), UINT64_MAX);
  bus->config_write(0x1020, 0xd000, 4);
  EXPECT_EQ(port(0xd00f), 0xafu);
  bus->config_write(0x1020, 0x10000, 4);  // beyond the port space
  EXPECT_EQ(device().bar_address(4), UINT64_MAX);
  bus->config_write(0x1010, 0xe0000000, 4);
  EXPECT_EQ(memory_view.load(0xe0000001, 1), 0xffu);
  bus->config_write(0x1004, 2, 2);
  EXPECT_EQ(memory_view.load(0xe0000001, 1), 0xa1u);
  bus->config_write(0x1010, 0xfffff000, 4);  // the top page is what sizing writes
  EXPECT_EQ(device().bar_address(0), UINT64_MAX);
  bus->config_write(0x1010, 0xe0000000, 4);
  remove_device(device());
  EXPECT_EQ(memory_view.load(0xe0000001, 1), 0xffu);
}

TEST_F(Pci, InterruptPinsAreCountedAndRouted) {
  ASSERT_EQ(plug("2"), "");
  auto first = last;
  ASSERT_EQ(plug("6"), "");  // shares input 1: (slot - 1 + pin) & 3
  first->set_intx(1);
  EXPECT_EQ(irqs.take(), "1+ ");
  EXPECT_EQ(bus->config_read(0x1006, 2) & 8, 8u);
  device().set_intx(1);
  first->set_intx(0);
  EXPECT_EQ(irqs.take(), "1+ 1+ ");
  first->set_intx(0);
  EXPECT_EQ(irqs.take(), "");
  bus->config_write(0x3004, pci::kCommandIntxDisable, 2);
  EXPECT_EQ(irqs.take(), "1- ");
  EXPECT_EQ(bus->config_read(0x3006, 2) & 8, 8u) << "the status bit shows the wish";
  bus->config_write(0x3004, 0, 2);
  EXPECT_EQ(irqs.take(), "1+ ");
  remove_device(device());
  EXPECT_EQ(irqs.take(), "1- ");
  EXPECT_EQ(bus->input_counts(), (std::vector<int>{0, 0, 0, 0}));
}

TEST_F(Pci, InfoTextShowsUnmappedBarsAsOnes) {
  ASSERT_EQ(plug("2"), "");
  EXPECT_EQ(bus->info_text(),
            "  Bus  0, device   2, function 0:\n    IDE controller: PCI device 1234:5678\n"
            "      PCI subsystem 1af4:1100\n      IRQ 0, pin A\n"
            "      BAR0: 32 bit memory at 0xffffffffffffffff [0x00000ffe].\n"
            "      BAR4: I/O at 0xffffffffffffffff [0x000e].\n      id \"\"\n");
  std::string lines;
  device().describe(lines);
  EXPECT_EQ(lines,
            "class IDE controller, addr 00:02.0, pci id 1234:5678 (sub 1af4:1100)\n"
            "bar 0: mem at 0xffffffffffffffff [0xffe]\nbar 4: i/o at 0xffffffffffffffff [0xe]\n");
}

TEST_F(Pci, DmaNeedsBusMastering) {
  ASSERT_EQ(plug("2"), "");
  char byte = 0;
  EXPECT_EQ(device().dma_read(0, &byte, 1), MemResult::kRefused);
  EXPECT_EQ(device().dma_write(0, &byte, 1), MemResult::kRefused);
  bus->config_write(0x1004, 4, 2);
  EXPECT_NE(device().dma_read(0, &byte, 1), MemResult::kRefused);
}

TEST_F(Pci, StateTravelsAndForeignOnesAreRefused) {
  ASSERT_EQ(plug("2"), "");
  bus->config_write(0x1020, 0xc000, 4);
  bus->config_write(0x1004, 1, 2);
  device().set_intx(1);
  StateWriter out;
  vmstate_save(PciDevice::kPciVmState, last.get(), out);
  EXPECT_EQ(out.buffer().size(), 4u + 256 + 16);
  device().reset();
  EXPECT_EQ(irqs.take(), "1+ 1- ");
  StateReader in(out.buffer());
  ASSERT_EQ(message(vmstate_load(PciDevice::kPciVmState, last.get(), in, 2)), "");
  EXPECT_EQ(irqs.take(), "1+ ");
  EXPECT_EQ(port_view.load(0xc002, 1), 0xa2u);
  auto spoil = [&](size_t at, uint8_t value) {
    auto bytes = out.buffer();
    bytes[at] = value;
    StateReader r(bytes);
    return message(vmstate_load(PciDevice::kPciVmState, last.get(), r, 2));
  };
  EXPECT_EQ(spoil(3, 9), "PCIDevice/version_id: unknown version 9");
  EXPECT_EQ(spoil(4, 0x99), "PCIDevice/config: byte 0x0 is 0x99 and here 0x34");
  EXPECT_EQ(spoil(4 + 256 + 3, 2), "PCIDevice/irq_state: level 2");
  for (size_t n = 0; n < out.buffer().size(); ++n) {
    StateReader r(std::span(out.buffer()).first(n));
    EXPECT_FALSE(vmstate_load(PciDevice::kPciVmState, last.get(), r, 2));
  }
}

}  // namespace
}  // namespace rhea::test
