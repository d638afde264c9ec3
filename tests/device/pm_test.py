"""PIIX4 power management over ports: PM1 registers, timer, APM, GPE block, power button, soft-off."""
from machine import MachineTest, needs_clock
from pyutil import runner
from pyutil.qmp import QmpError

PM, BASE = 0x0B, 0x600
HALF = 1 << 23  # ticks between changes of bit 23
HZ = 3579545


def ns_at(ticks):
    return -(-ticks * 10**9 // HZ)


class PowerManagement(MachineTest):
    def setUp(self):
        super().setUp()
        self.q.pci_writel(PM, 0x40, BASE | 1)
        self.q.pci_writeb(PM, 0x80, 1)

    def test_registers_follow_the_base(self):
        self.assertEqual(self.q.inw(BASE + 4), 0)
        self.q.pci_writel(PM, 0x40, 0xB001)
        self.assertEqual(self.q.inw(BASE + 4), 0xFFFF)
        self.assertEqual(self.q.inw(0xB004), 0)
        self.q.pci_writeb(PM, 0x80, 0)
        self.assertEqual(self.q.inw(0xB004), 0xFFFF)

    def test_enable_and_control_are_stored(self):
        self.q.outw(BASE + 2, 0x0521)
        self.assertEqual(self.q.inw(BASE + 2), 0x0521)
        self.q.outw(BASE + 4, 0x1C01)
        self.assertEqual(self.q.inw(BASE + 4), 0x1C01)

    def test_apm_switches_sci_enable(self):
        self.q.outb(0xB2, 0xF1)
        self.assertEqual(self.q.inw(BASE + 4), 1)
        self.q.outb(0xB3, 0x77)
        self.assertEqual((self.q.inb(0xB2), self.q.inb(0xB3)), (0xF1, 0x77))
        self.q.outb(0xB2, 0xF0)
        self.assertEqual(self.q.inw(BASE + 4), 0)

    def test_gpe_block(self):
        self.assertEqual(self.q.inl(0xAFE0), 0)
        self.q.outw(0xAFE2, 0xFFFF)
        self.assertEqual(self.q.inl(0xAFE0), 0xFFFF0000)

    def test_power_button(self):
        self.q.outw(BASE + 2, 0x100)
        self.qmp.execute("system_powerdown")
        self.qmp.wait_event("POWERDOWN")
        self.assertEqual(self.q.inw(BASE) & 0x100, 0x100)
        self.q.outw(BASE, 0x100)
        self.assertEqual(self.q.inw(BASE) & 0x100, 0)

    def test_power_off_and_on_again_in_one_process(self):
        """S3.8: a reboot that a manager makes of the guest's power-off."""
        vm = self.launch(["-no-shutdown"])
        vm.qtest.pci_writel(PM, 0x40, BASE | 1)
        vm.qtest.pci_writeb(PM, 0x80, 1)
        if not vm.qmp.execute("query-status")["running"]:
            vm.qmp.execute("cont")
        vm.qtest.outw(BASE + 4, 0x2000)
        self.assertEqual(vm.qmp.wait_event("SHUTDOWN")["data"], {"guest": True, "reason": "guest-shutdown"})
        vm.qmp.wait_event("STOP")
        self.assertEqual(vm.qmp.execute("query-status")["status"], "shutdown")
        with self.assertRaises(QmpError) as refused:
            vm.qmp.execute("cont")
        self.assertEqual(refused.exception.desc, "Resetting the Virtual Machine is required")
        vm.qmp.execute("system_reset")
        vm.qmp.wait_event("RESET")
        vm.qmp.execute("cont")
        vm.qmp.wait_event("RESUME")
        self.assertTrue(vm.qmp.execute("query-status")["running"])
        self.assertEqual(vm.qtest.inw(BASE + 4), 0xffff)  # the registers' base is gone with the reset

    def test_soft_off_ends_the_process(self):
        self.q.outw(BASE + 4, 0x2000)
        event = self.qmp.wait_event("SHUTDOWN")
        self.assertEqual(event["data"], {"guest": True, "reason": "guest-shutdown"})
        self.assertEqual(self.vm.wait_exit(), 0)

    @needs_clock
    def test_timer_counts_wraps_and_sets_its_status(self):
        self.assertEqual(self.q.inl(BASE + 8), 0)
        self.q.clock_set(ns_at(HALF) - 1)
        self.assertEqual(self.q.inl(BASE + 8), HALF - 1)
        self.assertEqual(self.q.inw(BASE) & 1, 0)
        self.q.clock_set(ns_at(HALF))
        self.assertEqual(self.q.inl(BASE + 8), HALF)
        self.assertEqual(self.q.inw(BASE) & 1, 1)
        self.q.outw(BASE, 1)
        self.assertEqual(self.q.inw(BASE) & 1, 0)
        self.q.clock_set(ns_at(2 * HALF))
        self.assertEqual(self.q.inl(BASE + 8), 0)
        self.assertEqual(self.q.inw(BASE) & 1, 1)


if __name__ == "__main__":
    runner.main()
