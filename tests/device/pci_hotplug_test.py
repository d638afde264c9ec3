"""PCI hotplug over ACPI: the register block, device_add and device_del as a conversation with the guest, what is behind a
device that goes. S1.6 to S1.14 and S1.16; S1.13's migration and S1.15 wait for migration."""
import os

from machine import MachineTest, not_the_peer
from pyutil import runner
from pyutil.qmp import QmpClient

BASE, GPE = 0xAE00, 0xAFE0
UP, DOWN, EJECT, REMOVABLE, SELECT, INDEX = (BASE + 4 * n for n in range(6))
PCI_GPE = 2


def disk(name):
    return ["-blockdev", f"null-co,node-name={name},size=1048576,read-zeroes=on"]


class Hotplug(MachineTest):
    ARGS = disk("n0") + disk("n1") + disk("n2") + ["-device", "virtio-blk-pci,id=cold,drive=n0,addr=7"]

    def add(self, name, drive="n1", slot=5, **more):
        self.qmp.execute("device_add", {"driver": "virtio-blk-pci", "id": name, "drive": drive, "addr": f"{slot}", **more})

    def delete(self, name):
        self.qmp.execute("device_del", {"id": name})

    def present(self, slot, bus=0):
        return self.q.pci_readl(slot << 3, 0, bus=bus) != 0xFFFFFFFF

    def devices(self):
        return {p["name"] for p in self.qmp.execute("qom-list", {"path": "/machine/peripheral"}) if p["name"] != "type"}

    def drive_of(self, name):
        path = f"/machine/peripheral/{name}/virtio-backend"
        found = [b for b in self.qmp.execute("query-block") if b.get("qdev") == path]
        return found[0] if found else None

    def deleted(self, name):
        """Waits for the device's DEVICE_DELETED; returns the data of all such events up to it."""
        seen = []
        while not seen or seen[-1].get("device") != name:
            seen.append(self.qmp.wait_event("DEVICE_DELETED")["data"])
        return seen

    def hmp(self, text):
        return self.qmp.execute("human-monitor-command", {"command-line": text})


class Registers(Hotplug):
    def test_at_rest(self):
        """S1.9."""
        self.assertEqual([self.q.inl(BASE + 4 * n) for n in range(7)],
                         [0, 0, 0, 0xFFFFFFFC, 0, 0, 0xFFFFFFFF])

    def test_only_double_words_count(self):
        """S1.9: other sizes are ignored."""
        self.add("d")
        self.assertEqual((self.q.inb(UP), self.q.inw(UP)), (0, 0))
        self.q.outb(EJECT, 1 << 5)
        self.q.outw(EJECT, 1 << 5)
        self.q.outb(SELECT, 3)
        self.assertEqual((self.q.inl(UP), self.q.inl(SELECT)), (1 << 5, 0))
        self.assertTrue(self.present(5))

    def test_arrival_is_told_and_read_once(self):
        """S1.9: GPE.1 and "up"."""
        self.assertEqual(self.q.inw(GPE) & PCI_GPE, 0)
        self.add("d", slot=5)
        self.add("e", "n2", slot=9)
        self.assertEqual(self.q.inw(GPE) & PCI_GPE, PCI_GPE)
        self.assertEqual((self.q.inl(UP), self.q.inl(UP)), (1 << 5 | 1 << 9, 0))
        self.assertEqual(self.q.pci_readl(5 << 3, 0), 0x10011AF4)

    def test_selector(self):
        self.add("d")
        for bus, seen in ((1, [0, 0, 0, 0xFFFFFFFF, 1, 0]), (255, [0, 0, 0, 0xFFFFFFFF, 255, 0]), (256, [0] * 6),
                          (0xFFFFFFFF, [0] * 6)):
            self.q.outl(SELECT, bus)
            self.q.outl(EJECT, 0xFFFFFFFF)
            self.assertEqual([self.q.inl(BASE + 4 * n) for n in range(6)], seen, bus)
        self.q.outl(SELECT, 0)
        self.assertEqual(self.q.inl(UP), 1 << 5)

    def test_acpi_index(self):
        self.add("d", **{"acpi-index": 9})
        for written, read in ((1 << 5, 9), (0, 0), (1 << 6, 0), (3 << 5, 9), (1 << 31, 0)):
            self.q.outl(INDEX, written)
            self.assertEqual((self.q.inl(INDEX), self.q.inl(INDEX)), (read, 0), hex(written))
        self.q.outl(INDEX, 1 << 5)
        self.q.outl(INDEX, 1 << 8)
        self.assertEqual(self.q.inl(INDEX), 0)
        self.assert_error("a PCI device with acpi-index = 9 already exist", "device_add", driver="virtio-blk-pci",
                          drive="n2", acpi_index=9)
        self.assert_error("acpi-index should be less or equal to 16383", "device_add", driver="virtio-blk-pci", drive="n2",
                          acpi_index=16384)


