"""virtio disks in I/O threads, over qtest: where requests run, what the machine does to the disk meanwhile, the object's
properties and the errors users know. S1.8, S3.12."""
import os
import struct
import subprocess
import tempfile

import virtio_blk_test
from machine import MachineTest, not_the_peer
from pyutil import runner
from pyutil.emulator import emulator_path
from virtio import BlockDriver, ModernDriver, wait_until

THREAD = ["-object", "iothread,id=io0"]


class ModernBlock(BlockDriver, ModernDriver):
    __init__, start, notify = ModernDriver.__init__, ModernDriver.start, ModernDriver.notify
    status, set_status, isr, features = ModernDriver.status, ModernDriver.set_status, ModernDriver.isr, ModernDriver.features


def null(name="n", **options):
    more = "".join(f",{k.replace('_', '-')}={v}" for k, v in options.items())
    return ["-blockdev", f"null-co,node-name={name},size=1048576,read-zeroes=on{more}"]


class Disk(MachineTest):
    ARGS = THREAD + null() + ["-device", "virtio-blk-pci,id=d0,drive=n,addr=4,iothread=io0"]

    def threads(self):
        return {t["id"]: t["thread-id"] for t in self.qmp.execute("query-iothreads")}

    def switches(self, tid):
        """How often that thread has gone to sleep by itself."""
        with open(f"/proc/{self.vm.pid}/task/{tid}/status", encoding="ascii") as file:
            return int(next(line for line in file if line.startswith("voluntary_ctxt")).split()[1])

    def named(self, name):
        """The ids of the threads with that name."""
        found = []
        for tid in os.listdir(f"/proc/{self.vm.pid}/task"):
            with open(f"/proc/{self.vm.pid}/task/{tid}/comm", encoding="utf-8") as file:
                if file.read().strip() == name:
                    found.append(int(tid))
        return found


