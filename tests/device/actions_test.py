"""What guests tell and what becomes of it: pvpanic, watchdogs, -action, sleep and wake-up, NMI (S3.12, S3.13)."""
from machine import MachineTest, needs_clock
from pyutil import runner

PANICKED, CRASHLOADED = 1, 2


class Panic(MachineTest):
    ARGS = ["-device", "pvpanic"]

    def status(self):
        return self.qmp.execute("query-status")["status"]

    def panic(self):
        self.qmp.execute("cont")
        self.q.outb(0x505, PANICKED)
        return self.qmp.wait_event("GUEST_PANICKED")["data"]

    def test_the_port_tells_what_it_knows(self):
        self.assertEqual(self.q.inb(0x505), 3)

    def test_crashloaded_is_only_told(self):
        self.q.outb(0x505, CRASHLOADED)
        self.assertEqual(self.qmp.wait_event("GUEST_CRASHLOADED")["data"], {"action": "run"})

    def test_unknown_events_do_nothing(self):
        self.q.outb(0x505, 0xFC)
        self.assertEqual(self.q.inb(0x505), 3)

    def test_pause(self):
        self.qmp.execute("set-action", panic="pause")
        self.assertEqual(self.panic(), {"action": "pause"})
        self.qmp.wait_event("STOP")
        self.assertEqual(self.status(), "guest-panicked")
        self.qmp.execute("cont")
        self.assertEqual(self.status(), "running")

    def test_none(self):
        self.qmp.execute("set-action", panic="none")
        self.assertEqual(self.panic(), {"action": "run"})
        self.assertEqual(self.status(), "running")

    def test_shutdown_is_the_default(self):
        self.assertEqual(self.panic(), {"action": "poweroff"})
        self.qmp.wait_event("STOP")
        self.assertEqual(self.qmp.wait_event("SHUTDOWN")["data"], {"guest": True, "reason": "guest-panic"})
        self.assertEqual(self.vm.wait_exit(), 0)

    def test_shutdown_where_shutdown_means_pause(self):
        self.qmp.execute("set-action", shutdown="pause")
        self.assertEqual(self.panic(), {"action": "pause"})
        self.qmp.wait_event("STOP")
        self.assertEqual(self.status(), "guest-panicked")

    def test_what_is_no_action(self):
        self.assert_error("Parameter 'panic' does not accept value 'x'", "set-action", panic="x")


class PanicPci(MachineTest):
    ARGS = ["-device", "pvpanic-pci,addr=4", "-action", "panic=none"]

    def test_bar(self):
        self.q.pci_writel(4 << 3, 0x10, 0xFE000000)
        self.q.pci_writew(4 << 3, 4, 2)
        self.assertEqual(self.q.readb(0xFE000000), 3)
        self.q.writeb(0xFE000000, PANICKED)
        self.assertEqual(self.qmp.wait_event("GUEST_PANICKED")["data"], {"action": "run"})


class Watchdogs(MachineTest):
    ARGS = ["-device", "ib700", "-device", "i6300esb,addr=5", "-watchdog-action", "none"]

    def fires(self):
        return self.qmp.wait_event("WATCHDOG")["data"]

    def silent(self):
        """No event has come before this reply."""
        self.qmp.execute("query-status")
        self.assertFalse([e for e in self.qmp.events if e["event"] == "WATCHDOG"])

    @needs_clock
    def test_ib700_counts_what_is_left_of_30_seconds(self):
        self.q.outb(0x443, 14)
        self.q.clock_step(1_999_999_999)
        self.silent()
        self.q.outb(0x443, 13)
        self.q.clock_step(3_999_999_999)
        self.silent()
        self.q.clock_step(1)
        self.assertEqual(self.fires(), {"action": "none"})

    @needs_clock
    def test_ib700_stops(self):
        self.q.outb(0x443, 14)
        self.q.outb(0x441, 0)
        self.q.clock_step(40 * 10**9)
        self.silent()

    def unlock(self):
        self.q.writeb(0xFE00000C, 0x80)
        self.q.writeb(0xFE00000C, 0x86)

    def start_esb(self):
        self.q.pci_writel(5 << 3, 0x10, 0xFE000000)
        self.q.pci_writew(5 << 3, 4, 2)
        self.q.pci_writew(5 << 3, 0x60, 0)
        for at in (0, 4):
            self.unlock()
            self.q.writel(0xFE000000 + at, 1007)  # 1007 * 2^15 PCI clocks: just below a second
        self.q.pci_writeb(5 << 3, 0x68, 2)

    @needs_clock
    def test_i6300esb_fires_after_both_stages(self):
        self.start_esb()
        self.q.clock_step(999_000_000)
        self.silent()
        self.unlock()
        self.q.writew(0xFE00000C, 0x100)  # reload: the first stage starts again
        self.q.clock_step(1_990_000_000)
        self.silent()
        self.q.clock_step(100_000_000)
        self.assertEqual(self.fires(), {"action": "none"})
        self.assertEqual(self.q.readw(0xFE00000C), 0x1200)
        self.unlock()
        self.q.writew(0xFE00000C, 0x200)
        self.assertEqual(self.q.readw(0xFE00000C), 0)

    def test_i6300esb_lock(self):
        self.q.pci_writeb(5 << 3, 0x68, 1)
        self.q.pci_writeb(5 << 3, 0x68, 6)
        self.assertEqual(self.q.pci_readb(5 << 3, 0x68), 1)
        self.reset()
        self.q.pci_writeb(5 << 3, 0x68, 4)
        self.assertEqual(self.q.pci_readb(5 << 3, 0x68), 4)

    @needs_clock
    def test_actions(self):
        for action, follows in (("pause", "STOP"), ("shutdown", "POWERDOWN"), ("reset", "RESET")):
            self.qmp.execute("cont")
            self.qmp.execute("watchdog-set-action", action=action)
            self.q.outb(0x443, 14)
            self.q.clock_step(2 * 10**9)
            self.assertEqual(self.fires(), {"action": action})
            self.qmp.wait_event(follows)

    @needs_clock
    def test_poweroff(self):
        self.qmp.hmp("watchdog_action poweroff")
        self.q.outb(0x443, 14)
        self.q.clock_step(2 * 10**9)
        self.assertEqual(self.fires(), {"action": "poweroff"})
        self.assertEqual(self.vm.wait_exit(), 0)

    @needs_clock
    def test_reset_where_reboot_means_shutdown(self):
        self.qmp.execute("set-action", reboot="shutdown", watchdog="reset")
        self.q.outb(0x443, 14)
        self.q.clock_step(2 * 10**9)
        self.assertEqual(self.qmp.wait_event("SHUTDOWN")["data"], {"guest": True, "reason": "guest-reset"})
        self.assertEqual(self.vm.wait_exit(), 0)


