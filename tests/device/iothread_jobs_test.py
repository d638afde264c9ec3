"""Jobs, exports, limits, snapshots and changes of the graph on a disk whose queues are served in I/O threads, while a driver
writes and reads without pause: what is on the disk afterwards is what the driver wrote. S1.8, S2.5, S2.8, S2.10, S3.12."""
import json
import os
import random
import struct
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from disk_jobs import SIZE, DiskJobsTest  # noqa: E402
from machine import not_the_peer  # noqa: E402
from virtio import BlockDriver, wait_until  # noqa: E402
from pyutil import runner  # noqa: E402

BLOCK = 65536
QUIET = SIZE - (1 << 20)  # the driver writes below this
ROUND_S = 60


class Load(threading.Thread):
    """A driver that writes `DEPTH` blocks at a time, and knows what each holds. It has the qtest connection to itself."""
    DEPTH = 6

    def __init__(self, qtest, queues, seed):
        super().__init__(daemon=True)
        self.driver = BlockDriver(qtest, 5)
        self.driver.start(queues)
        self.q, self.queues, self.random = qtest, queues, random.Random(seed)
        self.content = [0] * (QUIET // BLOCK)
        self.rounds, self.error = 0, None
        self._enough, self._resting, self._may_go = threading.Event(), threading.Event(), threading.Event()
        self._may_go.set()
        self._turn = threading.Condition()
        d = self.driver
        self.slots = [(d.allocate(16), d.allocate(BLOCK, 4096), d.allocate(16)) for _ in range(self.DEPTH)]

    def transfer(self, blocks, kind, values=None):
        """One request for each block, all under way at once."""
        d, heads = self.driver, {}
        for i, block in enumerate(blocks):
            header, data, status = self.slots[i]
            self.q.write(header, struct.pack("<IIQ", kind, 0, block * (BLOCK // 512)))
            if values:
                self.q.memset(data, BLOCK, values[i])
            self.q.writeb(status, 0xff)
            queue = i % self.queues
            head = d.offer(queue, [(header, 16, False), (data, BLOCK, kind == d.IN), (status, 1, True)])
            heads[queue, head] = i
        for i in range(len(blocks)):
            queue = i % self.queues
            del heads[queue, d.wait_used(queue)[0]]
        for i in range(len(blocks)):
            if self.q.readb(self.slots[i][2]) != 0:
                raise AssertionError(f"request {i} of {blocks} failed")

    def verify(self, blocks):
        self.transfer(blocks, self.driver.IN)
        for i, block in enumerate(blocks):
            data = self.q.read(self.slots[i][1], BLOCK)
            if data != bytes([self.content[block]]) * BLOCK:
                raise AssertionError(f"block {block} has {data[0]:#x}, not {self.content[block]:#x}")

    def verify_all(self):
        """After end()."""
        for first in range(0, len(self.content), self.DEPTH):
            self.verify(range(first, min(first + self.DEPTH, len(self.content))))

    def round(self):
        blocks = self.random.sample(range(len(self.content)), self.DEPTH)
        values = [self.random.randrange(1, 256) for _ in blocks]
        self.transfer(blocks, self.driver.OUT, values)
        for block, value in zip(blocks, values):
            self.content[block] = value
        if self.rounds % 4 == 3:
            self.verify(self.random.sample(range(len(self.content)), 2))

    def run(self):
        try:
            while not self._enough.is_set():
                if not self._may_go.is_set():
                    self._resting.set()
                    self._may_go.wait(ROUND_S)
                    continue
                self.round()
                with self._turn:
                    self.rounds += 1
                    self._turn.notify_all()
        except Exception as e:  # for whoever joins
            self.error = e
        with self._turn:
            self._turn.notify_all()

    def more(self, count=2):
        """Returns after that many rounds more."""
        with self._turn:
            wanted = self.rounds + count
            if not self._turn.wait_for(lambda: self.error or self.rounds >= wanted, ROUND_S) or self.error:
                raise AssertionError(f"the driver does not go on: {self.error}")

    def rest(self):
        """Nothing is under way; returns what the disk holds."""
        self._resting.clear()
        self._may_go.clear()
        while not self._resting.wait(1):
            if not self.is_alive():
                raise AssertionError(f"the driver has ended: {self.error}")
        return list(self.content)

    def go_on(self):
        self._may_go.set()

    def end(self):
        self._enough.set()
        self._may_go.set()
        self.join(ROUND_S)
        if self.is_alive() or self.error:
            raise AssertionError(f"the driver: {self.error or 'it does not end'}")


class UnderLoad(DiskJobsTest):
    """One queue in one thread."""
    THREADS = ["-object", "iothread,id=io0"]
    DEVICE_OPTIONS = {"iothread": "io0"}
    QUEUES = 1

    def drive_args(self):
        args = super().drive_args()[:-2]
        device = {"driver": "virtio-blk-pci", "drive": "f1", "id": "virtio-disk0", "addr": "5", "num-queues": self.QUEUES,
                  "share-rw": True, **self.DEVICE_OPTIONS}
        return [*self.THREADS, *args, "-device", json.dumps(device)]

    def setUp(self):
        super().setUp()
        seed = random.randrange(1 << 32)
        self.load = Load(self.q, self.QUEUES, seed)
        self.addCleanup(self.load.end)
        print(f"# seed {seed}")
        self.load.start()
        self.load.more()

    def finish_load(self):
        self.load.more()
        self.load.end()
        self.load.verify_all()

    def assert_blocks(self, content, where):
        for block, value in enumerate(content):
            self.io(f"read -P {value} {block * BLOCK} {BLOCK}", where)

    def replaced(self, number):
        self.assertEqual(self.drive()["inserted"]["node-name"], f"f{number}")

    def mirror(self, source, target, **options):
        self.make(target)
        self.start("blockdev-mirror", device=f"f{source}", target=f"f{target}", sync="full", **options)
        self.pivot(source, target)

    def pivot(self, source, target):
        self.qmp.wait_event("BLOCK_JOB_READY")
        self.load.more()
        self.qmp.execute("job-complete", {"id": "j"})
        _, info = self.conclude()
        self.assertNotIn("error", info)
        self.replaced(target)
        self.load.more()
        self.delete(source)

    def test_copies_and_pivots(self):  # S2.8, S2.10
        self.mirror(1, 2)
        self.mirror(2, 3, copy_mode="write-blocking")
        self.make(4)
        self.start("blockdev-mirror", device="f3", target="f4", sync="full", speed=1 << 20)
        self.load.more(4)
        self.qmp.execute("block-job-set-speed", {"device": "j", "speed": 0})
        self.pivot(3, 4)
        self.finish_load()

    def test_cancelled_copies(self):  # S2.5
        self.make(2)
        for mode in ("background", "write-blocking"):
            self.start("blockdev-mirror", device="f1", target="f2", sync="full", speed=1 << 20, copy_mode=mode)
            self.states("j", "running")
            self.load.more()
            self.qmp.execute("block-job-pause", {"device": "j"})
            self.states("j", "paused")
            self.load.more()
            self.qmp.execute("block-job-resume", {"device": "j"})
            self.qmp.execute("block-job-cancel", {"device": "j", "force": True})
            self.conclude()
            self.replaced(1)
        self.delete(2)
        self.finish_load()

    def test_snapshots_commits_and_pulls(self):
        self.snapshot(1, 2)
        self.load.more()
        self.snapshot(2, 3)
        self.load.more()
        self.start("block-commit", device="f3", **{"top-node": "f2", "base-node": "f1"})
        _, info = self.conclude()
        self.assertNotIn("error", info)
        self.delete(2)
        self.load.more()
        self.start("block-commit", device="f3")
        self.qmp.wait_event("BLOCK_JOB_READY")
        self.load.more()
        self.qmp.execute("job-complete", {"id": "j"})
        _, info = self.conclude()
        self.assertNotIn("error", info)
        self.replaced(1)
        self.delete(3)
        self.snapshot(1, 4)
        self.load.more()
        self.start("block-stream", device="f4")
        _, info = self.conclude()
        self.assertNotIn("error", info)
        self.delete(1)
        self.finish_load()

    def test_backups(self):
        self.make(2)
        before = self.load.rest()
        self.qmp.execute("transaction", {"actions": [
            {"type": "block-dirty-bitmap-add", "data": {"node": "f1", "name": "b"}},
            {"type": "blockdev-backup", "data": {"device": "f1", "target": "f2", "sync": "full", "job-id": "j", "speed": 8 << 20,
                                                 "auto-dismiss": False}}]})
        self.load.go_on()
        _, info = self.conclude()
        self.assertNotIn("error", info)
        self.load.rest()
        self.assert_blocks(before, "f2")
        self.load.go_on()
        self.load.more()
        before = self.load.rest()
        self.start("blockdev-backup", device="f1", target="f2", sync="incremental", bitmap="b", speed=8 << 20)
        self.load.go_on()
        _, info = self.conclude()
        self.assertNotIn("error", info)
        self.assertFalse(self.bitmap("b")["busy"])
        self.load.more()
        self.load.rest()
        self.assert_blocks(before, "f2")
        self.load.go_on()
        for action in ("disable", "enable", "clear", "remove"):
            self.qmp.execute(f"block-dirty-bitmap-{action}", {"node": "f1", "name": "b"})
            self.load.more(1)
        self.finish_load()

    def test_internal_snapshots_and_reopening(self):
        for i in range(3):
            self.qmp.execute("blockdev-snapshot-internal-sync", {"device": "f1", "name": f"s{i}"})
            self.load.more()
            options = {"driver": "qcow2", "node-name": "f1", "file": "s1", "backing": None, "discard": ("unmap", "ignore")[i % 2],
                       "lazy-refcounts": i % 2 == 0}
            self.qmp.execute("blockdev-reopen", {"options": [options]})
            self.load.more()
        for i in range(3):
            self.qmp.execute("blockdev-snapshot-delete-internal-sync", {"device": "f1", "name": f"s{i}"})
        self.finish_load()

    @not_the_peer("its clock does not stand still")
    def test_limits_come_and_go(self):  # S3.12
        none = {"bps": 0, "bps_rd": 0, "bps_wr": 0, "iops": 0, "iops_rd": 0, "iops_wr": 0}
        for i in range(5):
            self.qmp.execute("block_set_io_throttle", {**none, "id": "virtio-disk0", "iops": 2 + i, "group": f"g{i % 2}"})
            self.qmp.execute("query-block")
            self.qmp.execute("block_set_io_throttle", {**none, "id": "virtio-disk0"})
            self.load.more()
        self.finish_load()

    def test_queries_and_statistics(self):  # S3.12
        for _ in range(10):
            self.qmp.execute("block-latency-histogram-set", {"id": "virtio-disk0", "boundaries": [10, 1000000]})
            for query in ("query-block", "query-blockstats", "query-named-block-nodes"):
                self.qmp.execute(query)
            self.load.more(1)
        stats = next(s for s in self.qmp.execute("query-blockstats") if s.get("qdev") == "/machine/peripheral/virtio-disk0/virtio-backend")
        self.assertGreater(sum(stats["stats"]["wr_latency_histogram"]["bins"]), 0)
        self.assertGreaterEqual(stats["stats"]["wr_operations"], Load.DEPTH)
        self.qmp.execute("block-set-write-threshold", {"node-name": "s1", "write-threshold": 1})
        self.qmp.wait_event("BLOCK_WRITE_THRESHOLD")
        self.finish_load()

    def test_export(self):
        """Its client writes what the driver leaves alone."""
        path = self.vm.path("nbd")
        self.qmp.execute("nbd-server-start", {"addr": {"type": "unix", "data": {"path": path}}})
        self.qmp.execute("block-export-add", {"type": "nbd", "id": "e", "node-name": "f1", "name": "e", "writable": True})
        self.qmp.execute("blockdev-add", {"driver": "nbd", "node-name": "client", "export": "e",
                                          "server": {"type": "unix", "path": path}})
        for value in range(1, 9):
            at = QUIET + (value - 1) * BLOCK
            self.io(f"write -P {value} {at} {BLOCK}", "client")
            self.io(f"read -P {value} {at} {BLOCK}", "client")
            self.load.more(1)
        self.qmp.execute("blockdev-del", {"node-name": "client"})
        self.qmp.execute("nbd-server-stop")
        self.load.more()
        self.load.end()
        for value in range(1, 9):
            self.io(f"read -P {value} {QUIET + (value - 1) * BLOCK} {BLOCK}")
        self.load.verify_all()

    def test_stop_and_cont(self):
        for _ in range(10):
            self.qmp.execute("stop")
            self.qmp.execute("cont")
            self.load.more(1)
        self.make(2)
        self.start("blockdev-mirror", device="f1", target="f2", sync="full")
        for _ in range(10):
            self.qmp.execute("stop")
            self.qmp.execute("cont")
            self.load.more(1)
        self.qmp.wait_event("BLOCK_JOB_READY")
        self.qmp.execute("job-complete", {"id": "j"})
        self.conclude()
        self.replaced(2)
        self.finish_load()

    def test_unplug_with_a_job(self):  # S1.8
        """The disk goes, with requests of a moment ago; the job goes on without it."""
        self.make(2)
        self.start("blockdev-mirror", device="f1", target="f2", sync="full", speed=1 << 20)
        self.states("j", "running")
        self.load.more()
        self.qmp.execute("device_del", {"id": "virtio-disk0"})
        self.load.rest()
        self.load.end()
        header, data, status = self.load.slots[0]
        self.load.driver.offer(0, [(header, 16, False), (data, BLOCK, True), (status, 1, True)])
        self.q.outl(0xae08, 1 << 5)
        self.qmp.wait_event("DEVICE_DELETED", match=lambda e: e["data"].get("device") == "virtio-disk0")
        self.qmp.execute("block-job-set-speed", {"device": "j", "speed": 0})
        self.qmp.wait_event("BLOCK_JOB_READY")
        self.qmp.execute("block-job-cancel", {"device": "j"})
        _, info = self.conclude()
        self.assertNotIn("error", info)
        self.assert_blocks(self.load.content, "f2")
        self.delete(1, 2)

    def test_end_in_the_middle(self):
        """The process ends with a job and requests under way."""
        self.make(2)
        self.start("blockdev-mirror", device="f1", target="f2", sync="full", speed=65536)
        self.states("j", "running")
        self.load.more()
        self.load.end()
        header, data, status = self.load.slots[0]
        self.load.driver.offer(0, [(header, 16, False), (data, BLOCK, True), (status, 1, True)])


@not_the_peer("iothread-vq-mapping came after 7.2")
class UnderLoadInTwoThreads(UnderLoad):
    """Two queues of one disk, each in a thread of its own."""
    THREADS = ["-object", "iothread,id=io0", "-object", "iothread,id=io1"]
    DEVICE_OPTIONS = {"iothread-vq-mapping": [{"iothread": "io0"}, {"iothread": "io1"}]}
    QUEUES = 2


@not_the_peer("it has no thread of the machine's own")
class GroupAcrossThreads(DiskJobsTest):
    """Two disks in two loops share a throttle group."""

    def drive_args(self):
        return ["-object", "iothread,id=io0",
                *[word for i, more in enumerate((",iothread=io0", ",ioeventfd=off"))
                  for word in ("-drive", f"if=none,id=d{i},file=null-co://,format=raw,file.size=1048576,file.read-zeroes=on,"
                               "throttling.iops-total=10,throttling.group=g",
                               "-device", f"virtio-blk-pci,drive=d{i},id=vb{i},addr={4 + i}{more}")]]

    def test_they_take_turns(self):  # S3.12
        drivers = [BlockDriver(self.q, 4 + i, 0xc000 + 0x100 * i, 0x100000 * (i + 1)) for i in range(2)]
        for driver in drivers:
            driver.start(1)
        sent = [(driver, driver.send(driver.IN, in_bytes=512)) for _ in range(6) for driver in drivers]
        answered = [0, 0]

        def step():
            self.q.clock_step(100_000_000)
            for i, driver in enumerate(drivers):
                while driver.used(0):
                    answered[i] += 1
            self.assertLessEqual(abs(answered[0] - answered[1]), 5, "one of them is served alone")
            return sum(answered) == len(sent)
        wait_until(self, step)


if __name__ == "__main__":
    runner.main()
