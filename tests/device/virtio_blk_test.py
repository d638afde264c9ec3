"""virtio-blk-pci over qtest: identity, capabilities, registers, a request over a legacy ring, bad properties."""
import os
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from machine import MachineTest, not_the_peer  # noqa: E402
from virtio import BlockDriver, wait_until  # noqa: E402
from pyutil import runner  # noqa: E402
from pyutil.emulator import emulator_path  # noqa: E402

DISK = ["-blockdev", "null-co,node-name=n,size=1048576,read-zeroes=on"]


class VirtioBlk(MachineTest):
    ARGS = DISK + ["-device", "virtio-blk-pci,id=d0,drive=n,serial=abc,addr=4"]

    def config(self, offset, size=4):
        self.q.outl(0xcf8, 0x80000000 | 4 << 11 | offset & ~3)
        return self.q.inl(0xcfc) >> 8 * (offset & 3) & (1 << 8 * size) - 1

    def write_config(self, offset, value):
        self.q.outl(0xcf8, 0x80000000 | 4 << 11 | offset)
        self.q.outl(0xcfc, value)

    def map_legacy(self):
        self.write_config(0x10, 0xc000)
        self.write_config(0x04, 0x7)
        return 0xc000

    def test_identity_and_capabilities(self):
        self.assertEqual(self.config(0x00), 0x10011af4)
        self.assertEqual(self.config(0x2c), 0x00021af4)
        found, at = [], self.config(0x34, 1)
        while at:
            kind = self.config(at, 1)
            found.append((at, kind, self.config(at + 3, 1) if kind == 9 else None))
            at = self.config(at + 1, 1)
        self.assertEqual(found, [(0x98, 0x11, None), (0x84, 9, 5), (0x70, 9, 2), (0x60, 9, 4), (0x50, 9, 3), (0x40, 9, 1)])

    def test_back_end_in_the_tree(self):
        """S0.16: the path by which managers know the disk."""
        path = "/machine/peripheral/d0/virtio-backend"
        self.assertEqual(self.qmp.execute("qom-get", {"path": path, "property": "serial"}), "abc")
        disk = [b for b in self.qmp.execute("query-block") if b.get("qdev") == path]
        self.assertEqual(len(disk), 1)

    def driver(self, features=0, queues=1):
        driver = BlockDriver(self.q)
        driver.start(queues, features)
        return driver

    def test_requests(self):
        driver = self.driver(1 << 13 | 1 << 14)
        self.assertEqual(driver.request(driver.IN, in_bytes=512), (bytes(512), 0))
        self.assertEqual(driver.request(driver.GET_ID, in_bytes=20), (b"abc" + bytes(17), 0))
        self.assertEqual(driver.request(driver.FLUSH), (b"", 0))
        self.assertEqual(driver.request(driver.IN, sector=2048, in_bytes=512)[1], 1)
        self.assertEqual(driver.request(99)[1], 2)
        for kind in (driver.DISCARD, driver.WRITE_ZEROES):
            self.assertEqual(driver.request(kind, data=struct.pack("<QII", 8, 8, 0))[1], 0)
            self.assertEqual(driver.request(kind, data=struct.pack("<QII", 2047, 2, 0))[1], 1)
            self.assertEqual(driver.request(kind, data=struct.pack("<QII", 0, 1, 2))[1], 2)
        self.assertEqual(driver.request(driver.DISCARD, data=struct.pack("<QII", 0, 1, 1))[1], 2)

    def test_configuration(self):
        driver = self.driver()
        self.assertEqual(driver.config_long(0, 8), 2048)
        self.assertEqual(driver.config_long(12), 254)  # seg_max
        self.assertEqual((driver.config_long(16, 2), driver.config(18), driver.config(19)), (2, 16, 63))
        self.assertEqual(driver.config_long(20), 512)
        self.assertEqual(driver.config_long(34, 2), 1)  # num_queues
        self.assertEqual([driver.config_long(at) for at in (36, 40, 44, 48, 52)], [4194303, 1, 1, 4194303, 1])
        self.assertEqual(driver.config(56), 1)

    def cache_mode(self):
        return next(b for b in self.qmp.execute("query-block") if b.get("qdev"))["inserted"]["cache"]["writeback"]

    def test_cache_follows_the_driver(self):
        """S0.17: a driver that took neither CONFIG_WCE nor FLUSH finds its writes durable; a reset ends that."""
        self.assertTrue(self.cache_mode())
        driver = self.driver()
        self.assertFalse(self.cache_mode())
        driver.reset()
        self.assertTrue(self.cache_mode())
        driver.start(features=1 << 9)
        self.assertTrue(self.cache_mode())
        driver.start(features=1 << 11)
        self.assertTrue(self.cache_mode())
        driver.set_config(32, 0)
        self.assertFalse(self.cache_mode())
        self.assertEqual(driver.config(32), 0)

    def test_bad_ring_breaks_the_device_alone(self):
        io = self.map_legacy()
        self.q.outb(io + 18, 3)
        self.q.outl(io + 8, 0x10)
        self.q.outb(io + 18, 7)
        self.q.write(0x10000 + 16 * 256, struct.pack("<HHH", 0, 1, 999))
        self.q.outw(io + 16, 0)
        wait_until(self, lambda: self.q.inb(io + 18) & 0x40)
        self.q.outb(io + 18, 0)
        self.assertEqual(self.q.inb(io + 18), 0)
        driver = self.driver()
        self.assertEqual(driver.request(driver.IN, in_bytes=512)[1], 0)

    def test_bad_properties(self):
        for properties, text in (
                ("scsi=on,drive=n", "scsi=on is not supported: pass SCSI devices through virtio-scsi"),
                ("queue-size=2,drive=n", "invalid queue-size property (2), must be > 2"),
                ("queue-size=100,drive=n", "invalid queue-size property (100), must be a power of 2 (max 1024)"),
                ("num-queues=0,drive=n", "num-queues property must be larger than 0"),
                ("max-discard-sectors=0,drive=n",
                 "invalid max-discard-sectors property (0), must be between 1 and 4194303"),
                ("cyls=70000,drive=n", "cyls must be between 1 and 65535"),
                ("iommu_platform=on,drive=n", "iommu_platform=on needs an IOMMU, which this machine has not"),
                ("drive=nosuch", "Property 'virtio-blk-device.drive' can't find value 'nosuch'"),
                ("disable-legacy=on,disable-modern=on,drive=n",
                 "device cannot work as neither modern nor legacy mode is enabled"),
                ("", "No drive specified")):
            done = subprocess.run([emulator_path(), "-machine", "pc", "-accel", "qtest", "-nodefaults", "-display", "none",
                                   *DISK, "-device", f"virtio-blk-pci,{properties}"], capture_output=True, text=True,
                                  timeout=30, check=False)
            self.assertEqual(done.returncode, 1, properties)
            self.assertIn(text, done.stderr)


