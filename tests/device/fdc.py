"""A driver for the floppy controller over qtest: commands, results, DMA channel 2, and a machine with drives."""
import time

from pyutil.deadline import Deadline

BASE, DOR, MSR, FIFO, DIR, CCR = 0x3F0, 0x3F2, 0x3F4, 0x3F5, 0x3F7, 0x3F7
RQM, DIO, NON_DMA, BUSY = 0x80, 0x40, 0x20, 0x10
READ, WRITE, READ_MT, WRITE_MT = 0x46, 0x45, 0xC6, 0xC5
FROM_DISK, TO_DISK = 0x44, 0x48  # DMA modes: single, towards memory, from memory
IRQ = 6


def sector(number):
    """What pattern_image() has in sector `number`."""
    return number.to_bytes(4, "little") * 128


def pattern_image(path, sectors):
    with open(path, "wb") as file:
        for number in range(sectors):
            file.write(sector(number))


class Fdc:
    def __init__(self, qtest):
        self.q = qtest

    def msr(self):
        return self.q.inb(MSR)

    def wait(self, what, mask, value):
        """Polls MSR: the disk is read by others than us."""
        deadline = Deadline(30, what)
        while self.msr() & mask != value:
            self.q.clock_step(1_000_000)
            time.sleep(min(0.001, deadline.left()))

    def send(self, *command):
        for byte in command:
            assert self.msr() & (RQM | DIO) == RQM, f"the controller takes no byte: {self.msr():#x}"
            self.q.outb(FIFO, byte)

    def result(self):
        self.wait("a result of the floppy controller", RQM | DIO | NON_DMA, RQM | DIO)
        out = []
        while self.msr() & (RQM | DIO | BUSY) == (RQM | DIO | BUSY):
            out.append(self.q.inb(FIFO))
        return out

    def run(self, *command):
        self.send(*command)
        return self.result()

    def sense_interrupt(self):
        return self.run(0x08)

    def seek(self, track, drive=0, head=0):
        self.send(0x0F, head << 2 | drive, track)
        return self.sense_interrupt()

    def recalibrate(self, drive=0):
        self.send(0x07, drive)
        return self.sense_interrupt()

    def data(self, opcode, track, head, first, last=18, drive=0, size=2, extra=0xFF):
        """Sends a command that moves data."""
        self.send(opcode, head << 2 | drive, track, head, first, size, last, 0x1B, extra)

    def dma(self, address, size, mode):
        q = self.q
        q.outb(0x0A, 4 | 2)
        q.outb(0x0C, 0)
        q.outb(0x0B, mode | 2)
        for byte in (address & 0xFF, address >> 8 & 0xFF):
            q.outb(0x04, byte)
        q.outb(0x81, address >> 16)
        for byte in (size - 1 & 0xFF, size - 1 >> 8):
            q.outb(0x05, byte)
        q.outb(0x0A, 2)

    def start_motor(self, dma=True, drive=0):
        self.q.outb(DOR, 0x10 << drive | (0x08 if dma else 0) | 0x04 | drive)

    def pio_in(self, count):
        out = bytearray()
        while len(out) < count:
            self.wait("a byte from the disk", RQM | DIO | NON_DMA, RQM | DIO | NON_DMA)
            out.append(self.q.inb(FIFO))
        return bytes(out)

    def pio_out(self, data):
        for byte in data:
            self.wait("room for a byte", RQM | DIO | NON_DMA, RQM | NON_DMA)
            self.q.outb(FIFO, byte)
