// 440FX and PIIX3 on a board of their own: memory, ports, nothing else.
#include "core_fixture.h"
#include "hw/isa/piix3.h"
#include "hw/pci/i440fx.h"

namespace rhea::test {
namespace {

class Chipset : public CoreTest {
 protected:
  Chipset()
      : block(RamBlock::create("ram", 0x200000).value()),
        rom_block(RamBlock::create("rom", 0x20000).value()),
        system(MemoryRegion::container("system", MemoryRegion::kWholeSpace)),
        pci_memory(MemoryRegion::container("pci", MemoryRegion::kWholeSpace)),
        ports(MemoryRegion::container("io", 0x10000)),
        ram(MemoryRegion::ram("ram", block)),
        ram_low(MemoryRegion::alias("ram-low", *ram, 0, 0x200000)),
        rom(MemoryRegion::rom("rom", rom_block)),
        memory_view("memory", *system),
        port_view("io", *ports) {
    system->add_subregion(0, *pci_memory, -1);
    system->add_subregion(0, *ram_low);
    pci_memory->add_subregion(0xe0000, *rom);
    std::fill_n(rom_block->host(), 0x20000, uint8_t{0x5a});
    std::fill_n(block->host(), 0x200000, uint8_t{0x11});
    host = std::make_shared<I440fxPciHost>();
    host->pci_memory = pci_memory.get();
    host->io = ports.get();
    EXPECT_EQ(message(add_device(host, nullptr, machine(), "i440fx")), "");
    bridge = std::make_shared<I440fx>();
    bridge->ram = ram.get();
    bridge->system = system.get();
    bridge->pci_memory = pci_memory.get();
    bridge->set_devfn(0);
    EXPECT_EQ(message(add_device(bridge, &host->pci(), machine(), "bridge")), "");
    isa = std::make_shared<Piix3>();
    for (unsigned i = 0; i < 16; ++i) isa->isa_irqs[i] = IrqLine(irqs, static_cast<int>(i));
    isa->on_reset_request = [this] { ++resets; };
    isa->set_devfn(8);
    EXPECT_EQ(message(add_device(isa, &host->pci(), machine(), "isa")), "");
    irqs.take();
  }
  /// The devices go before the regions their windows show.
  ~Chipset() override {
    for (Device* d : std::initializer_list<Device*>{isa.get(), bridge.get(), host.get()}) remove_device(*d);
    isa.reset();
    bridge.reset();
    host.reset();
  }
  void config_write(unsigned devfn, unsigned at, uint32_t value, unsigned size) {
    port_view.store(0xcf8, 0x80000000u | devfn << 8 | (at & 0xfc), 4);
    port_view.store(0xcfc + (at & 3), value, size);
  }
  uint64_t config_read(unsigned devfn, unsigned at, unsigned size) {
    port_view.store(0xcf8, 0x80000000u | devfn << 8 | (at & 0xfc), 4);
    return port_view.load(0xcfc + (at & 3), size);
  }
  void load(Device& d, std::vector<uint8_t> bytes) {
    StateReader in(bytes);
    EXPECT_EQ(message(vmstate_load(*d.vmstate(), d.vmstate_object(), in, d.vmstate()->version)), "");
    EXPECT_EQ(in.left(), 0u);
  }
  std::vector<uint8_t> save(Device& d) {
    StateWriter out;
    vmstate_save(*d.vmstate(), d.vmstate_object(), out);
    return out.buffer();
  }

