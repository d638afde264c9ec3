"""Character devices over QMP and HMP: made, changed, removed at run time; handed-over descriptors; the object tree."""
import array
import os
import socket
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from machine import MachineTest  # noqa: E402
from pyutil import runner  # noqa: E402
from pyutil.deadline import Deadline  # noqa: E402
from pyutil.emulator import emulator_path  # noqa: E402

BASE = ["-machine", "none", "-accel", "qtest", "-nodefaults", "-display", "none"]


class RunTime(MachineTest):
    ARGS = ["-chardev", "ringbuf,id=r,size=8", "-chardev", "null,id=n", "-device", "isa-serial,chardev=n"]

    def add(self, name, kind, **data):
        return self.qmp.execute("chardev-add", {"id": name, "backend": {"type": kind, "data": data}})

    def test_add_and_remove(self):
        self.assertEqual(self.add("x", "null"), {})
        self.assert_error("Chardev with id 'x' already exists", "chardev-add", id="x",
                          backend={"type": "null", "data": {}})
        self.assertRegex(self.add("p", "pty")["pty"], "^/dev/pts/")
        self.assert_error("Chardev 'n' is busy", "chardev-remove", id="n")
        self.qmp.execute("chardev-remove", {"id": "x"})
        self.assert_error("Chardev 'x' not found", "chardev-remove", id="x")
        self.assertIn({"name": "p", "type": "child<chardev-pty>"},
                      self.qmp.execute("qom-list", {"path": "/chardevs"}))

    def test_socket_serves_by_default_and_waits_for_nobody(self):
        with tempfile.TemporaryDirectory() as where:
            path = os.path.join(where, "s")
            self.add("s", "socket", addr={"type": "unix", "data": {"path": path}})
            self.assert_error(f"Failed to add chardev 't': 'wait' option is incompatible with socket in client connect "
                              "mode", "chardev-add", id="t", backend={"type": "socket", "data": {
                                  "server": False, "wait": True, "addr": {"type": "unix", "data": {"path": path}}}})
            self.assertFalse(self.qmp.execute("qom-get", {"path": "/chardevs/s", "property": "connected"}))
            self.add("c", "socket", server=False, addr={"type": "unix", "data": {"path": path}})
            limit = Deadline(10, "the server to see its client")
            while not self.qmp.execute("qom-get", {"path": "/chardevs/s", "property": "connected"}):
                limit.left()

    def test_serial_port_moves_to_a_new_device(self):
        self.qmp.execute("chardev-change", {"id": "n", "backend": {"type": "ringbuf", "data": {}}})
        for byte in b"hi":
            self.q.outb(0x3f8, byte)
        self.assertEqual(self.qmp.execute("ringbuf-read", {"device": "n", "size": 9}), "hi")
        self.qmp.execute("chardev-send-break", {"id": "n"})
        self.assertEqual(self.q.inb(0x3fd) & 0x11, 0x11)  # break, and a character that is zero

    def test_ring_buffer_formats(self):
        self.qmp.execute("ringbuf-write", {"device": "r", "data": "aGVsbG8gd29ybGQ=", "format": "base64"})
        self.assertEqual(self.qmp.execute("ringbuf-read", {"device": "r", "size": 3}), "lo ")
        self.assertEqual(self.qmp.execute("ringbuf-read", {"device": "r", "size": 9, "format": "base64"}), "d29ybGQ=")
        self.assert_error("size must be greater than zero", "ringbuf-read", device="r", size=0)
        self.assert_error("n is not a ringbuf device", "ringbuf-read", device="n", size=1)
        self.assert_error("Device 'z' not found", "ringbuf-write", device="z", data="")

    def test_human_monitor(self):
        def hmp(line):
            return self.qmp.execute("human-monitor-command", {"command-line": line})
        self.assertEqual(hmp("chardev-add null,id=q"), "")
        self.assertEqual(hmp("chardev-change q ringbuf"), "")
        self.assertEqual(hmp("ringbuf_write q a\\b"), "")
        self.assertEqual(hmp("ringbuf_read q 9"), "a\\\\b\r\n")
        self.assertEqual(hmp("chardev-send-break q"), "")
        self.assertEqual(hmp("chardev-remove q"), "")
        self.assertEqual(hmp("chardev-remove q"), "Error: Chardev 'q' not found\r\n")
        self.assertEqual(hmp("chardev-add foo,id=q"), "Error: 'foo' is not a valid char driver name\r\n")

    def test_absent_protocols(self):
        self.assert_error("File descriptor named 'nofd' has not been found", "add_client", protocol="r", fdname="nofd")


