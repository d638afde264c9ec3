"""The command line as a person or a manager uses it: answers, one-line errors, daemonize, pid files, defaults."""
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from pyutil import runner  # noqa: E402
from pyutil.deadline import Deadline  # noqa: E402
from pyutil.emulator import Emulator, emulator_path  # noqa: E402
from pyutil.qmp import QmpClient  # noqa: E402

QUIET = ["-machine", "pc", "-accel", "qtest", "-nodefaults", "-display", "none"]


def run(*args, timeout=30):
    """Exit status, stdout, stderr of the program with these arguments."""
    done = subprocess.run([emulator_path(), *args], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=timeout, check=False)
    return done.returncode, done.stdout, done.stderr


class Answers(unittest.TestCase):
    def answer(self, *args):
        status, out, err = run(*args)
        self.assertEqual((status, err), (0, ""), args)
        return out

    def test_version_and_help(self):
        self.assertRegex(self.answer("-version"), r"^Rhea emulator version \d+\.\d+\.\d+ \(compatible with QEMU .* 7\.2\.0\)\n$")
        text = self.answer("-help")
        for option in ("-machine", "-accel", "-cpu", "-smp", "-blockdev", "-device", "-qmp", "-daemonize", "-qtest"):
            self.assertIn(f"\n{option}", text)

    def test_machine_list_is_what_scripts_parse(self):
        text = self.answer("-machine", "help")
        self.assertTrue(text.startswith("Supported machines are:\n"))
        self.assertRegex(text, r"(?m)^pc +Standard PC \(i440FX \+ PIIX, 1996\) \(alias of pc-i440fx-7\.2\)$")
        self.assertRegex(text, r"(?m)^pc-i440fx-7\.2 +Standard PC \(i440FX \+ PIIX, 1996\) \(default\)$")
        self.assertRegex(text, r"(?m)^none +empty machine$")

    def test_device_help(self):
        self.assertRegex(self.answer("-device", "help"), r'(?m)^name "ide-cd", bus IDE')
        text = self.answer("-device", "ide-cd,help")
        self.assertTrue(text.startswith("ide-cd options:\n"))
        self.assertRegex(text, r"(?m)^  write-cache=<OnOffAuto> .*\(default: \"auto\"\)$")

    def test_other_lists(self):
        self.assertIn("memory-backend-ram", self.answer("-object", "help"))
        self.assertRegex(self.answer("-accel", "help"), r"(?m)^kvm$")
        self.assertRegex(self.answer("-cpu", "help"), r"qemu64")
        self.assertIn("socket", self.answer("-chardev", "help"))
        self.assertIn("guest_errors", self.answer("-d", "help"))