class Refusals(Hotplug):
    def test_texts(self):
        self.assert_error("Device 'nosuch' not found", "device_del", "DeviceNotFound", id="nosuch")
        self.assert_error("/machine/unattached is not a hotpluggable device", "device_del", id="/machine/unattached")
        self.assert_error("PCI: slot 7 function 0 not available for virtio-blk-pci, in use by virtio-blk-pci,id=cold",
                          "device_add", driver="virtio-blk-pci", drive="n1", addr="7")
        self.assert_error("PCI: slot 7 function 0 already occupied by virtio-blk-pci, new func virtio-blk-pci cannot be "
                          "exposed to guest.", "device_add", driver="virtio-blk-pci", drive="n1", addr="7.1")
        self.assert_error("Duplicate device ID 'cold'", "device_add", driver="virtio-blk-pci", drive="n1", id="cold")
        self.assertEqual(self.devices(), {"cold"})

    def test_a_failed_addition_leaves_nothing(self):
        self.assertIn("error", self.qmp.call({"execute": "device_add", "arguments": {
            "driver": "virtio-blk-pci", "id": "d", "drive": "nosuch"}}))
        self.assertEqual(self.q.inl(UP), 0)
        self.add("d")


class Conversation(Hotplug):
    def test_eject_removes_the_device(self):
        """S1.10: 32 written to port 0xae08; S1.11, S1.12: what goes and in which order it is told."""
        self.add("d", slot=5)
        self.q.inl(UP)
        self.q.outw(GPE, PCI_GPE)
        self.delete("d")
        self.assertEqual((self.q.inw(GPE) & PCI_GPE, self.q.inl(DOWN)), (PCI_GPE, 1 << 5))
        self.assertEqual(self.devices(), {"cold", "d"})
        self.q.outl(44552, 32)
        self.assertEqual(self.q.inl(DOWN), 0)
        self.assertFalse(self.present(5))
        self.assertEqual(self.deleted("d"), [{"path": "/machine/peripheral/d/virtio-backend"},
                                             {"device": "d", "path": "/machine/peripheral/d"}])
        self.assertEqual(self.devices(), {"cold"})
        self.qmp.execute("blockdev-del", {"node-name": "n1"})

    def test_the_id_and_the_disk_are_free_when_the_event_comes(self):
        """S1.12."""
        for _ in range(20):
            self.add("d")
            self.delete("d")
            self.q.outl(EJECT, 1 << 5)
            self.deleted("d")
        self.add("d")

    def test_lowest_bit_wins(self):
        """S1.10; no bit: nothing."""
        self.add("d", "n1", 5)
        self.add("e", "n2", 6)
        self.q.outl(EJECT, 0)
        self.q.outl(EJECT, 3 << 5)
        self.deleted("d")
        self.assertEqual(self.devices(), {"cold", "e"})
        self.assertEqual(self.q.inl(UP), 1 << 6)

    def test_an_eject_nobody_asked_for(self):
        self.q.outl(EJECT, 1 << 7)
        self.deleted("cold")
        self.q.outl(EJECT, 1 << 7)
        self.q.outl(EJECT, 1 << 0)
        self.q.outl(EJECT, 1 << 1)
        self.assertTrue(self.present(0) and self.present(1))

    @not_the_peer("a second request within a millisecond fails")
    def test_asked_again_it_is_told_again(self):
        """S1.14."""
        self.add("d")
        for _ in range(3):
            self.delete("d")
            self.assertEqual((self.q.inw(GPE) & PCI_GPE, self.q.inl(DOWN)), (PCI_GPE, 1 << 5))
            self.q.outw(GPE, PCI_GPE)
        self.q.outl(EJECT, 1 << 5)
        self.deleted("d")

    def test_reset_completes_what_is_pending(self):
        """S1.13; what came and was not read stays to be read."""
        self.add("d", "n1", 5)
        self.delete("cold")
        self.reset()
        self.deleted("cold")
        self.assertEqual((self.q.inl(UP), self.q.inl(DOWN)), (1 << 5, 0))
        self.assertEqual(self.devices(), {"d"})

    def test_blockdev_del_while_the_guest_is_asked(self):
        """S1.8."""
        self.add("d")
        self.delete("d")
        self.assert_error("Node n1 is in use", "blockdev-del", node_name="n1")
        self.assert_error("Failed to find node with node-name='nosuch'", "blockdev-del", node_name="nosuch")
        self.q.outl(EJECT, 1 << 5)
        self.deleted("d")
        self.qmp.execute("blockdev-del", {"node-name": "n1"})

    @not_the_peer("it does not say")
    def test_pending_removals_show(self):
        """S1.6: query-block, info block, query-pci and info pci agree."""
        def shown():
            pci = [d for d in self.qmp.execute("query-pci")[0]["devices"] if d["slot"] == 5]
            return self.drive_of("d").get("unplug"), pci[0].get("unplug")
        self.add("d")
        self.assertEqual(shown(), (None, None))
        self.delete("d")
        self.assertEqual(shown(), ("requested", "requested"))
        self.assertIn("    Unplug:           requested\n", self.hmp("info block").replace("\r", ""))
        self.assertIn('      id "d"\n      unplug: requested\n', self.hmp("info pci").replace("\r", ""))
        self.q.inl(DOWN)
        self.assertEqual(shown(), ("acknowledged", "acknowledged"))
        self.delete("d")
        self.assertEqual(shown(), ("requested", "requested"))

    def test_two_hundred_cycles_leave_nothing(self):
        """QOM children, descriptors, node names are as before."""
        image = os.path.join(self.vm.dir, "disk")
        with open(image, "wb") as file:
            file.truncate(1 << 20)

        def state():
            fds = len(os.listdir(f"/proc/{self.vm.process.pid}/fd"))
            return fds, sorted(n["node-name"] for n in self.qmp.execute("query-named-block-nodes")), self.devices()
        before = None
        for i in range(200):
            self.qmp.execute("blockdev-add", {"driver": "raw", "node-name": "f",
                                              "file": {"driver": "file", "filename": image, "node-name": "p"}})
            self.add("d", "f")
            self.delete("d")
            self.q.outl(EJECT, 1 << 5)
            self.deleted("d")
            self.qmp.execute("blockdev-del", {"node-name": "f"})
            if i == 10:
                before = state()
        self.assertEqual(state(), before)