  IrqLog irqs;
  int resets = 0;
  std::shared_ptr<RamBlock> block, rom_block;
  std::unique_ptr<MemoryRegion> system, pci_memory, ports, ram, ram_low, rom;
  AddressSpace memory_view, port_view;
  std::shared_ptr<I440fxPciHost> host;
  std::shared_ptr<I440fx> bridge;
  std::shared_ptr<Piix3> isa;
};

TEST_F(Chipset, ConfigurationMechanismOne) {
  EXPECT_EQ(config_read(0, 0, 4), 0x12378086u);
  EXPECT_EQ(config_read(8, 0, 4), 0x70008086u);
  EXPECT_EQ(config_read(0, 1, 2), 0x3780u);
  EXPECT_EQ(port_view.load(0xcf8, 4), 0x80000000u);
  port_view.store(0xcf8, 0x11, 1);  // narrow writes are not for CONFIG_ADDRESS
  EXPECT_EQ(port_view.load(0xcf8, 4), 0x80000000u);
  port_view.store(0xcf8, 0, 4);
  EXPECT_EQ(port_view.load(0xcfc, 4), 0xffffffffu);
  EXPECT_EQ(config_read(0x10, 0, 4), 0xffffffffu);
  host->reset();
  EXPECT_EQ(port_view.load(0xcf8, 4), 0u);
}

TEST_F(Chipset, ResetValues) {
  EXPECT_EQ(config_read(0, 4, 4), 0u);
  EXPECT_EQ(config_read(0, 8, 4), 0x06000002u);
  EXPECT_EQ(config_read(0, 0x72, 1), 0x02u);
  EXPECT_EQ(config_read(0, 0x58, 4) & 0xffffff00, 0u);
  EXPECT_EQ(config_read(8, 4, 4), 0x02000000u);
  EXPECT_EQ(config_read(8, 8, 4), 0x06010000u);
  EXPECT_EQ(config_read(8, 0x0e, 1), 0x80u);
  EXPECT_EQ(config_read(8, 0x2c, 4), 0x11001af4u);
  EXPECT_EQ(config_read(8, 0x4c, 4), 0x0003004du);
  EXPECT_EQ(config_read(8, 0x60, 4), 0x80808080u);
  config_write(8, 0x60, 0x0b0a0b0a, 4);
  config_write(0, 0x59, 0x30, 1);
  reset_devices(machine());
  EXPECT_EQ(config_read(8, 0x60, 4), 0x80808080u);
  EXPECT_EQ(config_read(0, 0x59, 1), 0u);
}

struct PamCase {
  unsigned attribute;
  uint64_t read_before, read_after;  ///< around a write of 0x77
  uint8_t ram_after;
};

TEST_F(Chipset, PamAttributesSteerReadsAndWrites) {
  const PamCase cases[] = {
      {0, 0x5a, 0x5a, 0x11}, {1, 0x11, 0x11, 0x11}, {2, 0x5a, 0x5a, 0x77}, {3, 0x11, 0x77, 0x77}};
  for (unsigned shift : {0u, 4u})  // 0xe0000 and 0xe4000: both halves of PAM5
    for (const auto& c : cases) {
      const uint64_t at = 0xe0123 + (shift != 0 ? 0x4000 : 0);
      block->host()[at] = 0x11;
      config_write(0, 0x5e, c.attribute << shift, 1);
      EXPECT_EQ(memory_view.load(at, 1), c.read_before) << c.attribute;
      memory_view.store(at, 0x77, 1);
      EXPECT_EQ(memory_view.load(at, 1), c.read_after) << c.attribute;
      EXPECT_EQ(block->host()[at], c.ram_after) << c.attribute;
      EXPECT_EQ(rom_block->host()[0x123], 0x5a);
    }
}

TEST_F(Chipset, PamCoversEachWindowExactly) {
  for (int n = 0; n < 13; ++n) {
    const uint64_t start = n == 0 ? 0xf0000 : 0xc0000 + uint64_t(n - 1) * 0x4000;
    const uint64_t size = n == 0 ? 0x10000 : 0x4000;
    const unsigned reg = n == 0 ? 0x59 : 0x5a + unsigned(n - 1) / 2;
    const unsigned shift = n == 0 || n % 2 == 0 ? 4 : 0;
    config_write(0, reg, 3u << shift, 1);
    EXPECT_EQ(memory_view.load(start, 1), 0x11u) << n;
    EXPECT_EQ(memory_view.load(start + size - 1, 1), 0x11u) << n;
    if (n != 1) {
      EXPECT_NE(memory_view.load(start - 1, 1), 0x11u) << n;
    }
    if (n != 0) {
      EXPECT_NE(memory_view.load(start + size, 1), 0x11u) << n;
    }
    config_write(0, reg, 0, 1);
  }
  EXPECT_EQ(memory_view.load(0x9ffff, 1), 0x11u);
  EXPECT_EQ(memory_view.load(0x100000, 1), 0x11u);
}

TEST_F(Chipset, WhereNoPciDeviceAnswersRamDoesNotEither) {
  EXPECT_EQ(memory_view.load(0xd0000, 4), 0xffffffffu);
  memory_view.store(0xd0000, 0, 4);
  config_write(0, 0x5c, 3, 1);
  EXPECT_EQ(memory_view.load(0xd0000, 4), 0x11111111u);
}

TEST_F(Chipset, ReservedPamBitsStayZero) {
  config_write(0, 0x58, 0xffffffff, 4);
  config_write(0, 0x5c, 0xffffffff, 4);
  EXPECT_EQ(config_read(0, 0x5c, 4), 0x33333333u);
  EXPECT_EQ(memory_view.load(0xc0000, 1), 0x11u);
}

TEST_F(Chipset, WriteOnlyWindowsOfASmallRamDoNoHarm) {
  bridge->unrealize();
  const auto small = RamBlock::create("small", 0x80000).value();
  auto small_ram = MemoryRegion::ram("small", small);
  bridge->ram = small_ram.get();
  ASSERT_TRUE(bridge->realize());
  bridge->config_write(0x5a, 0x22222222, 4);
  memory_view.store(0xc0000, UINT64_MAX, 8);
  bridge->config_write(0x5a, 0x33333333, 4);
  memory_view.store(0xc0000, UINT64_MAX, 8);
  remove_device(*bridge);
}

TEST_F(Chipset, SmramOpensAndLocks) {
  auto vga_ram = MemoryRegion::ram("vga", RamBlock::create("vga", 0x20000).value());
  pci_memory->add_subregion(0xa0000, *vga_ram);
  EXPECT_EQ(memory_view.load(0xa0000, 1), 0u);
  config_write(0, 0x72, 0xff, 1);  // open and locked at once: the lock closes it
  EXPECT_EQ(config_read(0, 0x72, 1), 0x3au);
  EXPECT_EQ(memory_view.load(0xa0000, 1), 0u);
  config_write(0, 0x72, 0x40, 1);
  EXPECT_EQ(config_read(0, 0x72, 1), 0x1au);
  reset_devices(machine());
  EXPECT_EQ(config_read(0, 0x72, 1), 0x02u);
  config_write(0, 0x72, 0x40, 1);
  EXPECT_EQ(memory_view.load(0xa0000, 1), 0x11u);
}

TEST_F(Chipset, I440fxStateTravels) {
  config_write(0, 0x5e, 0x33, 1);
  config_write(0, 0x72, 0x40, 1);
  const auto state = save(*bridge);
  EXPECT_EQ(state.size(), 4u + 256 + 16 + 1);
  reset_devices(machine());
  EXPECT_EQ(memory_view.load(0xe0000, 1), 0x5au);
  load(*bridge, state);
  EXPECT_EQ(memory_view.load(0xe0000, 1), 0x11u);
  EXPECT_EQ(save(*bridge), state);
  host->config_address = 0x80001234;
  const auto address = save(*host);
  host->reset();
  load(*host, address);
  EXPECT_EQ(host->config_address, 0x80001234u);
}

TEST_F(Chipset, PirqsReachTheIrqsTheyAreRoutedTo) {
  config_write(8, 0x60, 0x0b0b0a0a, 4);
  isa->set_irq(0, 1);
  EXPECT_EQ(irqs.take(), "10+ ");
  isa->set_irq(1, 1);
  EXPECT_EQ(irqs.take(), "") << "shared, and up already";
  isa->set_irq(0, 0);
  EXPECT_EQ(irqs.take(), "");
  isa->set_irq(1, 0);
  EXPECT_EQ(irqs.take(), "10- ");
}

TEST_F(Chipset, ReroutingMovesALevelThatIsUp) {
  config_write(8, 0x60, 0x0a, 1);
  isa->set_irq(0, 1);
  EXPECT_EQ(irqs.take(), "10+ ");
  config_write(8, 0x60, 0x0b, 1);
  EXPECT_EQ(irqs.take(), "10- 11+ ");
  config_write(8, 0x60, 0x8b, 1);
  EXPECT_EQ(irqs.take(), "11- ");
  config_write(8, 0x60, 0x09, 1);
  EXPECT_EQ(irqs.take(), "9+ ");
  for (unsigned reserved : {0u, 1u, 2u, 8u, 13u}) {
    config_write(8, 0x60, reserved, 1);
    irqs.log.clear();
    EXPECT_EQ(std::count(irqs.level.begin(), irqs.level.end(), 1), 0) << reserved;
  }
}

TEST_F(Chipset, LinesOfOthersAreLeftAlone) {
  irqs.set_irq(9, 1);  // the SCI
  irqs.take();
  config_write(8, 0x60, 0x0a0a0a0a, 4);
  isa->set_irq(2, 1);
  isa->set_irq(2, 0);
  EXPECT_EQ(irqs.level[9], 1);
}

TEST_F(Chipset, ResetLetsGoOfIsaLines) {
  config_write(8, 0x60, 0x0a, 1);
  isa->set_irq(0, 1);
  irqs.take();
  reset_devices(machine());
  EXPECT_EQ(irqs.take(), "10- ");
  config_write(8, 0x60, 0x0a, 1);
  EXPECT_EQ(irqs.take(), "10+ ") << "the device still asks";
}

TEST_F(Chipset, Piix3StateTravels) {
  config_write(8, 0x60, 0x0b0b0a0a, 4);
  port_view.store(0xcf9, 2, 1);
  isa->set_irq(3, 1);
  const auto state = save(*isa);
  EXPECT_EQ(state.size(), 4u + 256 + 16 + 16 + 2 + 9 + 4 + 1);
  reset_devices(machine());
  EXPECT_EQ(irqs.take(), "11+ 11- ");
  load(*isa, state);
  EXPECT_EQ(irqs.take(), "11+ ") << "routes of a loaded state take effect at once";
  EXPECT_EQ(port_view.load(0xcf9, 1), 2u);
  EXPECT_EQ(save(*isa), state);
}

TEST_F(Chipset, ResetControl) {
  EXPECT_EQ(port_view.load(0xcf9, 1), 0u);
  port_view.store(0xcf9, 0xfb, 1);
  EXPECT_EQ(port_view.load(0xcf9, 1), 2u);
  EXPECT_EQ(resets, 0);
  port_view.store(0xcf9, 6, 1);
  EXPECT_EQ(resets, 1);
  EXPECT_EQ(port_view.load(0xcf9, 1), 2u);
  port_view.store(0xcf9, 4, 1);
  EXPECT_EQ(resets, 2);
  port_view.store(0xcf8, 0x80000604, 4);  // not a byte: CONFIG_ADDRESS
  EXPECT_EQ(resets, 2);
}

}  // namespace
}  // namespace rhea::test