class Resize(MachineTest):
    def args(self):
        with tempfile.NamedTemporaryFile(suffix=".img", delete=False) as image:
            image.truncate(1 << 20)
        self.path = image.name
        self.addCleanup(os.unlink, self.path)
        return ["-drive", f"if=none,id=disk,format=raw,node-name=n,file={self.path}",
                "-device", "virtio-blk-pci,id=d0,drive=disk,addr=4"]

    def test_guest_is_told(self):
        driver = BlockDriver(self.q)
        driver.start()
        self.assertEqual(driver.isr(), 0)
        for sectors, target in ((4096, {"node-name": "n"}), (1024, {"device": "disk"})):
            self.qmp.execute("block_resize", {**target, "size": sectors * 512})
            self.assertEqual(driver.isr(), 3)
            self.assertEqual(driver.config_long(0, 8), sectors)
            self.assertEqual(os.stat(self.path).st_size, sectors * 512)
        self.assertEqual(driver.request(driver.IN, sector=1024, in_bytes=512)[1], 1)

    def test_refusals(self):
        for arguments, text in (({"node_name": "zz", "size": 1}, "Cannot find device='' nor node-name='zz'"),
                                ({"device": "zz", "size": 1}, "Cannot find device='zz' nor node-name=''"),
                                ({"size": 1}, "Cannot find device='' nor node-name=''"),
                                ({"node_name": "n", "size": -1}, "Parameter 'size' expects a >0 size")):
            self.assert_error(text, "block_resize", **arguments)
        self.qmp.execute("blockdev-add", {"driver": "null-co", "node-name": "z", "size": 512})
        self.assert_error("Image format driver does not support resize", "block_resize", node_name="z", size=1024)


class Queues(MachineTest):
    ARGS = ["-smp", "3"] + DISK + ["-device", "virtio-blk-pci,id=d0,drive=n,addr=4"]

    def test_one_a_processor(self):
        driver = BlockDriver(self.q)
        driver.start(3, 1 << 12)
        self.assertEqual(driver.config_long(34, 2), 3)
        for queue in (2, 0, 1):
            self.assertEqual(driver.request(driver.IN, in_bytes=512, queue=queue), (bytes(512), 0))
        self.assertEqual(self.qmp.execute("qom-get", {"path": "d0", "property": "num-queues"}), 3)


