"""What a manager does with the program: it asks what there is, starts a machine with everything passed as descriptors and
nodes, looks at it, changes its CD, adds and takes away, dumps it (S3.9, S3.10, S3.12, S3.15, S0.12, S0.13, S0.19, S0.20,
S0.22, S0.23)."""
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from machine import PEER  # noqa: E402
from pyutil import runner  # noqa: E402
from pyutil.deadline import Deadline  # noqa: E402
from pyutil.emulator import emulator_path  # noqa: E402
from pyutil.qmp import QmpClient, QmpError  # noqa: E402

ACCEL = "tcg" if PEER else "qtest"
MIB = 1 << 20


class Manager(unittest.TestCase):
    """One process, started as a manager would: the control socket, the serial log and the key are ours."""

    def setUp(self):
        if not os.path.exists(emulator_path()):
            self.skipTest(f"{emulator_path()} is not built")
        self.dir = tempfile.mkdtemp(prefix="rhea-")
        self.addCleanup(shutil.rmtree, self.dir, True)

    def path(self, name):
        return os.path.join(self.dir, name)

    def file(self, name, size=0, data=b""):
        with open(self.path(name), "wb") as f:
            f.write(data)
            f.truncate(max(size, len(data)))
        return self.path(name)

    def launch(self, *more, machine=""):
        """A machine with a disk and an empty CD drive; `more` goes to the end of its command line."""
        self.file("key", data=b"k" * 32)
        self.file("disk", 4 * MIB)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self.path("monitor.sock"))
        listener.listen(1)
        log = os.open(self.path("serial.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        line = [
            emulator_path(), "-name", "guest=d1,debug-threads=on", "-S",
            "-object", json.dumps({"qom-type": "secret", "id": "masterKey0", "format": "raw", "file": self.path("key")}),
            "-machine", "pc-i440fx-7.2,usb=off,dump-guest-core=off,memory-backend=pc.ram" + machine, "-accel", ACCEL,
            "-cpu", "qemu64,pni=off,x2apic=on,hypervisor=on,lahf-lm=on,svm=off", "-m", "16",
            "-object", json.dumps({"qom-type": "memory-backend-ram", "id": "pc.ram", "size": 16 * MIB}),
            "-overcommit", "mem-lock=off", "-smp", "2,sockets=2,cores=1,threads=1",
            "-uuid", "a95928d6-e49e-49b1-bdeb-e38b7f08325b", "-display", "none", "-no-user-config", "-nodefaults",
            "-chardev", f"socket,id=charmonitor,fd={listener.fileno()},server=on,wait=off",
            "-mon", "chardev=charmonitor,id=monitor,mode=control", "-rtc", "base=utc,driftfix=slew",
            "-global", "kvm-pit.lost_tick_policy=delay", "-no-hpet", "-no-shutdown",
            "-global", "PIIX4_PM.disable_s3=1", "-global", "PIIX4_PM.disable_s4=1", "-boot", "strict=on",
            "-blockdev", json.dumps({"driver": "file", "filename": self.path("disk"), "node-name": "libvirt-2-storage",
                                     "auto-read-only": True, "discard": "unmap"}),
            "-blockdev", json.dumps({"node-name": "libvirt-2-format", "read-only": False, "driver": "raw",
                                     "file": "libvirt-2-storage"}),
            "-device", json.dumps({"driver": "virtio-blk-pci", "bus": "pci.0", "addr": "0x2", "drive": "libvirt-2-format",
                                   "id": "virtio-disk0", "bootindex": 1, "write-cache": "on"}),
            "-device", json.dumps({"driver": "ide-cd", "bus": "ide.1", "unit": 0, "id": "ide0-1-0"}),
            "-add-fd", f"set=0,fd={log},opaque=serial0-source",
            "-chardev", "file,id=charserial0,path=/dev/fdset/0,append=on",
            "-device", json.dumps({"driver": "isa-serial", "chardev": "charserial0", "id": "serial0", "index": 0}),
            "-audiodev", json.dumps({"id": "audio1", "driver": "none"}), "-msg", "timestamp=on", *more]
        errors = open(self.path("errors"), "w+b")
        self.addCleanup(errors.close)
        self.process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors,
                                        pass_fds=[listener.fileno(), log])
        os.close(log)
        self.addCleanup(self.end)
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(30)
        sock.connect(self.path("monitor.sock"))
        listener.close()
        self.qmp = QmpClient(sock)
        try:
            self.qmp.greet()
        except (EOFError, ConnectionResetError):
            self.process.wait(20)
            errors.seek(0)
            self.fail(f"it did not start: {errors.read().decode()}")
        return self.qmp

    def end(self):
        """As a manager ends it: SIGTERM, and gone soon with status 0."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            self.fail("it did not end within 20 s of SIGTERM")
        with open(self.path("errors"), "rb") as errors:
            self.assertEqual(status, 0, errors.read().decode()[-4000:])

    def assert_fails(self, desc, command, error_class="GenericError", **arguments):
        with self.assertRaises(QmpError) as failed:
            self.qmp.execute(command, **arguments)
        self.assertEqual((failed.exception.error_class, failed.exception.desc), (error_class, desc))

    def send_with_fd(self, message, fd):
        socket.send_fds(self.qmp.sock, [json.dumps(message).encode() + b"\r\n"], [fd])
        return self.qmp.read_reply()


class Probe(Manager):
    def probe(self):
        """The capability probe: the process that is started ends when the socket listens and the pid file is there."""
        pidfile, monitor = self.path("qmp.pid"), self.path("qmp.monitor")
        done = subprocess.run(
            [emulator_path(), "-S", "-no-user-config", "-nodefaults", "-nographic", "-machine", "none,accel=kvm:tcg", "-qmp",
             f"unix:{monitor},server=on,wait=off", "-pidfile", pidfile, "-daemonize"], capture_output=True, text=True,
            timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(pidfile, encoding="ascii") as f:
            self.pid = int(f.read())
        self.addCleanup(self.end_daemon)
        return QmpClient.connect(monitor)

    def end_daemon(self):
        os.kill(self.pid, signal.SIGTERM)
        deadline = Deadline(20, "the probed process's end")
        while os.path.exists(f"/proc/{self.pid}"):
            time.sleep(min(0.01, deadline.left()))  # it is not our child

    def test_everything_that_is_asked_is_answered(self):  # S3.9
        qmp = self.probe()
        self.assertGreaterEqual(qmp.execute("query-version")["qemu"]["major"], 7)
        self.assertEqual(qmp.execute("query-target"), {"arch": "x86_64"})
        self.assertTrue(qmp.execute("query-qmp-schema"))
        commands = {c["name"] for c in qmp.execute("query-commands")}
        kvm = qmp.execute("query-kvm")
        self.assertEqual({type(kvm["enabled"]), type(kvm["present"])}, {bool})
        types = {t["name"] for t in qmp.execute("qom-list-types")}
        self.assertLessEqual({"isa-serial", "iothread", "vmport", "max-x86_64-cpu", "rng-random", "pvpanic",
                              "memory-backend-memfd"}, types)
        for name in ("virtio-blk-pci", "scsi-hd", "ide-hd", "PIIX4_PM", "kvm-pit", "ICH9-LPC", "usb-host", "VGA"):
            reply = qmp.call({"execute": "device-list-properties", "arguments": {"typename": name}})
            if "error" in reply:  # no such device
                self.assertEqual(reply["error"]["class"], "DeviceNotFound", name)
                self.assertNotIn(name, types)
        for name in ("memory-backend-file", "memory-backend-memfd", "max-x86_64-cpu", "none-machine"):
            self.assertTrue(qmp.execute("qom-list-properties", typename=name), name)
        machines = {m["name"]: m for m in qmp.execute("query-machines")}
        self.assertEqual(machines["pc-i440fx-7.2"]["alias"], "pc")
        self.assertEqual(machines["pc-i440fx-7.2"]["default-ram-id"], "pc.ram")
        models = {m["name"]: m for m in qmp.execute("query-cpu-definitions")}
        self.assertLessEqual({"host", "max", "qemu64", "kvm64"} - ({"host"} if not kvm["enabled"] else set()), set(models))
        options = {o["option"] for o in qmp.execute("query-command-line-options")}
        self.assertLessEqual({"sandbox", "machine", "vnc"}, options)
        self.assertIn("capability", qmp.execute("query-migrate-capabilities")[0])
        for command in ("query-tpm-models", "query-tpm-types"):
            if command in commands:
                self.assertIsInstance(qmp.execute(command), list)
        if "query-cpu-model-expansion" in commands:
            for kind, props in (("static", {}), ("full", {"migratable": False})):
                reply = qmp.call({"execute": "query-cpu-model-expansion",
                                  "arguments": {"type": kind, "model": {"name": "max", "props": props}}})
                self.assertTrue("error" in reply or reply["return"]["model"]["props"], reply)
        qmp.close()


class Start(Manager):
    def test_launch_line_and_first_look(self):  # S3.10, S3.12, S3.15
        qmp = self.launch(machine=",vmport=off")
        self.assertEqual(qmp.execute("migrate-set-capabilities", capabilities=[{"capability": "events", "state": True}]), {})
        chardevs = {c["label"]: c for c in qmp.execute("query-chardev")}
        self.assertEqual(chardevs["charserial0"]["filename"], "file")
        self.assertTrue(chardevs["charmonitor"]["frontend-open"])
        cpus = qmp.execute("query-cpus-fast")
        self.assertEqual([c["cpu-index"] for c in cpus], [0, 1])
        self.assertTrue(all(c["thread-id"] > 0 and c["target"] == "x86_64" for c in cpus))
        places = qmp.execute("query-hotpluggable-cpus")
        self.assertEqual({p["qom-path"] for p in places}, {c["qom-path"] for c in cpus})
        self.assertEqual(cpus[0]["qom-path"], "/machine/unattached/device[0]")
        for p in qmp.execute("qom-list", path="/machine/unattached/device[0]"):
            if p["type"] == "bool":
                self.assertIsInstance(qmp.execute("qom-get", path="/machine/unattached/device[0]", property=p["name"]), bool)
        self.assertEqual(qmp.execute("query-iothreads"), [])
        for node in qmp.execute("query-named-block-nodes", flat=True):
            self.assertIn("virtual-size", node["image"])
        children = {c["name"]: c["type"] for c in qmp.execute("qom-list", path="/machine/peripheral")}
        self.assertEqual(children, {"type": "string", "virtio-disk0": "child<virtio-blk-pci>", "ide0-1-0": "child<ide-cd>",
                                    "serial0": "child<isa-serial>"})
        drives = {b["qdev"]: b for b in qmp.execute("query-block")}
        self.assertEqual(set(drives), {"/machine/peripheral/virtio-disk0/virtio-backend", "ide0-1-0"})
        self.assertEqual((drives["ide0-1-0"]["tray_open"], drives["ide0-1-0"]["removable"]), (False, True))
        self.assertNotIn("inserted", drives["ide0-1-0"])
        self.assertNotIn("tray_open", drives["/machine/peripheral/virtio-disk0/virtio-backend"])
        self.assertEqual(qmp.execute("cont"), {})
        self.assertEqual(qmp.events.pop(0)["event"], "RESUME")  # before the reply
        self.assertEqual(qmp.execute("query-status")["status"], "running")
        self.assertEqual(qmp.execute("stop"), {})
        self.assertEqual(qmp.events.pop(0)["event"], "STOP")
        self.process.send_signal(signal.SIGTERM)  # ends it under -no-shutdown too
        self.assertEqual(qmp.wait_event("SHUTDOWN")["data"], {"guest": False, "reason": "host-signal"})

    def test_vmport_is_there_unless_told_otherwise(self):
        qmp = self.launch()
        self.assertIn("dev: vmport", qmp.hmp("info qtree"))
        self.assertIn("dev: vmmouse", qmp.hmp("info qtree"))

    def test_manager_that_comes_back(self):  # S3.6
        qmp = self.launch()
        qmp.execute("cont")
        before = [qmp.execute(c) for c in ("query-status", "query-cpus-fast", "query-block", "query-chardev")]
        qmp.sock.close()
        deadline = Deadline(20, "the control socket to take another client")
        while True:
            try:
                self.qmp = qmp = QmpClient.connect(self.path("monitor.sock"))
                break
            except (ConnectionRefusedError, EOFError):
                deadline.left()
        self.assertEqual(before, [qmp.execute(c) for c in ("query-status", "query-cpus-fast", "query-block", "query-chardev")])


class Media(Manager):
    """The CD drive's medium, as a manager changes it: strictly in this order, each answer {}."""

    def insert(self, number, name):
        self.qmp.execute("blockdev-add", {"driver": "file", "filename": self.path(name), "auto-read-only": True,
                                          "node-name": f"libvirt-{number}-storage", "discard": "unmap"})
        self.qmp.execute("blockdev-add", {"node-name": f"libvirt-{number}-format", "read-only": True, "driver": "raw",
                                          "file": f"libvirt-{number}-storage"})
        self.qmp.execute("blockdev-insert-medium", {"id": "ide0-1-0", "node-name": f"libvirt-{number}-format"})

    def change(self, old, new, name):
        """Ejects the nodes numbered `old` if any, inserts `name` with the number `new` if one is given."""
        q = self.qmp
        q.execute("blockdev-open-tray", {"id": "ide0-1-0", "force": False})
        self.moved(True)
        q.execute("blockdev-remove-medium", {"id": "ide0-1-0"})
        if old:
            q.execute("blockdev-del", {"node-name": f"libvirt-{old}-format"})
            q.execute("blockdev-del", {"node-name": f"libvirt-{old}-storage"})
        if new:
            self.insert(new, name)
        q.execute("blockdev-close-tray", {"id": "ide0-1-0"})
        self.moved(False)

    def moved(self, is_open):
        """One event of the tray, and no other."""
        self.qmp.poll()
        moves = [e for e in self.qmp.events if e["event"] == "DEVICE_TRAY_MOVED"]
        self.assertEqual([e["data"] for e in moves], [{"device": "", "id": "ide0-1-0", "tray-open": is_open}])
        self.qmp.events.clear()

    def cd(self):
        return next(b for b in self.qmp.execute("query-block") if b["qdev"] == "ide0-1-0")

    def test_attach_to_an_empty_drive_and_update(self):  # S0.12, S0.19
        for name in ("one.iso", "two.iso"):
            self.file(name, 2 * MIB)
        self.launch()
        numbers = [None]
        for number, name in enumerate(("one.iso", "two.iso", "one.iso"), 4):  # the names of nodes rise
            self.change(numbers[-1], number, name)
            numbers.append(number)
            self.assertEqual(self.cd()["inserted"]["node-name"], f"libvirt-{number}-format")
            nodes = {n["node-name"] for n in self.qmp.execute("query-named-block-nodes")}
            self.assertEqual(nodes, {"libvirt-2-storage", "libvirt-2-format", f"libvirt-{number}-storage",
                                     f"libvirt-{number}-format"})
        self.change(numbers[-1], None, None)
        self.assertNotIn("inserted", self.cd())
        self.assertFalse(self.cd()["tray_open"])

    def test_open_tray_may_always_be_asked(self):  # S0.13: whatever the manager believes
        self.file("one.iso", 2 * MIB)
        self.launch()
        for _ in range(2):
            self.qmp.execute("blockdev-open-tray", {"id": "ide0-1-0"})
        self.moved(True)
        for _ in range(2):
            self.qmp.execute("blockdev-remove-medium", {"id": "ide0-1-0"})
        self.insert(9, "one.iso")
        for _ in range(2):
            self.qmp.execute("blockdev-close-tray", {"id": "ide0-1-0"})
        self.moved(False)
        self.assert_fails("Tray of device 'ide0-1-0' is not open", "blockdev-remove-medium", id="ide0-1-0")

    def test_the_same_drive_however_it_came_about(self):  # S0.22, as far as no migration is needed
        """A medium of the command line and one inserted later look alike, and either can be changed."""
        for name in ("one.iso", "two.iso"):
            self.file(name, 2 * MIB)
        self.launch()
        self.change(None, 1, "one.iso")
        later = json.dumps(self.cd(), sort_keys=True)
        self.end()
        if os.path.exists(self.path("monitor.sock")):
            os.unlink(self.path("monitor.sock"))
        self.launch("-blockdev", json.dumps({"driver": "file", "filename": self.path("one.iso"), "auto-read-only": True,
                                             "node-name": "libvirt-1-storage", "discard": "unmap"}),
                    "-blockdev", json.dumps({"node-name": "libvirt-1-format", "read-only": True, "driver": "raw",
                                             "file": "libvirt-1-storage"}),
                    "-device", json.dumps({"driver": "ide-cd", "bus": "ide.0", "unit": 0, "drive": "libvirt-1-format",
                                           "id": "ide0-0-0"}))
        cold = json.dumps(next(b for b in self.qmp.execute("query-block") if b["qdev"] == "ide0-0-0"), sort_keys=True)
        self.assertEqual(cold.replace("ide0-0-0", "ide0-1-0"), later)
        self.change(None, 5, "two.iso")

    def test_people_see_what_programs_see(self):  # S0.20
        self.file("one.iso", 2 * MIB)
        self.launch()
        self.change(None, 4, "one.iso")
        text = self.qmp.hmp("info block").replace("\r\n", "\n")
        self.assertEqual(text.split("\n\n")[1],
                         f"libvirt-4-format: {self.path('one.iso')} (raw, read-only)\n"
                         "    Attached to:      ide0-1-0\n    Removable device: not locked, tray closed\n"
                         "    Cache mode:       writeback\n")
        self.assertEqual(self.qmp.hmp("cont"), "")
        self.assertEqual(self.qmp.events.pop(0)["event"], "RESUME")
        self.assertTrue(self.qmp.execute("query-status")["running"])