class Errors(unittest.TestCase):
    CASES = [
        (["-foo"], "-foo: invalid option"),
        (["-m"], "-m: requires an argument"),
        (["-m", "foo"], "-m foo: Parameter 'size' expects a size"),
        (["-machine", "q99"], "-machine q99: unsupported machine type"),
        (["-machine", "pc,nosuch=1"], "-machine: Property 'pc-i440fx-7.2-machine.nosuch' not found"),
        (["-machine", "pc,hpet=maybe"], "-machine: Parameter 'hpet' expects 'on' or 'off'"),
        (["-accel", "nosuch"], "invalid accelerator nosuch"),
        (["-smp", "3,cores=2,sockets=1"], "-smp 3,cores=2,sockets=1: Invalid CPU topology: product of the hierarchy must "
         "match maxcpus: sockets (1) * dies (1) * cores (2) * threads (1) != maxcpus (3)"),
        (["-smp", "0"], "-smp 0: Invalid CPU topology: CPU topology parameters must be greater than zero"),
        (["-cpu", "nosuch"], "unable to find CPU model 'nosuch'"),
        (["-device", "nosuch"], "-device nosuch: 'nosuch' is not a valid device model name"),
        (["-device", "ide-cd,nosuch=1"], "-device ide-cd: Property 'ide-cd.nosuch' not found"),
        (["-device", "ide-cd,unit=7"], "-device ide-cd: Can't create IDE unit 7, bus supports only 2 units"),
        (["-device", "ide-cd,bus=ide.9"], "-device ide-cd: Bus 'ide.9' not found"),
        (["-device", "ide-cd,drive=nosuch"], "-device ide-cd: Property 'ide-cd.drive' can't find value 'nosuch'"),
        (["-device", "ide-cd,id=1x"], "-device ide-cd: Parameter 'id' expects an identifier"),
        (["-device", '{"driver":"ide-cd"'], None),
        (["-blockdev", "driver=file,node-name=a"], "-blockdev: Parameter 'filename' is missing"),
        (["-blockdev", "driver=file,node-name=a,filename=/no/such"], None),
        (["-blockdev", "driver=nosuch,node-name=a"], "-blockdev: Parameter 'driver' does not accept value 'nosuch'"),
        (["-drive", "if=none,file=/no/such"], None),
        (["-chardev", "nosuch,id=x"], None),
        (["-mon", "chardev=nosuch"], None),
        (["-serial", "nosuch:1"], None),
        (["-object", "memory-backend-ram,id=m"], "-object: Parameter 'size' is missing"),
        (["-uuid", "12"], "-uuid 12: failed to parse UUID string: wrong format"),
        (["-rtc", "base=yesterday"], None),
        (["-boot", "order=z"], "-boot order=z: Invalid boot device 'z'"),
        (["-display", "gtk"], "-display gtk: display backend 'gtk' is not available; 'none' and 'vnc=' are"),
        (["-vga", "foo"], "-vga foo: unknown vga type: foo"),
        (["-vga", "cirrus"], "-vga cirrus: this VGA card is not available; 'std' and 'none' are"),
        (["-bios", "/no/such.bin"], None),
        (["-kernel", "/no/such"], None),
        (["-append", "x"], "-append only allowed with -kernel option"),
        (["-global", "PIIX4_PM.nosuch=1"],
         "can't apply global PIIX4_PM.nosuch=1: Property 'PIIX4_PM.nosuch' not found"),
        (["-global", "mc146818rtc.lost_tick_policy=bogus"], "can't apply global mc146818rtc.lost_tick_policy=bogus: "
         "Parameter 'lost_tick_policy' does not accept value 'bogus'"),
        (["-global", "driver=PIIX4_PM"],
         "-global driver=PIIX4_PM: options 'driver', 'property', and 'value' are required"),
        (["-global", "driver=PIIX4_PM,property=disable_s3,value=1,foo=3"],
         "-global driver=PIIX4_PM,property=disable_s3,value=1,foo=3: Invalid parameter 'foo'"),
        (["-d", "nosuch"], "-d nosuch: unknown log item 'nosuch' (see -d help)"),
    ]

    def test_each_is_one_line_that_names_the_culprit(self):
        for args, text in self.CASES:
            with self.subTest(args):
                accel = [] if "-accel" in args else ["-accel", "qtest"]
                machine = [] if "-machine" in args else ["-machine", "pc"]
                status, out, err = run(*machine, *accel, "-nodefaults", "-display", "none", *args)
                self.assertEqual((status, out), (1, ""), err)
                first = err.splitlines()[0]
                if text is None:
                    self.assertIn(re.sub(r".*[=,/]", "", args[1].rstrip("}\"'"))[:6], err)
                else:
                    self.assertEqual(first, f"rhea: {text}")


