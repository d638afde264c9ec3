"""CD drive, tray and medium over QMP: the messages a manager sends, every error text, `info block`."""
import json

from machine import MachineTest
from pyutil import runner
from pyutil.iso import write_iso

CD = ["-device", "ide-cd,bus=ide.1,unit=0,id=ide0-1-0,write-cache=on"]


class Tray(MachineTest):
    def args(self):
        return CD

    def setUp(self):
        super().setUp()
        self.iso = self.vm.path("cdrom.iso")
        write_iso(self.iso, "DISC", {"HELLO.TXT": b"hello"})

    def add_nodes(self, number=4, path=None):
        storage, top = f"libvirt-{number}-storage", f"libvirt-{number}-format"
        self.qmp.execute("blockdev-add", {"driver": "file", "filename": path or self.iso, "node-name": storage,
                                          "auto-read-only": True, "discard": "unmap"})
        self.qmp.execute("blockdev-add", {"node-name": top, "read-only": True, "driver": "raw", "file": storage})
        return top

    def drive(self):
        return next(d for d in self.qmp.execute("query-block") if d.get("qdev", "").endswith("ide0-1-0"))

    def insert(self):
        self.qmp.execute("blockdev-open-tray", {"id": "ide0-1-0", "force": False})
        self.qmp.execute("blockdev-remove-medium", {"id": "ide0-1-0"})
        self.qmp.execute("blockdev-insert-medium", {"id": "ide0-1-0", "node-name": self.add_nodes()})
        self.qmp.execute("blockdev-close-tray", {"id": "ide0-1-0"})

    def test_starts_empty_closed_and_unlocked(self):  # S0.1, S0.10
        drive = self.drive()
        self.assertEqual((drive["removable"], drive["locked"], drive["tray_open"]), (True, False, False))
        self.assertNotIn("inserted", drive)

    def test_insert_as_a_manager_does(self):  # S0.3
        for message in (
                '{"execute":"blockdev-open-tray","arguments":{"id":"ide0-1-0","force":false},"id":"libvirt-429"}',
                '{"execute":"blockdev-remove-medium","arguments":{"id":"ide0-1-0"},"id":"libvirt-430"}'):
            self.assert_reply(message)
        self.add_nodes()
        for message in (
                '{"execute":"blockdev-insert-medium","arguments":{"id":"ide0-1-0","node-name":"libvirt-4-format"},'
                '"id":"libvirt-433"}',
                '{"execute":"blockdev-close-tray","arguments":{"id":"ide0-1-0"},"id":"libvirt-434"}'):
            self.assert_reply(message)
        moves = [self.qmp.wait_event("DEVICE_TRAY_MOVED")["data"] for _ in range(2)]
        self.assertEqual(moves, [{"device": "", "id": "ide0-1-0", "tray-open": True},
                                 {"device": "", "id": "ide0-1-0", "tray-open": False}])
        inserted = self.drive()["inserted"]
        self.assertEqual((inserted["node-name"], inserted["drv"], inserted["ro"]), ("libvirt-4-format", "raw", True))

    def assert_reply(self, text):
        self.qmp.send_raw(text.encode() + b"\n")
        self.assertEqual(self.qmp.read_reply(), {"return": {}, "id": json.loads(text)["id"]})

    def test_eject_leaves_an_empty_closed_drive(self):  # S0.4
        self.insert()
        self.qmp.execute("blockdev-open-tray", {"id": "ide0-1-0"})
        self.qmp.execute("blockdev-remove-medium", {"id": "ide0-1-0"})
        self.qmp.execute("blockdev-remove-medium", {"id": "ide0-1-0"})  # empty already: fine
        for node in ("libvirt-4-format", "libvirt-4-storage"):
            self.qmp.execute("blockdev-del", {"node-name": node})
        self.qmp.execute("blockdev-close-tray", {"id": "ide0-1-0"})
        drive = self.drive()
        self.assertFalse(drive["tray_open"])
        self.assertNotIn("inserted", drive)

    def test_moving_a_tray_that_is_there_already_is_silent(self):  # S0.7
        self.qmp.execute("blockdev-close-tray", {"id": "ide0-1-0"})
        for _ in range(2):
            self.qmp.execute("blockdev-open-tray", {"id": "ide0-1-0"})
        self.qmp.poll()
        self.assertEqual(len([e for e in self.qmp.events if e["event"] == "DEVICE_TRAY_MOVED"]), 1)

    def test_error_texts(self):  # S0.2, S0.5, S0.6
        check, cd = self.assert_error, {"id": "ide0-1-0"}
        check("Tray of device 'ide0-1-0' is not open", "blockdev-remove-medium", **cd)
        check("Need exactly one of 'device' and 'id'", "blockdev-open-tray")
        check("Need exactly one of 'device' and 'id'", "blockdev-open-tray", device="a", **cd)
        for command in ("blockdev-open-tray", "blockdev-close-tray", "blockdev-remove-medium"):
            check("Device 'nope' not found", command, "DeviceNotFound", id="nope")
        check("Device 'nope' not found", "eject", "DeviceNotFound", id="nope")
        check("Node 'nope' not found", "blockdev-insert-medium", node_name="nope", **cd)
        top = self.add_nodes()
        check("Tray of the device is not open", "blockdev-insert-medium", node_name=top, **cd)
        self.qmp.execute("blockdev-open-tray", cd)
        self.qmp.execute("blockdev-insert-medium", {**cd, "node-name": top})
        other = self.add_nodes(5)
        check("There already is a medium in the device", "blockdev-insert-medium", node_name=other, **cd)
        self.qmp.execute("blockdev-remove-medium", cd)
        check("Failed to find node with node-name='nope'", "blockdev-del", node_name="nope")

    def test_a_node_in_use_is_refused(self):
        self.insert()
        self.assert_error("Node libvirt-4-format is in use", "blockdev-del", node_name="libvirt-4-format")
        reply = self.qmp.call({"execute": "blockdev-del", "arguments": {"node-name": "libvirt-4-storage"}})
        self.assertTrue(reply["error"]["desc"].endswith(" libvirt-4-storage is in use"), reply)

    def test_info_block_of_an_empty_drive(self):  # S0.14
        self.assertEqual(self.qmp.hmp("info block").replace("\r\n", "\n"),
                         "ide0-1-0: [not inserted]\n    Attached to:      ide0-1-0\n"
                         "    Removable device: not locked, tray closed\n")

    def test_info_block_with_a_medium(self):  # S0.15
        self.insert()
        self.assertEqual(self.qmp.hmp("info block").replace("\r\n", "\n"),
                         f"libvirt-4-format: {self.iso} (raw, read-only)\n    Attached to:      ide0-1-0\n"
                         "    Removable device: not locked, tray closed\n    Cache mode:       writeback\n")

    def test_info_block_of_an_open_tray(self):
        self.qmp.execute("blockdev-open-tray", {"id": "ide0-1-0"})
        self.assertIn("    Removable device: not locked, tray open\n",
                      self.qmp.hmp("info block").replace("\r\n", "\n"))


