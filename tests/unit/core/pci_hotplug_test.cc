// The PCI hotplug registers with functions but no machine around them; bridges; what travels.
#include "hw/acpi/pci_hotplug.h"

#include "core_fixture.h"
#include "hw/acpi/piix4_pm.h"
#include "hw/pci/pci_bridge.h"
#include "util/byteorder.h"

namespace rhea::test {
namespace {

class SlotFunction final : public PciDevice {
 public:
  PciIds pci_ids() const override {
    return {.vendor = 0x1234, .device = 0x1111, .revision = 0, .class_id = 0x00ff};
  }
  bool hotpluggable() const override { return may_leave; }
  bool may_leave = true;

 protected:
  Result<> do_realize() override {
    TRY(PciDevice::do_realize());
    config()[pci::kInterruptPin] = 1;
    return {};
  }
};

class PciHotplug : public CoreTest {
 protected:
  PciHotplug()
      : memory(MemoryRegion::container("pci", MemoryRegion::kWholeSpace)),
        ports(MemoryRegion::container("io", 0x10000)),
        view("io", *ports),
        bus(std::make_shared<PciBus>("pci.0", *memory, *ports)) {
    machine().add_child("pci.0", std::static_pointer_cast<Object>(bus));
    bus->set_router([](int devfn, int pin) { return ((devfn >> 3) + pin) & 3; },
                    {IrqLine(irqs, 0), IrqLine(irqs, 1), IrqLine(irqs, 2), IrqLine(irqs, 3)});
  }
  ~PciHotplug() override {
    registers.reset();
    while (!bus->devices().empty()) remove_device(*bus->devices().back());
  }
  void start(AcpiPciHotplug::Kind kind = {.bridges = true, .root = true}) {
    registers = std::make_unique<AcpiPciHotplug>(
        *bus, kind,
        AcpiPciHotplug::Wiring{
            .raise_gpe = [this] { log += "gpe "; },
            .told = [this](PciDevice& d) { str_append(log, "told ", d.devfn() >> 3, " "); },
            .eject =
                [this](PciDevice& d) {
                  str_append(log, "eject ", d.devfn() >> 3, ".", d.devfn() & 7, " ");
                }});
    registers->map(*ports);
    registers->reset();
  }
  SlotFunction& plug(PciBus& on, int slot, int function = 0, bool may_leave = true) {
    auto d = std::make_shared<SlotFunction>();
    d->set_devfn(pci::devfn(slot, function));
    d->set_multifunction(true);
    d->may_leave = may_leave;
    EXPECT_EQ(message(add_device(d, &on, machine(), "device[*]")), "");
    return *d;
  }
  PciBridge& plug_bridge(PciBus& on, int slot, std::string id, bool hot = false) {
    auto d = std::make_shared<PciBridge>();
    d->set_devfn(pci::devfn(slot, 0));
    d->set_hotplugged(hot);
    d->chassis_nr = 1;
    d->set_id(id);
    EXPECT_EQ(message(add_device(d, &on, machine(), id)), "");
    return *d;
  }
  uint64_t in(unsigned at) { return view.load(AcpiPciHotplug::kBase + at, 4); }
  void out(unsigned at, uint32_t value) { view.store(AcpiPciHotplug::kBase + at, value, 4); }
  std::string take() { return std::exchange(log, {}); }

