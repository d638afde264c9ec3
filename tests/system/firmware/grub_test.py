#!/usr/bin/env python3
"""GRUB's rescue CD (package grub-rescue-pc) under KVM: El Torito boot, its menu over serial, its view of the disc."""
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
from pyutil import runner  # noqa: E402
from pyutil.emulator import Emulator, kvm_problem  # noqa: E402

ACCEL = os.environ.get("RHEA_TEST_ACCEL", "kvm")
RESCUE = "/usr/lib/grub-rescue/grub-rescue-cdrom.iso"


def setUpModule():
    problem = kvm_problem() if ACCEL == "kvm" else None
    if problem:
        raise unittest.SkipTest(problem)
    if not os.path.exists(RESCUE):
        raise unittest.SkipTest(f"{RESCUE} is missing (package grub-rescue-pc)")


class Grub(unittest.TestCase):
    def test_menu_and_listing(self):
        args = ["-machine", "pc", "-accel", ACCEL, "-m", "64", "-nodefaults", "-vga", "none", "-nographic",
                "-serial", "stdio", "-cdrom", RESCUE, "-boot", "d"]
        with Emulator(args, stdio=True) as emulator:
            console = emulator.console
            console.wait("GNU GRUB.*highlighted entry will be executed", 150, "GRUB's menu")
            console.send("c")
            console.wait("grub> $", 30, "GRUB's prompt")
            console.type("ls (cd)/boot/")
            console.send("\r")
            self.assertIn("grub/", console.wait(r"\n(.*)grub> $", 40, "the listing")[1])
            self.assertEqual(emulator.quit(), 0)


if __name__ == "__main__":
    runner.main()
