"""The floppy controller: registers, commands, transfers by DMA and by the FIFO, disks that come and go."""
import os
import tempfile

from machine import PEER, MachineTest, not_the_peer
from fdc import CCR, DIR, DOR, FROM_DISK, READ, READ_MT, TO_DISK, WRITE, WRITE_MT, Fdc, pattern_image, sector
from pyutil import runner

BUFFER = 0x10000
SECTORS = {1440: 2880, 720: 1440, 2880: 5760, 1200: 2400, 360: 720}


class FdcTest(MachineTest):
    KIB, EXTRA = 1440, ""

    def args(self):
        handle, self.image = tempfile.mkstemp(prefix="rhea-floppy-")
        os.close(handle)
        self.addCleanup(os.unlink, self.image)
        pattern_image(self.image, SECTORS[self.KIB])
        return ["-drive", f"if=floppy,file={self.image},format=raw{self.EXTRA}"]

    def setUp(self):
        super().setUp()
        self.fdc = Fdc(self.q)

    def on_disk(self, number):
        with open(self.image, "rb") as file:
            file.seek(number * 512)
            return file.read(512)


class Registers(FdcTest):
    def test_after_reset(self):
        self.assertEqual([self.q.inb(0x3F0 + n) for n in range(1, 6)], [0xC0, 0x0C, 0x00, 0x80, 0x00])
        self.assertEqual(self.q.inb(DIR), 0x80)
        self.assertEqual(self.q.inb(0x3F0), 0xFF, "no port of the controller")

    def test_motors_and_drive_select_show(self):
        for dor, srb in ((0x1C, 0xC1), (0x2D, 0xE2), (0x0C, 0xC0)):
            self.q.outb(DOR, dor)
            self.assertEqual((self.q.inb(DOR), self.q.inb(0x3F1)), (dor, srb))

    def test_reset_by_dsr_has_four_interrupts_to_sense(self):
        self.q.outb(0x3F4, 0x80)
        self.assertEqual([self.fdc.sense_interrupt() for _ in range(4)], [[0xC0 + n, 0] for n in range(4)])
        self.assertEqual(self.fdc.run(0x08), [0x80])

    @not_the_peer("it keeps a command that was begun")
    def test_reset_by_dor_ends_a_command(self):
        self.fdc.send(0x46, 0, 0)
        self.q.outb(DOR, 0x00)
        self.assertEqual(self.q.inb(0x3F4), 0)
        self.q.outb(DOR, 0x0C)
        self.assertEqual(self.fdc.sense_interrupt(), [0xC0, 0])

    def test_version_lock_and_dumpreg(self):
        self.assertEqual(self.fdc.run(0x10), [0x90])
        self.assertEqual(self.fdc.run(0x18), [0x41])
        self.fdc.send(0x13, 0, 0x57, 0x33)
        self.fdc.send(0x03, 0xAF, 0x02)
        self.assertEqual(self.fdc.run(0x94), [0x10])
        self.assertEqual(self.fdc.run(0x0E), [0, 0, 0, 0, 0x0A, 0x03, 18, 0x80, 0x57, 0x33])
        self.q.outb(0x3F4, 0x80)  # what is locked outlives a software reset
        self.assertEqual(self.fdc.run(0x0E)[8:], [0x57, 0x33])
        self.assertEqual(self.fdc.run(0x14), [0])
        self.q.outb(0x3F4, 0x80)
        self.assertEqual(self.fdc.run(0x0E)[8:], [0x60, 0x00])

    def test_save_and_restore(self):
        self.fdc.seek(7)
        saved = self.fdc.run(0x2E)
        self.assertEqual(len(saved), 15)
        self.fdc.recalibrate()
        self.fdc.send(0x4E, *saved, 0)
        self.assertEqual(self.fdc.run(0x0E)[0], 7)

    def test_unknown_commands(self):
        for opcode in (0x00, 0x01, 0x1F, 0x2A, 0xFF):
            self.assertEqual(self.fdc.run(opcode), [0x80], hex(opcode))

    def test_sense_drive(self):
        self.assertEqual(self.fdc.run(0x04, 0), [0x38])
        self.assertEqual(self.fdc.run(0x04, 4), [0x3C])
        self.fdc.seek(3)
        self.assertEqual(self.fdc.run(0x04, 0), [0x28])
        self.assertEqual(self.fdc.run(0x04, 1), [0x79])

    def test_seek(self):
        self.assertEqual(self.fdc.seek(5), [0x20, 5])
        self.fdc.send(0xCF, 0, 3)
        self.assertEqual(self.fdc.sense_interrupt(), [0x20, 8])
        self.fdc.send(0x8F, 0, 20)
        self.assertEqual(self.fdc.sense_interrupt(), [0x20, 0])

    def test_cmos_and_equipment(self):
        self.q.outb(0x70, 0x10)
        self.assertEqual(self.q.inb(0x71), 0x40)
        self.q.outb(0x70, 0x14)
        self.assertEqual(self.q.inb(0x71), 0x07)

    def test_interrupt(self):
        path = "ioapic" if PEER else "/machine/unattached/ioapic"
        self.q.irq_intercept_in(path)
        self.fdc.send(0x07, 0)
        self.assertTrue(self.q.irq(6))
        self.fdc.sense_interrupt()
        self.assertFalse(self.q.irq(6))

    def test_read_id_takes_a_while(self):
        self.fdc.start_motor()
        self.fdc.seek(8, head=1)
        self.fdc.send(0x4A, 4)
        self.assertEqual(self.q.inb(0x3F4), 0x10)
        self.q.clock_step(20_000_000)
        st0, _, _, track, head, _, size = self.fdc.result()
        self.assertEqual((st0, track, head, size), (4, 8, 1, 2))

    def test_wrong_data_rate(self):
        self.q.outb(CCR, 2)
        self.assertEqual(self.fdc.run(0x4A, 0)[:2], [0x40, 0x01])
        self.fdc.data(READ, 0, 0, 1)
        self.assertEqual(self.fdc.result()[:2], [0x40, 0x01])