class Serving(Disk):
    def test_requests_run_in_the_thread(self):
        tid = self.threads()["io0"]
        driver = BlockDriver(self.q)
        driver.start()
        self.qmp.execute("qom-set", {"path": "/objects/io0", "property": "poll-max-ns", "value": 0})
        driver.request(driver.IN, in_bytes=512)
        before = self.switches(tid)
        for sector in range(50):
            self.assertEqual(driver.request(driver.IN, sector=sector, in_bytes=512), (bytes(512), 0))
        self.assertGreater(self.switches(tid), before, "without requests it sleeps on")
        self.assertEqual(self.named("IO machine"), [])

    def test_modern_doorbells(self):
        driver = ModernBlock(self.q)
        driver.start()
        for sector in range(8):
            self.assertEqual(driver.request(driver.IN, sector=sector, in_bytes=512), (bytes(512), 0))
        driver.notify = lambda n: self.q.writel(driver.bar + 0x3000 + 4 * n, n)  # any size will do
        self.assertEqual(driver.request(driver.IN, in_bytes=512)[1], 0)

    def test_interrupt_by_the_pin(self):
        driver = BlockDriver(self.q)
        driver.start()
        driver.request(driver.IN, in_bytes=512)
        wait_until(self, lambda: driver.isr() == 1)
        self.assertEqual(driver.isr(), 0)

    def test_interrupt_by_a_vector(self):
        driver = BlockDriver(self.q)
        self.q.pci_writel(driver.devfn, 0x14, 0xfe100000)
        for n in range(2):
            for word, value in enumerate((0x80000, 0, 0x55 + n, 0)):
                self.q.writel(0xfe100000 + 16 * n + 4 * word, value)
        self.q.pci_writew(driver.devfn, 0x98 + 2, 0x8000)
        driver.reset()
        driver.set_status(3)
        driver.start()
        self.q.outw(driver.io + 14, 0)
        self.q.outw(driver.io + 22, 1)
        driver.request(driver.IN, in_bytes=512)
        wait_until(self, lambda: self.q.readl(0x80000) == 0x56)

    def test_many_in_one_go(self):
        """Requests put into the ring before one doorbell, neighbours among them."""
        driver = BlockDriver(self.q)
        driver.start()
        pieces = []
        for sector in (5, 6, 7, 100, 8, 9, 3000, 4):
            header = driver.put(struct.pack("<IIQ", driver.IN, 0, sector))
            answer = driver.put(b"\xff" * 513)
            pieces.append((driver.offer(0, [(header, 16, False), (answer, 512, True), (answer + 512, 1, True)],
                                        notify=False), answer, 1 if sector == 3000 else 0))
        driver.notify(0)
        heads = sorted(driver.wait_used(0)[0] for _ in pieces)
        self.assertEqual(heads, sorted(head for head, _, _ in pieces))
        for _, answer, status in pieces:
            self.assertEqual(self.q.read(answer + 512, 1)[0], status)

    def test_stop_and_cont(self):
        driver = BlockDriver(self.q)
        driver.start()
        for _ in range(5):
            sent = driver.send(driver.IN, in_bytes=512)
            self.qmp.execute("stop")
            self.qmp.execute("cont")
            self.assertEqual(driver.finish(sent)[1], 0)

    def test_machine_reset(self):
        driver = BlockDriver(self.q)
        driver.start()
        driver.send(driver.IN, in_bytes=512)
        self.reset()
        driver = BlockDriver(self.q)
        driver.start()
        self.assertEqual(driver.request(driver.IN, in_bytes=512)[1], 0)

    def test_bus_master_off_and_on(self):
        driver = BlockDriver(self.q)
        driver.start()
        driver.request(driver.IN, in_bytes=512)
        self.q.pci_writew(driver.devfn, 4, 3)
        sent = driver.send(driver.IN, in_bytes=512)
        self.qmp.execute("query-block")
        self.assertIsNone(driver.used(0))
        self.q.pci_writew(driver.devfn, 4, 7)
        self.assertEqual(driver.finish(sent)[1], 0)

    def test_queries_and_deletion_of_the_node(self):
        self.assert_error("Node n is in use", "blockdev-del", node_name="n")
        path = "/machine/peripheral/d0/virtio-backend"
        self.assertEqual(self.qmp.execute("qom-get", {"path": path, "property": "iothread"}), "/objects/io0")
        self.assertEqual(self.qmp.execute("qom-get", {"path": "d0", "property": "iothread"}), "/objects/io0")
        self.assertEqual([b["qdev"] for b in self.qmp.execute("query-block")], [path])


@not_the_peer("its null-co knows no latency-ns of this length")
class Slow(Disk):
    """Requests that take 200 ms."""
    ARGS = THREAD + null(latency_ns=200000000) + ["-device", "virtio-blk-pci,id=d0,drive=n,addr=4,iothread=io0"]

    def test_reset_with_requests_under_way(self):
        driver = BlockDriver(self.q)
        driver.start()
        driver.send(driver.IN, in_bytes=512)
        wait_until(self, lambda: self.q.inb(driver.io + 18) == 7)
        driver.set_status(0)
        wait_until(self, lambda: driver.status() == 0)
        driver.start()
        self.assertEqual(driver.request(driver.IN, in_bytes=512)[1], 0)

    def test_unplug_with_requests_under_way(self):
        """S1.8: the guest ejects a disk that works; the node is free afterwards, and the thread too."""
        driver = BlockDriver(self.q)
        driver.start()
        driver.send(driver.IN, in_bytes=512)
        self.qmp.execute("device_del", {"id": "d0"})
        self.q.outl(0xae08, 1 << 4)
        while self.qmp.wait_event("DEVICE_DELETED")["data"].get("device") != "d0":
            pass
        self.qmp.execute("blockdev-del", {"node-name": "n"})
        self.qmp.execute("object-del", {"id": "io0"})
        self.assertEqual(self.threads(), {})

    def test_stop_waits_for_them(self):
        driver = BlockDriver(self.q)
        driver.start()
        sent = driver.send(driver.IN, in_bytes=512)
        driver.send(driver.IN, in_bytes=512)
        self.qmp.execute("stop")
        self.qmp.execute("cont")
        self.assertEqual(driver.finish(sent)[1], 0)

    def test_end_with_requests_under_way(self):
        driver = BlockDriver(self.q)
        driver.start()
        driver.send(driver.IN, in_bytes=512)


