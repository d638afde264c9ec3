"""ACPI CPU hotplug: the register block, device_add and device_del of processors, what the guest says of them."""
from machine import MachineTest, not_the_peer
from pyutil import runner

BASE, GPE = 0xAF00, 0xAFE0
ENABLED, INSERTING, REMOVING, EJECT = 1, 2, 4, 8
NEXT, OST_EVENT, OST_STATUS, ARCH_ID = range(4)


class CpuHotplug(MachineTest):
    ARGS = ["-smp", "1,maxcpus=4"]

    def add(self, core, name):
        self.qmp.execute("device_add", {"driver": "qemu64-x86_64-cpu", "id": name, "socket-id": 0, "core-id": core,
                                        "thread-id": 0})

    def modern(self):
        self.q.outl(BASE, 0)

    def flags(self, slot):
        self.q.outl(BASE, slot)
        return self.q.inb(BASE + 4)

    def present(self):
        return sorted(cpu["cpu-index"] for cpu in self.qmp.execute("query-cpus-fast"))

    def next_event(self):
        self.q.outl(BASE, 0)
        self.q.outb(BASE + 5, NEXT)
        return self.q.inl(BASE + 8)

    def test_legacy_bitmap(self):
        self.assertEqual([self.q.inb(BASE + i) for i in (0, 1, 31, 32)], [1, 0, 0, 0xFF])
        self.add(2, "c2")
        self.assertEqual(self.q.inb(BASE), 5)
        self.assertEqual(self.q.inw(GPE) & 4, 4)
        self.assert_error("acpi: device unplug request for not supported device type: qemu64-x86_64-cpu", "device_del", id="c2")
        self.assert_error("Boot CPU is unpluggable", "device_del", id="/machine/unattached/device[0]")
        self.assertEqual(self.qmp.execute("query-acpi-ospm-status"), [])
        for port, value in ((1, 0), (4, 0), (0, 1)):  # none of these switches
            self.q.outb(BASE + port, value)
            self.assertEqual((self.q.inb(BASE), self.q.inb(BASE + 12)), (5, 0))
        self.modern()
        self.assertEqual((self.q.inb(BASE), self.q.inb(BASE + 12)), (0, 0xFF))
        self.assertEqual([self.flags(n) for n in range(6)], [ENABLED, 0, ENABLED, 0, 0, 0])

    def test_plug_tells_the_guest(self):
        self.modern()
        self.q.outw(GPE + 2, 4)
        self.add(3, "c3")
        self.assertEqual(self.q.inw(GPE) & 4, 4)
        self.assertEqual(self.next_event(), 3)
        self.assertEqual(self.q.inb(BASE + 4), ENABLED | INSERTING)
        self.q.outb(BASE + 4, INSERTING)
        self.assertEqual(self.q.inb(BASE + 4), ENABLED)
        self.assertEqual(self.next_event(), 0)
        self.assert_error("CPU[3] with APIC ID 3 exists", "device_add", driver="qemu64-x86_64-cpu", id="again",
                   **{"socket-id": 0, "core-id": 3, "thread-id": 0})
        self.q.outl(BASE, 3)
        self.q.outb(BASE + 5, ARCH_ID)
        self.assertEqual((self.q.inl(BASE + 8), self.q.inl(BASE)), (3, 0))
        self.q.outb(BASE + 5, 77)  # no command: the one before stays
        self.assertEqual(self.q.inl(BASE + 8), 3)

    def test_unplug_waits_for_the_guest(self):
        self.modern()
        self.add(2, "c2")
        self.q.outl(BASE, 2)
        self.q.outb(BASE + 4, INSERTING)
        self.q.outw(GPE, 4)
        for _ in range(2):  # asked again, it is signalled again
            self.qmp.execute("device_del", {"id": "c2"})
            self.assertEqual(self.q.inw(GPE) & 4, 4)
            self.assertEqual(self.next_event(), 2)
            self.assertEqual(self.q.inb(BASE + 4), ENABLED | REMOVING)
            self.q.outb(BASE + 4, REMOVING)
            self.q.outw(GPE, 4)
        self.assertEqual(self.present(), [0, 2])
        self.q.outb(BASE + 4, EJECT)
        event = self.qmp.wait_event("DEVICE_DELETED", match=lambda e: e["data"].get("device") == "c2")
        self.assertEqual(event["data"], {"device": "c2", "path": "/machine/peripheral/c2"})
        self.assertEqual((self.present(), self.flags(2)), ([0], 0))
        self.add(2, "c2")  # the place and the id are free
        self.assertEqual(self.flags(2), ENABLED | INSERTING)

    def test_ejects_that_mean_nothing(self):
        self.modern()
        for slot in (0, 1, 200):
            self.q.outl(BASE, slot)
            self.q.outb(BASE + 4, EJECT)
        self.assertEqual(self.present(), [0])
        self.add(1, "c1")
        self.q.outl(BASE, 1)
        self.q.outb(BASE + 4, INSERTING)
        self.q.outb(BASE + 4, EJECT)
        self.q.outb(BASE + 4, EJECT)
        self.qmp.wait_event("DEVICE_DELETED", match=lambda e: e["data"].get("device") == "c1")
        self.assertEqual(self.present(), [0])

    def test_guest_reports(self):
        self.modern()
        self.add(1, "c1")
        self.q.outl(BASE, 1)
        for command, value in ((OST_EVENT, 0x103), (OST_STATUS, 0x80)):
            self.q.outb(BASE + 5, command)
            self.q.outl(BASE + 8, value)
        told = {"device": "c1", "slot": "1", "slot-type": "CPU", "source": 0x103, "status": 0x80}
        self.assertEqual(self.qmp.wait_event("ACPI_DEVICE_OST")["data"], {"info": told})
        reports = self.qmp.execute("query-acpi-ospm-status")
        self.assertEqual(len(reports), 4)
        self.assertEqual(reports[1], told)
        self.assertEqual(reports[2], {"slot": "2", "slot-type": "CPU", "source": 0, "status": 0})

    @not_the_peer("it leaves the answer to who reads ACPI_DEVICE_OST")
    def test_the_guest_refuses(self):
        """S1.16."""
        self.modern()
        self.add(1, "c1")
        self.qmp.execute("device_del", {"id": "c1"})
        self.q.outl(BASE, 1)
        for command, value in ((OST_EVENT, 3), (OST_STATUS, 0x84), (OST_STATUS, 1)):
            self.q.outb(BASE + 5, command)
            self.q.outl(BASE + 8, value)
        self.assertEqual([self.qmp.wait_event("ACPI_DEVICE_OST")["data"]["info"]["status"] for _ in range(2)], [0x84, 1])
        self.assertEqual(self.qmp.wait_event("DEVICE_UNPLUG_GUEST_ERROR")["data"],
                         {"device": "c1", "path": "/machine/peripheral/c1"})
        self.assertEqual(self.present(), [0, 1])

    def test_firmware_is_told_how_many_start(self):
        self.modern()
        self.add(1, "c1")
        self.q.outb(0x70, 0x5F)
        self.assertEqual(self.q.inb(0x71), 1)
        self.q.outw(0x510, 5)
        self.assertEqual(self.q.inb(0x511), 2)


class WithoutAcpi(MachineTest):
    ARGS = ["-smp", "1,maxcpus=2", "-machine", "acpi=off"]

    def test_plug_only(self):
        self.qmp.execute("device_add", {"driver": "qemu64-x86_64-cpu", "id": "c", "socket-id": 0, "core-id": 1,
                                        "thread-id": 0})
        self.assert_error("CPU hot unplug not supported without ACPI", "device_del", id="c")
        self.assertEqual(self.q.inb(BASE), 0xFF)


if __name__ == "__main__":
    runner.main()