class Dma(FdcTest):
    def setUp(self):
        super().setUp()
        self.fdc.start_motor()

    def read(self, sectors, *where, opcode=READ_MT, **more):
        self.q.memset(BUFFER, sectors * 512, 0xEE)
        self.fdc.dma(BUFFER, sectors * 512, FROM_DISK)
        self.fdc.data(opcode, *where, **more)
        result = self.fdc.result()
        data = self.q.read(BUFFER, sectors * 512)
        return result, [int.from_bytes(data[n:n + 4], "little") for n in range(0, len(data), 512)]

    def test_one_sector(self):
        self.assertEqual(self.read(1, 0, 0, 1), ([0, 0, 0, 0, 0, 2, 2], [0]))

    def test_whole_cylinder(self):
        self.assertEqual(self.read(36, 3, 0, 1), ([0x20, 0, 0, 4, 0, 1, 2], list(range(108, 144))))

    def test_across_heads_and_cylinders(self):
        self.assertEqual(self.read(2, 0, 0, 18), ([4, 0, 0, 0, 1, 2, 2], [17, 18]))
        self.assertEqual(self.read(3, 0, 1, 18), ([0x20, 0, 0, 1, 0, 3, 2], [35, 36, 37]))

    def test_terminal_count_within_a_sector(self):
        self.fdc.dma(BUFFER, 256, FROM_DISK)
        self.fdc.data(READ, 0, 0, 2)
        self.assertEqual(self.fdc.result(), [0, 0, 0, 0, 0, 2, 2])
        self.assertEqual(self.q.read(BUFFER, 256), sector(1)[:256])

    def test_end_of_track_before_terminal_count(self):
        result, numbers = self.read(8, 0, 0, 1, opcode=READ, last=3)
        self.assertEqual((result, numbers[:3]), ([0x20, 0, 0, 1, 0, 1, 2], [0, 1, 2]))

    def test_a_channel_that_is_masked_holds_the_transfer(self):
        self.q.outb(0x0A, 6)
        self.fdc.data(READ, 0, 0, 3)
        self.assertEqual(self.q.inb(0x3F4), 0x10)
        self.fdc.dma(BUFFER, 512, FROM_DISK)
        self.assertEqual(self.fdc.result()[:3], [0, 0, 0])
        self.assertEqual(self.q.read(BUFFER, 512), sector(2))

    def test_reset_ends_a_transfer(self):
        self.q.outb(0x0A, 6)
        self.fdc.data(READ, 0, 0, 3)
        self.q.outb(0x3F4, 0x80)
        self.assertEqual(self.fdc.sense_interrupt(), [0xC0, 0])
        self.assertEqual(self.read(1, 0, 0, 5), ([0, 0, 0, 0, 0, 6, 2], [4]))

    def test_write(self):
        data = bytes(range(256)) * 4
        self.q.write(BUFFER, data)
        self.fdc.dma(BUFFER, 1024, TO_DISK)
        self.fdc.data(WRITE_MT, 0, 0, 2)
        self.assertEqual(self.fdc.result(), [0, 0, 0, 0, 0, 4, 2])
        self.assertEqual([self.on_disk(n) for n in range(4)], [sector(0), data[:512], data[512:], sector(3)])

    @not_the_peer("it does not format")
    def test_format(self):
        ids = bytes(b for n in (1, 5, 3) for b in (2, 1, n, 2))
        self.fdc.seek(2, head=1)
        self.q.write(BUFFER, ids)
        self.fdc.dma(BUFFER, len(ids), TO_DISK)
        self.assertEqual(self.fdc.run(0x4D, 4, 2, 3, 0x50, 0xF6)[:3], [4, 0, 0])
        first = (2 * 2 + 1) * 18
        expected = [b"\xf6" * 512 if n in (0, 4, 2) else sector(first + n) for n in range(6)]
        self.assertEqual([self.on_disk(first + n) for n in range(6)], expected)

    @not_the_peer("its SCAN compares otherwise")
    def test_scan(self):
        low, same, high = bytes(512), sector(1), b"\xfe" * 512
        for opcode, found in ((0x51, same), (0x59, high), (0x5D, low)):
            for data in (low, same, high):
                self.q.write(BUFFER, data)
                self.fdc.dma(BUFFER, 512, TO_DISK)
                self.fdc.data(opcode, 0, 0, 2, last=2, extra=1)
                st2 = self.fdc.result()[2]
                self.assertEqual(st2, 8 if data == same else 0 if data == found else 4, (hex(opcode), data[:1]))

    def test_verify_moves_nothing(self):
        self.fdc.data(0x56, 0, 0, 1, last=2)
        self.assertEqual(self.fdc.result(), [0x20, 0, 0, 1, 0, 1, 2])

    def test_sectors_that_are_not_there(self):
        for where, status in (((0, 0, 19), [0x40, 0x80]), ((90, 1, 1), [0x40, 0x00])):
            self.fdc.data(READ, *where, last=30)
            result = self.fdc.result()
            self.assertEqual([result[0] & 0xC0, result[1]], status)
            self.assertEqual(result[3:6], list(where))

    def test_without_implied_seek(self):
        self.fdc.send(0x13, 0, 0x17, 0)
        self.fdc.data(READ, 5, 0, 1)
        self.assertEqual(self.fdc.result()[0], 0x40)
        self.fdc.seek(5)
        self.assertEqual(self.read(1, 5, 0, 1), ([0, 0, 0, 5, 0, 2, 2], [180]))