@not_the_peer("its drive's size does not go with the medium")
class MediumGone(Disk):
    ARGS = THREAD + ["-drive", "if=none,id=d,file=null-co://,format=raw,file.size=1048576,file.read-zeroes=on",
                     "-device", "virtio-blk-pci,id=d0,drive=d,addr=4,iothread=io0"]

    def test_drive_del_among_requests(self):
        """Each is answered; those that come later fail."""
        driver = BlockDriver(self.q)
        driver.start()
        sent = [driver.send(driver.IN, sector=i, in_bytes=512) for i in range(16)]
        self.qmp.hmp("drive_del d")
        self.assertEqual(sorted(driver.wait_used(0)[0] for _ in sent), sorted(request[0] for request in sent))
        self.assertEqual(driver.request(driver.IN, in_bytes=512)[1], 1)
        self.assertEqual(driver.request(driver.FLUSH)[1], 1)
        self.qmp.execute("device_del", {"id": "d0"})
        self.q.outl(0xae08, 1 << 4)
        while self.qmp.wait_event("DEVICE_DELETED")["data"].get("device") != "d0":
            pass
        self.assertEqual(self.qmp.execute("query-block"), [])


class Object(Disk):
    def test_properties(self):
        """S3.12: query-iothreads and qom-set as managers use them."""
        thread = self.qmp.execute("query-iothreads")[0]
        self.assertEqual({k: v for k, v in thread.items() if k != "thread-id"},
                         {"id": "io0", "poll-max-ns": 32768, "poll-grow": 0, "poll-shrink": 0, "aio-max-batch": 0})
        self.assertIn(thread["thread-id"], self.named("IO io0"))
        driver = BlockDriver(self.q)
        driver.start()
        for name, value in (("poll-max-ns", 1000000), ("poll-grow", 4), ("poll-shrink", 2), ("aio-max-batch", 8),
                            ("poll-max-ns", 0)):
            self.qmp.execute("qom-set", {"path": "/objects/io0", "property": name, "value": value})
            self.assertEqual(self.qmp.execute("query-iothreads")[0][name], value)
            for _ in range(20):
                self.assertEqual(driver.request(driver.IN, in_bytes=512)[1], 0)
        self.assert_error("poll-max-ns value must be in range [0, 9223372036854775807]", "qom-set",
                          path="/objects/io0", property="poll-max-ns", value=-1)

    def test_deleted_while_in_use(self):
        """It leaves the tree, as in QEMU; the disk goes on in its thread."""
        driver = BlockDriver(self.q)
        driver.start()
        self.qmp.execute("object-del", {"id": "io0"})
        self.assertEqual(self.threads(), {})
        self.assertEqual(driver.request(driver.IN, in_bytes=512)[1], 0)
        self.qmp.execute("object-add", {"qom-type": "iothread", "id": "io0"})
        self.assertEqual(list(self.threads()), ["io0"])
        self.assertEqual(driver.request(driver.IN, in_bytes=512)[1], 0)

    def test_refusals(self):
        for properties, text in (("iothread=nosuch", "Device 'nosuch' not found"),
                                 ("iothread=/machine", "Invalid parameter type for 'iothread', expected: iothread"),
                                 ("iothread=io0,ioeventfd=off", "ioeventfd is required for iothread")):
            done = subprocess.run([emulator_path(), "-machine", "pc", "-S", "-nodefaults", "-display", "none",
                                   "-accel", "tcg" if "qemu" in emulator_path() else "qtest", *THREAD, *null(),
                                   "-device", f"virtio-blk-pci,drive=n,{properties}"],
                                  capture_output=True, text=True, timeout=30, check=False)
            self.assertEqual(done.returncode, 1, properties)
            self.assertIn(text, done.stderr)


