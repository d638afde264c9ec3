"""The CD drive at its ports: identify, ATAPI packets by PIO and by bus-master DMA, tray and sense (ATA/ATAPI-4, MMC)."""
import struct
import tempfile

from machine import MachineTest
from pyutil import runner
from pyutil.deadline import Deadline
from pyutil.iso import make_iso

DATA, ERROR, REASON, LOW, HIGH, SELECT, STATUS = 0x170, 0x171, 0x172, 0x174, 0x175, 0x176, 0x177
BUSMASTER, IDE = 0xC000, 0x09
BSY, DRDY, DRQ, ERR = 0x80, 0x40, 0x08, 0x01


class Atapi(MachineTest):
    def args(self):
        folder = tempfile.TemporaryDirectory(prefix="rhea-iso-")
        self.addCleanup(folder.cleanup)
        self.image = make_iso("DISC", {"HELLO.TXT": b"hello"})
        path = folder.name + "/disc.iso"
        with open(path, "wb") as file:
            file.write(self.image)
        return ["-blockdev", f"driver=file,filename={path},node-name=f,read-only=on",
                "-blockdev", "driver=raw,file=f,node-name=r,read-only=on",
                "-device", "ide-cd,bus=ide.1,unit=0,id=cd0,drive=r"]

    def setUp(self):
        super().setUp()
        self.q.outb(SELECT, 0xA0)

    def wait(self, mask, value):
        deadline = Deadline(10, f"IDE status {value:#x} of {mask:#x}")
        while True:
            status = self.q.inb(STATUS)
            if status & mask == value:
                return status
            deadline.left()

    def packet(self, cdb, limit=0xFFFE, features=0):
        self.q.outb(ERROR, features)
        self.q.outb(LOW, limit & 0xFF)
        self.q.outb(HIGH, limit >> 8)
        self.q.outb(STATUS, 0xA0)
        self.wait(BSY | DRQ, DRQ)
        self.assertEqual(self.q.inb(REASON) & 3, 1, "it asks for the command packet")
        for word in struct.unpack("<6H", cdb.ljust(12, b"\0")):
            self.q.outw(DATA, word)

    def read_all(self):
        """Everything the drive has to say; the status at the end."""
        out = b""
        while self.wait(BSY, 0) & DRQ:
            self.assertEqual(self.q.inb(REASON) & 3, 2, "data towards the host")
            count = self.q.inb(LOW) | self.q.inb(HIGH) << 8
            self.assertGreater(count, 0)
            out += b"".join(struct.pack("<H", self.q.inw(DATA)) for _ in range((count + 1) // 2))
        return out, self.q.inb(STATUS)

    def command(self, cdb, **kwargs):
        self.packet(cdb, **kwargs)
        return self.read_all()

    def sense(self):
        data, _ = self.command(bytes([0x03, 0, 0, 0, 18]))
        return data[2] & 0x0F, data[12], data[13]

    def ready(self):
        """Takes the unit attentions that a new machine reports."""
        for _ in range(4):
            _, status = self.command(bytes(6))
            if not status & ERR:
                return
            self.sense()
        self.fail("the drive does not become ready")

    def test_signature_after_identify_device(self):
        self.q.outb(STATUS, 0xEC)
        self.assertTrue(self.wait(BSY, 0) & ERR)
        self.assertEqual((self.q.inb(LOW), self.q.inb(HIGH)), (0x14, 0xEB))

    def test_identify_packet_device(self):
        self.q.outb(STATUS, 0xA1)
        self.wait(BSY | DRQ, DRQ)
        words = [self.q.inw(DATA) for _ in range(256)]
        self.assertEqual(words[0] & 0xDF00, 0x8500, "removable CD device with packets")
        text = b"".join(struct.pack(">H", w) for w in words[27:47])
        self.assertTrue(text.strip(), "it has a model name")
        self.assertEqual(words[49] & 0x0300, 0x0300, "LBA and DMA")

    def test_inquiry(self):
        data, status = self.command(bytes([0x12, 0, 0, 0, 36]))
        self.assertEqual((len(data), data[0], data[1], status & ERR), (36, 5, 0x80, 0))

    def test_inquiry_in_small_pieces(self):
        data, _ = self.command(bytes([0x12, 0, 0, 0, 36]), limit=8)
        whole, _ = self.command(bytes([0x12, 0, 0, 0, 36]))
        self.assertEqual(data, whole)

    def test_capacity(self):
        self.ready()
        data, _ = self.command(bytes([0x25]))
        self.assertEqual(struct.unpack(">II", data), (len(self.image) // 2048 - 1, 2048))

    def test_read_by_pio(self):
        self.ready()
        data, status = self.command(struct.pack(">BBIBHB", 0x28, 0, 16, 0, 2, 0))
        self.assertEqual(status & ERR, 0)
        self.assertEqual(data, self.image[16 * 2048:18 * 2048])

    def test_read_past_the_end(self):
        self.ready()
        _, status = self.command(struct.pack(">BBIBHB", 0x28, 0, 0xFFFFFF, 0, 1, 0))
        self.assertTrue(status & ERR)
        self.assertEqual(self.sense(), (5, 0x21, 0))

    def test_unknown_command(self):
        self.ready()
        _, status = self.command(bytes([0xFF]))
        self.assertTrue(status & ERR)
        self.assertEqual(self.sense(), (5, 0x20, 0))

    def test_read_by_dma(self):
        self.ready()
        self.q.pci_writel(IDE, 0x20, BUSMASTER | 1)
        self.q.pci_writew(IDE, 4, 5)
        table, target = 0x100000, 0x200000
        self.q.write(table, struct.pack("<IHHIHH", target, 2048, 0, target + 0x1000, 2048, 0x8000))
        secondary = BUSMASTER + 8
        self.q.outl(secondary + 4, table)
        self.q.outb(secondary + 2, 0x06)
        self.packet(struct.pack(">BBIBHB", 0x28, 0, 16, 0, 2, 0), features=1)
        self.q.outb(secondary, 0x09)
        deadline = Deadline(10, "the end of the DMA transfer")
        while not self.q.inb(secondary + 2) & 4:
            deadline.left()
        self.assertEqual(self.q.inb(secondary + 2) & 3, 0, "neither active nor failed")
        self.assertEqual(self.q.inb(STATUS) & (BSY | DRQ | ERR), 0)
        self.assertEqual(self.q.read(target, 2048), self.image[16 * 2048:17 * 2048])
        self.assertEqual(self.q.read(target + 0x1000, 2048), self.image[17 * 2048:18 * 2048])
        self.q.outb(secondary, 0)

    def test_guest_moves_the_tray(self):  # S0.9
        self.ready()
        self.command(bytes([0x1B, 0, 0, 0, 2]))
        self.assertEqual(self.qmp.wait_event("DEVICE_TRAY_MOVED")["data"],
                         {"device": "", "id": "cd0", "tray-open": True})
        _, status = self.command(bytes(6))
        self.assertTrue(status & ERR)
        self.assertEqual(self.sense()[:2], (2, 0x3A))
        self.command(bytes([0x1B, 0, 0, 0, 3]))
        self.assertEqual(self.qmp.wait_event("DEVICE_TRAY_MOVED")["data"]["tray-open"], False)
        self.ready()

    def test_a_lock_holds_the_tray(self):  # S0.6, S0.7
        self.ready()
        self.command(bytes([0x1E, 0, 0, 0, 1]))
        drive = next(d for d in self.qmp.execute("query-block") if d.get("qdev") == "cd0")
        self.assertTrue(drive["locked"])
        self.assert_error("Device 'cd0' is locked and force was not specified, wait for tray to open and try again",
                          "eject", id="cd0")
        self.qmp.execute("blockdev-open-tray", {"id": "cd0"})
        self.assertFalse(next(d for d in self.qmp.execute("query-block") if d.get("qdev") == "cd0")["tray_open"])
        event, _ = self.command(bytes([0x4A, 1, 0, 0, 0x10, 0, 0, 0, 8]))
        self.assertEqual(event[4] & 0x0F, 1, "the guest is asked to eject")
        self.qmp.execute("blockdev-open-tray", {"id": "cd0", "force": True})
        drive = next(d for d in self.qmp.execute("query-block") if d.get("qdev") == "cd0")
        self.assertEqual((drive["tray_open"], drive["locked"]), (True, False))

    def test_a_changed_medium_is_two_steps_for_the_guest(self):  # S0.21
        self.ready()
        for command, extra in (("blockdev-open-tray", {}), ("blockdev-remove-medium", {}),
                               ("blockdev-insert-medium", {"node-name": "r"}), ("blockdev-close-tray", {})):
            self.qmp.execute(command, {"id": "cd0", **extra})
        seen = []
        for _ in range(3):
            _, status = self.command(bytes(6))
            seen.append(self.sense()[:2] if status & ERR else "ready")
        self.assertEqual(seen, [(2, 0x3A), (6, 0x28), "ready"])


if __name__ == "__main__":
    runner.main()
