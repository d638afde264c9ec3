#!/usr/bin/env python3
"""Boots Linux guests under an emulator on /dev/kvm and prints one line per case.

Runs where /dev/kvm is good: in the nested lab, or directly on a host that has it.
"""
import argparse
import os
import shutil
import signal
import sys
import tempfile
import time

sys.dont_write_bytecode = True

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))

from pyutil.deadline import Timeout
from pyutil.qmp import QmpError
from vm import Failure, Vm

CD = "ide0-1-0"
DEVICE = "/dev/sr0"
PAUSES = 30
RESETS = 10
MODULE_BYTES = 128 << 20
HOTPLUGS = 6
DISK_PART = 64  # times 64 KiB of the disk for each CPU
ZEROS_MD5 = "2c7ab85a893283e98c931e9511add182"  # of 16 MiB
# What a wait, a dialogue or a reading of an answer ends with when the emulator or the guest misbehaves.
ODD_ANSWER = (AttributeError, LookupError, TypeError, ValueError)
BROKEN = (Failure, Timeout, QmpError, OSError, EOFError, AssertionError, *ODD_ANSWER)


def expect(true, text):
    if not true:
        raise Failure(text)


def drive(vm):
    """What query-block says about the CD-ROM drive."""
    found = [b for b in vm.qmp.execute("query-block") if CD in (b.get("qdev", ""), b.get("device"))
             or b.get("qdev", "").endswith(f"/{CD}")]
    expect(len(found) == 1, f"query-block shows {len(found)} drives '{CD}'")
    return found[0]


