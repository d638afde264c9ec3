"""Configuration space of the board's functions, mechanism 1, BARs, PAM windows, interrupt routing registers."""
from machine import MachineTest, not_the_peer
from pyutil import runner

HOST, ISA, IDE, PM = 0x00, 0x08, 0x09, 0x0B
# function: {offset: (bytes, value after reset)}
RESET = {
    HOST: {0x00: (4, 0x12378086), 0x04: (2, 0), 0x08: (4, 0x06000002), 0x0E: (1, 0), 0x2C: (4, 0x11001AF4),
           0x59: (1, 0), 0x5A: (2, 0), 0x5C: (4, 0), 0x72: (1, 2)},
    ISA: {0x00: (4, 0x70008086), 0x04: (4, 0x02000000), 0x08: (4, 0x06010000), 0x0E: (1, 0x80),
          0x2C: (4, 0x11001AF4), 0x4C: (4, 0x0003004D), 0x60: (4, 0x80808080), 0x69: (1, 2), 0x70: (1, 0x80),
          0x76: (2, 0x0C0C), 0x78: (1, 2), 0xA0: (1, 8), 0xA8: (1, 0x0F)},
    IDE: {0x00: (4, 0x70108086), 0x04: (4, 0x02800000), 0x08: (4, 0x01018000), 0x0E: (1, 0), 0x20: (4, 1),
          0x2C: (4, 0x11001AF4), 0x3D: (1, 0)},
    PM: {0x00: (4, 0x71138086), 0x04: (4, 0x02800000), 0x08: (4, 0x06800003), 0x0E: (1, 0), 0x2C: (4, 0x11001AF4),
         0x3C: (2, 0x0100), 0x40: (4, 1), 0x63: (1, 0x60), 0x67: (1, 0), 0x80: (1, 0)},
}


class Config(MachineTest):
    def read(self, devfn, at, size):
        return {1: self.q.pci_readb, 2: self.q.pci_readw, 4: self.q.pci_readl}[size](devfn, at)

    def check_reset_values(self):
        for devfn, registers in RESET.items():
            for at, (size, value) in registers.items():
                with self.subTest(devfn=hex(devfn), at=hex(at)):
                    self.assertEqual(hex(self.read(devfn, at, size)), hex(value))

    def test_reset_values(self):
        self.check_reset_values()

    def test_reset_restores_them(self):
        for devfn in RESET:
            self.q.pci_writel(devfn, 0x04, 0x507)
            self.q.pci_writeb(devfn, 0x3C, 0x55)
        self.q.pci_writel(ISA, 0x60, 0x0A0B0A0B)
        self.reset()
        self.check_reset_values()

    def test_identity_is_read_only(self):
        for devfn in RESET:
            before = [self.q.pci_readl(devfn, at) for at in (0x00, 0x08, 0x2C)]
            for at in (0x00, 0x08, 0x2C):
                self.q.pci_writel(devfn, at, 0xFFFFFFFF)
            self.assertEqual([self.q.pci_readl(devfn, at) for at in (0x00, 0x08, 0x2C)], before)

    def test_command_register_has_the_bits_of_a_conventional_function(self):
        for devfn in RESET:
            self.q.pci_writew(devfn, 4, 0xFFFF)
            self.assertEqual(hex(self.q.pci_readw(devfn, 4)), "0x507")

    def test_absent_functions_read_as_ones(self):
        for devfn in (0x01, 0x0C, 0x0F, 0x10, 0xFF):
            self.assertEqual(self.q.pci_readl(devfn, 0), 0xFFFFFFFF)
        self.assertEqual(self.q.pci_readl(0, 0, bus=1), 0xFFFFFFFF)

    def test_parts_of_the_data_register(self):
        self.q.outl(0xCF8, 0x80000000)
        self.assertEqual(self.q.inl(0xCF8), 0x80000000)
        self.assertEqual([self.q.inb(0xCFC + i) for i in range(4)], [0x86, 0x80, 0x37, 0x12])
        self.assertEqual(self.q.inw(0xCFD), 0x3780)
        self.q.outb(0xCF8, 0x12)  # not 32 bits wide: passes CONFIG_ADDRESS by
        self.assertEqual(self.q.inl(0xCF8), 0x80000000)
        self.q.outl(0xCF8, 0)
        self.assertEqual(self.q.inl(0xCFC), 0xFFFFFFFF)

    def test_bus_master_bar(self):
        self.q.pci_writel(IDE, 0x20, 0xFFFFFFFF)
        self.assertEqual(hex(self.q.pci_readl(IDE, 0x20)), "0xfffffff1")
        self.q.pci_writel(IDE, 0x20, 0xC001)
        self.assertEqual(self.q.inb(0xC002), 0xFF)
        self.q.pci_writew(IDE, 4, 5)
        self.assertEqual(self.q.inb(0xC002) & 0x9F, 0)
        self.q.outl(0xC004, 0x12345677)
        self.assertEqual(hex(self.q.inl(0xC004)), "0x12345674")
        self.assertIn("BAR4: I/O at 0xc000 [0xc00f].", self.qmp.hmp("info pci"))

    def test_info_pci(self):
        text = self.qmp.hmp("info pci").replace("\r\n", "\n")
        self.assertIn("  Bus  0, device   1, function 1:\n    IDE controller: PCI device 8086:7010\n"
                      "      PCI subsystem 1af4:1100\n"
                      "      BAR4: I/O at 0xffffffffffffffff [0x000e].\n      id \"\"\n", text)

    def test_reset_control_keeps_the_kind_of_reset(self):
        self.assertEqual(self.q.inb(0xCF9), 0)
        self.q.outb(0xCF9, 0xFB)
        self.assertEqual(self.q.inb(0xCF9), 2)
        self.q.outb(0xCF9, 0)
        self.assertEqual(self.q.inb(0xCF9), 0)

    def test_reset_control_resets(self):
        self.q.outb(0xCF9, 2)
        self.q.outb(0xCF9, 6)
        event = self.qmp.wait_event("RESET")
        self.assertEqual(event["data"], {"guest": True, "reason": "guest-reset"})
        self.assertEqual(self.q.inb(0xCF9), 0)


