"""virtio-blk-pci over qtest: identity, capabilities, registers, a request over a legacy ring, bad properties."""
import os
import struct
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from machine import MachineTest  # noqa: E402
from pyutil import runner  # noqa: E402
from pyutil.emulator import emulator_path  # noqa: E402

DISK = ["-blockdev", "null-co,node-name=n,size=1048576,read-zeroes=on"]


class VirtioBlk(MachineTest):
    ARGS = DISK + ["-device", "virtio-blk-pci,id=d0,drive=n,serial=abc,addr=4"]

    def config(self, offset, size=4):
        self.q.outl(0xcf8, 0x80000000 | 4 << 11 | offset & ~3)
        return self.q.inl(0xcfc) >> 8 * (offset & 3) & (1 << 8 * size) - 1

    def write_config(self, offset, value):
        self.q.outl(0xcf8, 0x80000000 | 4 << 11 | offset)
        self.q.outl(0xcfc, value)

    def map_legacy(self):
        self.write_config(0x10, 0xc000)
        self.write_config(0x04, 0x7)
        return 0xc000

    def test_identity_and_capabilities(self):
        self.assertEqual(self.config(0x00), 0x10011af4)
        self.assertEqual(self.config(0x2c), 0x00021af4)
        found, at = [], self.config(0x34, 1)
        while at:
            kind = self.config(at, 1)
            found.append((at, kind, self.config(at + 3, 1) if kind == 9 else None))
            at = self.config(at + 1, 1)
        self.assertEqual(found, [(0x98, 0x11, None), (0x84, 9, 5), (0x70, 9, 2), (0x60, 9, 4), (0x50, 9, 3), (0x40, 9, 1)])

    def test_back_end_in_the_tree(self):
        """S0.16: the path by which managers know the disk."""
        path = "/machine/peripheral/d0/virtio-backend"
        self.assertEqual(self.qmp.execute("qom-get", {"path": path, "property": "serial"}), "abc")
        disk = [b for b in self.qmp.execute("query-block") if b.get("qdev") == path]
        self.assertEqual(len(disk), 1)

    def request(self, kind, sector=0, in_bytes=0):
        """One request over the legacy ring at 0x10000; returns the data and the status."""
        io = self.map_legacy()
        self.q.outb(io + 18, 0)
        self.q.write(0x10000, bytes(0x4000))
        self.q.outb(io + 18, 3)
        self.q.outw(io + 14, 0)
        size = self.q.inw(io + 12)
        self.assertEqual(size, 256)
        self.q.outl(io + 8, 0x10)
        self.q.outb(io + 18, 7)
        self.q.write(0x20000, struct.pack("<IIQ", kind, 0, sector))
        self.q.write(0x21000, b"\xff" * (in_bytes + 1))
        chain = struct.pack("<QIHH", 0x20000, 16, 1, 1) + struct.pack("<QIHH", 0x21000, in_bytes + 1, 2, 0)
        self.q.write(0x10000, chain)
        avail = 0x10000 + 16 * size
        self.q.write(avail, struct.pack("<HHH", 0, 1, 0))
        self.q.outw(io + 16, 0)
        self.qmp.execute("query-status")
        data = bytes(self.q.read(0x21000, in_bytes + 1))
        return data[:-1], data[-1]

    def test_requests(self):
        self.assertEqual(self.request(0, in_bytes=512), (bytes(512), 0))
        self.assertEqual(self.request(8, in_bytes=20), (b"abc" + bytes(17), 0))
        self.assertEqual(self.request(4), (b"", 0))
        self.assertEqual(self.request(0, sector=2048, in_bytes=512)[1], 1)
        self.assertEqual(self.request(99)[1], 2)

    def test_bad_ring_breaks_the_device_alone(self):
        io = self.map_legacy()
        self.q.outb(io + 18, 3)
        self.q.outl(io + 8, 0x10)
        self.q.outb(io + 18, 7)
        self.q.write(0x10000 + 16 * 256, struct.pack("<HHH", 0, 1, 999))
        self.q.outw(io + 16, 0)
        self.assertEqual(self.q.inb(io + 18) & 0x40, 0x40)
        self.q.outb(io + 18, 0)
        self.assertEqual(self.q.inb(io + 18), 0)
        self.assertEqual(self.request(0, in_bytes=512)[1], 0)

    def test_bad_properties(self):
        for properties, text in (
                ("scsi=on,drive=n", "scsi=on is not supported: pass SCSI devices through virtio-scsi"),
                ("queue-size=2,drive=n", "invalid queue-size property (2), must be > 2"),
                ("queue-size=100,drive=n", "invalid queue-size property (100), must be a power of 2 (max 1024)"),
                ("num-queues=0,drive=n", "num-queues property must be larger than 0"),
                ("drive=nosuch", "Property 'virtio-blk-pci.drive' can't find value 'nosuch'"),
                ("disable-legacy=on,disable-modern=on,drive=n",
                 "device cannot work as neither modern nor legacy mode is enabled"),
                ("", "No drive specified")):
            done = subprocess.run([emulator_path(), "-machine", "pc", "-accel", "qtest", "-nodefaults", "-display", "none",
                                   *DISK, "-device", f"virtio-blk-pci,{properties}"], capture_output=True, text=True,
                                  timeout=30, check=False)
            self.assertEqual(done.returncode, 1, properties)
            self.assertIn(text, done.stderr)


class ShortForm(MachineTest):
    ARGS = ["-drive", "if=virtio,driver=null-co,size=1048576,read-zeroes=on"]

    def test_drive_option_makes_the_device(self):
        disk = [b for b in self.qmp.execute("query-block") if b["device"] == "virtio0"]
        self.assertEqual([b["qdev"] for b in disk], ["/machine/peripheral-anon/device[0]/virtio-backend"])


class Modern(MachineTest):
    ARGS = DISK + ["-device", "virtio-blk-pci-non-transitional,drive=n,addr=4"]

    def test_numbers(self):
        self.q.outl(0xcf8, 0x80002000)
        self.assertEqual(self.q.inl(0xcfc), 0x10421af4)
        self.q.outl(0xcf8, 0x80002008)
        self.assertEqual(self.q.inl(0xcfc) & 0xff, 1)


if __name__ == "__main__":
    runner.main()
