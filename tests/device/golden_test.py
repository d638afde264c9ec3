"""Lists and trees that users and scripts read, compared with golden files. REGEN=1 writes them anew, for review."""
import difflib
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from machine import PEER, MachineTest  # noqa: E402
from pyutil import runner  # noqa: E402
from pyutil.emulator import emulator_path  # noqa: E402

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden")


@unittest.skipIf(PEER, "the files are ours")
class Golden(MachineTest):
    def compare(self, name, text):
        path = os.path.join(GOLDEN, name)
        if os.environ.get("REGEN"):
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        with open(path, encoding="utf-8") as file:
            want = file.read()
        diff = "\n".join(difflib.unified_diff(want.splitlines(), text.splitlines(), name, "now", lineterm="", n=1))
        self.assertEqual(diff, "", f"REGEN=1 tests/run device --filter golden writes {name} anew\n{diff}")

    def test_trees(self):
        for name, command in (("pc.qtree", "info qtree"), ("pc.qom-tree", "info qom-tree")):
            self.compare(name, self.qmp.hmp(command).replace("\r\n", "\n"))

    def test_lists(self):
        for name, option in (("device-help", "-device"), ("object-help", "-object"), ("machine-help", "-machine")):
            done = subprocess.run([emulator_path(), option, "help"], capture_output=True, text=True, timeout=60, check=True)
            self.compare(name, done.stdout)


if __name__ == "__main__":
    runner.main()
