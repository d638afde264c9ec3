"""F3: random interleavings of what manager and guest do about a disk that goes, beside a model that says what each side
may see. RHEA_UNPLUG_STEPS=10000 makes it longer; RHEA_SEED=N repeats a run."""
import os
import random
import unittest

from machine import PEER, MachineTest
from pyutil import runner
from pyutil.qmp import QmpClient, QmpError

EJECT, DOWN = 0xAE08, 0xAE04
STEPS = int(os.environ.get("RHEA_UNPLUG_STEPS", "400"))
SEED = int(os.environ.get("RHEA_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
SLOTS = {3: "d3", 4: "d4", 5: "d5"}


class Disk:
    """One slot's device and what is behind it, as both sides may see them."""

    def __init__(self, slot):
        self.slot, self.name = slot, SLOTS[slot]
        self.kind = None       # "node" or "drive": what is or was made for it
        self.present = False   # the device is there
        self.backend = False   # the node or the drive is there, by its name
        self.state = None      # of the removal
        self.coupled = False


@unittest.skipIf(PEER, "the peer lets them disagree")
class Model(MachineTest):
    def setUp(self):
        super().setUp()
        self.qmp.close()
        self.qmp = self.vm.qmp = QmpClient.connect(self.vm.path("qmp"), None, 20, False)
        self.qmp.execute("qmp_capabilities", {"enable": ["unplug"]})
        self.disks = [Disk(slot) for slot in SLOTS]
        self.trail = []

    def fails(self, command, text, **arguments):
        with self.assertRaises(QmpError) as caught:
            self.qmp.execute(command, {k.replace("_", "-"): v for k, v in arguments.items()})
        self.assertIn(text, caught.exception.desc)

    def hmp(self, text):
        return self.qmp.execute("human-monitor-command", {"command-line": text}).strip()

    # What may happen.

    def make(self, d):
        """A back end, then its device."""
        if not d.backend and not d.present:
            d.kind = self.random.choice(["node", "drive"])
            if d.kind == "node":
                self.qmp.execute("blockdev-add", {"driver": "raw", "node-name": f"n{d.slot}",
                                                  "file": {"driver": "null-co", "size": 1 << 20, "node-name": f"p{d.slot}"}})
            else:
                self.assertEqual(self.hmp(f"drive_add 0 if=none,id=n{d.slot},driver=null-co,size=1M"), "OK")
            d.backend = True
        add = {"driver": "virtio-blk-pci", "id": d.name, "drive": f"n{d.slot}", "addr": f"{d.slot}"}
        if d.present or not d.backend:
            with self.assertRaises(QmpError):
                self.qmp.execute("device_add", add)
            return
        self.qmp.execute("device_add", add)
        d.present, d.state, d.coupled = True, None, False

    def ask(self, d, coupled=False):
        arguments = {"id": d.name}
        command = "device-unplug" if coupled else "device_del"
        if coupled:
            arguments["remove-backend"] = True
        if not d.present:
            return self.fails(command, f"Device '{d.name}' not found", **arguments)
        self.qmp.execute(command, arguments)
        d.state = "requested"
        d.coupled |= coupled

    def ask_coupled(self, d):
        self.ask(d, True)

    def guest_reads(self, _):
        seen = self.q.inl(DOWN)
        self.assertEqual(seen, sum(1 << d.slot for d in self.disks if d.state in ("requested", "acknowledged")))
        for d in self.disks:
            if d.state == "requested":
                d.state = "acknowledged"

    def gone(self, d):
        """The events of its end, in their order, and what they left."""
        last = self.qmp.wait_event("DEVICE_DELETED", match=lambda e: e["data"].get("device") == d.name)
        self.assertEqual(last["data"]["path"], f"/machine/peripheral/{d.name}")
        done = self.qmp.wait_event("DEVICE_UNPLUG", match=lambda e: e["data"].get("device") == d.name and
                                   e["data"]["state"] == "completed")["data"]
        first = [e for e in self.qmp.events if e["event"] == "DEVICE_DELETED"
                 and e["data"]["path"] == f"/machine/peripheral/{d.name}/virtio-backend"]
        self.assertEqual(len(first), 1, "the back half's event comes first, once")
        self.assertLessEqual(first[0]["timestamp"]["seconds"], last["timestamp"]["seconds"])
        self.qmp.events = [e for e in self.qmp.events if e not in first]
        if d.kind == "drive" or d.coupled:
            d.backend = False
        if d.coupled and d.kind == "node":
            self.assertEqual(done.get("nodes"), [f"n{d.slot}"])
        self.assertNotIn("error", done)
        d.present, d.state, d.coupled = False, None, False

    def guest_ejects(self, d):
        self.q.outl(EJECT, 1 << d.slot)
        if self.random.random() < 0.3:  # twice
            self.q.outl(EJECT, 1 << d.slot)
        self.assertEqual(self.q.pci_readl(d.slot << 3, 0), 0xFFFFFFFF)
        if d.present:
            self.gone(d)

    def drive_del(self, d):
        answer = self.hmp(f"drive_del n{d.slot}")
        if not d.backend:
            self.assertIn("not found", answer)
        elif d.kind == "node" and d.present:
            self.assertIn("is in use", answer)
        else:
            self.assertEqual(answer, "")
            d.backend = d.state is not None  # else it goes with its device

    def blockdev_del(self, d):
        name = f"n{d.slot}"
        if d.kind != "node" or not d.backend:
            return self.fails("blockdev-del", f"Failed to find node with node-name='{name}'", node_name=name)
        if d.present:
            return self.fails("blockdev-del", f"Node {name} is in use", node_name=name)
        self.qmp.execute("blockdev-del", {"node-name": name})
        d.backend = False

    def reset_machine(self, _):
        self.reset()
        for d in self.disks:
            if d.state in ("requested", "acknowledged"):
                self.gone(d)

    def check(self):
        """What queries say of all disks is what the model says."""
        devices = {p["name"] for p in self.qmp.execute("qom-list", {"path": "/machine/peripheral"}) if p["name"] != "type"}
        self.assertEqual(devices, {d.name for d in self.disks if d.present})
        blocks = self.qmp.execute("query-block")
        nodes = {n["node-name"] for n in self.qmp.execute("query-named-block-nodes")}
        pci = {f["slot"]: f for f in self.qmp.execute("query-pci")[0]["devices"]}
        for d in self.disks:
            front = [b for b in blocks if b.get("qdev") == f"/machine/peripheral/{d.name}/virtio-backend"]
            self.assertEqual(len(front), 1 if d.present else 0, d.name)
            self.assertEqual(d.slot in pci, d.present)
            if d.present:
                self.assertEqual((front[0].get("unplug"), pci[d.slot].get("unplug")), (d.state, d.state), d.name)
                # The one way in which they may part: drive_del of a device that nobody has asked to go.
                self.assertEqual("inserted" in front[0], d.backend, d.name)
            if d.kind == "drive":
                self.assertEqual(any(b["device"] == f"n{d.slot}" for b in blocks), d.backend)
            elif d.kind == "node":
                self.assertEqual(f"n{d.slot}" in nodes, d.backend)

    def test_interleavings(self):
        """F3."""
        print(f"# seed {SEED}, {STEPS} steps (RHEA_SEED, RHEA_UNPLUG_STEPS)")
        self.random = random.Random(SEED)
        actions = [self.make] * 5 + [self.ask] * 4 + [self.ask_coupled] * 2 + [self.guest_reads] * 2 + \
            [self.guest_ejects] * 3 + [self.drive_del] * 2 + [self.blockdev_del] * 2 + [self.reset_machine]
        for step in range(STEPS):
            action, d = self.random.choice(actions), self.random.choice(self.disks)
            self.trail.append(f"{action.__name__} {d.name}")
            try:
                action(d)
                self.qmp.events = [e for e in self.qmp.events if e["event"] == "DEVICE_DELETED"]
                self.check()
            except (AssertionError, QmpError) as error:
                raise AssertionError(f"seed {SEED}, step {step}: {error}\n" + "\n".join(self.trail[-25:])) from error


if __name__ == "__main__":
    runner.main()
