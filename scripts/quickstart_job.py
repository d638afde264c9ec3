#!/usr/bin/env python3
"""Rhea's main job, shown step by step: boot GRUB's rescue CD under KVM, change the disc over QMP, see the guest read it.

Exit status 0 only if every step was seen. With an ISO as argument: boots that one on this terminal instead.
"""
import argparse
import json
import os
import re
import shlex
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests"))
from pyutil.console import Transcript  # noqa: E402
from pyutil.deadline import Timeout  # noqa: E402
from pyutil.emulator import Emulator, kvm_problem  # noqa: E402
from pyutil.iso import write_iso  # noqa: E402

RESCUE = "/usr/lib/grub-rescue/grub-rescue-cdrom.iso"  # Debian package grub-rescue-pc
DRIVE = "ide0-1-0"
FILES = {"HELLO.TXT": b"Hello from the second disc, changed over QMP.\n", "DATA/NUMBERS.TXT": b"1 1 2 3 5 8 13\n"}
PROMPT = r"grub> $"
KVM_HELP = ("enable virtualization (VT-x or AMD-V) in the firmware, load kvm_intel or kvm_amd, and let this user "
            "read and write /dev/kvm (group kvm)")


class Missed(Exception):
    """A step that was not seen as it should be."""


def expect(condition, text):
    if not condition:
        raise Missed(text)


class Show:
    """Prints the guest's console and our own lines so that neither cuts into the other."""

    def __init__(self):
        self.start = time.monotonic()
        self.transcript = Transcript(self._guest)

    def _guest(self, text):
        sys.stdout.write(text)
        sys.stdout.flush()

    def line(self, text):
        if self.transcript.end is not None:
            self._guest("\n")
            self.transcript.end = None
        print(text, flush=True)

    def step(self, text):
        self.line(f"\n==> [{time.monotonic() - self.start:4.1f} s] {text}")


def can_bypass_cache(path):
    """Whether this file system opens files with O_DIRECT, which cache.direct asks for (tmpfs may not)."""
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_DIRECT))
        return True
    except OSError:
        return False


def node_options(number, path):
    """The storage and the format node as a manager makes them (S0.18, S0.19), over a plain file."""
    cache = {"direct": can_bypass_cache(path), "no-flush": False}
    storage = {"driver": "file", "filename": path, "node-name": f"libvirt-{number}-storage", "cache": cache,
               "auto-read-only": True, "discard": "unmap"}
    layer = {"node-name": f"libvirt-{number}-format", "read-only": True, "cache": cache, "driver": "raw",
             "file": f"libvirt-{number}-storage"}
    return storage, layer


def command_line(disc):
    storage, layer = node_options(3, disc)
    return ["-machine", "pc", "-accel", "kvm", "-m", "64", "-nodefaults", "-nographic", "-vga", "none",
            "-serial", "mon:stdio", "-blockdev", json.dumps(storage), "-blockdev", json.dumps(layer),
            "-device", f"ide-cd,bus=ide.1,unit=0,drive=libvirt-3-format,id={DRIVE},bootindex=1,write-cache=on"]


