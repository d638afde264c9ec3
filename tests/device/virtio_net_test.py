"""virtio-net-pci over qtest: frames both ways over a socket, the filter, the link, back ends that come and go, a driver
and a peer that mean ill; DHCP from the user back end."""
import os
import socket
import struct
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from machine import BASE, ACCEL, MachineTest, not_the_peer  # noqa: E402
from virtio import VirtioDriver, wait_until  # noqa: E402
from pyutil import runner  # noqa: E402
from pyutil.emulator import Emulator, emulator_path  # noqa: E402

RX, TX, CTRL = 0, 1, 2
F_MRG_RXBUF, F_STATUS, F_CTRL_VQ, F_CTRL_RX, F_CTRL_VLAN, F_CTRL_MAC = 15, 16, 17, 18, 19, 23
OWN = bytes.fromhex("525400123456")
OTHER = bytes.fromhex("525400aaaaaa")
BROADCAST = b"\xff" * 6


def frame(to=OWN, payload=b"payload", kind=b"\x88\xb5"):
    return (to + OTHER + kind + payload).ljust(60, b"\0")


class Socket(MachineTest):
    """A card whose cable ends in `self.peer`."""
    DEVICE = "virtio-net-pci,id=net0,netdev=hs0,addr=4"
    FEATURES = 0

    def launch(self, args):
        ours, theirs = socket.socketpair()
        self.peer = ours
        self.peer.settimeout(20)
        self.addCleanup(ours.close)
        vm = Emulator(BASE + ACCEL + ["-netdev", f"socket,fd={theirs.fileno()},id=hs0", "-device", self.DEVICE],
                      qtest=True, pass_fds=[theirs.fileno()])
        self.addCleanup(vm.kill)
        vm.start()
        theirs.close()
        self.addCleanup(self.finish, vm)
        return vm

    def setUp(self):
        super().setUp()
        self.driver = VirtioDriver(self.q)
        self.driver.start(3, self.FEATURES)

    @property
    def header(self):
        return 12 if self.FEATURES & 1 << F_MRG_RXBUF else 10

    def room(self, size=2048):
        buffer = self.driver.put(b"\xee" * size)
        self.driver.offer(RX, [(buffer, size, True)])
        return buffer

    def from_outside(self, data):
        self.peer.sendall(struct.pack(">I", len(data)) + data)

    def to_outside(self, data):
        buffer = self.driver.put(bytes(self.header) + data)
        self.driver.offer(TX, [(buffer, self.header + len(data), False)])
        self.driver.wait_used(TX)

    def outside(self):
        def exactly(count):
            got = b""
            while len(got) < count:
                part = self.peer.recv(count - len(got))
                assert part, "the socket was closed"
                got += part
            return got
        return exactly(struct.unpack(">I", exactly(4))[0])

    def received(self, buffer):
        written = self.driver.wait_used(RX)[1]
        return bytes(self.q.read(buffer, written))[self.header:]

    def passes(self, data):
        """Whether a frame comes through; one that always does follows it."""
        buffer = self.room()
        self.from_outside(data)
        self.from_outside(frame(OWN, b"the end"))
        got = self.received(buffer)
        if got == frame(OWN, b"the end"):
            return False
        self.assertEqual(got, data)
        self.assertEqual(self.received(self.room()), frame(OWN, b"the end"))
        return True