class Pam(MachineTest):
    def test_f_segment(self):
        rom = self.q.read(0xFFFF0, 16)
        self.assertEqual(rom[0], 0xEA, "the reset vector is a far jump")
        self.q.pci_writeb(HOST, 0x59, 0x30)
        self.assertEqual(self.q.read(0xFFFF0, 16), bytes(16))
        self.q.write(0xFFFF0, b"shadow")
        self.assertEqual(self.q.read(0xFFFF0, 6), b"shadow")
        self.q.pci_writeb(HOST, 0x59, 0x10)
        self.assertEqual(self.q.read(0xFFFF0, 6), b"shadow")
        self.q.pci_writeb(HOST, 0x59, 0)
        self.assertEqual(self.q.read(0xFFFF0, 16), rom)

    def test_each_window_has_its_attribute(self):
        windows = [(0x59, 4, 0xF0000)] + [(0x5A + n // 2, n % 2 * 4, 0xC0000 + n * 0x4000) for n in range(12)]
        for register, shift, start in windows:
            self.q.pci_writeb(HOST, register, 3 << shift)
            self.q.write(start, bytes([start >> 12 & 0xFF]))
            self.assertEqual(self.q.readb(start), start >> 12 & 0xFF)
            self.q.pci_writeb(HOST, register, 0)
            self.assertNotEqual(self.q.readb(start), start >> 12 & 0xFF)

    @not_the_peer("PAM registers keep their values over a reset")
    def test_reset_shows_the_rom_again(self):
        rom = self.q.read(0xFFFF0, 16)
        self.q.pci_writeb(HOST, 0x59, 0x30)
        self.q.write(0xFFFF0, bytes(16))
        self.reset()
        self.assertEqual(self.q.read(0xFFFF0, 16), rom)


if __name__ == "__main__":
    runner.main()
