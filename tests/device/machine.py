"""A machine for device tests: no CPU runs, the registers are driven over qtest.

Where the program under test has no qtest accelerator ($RHEA_EMULATOR names the peer), its CPU is kept stopped; its
clock then cannot be stepped.
"""
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from pyutil.emulator import Emulator, emulator_path  # noqa: E402

PEER = os.path.basename(emulator_path()).startswith("qemu")
ACCEL = ["-accel", "tcg", "-S"] if PEER else ["-accel", "qtest"]
BASE = ["-machine", "pc", "-display", "none", "-vga", "none", "-nodefaults"]


class MachineTest(unittest.TestCase):
    """Each case gets a machine of its own, `vm`, with the class's ARGS."""
    ARGS = []

    def setUp(self):
        if not os.path.exists(emulator_path()):
            self.skipTest(f"{emulator_path()} is not built")
        self.vm = self.launch(self.args())
        self.q, self.qmp = self.vm.qtest, self.vm.qmp

    def args(self):
        return self.ARGS

    def launch(self, args):
        vm = Emulator(BASE + ACCEL + list(args), qtest=True)
        self.addCleanup(vm.kill)
        vm.start()
        self.addCleanup(self.finish, vm)
        return vm

    def finish(self, vm):
        """Whatever a case did to the machine, it ends when told to: what a sanitizer finds shows in the status."""
        status = vm.quit() if vm.running() else vm.process.returncode
        self.assertEqual(status, 0, f"exit status {status}: {vm.stderr().strip()[-4000:]}")

    def reset(self):
        self.qmp.execute("system_reset")
        self.qmp.wait_event("RESET")

    def assert_error(self, text, command, error_class="GenericError", **arguments):
        """The command fails with exactly that class and text."""
        message = {"execute": command, "id": 1}
        if arguments:
            message["arguments"] = {k.replace("_", "-"): v for k, v in arguments.items()}
        reply = self.qmp.call(message)
        self.assertEqual(reply.get("error"), {"class": error_class, "desc": text}, f"{command} {arguments}: {reply}")


def needs_clock(test):
    return unittest.skipIf(PEER, "the peer's clock cannot be stepped without its qtest accelerator")(test)


def not_the_peer(reason):
    """A case in which we follow the data sheet and the peer is known not to."""
    return unittest.skipIf(PEER, f"the peer does otherwise: {reason}")