class Several(Disk):
    ARGS = (THREAD + ["-object", "iothread,id=io1"] + null("n0") + null("n1") + null("n2") +
            ["-device", "virtio-blk-pci,id=d0,drive=n0,addr=4,iothread=io0,num-queues=2",
             "-device", "virtio-blk-pci,id=d1,drive=n1,addr=5,iothread=io1",
             "-device", "virtio-blk-pci,id=d2,drive=n2,addr=6,iothread=io0"])

    def test_disks_share_threads(self):
        drivers = [BlockDriver(self.q, 4 + i, 0xc000 + 0x100 * i, 0x100000 * (i + 1)) for i in range(3)]
        for driver in drivers:
            driver.start(2 if driver is drivers[0] else 1)
        for _ in range(10):
            sent = [(d, d.send(d.IN, in_bytes=512)) for d in drivers]
            sent.append((drivers[0], drivers[0].send(BlockDriver.IN, in_bytes=512, queue=1)))
            for driver, request in sent:
                self.assertEqual(driver.finish(request), (bytes(512), 0))
        self.qmp.execute("device_del", {"id": "d2"})
        self.q.outl(0xae08, 1 << 6)
        while self.qmp.wait_event("DEVICE_DELETED")["data"].get("device") != "d2":
            pass
        self.assertEqual(drivers[0].request(BlockDriver.IN, in_bytes=512)[1], 0)


@not_the_peer("it came after 7.2")
class Mapping(Disk):
    """iothread-vq-mapping: the queues of one disk in several threads."""
    ARGS = THREAD + ["-object", "iothread,id=io1"] + null()

    def add(self, mapping, **more):
        device = {"driver": "virtio-blk-pci", "id": "d0", "drive": "n", "addr": "4", "num-queues": 4,
                  "iothread-vq-mapping": mapping, **more}
        return self.qmp.call({"execute": "device_add", "arguments": device})

    def test_shared_out_and_by_number(self):
        for mapping in ([{"iothread": "io0"}, {"iothread": "io1"}],
                        [{"iothread": "io1", "vqs": [3, 0, 1]}, {"iothread": "io0", "vqs": [2]}]):
            self.assertIn("return", self.add(mapping))
            self.assertEqual(self.qmp.execute("qom-get", {"path": "d0", "property": "iothread-vq-mapping"}), mapping)
            driver = BlockDriver(self.q)
            driver.start(4, 1 << 12)
            for _ in range(20):
                sent = [driver.send(driver.IN, in_bytes=512, queue=n) for n in range(4)]
                self.assertEqual([driver.finish(request)[1] for request in sent], [0] * 4)
            self.qmp.execute("stop")
            self.qmp.execute("cont")
            driver.reset()
            self.qmp.execute("device_del", {"id": "d0"})
            self.q.outl(0xae08, 1 << 4)
            while self.qmp.wait_event("DEVICE_DELETED")["data"].get("device") != "d0":
                pass

    def test_refusals(self):
        two = [{"iothread": "io0"}, {"iothread": "io1"}]
        for mapping, more, text in (
                (two, {"iothread": "io0"}, "iothread and iothread-vq-mapping properties cannot be set at the same time"),
                (two, {"ioeventfd": False}, "ioeventfd is required for iothread-vq-mapping"),
                ([{"iothread": "zz"}], {}, 'IOThread "zz" object does not exist'),
                ([{"iothread": "io0"}] * 2, {}, 'duplicate IOThread name "io0" in iothread-vq-mapping'),
                ([{"iothread": "io0", "vqs": [0, 1, 2, 3]}, {"iothread": "io1"}], {},
                 "either all items in iothread-vq-mapping must have vqs or none of them must have it"),
                ([{"iothread": "io0", "vqs": [0, 4]}], {},
                 'vq index 4 for IOThread "io0" must be less than num_queues 4 in iothread-vq-mapping'),
                ([{"iothread": "io0", "vqs": [0, 1]}, {"iothread": "io1", "vqs": [1]}], {},
                 'cannot assign vq 1 to IOThread "io1" because it is already assigned'),
                ([{"iothread": "io0", "vqs": [0, 1, 3]}], {}, "missing vq 2 IOThread assignment in iothread-vq-mapping"),
                ([{"vqs": [0]}], {}, "Parameter 'iothread' is missing"),
                ([{"iothread": "io0", "vqs": [-1]}], {}, "Invalid parameter type for 'vqs', expected: integer")):
            self.assertEqual(self.add(mapping, **more).get("error", {}).get("desc"), text)


