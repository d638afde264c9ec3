"""The option ROM that boots a kernel works under another emulator's firmware and fw_cfg: QEMU with software
emulation loads it in place of its own and Linux starts with the command line and initrd it was given."""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from pyutil import runner  # noqa: E402
from pyutil.console import Console  # noqa: E402
from pyutil.deadline import Timeout  # noqa: E402

QEMU = "qemu-system-x86_64"
ROM = os.path.join(os.environ.get("RHEA_BUILD", "build-dbg"), "hw/i386/linuxboot_dma.bin")
FIRMWARE = ("/usr/share/qemu", "/usr/share/seabios")
INITRD_BYTES = 31 * 4096  # Linux reports whole pages


def kernel():
    """A readable kernel image, or None."""
    images = sorted(glob.glob(os.environ.get("RHEA_TEST_KERNEL", "/boot/vmlinuz-*")))
    return next((i for i in reversed(images) if os.access(i, os.R_OK)), None)


def firmware_folder(folder, rom):
    """QEMU's firmware files by link, its Linux loader replaced."""
    for source in FIRMWARE:
        for path in glob.glob(f"{source}/*.bin"):
            link = os.path.join(folder, os.path.basename(path))
            if not os.path.lexists(link):
                os.symlink(path, link)
    target = os.path.join(folder, "linuxboot_dma.bin")
    if os.path.lexists(target):
        os.unlink(target)
    with open(target, "wb") as file:
        file.write(rom)


class LinuxBootRom(unittest.TestCase):
    def setUp(self):
        if not shutil.which(QEMU):
            self.skipTest(f"{QEMU} (package qemu-system-x86) is not installed")
        if not kernel():
            self.skipTest("no kernel in /boot (package linux-image-amd64)")
        self.assertTrue(os.path.exists(ROM), f"{ROM} was not built")
        holder = tempfile.TemporaryDirectory(prefix="rhea-rom-")
        self.addCleanup(holder.cleanup)
        self.folder = holder.name
        with open(ROM, "rb") as file:
            self.rom = file.read()

    def start(self, rom):
        firmware_folder(self.folder, rom)
        initrd = os.path.join(self.folder, "initrd")
        with open(initrd, "wb") as file:
            file.write(b"\0" * INITRD_BYTES)
        process = subprocess.Popen(
            [QEMU, "-accel", "tcg", "-machine", "pc-i440fx-7.2", "-m", "256", "-display", "none", "-vga", "none",
             "-nodefaults", "-no-reboot", "-serial", "stdio", "-monitor", "none", "-L", self.folder,
             "-kernel", kernel(), "-initrd", initrd, "-append", "console=ttyS0 rhea.mark=42"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.addCleanup(self.stop, process)
        return Console(process.stdout.fileno(), process.stdin.fileno(), alive=lambda: process.poll() is None)

    def stop(self, process):
        process.kill()
        process.wait(10)
        process.stdin.close()
        process.stdout.close()

    def test_linux_starts_with_its_command_line_and_initrd(self):
        console = self.start(self.rom)
        console.wait("Linux version.*(Kernel panic|reboot:)", 180, "Linux up to its end without a root file system")
        log = console.text()  # searched as a whole: a line may come cut where the console changes drivers, so each
        self.assertRegex(log, r"[Cc]ommand line: console=ttyS0 rhea\.mark=42")  # fact is one that is said twice
        self.assertIn(INITRD_BYTES, self.initrd_sizes(log))

    @staticmethod
    def initrd_sizes(log):
        """Bytes of initrd, each time the kernel told of it."""
        ranges = re.findall(r"RAMDISK: \[mem (0x[0-9a-f]+)-(0x[0-9a-f]+)\]", log)
        freed = re.findall(r"Freeing initrd memory: (\d+)K", log)
        return [int(last, 16) - int(first, 16) + 1 for first, last in ranges] + [int(kib) * 1024 for kib in freed]

    def test_the_kernel_comes_from_this_rom(self):
        broken = bytearray(self.rom)
        broken[0] = 0  # no longer an option ROM
        console = self.start(bytes(broken))
        with self.assertRaises(Timeout):  # nothing is left to boot
            console.wait("Linux version", 5)


if __name__ == "__main__":
    runner.main()