class Attach(Manager):
    def test_what_can_be_added_and_what_not(self):  # S0.23
        qmp = self.launch()
        qmp.execute("object-add", {"qom-type": "rng-random", "id": "rng1", "filename": "/dev/urandom"})
        qmp.execute("object-add", {"qom-type": "iothread", "id": "iothread1"})
        qmp.execute("object-add", {"qom-type": "memory-backend-ram", "id": "mem1", "size": MIB})
        qmp.execute("chardev-add", {"id": "char1", "backend": {"type": "null", "data": {}}})
        for name in ("rng1", "iothread1", "mem1"):
            qmp.execute("object-del", id=name)
        qmp.execute("chardev-remove", id="char1")
        for driver in ("vfio-pci", "usb-redir", "ivshmem-plain", "vhost-vsock-pci"):
            if driver not in {t["name"] for t in qmp.execute("qom-list-types")}:
                self.assert_fails(f"'{driver}' is not a valid device model name", "device_add", driver=driver, id="x")

    def test_a_serial_port_cannot_come_later(self):  # S0.23: ISA has no hot-plug
        self.launch()
        self.qmp.execute("chardev-add", {"id": "char1", "backend": {"type": "null", "data": {}}})
        self.assert_fails("Bus 'isa.0' does not support hotplugging", "device_add", driver="isa-serial", id="serial1",
                          chardev="char1")