class Sleep(MachineTest):
    PM, BASE = 0x0B, 0x600
    ARGS = ["-rtc", "base=2020-11-12T13:14:15,clock=vm"]

    def sleep(self):
        self.q.pci_writel(self.PM, 0x40, self.BASE | 1)
        self.q.pci_writeb(self.PM, 0x80, 1)
        self.qmp.execute("cont")
        self.q.outw(self.BASE + 4, 1 << 10 | 0x2000)
        self.qmp.wait_event("SUSPEND")

    def status(self):
        return self.qmp.execute("query-status")["status"]

    def wake_status(self):
        self.q.pci_writel(self.PM, 0x40, self.BASE | 1)
        self.q.pci_writeb(self.PM, 0x80, 1)
        return self.q.inw(self.BASE) & 0x8D00

    def test_wake_up_by_command(self):
        self.assertEqual(self.qmp.execute("query-current-machine"), {"wakeup-suspend-support": True})
        self.assert_error("Unable to wake up: guest is not in suspended state", "system_wakeup")
        self.sleep()
        self.assertEqual(self.status(), "suspended")
        self.qmp.execute("stop")
        self.assertEqual(self.status(), "suspended")
        self.q.outb(0x70, 0x0F)
        self.assertEqual(self.q.inb(0x71), 0xFE)
        self.qmp.execute("system_wakeup")
        self.qmp.wait_event("WAKEUP")
        self.assertEqual(self.status(), "running")

    @needs_clock
    def test_wake_status_and_memory(self):
        self.q.writel(0x100000, 0x12345678)
        self.sleep()
        self.qmp.execute("system_wakeup")
        self.qmp.wait_event("WAKEUP")
        self.assertEqual(hex(self.wake_status()), "0x8100")
        self.assertEqual(hex(self.q.readl(0x100000)), "0x12345678")

    @needs_clock
    def test_wake_up_by_alarm(self):
        for at, value in ((1, 0x20), (3, 0xC0), (5, 0xC0), (0x0B, 0x22)):
            self.q.outb(0x70, at)
            self.q.outb(0x71, value)
        self.q.pci_writel(self.PM, 0x40, self.BASE | 1)
        self.q.pci_writeb(self.PM, 0x80, 1)
        self.q.outw(self.BASE + 2, 0x400)
        self.sleep()
        self.q.clock_step(6 * 10**9)
        self.qmp.wait_event("WAKEUP")
        self.assertEqual(hex(self.wake_status()), "0x8400")

    def test_reset_ends_the_sleep(self):
        self.sleep()
        self.reset()
        self.assertEqual(self.status(), "prelaunch")

    def test_suspend_to_disk(self):
        self.q.pci_writel(self.PM, 0x40, self.BASE | 1)
        self.q.pci_writeb(self.PM, 0x80, 1)
        self.qmp.execute("cont")
        self.q.outw(self.BASE + 4, 2 << 10 | 0x2000)
        self.qmp.wait_event("SUSPEND_DISK")
        self.qmp.wait_event("SHUTDOWN")
        self.assertEqual(self.vm.wait_exit(), 0)

    def test_nmi(self):
        self.assertEqual(self.qmp.execute("inject-nmi"), {})


class ExitFailure(MachineTest):
    ARGS = ["-device", "pvpanic", "-action", "panic=exit-failure"]

    def finish(self, vm):
        pass

    def test_exit_status(self):
        self.q.outb(0x505, PANICKED)
        self.assertEqual(self.qmp.wait_event("GUEST_PANICKED")["data"], {"action": "poweroff"})
        self.assertEqual(self.vm.wait_exit(), 1)


if __name__ == "__main__":
    runner.main()
