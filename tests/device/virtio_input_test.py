"""virtio-keyboard-pci, virtio-mouse-pci and virtio-tablet-pci over qtest: what they say of themselves, events, rings."""
import os
import struct
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from machine import ACCEL, BASE, MachineTest  # noqa: E402
from virtio import ModernDriver, wait_until  # noqa: E402
from pyutil import runner  # noqa: E402
from pyutil.emulator import emulator_path  # noqa: E402

SYN, KEY, REL, ABS = 0, 1, 2, 3


class Input(MachineTest):
    KIND = "mouse"

    def args(self):
        return ["-device", f"virtio-{self.KIND}-pci,id=in0,addr=4,serial=s-1"]

    def setUp(self):
        super().setUp()
        self.driver = ModernDriver(self.q)
        self.driver.start(2)
        self.buffers = []
        for _ in range(8):
            buffer = self.driver.put(bytes(8))
            self.buffers.append(buffer)
            self.driver.offer(0, [(buffer, 8, True)])

    def ask(self, select, subselect=0):
        self.driver.set_config(0, select)
        self.driver.set_config(1, subselect)
        return bytes(self.driver.config(8 + i) for i in range(self.driver.config(2)))

    def event(self):
        self.assertEqual(self.driver.wait_used(0)[1], 8)
        return struct.unpack("<HHi", self.q.read(self.buffers.pop(0), 8))

    def send(self, *events):
        self.qmp.execute("input-send-event", {"events": list(events)})


def bits(data):
    return [i for i in range(8 * len(data)) if data[i // 8] >> i % 8 & 1]


class Mouse(Input):
    def test_identity(self):
        self.assertEqual(self.q.pci_readl(4 << 3, 0), 0x10521af4)
        self.assertEqual(self.q.pci_readw(4 << 3, 0x0a), 0x0902)
        self.assertEqual(self.ask(1), b"QEMU Virtio Mouse")
        self.assertEqual(self.ask(2), b"s-1")
        self.assertEqual(self.ask(3), struct.pack("<4H", 6, 0x627, 2, 2))
        self.assertEqual(bits(self.ask(0x11, REL)), [0, 1, 8])
        self.assertEqual(bits(self.ask(0x11, KEY)), [0x110, 0x111, 0x112, 0x113, 0x114])
        self.assertEqual((self.ask(0x11, ABS), self.ask(0x12, 0), self.ask(0x77, 9)), (b"", b"", b""))

    def test_movement_button_and_wheel(self):
        self.send({"type": "rel", "data": {"axis": "x", "value": 5}}, {"type": "rel", "data": {"axis": "y", "value": -7}})
        self.assertEqual([self.event() for _ in range(3)], [(REL, 0, 5), (REL, 1, -7), (SYN, 0, 0)])
        self.send({"type": "btn", "data": {"button": "left", "down": True}})
        self.assertEqual([self.event() for _ in range(2)], [(KEY, 0x110, 1), (SYN, 0, 0)])
        self.send({"type": "btn", "data": {"button": "wheel-down", "down": True}})
        self.assertEqual([self.event() for _ in range(2)], [(REL, 8, -1), (SYN, 0, 0)])

    def test_report_without_room_is_lost_whole(self):
        many = [{"type": "btn", "data": {"button": "left", "down": bool(i % 2)}} for i in range(8)]
        self.send(*many)
        self.assertIsNone(self.driver.used(0))
        self.send({"type": "btn", "data": {"button": "right", "down": True}})
        self.assertEqual([self.event() for _ in range(2)], [(KEY, 0x111, 1), (SYN, 0, 0)])

    def test_bad_ring_breaks_the_device_alone(self):
        self.driver.offer(1, [(0xffffffff0000, 8, False)])
        wait_until(self, lambda: self.driver.status() & 0x40)
        self.send({"type": "btn", "data": {"button": "left", "down": True}})
        self.driver.start(2)
        self.driver.offer(1, [(self.driver.put(bytes(8)), 8, False)])
        self.driver.wait_used(1)


class Keyboard(Input):
    KIND = "keyboard"

    def test_keys(self):
        self.assertEqual(self.ask(1), b"QEMU Virtio Keyboard")
        self.assertEqual(bits(self.ask(0x11, 0x11)), [0, 1, 2])
        keys = bits(self.ask(0x11, KEY))
        for code in (1, 30, 57, 88, 97, 103, 111, 125):
            self.assertIn(code, keys)
        for code, down in (("a", True), ("a", False), ("up", True)):
            self.send({"type": "key", "data": {"key": {"type": "qcode", "data": code}, "down": down}})
        self.assertEqual([self.event() for _ in range(6)],
                         [(KEY, 30, 1), (SYN, 0, 0), (KEY, 30, 0), (SYN, 0, 0), (KEY, 103, 1), (SYN, 0, 0)])


class Tablet(Input):
    KIND = "tablet"

    def test_places(self):
        self.assertEqual(self.ask(1), b"QEMU Virtio Tablet")
        self.assertEqual(self.ask(0x12, 1), struct.pack("<5I", 0, 0x7fff, 0, 0, 0))
        self.assertEqual(bits(self.ask(0x11, ABS)), [0, 1])
        self.send({"type": "abs", "data": {"axis": "x", "value": 100}}, {"type": "abs", "data": {"axis": "y", "value": 200}})
        self.assertEqual([self.event() for _ in range(3)], [(ABS, 0, 100), (ABS, 1, 200), (SYN, 0, 0)])


class Refusals(MachineTest):
    def test_has_no_legacy_interface(self):
        done = subprocess.run([emulator_path(), *BASE, *ACCEL, "-device", "virtio-mouse-pci,disable-legacy=off"],
                              capture_output=True, text=True, timeout=30, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("device is modern-only, use disable-legacy=on", done.stderr)


if __name__ == "__main__":
    runner.main()