class Frames(Socket):
    def test_identity(self):
        self.assertEqual(self.q.pci_readl(4 << 3, 0), 0x10001af4)
        self.assertEqual(self.q.pci_readw(4 << 3, 0x0a), 0x0200)
        self.assertEqual(bytes(self.driver.config(i) for i in range(6)), OWN)
        self.assertEqual(self.driver.config_long(6, 2), 1)

    def test_both_ways(self):
        self.to_outside(frame(OTHER, b"out"))
        self.assertEqual(self.outside(), frame(OTHER, b"out"))
        buffer = self.room()
        self.from_outside(frame(OWN, b"in"))
        self.assertEqual(self.received(buffer), frame(OWN, b"in"))

    def test_frames_wait_for_buffers(self):
        for i in range(3):
            self.from_outside(frame(OWN, bytes([i])))
        self.qmp.execute("query-status")
        for i in range(3):
            self.assertEqual(self.received(self.room()), frame(OWN, bytes([i])))

    def test_frames_wait_while_the_machine_stands(self):
        buffer = self.room()
        self.qmp.execute("stop")
        self.from_outside(frame(OWN, b"later"))
        self.qmp.execute("query-status")
        self.assertIsNone(self.driver.used(RX))
        self.qmp.execute("cont")
        self.assertEqual(self.received(buffer), frame(OWN, b"later"))

    def test_frame_too_large_for_its_buffer_is_lost(self):
        buffer = self.room(100)
        self.from_outside(frame(OWN, b"x" * 500))
        self.from_outside(frame(OWN, b"fits"))
        self.assertEqual(self.received(buffer), frame(OWN, b"fits"))

    def test_much_from_the_guest_is_lost(self):
        buffer = self.driver.put(bytes(65536))
        self.driver.offer(TX, [(buffer, 65536, False), (buffer, 65536, False)])
        self.driver.wait_used(TX)
        self.to_outside(frame(OTHER, b"after"))
        self.assertEqual(self.outside(), frame(OTHER, b"after"))

    def test_link(self):
        self.assertEqual(self.driver.isr(), 0)
        self.driver.start(3, 1 << F_STATUS)
        for name in ("net0", "hs0"):
            self.qmp.execute("set_link", {"name": name, "up": False})
            self.assertEqual(self.driver.isr(), 3)
            self.assertEqual(self.driver.config_long(6, 2), 0)
            self.to_outside(frame(OTHER, b"lost"))
            self.qmp.execute("set_link", {"name": name, "up": True})
            self.assertEqual(self.driver.isr() & 2, 2)
            self.assertEqual(self.driver.config_long(6, 2), 1)
        self.to_outside(frame(OTHER, b"goes"))
        self.assertEqual(self.outside(), frame(OTHER, b"goes"))
        self.assert_error("Device 'zz' not found", "set_link", error_class="DeviceNotFound", name="zz", up=True)

    def test_back_end_goes_first(self):
        self.qmp.execute("netdev_del", {"id": "hs0"})
        self.assertEqual(self.peer.recv(1), b"")
        self.to_outside(frame(OTHER))
        self.assert_error("Device 'hs0' not found", "netdev_del", error_class="DeviceNotFound", id="hs0")

    def test_peer_that_lies_is_disconnected(self):
        self.peer.sendall(struct.pack(">I", 1 << 30) + b"xxxx")
        self.qmp.execute("query-status")
        self.to_outside(frame(OTHER))
        self.assertEqual(self.driver.status() & 0x40, 0)

    def test_peer_that_leaves(self):
        self.peer.close()
        self.qmp.execute("query-status")
        self.to_outside(frame(OTHER))
        self.assertEqual(self.driver.status() & 0x40, 0)

    def test_bad_rings_break_the_device_alone(self):
        for queue, pieces in ((TX, [(0xffffffff0000, 64, False)]), (TX, [(0x200000, 4, False)]),
                              (TX, [(0x200000, 64, False), (0x200000, 64, True)]), (CTRL, [(0x200000, 1, False)]),
                              (CTRL, [(0x200000, 8, True)]), (RX, [(0x200000, 4, True)])):
            self.driver.offer(queue, pieces)
            if queue == RX:
                self.from_outside(frame())
                self.qmp.execute("query-status")
            wait_until(self, lambda: self.driver.status() & 0x40)
            self.driver.start(3)
        self.to_outside(frame(OTHER, b"works"))
        self.assertEqual(self.outside(), frame(OTHER, b"works"))


class Mergeable(Socket):
    FEATURES = 1 << F_MRG_RXBUF

    def test_frame_over_several_buffers(self):
        buffers = [self.room(64) for _ in range(4)]
        data = frame(OWN, bytes(range(150)))
        self.from_outside(data)
        got, pieces = b"", 0
        while len(got) < 12 + len(data):
            written = self.driver.wait_used(RX)[1]
            got += bytes(self.q.read(buffers[pieces], written))
            pieces += 1
        self.assertEqual(got[12:], data)
        self.assertEqual(struct.unpack("<H", got[10:12])[0], pieces)

    def test_frame_waits_for_all_its_buffers(self):
        first = self.room(64)
        data = frame(OWN, bytes(100))
        self.from_outside(data)
        self.qmp.execute("query-status")
        self.assertIsNone(self.driver.used(RX))
        second = self.room(256)
        got = bytes(self.q.read(first, self.driver.wait_used(RX)[1]))
        got += bytes(self.q.read(second, self.driver.wait_used(RX)[1]))
        self.assertEqual(got[12:], data)


