"""VNC sessions: the handshake, pictures, keys and pointers, passwords, what monitors are told."""
import os
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from machine import MachineTest, not_the_peer  # noqa: E402
from pyutil import runner  # noqa: E402
from pyutil.rfb import Rfb, RfbError  # noqa: E402
from vga_modes import VgaPorts  # noqa: E402

LFB = 0xFD000000


class Vnc(MachineTest):
    EXTRA = ",audiodev=audio1"

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = os.path.join(self.folder.name, "vnc")
        super().setUp()

    def args(self):
        return ["-audiodev", "none,id=audio1", "-device", "VGA,addr=2", "-vnc", f"unix:{self.path}{self.EXTRA}"]

    def connect(self, **arguments):
        client = Rfb(self.path, **arguments)
        self.addCleanup(client.close)
        return client

    def linear_mode(self, width, height):
        self.q.outl(0xCF8, 0x80001010)
        self.q.outl(0xCFC, LFB)
        self.q.outl(0xCF8, 0x80001004)
        self.q.outl(0xCFC, 3)
        ports = VgaPorts(self.q)
        for index, value in ((4, 0), (1, width), (2, height), (3, 32), (4, 0x41)):
            ports.vbe(index, value)
        self.q.inb(0x3DA)
        self.q.outb(0x3C0, 0x20)

    def see(self, client, x, y, wanted):
        """Asks for updates until the pixel has the colour."""
        incremental = False
        while True:
            client.deadline.left()
            client.ask(incremental)
            incremental = True
            for left, top, width, height, pixels in client.update():
                if left <= x < left + width and top <= y < top + height:
                    at = ((y - top) * width + x - left) * 4
                    if int.from_bytes(pixels[at:at + 3], "little") == wanted:
                        return

    def test_pictures(self):
        self.linear_mode(320, 200)
        client = self.connect()
        self.q.writel(LFB + 4 * (320 * 7 + 5), 0x123456)
        self.see(client, 5, 7, 0x123456)
        self.assertEqual((client.width, client.height), (320, 200))
        self.q.writel(LFB + 4 * (320 * 150), 0xABCDEF)
        self.see(client, 0, 150, 0xABCDEF)
        self.linear_mode(640, 400)
        self.q.writel(LFB + 4 * (640 * 399 + 639), 0x00FF00)
        self.see(client, 639, 399, 0x00FF00)
        self.assertEqual((client.width, client.height), (640, 400))

    def wait_bytes(self, count):
        """From the keyboard controller; the input takes its way through two threads."""
        out = []
        from pyutil.deadline import Deadline
        deadline = Deadline(10, f"{count} bytes at port 0x60")
        while len(out) < count:
            deadline.left()
            if self.q.inb(0x64) & 1:
                out.append(self.q.inb(0x60))
        return out

    @not_the_peer("its CPU is stopped, and input with it")
    def test_keys_and_pointers(self):
        client = self.connect()
        client.key(ord("A"), True)
        client.key(ord("A"), False)
        self.assertEqual(self.wait_bytes(3), [0x1C, 0xF0, 0x1C])
        client.key(0xFF51, True)
        self.assertEqual(self.wait_bytes(2), [0xE0, 0x6B])
        self.q.outb(0x64, 0xD4)
        self.q.outb(0x60, 0xF4)
        self.assertEqual(self.wait_bytes(1), [0xFA])
        client.pointer(100, 100)
        client.pointer(103, 98, 1)
        data = self.wait_bytes(3)
        if data == [0x08, 0, 0]:
            data = self.wait_bytes(3)
        self.assertEqual(data, [0x09, 3, 2])
        client.close()
        data = self.wait_bytes(6)
        self.assertIn([0xE0, 0xF0, 0x6B], (data[:3], data[3:]), "a key that was down when the client went is let go")

    def test_what_monitors_see(self):
        self.assertEqual(self.qmp.execute("query-vnc")["clients"], [])
        client = self.connect()
        event = self.qmp.wait_event("VNC_CONNECTED")
        self.assertEqual(event["data"]["server"]["service"], self.path)
        self.assertEqual(event["data"]["server"]["family"], "unix")
        self.qmp.wait_event("VNC_INITIALIZED")
        info = self.qmp.execute("query-vnc")
        self.assertEqual((info["enabled"], info["service"], info["auth"], len(info["clients"])),
                         (True, self.path, "none", 1))
        server, = self.qmp.execute("query-vnc-servers")
        self.assertEqual((server["id"], server["auth"], server["server"][0]["family"]), ("default", "none", "unix"))
        self.assert_error("Could not set password", "change-vnc-password", password="x")
        client.close()
        self.qmp.wait_event("VNC_DISCONNECTED")
        self.assertEqual(self.qmp.execute("query-vnc")["clients"], [])

    def test_garbage_ends_a_session_and_no_other(self):
        good, bad = self.connect(), self.connect()
        bad.sock.sendall(bytes([0x77]) * 64)
        with self.assertRaises((RfbError, OSError)):
            bad.ask()
            while True:
                bad.update()
        good.ask()
        self.assertTrue(good.update())


class Password(Vnc):
    EXTRA = ",password=on"

    def test_nobody_gets_in_without_it(self):
        with self.assertRaises(RfbError):
            self.connect()
        self.qmp.execute("set_password", protocol="vnc", password="secret")
        with self.assertRaises(RfbError):
            self.connect()
        self.qmp.execute("expire_password", protocol="vnc", time="+60")
        self.qmp.execute("expire_password", protocol="vnc", time="now")
        self.assert_error("Could not set password expire time", "expire_password", protocol="vnc", time="soon")
        self.assertEqual(self.qmp.execute("query-vnc")["auth"], "vnc")


for name in [n for n in vars(Vnc) if n.startswith("test_")]:
    setattr(Password, name, None)


if __name__ == "__main__":
    runner.main()
