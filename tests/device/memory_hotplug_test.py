"""pc-dimm: slots, addresses and errors; the ACPI register block; what comes and goes; what the guest says of it."""
import os
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from machine import MachineTest  # noqa: E402
from pyutil import runner  # noqa: E402

BASE, GPE, GPE_BIT = 0xA00, 0xAFE0, 8
ENABLED, INSERTING, REMOVING, EJECT = 1, 2, 4, 8
MIB, WINDOW = 1 << 20, 0x1_0000_0000


class MemoryHotplug(MachineTest):
    ARGS = ["-m", "64,slots=3,maxmem=1G"]

    def setUp(self):
        super().setUp()
        for name, size in (("m1", 128 * MIB), ("m2", 128 * MIB), ("m3", 128 * MIB), ("m4", 128 * MIB),
                           ("odd", 128 * MIB + 4096), ("huge", 2048 * MIB)):
            self.qmp.execute("object-add", {"qom-type": "memory-backend-ram", "id": name, "size": size})

    def add(self, name, memdev, **more):
        self.qmp.execute("device_add", {"driver": "pc-dimm", "id": name, "memdev": memdev, **more})

    def refused(self, text, **more):
        self.assert_error(text, "device_add", driver="pc-dimm", id="bad", **more)

    def flags(self, slot):
        self.q.outl(BASE, slot)
        return self.q.inb(BASE + 0x14)

    def registers(self, slot):
        self.q.outl(BASE, slot)
        low, high, size_low, size_high, node = (self.q.inl(BASE + 4 * i) for i in range(5))
        return low | high << 32, size_low | size_high << 32, node, self.q.inb(BASE + 0x14)

    def test_who_gets_which_place(self):
        self.refused("'memdev' property must be set")
        self.assert_error("Device 'nix' not found", "device_add", "DeviceNotFound", driver="pc-dimm", id="bad", memdev="nix")
        self.refused("invalid slot number 7, valid range is [0-2]", memdev="m1", slot=7)
        self.refused("invalid slot number -2, valid range is [0-2]", memdev="m1", slot=-2)
        self.refused("'DIMM property node has value 3' which exceeds the number of numa nodes: 1", memdev="m1", node=3)
        self.refused("not enough space, currently 0x0 in use of total space for memory devices 0x3c000000", memdev="huge")
        self.refused("backend memory size must be multiple of 0x200000", memdev="odd")
        self.add("d1", "m1")
        self.refused("can't use already busy memdev: m1", memdev="m1")
        self.refused("slot 0 is busy", memdev="m2", slot=0)
        self.refused("address range conflicts with memory device id='d1'", memdev="m2", addr=WINDOW)
        self.refused("address must be aligned to 0x200000 bytes", memdev="m2", addr=WINDOW + 4096)
        self.add("d2", "m2", addr=0x1_4000_0000)
        self.add("d3", "m3")
        self.refused("no free slots available", memdev="m4")
        numa = self.qmp.execute("human-monitor-command", {"command-line": "info numa"}).replace("\r", "")
        self.assertIn("node 0 size: 448 MB\nnode 0 plugged: 384 MB\n", numa)
        found = self.qmp.execute("query-memory-devices")
        self.assertEqual([(d["data"]["id"], d["data"]["addr"], d["data"]["slot"]) for d in found],
                         [("d1", WINDOW, 0), ("d3", WINDOW + 128 * MIB, 2), ("d2", 0x1_4000_0000, 1)])
        self.assertEqual(found[0], {"type": "dimm", "data": {
            "memdev": "/objects/m1", "hotplugged": True, "addr": WINDOW, "hotpluggable": True, "size": 128 * MIB,
            "slot": 0, "node": 0, "id": "d1"}})
        self.assertEqual(self.qmp.execute("query-memory-size-summary"),
                         {"base-memory": 64 * MIB, "plugged-memory": 384 * MIB})
        text = self.qmp.execute("human-monitor-command", {"command-line": "info memory-devices"}).replace("\r", "")
        self.assertTrue(text.startswith('Memory device [dimm]: "d1"\n  addr: 0x100000000\n  slot: 0\n  node: 0\n'
                                        "  size: 134217728\n  memdev: /objects/m1\n  hotplugged: true\n"
                                        "  hotpluggable: true\n"), text)
        self.assert_error("object 'm1' is in use, can not be deleted", "object-del", id="m1")

    def test_the_memory_is_there(self):
        self.q.write(WINDOW, b"nobody")
        self.assertNotEqual(self.q.read(WINDOW, 6), b"nobody")
        self.add("d1", "m1")
        self.q.write(WINDOW + 128 * MIB - 4, b"last")
        self.assertEqual(self.q.read(WINDOW + 128 * MIB - 4, 4), b"last")

    def test_a_module_comes_and_goes(self):
        self.q.outw(GPE + 2, GPE_BIT)
        self.assertEqual([self.flags(n) for n in range(4)], [0, 0, 0, 0])
        self.add("d1", "m1", slot=1)
        self.assertEqual(self.q.inw(GPE) & GPE_BIT, GPE_BIT)
        self.assertEqual(self.registers(1), (WINDOW, 128 * MIB, 0, ENABLED | INSERTING))
        self.q.outb(BASE + 0x14, INSERTING)
        self.assertEqual(self.flags(1), ENABLED)
        self.q.outw(GPE, GPE_BIT)
        self.qmp.execute("device_del", {"id": "d1"})
        self.assertEqual(self.q.inw(GPE) & GPE_BIT, GPE_BIT)
        self.assertEqual(self.flags(1), ENABLED | REMOVING)
        self.q.outb(BASE + 0x14, REMOVING)
        self.assertEqual(self.flags(1), ENABLED)
        self.q.outb(BASE + 0x14, EJECT)
        self.assertEqual(self.qmp.wait_event("DEVICE_DELETED")["data"]["device"], "d1")
        self.assertEqual(self.registers(1), (0, 0, 0, 0))
        self.assertEqual(self.qmp.execute("query-memory-devices"), [])
        self.add("d1", "m1")
        self.qmp.execute("object-del", {"id": "m2"})

    def test_the_guest_refuses(self):
        self.add("d1", "m1")
        self.qmp.execute("device_del", {"id": "d1"})
        self.q.outl(BASE, 0)
        self.q.outl(BASE + 4, 3)
        self.q.outl(BASE + 8, 1)
        info = self.qmp.wait_event("ACPI_DEVICE_OST")["data"]["info"]
        self.assertEqual(info, {"device": "d1", "slot": "0", "slot-type": "DIMM", "source": 3, "status": 1})
        self.assertEqual(self.qmp.wait_event("DEVICE_UNPLUG_GUEST_ERROR")["data"]["device"], "d1")
        self.assertEqual(self.qmp.execute("query-acpi-ospm-status")[0], info)

    def test_registers_of_nothing(self):
        for slot in (3, 255, 0xffffffff):
            self.q.outl(BASE, slot)
            self.assertEqual([self.q.inl(BASE + 4 * i) for i in range(5)], [0] * 5)
            self.q.outb(BASE + 0x14, EJECT)
        self.q.outl(BASE, 0)
        self.q.outb(BASE + 0x14, EJECT)  # of an empty slot