class HandedOver(unittest.TestCase):
    def test_serial_to_a_descriptor_set(self):
        with tempfile.NamedTemporaryFile() as out:
            fd = os.open(out.name, os.O_WRONLY | os.O_APPEND)
            os.set_inheritable(fd, True)
            done = subprocess.run(
                [emulator_path(), *BASE, "-add-fd", f"set=3,fd={fd},opaque=x", "-chardev",
                 "file,id=f,path=/dev/fdset/3,append=on", "-mon", "chardev=f", "-monitor", "stdio"],
                input="quit\n", capture_output=True, text=True, pass_fds=[fd], timeout=30, check=False)
            os.close(fd)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("monitor - type 'help'", open(out.name, encoding="utf-8").read())

    def test_bad_add_fd(self):
        for text, message in (("set=1", "fd option is required and must be non-negative"),
                              ("fd=1,set=1", "fd cannot be a standard I/O stream"),
                              ("fd=77,set=1", "fd is not valid or already in use"),
                              ("fd=x,set=1", "Parameter 'fd' expects a number")):
            done = subprocess.run([emulator_path(), "-add-fd", text], capture_output=True, text=True, timeout=30, check=False)
            self.assertEqual((done.returncode, done.stderr.split(": ", 1)[1]), (1, f"-add-fd {text}: {message}\n"))

    def test_getfd_and_add_client(self):
        """S3.13: a connection accepted elsewhere becomes a chardev's, or its client."""
        ours, theirs = socket.socketpair()
        with tempfile.TemporaryDirectory() as where, ours, theirs:
            path = os.path.join(where, "qmp")
            done = subprocess.Popen([emulator_path(), *BASE, "-qmp", f"unix:{path},server=on,wait=on", "-chardev",
                                     f"socket,id=s,server=on,wait=off,path={where}/s"], stderr=subprocess.DEVNULL)
            self.addCleanup(lambda: (done.kill(), done.wait()))
            client = socket.socket(socket.AF_UNIX)
            limit = Deadline(20, "the monitor")
            while client.connect_ex(path) != 0:
                limit.left()
            stream = client.makefile("r")
            stream.readline()

            def send(text, fds=()):
                rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
                client.sendmsg([text.encode()], rights)
                return stream.readline()
            send('{"execute":"qmp_capabilities"}')
            send('{"execute":"getfd","arguments":{"fdname":"peer"}}', [theirs.fileno()])
            self.assertEqual(send('{"execute":"add_client","arguments":{"protocol":"s","fdname":"peer"}}'), '{"return": {}}\n')
            send('{"execute":"getfd","arguments":{"fdname":"peer"}}', [theirs.fileno()])
            self.assertIn("add_client failed", send('{"execute":"add_client","arguments":{"protocol":"s","fdname":"peer"}}'))
            send('{"execute":"getfd","arguments":{"fdname":"peer"}}', [theirs.fileno()])
            self.assertIn("protocol 'spice' is invalid",
                          send('{"execute":"add_client","arguments":{"protocol":"spice","fdname":"peer"}}'))
            send('{"execute":"getfd","arguments":{"fdname":"peer"}}', [theirs.fileno()])
            self.assertEqual(send('{"execute":"chardev-add","arguments":{"id":"t","backend":{"type":"socket","data":{'
                                  '"server":false,"addr":{"type":"fd","data":{"str":"peer"}}}}}}'), '{"return": {}}\n')


if __name__ == "__main__":
    runner.main()