class Dump(Manager):
    def read_core(self, data):
        """(notes, segments) of an ELF core file."""
        self.assertEqual(data[:6], b"\x7fELF\x02\x01")
        phoff, = struct.unpack_from("<Q", data, 32)
        size, count = struct.unpack_from("<HH", data, 54)
        headers = [struct.unpack_from("<IIQQQQQQ", data, phoff + i * size) for i in range(count)]
        notes = []
        for kind, _, offset, _, _, bytes_, _, _ in headers:
            end = offset + bytes_
            while kind == 4 and offset < end:
                name, desc, note = struct.unpack_from("<III", data, offset)
                at = offset + 12 + (name + 3) // 4 * 4
                notes.append((data[offset + 12:offset + 11 + name].decode(), note, data[at:at + desc]))
                offset = at + (desc + 3) // 4 * 4
        return notes, [h for h in headers if h[0] == 1]

    def test_into_a_passed_descriptor(self):  # S3.12, DUMP_COMPLETED of S3.13
        qmp = self.launch()
        self.assertIn("elf", qmp.execute("query-dump-guest-memory-capability")["formats"])
        self.assertEqual(qmp.execute("query-dump"), {"status": "none", "completed": 0, "total": 0})
        qmp.execute("human-monitor-command", {"command-line": "cpu 0"})
        fd = os.open(self.path("core"), os.O_RDWR | os.O_CREAT)
        self.addCleanup(os.close, fd)
        self.assertEqual(self.send_with_fd({"execute": "getfd", "arguments": {"fdname": "dump"}}, fd), {"return": {}})
        qmp.execute("dump-guest-memory", {"paging": False, "protocol": "fd:dump", "detach": True})
        result = qmp.wait_event("DUMP_COMPLETED")["data"]["result"]
        self.assertEqual(result["status"], "completed")
        self.assertEqual(result["completed"], result["total"])
        self.assertEqual(qmp.execute("query-dump"), result)
        data = os.pread(fd, 80 * MIB, 0)
        notes, segments = self.read_core(data)
        self.assertEqual([(n[0], n[1], len(n[2])) for n in notes],
                         [("CORE", 1, 144), ("CORE", 1, 144), ("QEMU", 0, 440), ("QEMU", 0, 440)])
        rip, = struct.unpack_from("<Q", notes[2][2], 8 + 16 * 8)
        self.assertEqual(rip, 0xfff0)
        self.assertEqual(sum(s[5] for s in segments), result["total"])
        firmware = next(s for s in segments if s[4] <= 0xffff_fff0 < s[4] + s[5])
        at = firmware[2] + 0xffff_fff0 - firmware[4]
        self.assertEqual(data[at], 0xea)  # the reset vector's far jump
        self.assertGreaterEqual(len(data), max(s[2] + s[5] for s in segments))

    def test_part_of_memory(self):
        qmp = self.launch()
        qmp.execute("dump-guest-memory", {"paging": False, "protocol": "file:" + self.path("core"), "begin": 0x1000,
                                          "length": 0x2000})
        with open(self.path("core"), "rb") as f:
            segments = self.read_core(f.read())[1]
        self.assertEqual([(s[4], s[5]) for s in segments], [(0x1000, 0x2000)])

    def test_a_running_machine_goes_on(self):
        qmp = self.launch()
        qmp.execute("cont")
        qmp.execute("dump-guest-memory", {"paging": True, "protocol": "file:" + self.path("core")})
        self.assertTrue(qmp.execute("query-status")["running"])
        self.assertEqual([e["event"] for e in qmp.events], ["RESUME", "STOP", "DUMP_COMPLETED", "RESUME"])

    def test_a_reader_that_does_not_read_holds_nobody_up(self):
        qmp = self.launch()
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        self.send_with_fd({"execute": "getfd", "arguments": {"fdname": "dump"}}, writer)
        os.close(writer)
        qmp.execute("dump-guest-memory", {"paging": False, "protocol": "fd:dump", "detach": True})
        self.assertEqual(qmp.execute("query-dump")["status"], "active")
        self.assert_fails("There is a dump in process, please wait.", "dump-guest-memory", paging=False, protocol="file:/x")
        self.assert_fails("There is a dump in process, please wait.", "cont")
        if PEER:  # it would wait for the reader when told to end
            self.process.kill()
            self.process.wait()
            self.process.returncode = 0

    def test_errors(self):
        self.launch()
        for desc, arguments in (
                ("File descriptor named 'xx' has not been found", {"protocol": "fd:xx"}),
                ("Invalid parameter 'protocol'", {"protocol": "xx"}),
                ("Could not open '/nonexistent/x': No such file or directory", {"protocol": "file:/nonexistent/x"}),
                ("Parameter 'length' is missing", {"protocol": "file:/x", "begin": 1}),
                ("Parameter 'begin' is missing", {"protocol": "file:/x", "length": 1}),
                ("Invalid parameter 'length'", {"protocol": "file:/x", "begin": 1, "length": 0}),
                ("Invalid parameter 'begin'", {"protocol": "file:/x", "begin": -1, "length": 4}),
                ("kdump-compressed format doesn't support paging or filter",
                 {"protocol": "file:/x", "paging": True, "format": "kdump-zlib"})):
            self.assert_fails(desc, "dump-guest-memory", **{"paging": False, **arguments})