class Job:
    def __init__(self, emulator, show, disc):
        self.emulator, self.show, self.disc = emulator, show, disc
        self.console, self.qmp = emulator.console, emulator.qmp
        self.serial_number = 429

    def run(self):
        self.open_command_line()
        expect("boot/" in self.grub("ls (cd)/"), "GRUB's listing of the rescue CD has no boot/")
        drive = self.use_own_driver()
        expect("boot/" in self.grub(f"ls {drive}/"), "GRUB's own driver does not list boot/")
        expect("libvirt-3-format" in self.info_block("before the change"), "info block does not name the rescue CD")
        self.change_disc()
        expect(self.disc in self.info_block("after the change"), "info block does not name the second disc")
        self.read_new_disc(drive)
        self.eject()
        self.show.step("quit")
        self.message("quit", tag="libvirt-quit")
        status = self.emulator.wait_exit(20)
        expect(status == 0, f"the emulator's exit status is {status}")

    def use_own_driver(self):
        """Loads what is needed while the rescue CD is in, GRUB's ATAPI driver last; returns the drive's name.

        A drive reports a changed disc until the guest asks for the sense data. The BIOS, behind GRUB's (cd), never
        asks while it reads; GRUB's own driver does, as every operating system's does.
        """
        for module in ("cat", "sleep", "pata"):
            self.grub(f"insmod {module}")
        names = re.findall(r"\((ata\d+)\)", self.grub("ls"))
        expect(names, "GRUB's own driver finds no drive")
        return f"({names[0]})"

    def open_command_line(self):
        self.show.step("waiting for GRUB's menu on the serial console")
        self.console.wait("GNU GRUB.*highlighted entry will be executed", 150, "GRUB's menu")
        self.show.step("the menu is there: 'c' opens GRUB's command line")
        self.console.send("c")
        self.console.wait(PROMPT, 30, "GRUB's prompt")

    def grub(self, command):
        """Types a command into GRUB and returns what it printed."""
        self.show.step(f"in GRUB: {command}")
        self.console.mark = len(self.console.raw)
        self.console.type(command)
        self.console.mark = len(self.console.raw)
        self.console.send("\r")
        start = self.console.mark
        self.console.wait(PROMPT, 40, f"GRUB's prompt after '{command}'")
        return self.console.text(start).rsplit("grub>", 1)[0]

    def message(self, command, arguments=None, tag=None):
        """Sends one QMP message, shown before it goes, and requires its success."""
        message = {"execute": command}
        if arguments is not None:
            message["arguments"] = arguments
        message["id"] = tag or f"libvirt-{self.serial_number}"
        self.serial_number += tag is None
        reply = self.qmp.call(message, 30)
        expect("return" in reply, f"{command} was answered with {json.dumps(reply)}")
        return reply["return"]

    def info_block(self, when):
        self.show.step(f"info block {when}")
        text = self.message("human-monitor-command", {"command-line": "info block"}, "info")
        self.show.line(text.replace("\r", "").rstrip())
        return text

    def tray_moved(self, is_open):
        event = self.qmp.wait_event("DEVICE_TRAY_MOVED", 10)
        expect(event["data"]["id"] == DRIVE and event["data"]["tray-open"] is is_open,
               f"the tray event is {json.dumps(event)}")

    def change_disc(self):
        self.show.step("a manager changes the disc: open, remove, add two nodes, insert, close")
        storage, layer = node_options(4, self.disc)
        self.message("blockdev-open-tray", {"id": DRIVE, "force": False})
        self.tray_moved(True)
        self.message("blockdev-remove-medium", {"id": DRIVE})
        self.message("blockdev-add", storage)
        self.message("blockdev-add", layer)
        self.message("blockdev-insert-medium", {"id": DRIVE, "node-name": "libvirt-4-format"})
        self.message("blockdev-close-tray", {"id": DRIVE})
        self.tray_moved(False)

    def read_new_disc(self, drive):
        self.grub("sleep 2")  # GRUB trusts the sectors it has cached until two seconds after it read the disc
        listing = self.grub(f"ls {drive}/")
        expect("hello.txt" in listing.lower() and "boot/" not in listing, f"GRUB lists {listing!r}")
        text = self.grub(f"cat {drive}/hello.txt")
        expect(FILES["HELLO.TXT"].decode().strip() in text, f"GRUB read {text!r}")

    def eject(self):
        self.show.step("eject: an empty, closed drive is left")
        self.message("blockdev-open-tray", {"id": DRIVE, "force": False})
        self.tray_moved(True)
        self.message("blockdev-remove-medium", {"id": DRIVE})
        self.message("blockdev-del", {"node-name": "libvirt-4-format"})
        self.message("blockdev-del", {"node-name": "libvirt-4-storage"})
        self.message("blockdev-close-tray", {"id": DRIVE})
        self.tray_moved(False)
        text = self.info_block("after the eject")
        expect("[not inserted]" in text and "tray closed" in text, "info block does not show an empty closed drive")


def main_job(program, work):
    show = Show()
    expect(os.path.exists(RESCUE), f"{RESCUE} is missing; install grub-rescue-pc")
    os.makedirs(work, exist_ok=True)
    disc = os.path.join(work, "second.iso")
    write_iso(disc, "RHEA_SECOND", FILES, minimum_sectors=512)  # a whole MiB: GRUB reads 32 KiB at a time
    show.line(f"made {disc} with {', '.join(sorted(FILES))}")
    emulator = Emulator(command_line(RESCUE), stdio=True, program=program, log=lambda text: show.line("QMP " + text),
                        echo=show.transcript.feed, on_start=lambda line: show.line("$ " + shlex.join(line)))
    with emulator:
        try:
            Job(emulator, show, disc).run()
        except (Missed, Timeout, EOFError, OSError, AssertionError) as error:
            stderr = emulator.stderr().strip()
            raise Missed(str(error) + (f"\nstderr: {stderr}" if stderr else "")) from error
    show.step("every step was seen")


def boot_interactively(program, iso):
    line = [program, "-machine", "pc", "-accel", "kvm", "-m", "512", "-nographic", "-vga", "none", "-cdrom", iso,
            "-boot", "d"]
    print("$ " + shlex.join(line) + "\nCtrl-A X ends it; a guest that writes only to a screen shows nothing here.",
          flush=True)
    os.execv(program, line)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--emulator", default=os.path.join(ROOT, "build", "rhea"))
    parser.add_argument("--work", default=os.path.join(ROOT, "build", "quickstart"), help="where the second ISO is made")
    parser.add_argument("iso", nargs="?")
    args = parser.parse_args()
    problem = kvm_problem()
    if problem:
        sys.exit(f"quickstart: {problem}; to get it, {KVM_HELP}.")
    if args.iso and not os.path.isfile(args.iso):
        sys.exit(f"quickstart: '{args.iso}' is not a file")
    if args.iso:
        boot_interactively(args.emulator, args.iso)
    try:
        main_job(args.emulator, args.work)
    except Missed as error:
        sys.exit(f"\nquickstart: a step was not seen: {error}")


if __name__ == "__main__":
    main()
