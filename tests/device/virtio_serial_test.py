"""virtio-serial-pci over qtest: control messages, data both ways, ports that come and go, a driver that means ill."""
import os
import socket
import struct
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from machine import ACCEL, BASE, MachineTest  # noqa: E402
from virtio import VirtioDriver, wait_until  # noqa: E402
from pyutil import runner  # noqa: E402
from pyutil.emulator import Emulator, emulator_path  # noqa: E402

READY, ADD, REMOVE, PORT_READY, CONSOLE, OPEN, NAME = 0, 1, 2, 3, 4, 6, 7
CTRL_IN, CTRL_OUT = 2, 3
P1_IN, P1_OUT = 4, 5


class Serial(MachineTest):
    DEVICES = ["-device", "virtconsole,bus=vs.0,chardev=c0,id=con", "-device",
               "virtserialport,bus=vs.0,chardev=c1,id=port,name=org.example.0,nr=1"]

    def launch(self, args):
        chardevs = []
        self.ends, theirs = [], []
        for i in range(2):
            end, other = socket.socketpair()
            end.settimeout(20)
            self.addCleanup(end.close)
            self.ends.append(end)
            theirs.append(other)
            chardevs += ["-chardev", f"socket,id=c{i},fd={other.fileno()}"]
        vm = Emulator(BASE + ACCEL + chardevs + ["-device", "virtio-serial-pci,id=vs,addr=4"] + self.DEVICES,
                      qtest=True, pass_fds=[t.fileno() for t in theirs])
        self.addCleanup(vm.kill)
        vm.start()
        for t in theirs:
            t.close()
        self.addCleanup(self.finish, vm)
        return vm

    def setUp(self):
        super().setUp()
        self.driver = VirtioDriver(self.q)
        self.driver.start(6, 1 << 1)
        self.messages = []
        for _ in range(8):
            buffer = self.driver.put(bytes(64))
            self.messages.append(buffer)
            self.driver.offer(CTRL_IN, [(buffer, 64, True)])

    def message(self):
        """The next control message: (port, event, value, text)."""
        written = self.driver.wait_used(CTRL_IN)[1]
        data = bytes(self.q.read(self.messages.pop(0), written))
        return struct.unpack("<IHH", data[:8]) + (data[8:],)

    def tell(self, port, event, value):
        buffer = self.driver.put(struct.pack("<IHH", port, event, value))
        self.driver.offer(CTRL_OUT, [(buffer, 8, False)])
        self.driver.wait_used(CTRL_OUT)

    def send(self, queue, data):
        self.driver.offer(queue, [(self.driver.put(data), len(data), False)])
        self.driver.wait_used(queue)

    def receive(self, queue, size=64):
        buffer = self.driver.put(bytes(size))
        self.driver.offer(queue, [(buffer, size, True)])
        return bytes(self.q.read(buffer, self.driver.wait_used(queue)[1]))

    def test_identity(self):
        self.assertEqual(self.q.pci_readl(4 << 3, 0), 0x10031af4)
        self.assertEqual(self.q.pci_readw(4 << 3, 0x0a), 0x0780)
        self.assertEqual(self.driver.config_long(4), 31)

    def test_ports_are_told(self):
        self.tell(0xffffffff, READY, 1)
        self.assertEqual([self.message()[:3] for _ in range(2)], [(0, ADD, 1), (1, ADD, 1)])
        self.tell(0, PORT_READY, 1)
        self.assertEqual(self.message()[:3], (0, CONSOLE, 1))
        self.assertEqual(self.message()[:3], (0, OPEN, 1))
        self.tell(1, PORT_READY, 1)
        self.assertEqual(self.message(), (1, NAME, 1, b"org.example.0\0"))
        self.assertEqual(self.message()[:3], (1, OPEN, 1))

    def test_port_opens_and_carries(self):
        self.ends[1].sendall(b"early")
        self.qmp.execute("query-status")
        self.tell(1, OPEN, 1)
        self.assertEqual(self.qmp.wait_event("VSERPORT_CHANGE")["data"], {"id": "port", "open": True})
        self.assertEqual(self.receive(P1_IN), b"early")
        self.send(P1_OUT, b"answer")
        self.assertEqual(self.ends[1].recv(64), b"answer")
        self.tell(1, OPEN, 0)
        self.assertEqual(self.qmp.wait_event("VSERPORT_CHANGE")["data"], {"id": "port", "open": False})
        self.send(P1_OUT, b"lost")

    def test_console(self):
        self.send(1, b"hello\n")
        self.assertEqual(self.ends[0].recv(64), b"hello\n")
        self.ends[0].sendall(b"hi")
        self.assertEqual(self.receive(0), b"hi")
        for byte in b"E":
            self.driver.set_config(8, byte)
        self.assertEqual(self.ends[0].recv(64), b"E")

    def test_host_end_closes(self):
        self.tell(1, OPEN, 1)
        self.driver.offer(P1_IN, [(self.driver.put(bytes(8)), 8, True)])
        self.ends[1].close()
        self.assertEqual(self.message()[:3], (1, OPEN, 0))

    def test_port_comes_and_goes(self):
        self.qmp.execute("chardev-add", {"id": "c2", "backend": {"type": "null", "data": {}}})
        self.qmp.execute("device_add", {"driver": "virtserialport", "bus": "vs.0", "chardev": "c2", "id": "p2"})
        self.assertEqual(self.message()[:3], (2, ADD, 1))

    def test_bad_messages(self):
        for port, event, value in ((99, PORT_READY, 1), (1, 77, 1), (0xffffffff, OPEN, 1), (1, PORT_READY, 0)):
            self.tell(port, event, value)
        self.driver.offer(CTRL_OUT, [(self.driver.put(b"abc"), 3, False)])
        self.driver.wait_used(CTRL_OUT)
        self.assertIsNone(self.driver.used(CTRL_IN))

    def test_bad_rings_break_the_device_alone(self):
        for queue in (CTRL_OUT, 1, P1_OUT):
            self.driver.offer(queue, [(0xffffffff0000, 8, False)])
            wait_until(self, lambda: self.driver.status() & 0x40)
            self.driver.start(6, 1 << 1)
        self.send(1, b"works")
        self.assertEqual(self.ends[0].recv(64), b"works")


class Refusals(MachineTest):
    def test_texts(self):
        bus = ["-device", "virtio-serial-pci"]
        for devices, text in (
                (bus + ["-device", "virtserialport,nr=40"],
                 "virtio-serial-bus: Out-of-range port id specified, max. allowed: 30"),
                (bus + ["-device", "virtserialport,nr=0"],
                 "Port number 0 on virtio-serial devices reserved for virtconsole devices for backward compatibility."),
                (bus + ["-device", "virtconsole,nr=1", "-device", "virtserialport,nr=1"],
                 "virtio-serial-bus: A port already exists at id 1"),
                (bus + ["-device", "virtserialport,name=a", "-device", "virtserialport,name=a"],
                 "virtio-serial-bus: A port already exists by name a"),
                (["-device", "virtio-serial-pci,max_ports=600"], "maximum ports supported: 511"),
                (["-device", "virtio-serial-pci,max_ports=0"], "Maximum number of serial ports not specified")):
            done = subprocess.run([emulator_path(), *BASE, *ACCEL, *devices], capture_output=True, text=True,
                                  timeout=30, check=False)
            self.assertEqual(done.returncode, 1, devices)
            self.assertIn(text, done.stderr)


if __name__ == "__main__":
    runner.main()
