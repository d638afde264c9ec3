"""The AT devices over ports: RTC, PIT, PIC, serial port, keyboard controller, port 92, fw_cfg."""
import struct

from machine import MachineTest
from pyutil import runner


class Rtc(MachineTest):
    ARGS = ["-rtc", "base=2020-11-12T13:14:15,clock=vm", "-m", "64"]

    def cmos(self, at):
        self.q.outb(0x70, at)
        return self.q.inb(0x71)

    def test_time_is_bcd_and_as_given(self):
        self.assertEqual(self.cmos(0x0A) & 0x7F, 0x26)
        self.assertEqual(self.cmos(0x0B), 0x02)
        self.assertEqual(self.cmos(0x0D), 0x80)
        self.assertEqual([hex(self.cmos(at)) for at in (0x32, 9, 8, 7, 4, 2)],
                         ["0x20", "0x20", "0x11", "0x12", "0x13", "0x14"])

    def test_binary_mode(self):
        self.q.outb(0x70, 0x0B)
        self.q.outb(0x71, 0x06)
        self.assertEqual([self.cmos(at) for at in (9, 8, 7, 4, 2)], [20, 11, 12, 13, 14])

    def test_memory_size(self):
        self.assertEqual(self.cmos(0x15) | self.cmos(0x16) << 8, 640)
        self.assertEqual(self.cmos(0x34) | self.cmos(0x35) << 8, (64 - 16) * 16)

    def test_a_guest_that_sets_the_clock_is_reported(self):  # S3.13
        self.q.outb(0x70, 0x04)
        self.q.outb(0x71, 0x14)  # an hour ahead
        event = self.qmp.wait_event("RTC_CHANGE")["data"]
        self.assertAlmostEqual(event["offset"], 3600, delta=2)
        self.assertTrue(event["qom-path"].startswith("/machine/"), event)

    def test_free_bytes_are_stored(self):
        self.q.outb(0x70, 0x55)
        self.q.outb(0x71, 0xA5)
        self.assertEqual(self.cmos(0x55), 0xA5)


class Chips(MachineTest):
    def test_pic_masks_and_initialisation(self):
        for base in (0x20, 0xA0):
            for port, value in ((0, 0x11), (1, 0x08), (1, 4 if base == 0x20 else 2), (1, 1), (1, 0xA5)):
                self.q.outb(base + port, value)
            self.assertEqual(self.q.inb(base + 1), 0xA5)
        self.q.outb(0x4D1, 0xFF)
        self.assertEqual(self.q.inb(0x4D1), 0xDE)
        self.q.outb(0x4D0, 0xFF)
        self.assertEqual(self.q.inb(0x4D0), 0xF8)

    def test_pit_read_back(self):
        self.q.outb(0x43, 0xB4)  # counter 2, both bytes, mode 2
        self.q.outb(0x42, 0x34)
        self.q.outb(0x42, 0x12)
        self.q.outb(0x43, 0xE8)  # latch the status of counter 2
        self.assertEqual(hex(self.q.inb(0x42) & 0x3F), "0x34")

    def test_keyboard_controller_self_test(self):
        self.q.outb(0x64, 0xAA)
        self.assertEqual(self.q.inb(0x64) & 1, 1)
        self.assertEqual(self.q.inb(0x60), 0x55)

    def test_port_92_switches_a20(self):
        self.q.outb(0x92, 2)
        self.assertEqual(self.q.inb(0x92) & 2, 2)
        self.q.outb(0x92, 0)
        self.assertEqual(self.q.inb(0x92) & 2, 0)


class Serial(MachineTest):
    ARGS = ["-chardev", "null,id=n0", "-serial", "chardev:n0"]

    def test_scratch_divisor_and_loopback(self):
        q, base = self.q, 0x3F8
        q.outb(base + 7, 0x5A)
        self.assertEqual(q.inb(base + 7), 0x5A)
        q.outb(base + 3, 0x83)
        q.outw(base, 0x0001)
        self.assertEqual((q.inb(base), q.inb(base + 1)), (1, 0))
        q.outb(base + 3, 0x03)
        self.assertEqual(q.inb(base + 5) & 0x60, 0x60)
        q.outb(base + 4, 0x1F)  # loop, OUT2, OUT1, RTS, DTR
        self.assertEqual(q.inb(base + 6) & 0xF0, 0xF0)
        q.outb(base, 0x41)
        self.assertEqual(q.inb(base + 5) & 1, 1)
        self.assertEqual(q.inb(base), 0x41)
        self.assertEqual(q.inb(base + 5) & 1, 0)


class FwCfg(MachineTest):
    def item(self, key, size):
        self.q.outw(0x510, key)
        return bytes(self.q.inb(0x511) for _ in range(size))

    def files(self):
        count, = struct.unpack(">I", self.item(0x19, 4))
        raw = self.item(0x19, 4 + 64 * count)[4:]
        entries = [struct.unpack(">IHH56s", raw[i * 64:i * 64 + 64]) for i in range(count)]
        return {name.rstrip(b"\0").decode(): (key, size) for size, key, _, name in entries}

    def test_signature_and_features(self):
        self.assertEqual(self.item(0, 4), b"QEMU")
        self.assertEqual(struct.unpack("<I", self.item(1, 4))[0] & 3, 3)
        self.assertEqual(self.item(5, 2), b"\1\0")  # one CPU

    def test_directory(self):
        files = self.files()
        for name in ("etc/acpi/tables", "etc/acpi/rsdp", "etc/table-loader", "etc/smbios/smbios-tables"):
            self.assertIn(name, files)
        self.assertTrue(all(key >= 0x20 for key, _ in files.values()))

    def test_boot_order(self):
        vm = self.launch(["-device", "ide-cd,bus=ide.1,unit=0,bootindex=1"])
        self.q = vm.qtest
        key, size = self.files()["bootorder"]
        self.assertEqual(self.item(key, size), b"/pci@i0cf8/ide@1,1/drive@1/disk@0\0")

    def test_dma_reads_a_file(self):
        self.assertEqual(self.q.inl(0x514), 0x554D4551)  # "QEMU CFG", big endian, read through its first half
        key, size = self.files()["etc/acpi/rsdp"]
        at, control = 0x100000, 0x101000
        self.q.write(control, struct.pack(">IIQ", key << 16 | 0x08 | 0x02, size, at))  # select, read
        self.q.outl(0x514, 0)
        self.q.outl(0x518, int.from_bytes(struct.pack(">I", control), "little"))
        self.assertEqual(self.q.readl(control), 0, "done without an error")
        self.assertEqual(self.q.read(at, 8), b"RSD PTR ")
        self.assertEqual(self.q.read(at, size), self.item(key, size))

    def test_dma_of_an_unknown_command_does_nothing(self):
        control = 0x101000
        self.q.write(control, struct.pack(">IIQ", 0x08, 0, 0))
        self.q.outl(0x514, 0)
        self.q.outl(0x518, int.from_bytes(struct.pack(">I", control), "little"))
        self.assertEqual(self.q.readl(control), 0)


if __name__ == "__main__":
    runner.main()
