"""virtio-scsi-pci with scsi-hd and scsi-cd over qtest: addresses, commands, sense data, task management, events."""
import os
import struct
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from machine import MachineTest, not_the_peer  # noqa: E402
from virtio import ScsiDriver, wait_until  # noqa: E402
from pyutil import runner  # noqa: E402

GOOD, CHECK = 0, 2
READ_10, WRITE_10, INQUIRY, TUR = 0x28, 0x2a, 0x12, 0
NO_MEDIUM, POWER_ON = (2, 0x3a, 0), (6, 0x29, 0)


def block_cdb(opcode, lba, blocks, flags=0):
    return struct.pack(">BBIBHB", opcode, flags, lba, 0, blocks, 0)


def key(sense):
    """Sense key, additional code and qualifier of fixed sense data."""
    assert sense[0] & 0x7f == 0x70, sense
    return sense[2] & 15, sense[12], sense[13]


class Scsi(MachineTest):
    DISK = ["-blockdev", "null-co,node-name=n,size=1048576,read-zeroes=on",
            "-device", "scsi-hd,bus=s.0,drive=n,id=h,serial=abc,wwn=0x5000000000000001"]
    ARGS = ["-device", "virtio-scsi-pci,id=s,addr=4"]

    def args(self):
        return self.ARGS + self.DISK

    def driver(self, features=0, queues=3, attention=True):
        driver = ScsiDriver(self.q)
        driver.start(queues, features)
        if attention:
            response, status, sense, _, _ = driver.command([TUR])
            self.assertEqual((response, status, key(sense)), (driver.OK, CHECK, POWER_ON))
        return driver

    def good(self, driver, cdb, **kwargs):
        response, status, sense, residue, data = driver.command(cdb, **kwargs)
        self.assertEqual((response, status), (driver.OK, GOOD), key(sense) if sense else None)
        return data[:len(data) - residue] if kwargs.get("in_bytes") else residue

    def fails(self, driver, cdb, what, **kwargs):
        response, status, sense, _, _ = driver.command(cdb, **kwargs)
        self.assertEqual((response, status), (driver.OK, CHECK))
        self.assertEqual(key(sense), what)