@not_the_peer("it has no thread of the machine's own")
class MachinesOwn(Disk):
    ARGS = null() + null("m") + ["-device", "virtio-blk-pci,id=d0,drive=n,addr=4"]

    def test_disks_without_a_thread_share_one(self):
        self.assertEqual(len(self.named("IO machine")), 1)
        self.assertEqual(self.threads(), {})
        self.qmp.execute("device_add", {"driver": "virtio-blk-pci", "id": "d1", "drive": "m", "addr": "5"})
        self.assertEqual(len(self.named("IO machine")), 1)
        driver = BlockDriver(self.q)
        driver.start()
        self.assertEqual(driver.request(driver.IN, in_bytes=512)[1], 0)


@not_the_peer("it has no thread of the machine's own")
class WithoutDoorbells(Disk):
    ARGS = null() + ["-device", "virtio-blk-pci,id=d0,drive=n,addr=4,ioeventfd=off"]

    def test_served_by_the_main_loop(self):
        self.assertEqual(self.named("IO machine"), [])
        driver = BlockDriver(self.q)
        driver.start()
        driver.send(driver.IN, in_bytes=512)
        self.assertIsNotNone(driver.used(0), "at once: the write to the register is the request")


class Resize(Disk):
    def args(self):
        with tempfile.NamedTemporaryFile(suffix=".img", delete=False) as image:
            image.truncate(1 << 20)
        self.path = image.name
        self.addCleanup(os.unlink, self.path)
        return THREAD + ["-blockdev", f"driver=file,node-name=f,filename={self.path}", "-blockdev", "raw,file=f,node-name=n",
                         "-device", "virtio-blk-pci,id=d0,drive=n,addr=4,iothread=io0"]

    def test_resize_among_requests(self):
        driver = BlockDriver(self.q)
        driver.start()
        for step in range(1, 6):
            sent = [driver.send(driver.OUT, sector=i, data=bytes([step]) * 512) for i in range(8)]
            self.qmp.execute("block_resize", {"node-name": "n", "size": (1 << 20) + step * 4096})
            self.assertEqual(sorted(driver.wait_used(0)[0] for _ in sent), sorted(request[0] for request in sent))
            self.assertEqual([self.q.read(request[1], 1)[0] for request in sent], [0] * 8)
            self.assertEqual(driver.config_long(0, 8), 2048 + 8 * step)
        with open(self.path, "rb") as image:
            self.assertEqual(image.read(4096), b"\x05" * 4096)