class Globals(unittest.TestCase):
    """-global: initial values of properties, by type."""

    def property(self, args, path, name):
        with Emulator(["-machine", "pc", "-accel", "qtest", "-nodefaults", "-display", "none", *args]) as vm:
            return vm.qmp.execute("qom-get", {"path": path, "property": name})

    def test_devices_of_the_board_and_of_users(self):
        board = "/machine/unattached/" + self.power_management()
        for form in ("PIIX4_PM.disable_s3=1", "driver=PIIX4_PM,property=disable_s3,value=1"):
            self.assertEqual(self.property(["-global", form], board, "disable_s3"), 1)
        self.assertEqual(self.property([], board, "disable_s3"), 0)
        cd = ["-device", "ide-cd,id=cd", "-global", "ide-cd.serial=a,b=c.d"]
        self.assertEqual(self.property(cd, "/machine/peripheral/cd", "serial"), "a,b=c.d")
        cd = ["-device", "ide-cd,id=cd,serial=own", *cd[2:]]  # what the device itself says wins
        self.assertEqual(self.property(cd, "/machine/peripheral/cd", "serial"), "own")

    def power_management(self):
        with Emulator(["-machine", "pc", "-accel", "qtest", "-nodefaults", "-display", "none"]) as vm:
            listing = vm.qmp.execute("qom-list", {"path": "/machine/unattached"})
        return next(p["name"] for p in listing if p["type"] == "child<PIIX4_PM>")

    def test_unknown_ones_are_warned_of(self):
        command = [emulator_path(), "-machine", "none", "-accel", "qtest", "-display", "none", "-qmp", "stdio"]
        for name in ("nosuch.a=1", "iothread.a=1", "i440FX.a=1", "mc146818rtc.a=1", "kvm-pit.lost_tick_policy=delay"):
            command += ["-global", name]
        done = subprocess.run(command, input='{"execute":"qmp_capabilities"}{"execute":"quit"}', capture_output=True,
                              text=True, timeout=30, check=False)
        self.assertEqual(done.returncode, 0)
        self.assertEqual(done.stderr.splitlines(), ["rhea: warning: global nosuch.a has invalid class name",
                                                    "rhea: warning: global iothread.a has invalid class name",
                                                    "rhea: warning: global i440FX.a=1 not used"])


class Piped(unittest.TestCase):
    def test_all_commands_of_a_pipe_are_executed(self):
        """The end of the pipe is seen after those that wait for a disk, and the last one ends the process."""
        commands = ["qmp_capabilities", *["query-named-block-nodes"] * 5, "quit"]
        done = subprocess.run([emulator_path(), "-machine", "none", "-accel", "qtest", "-display", "none", "-qmp", "stdio",
                               "-blockdev", f"driver=file,node-name=f,read-only=on,filename={__file__}"],
                              input="".join(f'{{"execute": "{c}"}}\n' for c in commands), capture_output=True, text=True,
                              timeout=30, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.count('"node-name": "f"'), 5)


