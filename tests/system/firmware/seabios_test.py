#!/usr/bin/env python3
"""SeaBIOS under KVM: it starts, writes its log to the debug port and tries to boot."""
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
from pyutil import runner  # noqa: E402
from pyutil.deadline import Deadline  # noqa: E402
from pyutil.emulator import Emulator, kvm_problem  # noqa: E402

ACCEL = os.environ.get("RHEA_TEST_ACCEL", "kvm")
MACHINE = ["-machine", "pc", "-accel", ACCEL, "-m", "64", "-nodefaults", "-vga", "none", "-boot", "menu=off"]


def setUpModule():
    problem = kvm_problem() if ACCEL == "kvm" else None
    if problem:
        raise unittest.SkipTest(problem)


class SeaBios(unittest.TestCase):
    def test_serial_console(self):
        """Without a display its text goes to the serial port; with nothing to boot it says so."""
        with Emulator(MACHINE + ["-nographic", "-serial", "stdio"], stdio=True) as emulator:
            emulator.console.wait(r"SeaBIOS \(version ", 30, "SeaBIOS's banner")
            emulator.console.wait("No bootable device", 60, "the end of the boot attempt")
            self.assertEqual(emulator.quit(), 0)

    def test_debug_port(self):
        """Port 402h takes its log, from the first line to the boot attempt."""
        emulator = Emulator(MACHINE + ["-display", "none"])
        log = emulator.path("debug.log")
        emulator.args += ["-chardev", f"file,id=log,path={log}", "-device", "isa-debugcon,iobase=0x402,chardev=log"]
        with emulator:
            text = self.wait_for(log, "Booting from", emulator)
            self.assertTrue(text.startswith("SeaBIOS (version "), text[:80])
            self.assertIn("e820: addr 0x0000000000000000 len 0x0000000004000000 [RAM]", text)
            self.assertEqual(emulator.quit(), 0)

    def wait_for(self, path, words, emulator):
        deadline = Deadline(60, f"'{words}' in SeaBIOS's log")
        while True:
            with open(path, encoding="utf-8", errors="replace") as file:
                text = file.read()
            if words in text:
                return text
            deadline.left()
            emulator.qmp.execute("query-status")  # the process answers while the guest goes on
            self.assertTrue(emulator.running())


if __name__ == "__main__":
    runner.main()
