#!/usr/bin/env python3
"""Resets and stops one after the other, at whatever the guest just does: nothing hangs, nothing is left behind."""
import os
import random
import re
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
from pyutil import runner  # noqa: E402
from pyutil.emulator import ROOT, Emulator, kvm_problem  # noqa: E402

DISC = os.path.join(os.environ.get("RHEA_BUILD", os.path.join(ROOT, "build-dbg")), "tests/system/guest/guest.iso")
ACCEL = os.environ.get("RHEA_TEST_ACCEL", "kvm")
RESETS = 50
WARM_UP = 10  # resets after which caches and pools have their size
GROWTH_KIB = 512


def setUpModule():
    problem = kvm_problem() if ACCEL == "kvm" else None
    if problem:
        raise unittest.SkipTest(problem)
    if not os.path.exists(DISC):
        raise AssertionError(f"{DISC} is not built")


def guest():
    """Two processors; SeaBIOS boots the guest of tests/system/guest."""
    return Emulator(["-machine", "pc", "-accel", ACCEL, "-m", "64", "-smp", "2", "-nodefaults", "-vga", "none",
                     "-display", "none", "-cdrom", DISC, "-boot", "d"], serial=True)


def report(emulator):
    """The results of the guest's tests, once it is done."""
    text = emulator.console.wait(r"Rhea test guest.*?DONE \S+ \S+\n", 60, "the guest's report")[0]
    return dict(re.findall(r"TEST (\S+) (.*)", text))


class Footprint:
    """What a process holds: open files and private memory (KiB) that is not the guest's RAM."""

    def __init__(self, pid):
        self.files = len(os.listdir(f"/proc/{pid}/fd"))
        self.heap = 0
        with open(f"/proc/{pid}/smaps", encoding="ascii", errors="replace") as file:
            in_heap = False
            for line in file:
                words = line.split()
                if not words[0].endswith(":"):
                    in_heap = words[-1] == "[heap]"
                elif in_heap and words[0] in ("Private_Dirty:", "Private_Clean:"):
                    self.heap += int(words[1])


class Stress(unittest.TestCase):
    def setUp(self):
        self.seed = int.from_bytes(os.urandom(4), "little")
        self.random = random.Random(self.seed)

    def let_run(self, emulator):
        """Gives the guest a random while, spent in questions: vCPUs are asked for their registers."""
        for _ in range(self.random.randrange(6)):
            emulator.qmp.hmp("info registers")

    def test_resets(self):
        with guest() as emulator:
            emulator.console.wait("Rhea test guest", 60, "the guest's first words")
            before = None
            for number in range(RESETS):
                emulator.qmp.execute("system_reset")
                event = emulator.qmp.wait_event("RESET", 20)
                self.assertEqual(event["data"], {"guest": False, "reason": "host-qmp-system-reset"})
                self.let_run(emulator)
                if number == WARM_UP:
                    before = Footprint(emulator.pid)
            after = Footprint(emulator.pid)
            self.assertLessEqual(after.files, before.files + 1, "open files")
            self.assertLessEqual(after.heap, before.heap + GROWTH_KIB, "KiB of heap")
            emulator.console.mark = len(emulator.console.raw)
            self.assertEqual(emulator.qmp.execute("query-status")["status"], "running")
            self.assertEqual(set(report(emulator).values()), {"ok"}, f"seed {self.seed}")
            self.assertEqual(emulator.quit(), 0)

    def test_stop_and_cont(self):
        """No exit is lost: the guest's own tests pass although it is stopped again and again among them."""
        with guest() as emulator:
            emulator.console.wait("Rhea test guest", 60, "the guest's first words")
            for _ in range(100):
                emulator.qmp.execute("stop")
                emulator.qmp.wait_event("STOP", 20)
                self.assertEqual(emulator.qmp.execute("query-status")["status"], "paused")
                emulator.qmp.execute("cont")
                emulator.qmp.wait_event("RESUME", 20)
                self.let_run(emulator)
            emulator.console.mark = 0
            self.assertEqual(set(report(emulator).values()), {"ok"}, f"seed {self.seed}")

    def test_reset_while_stopped(self):
        with guest() as emulator:
            emulator.console.wait("Rhea test guest", 60, "the guest's first words")
            for _ in range(5):
                emulator.qmp.execute("stop")
                emulator.qmp.execute("system_reset")
                emulator.qmp.wait_event("RESET", 20)
                self.assertEqual(emulator.qmp.execute("query-status")["status"], "prelaunch")
                emulator.qmp.execute("cont")
            emulator.console.mark = len(emulator.console.raw)
            self.assertEqual(set(report(emulator).values()), {"ok"})


if __name__ == "__main__":
    runner.main()