class Drives(Hotplug):
    ARGS = ["-drive", "if=none,id=drive0,driver=null-co,size=1048576", "-device", "virtio-blk-pci,id=d,drive=drive0,addr=5"]

    def names(self):
        return {b["device"] for b in self.qmp.execute("query-block")}

    def test_the_drive_goes_with_its_device(self):
        self.delete("d")
        self.assertEqual(self.names(), {"drive0"})
        self.q.outl(EJECT, 1 << 5)
        self.deleted("d")
        self.assertEqual(self.names(), set())
        self.assertIn("Device 'drive0' not found", self.hmp("drive_del drive0"))

    @not_the_peer("its drive goes at once, under a device that works")
    def test_drive_del_waits_for_the_guest(self):
        """S1.7: neither side is ever without the other."""
        self.delete("d")
        for _ in range(2):
            self.assertEqual(self.hmp("drive_del drive0"), "")
        drive = self.qmp.execute("query-block")[0]
        self.assertEqual((drive["device"], drive["unplug"], "inserted" in drive), ("drive0", "requested", True))
        self.q.outl(EJECT, 1 << 5)
        self.deleted("d")
        self.assertEqual(self.names(), set())

    def test_drive_del_without_a_request(self):
        """S1.7: as ever: the device stays, without its disk."""
        self.assertEqual(self.hmp("drive_del drive0"), "")
        self.assertEqual(self.names(), {""})
        self.assertTrue(self.present(5))
        self.assertEqual(self.hmp("drive_add 0 if=none,id=drive1,driver=null-co").strip(), "OK")
        self.q.outl(EJECT, 1 << 5)
        self.deleted("d")
        self.assertEqual(self.names(), {"drive1"})


