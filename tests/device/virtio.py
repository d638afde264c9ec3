"""A driver of virtio devices for device tests: the legacy registers and split rings, without event indices."""
import struct
import time

ACKNOWLEDGE, DRIVER, DRIVER_OK, NEEDS_RESET = 1, 2, 4, 0x40
NEXT, WRITE = 1, 2
WAIT_S = 20


def wait_until(test, done):
    """Doorbells, interrupts and a device's breakdown come from other threads, soon."""
    end = time.monotonic() + WAIT_S
    while not done():
        test.assertLess(time.monotonic(), end, f"it has not come for {WAIT_S} s")


class VirtioDriver:
    """One device at `slot`, its ports at `io`. Rings and buffers lie in guest memory from `memory` on."""

    def __init__(self, qtest, slot=4, io=0xc000, memory=0x100000):
        self.q, self.devfn, self.io = qtest, slot << 3, io
        self.memory = memory
        self.queues = {}
        self.q.pci_writel(self.devfn, 0x10, io)
        self.q.pci_writew(self.devfn, 0x04, 0x7)

    # Registers.
    def status(self): return self.q.inb(self.io + 18)
    def set_status(self, value): self.q.outb(self.io + 18, value)
    def features(self): return self.q.inl(self.io)
    def isr(self): return self.q.inb(self.io + 19)
    def config(self, offset): return self.q.inb(self.io + 20 + offset)
    def set_config(self, offset, value): self.q.outb(self.io + 20 + offset, value)

    def config_long(self, offset, size=4):
        return int.from_bytes(bytes(self.config(offset + i) for i in range(size)), "little")

    def reset(self):
        self.set_status(0)
        self.queues = {}

    def allocate(self, size, align=16):
        at = self.memory + align - 1 & -align
        self.memory = at + size
        return at

    def put(self, data):
        at = self.allocate(max(len(data), 1))
        self.q.write(at, data)
        return at

    def start(self, queues=1, features=0):
        """Takes `features` and sets up that many queues."""
        self.reset()
        self.set_status(ACKNOWLEDGE)
        self.set_status(ACKNOWLEDGE | DRIVER)
        self.q.outl(self.io + 4, features)
        for n in range(queues):
            self.q.outw(self.io + 14, n)
            size = self.q.inw(self.io + 12)
            ring = self.allocate(16 * size + 6 + 2 * size + 4096 + 6 + 8 * size, 4096)
            self.q.outl(self.io + 8, ring >> 12)
            avail = ring + 16 * size
            used = avail + 6 + 2 * size + 4095 & -4096
            self.q.memset(ring, used + 6 + 8 * size - ring, 0)
            self.queues[n] = {"size": size, "desc": ring, "avail": avail, "used": used, "next": 0, "seen": 0, "head": 0}
        self.set_status(ACKNOWLEDGE | DRIVER | DRIVER_OK)

    def offer(self, n, pieces, notify=True):
        """Puts a chain of (address, length, is_written) into queue `n`; returns its head."""
        queue = self.queues[n]
        head = queue["head"]
        for i, (address, length, written) in enumerate(pieces):
            flags = (NEXT if i + 1 < len(pieces) else 0) | (WRITE if written else 0)
            at = (head + i) % queue["size"]
            self.q.write(queue["desc"] + 16 * at,
                         struct.pack("<QIHH", address, length, flags, (at + 1) % queue["size"]))
        queue["head"] = (head + len(pieces)) % queue["size"]
        self.q.write(queue["avail"] + 4 + 2 * (queue["next"] % queue["size"]), struct.pack("<H", head))
        queue["next"] += 1
        self.q.write(queue["avail"] + 2, struct.pack("<H", queue["next"] & 0xffff))
        if notify:
            self.notify(n)
        return head

    def notify(self, n): self.q.outw(self.io + 16, n)

    def used(self, n):
        """The next buffer given back, as (head, bytes written); None if there is none."""
        queue = self.queues[n]
        index = struct.unpack("<H", self.q.read(queue["used"] + 2, 2))[0]
        if index == queue["seen"] & 0xffff:
            return None
        entry = struct.unpack("<II", self.q.read(queue["used"] + 4 + 8 * (queue["seen"] % queue["size"]), 8))
        queue["seen"] += 1
        return entry

    def wait_used(self, n):
        end = time.monotonic() + WAIT_S
        while (entry := self.used(n)) is None:
            if time.monotonic() > end:
                raise AssertionError(f"queue {n} gave nothing back for {WAIT_S} s")
        return entry