class Shared(Disk):
    """An image that two disks write to at once, one in a thread and one in the main loop."""

    def args(self):
        with tempfile.NamedTemporaryFile(suffix=".qcow2", delete=False) as image:
            self.path = image.name
        self.addCleanup(os.unlink, self.path)
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", self.path, "16M"], check=True, timeout=30)
        return THREAD + ["-blockdev", f"driver=file,node-name=f,filename={self.path}",
                         "-blockdev", "qcow2,file=f,node-name=n",
                         "-device", "virtio-blk-pci,id=d0,drive=n,addr=4,iothread=io0,share-rw=on",
                         "-device", "virtio-blk-pci,id=d1,drive=n,addr=5,ioeventfd=off,share-rw=on"]

    def test_both_allocate_clusters(self):
        drivers = [BlockDriver(self.q, 4 + i, 0xc000 + 0x100 * i, 0x100000 * (i + 1)) for i in range(2)]
        for driver in drivers:
            driver.start()
        for round_ in range(8):
            sent = [(driver, driver.send(driver.OUT, sector=cluster * 128, data=bytes([cluster]) * 512))
                    for cluster in range(16 * round_, 16 * round_ + 16) for driver in (drivers[cluster % 2],)]
            for driver, _ in sent:
                driver.wait_used(0)
            self.assertEqual([self.q.read(request[1], 1)[0] for _, request in sent], [0] * 16)
        for cluster in range(128):
            self.assertEqual(drivers[cluster // 2 % 2].request(BlockDriver.IN, sector=cluster * 128, in_bytes=512),
                             (bytes([cluster]) * 512, 0))
        self.vm.quit()
        done = subprocess.run(["qemu-img", "check", self.path], capture_output=True, text=True, timeout=30, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


class Engines(Disk):
    """Each engine in a thread of its own loop, with what the thread says of batches."""

    def test_requests(self):
        for slot, (aio, cache) in enumerate((("threads", "off"), ("io_uring", "off"), ("io_uring", "on"), ("native", "on")), 5):
            with self.subTest(aio=aio, direct=cache), tempfile.NamedTemporaryFile(suffix=".img", dir="/var/tmp") as image:
                image.truncate(1 << 20)
                node = {"driver": "file", "node-name": f"f{slot}", "filename": image.name, "aio": aio,
                        "cache": {"direct": cache == "on"}}
                self.qmp.execute("blockdev-add", node)
                self.qmp.execute("qom-set", {"path": "/objects/io0", "property": "aio-max-batch", "value": slot % 3})
                self.qmp.execute("device_add", {"driver": "virtio-blk-pci", "id": f"e{slot}", "drive": f"f{slot}",
                                                "addr": f"{slot}", "iothread": "io0"})
                driver = BlockDriver(self.q, slot, 0xc000 + 0x100 * slot, 0x100000 * slot)
                driver.start()
                sent = []
                for i in range(20):
                    header = driver.put(struct.pack("<IIQ", driver.OUT, 0, 16 * i))
                    data, status = driver.put(bytes([i + 1]) * 512), driver.put(b"\xff")
                    sent.append((driver.offer(0, [(header, 16, False), (data, 512, False), (status, 1, True)], notify=False),
                                 status))
                driver.notify(0)
                self.assertEqual(sorted(driver.wait_used(0)[0] for _ in sent), sorted(head for head, _ in sent))
                self.assertEqual([self.q.read(status, 1)[0] for _, status in sent], [0] * 20)
                for i in range(20):
                    self.assertEqual(driver.request(driver.IN, sector=16 * i, in_bytes=512), (bytes([i + 1]) * 512, 0))
                with open(image.name, "rb") as file:
                    self.assertEqual([file.read(8192)[:512] for _ in range(20)], [bytes([i + 1]) * 512 for i in range(20)])
                self.qmp.execute("device_del", {"id": f"e{slot}"})
                self.q.outl(0xae08, 1 << slot)
                while self.qmp.wait_event("DEVICE_DELETED")["data"].get("device") != f"e{slot}":
                    pass
                self.qmp.execute("blockdev-del", {"node-name": f"f{slot}"})


# What the disk's policy says of failed requests holds in a thread as elsewhere.
class ThreadStopping(virtio_blk_test.Stopping):
    PROPERTIES = virtio_blk_test.Failing.PROPERTIES + ",iothread=io0"

    def args(self):
        return THREAD + super().args()


class ThreadReporting(virtio_blk_test.Reporting):
    PROPERTIES = virtio_blk_test.Reporting.PROPERTIES + ",iothread=io0"

    def args(self):
        return THREAD + super().args()


class MainLoopStopping(virtio_blk_test.Stopping):
    PROPERTIES = virtio_blk_test.Failing.PROPERTIES + ",ioeventfd=off"


if __name__ == "__main__":
    runner.main()