class Measures(Manager):
    def test_dirty_rate(self):  # S3.12
        qmp = self.launch()
        self.assertEqual(qmp.execute("query-dirty-rate"), {"status": "unstarted", "sample-pages": 0, "mode": "page-sampling",
                                                           "start-time": 0, "calc-time": 0})
        self.assert_fails("calc-time is out of range[1, 60].", "calc-dirty-rate", calc_time=0)
        self.assert_fails("sample-pages is out of range[128, 16384].", "calc-dirty-rate", calc_time=1, sample_pages=5)
        qmp.execute("calc-dirty-rate", calc_time=1)
        if not PEER:  # it looks at memory of 128 MiB and more only, and is done at once
            self.assert_fails("the dirty rate is already being measured.", "calc-dirty-rate", calc_time=1)
        deadline = Deadline(30, "the measurement's end")
        while (info := qmp.execute("query-dirty-rate"))["status"] == "measuring":
            self.assertEqual(info["sample-pages"], 512)
            time.sleep(min(0.05, deadline.left()))  # no event tells
        self.assertEqual((info["status"], info["dirty-rate"]), ("measured", 0))

    def test_counters_of_an_accelerator_that_has_none(self):
        qmp = self.launch()
        for target in ("vm", "vcpu"):
            self.assertEqual(qmp.execute("query-stats", target=target), [])
        self.assertEqual(qmp.execute("query-stats-schemas"), [])
        self.assertEqual(qmp.hmp("info stats vm"), "")


if __name__ == "__main__":
    runner.main()