class Cases:
    """The cases of one guest, in the order they run; each yields what it has seen to be right."""

    def __init__(self, options, cpus, run):
        self._options, self._cpus, self._run = options, cpus, run
        self.vm = None

    def boot(self):
        self.vm = Vm(self._options, self._cpus, self._run)
        self.vm.connect()
        self.vm.qmp.execute("cont")
        self.vm.wait_for_shell()
        yield "Linux " + self.vm.shell("uname -r") + " runs a shell on its serial port"

    def cpus(self):
        seen = self.vm.shell("nproc")
        expect(seen == str(self._cpus), f"the guest sees {seen} CPUs instead of {self._cpus}")
        for cpu in range(self._cpus):
            self.vm.shell(f"taskset {1 << cpu:x} true")
        known = len(self.vm.qmp.execute("query-cpus-fast"))
        expect(known == self._cpus, f"query-cpus-fast lists {known} CPUs instead of {self._cpus}")
        yield f"{seen} CPU{'s' * (self._cpus > 1)} in the guest, each runs a program"

    def _mount(self, disc, seconds=5):
        """Mounts the CD; retries, as after a change the first read reports that change as its error."""
        self.vm.shell(f"n=0; until mount -t iso9660 -o ro {DEVICE} /mnt || [ $n = {10 * seconds} ]; "
                      f"do sleep 0.1; n=$((n + 1)); done; grep -q ' /mnt ' /proc/mounts", seconds + 20)
        name = self.vm.shell("cat /mnt/name.txt")
        expect(name == disc, f"the disc's file says '{name}' instead of '{disc}'")
        self.vm.shell("cd /mnt; md5sum -c data.md5; r=$?; cd /; [ $r = 0 ]")

    def cd_mount(self):
        self._mount("disc one")
        yield "the CD is mounted, its files read right"
        expect(drive(self.vm)["locked"], "query-block shows the tray unlocked while the guest mounts the CD")
        yield "the tray is locked while the CD is mounted"
        self.vm.shell("umount /mnt")
        expect(not drive(self.vm)["locked"], "query-block shows the tray locked after the guest's umount")
        yield "and unlocked afterwards"

    def _manager_sends(self, number, command, **arguments):
        """A message as libvirt numbers them; '_' in names stands for '-'."""
        arguments = {name.replace("_", "-"): value for name, value in arguments.items()}
        reply = self.vm.qmp.call({"execute": command, "arguments": arguments, "id": f"libvirt-{number}"})
        expect("error" not in reply, f"{command} answers {reply.get('error', {}).get('desc')}")

    def cd_change(self):
        sequence = self.vm.shell("cat /sys/block/sr0/diskseq")
        self.vm.qmp.events.clear()
        self._manager_sends(429, "blockdev-open-tray", id=CD, force=False)
        self.vm.event("DEVICE_TRAY_MOVED", id=CD, tray_open=True)
        self._manager_sends(430, "blockdev-remove-medium", id=CD)
        state = self.vm.shell(f"tray status {DEVICE}")
        expect(state in ("open", "no-disc"), f"with the tray open the guest sees '{state}'")
        yield f"with the tray open the guest sees '{state}'"
        cache = {"direct": False, "no-flush": False}
        self._manager_sends(431, "blockdev-add", driver="file", filename=self._options.cd2, cache=cache,
                            node_name="libvirt-4-storage", auto_read_only=True, discard="unmap")
        self._manager_sends(432, "blockdev-add", node_name="libvirt-4-format", read_only=True, cache=cache,
                            driver="raw", file="libvirt-4-storage")
        self._manager_sends(433, "blockdev-insert-medium", id=CD, node_name="libvirt-4-format")
        self._manager_sends(434, "blockdev-close-tray", id=CD)
        self.vm.event("DEVICE_TRAY_MOVED", id=CD, tray_open=False)
        yield "the disc was changed by a manager's six messages"
        self._mount("disc two")
        yield "the guest reads the new disc's files"
        now = self.vm.shell("cat /sys/block/sr0/diskseq")
        expect(int(now) > int(sequence), f"Linux saw no media change (diskseq stays {now})")
        yield f"Linux saw the media change (diskseq {sequence}, then {now})"
        self.vm.shell("umount /mnt")

    def cd_eject(self):
        self.vm.qmp.events.clear()
        self.vm.shell(f"tray eject {DEVICE}")
        self.vm.event("DEVICE_TRAY_MOVED", id=CD, tray_open=True)
        expect(drive(self.vm)["tray_open"], "query-block shows the tray closed after the guest's eject")
        yield "the guest ejected, DEVICE_TRAY_MOVED said so"
        self.vm.shell(f"tray close {DEVICE}")
        self.vm.event("DEVICE_TRAY_MOVED", id=CD, tray_open=False)
        expect(not drive(self.vm)["tray_open"], "query-block shows the tray open after the guest closed it")
        yield "the guest closed the tray, DEVICE_TRAY_MOVED said so"

    def scsi_disk(self):
        """A disk comes to a virtio-scsi controller, is written and read, resized, and goes."""
        block = "/sys/block/sda"
        appears = "n=0; until {0} || [ $n = 100 ]; do sleep 0.1; n=$((n + 1)); done; {0}"
        self.vm.qmp.execute("blockdev-add", {"driver": "file", "node-name": "scsi-file", "filename": self.vm.spare_disk()})
        self.vm.qmp.execute("device_add", {"driver": "scsi-hd", "id": "sd0", "bus": "scsi0.0", "drive": "scsi-file",
                                           "serial": "rhea-7", "scsi-id": 3})
        self.vm.shell(appears.format(f"[ -e {block}/size ]"), 40)
        expect(self.vm.shell(f"cat {block}/device/model {block}/device/vendor").split() == ["QEMU", "HARDDISK", "QEMU"],
               "the disk has another name")
        self.vm.shell("dd if=/dev/urandom of=/data bs=64k count=64 2>/dev/null; "
                      "dd if=/data of=/dev/sda bs=64k seek=8 conv=notrunc,fsync 2>/dev/null; "
                      "echo 3 >/proc/sys/vm/drop_caches; dd if=/dev/sda bs=64k skip=8 count=64 2>/dev/null | cmp - /data", 40)
        yield "a disk came, 4 MiB written to it were read again"
        size = int(self.vm.shell(f"cat {block}/size"))
        self.vm.qmp.execute("block_resize", {"node-name": "scsi-file", "size": 512 * size + (1 << 20)})
        self.vm.shell(appears.format(f"[ $(cat {block}/size) = {size + 2048} ]"), 40)
        yield "Linux saw it grow"
        self.vm.shell("rm /data")
        self.vm.qmp.execute("device_del", {"id": "sd0"})
        self.vm.event("DEVICE_DELETED", device="sd0")
        self.vm.shell(appears.format(f"[ ! -e {block} ]"), 40)
        self.vm.qmp.execute("blockdev-del", {"node-name": "scsi-file"})
        yield "it went, and Linux knows"

    def memory(self):
        """A memory module comes, is used, and goes."""
        total = "sed -n 's/MemTotal: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo"
        before = int(self.vm.shell(total))
        self.vm.qmp.execute("object-add", {"qom-type": "memory-backend-ram", "id": "module", "size": MODULE_BYTES})
        self.vm.qmp.execute("device_add", {"driver": "pc-dimm", "id": "dimm0", "memdev": "module"})
        self.vm.shell("n=0; until grep -q offline /sys/devices/system/memory/memory*/state || [ $n = 100 ]; "
                      "do sleep 0.1; n=$((n + 1)); done", 40)
        self.vm.shell("for m in /sys/devices/system/memory/memory*; do grep -q offline $m/state && "
                      "echo online_movable >$m/state; done; true", 40)
        seen = int(self.vm.shell(total)) - before
        expect(abs(seen - (MODULE_BYTES >> 10)) < 8192, f"the guest has {seen} kB more")
        yield f"a module came, the guest has {seen} kB more"
        self.vm.qmp.execute("device_del", {"id": "dimm0"})
        self.vm.event("DEVICE_DELETED", device="dimm0")
        self.vm.qmp.execute("object-del", {"id": "module"})
        expect(abs(int(self.vm.shell(total)) - before) < 8192, "the guest still counts the module's memory")
        yield "the guest let go of it"

    def disk_load(self):
        """A disk in an I/O thread works while others come to it and go."""
        vectors = self.vm.shell("grep -c 'virtio.*req' /proc/interrupts")
        expect(int(vectors) >= self._cpus, f"the disk has {vectors} interrupts for {self._cpus} queues")
        # Each CPU writes its own part of the disk, and reads it from there again, not from memory.
        part = f"bs=64k seek=$((cpu * {DISK_PART}))"
        work = (f"dd if=/work$cpu of=/dev/vda {part} conv=notrunc,fsync 2>/dev/null; "
                "echo 3 >/proc/sys/vm/drop_caches; "
                f"dd if=/dev/vda {part.replace('seek', 'skip')} count={DISK_PART} 2>/dev/null | cmp - /work$cpu || echo bad $cpu")
        self.vm.shell(f"for cpu in $(seq {self._cpus}); do "
                      f"dd if=/dev/urandom of=/work$cpu bs=64k count={DISK_PART} 2>/dev/null; done")
        self.vm.shell("for cpu in $(seq %d); do while [ ! -e /enough ]; do %s; echo x >>/rounds; done >/result$cpu & done"
                      % (self._cpus, work))
        for number in range(HOTPLUGS):
            self.vm.qmp.execute("blockdev-add", {"driver": "null-co", "node-name": "hot", "size": 1 << 20, "read-zeroes": True})
            thread = {"iothread": "io0"} if number % 2 else {}
            self.vm.qmp.execute("device_add", {"driver": "virtio-blk-pci", "id": "hot0", "drive": "hot", **thread})
            self.vm.shell("n=0; until [ -e /dev/vdb ] || [ $n = 100 ]; do sleep 0.1; n=$((n + 1)); done; "
                          "dd if=/dev/vdb bs=4k 2>/dev/null | md5sum | grep -q ^b6d81b360a5672d80c27430f39153e2c", 40)
            self.vm.qmp.execute("device_del", {"id": "hot0"})
            self.vm.event("DEVICE_DELETED", device="hot0")
            self.vm.qmp.execute("blockdev-del", {"node-name": "hot"})
        for command in ("stop", "cont") * 5:
            self.vm.qmp.execute(command)
        self.vm.qmp.events.clear()
        self.vm.shell("touch /enough; wait", 90)
        bad = self.vm.shell("cat /result*")
        expect(not bad, f"the guest read something else than it wrote: {bad}")
        yield f"{self.vm.shell('wc -l </rounds')} rounds of writing and reading on {self._cpus} CPUs gave what was written"
        self.vm.shell("rm /work* /result* /enough /rounds")
        yield f"{HOTPLUGS} disks came and went meanwhile"

    def pauses(self):
        """Stopped again and again while every CPU works: nothing is lost, no clock jumps."""
        work = "dd if=/dev/zero bs=64k count=256 2>/dev/null | md5sum"
        line = (f"for cpu in $(seq {self._cpus}); do {work} >/sum$cpu & done; wait; "
                "cat /sum* | sort -u; rm /sum*")
        self.vm.send(line)
        for _ in range(PAUSES):
            for command, status in (("stop", "paused"), ("cont", "running")):
                self.vm.qmp.execute(command)
                seen = self.vm.qmp.execute("query-status")["status"]
                expect(seen == status, f"after '{command}' the state is '{seen}'")
        self.vm.qmp.events.clear()
        sums = self.vm.answer(line, 60).split()
        expect(sums == [ZEROS_MD5, "-"], f"the guest worked out {sums}")
        yield f"the guest finished its work right although it was stopped {PAUSES} times"
        found = self.vm.shell("dmesg | grep -iE 'stall|lockup|unstable|hung' | tail -n 1; true")
        expect(not found, f"the guest's kernel complains: {found}")
        yield "its kernel noticed no lost time"

    def reboot(self):
        """ACPI's reset register and a triple fault with one CPU, the keyboard controller with two."""
        boot = "cat /proc/sys/kernel/random/boot_id"
        for way in {1: ("acpi", "triple"), 2: ("kbd",)}[self._cpus]:
            before = self.vm.shell(boot)
            self.vm.qmp.events.clear()
            self.vm.send(f"echo {way} >/sys/kernel/reboot/type; reboot -f")
            self.vm.event("RESET", guest=True)
            yield f"the guest rebooted by '{way}', RESET said so"
            for _ in range(RESETS):
                self.vm.qmp.execute("system_reset")
                self.vm.event("RESET", guest=False, reason="host-qmp-system-reset")
            yield f"{RESETS} system_reset in a row while it boots"
            self.vm.wait_for_shell()
            expect(self.vm.shell(boot) != before, "the guest did not boot again")
            seen = self.vm.shell("nproc")
            expect(seen == str(self._cpus), f"the guest sees {seen} CPUs after its reboot")
            yield f"it booted again, with {seen} CPU{'s' * (self._cpus > 1)}"

    def power_button(self):
        device = self.vm.shell('cd /sys/class/input; for d in event*; do read -r n <$d/device/name; '
                               '[ "$n" = "Power Button" ] && echo $d; done; cd /')
        expect(device, "the guest has no power button")
        self.vm.shell(f"exec 4</dev/input/{device}")  # events are kept from now on
        self.vm.qmp.execute("system_powerdown")
        self.vm.event("POWERDOWN")
        event = self.vm.shell("timeout 10 dd bs=24 count=1 <&4 2>/dev/null | hexdump -ve '1/1 \"%02x\"'", 20)
        # struct input_event: 16 bytes of time, then type, code and value
        expect(event[32:40] == "01007400", f"no key event KEY_POWER came, but '{event}'")
        yield "system_powerdown reached the guest as its power button"

    def power_off(self):
        self.vm.qmp.events.clear()
        self.vm.send("poweroff -f")
        self.vm.event("SHUTDOWN", guest=True, reason="guest-shutdown")
        yield "the guest switched off through ACPI, SHUTDOWN said so"
        self.vm.wait_for_end()
        yield "the emulator ended with status 0"

    ORDER = ("boot", "cpus", "cd_mount", "cd_change", "cd_eject", "disk_load", "scsi_disk", "memory", "pauses", "reboot", "power_button", "power_off")