class Pio(FdcTest):
    def setUp(self):
        super().setUp()
        self.fdc.start_motor(dma=False)

    def test_read(self):
        self.fdc.data(READ_MT, 0, 0, 18, last=18)
        self.assertEqual(self.fdc.pio_in(19 * 512)[:1024], sector(17) + sector(18))
        self.assertEqual(self.fdc.result()[0] & 0xC0, 0)

    def test_both_sides_and_on(self):
        """Without terminal count MT and EOT alone say how much: both sides of a cylinder, and beyond it."""
        for last, st0, numbers in ((18, 0x04, range(36)), (19, 0x20, range(38))):
            self.fdc.seek(0)
            self.fdc.data(READ_MT, 0, 0, 1, last=last)
            self.assertEqual(self.fdc.pio_in(512 * 2 * last), b"".join(map(sector, numbers)))
            self.assertEqual(self.fdc.result()[0], st0)

    def test_write(self):
        data = bytes(range(255, -1, -1)) * 4
        self.fdc.data(WRITE, 0, 0, 7, last=8)
        self.fdc.pio_out(data)
        self.assertEqual(self.fdc.result()[0] & 0xC0, 0)
        self.assertEqual([self.on_disk(6), self.on_disk(7)], [data[:512], data[512:]])

    @not_the_peer("it does not format")
    def test_format(self):
        self.fdc.send(0x4D, 0, 2, 1, 0x50, 0xE5)
        self.fdc.pio_out((0, 0, 9, 2))
        self.assertEqual(self.fdc.result()[:3], [0, 0, 0])
        self.assertEqual(self.on_disk(8), b"\xe5" * 512)

    def test_reading_while_nothing_is_there(self):
        self.assertEqual(self.q.inb(0x3F5), 0)
        for _ in range(600):
            self.q.outb(0x3F5, 0x08)
            self.q.inb(0x3F5)
        self.assertEqual(self.q.inb(0x3F4) & 0x80, 0x80)


