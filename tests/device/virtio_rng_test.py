"""virtio-rng-pci over qtest: random numbers, their rate, back ends, a driver that means ill."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from machine import MachineTest, needs_clock  # noqa: E402
from virtio import VirtioDriver, wait_until  # noqa: E402
from pyutil import runner  # noqa: E402
from pyutil.emulator import emulator_path  # noqa: E402


class VirtioRng(MachineTest):
    ARGS = ["-device", "virtio-rng-pci,id=rng0,addr=4"]

    def setUp(self):
        super().setUp()
        self.driver = VirtioDriver(self.q)
        self.driver.start()

    def ask(self, size):
        buffer = self.driver.put(bytes(size))
        self.driver.offer(0, [(buffer, size, True)])
        return buffer

    def test_identity(self):
        self.assertEqual(self.q.pci_readl(4 << 3, 0), 0x10051af4)
        self.assertEqual(self.q.pci_readw(4 << 3, 0x0a), 0x00ff)
        self.assertEqual(self.qmp.execute("qom-get", {"path": "rng0/virtio-backend", "property": "rng"}),
                         "/machine/peripheral/rng0/virtio-backend/default-backend")

    def test_fills_buffers(self):
        seen = set()
        for size in (1, 16, 512, 4096):
            buffer = self.ask(size)
            self.assertEqual(self.driver.wait_used(0)[1], size)
            seen.add(bytes(self.q.read(buffer, size)))
        self.assertNotIn(bytes(512), seen)
        self.assertNotIn(bytes(4096), seen)

    def test_buffer_to_be_read_gets_nothing(self):
        buffer = self.driver.put(bytes(16))
        self.driver.offer(0, [(buffer, 16, False)])
        self.assertEqual(self.driver.wait_used(0)[1], 0)
        self.assertEqual(bytes(self.q.read(buffer, 16)), bytes(16))

    def test_bad_ring_breaks_the_device_alone(self):
        self.driver.offer(0, [(0xffffffff0000, 16, True)])
        wait_until(self, lambda: self.driver.status() & 0x40)
        self.driver.start()
        self.ask(16)
        self.assertEqual(self.driver.wait_used(0)[1], 16)


class Limited(MachineTest):
    ARGS = ["-object", "rng-builtin,id=b0", "-device", "virtio-rng-pci,rng=b0,max-bytes=100,period=1000,addr=4"]

    @needs_clock
    def test_rate(self):
        driver = VirtioDriver(self.q)
        driver.start()
        for size in (64, 64, 64):
            driver.offer(0, [(driver.put(bytes(size)), size, True)])
        self.assertEqual([driver.wait_used(0)[1] for _ in range(2)], [64, 36])
        self.assertIsNone(driver.used(0))
        self.q.clock_step(999_000_000)
        self.assertIsNone(driver.used(0))
        self.q.clock_step(2_000_000)
        self.assertEqual(driver.wait_used(0)[1], 64)

    def test_back_end_is_held(self):
        self.assert_error("object 'b0' is in use, can not be deleted", "object-del", id="b0")


class Refusals(MachineTest):
    def test_texts(self):
        for properties, text in (("rng=zz", "Device 'zz' not found"),
                                 ("period=0", "'period' parameter expects a positive integer"),
                                 ("max-bytes=9223372036854775808",
                                  "'max-bytes' parameter must be non-negative, and less than 2^63")):
            done = subprocess.run([emulator_path(), "-machine", "pc", "-accel", "qtest", "-nodefaults", "-display", "none",
                                   "-device", f"virtio-rng-pci,{properties}"], capture_output=True, text=True,
                                  timeout=30, check=False)
            self.assertEqual(done.returncode, 1, properties)
            self.assertIn(text, done.stderr)


if __name__ == "__main__":
    runner.main()
