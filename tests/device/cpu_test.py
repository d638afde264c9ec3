"""Processors and memory as a manager sees them: models, places, plugging, NUMA nodes, memory backends."""
import os
import tempfile

from machine import MachineTest
from pyutil import runner

SMP = ["-smp", "1,maxcpus=4,sockets=1,cores=2,threads=2"]


class Places(MachineTest):
    ARGS = [*SMP, "-cpu", "Nehalem-v2,+avx"]

    def test_places_and_plugging(self):
        places = self.qmp.execute("query-hotpluggable-cpus")
        self.assertEqual([p["props"] for p in places],
                         [{"socket-id": 0, "core-id": c, "thread-id": t} for c in (1, 0) for t in (1, 0)])
        self.assertEqual([("qom-path" in p) for p in places], [False, False, False, True])
        self.assertEqual({p["type"] for p in places}, {"Nehalem-v2-x86_64-cpu"})
        cpu = dict(driver=places[0]["type"], id="late", **places[0]["props"])
        self.assert_error("Invalid CPU type, expected cpu type: 'Nehalem-v2-x86_64-cpu'", "device_add",
                          driver="486-x86_64-cpu", id="x", **places[0]["props"])
        self.assert_error("CPU core-id is not set", "device_add", **{"driver": places[0]["type"], "socket-id": 0})
        self.assert_error("Invalid CPU core-id: 2 must be in range 0:1", "device_add",
                          **{"driver": places[0]["type"], "socket-id": 0, "core-id": 2, "thread-id": 0})
        self.qmp.execute("device_add", cpu)
        self.assert_error("CPU[3] with APIC ID 3 exists", "device_add", **{**cpu, "id": "again"})
        fast = self.qmp.execute("query-cpus-fast")
        self.assertEqual([(c["cpu-index"], c["qom-path"]) for c in fast],
                         [(0, "/machine/unattached/device[0]"), (3, "/machine/peripheral/late")])
        self.assertIs(self.qmp.execute("qom-get", {"path": "late", "property": "avx"}), True)

    def test_models(self):
        models = {m["name"]: m for m in self.qmp.execute("query-cpu-definitions")}
        self.assertEqual(len(models), 132)
        self.assertEqual(models["Nehalem-IBRS"]["alias-of"], "Nehalem-v2")
        self.assertEqual(models["host"]["unavailable-features"], ["kvm"])
        self.assertIs(models["base"]["static"], True)
        for kind, name in (("static", "base"), ("full", "Nehalem")):
            model = self.qmp.execute("query-cpu-model-expansion",
                                     {"type": kind, "model": {"name": "Nehalem", "props": {"ssse3": False}}})["model"]
            self.assertEqual(model["name"], name)
            self.assertIs(model["props"]["ssse3"], False)
            self.assertIs(model["props"]["sse4.2"], True)
        self.assert_error("CPU model 'x' not found", "query-cpu-model-expansion", type="full", model={"name": "x"})
        self.assert_error("Property 'base-x86_64-cpu.x' not found", "query-cpu-model-expansion", type="full",
                          model={"name": "base", "props": {"x": True}})


class OldMachine(MachineTest):
    ARGS = ["-machine", "pc-i440fx-2.3", "-cpu", "qemu64"]

    def test_processors_are_those_of_then(self):
        path = self.qmp.execute("query-cpus-fast")[0]["qom-path"]
        get = lambda name: self.qmp.execute("qom-get", {"path": path, "property": name})  # noqa: E731
        self.assertEqual((get("model-id"), get("level"), get("popcnt"), get("family"), get("check")),
                         ("QEMU Virtual CPU version 2.3.0", 4, True, 6, False))
        machines = {m["name"]: m for m in self.qmp.execute("query-machines")}
        self.assertEqual((machines["pc-i440fx-1.4"]["deprecated"], machines["pc-i440fx-2.0"]["deprecated"]),
                         (True, False))
        self.assertEqual([machines[f"pc-i440fx-{v}"]["numa-mem-supported"] for v in ("5.0", "5.1")], [True, False])


class Nodes(MachineTest):
    ARGS = ["-m", "64", "-machine", "smp.cpus=4,smp.sockets=2",
            "-object", "memory-backend-ram,id=m0,size=32M", "-object", "memory-backend-memfd,id=m1,size=32M",
            "-numa", "node,memdev=m0,cpus=0-1", "-numa", "node,memdev=m1", "-numa", "cpu,node-id=1,socket-id=1",
            "-numa", "dist,src=0,dst=1,val=21"]

    def test_nodes(self):
        text = self.qmp.execute("human-monitor-command", {"command-line": "info numa"})
        self.assertEqual(text.replace("\r", ""),
                         "2 nodes\nnode 0 cpus: 0 1\nnode 0 size: 32 MB\nnode 0 plugged: 0 MB\n"
                         "node 1 cpus: 2 3\nnode 1 size: 32 MB\nnode 1 plugged: 0 MB\n")
        self.assertEqual([c["props"]["node-id"] for c in self.qmp.execute("query-cpus-fast")], [0, 0, 1, 1])
        self.assertEqual([(m["id"], m["size"], m["share"]) for m in self.qmp.execute("query-memdev")],
                         [("m0", 32 << 20, False), ("m1", 32 << 20, True)])
        self.assert_error("object 'm1' is in use, can not be deleted", "object-del", id="m1")
        self.assert_error("The command is permitted only before the machine has been created", "set-numa-node",
                          type="node")

    def test_memory_of_both_is_one(self):
        last_of_first = (32 << 20) - 4
        self.q.writel(last_of_first, 0x11223344)
        self.q.writel(last_of_first + 4, 0x55667788)
        self.assertEqual((self.q.readl(last_of_first), self.q.readl(last_of_first + 4)), (0x11223344, 0x55667788))


class Backends(MachineTest):
    ARGS = []

    def test_file(self):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "ram")
            add = {"qom-type": "memory-backend-file", "id": "f", "mem-path": path, "size": 1 << 20, "share": True}
            self.qmp.execute("object-add", add)
            self.assertEqual(os.path.getsize(path), 1 << 20)
            self.qmp.execute("object-del", {"id": "f"})
            self.assert_error("backing store size 0x100000 does not match 'size' option 0x200000", "object-add",
                              **{**add, "size": 2 << 20})
            self.qmp.execute("object-add", {**add, "mem-path": directory, "prealloc": True, "prealloc-threads": 2})
            self.assertEqual(os.listdir(directory), ["ram"])
            self.qmp.execute("object-del", {"id": "f"})

    def test_errors(self):
        ram = {"qom-type": "memory-backend-ram", "id": "r", "size": 4096}
        self.assert_error("can't create backend with size 0", "object-add", **{**ram, "size": 0})
        self.assert_error("host-nodes must be set for policy bind", "object-add", **ram, policy="bind")
        self.assert_error("'prealloc=on' and 'reserve=off' are incompatible", "object-add", **ram, prealloc=True,
                          reserve=False)
        self.assertEqual([m["id"] for m in self.qmp.execute("query-memdev")], ["pc.ram"])


if __name__ == "__main__":
    runner.main()