class Failing(MachineTest):
    """Failed requests, by what the drive's policy says of them. Each rule fails one request."""
    RULES = [("read_aio", 100, 5), ("write_aio", 150, 28), ("write_aio", 160, 5)]
    PROPERTIES = ",rerror=stop,werror=stop"

    def args(self):
        with tempfile.NamedTemporaryFile(suffix=".img", delete=False) as image:
            image.truncate(1 << 20)
        self.path = image.name
        self.addCleanup(os.unlink, self.path)
        rules = "".join(f",inject-error.{i}.event={event},inject-error.{i}.sector={sector}"
                        f",inject-error.{i}.errno={number},inject-error.{i}.once=on"
                        for i, (event, sector, number) in enumerate(self.RULES))
        return ["-blockdev", f"driver=blkdebug,node-name=b,image.driver=file,image.filename={self.path}{rules}",
                "-blockdev", "driver=raw,file=b,node-name=d",
                "-device", f"virtio-blk-pci,drive=d,id=d0,addr=4{self.PROPERTIES}"]

    def setUp(self):
        super().setUp()
        self.driver = BlockDriver(self.q)
        self.driver.start()

    def io_status(self):
        return next(b for b in self.qmp.execute("query-block") if b.get("qdev"))["io-status"]

    def error_event(self):
        data = self.qmp.wait_event("BLOCK_IO_ERROR")["data"]
        return data["operation"], data["action"], data.get("nospace"), data["node-name"]


@not_the_peer("its processor runs once the machine does")
class Stopping(Failing):
    def stopped(self, operation, nospace):
        self.assertEqual(self.error_event(), (operation, "stop", nospace, "d"))
        self.qmp.wait_event("STOP")
        self.assertEqual(self.qmp.execute("query-status")["status"], "io-error")
        self.assertEqual(self.io_status(), "nospace" if nospace else "failed")

    def test_requests_are_made_again(self):
        """The guest sees nothing of it; what it asked for meanwhile is done."""
        driver = self.driver
        sent = [driver.send(driver.IN, sector=100, in_bytes=512)]
        self.stopped("read", False)
        sent.append(driver.send(driver.OUT, sector=150, data=b"full" * 128))
        self.assertEqual(self.error_event(), ("write", "stop", True, "d"))
        self.assertIsNone(driver.used(0))
        self.qmp.execute("cont")
        self.qmp.wait_event("RESUME")
        self.assertEqual(sorted(driver.wait_used(0)[0] for _ in sent), sorted(s[0] for s in sent))
        self.assertEqual([self.q.read(s[1] + s[2], 1)[0] for s in sent], [0, 0])
        self.assertEqual(self.io_status(), "ok")
        with open(self.path, "rb") as image:
            image.seek(150 * 512)
            self.assertEqual(image.read(512), b"full" * 128)

    def test_a_reset_forgets_them(self):
        driver = self.driver
        driver.send(driver.IN, sector=100, in_bytes=512)
        self.stopped("read", False)
        driver.start()
        self.qmp.execute("cont")
        self.qmp.wait_event("RESUME")
        self.assertEqual(driver.request(driver.IN, sector=100, in_bytes=512), (bytes(512), 0))
        self.assertIsNone(driver.used(0))

    def test_machine_ends_while_one_waits(self):
        self.driver.send(self.driver.IN, sector=100, in_bytes=512)
        self.stopped("read", False)


@not_the_peer("its processor runs once the machine does")
class Reporting(Failing):
    PROPERTIES = ",rerror=report,werror=ignore"

    def test_report_and_ignore(self):
        driver = self.driver
        self.assertEqual(driver.request(driver.IN, sector=100, in_bytes=512)[1], 1)
        self.assertEqual(self.error_event(), ("read", "report", None, "d"))
        self.assertEqual(driver.request(driver.OUT, sector=160, data=bytes(512))[1], 0)
        self.assertEqual(self.error_event(), ("write", "ignore", None, "d"))
        self.assertEqual(self.qmp.execute("query-status")["running"], True)


@not_the_peer("its processor runs once the machine does")
class Enospc(Failing):
    PROPERTIES = ",werror=enospc"

    def test_only_a_full_disk_stops(self):
        driver = self.driver
        self.assertEqual(driver.request(driver.OUT, sector=160, data=bytes(512))[1], 1)
        self.assertEqual(self.error_event(), ("write", "report", False, "d"))
        sent = driver.send(driver.OUT, sector=150, data=bytes(512))
        self.assertEqual(self.error_event(), ("write", "stop", True, "d"))
        self.qmp.wait_event("STOP")
        self.qmp.execute("cont")
        self.assertEqual(driver.finish(sent)[1], 0)


class ShortForm(MachineTest):
    ARGS = ["-drive", "if=virtio,driver=null-co,size=1048576,read-zeroes=on"]

    def test_drive_option_makes_the_device(self):
        disk = [b for b in self.qmp.execute("query-block") if b["device"] == "virtio0"]
        self.assertEqual([b["qdev"] for b in disk], ["/machine/peripheral-anon/device[0]/virtio-backend"])


class Modern(MachineTest):
    ARGS = DISK + ["-device", "virtio-blk-pci-non-transitional,drive=n,addr=4"]

    def test_numbers(self):
        self.q.outl(0xcf8, 0x80002000)
        self.assertEqual(self.q.inl(0xcfc), 0x10421af4)
        self.q.outl(0xcf8, 0x80002008)
        self.assertEqual(self.q.inl(0xcfc) & 0xff, 1)


if __name__ == "__main__":
    runner.main()