class RootOff(Hotplug):
    ARGS = Hotplug.ARGS + ["-global", "PIIX4_PM.acpi-root-pci-hotplug=off", "-device",
                           "pci-bridge,id=br,chassis_nr=1,addr=3"]

    def test_slots_behind_bridges_only(self):
        refusal = "Bus 'pci.0' does not support hotplugging"
        self.assert_error(refusal, "device_add", driver="virtio-blk-pci", drive="n1", bus="pci.0")
        self.assert_error(refusal, "device_del", id="cold")
        self.add("d", bus="br")
        self.assertEqual((self.q.inl(UP), self.q.inl(REMOVABLE)), (1 << 5, 0xFFFFFFFF))
        self.delete("d")
        self.q.outl(EJECT, 1 << 5)
        self.deleted("d")


class BridgesOff(Hotplug):
    ARGS = Hotplug.ARGS + ["-global", "PIIX4_PM.acpi-pci-hotplug-with-bridge-support=off"]

    def test_one_bus(self):
        self.add("d")
        self.q.outl(SELECT, 5)
        self.assertEqual([self.q.inl(BASE + 4 * n) for n in (0, 0, 4)], [1 << 5, 1 << 5, 0])
        self.delete("d")
        self.q.outl(EJECT, 1 << 5)
        self.deleted("d")
        self.assertEqual(self.q.inl(UP), 0)


class AllOff(Hotplug):
    ARGS = Hotplug.ARGS + ["-global", "PIIX4_PM.acpi-pci-hotplug-with-bridge-support=off", "-global",
                           "PIIX4_PM.acpi-root-pci-hotplug=off"]

    def test_no_registers(self):
        self.assertEqual([self.q.inl(BASE + 4 * n) for n in range(6)], [0xFFFFFFFF] * 6)
        self.assert_error("Bus 'pci.0' does not support hotplugging", "device_del", id="cold")