class Process(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory(prefix="rhea-cli-")
        self.addCleanup(self.dir.cleanup)
        self.pidfile, self.sock = os.path.join(self.dir.name, "pid"), os.path.join(self.dir.name, "qmp")

    def end(self, pid, what):
        os.kill(pid, signal.SIGTERM)
        deadline = Deadline(20, what)
        while os.path.exists(f"/proc/{pid}") and self.state(pid) != "Z":
            deadline.left()
            time.sleep(0.002)  # polls: the daemon is no child of ours

    @staticmethod
    def state(pid):
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii") as file:
                return file.read().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return "Z"

    def daemon(self, *args):
        status, _, err = run(*QUIET, "-daemonize", "-pidfile", self.pidfile, "-qmp",
                             f"unix:{self.sock},server=on,wait=off", *args)
        self.assertEqual(status, 0, err)
        with open(self.pidfile, encoding="ascii") as file:  # it and the socket are there once the starter has ended
            return int(file.read())

    def test_capability_probe_line(self):  # S3.9
        status, _, err = run("-S", "-no-user-config", "-nodefaults", "-nographic", "-machine", "none,accel=kvm:qtest", "-qmp",
                             f"unix:{self.sock},server=on,wait=off", "-pidfile", self.pidfile, "-daemonize")
        self.assertEqual(status, 0, err)
        with open(self.pidfile, encoding="ascii") as file:
            pid = int(file.read())
        qmp = QmpClient.connect(self.sock, None, 20, True)
        self.assertEqual(qmp.execute("query-target"), {"arch": "x86_64"})
        self.assertIn("pc", [m.get("alias") for m in qmp.execute("query-machines")])
        qmp.sock.close()
        self.end(pid, "the daemon ending on SIGTERM")
        self.assertFalse(os.path.exists(self.pidfile))

    def test_second_process_on_the_same_pid_file_fails(self):  # S3.4
        pid = self.daemon()
        try:
            status, _, err = run(*QUIET, "-pidfile", self.pidfile)
            self.assertEqual(status, 1)
            self.assertIn("cannot create PID file: Cannot lock pid file", err)
        finally:
            self.end(pid, "the daemon ending on SIGTERM")

    def test_a_daemon_that_cannot_start_says_why(self):
        status, _, err = run(*QUIET, "-daemonize", "-device", "nosuch")
        self.assertEqual((status, err), (1, "rhea: -device nosuch: 'nosuch' is not a valid device model name\n"))

    def test_sigterm_shuts_down_also_with_no_shutdown(self):
        with Emulator(QUIET + ["-no-shutdown"]) as vm:
            vm.process.terminate()
            self.assertEqual(vm.qmp.wait_event("SHUTDOWN")["data"], {"guest": False, "reason": "host-signal"})
            self.assertEqual(vm.wait_exit(), 0)

    def test_prelaunch_until_cont(self):  # S3.2
        with Emulator(QUIET + ["-S"]) as vm:
            self.assertEqual(vm.qmp.execute("query-status")["status"], "prelaunch")
            vm.qmp.execute("cont")
            self.assertEqual(vm.qmp.execute("query-status"), {"running": True, "singlestep": False, "status": "running"})
            vm.qmp.execute("stop")
            self.assertEqual(vm.qmp.execute("query-status")["status"], "paused")
            self.assertEqual(vm.quit(), 0)

    def test_names_and_identity(self):
        uuid = "12345678-9abc-def0-1234-56789abcdef0"
        with Emulator(QUIET + ["-name", "guest=box,debug-threads=on", "-uuid", uuid]) as vm:
            self.assertEqual(vm.qmp.execute("query-name"), {"name": "box"})
            self.assertEqual(vm.qmp.execute("query-uuid"), {"UUID": uuid})

    def test_qmp_over_inherited_listening_socket(self):  # S3.10
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.addCleanup(listener.close)
        listener.bind(self.sock)
        listener.listen(1)
        fd = listener.fileno()
        process = subprocess.Popen(
            [emulator_path(), *QUIET, "-chardev", f"socket,id=charmonitor,fd={fd},server=on,wait=off", "-mon",
             "chardev=charmonitor,id=monitor,mode=control"], pass_fds=[fd], stdin=subprocess.DEVNULL)
        self.addCleanup(process.kill)
        for _ in range(3):  # S3.6: clients come and go
            qmp = QmpClient.connect(self.sock, None, 20, True)
            self.assertEqual(qmp.execute("query-status")["status"], "running")
            qmp.sock.close()
        qmp = QmpClient.connect(self.sock, None, 20, True)
        qmp.execute("quit")
        self.assertEqual(process.wait(20), 0)

    def test_default_devices_and_their_absence(self):
        with Emulator(["-machine", "pc", "-accel", "qtest", "-display", "none"]) as vm:
            drives = vm.qmp.execute("query-block")
            self.assertEqual([d["device"] for d in drives], ["ide1-cd0", "floppy0"])
            self.assertIn("serial0", [c["label"] for c in vm.qmp.execute("query-chardev")])
        with Emulator(QUIET) as vm:
            self.assertEqual(vm.qmp.execute("query-block"), [])

    def test_device_in_json_and_keyval_are_the_same(self):  # S0.1, S4.6
        seen = []
        for text in ("ide-cd,bus=ide.1,unit=0,id=ide0-1-0,write-cache=on",
                     '{"driver":"ide-cd","bus":"ide.1","unit":0,"id":"ide0-1-0","write-cache":"on"}'):
            with Emulator(QUIET + ["-device", text]) as vm:
                path = "/machine/peripheral/ide0-1-0"
                names = [p["name"] for p in vm.qmp.execute("qom-list", {"path": path})]
                seen.append({n: vm.qmp.execute("qom-get", {"path": path, "property": n}) for n in names})
        self.assertEqual(seen[0], seen[1])


if __name__ == "__main__":
    runner.main()
