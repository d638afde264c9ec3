#!/usr/bin/env python3
"""The project's own boot guest (tests/system/guest) under KVM: what it reports, disc changes, how a machine ends."""
import os
import re
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
from pyutil import runner  # noqa: E402
from pyutil.emulator import ROOT, Emulator, kvm_problem  # noqa: E402
from pyutil.iso import write_iso  # noqa: E402

DISC = os.path.join(os.environ.get("RHEA_BUILD", os.path.join(ROOT, "build-dbg")), "tests/system/guest/guest.iso")
ACCEL = os.environ.get("RHEA_TEST_ACCEL", "kvm")
NAMES = ["serial-loopback", "pci", "fw-cfg", "pm-timer", "pit", "serial-irq", "rtc", "keyboard-controller", "lapic",
         "ioapic", "smp", "atapi-identify", "atapi-inquiry", "atapi-capacity", "atapi-read", "atapi-bad-lba",
         "atapi-dma"]
DRIVE = "ide0-1-0"


def setUpModule():
    problem = kvm_problem() if ACCEL == "kvm" else None
    if problem:
        raise unittest.SkipTest(problem)
    if not os.path.exists(DISC):
        raise AssertionError(f"{DISC} is not built")


def guest(cpus=1, extra=()):
    """A machine that boots the guest from S0.1's second drive."""
    return Emulator(["-machine", "pc", "-accel", ACCEL, "-m", "64", "-smp", str(cpus), "-nodefaults", "-vga", "none",
                     "-display", "none",
                     "-blockdev", f"driver=file,filename={DISC},node-name=disc-storage,read-only=on",
                     "-blockdev", "driver=raw,file=disc-storage,node-name=disc-format,read-only=on",
                     "-device", f"ide-cd,bus=ide.1,unit=0,drive=disc-format,id={DRIVE},bootindex=1",
                     "-device", "isa-debug-exit,iobase=0xf4,iosize=4", *extra], serial=True)


def report(emulator):
    """{test: what the guest said after its name}, once the guest is done."""
    text = emulator.console.wait(r"Rhea test guest.*?DONE \S+ \S+\n", 60, "the guest's report")[0]
    return dict(re.findall(r"TEST (\S+) (.*)", text))


class Report(unittest.TestCase):
    """One boot on two processors; each of the guest's tests is a case here."""
    EXTRA = ()

    @classmethod
    def setUpClass(cls):
        with guest(cpus=2, extra=cls.EXTRA) as emulator:
            cls.results = report(emulator)
            emulator.console.send("x")
            cls.exit_status = emulator.wait_exit(20)

    def test_debug_exit(self):
        self.assertEqual(self.exit_status, (0x10 << 1) | 1)

    def test_nothing_unknown(self):
        self.assertEqual(sorted(self.results), sorted(NAMES))


def _case(name):
    return lambda self: self.assertEqual(self.results.get(name), "ok")


for _name in NAMES:
    setattr(Report, "test_" + _name.replace("-", "_"), _case(_name))


class SplitReport(Report):
    """The same with PIC, I/O APIC and PIT of our own, local APICs of the kernel's."""
    EXTRA = ("-machine", "kernel-irqchip=split")


class Disc(unittest.TestCase):
    def change(self, emulator, path):
        qmp = emulator.qmp
        qmp.execute("blockdev-open-tray", id=DRIVE, force=False)
        qmp.execute("blockdev-remove-medium", id=DRIVE)
        qmp.execute("blockdev-add", {"driver": "file", "filename": path, "node-name": "new-storage",
                                     "read-only": True})
        qmp.execute("blockdev-add", {"driver": "raw", "file": "new-storage", "node-name": "new-format",
                                     "read-only": True})
        qmp.execute("blockdev-insert-medium", id=DRIVE, node_name="new-format")
        qmp.execute("blockdev-close-tray", id=DRIVE)
        for is_open in (True, False):
            event = qmp.wait_event("DEVICE_TRAY_MOVED")
            self.assertEqual((event["data"]["id"], event["data"]["tray-open"]), (DRIVE, is_open))

    def test_change_and_guest_eject(self):
        """S0.3, S0.21: the guest sees no medium, then a unit attention, then the new disc; S0.9: its own eject."""
        with guest() as emulator:
            report(emulator)
            write_iso(emulator.path("new.iso"), "RHEA_CHANGED", {"NEW.TXT": b"new\n"}, minimum_sectors=512)
            console = emulator.console
            console.send("c")
            console.wait("CHANGE\n", 20)
            self.change(emulator, emulator.path("new.iso"))
            console.send("g")
            self.assertEqual(console.wait(r"(ok|FAILED[^\n]*)\n", 20, "the media-change test")[1], "ok")
            self.guest_eject(emulator)

    def guest_eject(self, emulator):
        console, qmp = emulator.console, emulator.qmp
        if "EJECTED" not in console.text():
            console.wait(r"(EJECTED|FAILED[^\n]*)\n", 20, "the guest's eject")
        self.assertIs(qmp.wait_event("DEVICE_TRAY_MOVED")["data"]["tray-open"], True)
        drive = next(d for d in qmp.execute("query-block") if d.get("qdev") == DRIVE)
        self.assertIs(drive["tray_open"], True)
        console.send("g")
        self.assertIs(qmp.wait_event("DEVICE_TRAY_MOVED")["data"]["tray-open"], False)
        self.assertIn("TEST guest-eject EJECTED\nok\n", self.until_done(console))

    def until_done(self, console):
        console.mark = 0
        console.wait(r"media-change CHANGE.*DONE \S+ \S+\n", 20, "the end of the disc tests")
        return console.text()


class Ends(unittest.TestCase):
    def test_soft_off(self):
        """SLP_EN in PM1a_CNT ends the process; SHUTDOWN says that the guest asked."""
        with guest() as emulator:
            report(emulator)
            emulator.console.send("p")
            event = emulator.qmp.wait_event("SHUTDOWN", 20)
            self.assertEqual(event["data"], {"guest": True, "reason": "guest-shutdown"})
            self.assertEqual(emulator.wait_exit(20), 0)

    def test_reset(self):
        """The keyboard controller's reset line boots the guest again."""
        with guest() as emulator:
            report(emulator)
            emulator.console.send("r")
            event = emulator.qmp.wait_event("RESET", 20)
            self.assertEqual(event["data"], {"guest": True, "reason": "guest-reset"})
            self.assertEqual(set(report(emulator).values()), {"ok"})

    def test_stop_cont(self):
        """A stopped guest says nothing; a continued one answers."""
        with guest() as emulator:
            report(emulator)
            emulator.qmp.execute("stop")
            self.assertEqual(emulator.qmp.execute("query-status")["status"], "paused")
            emulator.console.send("p")
            self.assertFalse([e for e in emulator.qmp.events if e["event"] == "SHUTDOWN"])
            emulator.qmp.execute("cont")
            emulator.qmp.wait_event("SHUTDOWN", 20)
            self.assertEqual(emulator.wait_exit(20), 0)


if __name__ == "__main__":
    runner.main()
