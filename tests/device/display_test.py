"""The VGA: registers, memory, the VBE extension, and pictures of its modes."""
import os
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from machine import MachineTest, not_the_peer  # noqa: E402
from pyutil import runner  # noqa: E402
from vga_modes import CGA4, MODE13, PLANAR, TEXT, VgaPorts  # noqa: E402

LFB, MMIO, ROM = 0xFD000000, 0xFEB00000, 0xFEB10000
VGA = 0x80001000  # 00:02.0


class Display(MachineTest):
    ARGS = ["-device", "VGA,id=v,addr=2"]

    def setUp(self):
        super().setUp()
        self.ports = VgaPorts(self.q)
        self.pictures = tempfile.TemporaryDirectory()
        self.addCleanup(self.pictures.cleanup)

    def config(self, register, value=None):
        self.q.outl(0xCF8, VGA | register)
        if value is None:
            return self.q.inl(0xCFC)
        return self.q.outl(0xCFC, value)

    def map_bars(self):
        self.config(0x10, LFB)
        self.config(0x18, MMIO)
        self.config(0x04, 0x0003)

    def picture(self, **arguments):
        """Width, height and rows of (r, g, b) pixels."""
        path = os.path.join(self.pictures.name, "screen.ppm")
        self.qmp.execute("screendump", filename=path, **arguments)
        with open(path, "rb") as f:
            data = f.read()
        magic, size, depth, pixels = data.split(b"\n", 3)
        width, height = map(int, size.split())
        self.assertEqual((magic, depth, len(pixels)), (b"P6", b"255", width * height * 3))
        return width, height, lambda x, y: tuple(pixels[(y * width + x) * 3:][:3])

    def test_pci_function(self):
        self.assertEqual(self.config(0x00), 0x11111234)
        self.assertEqual(self.config(0x08), 0x03000002)
        self.config(0x10, 0xFFFFFFFF)
        self.assertEqual(self.config(0x10), 0xFF000008)
        self.config(0x18, 0xFFFFFFFF)
        self.assertEqual(self.config(0x18), 0xFFFFF000)
        self.config(0x30, 0xFFFFFFFF)
        self.assertEqual(self.config(0x30), 0xFFFF0001)
        self.config(0x30, ROM | 1)
        self.config(0x04, 0x0002)
        self.assertEqual(self.q.readw(ROM), 0xAA55)
        self.config(0x30, ROM)
        self.assertNotEqual(self.q.readw(ROM), 0xAA55)

    def test_registers_keep_the_bits_they_have(self):
        self.q.outb(0x3C2, 0x67)
        for port, index, kept in ((0x3C4, 1, 0x3D), (0x3C4, 2, 0x0F), (0x3C4, 4, 0x0E), (0x3CE, 5, 0x7B),
                                  (0x3CE, 8, 0xFF), (0x3D4, 0x0A, 0xFF)):
            self.ports.indexed(port, index, 0xFF)
            self.assertEqual(self.ports.read(port, index), kept, f"{port:#x} {index}")
        self.assertEqual(self.q.inb(0x3CC), 0x67)
        self.assertEqual(self.q.inb(0x3B4), 0xFF, "the monochrome ports answer in colour")
        self.ports.indexed(0x3D4, 0x00, 0x5F)
        self.ports.indexed(0x3D4, 0x11, 0x80)
        self.ports.indexed(0x3D4, 0x00, 0x11)
        self.assertEqual(self.ports.read(0x3D4, 0x00), 0x5F, "CR11 protects")
        self.assertNotEqual(self.q.inb(0x3DA) & 0x08, self.q.inb(0x3DA) & 0x08, "no retrace ever ends")
        self.ports.colour(7, 1, 2, 3)
        self.q.outb(0x3C7, 7)
        self.assertEqual([self.q.inb(0x3C9) for _ in range(3)], [1, 2, 3])

    def test_planes(self):
        self.ports.mode(PLANAR)
        self.ports.indexed(0x3C4, 2, 0x05)
        self.q.writeb(0xA0000, 0xF0)
        for plane, value in enumerate((0xF0, 0, 0xF0, 0)):
            self.ports.indexed(0x3CE, 4, plane)
            self.assertEqual(self.q.readb(0xA0000), value, f"plane {plane}")
        self.ports.indexed(0x3C4, 2, 0x0F)
        self.ports.indexed(0x3CE, 5, 0x02)  # write mode 2: a colour through the mask
        self.ports.indexed(0x3CE, 8, 0x0F)
        self.q.readb(0xA0000)
        self.q.writeb(0xA0000, 0x0A)
        self.ports.indexed(0x3CE, 5, 0x08)  # read mode 1: which pixels have colour 10
        self.ports.indexed(0x3CE, 2, 0x0A)
        self.ports.indexed(0x3CE, 7, 0x0F)
        self.assertEqual(self.q.readb(0xA0000), 0x0F)
        for i in range(16):
            self.ports.colour(i, i, 0, 63 - i)
        width, height, at = self.picture()
        self.assertEqual((width, height), (640, 480))
        self.assertEqual(at(0, 0), (5 << 2 | 3, 0, (58 << 2)))
        self.assertEqual(at(4, 0), (10 << 2, 0, 53 << 2 | 3))
        self.assertEqual(at(8, 0), (0, 0, 63 << 2 | 3))

    def test_mode_13h(self):
        self.ports.mode(MODE13)
        self.ports.colour(1, 63, 0, 0)
        self.ports.colour(2, 0, 63, 0)
        self.q.writeb(0xA0000, 1)
        self.q.writeb(0xA0000 + 320 + 319, 2)
        width, height, at = self.picture()
        self.assertEqual((width, height), (640, 400))
        self.assertEqual([at(0, 0), at(1, 1), at(2, 0)], [(255, 0, 0), (255, 0, 0), (0, 0, 0)])
        self.assertEqual(at(639, 3), (0, 255, 0))

    def test_cga_banks(self):
        self.ports.mode(CGA4)
        for i in range(4):
            self.ports.colour(i, 21 * i, 0, 0)
        self.q.writeb(0xB8000, 0x1B)
        self.q.writeb(0xBA000, 0xE4)
        width, height, at = self.picture()
        self.assertEqual((width, height), (640, 400))
        reds = [0, 21 << 2 | 3, 42 << 2, 255]
        self.assertEqual([at(2 * i, 0)[0] for i in range(4)], reds)
        self.assertEqual([at(2 * i, 2)[0] for i in range(4)], reds[::-1])

    def test_text(self):
        self.ports.mode(TEXT)
        self.ports.colour(7, 42, 42, 42)
        self.ports.colour(1, 0, 0, 42)
        self.ports.indexed(0x3D4, 0x0A, 0x20)
        # A glyph through plane 2.
        self.ports.indexed(0x3C4, 2, 0x04)
        self.ports.indexed(0x3C4, 4, 0x06)
        self.ports.indexed(0x3CE, 5, 0x00)
        self.ports.indexed(0x3CE, 6, 0x04)
        for char in (0x41, 0xC4):
            for line in range(16):
                self.q.writeb(0xA0000 + char * 32 + line, 0x81 if line == 3 else 0)
        self.ports.mode(TEXT)
        self.ports.indexed(0x3D4, 0x0A, 0x20)
        self.q.writew(0xB8000 + 2 * (80 + 1), 0x1741)
        self.q.writew(0xB8000 + 2 * (80 + 2), 0x17C4)
        width, height, at = self.picture(device="v")
        self.assertEqual((width, height), (720, 400))
        grey, blue = (42 << 2,) * 3, (0, 0, 42 << 2)
        self.assertEqual([at(9 + x, 16 + 3) for x in range(9)], [grey] + [blue] * 6 + [grey, blue])
        self.assertEqual(at(18 + 8, 16 + 3), grey, "the ninth dot of a line character repeats the eighth")
        self.assertEqual(at(9, 16 + 4), blue)

    def vbe_mode(self, width, height, bits, flags=0x41):
        for index, value in ((4, 0), (1, width), (2, height), (3, bits), (4, flags)):
            self.ports.vbe(index, value)
        self.q.inb(0x3DA)
        self.q.outb(0x3C0, 0x20)

    @not_the_peer("it leaves the low bits of 15 and 16 bit colours clear")
    def test_linear_modes(self):
        self.map_bars()
        for bits, red, white in ((15, b"\x00\x7c", b"\xff\x7f"), (16, b"\x00\xf8", b"\xff\xff"),
                                 (24, b"\x00\x00\xff", b"\xff\xff\xff"),
                                 (32, b"\x00\x00\xff\x00", b"\xff\xff\xff\x00")):
            self.vbe_mode(320, 200, bits)
            self.q.write(LFB, red + white)
            self.q.write(LFB + len(red) * 320 * 199, white)
            width, height, at = self.picture()
            self.assertEqual((width, height), (320, 200), f"{bits} bits")
            self.assertEqual([at(0, 0), at(1, 0), at(2, 0), at(0, 199)],
                             [(255, 0, 0), (255, 255, 255), (0, 0, 0), (255, 255, 255)], f"{bits} bits")
        self.vbe_mode(320, 200, 8, 0x61)
        self.ports.colour(9, 200, 100, 50)
        self.q.writeb(LFB + 5, 9)
        self.assertEqual(self.picture()[2](5, 0), (200, 100, 50))

    def test_vbe_registers(self):
        self.assertEqual(self.ports.vbe_read(0), 0xB0C5)
        self.assertEqual(self.ports.vbe_read(10), 256)
        self.ports.vbe(4, 0x02)
        self.assertEqual([self.ports.vbe_read(i) for i in (1, 2, 3)], [16000, 12000, 32])
        self.vbe_mode(1024, 768, 32)
        self.assertEqual([self.ports.vbe_read(i) for i in (1, 2, 3, 4, 6)], [1024, 768, 32, 0x41, 1024])
        self.ports.vbe(6, 2048)
        self.ports.vbe(8, 100)
        self.ports.vbe(9, 5000)
        self.assertEqual([self.ports.vbe_read(i) for i in (6, 8)], [2048, 100])
        self.assertEqual(self.ports.vbe_read(9), 0, "the picture stays in memory")
        self.ports.vbe(5, 3)
        self.q.writeb(0xA0000, 0x5A)
        self.map_bars()
        self.assertEqual(self.q.readb(LFB + 0x30000), 0x5A)
        self.assertEqual(self.q.readw(MMIO + 0x502), 1024)
        self.q.writew(MMIO + 0x508, 0)
        self.assertEqual(self.ports.vbe_read(4), 0)

    def test_mmio(self):
        self.map_bars()
        edid = self.q.read(MMIO, 128)
        self.assertEqual(edid[:8], bytes.fromhex("00ffffffffffff00"))
        self.assertEqual(sum(edid) % 256, 0)
        self.assertEqual((edid[56] | edid[58] >> 4 << 8, edid[59] | edid[61] >> 4 << 8), (1280, 800))
        self.q.writeb(MMIO + 0x402, 0x67)
        self.assertEqual(self.q.inb(0x3CC), 0x67)
        self.q.writeb(MMIO + 0x414, 0x0C)
        self.q.writeb(MMIO + 0x415, 0x12)
        self.assertEqual(self.ports.read(0x3D4, 0x0C), 0x12)
        self.assertEqual(self.q.readl(MMIO + 0x600), 8)
        self.assertEqual(self.q.readl(MMIO + 0x604), 0x1E1E1E1E)
        self.assertEqual(self.q.readl(MMIO + 0x700), 0xFFFFFFFF)
        self.vbe_mode(64, 64, 32)
        self.q.write(LFB, b"\x00\xff\x00\x00")
        self.q.writel(MMIO + 0x604, 0xBEBEBEBE)
        self.assertEqual(self.picture()[2](0, 0), (255, 0, 0))

    def test_screendump_errors(self):
        self.assert_error("Device 'foo' not found", "screendump", "DeviceNotFound",
                          filename=self.pictures.name + "/x", device="foo")
        self.assert_error("'head' must be specified together with 'device'", "screendump",
                          filename=self.pictures.name + "/x", head=1)
        path = self.pictures.name + "/no/x"
        self.assert_error(f"failed to open file '{path}': No such file or directory", "screendump", filename=path)

    @not_the_peer("its PNG support may be missing")
    def test_png(self):
        path = os.path.join(self.pictures.name, "screen.png")
        self.qmp.execute("screendump", filename=path, format="png")
        with open(path, "rb") as f:
            self.assertEqual(f.read(16), b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")


class Secondary(MachineTest):
    ARGS = ["-device", "secondary-vga,id=w,addr=3"]

    def test_it_has_no_legacy_ports(self):
        self.q.outl(0xCF8, 0x80001808)
        self.assertEqual(self.q.inl(0xCFC), 0x03800002)
        self.q.outb(0x3C2, 0x67)
        self.assertEqual(self.q.inb(0x3CC), 0xFF)


if __name__ == "__main__":
    runner.main()
