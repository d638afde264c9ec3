"""Images of many kinds, made by one program, are checked, compared and changed by the other: rhea-img and rhea-io
against qemu-img and qemu-io."""
import os
import random
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from pyutil import runner  # noqa: E402

BUILD = os.environ.get("RHEA_BUILD", "build-dbg")
OURS = (os.path.join(BUILD, "tools/rhea-img"), os.path.join(BUILD, "tools/rhea-io"))
THEIRS = ("qemu-img", "qemu-io")
SIZE = 4 << 20
KINDS = ["", "compat=0.10", "cluster_size=512", "cluster_size=2M", "refcount_bits=1", "refcount_bits=64",
         "extended_l2=on", "lazy_refcounts=on", "preallocation=metadata", "compression_type=zstd",
         "cluster_size=1k,refcount_bits=8"]


class Qcow2Interop(unittest.TestCase):
    def setUp(self):
        if any(shutil.which(program) is None for program in THEIRS):
            self.skipTest("qemu-img and qemu-io are not installed")
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def run_ok(self, *words):
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 0, f"{words}: {done.stdout}{done.stderr}")
        return done.stdout

    def commands(self, seed, disk):
        """Requests for a disk; changes `disk` to what it contains afterwards."""
        chance = random.Random(seed)
        lines = []
        for number in range(1, 25):
            at = chance.randrange(SIZE // 512) * 512
            length = min(chance.choice((512, 4096, 65536, 300 * 512)), SIZE - at)
            if number % 6 == 0:
                lines += ["-c", f"write -q -z {at} {length}"]
                disk[at:at + length] = bytes(length)
            else:
                lines += ["-c", f"write -q -P {number} {at} {length}"]
                disk[at:at + length] = bytes([number]) * length
        return lines

    def change_and_check(self, maker, writers, checker, kind):
        image, raw = self.path("disk"), self.path("raw")
        options = ["-o", kind] if kind else []
        self.run_ok(maker[0], "create", "-q", "-f", "qcow2", *options, image, str(SIZE))
        whole = bytearray(SIZE)
        for seed, writer in enumerate(writers):
            lines = self.commands(seed, whole)
            self.run_ok(writer[1], "-f", "qcow2", *lines, image)
        with open(raw, "wb") as file:
            file.write(whole)
        self.run_ok(checker[0], "check", "-q", "-f", "qcow2", image)
        self.run_ok(checker[0], "compare", "-q", "-f", "qcow2", "-F", "raw", image, raw)
        packed = self.path("packed")
        self.run_ok(maker[0], "convert", "-q", "-c", "-f", "qcow2", "-O", "qcow2", image, packed)
        self.run_ok(checker[0], "check", "-q", "-f", "qcow2", packed)
        self.run_ok(checker[0], "compare", "-q", "-f", "qcow2", "-F", "raw", packed, raw)

    def test_ours_is_good_for_them(self):
        for kind in KINDS:
            with self.subTest(kind=kind):
                self.change_and_check(OURS, (OURS, THEIRS), THEIRS, kind)

    def test_theirs_is_good_for_us(self):
        for kind in KINDS:
            with self.subTest(kind=kind):
                self.change_and_check(THEIRS, (THEIRS, OURS), OURS, kind)

    def test_snapshots_are_understood(self):
        for first, second in ((OURS, THEIRS), (THEIRS, OURS)):
            with self.subTest(first=first[0]):
                image = self.path("disk")
                self.run_ok(first[0], "create", "-q", "-f", "qcow2", image, str(SIZE))
                self.run_ok(first[1], "-f", "qcow2", "-c", "write -q -P 1 0 1M", image)
                self.run_ok(first[0], "snapshot", "-c", "one", image)
                self.run_ok(first[1], "-f", "qcow2", "-c", "write -q -P 2 0 2M", image)
                self.run_ok(second[0], "check", "-q", "-f", "qcow2", image)
                self.run_ok(second[0], "snapshot", "-a", "one", image)
                self.run_ok(first[1], "-f", "qcow2", "-c", "read -q -P 1 0 1M", "-c", "read -q -P 0 1M 1M", image)
                self.run_ok(second[0], "snapshot", "-d", "one", image)
                self.run_ok(first[0], "check", "-q", "-f", "qcow2", image)


if __name__ == "__main__":
    runner.main()