class Bridges(Hotplug):
    ARGS = disk("n0") + disk("n1") + disk("n2") + ["-device", "pci-bridge,id=br,chassis_nr=1,addr=5",
                                                   "-device", "pci-bridge,id=inner,bus=br,chassis_nr=2,addr=9",
                                                   "-device", "pci-bridge,id=last,chassis_nr=3,addr=6"]
    LAST, OUTER, INNER = 1, 2, 3  # newest first, each before those behind it

    def number(self, name):
        return self.qmp.execute("qom-get", {"path": f"/machine/peripheral/{name}/{name}", "property": "acpi-pcihp-bsel"})

    def test_numbers(self):
        self.assertEqual([self.number(n) for n in ("last", "br", "inner")], [self.LAST, self.OUTER, self.INNER])

    def test_slots_behind_a_bridge(self):
        self.add("d", "n1", 3, bus="inner")
        self.assertEqual(self.q.inl(UP), 0)
        self.q.outl(SELECT, self.INNER)
        self.assertEqual((self.q.inl(UP), self.q.inl(UP)), (8, 0))
        self.delete("d")
        self.assertEqual(self.q.inl(DOWN), 8)
        self.q.outl(EJECT, 8)
        self.deleted("d")

    def test_cold_bridges_stay(self):
        """S1.12: the guest's tables name what is behind them."""
        self.assertEqual(self.q.inl(REMOVABLE) & (1 << 5 | 1 << 6), 0)
        self.delete("br")
        self.assertEqual(self.q.inl(DOWN), 1 << 5)
        self.q.outl(EJECT, 1 << 5)
        self.assertEqual(self.q.inl(DOWN), 0)
        self.assertTrue(self.present(5))

    def test_a_bridge_that_came_goes(self):
        self.qmp.execute("device_add", {"driver": "pci-bridge", "id": "b2", "chassis_nr": 7, "addr": "8"})
        self.assertEqual(self.q.inl(REMOVABLE) >> 8 & 1, 1)
        self.delete("b2")
        self.q.outl(EJECT, 1 << 8)
        self.assertEqual(self.deleted("b2"), [{"device": "b2", "path": "/machine/peripheral/b2"}])

    @not_the_peer("it has SHPC")
    def test_no_hotplug_behind_one_that_came(self):
        self.qmp.execute("device_add", {"driver": "pci-bridge", "id": "b2", "chassis_nr": 7})
        self.assert_error("Bus 'b2' does not support hotplugging", "device_add", driver="virtio-blk-pci", drive="n1", bus="b2")

    def test_registers_and_windows(self):
        """PCI-to-PCI Bridge Architecture 1.2, chapters 3 and 4."""
        devfn = 5 << 3
        self.assertEqual(self.q.pci_readl(devfn, 8), 0x06040000)
        self.assertEqual(self.q.pci_readb(devfn, 0x0E), 1)
        self.add("d", "n1", 3, bus="br")
        self.assertFalse(self.present(3, 1))
        self.q.pci_writel(devfn, 0x18, 0x00020100)
        self.assertEqual(self.q.pci_readl(3 << 3, 0, bus=1), 0x10011AF4)
        self.q.pci_writel(9 << 3, 0x18, 0x00020201, bus=1)
        self.assertFalse(self.present(3, 2))
        self.q.pci_writel(3 << 3, 0x10, 0x1100, bus=1)
        self.q.pci_writew(3 << 3, 4, 7, bus=1)
        self.assertEqual(self.q.inl(0x1100), 0xFFFFFFFF)
        self.q.pci_writew(devfn, 0x1C, 0x2010)
        self.assertEqual(self.q.inl(0x1100), 0xFFFFFFFF)
        self.q.pci_writew(devfn, 4, 7)
        features = self.q.inl(0x1100)
        self.assertNotIn(features, (0, 0xFFFFFFFF))
        self.q.pci_writew(devfn, 0x1C, 0x2030)  # limit below base: closed
        self.assertEqual(self.q.inl(0x1100), 0xFFFFFFFF)
        self.q.pci_writew(devfn, 0x1C, 0x2010)
        self.assertEqual(self.q.inl(0x1100), features)
        self.q.pci_writew(devfn, 0x3E, 0x40)  # reset of the bus behind it
        self.q.pci_writew(devfn, 0x3E, 0)
        self.assertEqual(self.q.inl(0x1100), 0xFFFFFFFF)
        self.reset()
        self.assertFalse(self.present(3, 1))

    def test_query_pci_shows_what_is_behind(self):
        self.q.pci_writel(5 << 3, 0x18, 0x00020100)
        bridge = [d for d in self.qmp.execute("query-pci")[0]["devices"] if d["qdev_id"] == "br"][0]
        self.assertEqual(bridge["pci_bridge"]["bus"]["secondary"], 1)
        self.assertEqual([d["qdev_id"] for d in bridge["pci_bridge"]["devices"]], ["inner"])
        self.assertEqual(bridge["class_info"], {"class": 0x604, "desc": "PCI bridge"})
        self.assertIn("  Bus  1, device   9, function 0:", self.hmp("info pci").replace("\r", ""))

    def test_bad_properties(self):
        self.assert_error("Bridge chassis not specified. Each bridge is required to be assigned a unique chassis id > 0.",
                          "device_add", driver="pci-bridge", id="x")


