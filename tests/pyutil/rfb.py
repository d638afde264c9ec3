"""A client of the RFB protocol (RFC 6143), as far as tests need one."""
import socket
import struct

from .deadline import Deadline


class RfbError(Exception):
    """The server said no, or nothing."""


class Rfb:
    """Connects and shakes hands; raises RfbError with the server's reason if it does not let us in."""

    def __init__(self, address, timeout=20, response=None):
        self.deadline = Deadline(timeout, f"VNC session with {address}")
        self.sock = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
        self.sock.settimeout(timeout)
        self.sock.connect(address)
        version = self.read(12)
        if version != b"RFB 003.008\n":
            raise RfbError(f"version {version}")
        self.sock.sendall(version)
        self._security(response)
        self.sock.sendall(b"\1")  # shared
        self.width, self.height, self.format, length = struct.unpack(">HH16sI", self.read(24))
        self.name = self.read(length).decode()
        # 32 bits, blue in the lowest byte.
        self.sock.sendall(struct.pack(">B3xBBBBHHHBBB3x", 0, 32, 24, 0, 1, 255, 255, 255, 16, 8, 0))
        self.sock.sendall(struct.pack(">BxHii", 2, 2, 0, -223))  # raw; desktop size

    def _security(self, response):
        count = self.read(1)[0]
        if count == 0:
            raise RfbError(self._reason())
        self.types = list(self.read(count))
        if 1 in self.types:
            self.sock.sendall(b"\1")
        else:
            self.sock.sendall(b"\2")
            challenge = self.read(16)
            self.sock.sendall(response(challenge) if response else bytes(16))
        if struct.unpack(">I", self.read(4))[0] != 0:
            raise RfbError(self._reason())

    def _reason(self):
        return self.read(struct.unpack(">I", self.read(4))[0]).decode()

    def read(self, count):
        data = b""
        while len(data) < count:
            self.sock.settimeout(self.deadline.left())
            more = self.sock.recv(count - len(data))
            if not more:
                raise RfbError("the connection was closed")
            data += more
        return data

    def key(self, keysym, down):
        self.sock.sendall(struct.pack(">BBxxI", 4, down, keysym))

    def pointer(self, x, y, buttons=0):
        self.sock.sendall(struct.pack(">BBHH", 5, buttons, x, y))

    def ask(self, incremental=False):
        self.sock.sendall(struct.pack(">BBHHHH", 3, incremental, 0, 0, self.width, self.height))

    def update(self):
        """The rectangles of the next update: (x, y, width, height, pixels); sizes are followed."""
        while True:
            kind = self.read(1)[0]
            if kind == 0:
                break
            if kind == 3:
                self.read(struct.unpack(">3xI", self.read(7))[0])
            elif kind != 2:
                raise RfbError(f"message {kind}")
        rectangles = []
        for _ in range(struct.unpack(">xH", self.read(3))[0]):
            x, y, width, height, encoding = struct.unpack(">HHHHi", self.read(12))
            if encoding == -223:
                self.width, self.height = width, height
            elif encoding == 0:
                rectangles.append((x, y, width, height, self.read(width * height * 4)))
            else:
                raise RfbError(f"encoding {encoding}")
        return rectangles

    def close(self):
        self.sock.close()
