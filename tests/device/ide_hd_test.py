"""The hard disk at its ports: PIO, blocks, the bus master, 48-bit addresses, TRIM, what the board tells firmware, and
failed requests: reported, or the machine stopped and the request made again (ATA/ATAPI-6; SFF-8038i)."""
import errno
import os
import struct
import tempfile

from machine import MachineTest, not_the_peer
from pyutil import runner
from pyutil.deadline import Deadline

DATA, ERROR, COUNT, LOW, MID, HIGH, SELECT, STATUS, CONTROL = *range(0x1F0, 0x1F8), 0x3F6
BUSMASTER, IDE = 0xC000, 0x09
BSY, DRDY, DRQ, ERR = 0x80, 0x40, 0x08, 0x01
READ, READ_EXT, WRITE, WRITE_MULTIPLE, SET_MULTIPLE = 0x20, 0x24, 0x30, 0xC5, 0xC6
READ_DMA, WRITE_DMA, WRITE_DMA_EXT, FLUSH, TRIM, IDENTIFY = 0xC8, 0xCA, 0x35, 0xE7, 0x06, 0xEC
TABLE, BUFFER = 0x100000, 0x200000
MIB = 1 << 20


class Disk(MachineTest):
    """One disk of 64 MiB whose sectors all hold their number, on the first channel."""
    MEGABYTES = 64
    PROPERTIES = ""

    def args(self):
        folder = tempfile.TemporaryDirectory(prefix="rhea-disk-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.path = os.path.join(self.folder, "disk.img")
        with open(self.path, "wb") as file:
            for sector in range(256):
                file.write(struct.pack("<I", sector) * 128)
            file.truncate(self.MEGABYTES * MIB)
        return [*self.storage(), "-device", f"ide-hd,bus=ide.0,unit=0,id=hd0,drive=d{self.PROPERTIES}"]

    def storage(self):
        return ["-blockdev", f"driver=file,filename={self.path},node-name=f,discard=unmap",
                "-blockdev", "driver=raw,file=f,node-name=d,discard=unmap"]

    def setUp(self):
        super().setUp()
        self.q.pci_writel(IDE, 0x20, BUSMASTER | 1)
        self.q.pci_writew(IDE, 4, 5)
        self.q.outb(SELECT, 0xE0)

    def wait(self, mask, value):
        deadline = Deadline(10, f"IDE status {value:#x} of {mask:#x}")
        while True:
            status = self.q.inb(CONTROL)
            if status & mask == value:
                return status
            deadline.left()

    def send(self, command, lba=0, count=1, feature=0):
        self.q.outb(ERROR, feature)
        self.q.outb(COUNT, count & 0xFF)
        for port, shift in ((LOW, 0), (MID, 8), (HIGH, 16)):
            self.q.outb(port, lba >> shift & 0xFF)
        self.q.outb(SELECT, 0xE0 | lba >> 24 & 0x0F)
        self.q.outb(STATUS, command)

    def send_ext(self, command, lba, count=1):
        """48-bit: each register takes its high byte first."""
        for shifts, n in (((24, 32, 40), count >> 8), ((0, 8, 16), count)):
            self.q.outb(COUNT, n & 0xFF)
            for port, shift in zip((LOW, MID, HIGH), shifts):
                self.q.outb(port, lba >> shift & 0xFF)
        self.q.outb(SELECT, 0xE0)
        self.q.outb(STATUS, command)

    def read_block(self, size=512):
        self.wait(BSY | DRQ, DRQ)
        return b"".join(struct.pack("<H", self.q.inw(DATA)) for _ in range(size // 2))

    def write_block(self, data):
        self.wait(BSY | DRQ, DRQ)
        for (word,) in struct.iter_unpack("<H", data):
            self.q.outw(DATA, word)

    def done(self):
        """The command ended well; the interrupt is acknowledged."""
        self.assertEqual(self.wait(BSY, 0) & (DRDY | DRQ | ERR), DRDY)
        self.q.inb(STATUS)

    def table(self, *entries):
        self.q.write(TABLE, b"".join(struct.pack("<II", *e) for e in entries))
        self.q.outb(BUSMASTER, 0)
        self.q.outb(BUSMASTER + 2, 0x06)
        self.q.outl(BUSMASTER + 4, TABLE)

    def run_dma(self, to_memory):
        """Lets the bus master move what the command asks for; its status bits at the end."""
        self.q.outb(BUSMASTER, 9 if to_memory else 1)
        deadline = Deadline(10, "the end of the DMA transfer")
        while not self.q.inb(BUSMASTER + 2) & 4:
            deadline.left()
        status = self.q.inb(BUSMASTER + 2) & 7
        self.q.outb(BUSMASTER, 0)
        self.q.outb(BUSMASTER + 2, 0x06)
        return status

    def image(self, sector, sectors=1):
        with open(self.path, "rb") as file:
            file.seek(sector * 512)
            return file.read(sectors * 512)


def numbered(sector):
    return struct.pack("<I", sector) * 128


class Transfers(Disk):
    PROPERTIES = ",serial=number-1,ver=v9,model=A disk"

    def test_identify(self):
        self.send(IDENTIFY)
        words = struct.unpack("<256H", self.read_block())
        text = b"".join(struct.pack(">H", w) for w in words)
        self.assertEqual(text[20:40], b"number-1".ljust(20))
        self.assertEqual(text[46:54], b"v9".ljust(8))
        self.assertEqual(text[54:94], b"A disk".ljust(40))
        self.assertEqual(words[60] | words[61] << 16, self.MEGABYTES * 2048)
        self.assertEqual(words[100], self.MEGABYTES * 2048 & 0xFFFF)
        self.assertEqual((words[1], words[3], words[6]), (self.MEGABYTES * 2048 // (16 * 63), 16, 63))

    def test_pio(self):
        self.send(READ, lba=7, count=2)
        self.assertEqual(self.read_block(), numbered(7))
        self.assertEqual(self.read_block(), numbered(8))
        self.done()
        self.send(WRITE, lba=300)
        self.write_block(b"ab" * 256)
        self.done()
        self.send(FLUSH)
        self.done()
        self.assertEqual(self.image(300), b"ab" * 256)

    def test_blocks_of_several_sectors(self):
        self.send(SET_MULTIPLE, count=8)
        self.done()
        self.send(WRITE_MULTIPLE, lba=400, count=10)
        self.write_block(b"cd" * 2048)
        self.write_block(b"ef" * 512)
        self.done()
        self.assertEqual(self.image(400, 10), b"cd" * 2048 + b"ef" * 512)

    def test_48_bit_addresses(self):
        last = self.MEGABYTES * 2048 - 1
        self.table((BUFFER, 512 | 1 << 31))
        self.q.write(BUFFER, b"end!" * 128)
        self.send_ext(WRITE_DMA_EXT, last)
        self.assertEqual(self.run_dma(False), 4)
        self.done()
        self.assertEqual(self.image(last), b"end!" * 128)
        self.send_ext(READ_EXT, last)
        self.assertEqual(self.read_block(), b"end!" * 128)
        self.send_ext(READ_EXT, last + 1)
        self.assertTrue(self.wait(BSY, 0) & ERR)
        self.assertEqual(self.q.inb(ERROR), 4)

    def test_dma_in_pieces(self):
        """Pieces of sizes that are not a sector's, the last of 64 KiB written as 0."""
        sizes = (2, 510, 1024, 512 * 3 - 2, 514)
        entries, at = [], BUFFER
        for size in sizes:
            entries.append((at, size))
            at += 0x1000
        entries.append((0x300000, 1 << 31))
        self.table(*entries)
        sectors = (sum(sizes) + 0x10000) // 512
        self.send(READ_DMA, lba=0, count=sectors)
        self.assertEqual(self.run_dma(True), 4)
        self.done()
        data = b"".join(self.q.read(BUFFER + 0x1000 * i, size) for i, size in enumerate(sizes))
        data += self.q.read(0x300000, 0x10000)
        self.assertEqual(data, self.image(0, sectors))

    def test_dma_from_memory(self):
        self.table((BUFFER, 1024), (BUFFER + 0x5000, 512 | 1 << 31))
        self.q.write(BUFFER, b"1" * 1024)
        self.q.write(BUFFER + 0x5000, b"2" * 512)
        self.send(WRITE_DMA, lba=500, count=3)
        self.assertEqual(self.run_dma(False), 4)
        self.done()
        self.assertEqual(self.image(500, 3), b"1" * 1024 + b"2" * 512)

    def test_a_long_table_stays_active(self):
        self.table((BUFFER, 1024 | 1 << 31))
        self.send(READ_DMA, lba=3, count=1)
        self.assertEqual(self.run_dma(True), 5, "the table is longer than the transfer")
        self.done()
        self.assertEqual(self.q.read(BUFFER, 512), numbered(3))

    def test_a_short_table_gives_no_interrupt(self):
        self.table((BUFFER, 512 | 1 << 31))
        self.send(READ_DMA, lba=3, count=2)
        self.q.outb(BUSMASTER, 9)
        self.wait(BSY | DRQ, 0)
        self.assertEqual(self.q.inb(BUSMASTER + 2) & 7, 0)
        self.q.outb(BUSMASTER, 0)

    def test_trim(self):
        self.table((BUFFER, 512 | 1 << 31))
        self.q.write(BUFFER, struct.pack("<QQ", 8 << 48 | 16, 8 << 48 | 32).ljust(512, b"\0"))
        self.send(TRIM, count=1, feature=1)
        self.assertEqual(self.run_dma(False), 4)
        self.done()
        self.assertEqual(self.image(16, 8), bytes(8 * 512))
        self.assertEqual(self.image(24, 8), b"".join(map(numbered, range(24, 32))))
        self.assertEqual(self.image(32, 8), bytes(8 * 512))

    def test_cmos_and_boot_tables(self):
        def cmos(index):
            self.q.outb(0x70, index)
            return self.q.inb(0x71)
        self.assertEqual(cmos(0x12), 0xF0)
        self.assertEqual(cmos(0x19), 47)
        self.assertEqual(cmos(0x1B) | cmos(0x1C) << 8, self.MEGABYTES * 2048 // (16 * 63))
        self.assertEqual((cmos(0x1D), cmos(0x23)), (16, 63))
        self.assertEqual(cmos(0x39) & 3, 0, "small enough without translation")


class Failing(Disk):
    """Reading sector 100 fails once; writing sector 150 finds the host's disk full, once."""

    def storage(self):
        rules = (("read_aio", 100, errno.EIO), ("write_aio", 150, errno.ENOSPC))
        options = "".join(f",inject-error.{i}.event={event},inject-error.{i}.sector={sector}"
                          f",inject-error.{i}.errno={number},inject-error.{i}.once=on"
                          for i, (event, sector, number) in enumerate(rules))
        return ["-blockdev", f"driver=blkdebug,node-name=b,image.driver=file,image.filename={self.path}{options}",
                "-blockdev", "driver=raw,file=b,node-name=d"]

    def status(self):
        return next(d["io-status"] for d in self.qmp.execute("query-block") if d.get("qdev") == "hd0")

    def stopped(self, operation, nospace):
        event = self.qmp.wait_event("BLOCK_IO_ERROR")["data"]
        self.assertEqual((event["operation"], event["action"], event["nospace"], event["node-name"]),
                         (operation, "stop", nospace, "d"))
        self.qmp.wait_event("STOP")
        self.assertEqual(self.qmp.execute("query-status"),
                         {"running": False, "singlestep": False, "status": "io-error"})
        self.assertEqual(self.status(), "nospace" if nospace else "failed")

    def goes_on(self):
        self.qmp.execute("cont")
        self.qmp.wait_event("RESUME")
        self.assertEqual(self.status(), "ok")


@not_the_peer("its processor runs once the machine does")
class Stopping(Failing):
    PROPERTIES = ",rerror=stop,werror=stop"

    def test_a_read_is_tried_again(self):
        self.send(READ, lba=100)
        self.stopped("read", False)
        self.goes_on()
        self.assertEqual(self.read_block(), numbered(100))
        self.done()

    def test_a_write_into_a_full_disk_is_tried_again(self):
        self.send(WRITE, lba=150)
        self.write_block(b"full" * 128)
        self.stopped("write", True)
        self.goes_on()
        self.done()
        self.assertEqual(self.image(150), b"full" * 128)

    def test_dma_is_tried_again(self):
        self.table((BUFFER, 4 * 512 | 1 << 31))
        self.q.write(BUFFER, b"dma!" * 512)
        self.send(WRITE_DMA, lba=148, count=4)
        self.q.outb(BUSMASTER, 1)
        self.stopped("write", True)
        self.goes_on()
        self.assertEqual(self.run_dma(False), 4)
        self.done()
        self.assertEqual(self.image(148, 4), b"dma!" * 512)

    def test_a_reset_ends_the_waiting(self):
        self.send(READ, lba=100)
        self.stopped("read", False)
        self.reset()
        self.assertEqual(self.q.inb(CONTROL) & (BSY | DRQ), 0)


@not_the_peer("its processor runs once the machine does")
class Reporting(Failing):
    PROPERTIES = ",rerror=report,werror=enospc"

    def test_a_failed_read_is_reported(self):
        self.send(READ, lba=100)
        self.assertTrue(self.wait(BSY, 0) & ERR)
        self.assertEqual(self.q.inb(ERROR), 4)
        event = self.qmp.wait_event("BLOCK_IO_ERROR")["data"]
        self.assertEqual((event["operation"], event["action"], event["nospace"]), ("read", "report", False))
        self.assertEqual(self.qmp.execute("query-status")["status"], "running")
        self.send(READ, lba=100)
        self.assertEqual(self.read_block(), numbered(100))

    def test_a_full_disk_stops_it(self):
        self.send(WRITE, lba=150)
        self.write_block(b"full" * 128)
        self.stopped("write", True)
        self.goes_on()
        self.done()
        self.assertEqual(self.image(150), b"full" * 128)


if __name__ == "__main__":
    runner.main()
