"""Exports over QMP: nbd-server-*, block-export-*, their error texts, and a client of the machine's own."""
from machine import MachineTest
from pyutil import runner
from pyutil.qmp import QmpError


class Export(MachineTest):
    def setUp(self):
        super().setUp()
        self.image = self.vm.path("disk")
        with open(self.image, "wb") as file:
            file.write(b"d" * (1 << 20))
        self.socket = self.vm.path("nbd")
        self.qmp.execute("blockdev-add", {"driver": "raw", "node-name": "disk",
                                          "file": {"driver": "file", "filename": self.image}})

    def start(self):
        self.qmp.execute("nbd-server-start", {"addr": {"type": "unix", "data": {"path": self.socket}}})

    def error(self, command, arguments=None):
        with self.assertRaises(QmpError) as caught:
            self.qmp.execute(command, arguments or {})
        return caught.exception.desc

    def test_errors(self):
        self.assertEqual(self.error("nbd-server-stop"), "NBD server not running")
        add = {"type": "nbd", "id": "e", "node-name": "disk"}
        self.assertEqual(self.error("block-export-add", add), "NBD server not running")
        self.assertEqual(self.error("nbd-server-add", {"device": "disk"}), "NBD server not running")
        self.start()
        self.assertEqual(self.error("nbd-server-start", {"addr": {"type": "unix", "data": {"path": "/x"}}}),
                         "NBD server already running")
        self.assertEqual(self.error("block-export-add", {**add, "node-name": "nix"}),
                         "Cannot find device='' nor node-name='nix'")
        self.assertEqual(self.error("block-export-add", {**add, "id": "#"}), "Invalid block export id")
        self.assertEqual(self.error("block-export-add", {**add, "type": "fuse"}),
                         "Parameter 'type' does not accept value 'fuse'")
        self.qmp.execute("block-export-add", add)
        self.assertEqual(self.error("block-export-add", add), "Block export id 'e' is already in use")
        self.assertEqual(self.error("block-export-add", {**add, "id": "f"}),
                         "NBD server already has export named 'disk'")
        self.assertEqual(self.error("block-export-del", {"id": "x"}), "Export 'x' is not found")
        self.assertEqual(self.error("nbd-server-add", {"device": "nix"}),
                         "Cannot find device='nix' nor node-name='nix'")

    def test_an_export_and_its_client(self):
        self.start()
        self.qmp.execute("block-export-add", {"type": "nbd", "id": "e", "node-name": "disk", "name": "n",
                                              "writable": True})
        self.assertEqual(self.qmp.execute("query-block-exports"),
                         [{"id": "e", "type": "nbd", "node-name": "disk", "shutting-down": False}])
        self.qmp.execute("blockdev-add", {"driver": "nbd", "node-name": "client", "export": "n",
                                          "server": {"type": "unix", "path": self.socket}})
        nodes = {n["node-name"]: n for n in self.qmp.execute("query-named-block-nodes")}
        self.assertEqual(nodes["client"]["file"], f"nbd+unix:///n?socket={self.socket}")
        self.assertEqual(nodes["client"]["image"]["virtual-size"], 1 << 20)
        self.assertEqual(self.error("block-export-del", {"id": "e"}), "export 'e' still in use")
        self.qmp.execute("block-export-del", {"id": "e", "mode": "hard"})
        self.assertEqual(self.qmp.wait_event("BLOCK_EXPORT_DELETED")["data"], {"id": "e"})
        self.assertEqual(self.qmp.execute("query-block-exports"), [])
        self.qmp.execute("blockdev-del", {"node-name": "client"})
        self.qmp.execute("nbd-server-stop")

    def test_stopping_ends_all_exports(self):
        self.start()
        self.qmp.execute("nbd-server-add", {"device": "disk", "writable": True})
        self.assertEqual(self.error("nbd-server-remove", {"name": "x"}), "Export 'x' is not found")
        self.qmp.execute("nbd-server-stop")
        self.assertEqual(self.qmp.wait_event("BLOCK_EXPORT_DELETED")["data"], {"id": "disk"})
        self.qmp.execute("blockdev-del", {"node-name": "disk"})

    def test_an_export_goes_with_its_medium(self):
        self.qmp.execute("human-monitor-command",
                         {"command-line": f"drive_add 0 if=none,id=d,format=raw,file={self.image}"})
        self.qmp.execute("blockdev-del", {"node-name": "disk"})
        self.start()
        self.qmp.execute("nbd-server-add", {"device": "d", "name": "e"})
        self.qmp.execute("eject", {"device": "d"})
        self.assertEqual(self.qmp.wait_event("BLOCK_EXPORT_DELETED")["data"], {"id": "e"})


if __name__ == "__main__":
    runner.main()
