"""The object tree and device_add over QMP: shape, and the texts of every error a manager meets."""
import base64
import os

from machine import MachineTest
from pyutil import runner

CD = ["-device", "ide-cd,bus=ide.1,unit=0,id=cd0"]


class Tree(MachineTest):
    ARGS = CD

    def names(self, path):
        return {p["name"]: p["type"] for p in self.qmp.execute("qom-list", {"path": path})}

    def test_shape(self):
        self.assertEqual(self.names("/machine/peripheral")["cd0"], "child<ide-cd>")
        for name in ("peripheral", "peripheral-anon", "unattached"):
            self.assertEqual(self.names("/machine")[name], "child<container>")
        self.assertEqual(self.names("/")["objects"], "child<container>")
        self.assertEqual(self.qmp.execute("qom-get", {"path": "/machine", "property": "type"}),
                         "pc-i440fx-7.2-machine")
        self.assertEqual(self.qmp.execute("qom-get", {"path": "cd0", "property": "type"}), "ide-cd")
        self.assertIs(self.qmp.execute("qom-get", {"path": "cd0", "property": "realized"}), True)
        bus = self.qmp.execute("qom-get", {"path": "cd0", "property": "parent_bus"})
        self.assertTrue(bus.endswith("/ide.1"), bus)

    def test_errors(self):
        check = self.assert_error
        for path in ("/nope", "nope"):
            check(f"Device '{path}' not found", "qom-list", "DeviceNotFound", path=path)
        check("Path '' is ambiguous", "qom-list", path="")
        check("Property 'pc-i440fx-7.2-machine.nope' not found", "qom-get", path="/machine", property="nope")
        check("Property 'ide-cd.nope' not found", "qom-set", path="cd0", property="nope", value=1)
        check("Property 'ide-cd.type' is not writable", "qom-set", path="cd0", property="type", value="x")
        check("Attempt to set property 'unit' on device 'cd0' (type 'ide-cd') after it was realized", "qom-set",
              path="cd0", property="unit", value=1)
        check("Property 'pc-i440fx-7.2-machine.peripheral' is not writable", "qom-set", path="/machine",
              property="peripheral", value="x")
        check("Invalid parameter type for 'usb', expected: boolean", "qom-set", path="/machine", property="usb",
              value="on")

    def test_types(self):
        types = {t["name"] for t in self.qmp.execute("qom-list-types", {"implements": "ide-device"})}
        self.assertIn("ide-cd", types)
        self.assertNotIn("ide-device", types)
        self.assertEqual(self.qmp.execute("qom-list-types", {"implements": "nope"}), [])
        check = self.assert_error
        check("Class 'nope' not found", "qom-list-properties", "DeviceNotFound", typename="nope")
        check("Device 'nope' not found", "device-list-properties", "DeviceNotFound", typename="nope")
        for name in ("bus", "ide-device", "device"):
            check("Parameter 'typename' expects a non-abstract device type", "device-list-properties", typename=name)
        properties = {p["name"]: p for p in self.qmp.execute("device-list-properties", {"typename": "ide-cd"})}
        self.assertEqual(properties["unit"]["type"], "uint32")
        self.assertEqual(properties["drive"]["type"], "str")
        self.assertNotIn("default-value", properties["drive"])
        self.assertEqual(properties["write-cache"]["default-value"], "auto")

    def test_device_add_errors(self):
        add = lambda text, **options: self.assert_error(text, "device_add", **options)  # noqa: E731
        add("Parameter 'driver' is missing")
        add("'nope' is not a valid device model name", driver="nope")
        add("Parameter 'driver' expects a non-abstract device type", driver="ide-device")
        add("Parameter 'driver' expects a pluggable device type", driver="PIIX3")
        add("Bus 'ide.9' not found", driver="ide-cd", bus="ide.9")
        add("Device 'ide-cd' can't go on PCI bus", driver="ide-cd", bus="pci.0")
        add("Parameter 'id' expects an identifier", driver="ide-cd", id="1bad")
        add("Bus 'ide.0' does not support hotplugging", driver="ide-cd", bus="ide.0", nope=1)

    def test_device_del_errors(self):
        check = self.assert_error
        check("Device 'nope' not found", "device_del", "DeviceNotFound", id="nope")
        check("Device '/nope' not found", "device_del", "DeviceNotFound", id="/nope")
        check("Bus 'ide.1' does not support hotplugging", "device_del", id="cd0")
        check("Bus 'ide.1' does not support hotplugging", "device_del", id="/machine/peripheral/cd0")
        check("/machine is not a hotpluggable device", "device_del", id="/machine")

    def test_objects_of_every_kind(self):
        for kind, properties in (("iothread", {"poll-max-ns": 5}), ("rng-builtin", {}), ("rng-random", {"filename": "/dev/zero"}),
                                 ("memory-backend-ram", {"size": 4096})):
            with self.subTest(kind):
                self.qmp.execute("object-add", {"qom-type": kind, "id": "o", **properties})
                self.assertEqual(self.qmp.execute("qom-get", {"path": "/objects/o", "property": "type"}), kind)
                for name, value in properties.items():
                    self.assertEqual(self.qmp.execute("qom-get", {"path": "/objects/o", "property": name}), value)
                self.assert_error("attempt to add duplicate property 'o' to object (type 'container')", "object-add",
                                  qom_type="rng-builtin", id="o")
                self.qmp.execute("object-del", {"id": "o"})
                self.assert_error("object 'o' not found", "object-del", id="o")
        self.assert_error("Could not open '/no/such': No such file or directory", "object-add", qom_type="rng-random", id="o",
                          filename="/no/such")
        self.assert_error("poll-max-ns value must be in range [0, 9223372036854775807]", "object-add", qom_type="iothread",
                          id="o", poll_max_ns=-1)
        self.assert_error("bad thread-pool-min/thread-pool-max values", "object-add", qom_type="iothread", id="o",
                          thread_pool_min=70)
        self.assert_error("Parameter 'qom-type' does not accept value 'device'", "object-add", qom_type="device", id="o")
        self.qmp.execute("object-add", {"qom-type": "iothread", "id": "io0"})
        info = self.qmp.execute("query-iothreads")
        self.assertEqual([(t["id"], t["poll-max-ns"]) for t in info], [("io0", 32768)])
        self.assertTrue(os.path.exists(f"/proc/{self.vm.pid}/task/{info[0]['thread-id']}"))
        self.assertIn("io0:\r\n  thread_id=", self.qmp.hmp("info iothreads"))

    def test_secrets(self):
        key = base64.b64encode(bytes(range(32))).decode()
        self.qmp.execute("object-add", {"qom-type": "secret", "id": "master", "data": key, "format": "base64"})
        iv = base64.b64encode(bytes(16)).decode()

        def add(error, **properties):
            self.assert_error(error, "object-add", qom_type="secret", id="s", **properties)
        add("Either 'file' or 'data' must be provided")
        add("'file' and 'data' are mutually exclusive", data="x", file="/etc/passwd")
        add("Unable to read /no/such: No such file or directory", file="/no/such")
        add("Base64 data contains invalid characters", data="!!", format="base64")
        add("Parameter 'format' does not accept value 'hex'", data="x", format="hex")
        add("No secret with id 'none'", data="x", keyid="none", iv=iv)
        add("IV is required to decrypt secret", data="x", keyid="master")
        add("IV should be 16 bytes in length not 3", data="YWJj", format="base64", keyid="master", iv="AAAA")
        add("Length 3 must be a multiple of block size 16", data="YWJj", format="base64", keyid="master", iv=iv)
        # openssl enc -aes-256-cbc -K 000102…1f -iv 0, of "letmein"
        good = "4QTUqTcO3X/wflDFWw3jPw=="
        self.qmp.execute("object-add", {"qom-type": "secret", "id": "s", "data": good, "format": "base64", "keyid": "master",
                                        "iv": iv})
        self.assertTrue(self.qmp.execute("qom-get", {"path": "/objects/s", "property": "loaded"}))
        self.qmp.execute("object-del", {"id": "s"})
        add("Incorrect number of padding bytes (182) found on decrypted data", data=base64.b64encode(bytes([1]) * 16).decode(), format="base64", keyid="master", iv=iv)

    def test_qtree(self):
        text = self.qmp.hmp("info qtree").replace("\r\n", "\n")
        self.assertTrue(text.startswith("bus: main-system-bus\n  type System\n"))
        self.assertIn("      dev: PIIX3, id \"\"\n", text)
        self.assertIn("        class ISA bridge, addr 00:01.0, pci id 8086:7000 (sub 1af4:1100)\n", text)
        self.assertIn("        bar 4: i/o at 0xffffffffffffffff [0xe]\n", text)
        self.assertIn("          dev: ide-cd, id \"cd0\"\n", text)
        self.assertIn("        addr = 01.0\n", text)


if __name__ == "__main__":
    runner.main()