class ReadOnly(FdcTest):
    EXTRA = ",readonly=on"

    def test_writing_is_refused(self):
        self.assertEqual(self.fdc.run(0x04, 0), [0x78])
        self.fdc.dma(BUFFER, 512, TO_DISK)
        self.fdc.data(WRITE, 0, 0, 2)
        self.assertEqual(self.fdc.result(), [0x60, 0x02, 0, 0, 0, 2, 2])


class Media(MachineTest):
    ARGS = ["-device", "floppy,id=fd0"]

    def setUp(self):
        super().setUp()
        self.fdc = Fdc(self.q)
        self.disk = self.vm.path("disk.img")
        pattern_image(self.disk, 2880)

    def add_node(self, name="disk", path=None):
        self.qmp.execute("blockdev-add", {"driver": "raw", "node-name": name,
                                          "file": {"driver": "file", "filename": path or self.disk}})
        return name

    def test_without_a_disk(self):
        self.assertEqual(self.q.inb(DIR), 0x80)
        self.fdc.data(READ, 0, 0, 1)
        self.assertEqual(self.fdc.result(), [0x40, 0, 0, 0, 0, 1, 2])
        self.assertEqual(self.fdc.seek(9), [0x20, 9])
        self.assertEqual(self.q.inb(DIR), 0x80)

    def test_change_shows_until_a_step(self):
        self.qmp.execute("blockdev-change-medium", {"id": "fd0", "filename": self.disk, "format": "raw"})
        self.assertEqual(self.q.inb(DIR), 0x80)
        self.fdc.seek(0)
        self.assertEqual(self.q.inb(DIR), 0x80)
        self.fdc.seek(1)
        self.assertEqual(self.q.inb(DIR), 0x00)
        self.qmp.execute("eject", {"id": "fd0"})
        self.assertEqual(self.q.inb(DIR), 0x80)
        self.fdc.seek(0)
        self.assertEqual(self.q.inb(DIR), 0x80)

    def test_no_tray(self):  # S0.8, S0.10
        drive = next(d for d in self.qmp.execute("query-block") if d.get("qdev", "").endswith("fd0"))
        self.assertEqual((drive["removable"], drive["locked"]), (True, False))
        self.assertNotIn("tray_open", drive)
        self.assertNotIn("io-status", drive)
        for command in ("blockdev-open-tray", "blockdev-close-tray", "blockdev-remove-medium"):
            self.qmp.execute(command, {"id": "fd0"})
        self.qmp.poll()
        self.assertEqual([e for e in self.qmp.events if e["event"] == "DEVICE_TRAY_MOVED"], [])

    def test_insert_and_remove_load_and_unload(self):  # S0.6, S0.8
        self.qmp.execute("blockdev-insert-medium", {"id": "fd0", "node-name": self.add_node()})
        self.fdc.start_motor()
        self.fdc.dma(BUFFER, 512, FROM_DISK)
        self.fdc.data(READ, 2, 0, 4)
        self.assertEqual(self.fdc.result()[0], 0x20)
        self.assertEqual(self.q.read(BUFFER, 512), sector(2 * 36 + 3))
        self.assertEqual(self.q.inb(DIR), 0x00)
        self.assert_error("Node 'disk' is already in use", "blockdev-insert-medium", id="fd0", node_name="disk")
        other = self.vm.path("other.img")
        pattern_image(other, 2880)
        self.assert_error("There already is a medium in the device", "blockdev-insert-medium", id="fd0",
                          node_name=self.add_node("other", other))
        self.qmp.execute("blockdev-open-tray", {"id": "fd0"})
        self.qmp.execute("blockdev-remove-medium", {"id": "fd0"})
        self.assertEqual(self.q.inb(DIR), 0x80)
        self.fdc.data(READ, 2, 0, 4)
        self.assertEqual(self.fdc.result()[0], 0x40)

    def test_a_read_only_disk_after_a_writable_one(self):
        change = {"id": "fd0", "filename": self.disk, "format": "raw"}
        for mode, status in (("read-only", 0x78), ("read-write", 0x38), ("read-only", 0x78)):
            self.qmp.execute("blockdev-change-medium", dict(change, **{"read-only-mode": mode}))
            self.assertEqual(self.fdc.run(0x04, 0), [status], mode)
            self.qmp.execute("eject", {"id": "fd0"})

    def test_info_block(self):
        self.assertEqual(self.qmp.hmp("info block").replace("\r\n", "\n"),
                         "fd0: [not inserted]\n    Attached to:      fd0\n"
                         "    Removable device: not locked, tray closed\n")

    def test_no_hotplug(self):
        text = "Bus 'floppy-bus.0' does not support hotplugging"
        self.assert_error(text, "device_add", driver="floppy", id="x")
        self.assert_error(text, "device_del", id="fd0")


