"""virtio-balloon-pci over qtest: QMP, the pages a guest gives, its statistics, a driver that means ill."""
import os
import struct
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from machine import ACCEL, BASE, MachineTest, needs_clock, not_the_peer  # noqa: E402
from virtio import VirtioDriver, wait_until  # noqa: E402
from pyutil import runner  # noqa: E402
from pyutil.emulator import emulator_path  # noqa: E402

MIB = 1 << 20


class VirtioBalloon(MachineTest):
    ARGS = ["-m", "64", "-device", "virtio-balloon-pci,id=balloon0,addr=4,free-page-reporting=on"]

    def setUp(self):
        super().setUp()
        self.driver = VirtioDriver(self.q)
        self.driver.start(4, 1 << 1 | 1 << 5)

    def test_identity(self):
        self.assertEqual(self.q.pci_readl(4 << 3, 0), 0x10021af4)
        self.assertEqual(self.driver.features() & 0x3f, 1 << 1 | 1 << 4 | 1 << 5)

    def test_target_and_actual(self):
        self.assertEqual(self.qmp.execute("query-balloon"), {"actual": 64 * MIB})
        self.assertEqual(self.driver.isr(), 0)
        self.qmp.execute("balloon", {"value": 48 * MIB})
        self.assertEqual(self.driver.isr(), 3)
        self.assertEqual(self.driver.config_long(0), 16 * MIB >> 12)
        for i, byte in enumerate(struct.pack("<I", 4096)):
            self.driver.set_config(4 + i, byte)
        self.assertEqual(self.qmp.wait_event("BALLOON_CHANGE")["data"], {"actual": 48 * MIB})
        self.assertEqual(self.qmp.execute("query-balloon"), {"actual": 48 * MIB})
        self.qmp.execute("balloon", {"value": 1 << 40})
        self.assertEqual(self.driver.config_long(0), 0)
        self.assert_error("Parameter 'target' expects a size", "balloon", value=0)

    @not_the_peer("it believes whatever the guest says")
    def test_guest_cannot_give_more_than_there_is(self):
        for i in range(4):
            self.driver.set_config(4 + i, 0xff)
        self.assertEqual(self.qmp.execute("query-balloon"), {"actual": 0})

    def give(self, queue, pages):
        data = struct.pack(f"<{len(pages)}I", *pages)
        self.driver.offer(queue, [(self.driver.put(data), len(data), False)])
        self.driver.wait_used(queue)

    def test_pages_given_read_as_zeros(self):
        self.q.write(0x2000000, b"x" * 0x3000)
        self.give(0, [0x2000, 0x2002, 0xffffffff, 0xf0])
        self.assertEqual([self.q.read(0x2000000 + i * 0x1000, 1)[0] for i in range(3)], [0, 0x78, 0])
        self.give(1, [0x2000, 0x2002])
        self.q.write(0x2000000, b"y")
        self.assertEqual(self.q.read(0x2000000, 1), b"y")

    def test_reported_pages_read_as_zeros(self):
        self.q.write(0x2000000, b"x" * 0x3000)
        self.driver.offer(3, [(0x2000000, 0x2000, True)])
        self.driver.wait_used(3)
        self.assertEqual([self.q.read(0x2000000 + i * 0x1000, 1)[0] for i in range(3)], [0, 0, 0x78])

    def stats(self):
        return self.qmp.execute("qom-get", {"path": "balloon0", "property": "guest-stats"})

    def test_statistics(self):
        self.assertEqual(set(self.stats()["stats"].values()), {(1 << 64) - 1})
        data = struct.pack("<HQHQHQ", 4, 1234, 0, 7, 99, 5)
        self.driver.offer(2, [(self.driver.put(data), len(data), False)])
        wait_until(self, lambda: self.stats()["stats"]["stat-free-memory"] == 1234)
        stats = self.stats()
        self.assertEqual(stats["stats"]["stat-swap-in"], 7)
        self.assertGreater(stats["last-update"], 1_600_000_000)
        self.assertIsNone(self.driver.used(2))

    @needs_clock
    def test_statistics_are_asked_for(self):
        data = struct.pack("<HQ", 4, 1)
        buffer = self.driver.put(data)
        self.qmp.execute("qom-set", {"path": "balloon0", "property": "guest-stats-polling-interval", "value": 2})
        self.driver.offer(2, [(buffer, len(data), False)])
        wait_until(self, lambda: self.stats()["stats"]["stat-free-memory"] == 1)
        self.assertIsNone(self.driver.used(2))
        self.q.clock_step(2_000_000_001)
        self.driver.wait_used(2)
        self.q.write(buffer, struct.pack("<HQ", 4, 2))
        self.driver.offer(2, [(buffer, len(data), False)])
        wait_until(self, lambda: self.stats()["stats"]["stat-free-memory"] == 2)
        self.assert_error("timer value must be greater than zero", "qom-set", path="balloon0",
                          property="guest-stats-polling-interval", value=-1)

    def test_stop_and_cont_keep_the_statistics_queue(self):
        data = struct.pack("<HQ", 4, 1)
        self.driver.offer(2, [(self.driver.put(data), len(data), False)])
        self.qmp.execute("stop")
        self.qmp.execute("cont")
        wait_until(self, lambda: self.stats()["stats"]["stat-free-memory"] == 1)
        self.assertIsNone(self.driver.used(2))
        self.driver.offer(2, [(self.driver.put(data), len(data), False)])
        self.driver.wait_used(2)

    def test_bad_ring_breaks_the_device_alone(self):
        self.driver.offer(0, [(0xffffffff0000, 16, False)])
        wait_until(self, lambda: self.driver.status() & 0x40)
        self.driver.start(4)
        self.give(0, [0x2000])


class Second(MachineTest):
    def test_one_is_enough(self):
        done = subprocess.run([emulator_path(), *BASE, *ACCEL, "-device", "virtio-balloon-pci", "-device",
                               "virtio-balloon-pci"], capture_output=True, text=True, timeout=30, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("Only one balloon device is supported", done.stderr)


if __name__ == "__main__":
    runner.main()
