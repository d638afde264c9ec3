"""Every type there is: made with defaults where a user can make one, every property read and written. Nothing that a
client asks for or sets may end the process."""
import json
import os
import re
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from machine import ACCEL, BASE, PEER, MachineTest  # noqa: E402
from pyutil import runner  # noqa: E402
from pyutil.emulator import emulator_path  # noqa: E402

# What is tried on every property, whatever its type.
VALUES = [None, True, False, 0, 1, -1, 2**31, 2**63 - 1, -2**63, 2**64 - 1, 1.5, "", "x", "on", "auto", "1G", "-1", "a" * 5000,
          "/machine", "\u00fc\0", [], [1], {}, {"a": 1}]


class Types(MachineTest):
    def answer(self, command, **arguments):
        """The reply, whatever it is; None for an error."""
        message = {"execute": command, "arguments": {k.replace("_", "-"): v for k, v in arguments.items()}}
        return self.qmp.call(message).get("return")

    def types(self, **arguments):
        return self.qmp.execute("qom-list-types", arguments)

    def walk(self, path="/"):
        """All paths of the tree below `path`."""
        yield path
        for p in self.answer("qom-list", path=path) or []:
            if p["type"].startswith("child<"):
                yield from self.walk(f"{path.rstrip('/')}/{p['name']}")

    def read_all(self):
        for path in self.walk():
            for p in self.answer("qom-list", path=path) or []:
                self.answer("qom-get", path=path, property=p["name"])

    def write_all(self, path):
        for p in self.answer("qom-list", path=path) or []:
            for value in VALUES:
                self.answer("qom-set", path=path, property=p["name"], value=value)

    def test_families(self):
        names = {t["name"]: t for t in self.types(abstract=True)}
        for family in ("device", "pci-device", "isa-device", "sys-bus-device", "x86_64-cpu", "cpu", "bus", "machine",
                       "memory-backend", "ide-device", "interface", "user-creatable"):
            self.assertTrue(names[family].get("abstract"), family)
        for concrete in ("PCI", "ISA", "IDE", "isa-serial", "pc-i440fx-7.2-machine"):
            self.assertFalse(names[concrete].get("abstract", False), concrete)
        for t in names.values():
            if "parent" in t:
                self.assertIn(t["parent"], names)
        listed = {t["name"] for t in self.types(implements="device")}
        self.assertEqual(listed, {t["name"] for t in names.values() if not t.get("abstract") and self.derives(t, "device", names)})

    @staticmethod
    def derives(t, ancestor, names):
        while t is not None:
            if t["name"] == ancestor:
                return True
            t = names.get(t.get("parent"))
        return False

    def test_properties_of_types(self):
        for t in self.types(abstract=True):
            listed = self.answer("qom-list-properties", typename=t["name"])
            self.assertEqual(listed[0]["name"], "type", t)
            names = [p["name"] for p in listed]
            self.assertEqual(len(names), len(set(names)), t)
        base = {p["name"] for p in self.answer("qom-list-properties", typename="device")}
        self.assertEqual(base, {"type", "parent_bus", "realized", "hotplugged", "hotpluggable"})
        for t in self.types(implements="device"):
            listed = self.answer("device-list-properties", typename=t["name"])
            self.assertIsNotNone(listed, t)
            self.assertFalse({p["name"] for p in listed} & base, t)

    def test_help_of_every_type(self):
        for t in self.types(abstract=True):
            for line in (f"device_add {t['name']},help", f"object_add {t['name']},help"):
                self.qmp.hmp(line)
        self.assertEqual(self.qmp.hmp("device_add help").replace("\r", "").count(" devices:\n"),
                         len(set(re.findall(r"(\S+) devices:", self.qmp.hmp("device_add help")))))

    def test_every_device_with_defaults(self):
        for t in self.types(implements="device"):
            name = t["name"]
            for arguments in ({}, {"id": "dev"}):
                if "error" in self.qmp.call({"execute": "device_add", "arguments": {"driver": name, **arguments}}):
                    continue
                if arguments:
                    self.write_all("/machine/peripheral/dev")
                    self.qmp.call({"execute": "device_del", "arguments": {"id": "dev"}})
        self.read_all()
        for line in ("info qtree", "info qom-tree", "info mtree", "info mtree -f", "info pci", "info block -v"):
            self.qmp.hmp(line)
        self.reset()

    def test_every_property_of_the_tree(self):
        for path in list(self.walk()):
            self.write_all(path)
        self.read_all()
        self.qmp.hmp("info qtree")
        self.reset()

    def cold(self, device):
        """Starts a machine with the device and ends it at once: made, or refused with a message that names the option."""
        done = subprocess.run([emulator_path(), *BASE, *ACCEL, "-qmp", "stdio", "-device", json.dumps(device)],
                              input='{"execute": "qmp_capabilities"}{"execute": "quit"}', capture_output=True, text=True,
                              timeout=60, check=False)
        if done.returncode != 0:
            self.assertEqual(done.returncode, 1, f"{device}: {done.stderr}")
            self.assertIn("-device", done.stderr, device)
        return done.returncode == 0

    def plug(self, device):
        """The same on the running machine. False if the device cannot be plugged in there: then it was started with."""
        reply = self.qmp.call({"execute": "device_add", "arguments": {"id": "dev", **device}})
        if "does not support hotplugging" in reply.get("error", {}).get("desc", ""):
            self.cold(device)
            return False
        if "error" not in reply:
            self.qmp.call({"execute": "device_del", "arguments": {"id": "dev"}})
            self.reset()  # the guest will not let it go by itself
        return True

    @unittest.skipIf(PEER, "the peer's list is long")
    def test_every_device_on_the_command_line(self):
        """Each property is tried on the first device that has it, with one of the values where each takes a process."""
        values = (-1, 2**63, "a" * 5000)
        cpus = {t["name"] for t in self.types(implements="cpu")}
        made = [t["name"] for t in self.types(implements="device") if t["name"] not in cpus and self.cold({"driver": t["name"]})]
        self.assertIn("isa-serial", made)
        tried = set()
        for name in made:
            for p in self.answer("device-list-properties", typename=name):
                key = (p["name"], p["type"], json.dumps(p.get("default-value")))
                if key in tried:
                    continue
                tried.add(key)
                turn = len(tried) % len(values)
                for value in values[turn:] + values[:turn]:
                    if not self.plug({"driver": name, p["name"]: value}):
                        break


if __name__ == "__main__":
    runner.main()