class Disk(Scsi):
    DISK = None

    def args(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.image = os.path.join(folder.name, "disk.raw")
        with open(self.image, "wb") as file:
            file.truncate(1 << 20)
        return self.ARGS + ["-blockdev", f"driver=file,filename={self.image},node-name=f,discard=unmap",
                            "-blockdev", "driver=raw,file=f,node-name=n,discard=unmap",
                            "-device", "scsi-hd,bus=s.0,drive=n,id=h,serial=abc,wwn=0x5000000000000001,ver=1.5"]

    def test_who_it_is(self):
        driver = self.driver()
        data = self.good(driver, struct.pack(">BBBHB", INQUIRY, 0, 0, 96, 0), in_bytes=96)
        self.assertEqual(data, bytes([0, 0, 5, 0x12, 31, 0, 0, 0x12]) + b"QEMU    QEMU HARDDISK   1.5 ")
        page = lambda n: self.good(driver, struct.pack(">BBBHB", INQUIRY, 1, n, 255, 0), in_bytes=255)  # noqa: E731
        self.assertEqual(page(0)[4:], bytes([0, 0x80, 0x83, 0xb0, 0xb1, 0xb2]))
        self.assertEqual(page(0x80)[4:], b"abc")
        self.assertEqual(page(0x83)[4:], b"\2\0\0\3abc" + bytes.fromhex("010300085000000000000001"))
        limits = page(0xb0)
        self.assertEqual((len(limits), struct.unpack(">I", limits[8:12])[0], struct.unpack(">I", limits[28:32])[0]),
                         (64, 0x7fffffff // 512, 8))
        self.fails(driver, struct.pack(">BBBHB", INQUIRY, 1, 0x55, 255, 0), (5, 0x24, 0), in_bytes=255)
        self.assertEqual(self.good(driver, struct.pack(">BB4xIxx", 0xa0, 0, 16), in_bytes=16), bytes([0, 0, 0, 8]) + bytes(12))

    def test_capacity_and_modes(self):
        driver = self.driver()
        self.assertEqual(self.good(driver, [0x25] + [0] * 9, in_bytes=8), struct.pack(">II", 2047, 512))
        long = self.good(driver, struct.pack(">BB8xIxx", 0x9e, 0x10, 32), in_bytes=32)
        self.assertEqual(long[:16], struct.pack(">QIBBH", 2047, 512, 0, 0, 0x8000))
        sense = self.good(driver, [0x1a, 0, 8, 0, 255, 0], in_bytes=255)
        self.assertEqual(sense[:14], bytes([31, 0, 0, 8]) + struct.pack(">II", 2048, 512) + bytes([8, 0x12]))
        self.assertEqual(sense[14], 4)  # the write cache is on
        cache = lambda: next(b for b in self.qmp.execute("query-block") if b["qdev"] == "h")["inserted"]["cache"]["writeback"]  # noqa: E731
        select = lambda page: driver.command([0x15, 0x10, 0, 0, 4 + len(page), 0], data=bytes(4) + page)  # noqa: E731
        self.assertEqual(select(bytes([8, 0x12, 0]) + bytes(17))[:2], (driver.OK, GOOD))
        self.assertFalse(cache())
        self.assertEqual(select(bytes([8, 0x12, 4]) + bytes(17))[:2], (driver.OK, GOOD))
        self.assertTrue(cache())
        self.assertEqual(key(select(bytes([8, 0x12, 4, 1]) + bytes(16))[2]), (5, 0x26, 0))
        self.assertEqual(key(select(bytes([8, 0x12, 4]))[2]), (5, 0x1a, 0))
        self.fails(driver, [0x1a, 0, 0xc8, 0, 255, 0], (5, 0x39, 0), in_bytes=255)
        self.fails(driver, [0x1a, 0, 0x33, 0, 255, 0], (5, 0x24, 0), in_bytes=255)

    def test_data_moves(self):
        driver = self.driver()
        pattern = bytes(range(256)) * 8
        self.assertEqual(self.good(driver, block_cdb(WRITE_10, 5, 4), data=pattern), 0)
        self.assertEqual(self.good(driver, block_cdb(READ_10, 5, 4), in_bytes=2048), pattern)
        self.assertEqual(self.good(driver, bytes([0x08, 0, 0, 5, 4, 0]), in_bytes=2048), pattern)
        self.assertEqual(self.good(driver, struct.pack(">BBQIBB", 0x88, 0, 6, 1, 0, 0), in_bytes=512), pattern[512:1024])
        self.good(driver, block_cdb(0x35, 0, 0))
        with open(self.image, "rb") as file:
            self.assertEqual(file.read()[5 * 512:9 * 512], pattern)
        self.good(driver, block_cdb(0x2f, 5, 4, 2), data=pattern)
        self.fails(driver, block_cdb(0x2f, 5, 4, 2), (14, 0x1d, 0), data=pattern[:-1] + b"x")
        self.good(driver, block_cdb(0x2e, 9, 1, 2), data=pattern[:512])  # write and verify
        self.good(driver, block_cdb(0x41, 100, 3000 - 2048), data=b"\xaa" * 512)  # write same
        self.assertEqual(self.good(driver, block_cdb(READ_10, 1051, 2), in_bytes=1024), b"\xaa" * 512 + bytes(512))
        unmap = struct.pack(">HHIQII", 22, 16, 0, 100, 952, 0)
        self.good(driver, struct.pack(">BB5xHB", 0x42, 0, len(unmap), 0), data=unmap)
        self.assertEqual(self.good(driver, block_cdb(READ_10, 1040, 1), in_bytes=512), bytes(512))

    def test_what_is_refused(self):
        driver = self.driver()
        self.fails(driver, block_cdb(READ_10, 2047, 2), (5, 0x21, 0), in_bytes=1024)
        self.fails(driver, block_cdb(WRITE_10, 2048, 1), (5, 0x21, 0), data=bytes(512))
        self.fails(driver, struct.pack(">BBQIBB", 0x88, 0, 2**64 - 1, 1, 0, 0), (5, 0x21, 0), in_bytes=512)
        self.fails(driver, [0xff] * 16, (5, 0x20, 0))
        self.fails(driver, block_cdb(READ_10, 0, 1, 0x20), (5, 0x24, 0), in_bytes=512)
        self.fails(driver, block_cdb(0x41, 0, 0), (5, 0x24, 0), data=bytes(512))
        bad = struct.pack(">HHIQII", 22, 16, 0, 2040, 9, 0)
        self.fails(driver, struct.pack(">BB5xHB", 0x42, 0, len(bad), 0), (5, 0x21, 0), data=bad)
        self.assertEqual(driver.command(block_cdb(READ_10, 0, 2), in_bytes=512)[0], driver.OVERRUN)
        self.assertEqual(driver.command(block_cdb(READ_10, 0, 1), in_bytes=512, data=b"x")[0], driver.FAILURE)
        self.assertEqual(driver.command([TUR], target=7)[0], driver.BAD_TARGET)
        self.fails(driver, [TUR], (5, 0x25, 0), lun=3)
        self.assertEqual(self.good(driver, struct.pack(">BBBHB", INQUIRY, 0, 0, 36, 0), lun=3, in_bytes=36)[0], 0x7f)
        # Good as before.
        self.good(driver, [TUR])

    def test_headers_too_short_break_the_device(self):
        driver = self.driver()
        driver.offer(driver.COMMANDS, [(driver.put(bytes(8)), 8, False), (driver.allocate(200), 200, True)])
        wait_until(self, lambda: driver.status() & 0x40)
        self.driver()

    def test_resize_is_told(self):
        driver = self.driver(1 << 2)
        buffer = driver.allocate(16)
        driver.offer(driver.EVENTS, [(buffer, 16, True)])
        self.qmp.execute("block_resize", {"node-name": "n", "size": 2 << 20})
        driver.wait_used(driver.EVENTS)
        self.assertEqual(struct.unpack("<I8sI", self.q.read(buffer, 16)), (3, driver.lun_bytes(0, 0), 0x092a))
        self.fails(driver, [TUR], (6, 0x2a, 9))
        self.assertEqual(self.good(driver, [0x25] + [0] * 9, in_bytes=8), struct.pack(">II", 4095, 512))

    def test_reset_brings_the_attention_back(self):
        driver = self.driver()
        self.good(driver, [TUR])
        self.assertEqual(driver.manage(5), 0)  # logical unit reset
        self.fails(driver, [TUR], POWER_ON)
        self.assertEqual(driver.manage(5, lun=2), 12)
        self.assertEqual(driver.manage(5, target=9), 3)
        self.assertEqual(driver.manage(2), 11)  # CLEAR ACA: there is none
        self.reset()
        self.driver()


class Addresses(Scsi):
    def test_who_gets_which(self):
        nodes = [f"x{i}" for i in range(4)]
        for node in nodes:
            self.qmp.execute("blockdev-add", {"driver": "null-co", "node-name": node, "size": 4096})
        add = lambda node, **more: self.qmp.execute(  # noqa: E731
            "device_add", {"driver": "scsi-hd", "bus": "s.0", "drive": node, "id": node, **more})
        where = lambda i: tuple(self.qmp.execute("qom-get", {"path": f"/machine/peripheral/{i}", "property": p})  # noqa: E731
                                for p in ("scsi-id", "lun"))
        add("x0")
        add("x1", **{"scsi-id": 0})
        add("x2", lun=5)
        add("x3", **{"scsi-id": 4, "lun": 0})
        self.assertEqual([where(n) for n in ["h"] + nodes], [(0, 0), (1, 0), (0, 1), (0, 5), (4, 0)])
        for text, more in (("bad scsi device id: 300", {"scsi-id": 300}), ("bad scsi device lun: 16384", {"lun": 16384}),
                           ("bad scsi channel id: 1", {"channel": 1}),
                           ("lun already used by 'x3'", {"scsi-id": 4, "lun": 0})):
            self.assert_error(text, "device_add", driver="scsi-cd", bus="s.0", id="bad", **more)
        self.assert_error("drive property not set", "device_add", driver="scsi-hd", bus="s.0", id="bad")
        driver = self.driver()
        luns = self.good(driver, struct.pack(">BB4xIxx", 0xa0, 0, 255), in_bytes=255)
        self.assertEqual(luns, struct.pack(">IxxxxHxxxxxxHxxxxxxHxxxxxx", 24, 0, 1, 5))

    def test_bad_controllers(self):
        for text, more in (("Invalid number of queues (= 0), must be a positive integer less than 1022.", {"num_queues": 0}),
                           ("invalid virtqueue_size property (= 2), must be > 2", {"virtqueue_size": 2})):
            arguments = {"driver": "virtio-scsi-pci", "id": "bad", **more}
            reply = self.qmp.call({"execute": "device_add", "arguments": arguments})
            self.assertEqual(reply.get("error", {}).get("desc"), text)

    def test_units_come_and_go(self):
        driver = self.driver(1 << 1)
        buffers = [driver.allocate(16) for _ in range(2)]
        for buffer in buffers:
            driver.offer(driver.EVENTS, [(buffer, 16, True)])
        self.qmp.execute("blockdev-add", {"driver": "null-co", "node-name": "x", "size": 4096})
        self.qmp.execute("device_add", {"driver": "scsi-hd", "bus": "s.0", "drive": "x", "id": "x"})
        driver.wait_used(driver.EVENTS)
        self.assertEqual(struct.unpack("<I8sI", self.q.read(buffers[0], 16)), (1, driver.lun_bytes(1, 0), 1))
        self.fails(driver, [TUR], (6, 0x3f, 0x0e))
        self.fails(driver, [TUR], POWER_ON, target=1)
        self.qmp.execute("device_del", {"id": "x"})
        self.assertEqual(self.qmp.wait_event("DEVICE_DELETED")["data"].get("device"), "x")
        driver.wait_used(driver.EVENTS)
        self.assertEqual(struct.unpack("<I8sI", self.q.read(buffers[1], 16)), (1, driver.lun_bytes(1, 0), 2))
        self.assertEqual(driver.command([TUR], target=1)[0], driver.BAD_TARGET)
        self.qmp.execute("blockdev-del", {"node-name": "x"})


class Failing(Scsi):
    DISK = ["-blockdev", '{"driver":"blkdebug","node-name":"n","image":{"driver":"null-co","size":1048576},'
                         '"inject-error":[{"event":"none","iotype":"write","errno":28,"once":true},'
                         '{"event":"none","iotype":"read","errno":5,"sector":8}]}',
            "-device", "scsi-hd,bus=s.0,drive=n,id=h,rerror=report,werror=stop"]

    @not_the_peer("its machine is stopped from the beginning")
    def test_a_command_waits_for_the_machine(self):
        driver = self.driver()
        self.fails(driver, block_cdb(READ_10, 8, 1), (0xb, 0, 6), in_bytes=512)
        self.qmp.wait_event("BLOCK_IO_ERROR")
        sent = driver.send(block_cdb(WRITE_10, 0, 1), data=bytes(512), tag=7)
        event = self.qmp.wait_event("BLOCK_IO_ERROR")["data"]
        self.assertEqual((event["operation"], event["action"], event["nospace"]), ("write", "stop", True))
        self.qmp.wait_event("STOP")
        self.assertIsNone(driver.used(driver.COMMANDS))
        self.qmp.execute("cont")
        self.assertEqual(driver.finish(sent)[:2], (driver.OK, GOOD))

    @not_the_peer("its machine is stopped from the beginning")
    def test_a_waiting_command_is_aborted(self):
        driver = self.driver()
        sent = driver.send(block_cdb(WRITE_10, 0, 1), data=bytes(512), tag=7)
        self.qmp.wait_event("STOP")
        self.assertEqual([driver.manage(6, tag=tag) for tag in (7, 8)], [10, 0])  # queries: there, not there
        self.assertEqual(driver.manage(0, tag=7), 0)
        self.assertEqual(driver.finish(sent)[0], driver.ABORTED)
        self.assertEqual(driver.manage(6, tag=7), 0)
        self.qmp.execute("cont")
        self.good(driver, [TUR])


class Cd(Scsi):
    DISK = ["-device", "scsi-cd,bus=s.0,id=cd"]

    def insert(self, size=4 << 20):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        image = os.path.join(folder.name, "cd.iso")
        with open(image, "wb") as file:
            file.write(b"".join(struct.pack("<I", n) * 512 for n in range(8)))
            file.truncate(size)
        self.qmp.execute("blockdev-add", {"driver": "file", "node-name": "iso", "filename": image, "read-only": True})
        for command, arguments in (("blockdev-open-tray", {"id": "cd"}), ("blockdev-insert-medium", {"id": "cd", "node-name": "iso"}),
                                   ("blockdev-close-tray", {"id": "cd"})):
            self.qmp.execute(command, arguments)

    def test_a_disc_comes_and_goes(self):
        driver = self.driver()
        self.fails(driver, [TUR], NO_MEDIUM)
        self.assertEqual(self.good(driver, struct.pack(">BBBHB", INQUIRY, 0, 0, 36, 0), in_bytes=36)[:2], b"\x05\x80")
        self.insert()
        self.fails(driver, [TUR], NO_MEDIUM)  # the old one has gone
        self.fails(driver, [TUR], (6, 0x28, 0))
        self.good(driver, [TUR])
        self.assertEqual(self.good(driver, [0x25] + [0] * 9, in_bytes=8), struct.pack(">II", 2047, 2048))
        self.assertEqual(self.good(driver, block_cdb(READ_10, 3, 1), in_bytes=2048), struct.pack("<I", 3) * 512)
        self.fails(driver, block_cdb(READ_10, 2047, 2), (5, 0x21, 0), in_bytes=4096)
        self.assertEqual(self.good(driver, [0x43, 2, 0, 0, 0, 0, 0, 0, 12, 0], in_bytes=12)[:8],
                         bytes([0, 18, 1, 1, 0, 0x14, 1, 0]))
        self.good(driver, [0x1e, 0, 0, 0, 1, 0])
        self.fails(driver, [0x1b, 0, 0, 0, 2, 0], (2, 0x53, 2))
        self.good(driver, [0x1e, 0, 0, 0, 0, 0])
        self.good(driver, [0x1b, 0, 0, 0, 2, 0])
        self.assertTrue(self.qmp.wait_event("DEVICE_TRAY_MOVED")["data"]["tray-open"])
        self.fails(driver, [TUR], NO_MEDIUM)


if __name__ == "__main__":
    runner.main()