def names():
    """(name, number of CPUs, method of Cases) in the order of running."""
    return [(f"linux.{cpus}cpu.{case.replace('_', '-')}", cpus, case)
            for cpus in (1, 2) for case in Cases.ORDER]


def run_case(cases, name, case):
    """Prints the case's lines; False when it failed."""
    started = time.monotonic()
    try:
        for seen in getattr(cases, case)():
            print(f"  ok: {seen} ({time.monotonic() - started:.1f} s)", flush=True)
        print(f"PASS {name}", flush=True)
        return True
    except BROKEN as error:
        reason = f"unexpected answer: {error!r}" if isinstance(error, ODD_ANSWER) else str(error)
        print(f"FAIL {name}: {' '.join(reason.split())}")
        for line in cases.vm.last_words() if cases.vm else ():
            print(f"  {line}")
        sys.stdout.flush()
        return False


def run_guest(options, cpus, run):
    """Runs the cases of one guest; after a failure only while its shell still answers."""
    cases, broken, good = Cases(options, cpus, run), None, True
    try:
        for name, of, case in names():
            if of != cpus:
                continue
            if broken:
                print(f"SKIP {name}: {broken} failed and left no usable guest", flush=True)
                continue
            if run_case(cases, name, case):
                continue
            good = False
            try:
                expect(case not in ("boot", "reboot"), "no shell")
                for line in cases.vm.shell("umount /mnt 2>/dev/null; dmesg | tail -n 5", 10).splitlines():
                    print(f"  dmesg: {line}")
            except BROKEN:
                broken = name
    finally:
        if cases.vm:
            cases.vm.kill()
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("emulator", "kernel", "initrd", "cd1", "cd2"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--append", default="", help="more for the guest kernel's command line")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    run = tempfile.mkdtemp(prefix="rhea-linux-")
    try:
        results = [run_guest(options, cpus, os.path.join(run, str(cpus))) for cpus in (1, 2)]
    finally:
        shutil.rmtree(run)
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
