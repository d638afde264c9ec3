"""Limits of drives and what they count: block_set_io_throttle, throttle groups, query-blockstats (S3.12)."""
import subprocess
import time
import unittest

from machine import MachineTest, needs_clock
from virtio import BlockDriver
from pyutil import runner
from pyutil.emulator import emulator_path
from pyutil.qmp import QmpError

SECOND = 1_000_000_000
NONE = {"bps": 0, "bps_rd": 0, "bps_wr": 0, "iops": 0, "iops_rd": 0, "iops_wr": 0}
WAIT_S = 20


class Limits(MachineTest):
    ARGS = ["-drive", "if=none,id=d,file=null-co://,format=raw,file.size=1048576,file.read-zeroes=on,"
                      "throttling.iops-total=10,iops_max=20,throttling.iops-total-max-length=2,group=g,stats-intervals.0=10",
            "-device", "virtio-blk-pci,drive=d,id=vb,addr=4", "-drive", "if=none,id=empty"]
    QDEV = "/machine/peripheral/vb/virtio-backend"

    def drive(self, command, name="d"):
        return next(b for b in self.qmp.execute(command) if b["device"] == name)

    def limits(self, **limits):
        self.qmp.execute("block_set_io_throttle", {**NONE, **limits})

    def stats(self):
        return self.drive("query-blockstats")["stats"]

    def wait_reads(self, count):
        """The answer of a request comes a moment before it is counted, or after."""
        end = time.monotonic() + WAIT_S
        while (seen := self.stats()["rd_operations"]) != count:
            self.assertLess(time.monotonic(), end, f"{seen} reads, not {count}, in {WAIT_S} s")

    def test_options_of_the_drive(self):
        inserted = self.drive("query-block")["inserted"]
        shown = {k: v for k, v in inserted.items() if k.startswith(("iops", "bps")) or k == "group"}
        self.assertEqual(shown, {**NONE, "iops": 10, "iops_max": 20, "iops_max_length": 2, "group": "g"})
        self.assertIn("    I/O throttling:   bps=0 bps_rd=0 bps_wr=0 bps_max=0 bps_rd_max=0 bps_wr_max=0 iops=10 "
                      "iops_rd=0 iops_wr=0 iops_max=20 iops_rd_max=0 iops_wr_max=0 iops_size=0 group=g\n",
                      self.qmp.hmp("info block d").replace("\r", ""))

    def test_changes_and_errors(self):
        self.limits(id=self.QDEV, bps=1000, iops_rd=5, iops_rd_max=50, iops_size=4096)
        inserted = self.drive("query-block")["inserted"]
        shown = {k: v for k, v in inserted.items() if k.startswith(("iops", "bps")) or k == "group"}
        self.assertEqual(shown, {**NONE, "bps": 1000, "iops_rd": 5, "iops_rd_max": 50, "iops_rd_max_length": 1,
                                 "iops_size": 4096, "group": "g"}, "the group stays where none is named")
        self.limits(device="d")
        self.assertNotIn("group", self.drive("query-block")["inserted"])
        self.qmp.hmp("block_set_io_throttle d 0 0 0 7 0 0")
        self.assertEqual(self.drive("query-block")["inserted"]["group"], "d")
        for arguments, text in (({}, "Need exactly one of 'device' and 'id'"),
                                ({"device": "empty", "bps": 1}, "Device has no medium"),
                                ({"device": "d", "bps": 1, "bps_rd": 1},
                                 "bps/iops/max total values and read/write values cannot be used at the same time"),
                                ({"device": "d", "bps": -1}, "bps/iops/max values must be within [0, 1000000000000000]"),
                                ({"device": "d", "bps": 2, "bps_max": 1}, "bps_max/iops_max cannot be lower than bps/iops")):
            with self.subTest(text=text), self.assertRaises(QmpError) as caught:
                self.qmp.execute("block_set_io_throttle", {**NONE, **arguments})
            self.assertEqual(caught.exception.desc, text)
        self.assertEqual(self.drive("query-block")["inserted"]["iops"], 7, "a refused change changes nothing")

    @needs_clock
    def test_requests_wait_for_the_clock(self):
        self.limits(device="d", iops=10)
        driver = BlockDriver(self.q)
        driver.start(1, 0)
        self.q.clock_step(SECOND)
        sent = [driver.send(driver.IN, in_bytes=512) for _ in range(6)]
        for s in sent[:2]:  # what a tenth of a second has
            driver.finish(s)
        self.wait_reads(2)
        self.q.clock_step(SECOND // 10 - 1_000_000)
        self.assertEqual(self.stats()["rd_operations"], 2)
        self.q.clock_step(2_000_000)
        driver.finish(sent[2])
        self.wait_reads(3)
        self.q.clock_step(2 * SECOND // 10)
        for s in sent[3:5]:
            driver.finish(s)
        self.limits(device="d")  # drained: the last one does not wait
        driver.finish(sent[5])
        self.wait_reads(6)

    @needs_clock
    def test_statistics(self):
        self.limits(device="d")
        driver = BlockDriver(self.q)
        driver.start(1, 0)
        self.qmp.execute("block-latency-histogram-set", {"id": self.QDEV, "boundaries": [1000, 500_000, 2_000_000]})
        self.assertNotIn("idle_time_ns", self.stats())
        self.q.clock_step(SECOND)
        for _ in range(3):
            driver.request(driver.IN, in_bytes=1024)
        driver.request(driver.OUT, sector=8, data=bytes(512))
        driver.request(driver.FLUSH)
        self.wait_reads(3)
        self.q.clock_step(SECOND)
        s = self.stats()
        self.assertEqual((s["rd_bytes"], s["wr_bytes"], s["wr_operations"], s["flush_operations"]), (3072, 512, 1, 1))
        self.assertEqual(s["wr_highest_offset"], 9 * 512)
        self.assertEqual((s["rd_total_time_ns"], s["idle_time_ns"]), (3_000_000, SECOND))
        self.assertEqual(s["rd_latency_histogram"], {"boundaries": [1000, 500_000, 2_000_000], "bins": [0, 0, 3, 0]})
        self.assertEqual([t["interval_length"] for t in s["timed_stats"]], [10])
        timed = s["timed_stats"][0]
        self.assertEqual([timed[f"{k}_rd_latency_ns"] for k in ("min", "max", "avg")], [1_000_000] * 3)
        self.assertGreater(timed["avg_rd_queue_depth"], 0)
        self.assertIn("d: rd_bytes=3072 wr_bytes=512 rd_operations=3 wr_operations=1 flush_operations=1 ",
                      self.qmp.hmp("info blockstats"))
        self.qmp.execute("block-latency-histogram-set", {"id": self.QDEV})
        self.assertNotIn("rd_latency_histogram", self.stats())
        with self.assertRaises(QmpError) as caught:
            self.qmp.execute("block-latency-histogram-set", {"id": self.QDEV, "boundaries-write": [5, 1]})
        self.assertEqual(caught.exception.desc, f"Device '{self.QDEV}' set write boundaries fail")

    def test_shape_of_statistics(self):
        """S3.12: libvirt reads the parent's highest offset, and matches drives by qdev or node name."""
        self.qmp.execute("blockdev-add", {"driver": "null-co", "node-name": "n", "size": 4096})
        d = self.drive("query-blockstats")
        self.assertEqual(d["qdev"], self.QDEV)
        self.assertEqual(d["parent"]["stats"]["wr_highest_offset"], 0)
        self.assertTrue(d["stats"]["account_invalid"] and d["stats"]["account_failed"])
        self.assertNotIn("node-name", self.drive("query-blockstats", "empty"))
        nodes = [n["node-name"] for n in self.qmp.execute("query-blockstats", {"query-nodes": True})]
        self.assertIn("n", nodes)


    @needs_clock
    def test_the_machine_ends_while_requests_wait(self):
        driver = BlockDriver(self.q)
        driver.start(1, 0)
        for _ in range(30):  # finish() then tells it to end
            driver.send(driver.IN, in_bytes=512)
        self.qmp.execute("device_del", {"id": "vb"})


class ByHand(MachineTest):
    ARGS = ["-drive", "if=none,id=d,file=null-co://,format=raw,iops=1"]

    def test_the_machine_ends_while_requests_by_hand_wait(self):
        for _ in range(4):
            self.qmp.hmp('qemu-io d "aio_read 0 512"')
        self.assertLess(self.qmp.execute("query-blockstats")[0]["stats"]["rd_operations"], 4)


class Formats(unittest.TestCase):
    def test_list(self):
        """What test programs ask before they use a driver."""
        done = subprocess.run([emulator_path(), "-drive", "format=help"], capture_output=True, text=True, timeout=60, check=True)
        lines = done.stdout.splitlines()
        self.assertEqual([l.partition(":")[0] for l in lines], ["Supported formats", "Supported formats (read-only)"])
        self.assertLessEqual({"null-co", "nbd", "qcow2", "raw", "throttle"}, set(lines[0].split()))


class Groups(MachineTest):
    ARGS = ["-object", "throttle-group,id=g,x-iops-total=10,x-iops-size=4096"]

    def set(self, value, name="limits"):
        self.qmp.execute("qom-set", {"path": "/objects/g", "property": name, "value": value})

    def get(self, name="limits"):
        return self.qmp.execute("qom-get", {"path": "/objects/g", "property": name})

    def error(self, command, arguments):
        with self.assertRaises(QmpError) as caught:
            self.qmp.execute(command, arguments)
        return caught.exception.desc

    def test_the_object(self):
        limits = self.get()
        self.assertEqual(len(limits), 19)
        self.assertEqual((limits["iops-total"], limits["iops-size"], limits["bps-read-max-length"]), (10, 4096, 1))
        self.set({"iops-total-max": 40})
        self.assertEqual((self.get()["iops-total"], self.get("x-iops-total-max")), (10, 40))
        for value in (5, -1):
            with self.assertRaises(QmpError) as caught:
                self.set(value, "x-iops-total")
            self.assertEqual(caught.exception.desc, "Property cannot be set after initialization")
        self.assertEqual(self.error("object-add", {"qom-type": "throttle-group", "id": "h", "x-bps-read": -1}),
                         "Property values cannot be negative")
        for value, text in (({"iops-read": 1}, "bps/iops/max total values and read/write values cannot be used at the same "
                                               "time"),
                            ({"foo": 1}, "Parameter 'limits.foo' is unexpected"),
                            ({"bps-total-max": 4}, "bps_max/iops_max require corresponding bps/iops values")):
            with self.subTest(text=text), self.assertRaises(QmpError) as caught:
                self.set(value)
            self.assertEqual(caught.exception.desc, text)

    def test_the_filter(self):
        node = {"driver": "throttle", "node-name": "f", "file": {"driver": "null-co", "size": 1 << 20}}
        self.assertEqual(self.error("blockdev-add", node), "Parameter 'throttle-group' is missing")
        self.assertEqual(self.error("blockdev-add", {**node, "throttle-group": "nix"}), "Throttle group 'nix' does not exist")
        self.qmp.execute("blockdev-add", {**node, "throttle-group": "g"})
        self.assertEqual(self.error("object-del", {"id": "g"}), "object 'g' is in use, can not be deleted")
        self.assertEqual(self.error("object-add", {"qom-type": "throttle-group", "id": "g"}),
                         "attempt to add duplicate property 'g' to object (type 'container')")
        self.qmp.execute("object-add", {"qom-type": "throttle-group", "id": "h", "limits": {"bps-write": 5}})
        self.qmp.execute("blockdev-del", {"node-name": "f"})
        for group in ("g", "h"):
            self.qmp.execute("object-del", {"id": group})


class SlowNode(MachineTest):
    ARGS = ["-object", "throttle-group,id=g,limits.iops-write=10", "-blockdev", "null-co,node-name=n,size=1048576",
            "-blockdev", "throttle,node-name=f,throttle-group=g,file=n", "-device", "virtio-blk-pci,drive=f,id=vb,addr=4"]

    @needs_clock
    def test_writes_wait_until_the_limits_change(self):
        driver = BlockDriver(self.q)
        driver.start(1, 0)
        self.q.clock_step(SECOND)
        sent = [driver.send(driver.OUT, data=bytes(512)) for _ in range(5)]
        for s in sent[:2]:
            driver.finish(s)
        driver_reads = driver.send(driver.IN, in_bytes=512)
        driver.finish(driver_reads)  # passes those that wait
        self.q.clock_step(SECOND // 10 + 1_000_000)
        driver.finish(sent[2])
        self.qmp.execute("qom-set", {"path": "/objects/g", "property": "limits", "value": {"iops-write": 0}})
        for s in sent[3:]:
            driver.finish(s)


if __name__ == "__main__":
    runner.main()