class Filter(Socket):
    FEATURES = 1 << F_CTRL_VQ | 1 << F_CTRL_RX | 1 << F_CTRL_VLAN | 1 << F_CTRL_MAC

    def command(self, kind, what, data):
        request = self.driver.put(bytes([kind, what]) + data)
        ack = self.driver.put(b"\xff")
        self.driver.offer(CTRL, [(request, 2 + len(data), False), (ack, 1, True)])
        self.driver.wait_used(CTRL)
        return self.q.read(ack, 1)[0]

    def test_modes_and_addresses(self):
        multicast = bytes.fromhex("01005e000001")
        self.assertTrue(self.passes(frame(OTHER)))
        self.assertEqual(self.command(0, 0, b"\0"), 0)  # not promiscuous
        event = self.qmp.wait_event("NIC_RX_FILTER_CHANGED")["data"]
        self.assertEqual(event, {"name": "net0", "path": "/machine/peripheral/net0/virtio-backend"})
        self.assertFalse(self.passes(frame(OTHER)))
        self.assertTrue(self.passes(frame(BROADCAST)))
        self.assertFalse(self.passes(frame(multicast)))
        self.assertEqual(self.command(1, 0, struct.pack("<I", 1) + OTHER + struct.pack("<I", 1) + multicast), 0)
        self.assertTrue(self.passes(frame(OTHER)))
        self.assertTrue(self.passes(frame(multicast)))
        info = self.qmp.execute("query-rx-filter", {"name": "net0"})[0]
        self.assertEqual((info["unicast-table"], info["multicast-table"]), (["52:54:00:aa:aa:aa"], ["01:00:5e:00:00:01"]))
        self.assertEqual((info["promiscuous"], info["main-mac"]), (False, "52:54:00:12:34:56"))

    def test_vlans(self):
        self.command(0, 0, b"\0")
        tagged = frame(OWN, b"\0\x07data", b"\x81\0")
        self.assertFalse(self.passes(tagged))
        self.assertEqual(self.command(2, 0, struct.pack("<H", 7)), 0)
        self.assertTrue(self.passes(tagged))
        self.assertEqual(self.qmp.execute("query-rx-filter")[0]["vlan-table"], [7])
        self.assertEqual(self.command(2, 1, struct.pack("<H", 7)), 0)
        self.assertFalse(self.passes(tagged))

    def test_bad_commands(self):
        for kind, what, data in ((0, 9, b"\1"), (0, 0, b""), (1, 1, b"12345"), (1, 0, struct.pack("<I", 0xffffffff)),
                                 (1, 0, struct.pack("<I", 2) + OTHER), (2, 0, struct.pack("<H", 4096)), (3, 0, b""),
                                 (4, 0, struct.pack("<H", 2)), (9, 9, b"")):
            self.assertEqual(self.command(kind, what, data), 1, (kind, what, data))
        many = struct.pack("<I", 100) + OTHER * 100 + struct.pack("<I", 0)
        self.assertEqual(self.command(1, 0, many), 0)
        info = self.qmp.execute("query-rx-filter")[0]
        self.assertEqual((info["unicast-overflow"], info["unicast-table"]), (True, []))


class User(MachineTest):
    ARGS = ["-netdev", "user,id=u0,net=192.168.7.0/24,dhcpstart=192.168.7.30", "-device",
            "virtio-net-pci,id=net0,netdev=u0,addr=4"]

    def test_dhcp(self):
        driver = VirtioDriver(self.q)
        driver.start(3)
        buffer = driver.put(bytes(2048))
        driver.offer(RX, [(buffer, 2048, True)])
        bootp = struct.pack("!BBBBIHH16s16s192xI", 1, 1, 6, 0, 0x1234, 0, 0, bytes(16), OWN, 0x63825363) + b"\x35\1\1\xff"
        udp = struct.pack("!HHHH", 68, 67, 8 + len(bootp), 0) + bootp
        ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, bytes(4), b"\xff" * 4)
        total = sum(struct.unpack("!10H", ip))
        total = (total & 0xffff) + (total >> 16)
        ip = ip[:10] + struct.pack("!H", ~(total + (total >> 16)) & 0xffff) + ip[12:]
        data = BROADCAST + OWN + b"\x08\0" + ip + udp
        out = driver.put(bytes(10) + data)
        driver.offer(TX, [(out, 10 + len(data), False)])
        got = bytes(self.q.read(buffer, driver.wait_used(RX)[1]))[10:]
        self.assertEqual(got[12:14], b"\x08\0")
        self.assertEqual(got[14 + 20 + 8 + 16:][:4], bytes([192, 168, 7, 30]))  # yiaddr


