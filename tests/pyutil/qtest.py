"""A client of the qtest line protocol: port and memory access, the virtual clock, intercepted interrupt lines."""
import base64
import select

from .deadline import Deadline


class QTestError(Exception):
    """The server answered FAIL or ERR, or not at all."""


class QTest:
    """One qtest connection. `irqs` maps a line number to its last level, after irq_intercept_in/out."""

    def __init__(self, sock, timeout=30):
        self.sock, self.timeout = sock, timeout
        self.irqs = {}
        self._buffer = bytearray()

    def _line(self, what):
        deadline = Deadline(self.timeout, what)
        while b"\n" not in self._buffer:
            ready, _, _ = select.select([self.sock], [], [], deadline.left())
            if ready:
                data = self.sock.recv(65536)
                if not data:
                    raise QTestError(f"{what}: the connection was closed")
                self._buffer += data
        line, _, rest = bytes(self._buffer).partition(b"\n")
        self._buffer = bytearray(rest)
        return line.decode().rstrip("\r")

    def command(self, text):
        """Sends one command line; returns the words after OK. IRQ lines that come before it are recorded."""
        self.sock.sendall(text.encode() + b"\n")
        while True:
            words = self._line(f"answer to '{text[:60]}'").split()
            if words and words[0] == "IRQ":
                self.irqs[int(words[2])] = words[1] == "raise"
                continue
            if not words or words[0] != "OK":
                raise QTestError(f"{text[:60]}: {' '.join(words)}")
            return words[1:]

    def _value(self, text):
        return int(self.command(text)[0], 0)

    def outb(self, port, value): self.command(f"outb {port:#x} {value:#x}")
    def outw(self, port, value): self.command(f"outw {port:#x} {value:#x}")
    def outl(self, port, value): self.command(f"outl {port:#x} {value:#x}")
    def inb(self, port): return self._value(f"inb {port:#x}")
    def inw(self, port): return self._value(f"inw {port:#x}")
    def inl(self, port): return self._value(f"inl {port:#x}")
    def writeb(self, addr, value): self.command(f"writeb {addr:#x} {value:#x}")
    def writew(self, addr, value): self.command(f"writew {addr:#x} {value:#x}")
    def writel(self, addr, value): self.command(f"writel {addr:#x} {value:#x}")
    def writeq(self, addr, value): self.command(f"writeq {addr:#x} {value:#x}")
    def readb(self, addr): return self._value(f"readb {addr:#x}")
    def readw(self, addr): return self._value(f"readw {addr:#x}")
    def readl(self, addr): return self._value(f"readl {addr:#x}")
    def readq(self, addr): return self._value(f"readq {addr:#x}")

    def read(self, addr, size):
        """Guest memory as bytes."""
        return bytes.fromhex(self.command(f"read {addr:#x} {size:#x}")[0][2:])

    def write(self, addr, data):
        self.command(f"write {addr:#x} {len(data):#x} 0x{bytes(data).hex()}")

    def b64write(self, addr, data):
        self.command(f"b64write {addr:#x} {len(data):#x} {base64.b64encode(bytes(data)).decode()}")

    def memset(self, addr, size, value): self.command(f"memset {addr:#x} {size:#x} {value:#x}")

    def clock_step(self, ns=None):
        """Moves the virtual clock by that much, or to the next timer; returns the clock in ns."""
        return self._value("clock_step" if ns is None else f"clock_step {ns}")

    def clock_set(self, ns): return self._value(f"clock_set {ns}")
    def irq_intercept_in(self, path): self.command(f"irq_intercept_in {path}")
    def irq_intercept_out(self, path): self.command(f"irq_intercept_out {path}")

    def irq(self, line):
        """The line's last reported level; a line not heard of is low."""
        return self.irqs.get(line, False)

    # PCI configuration mechanism 1 (PCI 2.3 section 3.2.2.3.2).
    def _select(self, devfn, offset, bus):
        self.outl(0xCF8, 0x80000000 | bus << 16 | devfn << 8 | (offset & 0xFC))

    def pci_readb(self, devfn, offset, bus=0):
        self._select(devfn, offset, bus)
        return self.inb(0xCFC + (offset & 3))

    def pci_readw(self, devfn, offset, bus=0):
        self._select(devfn, offset, bus)
        return self.inw(0xCFC + (offset & 2))

    def pci_readl(self, devfn, offset, bus=0):
        self._select(devfn, offset, bus)
        return self.inl(0xCFC)

    def pci_writeb(self, devfn, offset, value, bus=0):
        self._select(devfn, offset, bus)
        self.outb(0xCFC + (offset & 3), value)

    def pci_writew(self, devfn, offset, value, bus=0):
        self._select(devfn, offset, bus)
        self.outw(0xCFC + (offset & 2), value)

    def pci_writel(self, devfn, offset, value, bus=0):
        self._select(devfn, offset, bus)
        self.outl(0xCFC, value)

    def close(self):
        self.sock.close()
