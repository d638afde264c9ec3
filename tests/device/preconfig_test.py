"""-preconfig: a client describes NUMA nodes before the machine is put together, and says when it is done."""
import os
import signal
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from machine import ACCEL, PEER  # noqa: E402
from pyutil import runner  # noqa: E402
from pyutil.emulator import Emulator, emulator_path  # noqa: E402
from pyutil.qmp import QmpError  # noqa: E402

LINE = ["-machine", "pc", *ACCEL, "-display", "none", "-nodefaults", "-preconfig", "-m", "128", "-smp", "2,sockets=2",
        "-object", "memory-backend-ram,id=m0,size=64M", "-object", "memory-backend-ram,id=m1,size=64M"]


class Preconfig(unittest.TestCase):
    def setUp(self):
        if not os.path.exists(emulator_path()):
            self.skipTest(f"{emulator_path()} is not built")

    def launch(self, *more):
        vm = Emulator(LINE + list(more))
        self.addCleanup(vm.kill)
        return vm.start()

    def assert_fails(self, vm, desc, command, **arguments):
        with self.assertRaises(QmpError) as failed:
            vm.qmp.execute(command, **arguments)
        self.assertEqual(failed.exception.desc, desc)

    def add_nodes(self, vm):
        for n in (0, 1):
            vm.qmp.execute("set-numa-node", {"type": "node", "nodeid": n, "memdev": f"m{n}"})
        for socket, node in ((0, 1), (1, 0)):
            vm.qmp.execute("set-numa-node", {"type": "cpu", "node-id": node, "socket-id": socket})

    def test_nodes_of_a_client(self):
        vm = self.launch()
        self.assertEqual(vm.qmp.execute("query-status"), {"running": False, "singlestep": False, "status": "prelaunch"})
        for command, arguments in (("query-cpus-fast", {}), ("cont", {}), ("human-monitor-command", {"command_line": "x"})):
            self.assert_fails(vm, f"The command '{command}' is permitted only after machine initialization has completed",
                              command, **arguments)
        self.add_nodes(vm)
        self.assert_fails(vm, "Duplicate NUMA nodeid: 1", "set-numa-node", type="node", nodeid=1)
        vm.qmp.execute("x-exit-preconfig")
        cpus = vm.qmp.execute("query-cpus-fast")
        self.assertEqual([(c["props"]["socket-id"], c["props"]["node-id"]) for c in cpus], [(0, 1), (1, 0)])
        self.assertEqual(vm.qmp.execute("query-status")["running"], not PEER)
        self.assert_fails(vm, "The command is permitted only before machine initialization", "x-exit-preconfig")
        with self.assertRaises(QmpError):
            vm.qmp.execute("set-numa-node", {"type": "node", "nodeid": 2})
        self.assertEqual(vm.quit(), 0)

    def test_people_see_a_shorter_list(self):
        vm = Emulator(LINE + ["-monitor", "stdio"], stdio=True)
        self.addCleanup(vm.kill)
        vm.start()
        vm.console.wait(r"\(qemu\)", 20)
        vm.console.send("info cpus\n")
        vm.console.wait("not available until machine initialization has completed", 20)
        vm.console.send("quit\n")
        self.assertEqual(vm.wait_exit(), 0)

    def test_it_ends_though_nobody_says_so(self):
        vm = self.launch()
        self.assertEqual(vm.quit(), 0)
        vm = self.launch()
        vm.process.send_signal(signal.SIGTERM)
        self.assertEqual(vm.wait_exit(), 0)

    def test_nodes_that_make_no_machine(self):
        vm = self.launch()
        vm.qmp.execute("set-numa-node", {"type": "node", "nodeid": 0, "memdev": "m0"})
        vm.qmp.send({"execute": "x-exit-preconfig"})
        self.assertEqual(vm.wait_exit(), 1)
        self.assertIn("total memory for NUMA nodes (0x4000000) should equal RAM size (0x8000000)", vm.stderr())


if __name__ == "__main__":
    runner.main()