class Types(MachineTest):
    """Which drive a disk asks for, and what CMOS says of it."""

    def test_drive_type_follows_the_disk(self):
        for kib, name, cmos in ((1440, "144", 0x40), (2880, "288", 0x50), (1200, "120", 0x20), (360, "120", 0x20),
                                (720, "144", 0x40), (100, "288", 0x50)):
            path = self.vm.path("type.img")
            with open(path, "wb") as file:
                file.truncate(kib * 1024)
            vm = self.launch(["-drive", f"if=none,id=d,file={path},format=raw", "-device", "floppy,drive=d,id=f"])
            self.assertEqual(vm.qmp.execute("qom-get", {"path": "f", "property": "drive-type"}), name, kib)
            vm.qtest.outb(0x70, 0x10)
            self.assertEqual(vm.qtest.inb(0x71), cmos, kib)
            vm.quit()

    def test_two_drives(self):
        vm = self.launch(["-device", "floppy,drive-type=120", "-device", "floppy"])
        vm.qtest.outb(0x70, 0x10)
        self.assertEqual(vm.qtest.inb(0x71), 0x25)
        vm.qtest.outb(0x70, 0x14)
        self.assertEqual(vm.qtest.inb(0x71), 0x47)

    def test_boards_drives_are_unattached(self):
        path = self.vm.path("b.img")
        with open(path, "wb") as file:
            file.truncate(1440 * 1024)
        vm = self.launch(["-drive", f"if=floppy,file={path},format=raw,index=1"])
        drive = next(d for d in vm.qmp.execute("query-block") if d["device"] == "floppy1")
        self.assertRegex(drive["qdev"], r"^/machine/unattached/device\[\d+\]$")
        self.assertIn("dev: floppy, id \"\"", vm.qmp.hmp("info qtree"))


if __name__ == "__main__":
    runner.main()
