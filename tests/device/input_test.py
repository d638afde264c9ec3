"""Keys and pointers: what monitor commands send arrives at the keyboard controller."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from machine import MachineTest, needs_clock  # noqa: E402
from pyutil import runner  # noqa: E402

DATA, STATUS = 0x60, 0x64


class Input(MachineTest):
    def setUp(self):
        super().setUp()
        if self.qmp.execute("query-status")["status"] != "running":
            self.skipTest("the peer's CPU is stopped, and input with it")

    def hmp(self, line):
        return self.qmp.execute("human-monitor-command", command_line=line).replace("\r", "")

    def bytes(self):
        out = []
        while self.q.inb(STATUS) & 1 and len(out) < 64:
            out.append(self.q.inb(DATA))
        return out

    def mouse_command(self, byte):
        self.q.outb(STATUS, 0xd4)
        self.q.outb(DATA, byte)
        return self.bytes()

    def keys(self, *keys, **arguments):
        self.qmp.execute("send-key", keys=list(keys), **arguments)

    @staticmethod
    def named(name):
        return {"type": "qcode", "data": name}

    @needs_clock
    def test_send_key_presses_and_releases(self):
        self.keys(self.named("ctrl"), self.named("delete"))
        self.assertEqual(self.bytes(), [0x14])
        self.q.clock_step(10_000_000)
        self.assertEqual(self.bytes(), [0xe0, 0x71])
        self.q.clock_step(10_000_000)
        self.assertEqual(self.bytes(), [0xe0, 0xf0, 0x71])
        self.q.clock_step(10_000_000)
        self.assertEqual(self.bytes(), [0xf0, 0x14])

    @needs_clock
    def test_numbers_are_keys_and_unknown_ones_are_not(self):
        self.keys({"type": "number", "data": 0x1e}, hold_time=50)
        self.assertEqual(self.bytes(), [0x1c])
        self.q.clock_step(50_000_000)
        self.assertEqual(self.bytes(), [0xf0, 0x1c])
        self.q.clock_step(50_000_000)
        self.keys({"type": "number", "data": 999999})
        self.assertEqual(self.bytes(), [])
        self.assertEqual(self.hmp("sendkey pause"), "")
        self.q.clock_step(20_000_000)
        self.assertEqual(self.bytes(), [0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77])
        self.assertEqual(self.hmp("sendkey foo"), "invalid parameter: foo\n")
        self.assertEqual(self.hmp("sendkey a-"), "invalid parameter: \n")

    def test_mouse(self):
        self.assertEqual(self.mouse_command(0xf4), [0xfa])
        self.hmp("mouse_move 5 3")
        self.assertEqual(self.bytes(), [0x28, 5, 0xfd])
        self.hmp("mouse_button 1")
        self.assertEqual(self.bytes(), [0x09, 0, 0])
        self.hmp("mouse_button 0")
        self.assertEqual(self.bytes(), [0x08, 0, 0])
        self.qmp.execute("input-send-event", events=[
            {"type": "rel", "data": {"axis": "x", "value": -2}},
            {"type": "btn", "data": {"button": "right", "down": True}}])
        self.assertEqual(self.bytes(), [0x1a, 0xfe, 0])

    def test_mice_are_listed(self):
        mouse = {"name": "QEMU PS/2 Mouse", "index": 2, "current": True, "absolute": False}
        self.assertEqual(self.qmp.execute("query-mice"), [mouse])
        self.assertEqual(self.hmp("info mice"), "* Mouse #2: QEMU PS/2 Mouse\n")
        self.assertEqual(self.hmp("mouse_set 1"), "Error: Mouse at index '1' not found\n")

    def test_errors(self):
        self.assert_error("Input handler not found for event type abs", "input-send-event",
                          events=[{"type": "abs", "data": {"axis": "x", "value": 3}}])
        self.assert_error("Device 'foo' not found", "input-send-event", "DeviceNotFound", device="foo", events=[])
        self.qmp.execute("stop")
        self.assert_error("VM not running", "input-send-event", events=[])


if __name__ == "__main__":
    runner.main()