@not_the_peer("it has neither command nor event")
class Coupled(Hotplug):
    """F3: device and back end go together."""
    ARGS = disk("n0") + disk("n1") + ["-blockdev", "null-co,node-name=p,size=1048576", "-blockdev",
                                      "raw,node-name=f,file=p", "-device", "virtio-blk-pci,id=d,drive=f,addr=5"]

    def setUp(self):
        super().setUp()
        self.qmp.close()
        self.qmp = self.vm.qmp = QmpClient.connect(self.vm.path("qmp"), None, 20, False)
        self.qmp.execute("qmp_capabilities", {"enable": ["unplug"]})

    def state(self):
        return self.qmp.wait_event("DEVICE_UNPLUG")["data"]

    def nodes(self):
        return {n["node-name"] for n in self.qmp.execute("query-named-block-nodes")}

    def test_both_go_in_order(self):
        self.qmp.execute("device-unplug", {"id": "d", "remove-backend": True})
        where = {"device": "d", "path": "/machine/peripheral/d"}
        self.assertEqual(self.state(), {**where, "state": "requested"})
        self.q.inl(DOWN)
        self.assertEqual(self.state(), {**where, "state": "acknowledged"})
        self.assertEqual(self.nodes(), {"n0", "n1", "p", "f"})
        self.q.outl(EJECT, 1 << 5)
        self.assertEqual(self.state(), {**where, "state": "ejected"})
        self.assertEqual(self.state(), {**where, "state": "completed", "nodes": ["f", "p"]})
        self.deleted("d")  # came before
        self.assertEqual(self.nodes(), {"n0", "n1"})

    def test_time_out_leaves_both(self):
        self.qmp.execute("device-unplug", {"id": "d", "remove-backend": True, "timeout": 1})
        self.assertEqual(self.state()["state"], "requested")
        self.assertEqual(self.state()["state"], "timed-out")
        self.assertEqual(self.q.inl(DOWN), 0)
        self.assertEqual(self.drive_of("d")["unplug"], "timed-out")
        self.assertEqual(self.nodes(), {"n0", "n1", "p", "f"})
        self.q.outl(EJECT, 1 << 5)  # a guest that was late
        self.deleted("d")
        self.assertEqual(self.nodes(), {"n0", "n1", "p", "f"})

    def test_what_another_uses_stays(self):
        self.qmp.execute("blockdev-add", {"driver": "raw", "node-name": "other", "file": "p"})
        self.qmp.execute("device-unplug", {"id": "d", "remove-backend": True})
        self.q.outl(EJECT, 1 << 5)
        done = [self.state() for _ in range(3)][-1]
        self.assertEqual((done["state"], done["nodes"]), ("completed", ["f"]))
        self.assertEqual(self.nodes(), {"n0", "n1", "p", "other"})

    def test_plain_clients_are_not_told(self):
        self.qmp.close()
        self.qmp = self.vm.qmp = QmpClient.connect(self.vm.path("qmp"), None, 20)
        self.delete("d")
        self.q.outl(EJECT, 1 << 5)
        self.deleted("d")
        self.qmp.execute("query-status")
        self.assertNotIn("DEVICE_UNPLUG", [e["event"] for e in self.qmp.events])


if __name__ == "__main__":
    runner.main()
