"""Register values of the usual VGA modes, and a helper that drives a VGA by its ports."""

# Miscellaneous output; SR01…SR04; CR00…CR18; GR00…GR08; AR10…AR14. IBM VGA XGA Technical Reference, "BIOS modes".
TEXT = (0x67, (0x00, 0x03, 0x00, 0x02),
        bytes.fromhex("5f4f50825581bf1f004f0d0e000000009c8e8f281f96b9a3ff"),
        bytes.fromhex("0000000000100e0fff"), bytes.fromhex("0c000f0800"))
PLANAR = (0xE3, (0x01, 0x0F, 0x00, 0x06),  # 640x480, 16 colours
          bytes.fromhex("5f4f508254800b3e0040000000000000ea8cdf2800e704e3ff"),
          bytes.fromhex("000000000000050fff"), bytes.fromhex("01000f0000"))
MODE13 = (0x63, (0x01, 0x0F, 0x00, 0x0E),  # 320x200, 256 colours
          bytes.fromhex("5f4f50825480bf1f00410000000000009c8e8f284096b9a3ff"),
          bytes.fromhex("000000000040050fff"), bytes.fromhex("41000f0000"))
CGA4 = (0x63, (0x09, 0x03, 0x00, 0x02),  # 320x200, 4 colours
        bytes.fromhex("2d27282b3280bf1f00c10000000000009c8e8f140096b9a2ff"),
        bytes.fromhex("0000000000300f0fff"), bytes.fromhex("0100030000"))


class VgaPorts:
    def __init__(self, q):
        self.q = q

    def indexed(self, port, index, value):
        self.q.outb(port, index)
        self.q.outb(port + 1, value)

    def read(self, port, index):
        self.q.outb(port, index)
        return self.q.inb(port + 1)

    def attribute(self, index, value):
        self.q.inb(0x3DA)
        self.q.outb(0x3C0, index)
        self.q.outb(0x3C0, value)

    def colour(self, index, red, green, blue):
        """Six bits each."""
        self.q.outb(0x3C8, index)
        for part in (red, green, blue):
            self.q.outb(0x3C9, part)

    def mode(self, registers):
        misc, sequencer, crtc, graphics, attributes = registers
        self.q.outb(0x3C2, misc)
        for i, value in enumerate(sequencer):
            self.indexed(0x3C4, i + 1, value)
        self.indexed(0x3D4, 0x11, 0)
        for i, value in enumerate(crtc):
            self.indexed(0x3D4, i, value)
        for i, value in enumerate(graphics):
            self.indexed(0x3CE, i, value)
        for i in range(16):
            self.attribute(i, i)
        for i, value in enumerate(attributes):
            self.attribute(0x10 + i, value)
        self.q.inb(0x3DA)
        self.q.outb(0x3C0, 0x20)

    def vbe(self, index, value):
        self.q.outw(0x1CE, index)
        self.q.outw(0x1D0, value)

    def vbe_read(self, index):
        self.q.outw(0x1CE, index)
        return self.q.inw(0x1D0)