class ModernDriver(VirtioDriver):
    """The same over the registers of VIRTIO 1: they begin at `bar`; queues as the device sizes them."""
    VERSION_1 = 1 << 32

    def __init__(self, qtest, slot=4, bar=0xfe000000, memory=0x100000):
        self.q, self.devfn, self.bar = qtest, slot << 3, bar
        self.memory = memory
        self.queues = {}
        self.q.pci_writel(self.devfn, 0x20, bar)
        self.q.pci_writew(self.devfn, 0x04, 0x7)

    def status(self): return self.q.readb(self.bar + 20)
    def set_status(self, value): self.q.writeb(self.bar + 20, value)
    def isr(self): return self.q.readb(self.bar + 0x1000)
    def config(self, offset): return self.q.readb(self.bar + 0x2000 + offset)
    def set_config(self, offset, value): self.q.writeb(self.bar + 0x2000 + offset, value)
    def notify(self, n): self.q.writew(self.bar + 0x3000 + 4 * n, n)

    def features(self):
        value = 0
        for half in range(2):
            self.q.writel(self.bar, half)
            value |= self.q.readl(self.bar + 4) << 32 * half
        return value

    def start(self, queues=1, features=0):
        self.reset()
        self.set_status(ACKNOWLEDGE | DRIVER)
        for half in range(2):
            self.q.writel(self.bar + 8, half)
            self.q.writel(self.bar + 12, (features | self.VERSION_1) >> 32 * half & 0xffffffff)
        self.set_status(ACKNOWLEDGE | DRIVER | 8)
        assert self.status() & 8, "the device refuses the features"
        for n in range(queues):
            self.q.writew(self.bar + 22, n)
            size = self.q.readw(self.bar + 24)
            desc, avail, used = self.allocate(16 * size), self.allocate(6 + 2 * size), self.allocate(6 + 8 * size)
            for address, length, register in ((desc, 16 * size, 32), (avail, 6 + 2 * size, 40), (used, 6 + 8 * size, 48)):
                self.q.memset(address, length, 0)
                self.q.writel(self.bar + register, address)
                self.q.writel(self.bar + register + 4, 0)
            self.q.writew(self.bar + 24, size)
            self.q.writew(self.bar + 28, 1)
            self.queues[n] = {"size": size, "desc": desc, "avail": avail, "used": used, "next": 0, "seen": 0, "head": 0}
        self.set_status(ACKNOWLEDGE | DRIVER | 8 | DRIVER_OK)


class BlockDriver(VirtioDriver):
    """Requests of a virtio disk."""
    IN, OUT, FLUSH, GET_ID, DISCARD, WRITE_ZEROES = 0, 1, 4, 8, 11, 13

    def send(self, kind, sector=0, data=b"", in_bytes=0, queue=0):
        """Starts a request; returns what finish() wants."""
        header = self.put(struct.pack("<IIQ", kind, 0, sector))
        pieces = [(header, 16, False)]
        if data:
            pieces.append((self.put(data), len(data), False))
        answer = self.put(b"\xff" * (in_bytes + 1))
        if in_bytes:
            pieces.append((answer, in_bytes, True))
        pieces.append((answer + in_bytes, 1, True))
        return self.offer(queue, pieces), answer, in_bytes, queue

    def finish(self, sent):
        """Waits for it; returns the data and the status."""
        head, answer, in_bytes, queue = sent
        got = self.wait_used(queue)[0]
        assert got == head, (got, head)
        data = bytes(self.q.read(answer, in_bytes + 1))
        return data[:-1], data[-1]

    def request(self, *args, **kwargs):
        return self.finish(self.send(*args, **kwargs))


class ScsiDriver(VirtioDriver):
    """Commands of a virtio-scsi controller: queues are control, events, commands (VIRTIO 1.2, 5.6)."""
    CONTROL, EVENTS, COMMANDS = 0, 1, 2
    SENSE_BYTES, CDB_BYTES = 96, 32
    OK, OVERRUN, ABORTED, BAD_TARGET, RESET, FAILURE = 0, 1, 2, 3, 4, 9

    @staticmethod
    def lun_bytes(target, lun):
        return bytes([1, target, 0x40 | lun >> 8 if lun else 0, lun & 0xff, 0, 0, 0, 0])

    def send(self, cdb, target=0, lun=0, data=b"", in_bytes=0, tag=0, queue=COMMANDS):
        head = self.lun_bytes(target, lun) + struct.pack("<QBBB", tag, 0, 0, 0) + bytes(cdb).ljust(self.CDB_BYTES, b"\0")
        pieces = [(self.put(head), len(head), False)]
        if data:
            pieces.append((self.put(data), len(data), False))
        size = 12 + self.SENSE_BYTES
        answer = self.put(b"\xff" * (size + in_bytes))
        pieces.append((answer, size, True))
        if in_bytes:
            pieces.append((answer + size, in_bytes, True))
        return self.offer(queue, pieces), answer, in_bytes, queue

    def finish(self, sent):
        """Waits for it; returns (response, status, sense data, residue, data)."""
        head, answer, in_bytes, queue = sent
        got = self.wait_used(queue)
        assert got[0] == head, (got, head)
        reply = bytes(self.q.read(answer, 12 + self.SENSE_BYTES + in_bytes))
        sense_bytes, residue, _, status, response = struct.unpack("<IIHBB", reply[:12])
        data = reply[12 + self.SENSE_BYTES:]
        assert response != self.OK or got[1] <= len(reply), got
        return response, status, reply[12:12 + sense_bytes], residue, data

    def command(self, cdb, **kwargs):
        return self.finish(self.send(cdb, **kwargs))

    def manage(self, subtype, target=0, lun=0, tag=0, wait=True):
        """A task management function; returns its response."""
        request = struct.pack("<II", 0, subtype) + self.lun_bytes(target, lun) + struct.pack("<Q", tag)
        answer = self.put(b"\xff")
        head = self.offer(self.CONTROL, [(self.put(request), len(request), False), (answer, 1, True)])
        if not wait:
            return head, answer
        assert self.wait_used(self.CONTROL)[0] == head
        return self.q.read(answer, 1)[0]