class Cold(MachineTest):
    ARGS = ["-m", "64,slots=2,maxmem=1G", "-object", "memory-backend-ram,id=m1,size=128M", "-device", "pc-dimm,id=d1,memdev=m1"]

    def test_present_from_the_start(self):
        self.q.outl(BASE, 0)
        self.assertEqual(self.q.inb(BASE + 0x14), ENABLED)
        self.assertFalse(self.qmp.execute("query-memory-devices")[0]["data"]["hotplugged"])

    def test_the_firmware_knows_where_it_ends(self):
        end = WINDOW + (1024 - 64) * MIB + (2 << 30)
        self.q.outw(0x510, 0x19)
        count = struct.unpack(">I", bytes(self.q.inb(0x511) for _ in range(4)))[0]
        files = {}
        for _ in range(count):
            size, select, _, name = struct.unpack(">IHH56s", bytes(self.q.inb(0x511) for _ in range(64)))
            files[name.rstrip(b"\0").decode()] = select, size
        select, size = files["etc/reserved-memory-end"]
        self.q.outw(0x510, select)
        value = struct.unpack("<Q", bytes(self.q.inb(0x511) for _ in range(size)))[0]
        self.assertEqual(value, (end + (1 << 30) - 1) >> 30 << 30)


class Without(MachineTest):
    def test_no_slots(self):
        self.qmp.execute("object-add", {"qom-type": "memory-backend-ram", "id": "m1", "size": 128 * MIB})
        self.assert_error("no slots where allocated, please specify the 'slots' option", "device_add", driver="pc-dimm",
                          id="d", memdev="m1")


if __name__ == "__main__":
    runner.main()
