"""Flash for firmware, boot options as CMOS and fw_cfg show them, pc-testdev."""
import os
import struct
import tempfile

from machine import MachineTest
from pyutil import runner

SIZE = 0x20000
FLASH = 0x100000000 - SIZE


class Flash(MachineTest):
    def args(self):
        image, self.image = tempfile.mkstemp()
        self.addCleanup(os.unlink, self.image)
        os.write(image, bytes(i & 0xFF for i in range(SIZE)))
        os.close(image)
        return ["-drive", f"if=pflash,format=raw,file={self.image}"]

    def test_array_and_copy_below_1_mib(self):
        self.assertEqual(self.q.read(FLASH + 0x1000, 4), bytes([0, 1, 2, 3]))
        self.assertEqual(self.q.read(0x100000 - SIZE + 5, 2), bytes([5, 6]))

    def test_erase_and_program_reach_the_image(self):
        at = FLASH + 0x3000
        self.q.writeb(at, 0x20)
        self.q.writeb(at, 0xD0)
        self.assertEqual(self.q.readb(at) & 0x80, 0x80)
        self.q.writeb(at + 1, 0x40)
        self.q.writeb(at + 1, 0xA5)
        self.q.writeb(at, 0xE8)
        self.q.writeb(at, 1)
        self.q.writeb(at + 0x10, 0x11)
        self.q.writeb(at + 0x11, 0x22)
        self.q.writeb(at, 0xD0)
        self.q.writeb(at, 0xFF)
        self.assertEqual(self.q.read(at, 3), b"\xff\xa5\xff")
        self.assertEqual(self.q.read(at + 0x10, 2), b"\x11\x22")
        self.vm.quit()
        with open(self.image, "rb") as f:
            f.seek(0x2FFF)
            self.assertEqual(f.read(4), b"\xff\xff\xa5\xff")

    def test_query(self):
        self.q.writeb(FLASH, 0x98)
        self.assertEqual(self.q.read(FLASH + 0x10, 3), b"QRY")
        self.assertEqual(self.q.readb(FLASH + 0x27), 17)
        self.q.writeb(FLASH, 0xFF)
        self.assertEqual(self.q.readb(FLASH + 0x10), 0x10)

    def test_reset_shows_the_array(self):
        self.q.writeb(FLASH, 0x70)
        self.reset()
        self.assertEqual(self.q.readb(FLASH + 1), 1)


class BootOrder(MachineTest):
    ARGS = ["-boot", "once=d,order=nc,reboot-timeout=-1", "-no-fd-bootchk"]

    def order(self):
        out = []
        for at in (0x38, 0x3D):
            self.q.outb(0x70, at)
            out.append(self.q.inb(0x71))
        return out

    def test_once(self):
        self.assertEqual(self.order(), [0x01, 0x03])
        self.reset()
        self.assertEqual(self.order(), [0x01, 0x24])
        self.reset()
        self.assertEqual(self.order(), [0x01, 0x24])


class Testdev(MachineTest):
    ARGS = ["-device", "pc-testdev"]

    def test_ports_of_each_width(self):
        self.q.outl(0xE0, 0x12345678)
        self.assertEqual([hex(self.q.inb(0xE0 + i)) for i in range(4)], ["0x78", "0x56", "0x34", "0x12"])
        self.q.outb(0xE2, 0xAB)
        self.assertEqual(hex(self.q.inl(0xE8)), "0x12ab5678")

    def test_memory(self):
        self.q.writel(0xFF00FFFC, 0xCAFEBABE)
        self.assertEqual(self.q.read(0xFF00FFFC, 4), struct.pack("<I", 0xCAFEBABE))
        self.q.writeb(0xFF00FFFF, 1)
        self.assertEqual(hex(self.q.readl(0xFF00FFFC)), "0x1febabe")


if __name__ == "__main__":
    runner.main()
