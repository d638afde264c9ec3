"""What the process gives up and as whom it runs: -sandbox, -runas, -chroot, -name process=."""
import os
import socket
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from pyutil import runner  # noqa: E402
from pyutil.deadline import Deadline  # noqa: E402
from pyutil.emulator import emulator_path  # noqa: E402

BASE = ["-machine", "none", "-accel", "qtest", "-nodefaults", "-display", "none"]
FULL = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"


def environment(args):
    """A sandbox forbids what a leak checker does when the process ends; the other tests look for leaks."""
    if "-sandbox" not in args:
        return None
    return dict(os.environ, ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0")


def run(*args):
    """Exit status and standard error of a machine that is told to quit at once."""
    done = subprocess.run([emulator_path(), *BASE, *args, "-monitor", "stdio"], input="quit\n", capture_output=True,
                          text=True, timeout=30, check=False, env=environment(args))
    return done.returncode, done.stderr


class Process(unittest.TestCase):
    def status_of(self, *args):
        """/proc/PID/status of a machine, once its monitor answers."""
        with tempfile.TemporaryDirectory() as where:
            path = os.path.join(where, "qmp")
            vm = subprocess.Popen([emulator_path(), *BASE, *args, "-qmp", f"unix:{path},server=on,wait=off"],
                                  env=environment(args))
            try:
                client = socket.socket(socket.AF_UNIX)
                limit = Deadline(20, "the monitor")
                while client.connect_ex(path) != 0:
                    self.assertIsNone(vm.poll())
                    limit.left()
                stream = client.makefile("r")
                stream.readline()
                client.sendall(b'{"execute":"qmp_capabilities"}')
                stream.readline()
                with open(f"/proc/{vm.pid}/status", encoding="utf-8") as status:
                    text = dict(line.rstrip("\n").split(":\t", 1) for line in status)
                client.sendall(b'{"execute":"quit"}')
                self.assertEqual(vm.wait(20), 0)
                return text
            finally:
                vm.kill()
                vm.wait()

    def test_sandbox(self):
        """S3.9: a manager's probe asks for it."""
        self.assertEqual(self.status_of()["Seccomp"], "0")
        self.assertEqual(self.status_of("-sandbox", FULL)["Seccomp"], "2")
        self.assertEqual(self.status_of("-sandbox", "on")["NoNewPrivs"], "1")
        self.assertEqual(self.status_of("-sandbox", "off")["Seccomp"], "0")

    def test_sandboxed_machine_works(self):
        self.assertEqual(run("-sandbox", FULL, "-chardev", "pty,id=p", "-object",
                             "memory-backend-ram,id=m,size=1M")[0], 0)

    def test_bad_sandbox(self):
        for text, message in (("on,spawn=x", "invalid argument for spawn"), ("on,obsolete=x", "invalid argument for obsolete"),
                              ("on,resourcecontrol=children", "invalid argument for resourcecontrol"),
                              ("foo", "Parameter 'enable' expects 'on' or 'off'"), ("on,x=1", "Invalid parameter 'x'")):
            status, err = run("-sandbox", text)
            self.assertEqual((status, err.split(": ", 1)[1]), (1, f"-sandbox {text}: {message}\n"))

    def test_process_name(self):
        self.assertEqual(self.status_of("-name", "vm,process=my-vm,debug-threads=on")["Name"], "my-vm")

    @unittest.skipIf(os.geteuid() != 0, "changing user takes root")
    def test_run_as(self):
        status = self.status_of("-runas", "65534:65534", "-sandbox", FULL)
        self.assertEqual(status["Uid"].split(), ["65534"] * 4)
        self.assertEqual(status["Gid"].split(), ["65534"] * 4)
        self.assertEqual(status["Groups"].split(), ["65534"])
        self.assertEqual(status["Seccomp"], "2")

    def test_bad_user_and_root(self):
        self.assertEqual(run("-runas", "no such")[1].split(": ", 1)[1],
                         '-runas no such: User "no such" doesn\'t exist (and is not <uid>:<gid>)\n')
        self.assertEqual(run("-runas", "1:4294967295")[0], 1)
        status, err = run("-chroot", "/nonexistent")
        self.assertEqual((status, err.split(": ", 1)[1]), (1, "-chroot /nonexistent: chroot failed: No such file or directory\n"))


if __name__ == "__main__":
    runner.main()
