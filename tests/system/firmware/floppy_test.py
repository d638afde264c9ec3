#!/usr/bin/env python3
"""SeaBIOS boots a floppy disk: a boot sector that reads and writes by INT 13h and talks on the serial port.

SeaBIOS waits for the controller's interrupt with the interrupts off, and lets them through for three
instructions at a time. A nested KVM that emulates real mode can miss that window when the kernel has the
8259s (QEMU's guests miss it there as well); with the emulator's own 8259s the interrupt arrives anywhere.
"""
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
from pyutil import runner  # noqa: E402
from pyutil.emulator import Emulator, kvm_problem  # noqa: E402

ACCEL = os.environ.get("RHEA_TEST_ACCEL", "kvm")
MACHINE = ["-machine", "pc,kernel_irqchip=split" if ACCEL == "kvm" else "pc", "-accel", ACCEL, "-m", "64",
           "-nodefaults", "-vga", "none", "-display", "none", "-boot", "order=a,menu=off"]
MESSAGE = b"booted from a floppy disk\r\n"
READ_AT, WRITE_AT = (5, 1, 7), (6, 0, 2)  # cylinder, head, sector
SECTORS_ON_A_TRACK = {1440: 18, 2880: 36, 720: 9}


def boot_sector():
    """Reads the sector READ_AT, writes it to WRITE_AT, prints the text in it; '!' if the BIOS reports an error."""
    def int13(function, where):
        cylinder, head, sector = where
        return bytes((0xB8, 1, function, 0xB9, sector, cylinder, 0xBA, 0, head, 0xCD, 0x13))

    start = bytes((0x31, 0xC0, 0x8E, 0xD8, 0x8E, 0xC0, 0x8E, 0xD0, 0xBC, 0x00, 0x7C))  # segments 0, stack below
    start += bytes((0xBB, 0x00, 0x80))  # buffer at 0000:8000
    put = bytes((0xBA, 0xF8, 0x03, 0xEE))  # al to the serial port
    text = bytes((0xAC, 0x84, 0xC0, 0x74, 6 + 2 + len(put))) + put  # lodsb; end at 0
    text += bytes((0xEB, 0x100 - len(text) - 2))
    text = bytes((0xBE, 0x00, 0x80)) + text
    failed = bytes((0xB0, ord("!"))) + put
    halt = bytes((0xF4, 0xEB, 0xFD))
    write = int13(3, WRITE_AT) + bytes((0x72, len(text)))
    read = int13(2, READ_AT) + bytes((0x72, len(write) + len(text)))
    code = start + read + write + text + failed + halt
    return code.ljust(510, b"\0") + b"\x55\xaa"


def setUpModule():
    problem = kvm_problem() if ACCEL == "kvm" else None
    if problem:
        raise unittest.SkipTest(problem)


class FloppyBoot(unittest.TestCase):
    def boot(self, kib):
        emulator = Emulator(MACHINE, serial=True)
        disk, per_track = emulator.path("floppy.img"), SECTORS_ON_A_TRACK[kib]

        def offset(where):
            cylinder, head, sector = where
            return ((cylinder * 2 + head) * per_track + sector - 1) * 512

        with open(disk, "wb") as file:
            file.truncate(kib * 1024)
            file.write(boot_sector())
            file.seek(offset(READ_AT))
            file.write(MESSAGE)
        emulator.args += ["-drive", f"if=floppy,file={disk},format=raw"]
        with emulator:
            emulator.console.wait(MESSAGE.decode().strip(), 120, "the text of the floppy disk")
            with open(disk, "rb") as file:
                file.seek(offset(WRITE_AT))
                self.assertEqual(file.read(len(MESSAGE)), MESSAGE)
            self.assertEqual(emulator.quit(), 0)

    def test_high_density(self):
        self.boot(1440)

    def test_extra_density(self):
        self.boot(2880)

    def test_double_density(self):
        self.boot(720)


if __name__ == "__main__":
    runner.main()