class BlockdevAdd(MachineTest):
    def test_errors(self):
        path = self.vm.path("disc.img")
        with open(path, "wb") as file:
            file.truncate(1 << 20)
        add = lambda text, **options: self.assert_error(text, "blockdev-add", **options)  # noqa: E731
        add("Parameter 'driver' is missing", node_name="a")
        add("Parameter 'driver' does not accept value 'nope'", driver="nope", node_name="a")
        add("'node-name' must be specified for the root node", driver="file", filename=path)
        add("Parameter 'filename' is missing", driver="file", node_name="a")
        add("Parameter 'nope' is unexpected", driver="file", filename=path, node_name="a", nope=1)
        missing = self.vm.path("missing")
        add(f"Could not open '{missing}': No such file or directory", driver="file", filename=missing, node_name="a")
        self.qmp.execute("blockdev-add", {"driver": "file", "filename": path, "node-name": "a"})
        add("Duplicate nodes with node-name='a'", driver="file", filename=path, node_name="a")
        add("Cannot find device='nope' nor node-name='nope'", driver="raw", file="nope", node_name="b")
        self.qmp.execute("blockdev-del", {"node-name": "a"})
        self.assertEqual(self.qmp.execute("query-named-block-nodes"), [])

if __name__ == "__main__":
    runner.main()