class BackEnds(MachineTest):
    ARGS = ["-netdev", "user,id=n0", "-device", "virtio-net-pci,netdev=n0,id=d0"]

    def test_errors(self):
        add = lambda text, **arguments: self.assert_error(text, "netdev_add", **arguments)  # noqa: E731
        add("Duplicate ID 'n0'", type="user", id="n0")
        add("Parameter 'id' expects an identifier", type="user", id="9n")
        add("exactly one of listen=, connect=, mcast= or udp= is required", type="socket", id="n3")
        add("n3: Can't use file descriptor 1000: Bad file descriptor", type="socket", id="n3", fd="1000")
        self.assert_error("net client(n0) isn't a NIC", "query-rx-filter", name="n0")
        self.assert_error("invalid net client name: zz", "query-rx-filter", name="zz")
        self.qmp.execute("netdev_add", {"type": "user", "id": "n1", "hostname": "h"})
        self.qmp.execute("netdev_del", {"id": "n1"})

    @not_the_peer("it runs scripts")
    def test_tap_runs_no_scripts(self):
        self.assert_error("scripts are not run for tap devices: give script=no and downscript=no", "netdev_add",
                          type="tap", id="t0", ifname="x0")

    def test_options(self):
        card = ["-device", "virtio-net-pci,netdev=n0"]
        for options, text in ((["-netdev", "user,id=x,zz=1"], "'zz'"),
                              (["-netdev", "user,id=n0,hostfwd=tcp::x-:1"], "Invalid host forwarding rule"),
                              (card, "Property 'virtio-net-device.netdev' can't find value 'n0'"),
                              (["-netdev", "user,id=n0"] + 2 * card,
                               "Property 'virtio-net-device.netdev' can't take value 'n0', it's in use"),
                              (["-netdev", "zz,id=x"], "Parameter 'type' does not accept value 'zz'"),
                              (["-nic", "user,model=zz"], "Unsupported NIC model: zz"),
                              (["-device", "virtio-net-pci,rx_queue_size=100"],
                               "Invalid rx_queue_size (= 100), must be a power of 2 between 256 and 1024.")):
            done = subprocess.run([emulator_path(), *BASE, "-accel", "qtest", *options], capture_output=True, text=True,
                                  timeout=30, check=False)
            self.assertEqual(done.returncode, 1, options)
            self.assertIn(text, done.stderr)


class Hub(MachineTest):
    ARGS = ["-netdev", "hubport,hubid=0,id=h0", "-netdev", "hubport,hubid=0,id=h1", "-netdev", "hubport,hubid=1,id=h2",
            "-device", "virtio-net-pci,netdev=h0,addr=4", "-device", "virtio-net-pci,netdev=h1,addr=5"]

    def test_ports_hear_each_other(self):
        one, two = VirtioDriver(self.q), VirtioDriver(self.q, slot=5, io=0xd000, memory=0x800000)
        one.start(3)
        two.start(3)
        buffer = two.put(bytes(2048))
        two.offer(RX, [(buffer, 2048, True)])
        data = bytes(10) + frame(b"\x52\x54\0\x12\x34\x57")
        one.offer(TX, [(one.put(data), len(data), False)])
        self.assertEqual(bytes(self.q.read(buffer, two.wait_used(RX)[1])), data)


class ShortForms(MachineTest):
    ARGS = ["-nic", "user,model=virtio-net-pci,mac=52:54:00:00:00:01", "-net", "none", "-nic", "none"]

    def test_card_and_back_end(self):
        filters = self.qmp.execute("query-rx-filter")
        self.assertEqual([f["main-mac"] for f in filters], ["52:54:00:00:00:01"])


if __name__ == "__main__":
    runner.main()
