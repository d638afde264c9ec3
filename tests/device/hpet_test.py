"""The event timers: registers, interrupts, and how the firmware is told of them."""
import struct

from machine import MachineTest, needs_clock
from pyutil import runner

BASE = 0xFED00000
CONFIG, STATUS, COUNTER = BASE + 0x10, BASE + 0x20, BASE + 0xF0
ON, LEGACY = 1, 2
LEVEL, INTERRUPT, PERIODIC, SET_VALUE, NARROW = 2, 4, 8, 0x40, 0x100
ROUTE = 2


def timer(n, register=0):
    return BASE + 0x100 + 0x20 * n + register


class Hpet(MachineTest):
    def fw_cfg(self, selector, count):
        self.q.outw(0x510, selector)
        return bytes(self.q.inb(0x511) for _ in range(count))

    def test_identity(self):
        self.assertEqual(self.q.readl(BASE), 0x8086A201)
        self.assertEqual(self.q.readl(BASE + 4), 10_000_000)
        self.assertEqual([self.q.readl(timer(n)) for n in range(4)], [0x30, 0x30, 0x30, 0])
        self.assertEqual(self.q.readl(timer(0, 4)), 1 << ROUTE)

    def test_halves_of_a_register(self):
        self.q.writel(timer(0, 8), 0x11111111)
        self.q.writel(timer(0, 12), 0x22222222)
        self.assertEqual(self.q.readq(timer(0, 8)), 0x2222222211111111)
        self.q.writel(timer(0), NARROW)
        self.assertEqual(self.q.readq(timer(0, 8)), 0x11111111)
        self.q.writel(COUNTER, 5)
        self.q.writel(COUNTER + 4, 6)
        self.assertEqual(self.q.readq(COUNTER), 0x600000005)
        self.reset()
        self.assertEqual(self.q.readq(COUNTER), 0)
        self.assertEqual(self.q.readq(timer(0, 8)), 2**64 - 1)

    def test_the_firmware_knows(self):
        self.assertEqual(self.fw_cfg(0x8004, 16), struct.pack("<BIQHB", 1, 0x8086A201, BASE, 0, 0))

    def test_a_machine_without(self):
        self.vm = self.launch(["-machine", "hpet=off"])
        self.q = self.vm.qtest
        self.assertEqual(self.fw_cfg(0x8004, 3), b"\xff\0\0")
        self.assertNotEqual(self.q.readl(BASE), 0x8086A201)

    @needs_clock
    def test_interrupts(self):
        self.q.irq_intercept_in("ioapic")
        self.q.writel(timer(0), INTERRUPT | LEVEL | ROUTE << 9)
        self.q.writeq(timer(0, 8), 1000)
        self.q.writel(timer(1), INTERRUPT | LEVEL | PERIODIC | SET_VALUE | ROUTE << 9)
        self.q.writeq(timer(1, 8), 5000)
        self.q.writel(CONFIG, ON)
        self.q.clock_step(9990)
        self.assertEqual(self.q.readl(STATUS), 0)
        self.q.clock_step(10)
        self.assertEqual(self.q.readl(STATUS), 1)
        self.assertEqual(self.q.readq(COUNTER), 1000)
        self.assertTrue(self.q.irqs.get(ROUTE))
        self.q.writel(STATUS, 1)
        self.assertFalse(self.q.irqs.get(ROUTE))
        self.q.clock_step(40_000)
        self.assertEqual(self.q.readl(STATUS), 2)
        self.assertEqual(self.q.readq(timer(1, 8)), 10_000)

    @needs_clock
    def test_legacy_replacement(self):
        self.q.irq_intercept_in("ioapic")
        self.q.writel(timer(0), INTERRUPT | LEVEL)
        self.q.writeq(timer(0, 8), 1000)
        self.q.writel(timer(1), INTERRUPT | LEVEL)
        self.q.writeq(timer(1, 8), 2000)
        self.q.writel(CONFIG, ON | LEGACY)
        self.q.clock_step(10_000)
        self.assertTrue(self.q.irqs.get(2))  # interrupt 0
        self.assertFalse(self.q.irqs.get(8))
        self.q.clock_step(10_000)
        self.assertTrue(self.q.irqs.get(8))

    def test_in_the_tree(self):
        paths = [entry["type"] for entry in self.qmp.execute("qom-list", path="/machine/unattached")]
        self.assertIn("child<hpet>", paths)


if __name__ == "__main__":
    runner.main()
