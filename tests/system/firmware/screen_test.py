#!/usr/bin/env python3
"""SeaBIOS on a VGA: what the screen says, and keys that reach it, from a monitor and over VNC."""
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
from pyutil import runner, screen  # noqa: E402
from pyutil.deadline import Deadline  # noqa: E402
from pyutil.emulator import Emulator, kvm_problem  # noqa: E402
from pyutil.rfb import Rfb  # noqa: E402

ACCEL = os.environ.get("RHEA_TEST_ACCEL", "kvm")
MACHINE = ["-machine", "pc", "-accel", ACCEL, "-m", "64", "-nodefaults", "-vga", "std", "-display", "none"]
MENU = ["-boot", "menu=on,splash-time=60000"]
ESCAPE = 0xFF1B


def setUpModule():
    problem = kvm_problem() if ACCEL == "kvm" else None
    if problem:
        raise unittest.SkipTest(problem)


class Screen(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.table = screen.glyphs()

    def wait_text(self, emulator, words, seconds=60):
        """Dumps the screen until it shows the words."""
        deadline = Deadline(seconds, f"'{words}' on the screen")
        path = os.path.join(self.folder, "screen.ppm")
        while True:
            emulator.qmp.execute("screendump", filename=path)
            lines = screen.text_of(path, self.table)
            if any(words in line for line in lines):
                return lines
            deadline.left()

    def test_banner(self):
        with Emulator(MACHINE) as emulator:
            lines = self.wait_text(emulator, "No bootable device")
            self.assertRegex(lines[0], r"^SeaBIOS \(version ")
            self.assertEqual(emulator.quit(), 0)

    def test_key_from_the_monitor_opens_the_boot_menu(self):
        with Emulator(MACHINE + MENU) as emulator:
            self.wait_text(emulator, "Press ESC for boot menu")
            emulator.qmp.execute("send-key", keys=[{"type": "qcode", "data": "esc"}])
            self.wait_text(emulator, "Select boot device")
            self.assertEqual(emulator.quit(), 0)

    def test_key_over_vnc_opens_the_boot_menu(self):
        path = os.path.join(self.folder, "vnc")
        with Emulator(MACHINE + MENU + ["-vnc", f"unix:{path}"]) as emulator:
            client = Rfb(path, timeout=60)
            self.addCleanup(client.close)
            self.wait_text(emulator, "Press ESC for boot menu")
            client.key(ESCAPE, True)
            client.key(ESCAPE, False)
            self.wait_text(emulator, "Select boot device")
            while True:  # the client sees the text screen too
                client.ask()
                client.update()
                if (client.width, client.height) == (720, 400):
                    break
            self.assertEqual(emulator.quit(), 0)


if __name__ == "__main__":
    runner.main()
