#!/usr/bin/env python3
"""What becomes of a machine whose guest KVM cannot go on with: it stops in state internal-error, and QMP lives on."""
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
from pyutil import runner  # noqa: E402
from pyutil.emulator import Emulator, kvm_problem  # noqa: E402


def firmware():
    """64 KiB that end in the reset vector: enters protected mode and executes INT3 without an IDT.

    Some software implementations of KVM fail on that instruction; a processor triple faults, which resets.
    """
    image = bytearray(b"\xf4" * 65536)

    def put(at, text):
        code = bytes.fromhex(text)
        image[at:at + len(code)] = code

    put(0xfff0, "ea 00 00 00 f0")           # jmp f000:0000
    put(0x0000, "fa"                        # cli
                "2e 66 0f 01 16 40 00"      # lgdt cs:[0x40]
                "0f 20 c0 66 83 c8 01 0f 22 c0"  # mov eax, cr0; or eax, 1; mov cr0, eax
                "66 ea 30 00 0f 00 08 00")  # jmp 8:000f0030
    put(0x0030, "cc f4")                    # int3; hlt
    put(0x0040, "17 00 48 00 0f 00")        # the GDT: 3 entries at f0048
    put(0x0048, "00 00 00 00 00 00 00 00 ff ff 00 00 00 9b cf 00 ff ff 00 00 00 93 cf 00")  # accessed: it is ROM
    return bytes(image)


class InternalError(unittest.TestCase):
    def setUp(self):
        problem = kvm_problem()
        if problem:
            self.skipTest(problem)

    def test_stops_and_keeps_answering(self):
        emulator = Emulator(["-machine", "pc", "-accel", "kvm", "-m", "16", "-nodefaults", "-display", "none",
                             "-no-shutdown", "-S"])
        path = emulator.path("bios.bin")
        with open(path, "wb") as file:
            file.write(firmware())
        emulator.args += ["-bios", path]
        with emulator:
            qmp = emulator.qmp
            qmp.execute("cont")
            qmp.wait_event("STOP", 30)
            if qmp.execute("query-status")["status"] == "shutdown":
                self.skipTest("this KVM executes the instruction: the guest triple faulted")
            self.assertEqual(qmp.execute("query-status"), {"running": False, "singlestep": False, "status": "internal-error"})
            self.assertEqual(qmp.call({"execute": "cont"})["error"],
                             {"class": "GenericError", "desc": "Resetting the Virtual Machine is required"})
            self.assertEqual(emulator.stderr().count("EIP="), 1, emulator.stderr())
            self.assertIn("EIP=000f0030", qmp.execute("human-monitor-command", {"command-line": "info registers"}))
            qmp.execute("system_reset")
            qmp.wait_event("RESET")
            self.assertEqual(qmp.execute("query-status")["status"], "prelaunch")
            self.assertEqual(emulator.quit(), 0)


if __name__ == "__main__":
    runner.main()