  IrqLog irqs;
  std::unique_ptr<MemoryRegion> memory, ports;
  AddressSpace view;
  std::shared_ptr<PciBus> bus;
  std::unique_ptr<AcpiPciHotplug> registers;
  std::string log;
};

TEST_F(PciHotplug, S1_10_ThirtyTwoAtPort44552EjectsSlotFive) {
  start();
  PciDevice& first = plug(*bus, 5);
  plug(*bus, 5, 3);
  plug(*bus, 6);
  registers->ask_to_unplug(first);
  EXPECT_EQ(take(), "gpe ");
  view.store(44552, 32, 4);
  EXPECT_EQ(take(), "eject 5.0 eject 5.3 ");
  EXPECT_EQ(in(4), 0u);
  EXPECT_TRUE(first.hidden());
  EXPECT_EQ(bus->config_read(5 << 11, 4), 0xffffffffu);
}

TEST_F(PciHotplug, S1_10_TheLowestBitCountsAndNoneIsIgnored) {
  start();
  plug(*bus, 8);
  plug(*bus, 9);
  out(8, 0);
  EXPECT_EQ(take(), "");
  out(8, 3u << 8);
  EXPECT_EQ(take(), "eject 8.0 ");
  out(8, 0x80000000);
  EXPECT_EQ(take(), "");
}

TEST_F(PciHotplug, S1_12_WhatMayNotLeaveStaysAndItsRequestIsDone) {
  plug_bridge(*bus, 3, "cold");
  start();
  PciDevice& fixed = plug(*bus, 4, 0, false);
  PciBridge& came = plug_bridge(*bus, 5, "came", true);
  EXPECT_EQ(in(0xc), ~(1u << 3 | 1u << 4) & 0xffffffffu);
  registers->ask_to_unplug(fixed);
  out(8, 1u << 4);
  out(8, 1u << 3);
  EXPECT_EQ(take(), "gpe ");
  EXPECT_EQ(in(4), 0u);
  out(8, 1u << 5);
  EXPECT_EQ(take(), "eject 5.0 ");
  EXPECT_TRUE(came.hidden());
}

TEST_F(PciHotplug, S1_13_ResetEjectsWhatIsAskedForAndKeepsWhatCame) {
  start();
  registers->plugged(plug(*bus, 7));
  registers->ask_to_unplug(plug(*bus, 9));
  registers->ask_to_unplug(plug(*bus, 8));
  take();
  registers->reset();
  EXPECT_EQ(take(), "eject 8.0 eject 9.0 ");
  EXPECT_EQ(in(0), 1u << 7);
}

TEST_F(PciHotplug, TheGuestIsToldWhenItReads) {
  start();
  PciDevice& d = plug(*bus, 7);
  in(4);
  registers->ask_to_unplug(d);
  EXPECT_EQ(take(), "gpe ");
  EXPECT_EQ(in(4), 1u << 7);
  EXPECT_EQ(take(), "told 7 ");
  registers->withdraw(d);
  EXPECT_EQ(in(4), 0u);
}

TEST_F(PciHotplug, BusesAreNumberedNewestFirstAndDeepestBeforeTheNext) {
  PciBridge& a = plug_bridge(*bus, 3, "a");
  PciBridge& b = plug_bridge(*bus, 4, "b");
  PciBridge& c = plug_bridge(*b.secondary_bus(), 3, "c");
  start();
  EXPECT_EQ(bus->hotplug_number(), 0u);
  EXPECT_EQ(b.secondary_bus()->hotplug_number(), 1u);
  EXPECT_EQ(c.secondary_bus()->hotplug_number(), 2u);
  EXPECT_EQ(a.secondary_bus()->hotplug_number(), 3u);
  EXPECT_FALSE(plug_bridge(*bus, 5, "d").secondary_bus()->hotplug_allowed());
  out(0x10, 2);
  registers->plugged(plug(*c.secondary_bus(), 1));
  EXPECT_EQ(in(0), 2u);
  EXPECT_EQ(c.bus_path(), "0000:00:04.0:03.0");
}

TEST_F(PciHotplug, PinsTurnAtEachBridge) {
  PciBridge& a = plug_bridge(*bus, 4, "a");
  PciBridge& b = plug_bridge(*a.secondary_bus(), 6, "b");
  start();
  SlotFunction& d = plug(*b.secondary_bus(), 3);
  d.set_intx(1);  // pin 0 + 3, + 6, then slot 4: 13 mod 4
  EXPECT_EQ(irqs.take(), "1+ ");
  a.hide();
  EXPECT_EQ(irqs.take(), "1- ") << "what the guest let go of raises nothing, and all that is behind it";
}

TEST_F(PciHotplug, RandomAccessesDoNoHarm) {
  plug_bridge(*bus, 3, "a");
  start();
  uint32_t x = 12345;
  auto random = [&x] { return x = x * 1664525 + 1013904223; };
  for (int i = 0; i < 20000; ++i) {
    const unsigned at = random() >> 8 & 0x1f, size = 1u << (random() >> 30) % 3;
    if (random() >> 31 != 0)
      view.store(AcpiPciHotplug::kBase + at, random(), size);
    else
      view.load(AcpiPciHotplug::kBase + at, size);
    bus->config_write((random() >> 8 & 0x1ffff) | 3u << 11, random(), 1);
  }
}

class PciHotplugState : public PciHotplug {
 protected:
  PciHotplugState() : loop(std::move(*AioContext::create("test"))) { loop->make_current(); }
  ~PciHotplugState() override {
    remove_device(*pm);
    pm.reset();
  }
  void make(bool bridges, bool old) {
    pm = std::make_shared<Piix4Pm>();
    pm->loop = loop.get();
    pm->clock = &clock;
    pm->sci = IrqLine(irqs, 9);
    pm->hotplug_behind_bridges = bridges;
    pm->not_migrate_acpi_index = old;
    pm->on_unplug_asked = [this](PciDevice& d) { str_append(log, "asked ", d.devfn() >> 3, " "); };
    pm->set_devfn(pci::devfn(1, 3));
    EXPECT_EQ(message(add_device(pm, bus.get(), machine(), "pm")), "");
    pm->reset_exit();
  }
  std::vector<uint8_t> save() {
    StateWriter out;
    vmstate_save(*pm->vmstate(), pm.get(), out);
    return {out.buffer().begin(), out.buffer().end()};
  }
  std::unique_ptr<AioContext> loop;
  StepClock clock;
  std::shared_ptr<Piix4Pm> pm;
};

TEST_F(PciHotplugState, S1_13_APendingRemovalTravels) {
  make(true, false);
  PciDevice& d = plug(*bus, 7);
  pm->pci_hotplug->ask_to_unplug(d);
  pm->pci_hotplug->selected = 3;
  pm->pci_hotplug->acpi_index = 11;
  const std::vector<uint8_t> saved = save();
  pm->pci_hotplug->withdraw(d);
  pm->pci_hotplug->selected = pm->pci_hotplug->acpi_index = 0;
  StateReader in(saved);
  ASSERT_EQ(message(vmstate_load(*pm->vmstate(), pm.get(), in, 3)), "");
  EXPECT_EQ(take(), "asked 7 ");
  EXPECT_EQ(pm->pci_hotplug->slots[0].down, 1u << 7);
  EXPECT_EQ(pm->pci_hotplug->selected, 3u);
  EXPECT_EQ(pm->pci_hotplug->acpi_index, 11u);
}

TEST_F(PciHotplugState, AllBusesTravelOrTheRootAlone) {
  make(true, false);
  const size_t all = save().size();
  remove_device(*pm);
  make(true, true);
  EXPECT_EQ(save().size(), all - 4) << "machines up to 6.2 keep the index";
  remove_device(*pm);
  make(false, false);
  EXPECT_EQ(save().size(), all - (4 + 256 * 8 + 4) + 8);
}

}  // namespace
}  // namespace rhea::test
