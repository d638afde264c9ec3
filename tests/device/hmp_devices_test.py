"""HMP commands about networks, balloons, memory and processors: what they print, compared with the peer's layout."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from machine import MachineTest  # noqa: E402
from pyutil import runner  # noqa: E402


class HmpDevices(MachineTest):
    ARGS = ["-m", "64", "-smp", "1,maxcpus=2", "-object", "memory-backend-ram,id=m1,size=32M",
            "-netdev", "user,id=n0", "-device", "virtio-net-pci,netdev=n0,id=nic,mac=52:54:00:00:00:01",
            "-netdev", "hubport,id=hp,hubid=0", "-device", "virtio-balloon-pci,id=b",
            "-blockdev", "null-co,node-name=n,size=65536", "-drive", "if=none,id=d,driver=null-co,size=65536"]

    def hmp(self, line):
        return self.qmp.execute("human-monitor-command", {"command-line": line}).replace("\r", "")

    def test_network(self):
        self.assertEqual(self.hmp("info network"),
                         "hub 0\n \\ hp\nnic: index=0,type=nic,model=virtio-net-pci,macaddr=52:54:00:00:00:01\n"
                         " \\ n0: index=0,type=user,net=10.0.2.0,restrict=off\n")
        self.assertEqual(self.hmp("netdev_add user,id=n1,net=10.0.3.0/24"), "")
        self.assertIn("n1: index=0,type=user,net=10.0.3.0,restrict=off\n", self.hmp("info network"))
        self.assertEqual(self.hmp("netdev_del n1"), "")
        self.assertEqual(self.hmp("netdev_del n1"), "Error: Device 'n1' not found\n")
        self.assertEqual(self.hmp("set_link n0 off"), "")
        self.assertEqual(self.hmp("set_link nix off"), "Error: Device 'nix' not found\n")

    def test_balloon(self):
        self.assertEqual(self.hmp("info balloon"), "balloon: actual=64\n")
        self.assertEqual(self.hmp("balloon 32"), "")
        self.assertEqual(self.hmp("info balloon"), "balloon: actual=64\n")  # the guest has not followed yet

    def test_memory_and_processors(self):
        self.assertTrue(self.hmp("info memdev").startswith(
            "memory backend: m1\n  size:  33554432\n  merge: true\n  dump: true\n  prealloc: false\n  share: false\n"
            "  reserve: true\n  policy: default\n  host nodes: \n"), self.hmp("info memdev"))
        self.assertEqual(self.hmp("info memory-devices"), "")
        cpus = self.hmp("info hotpluggable-cpus")
        self.assertTrue(cpus.startswith('Hotpluggable CPUs:\n  type: "qemu64-x86_64-cpu"\n  vcpus_count: "1"\n'), cpus)
        self.assertEqual(cpus.count("qom_path"), 1)
        self.assertIn('    thread-id: "0"\n', cpus)

    def test_block_resize(self):
        self.assertEqual(self.hmp("block_resize nix 20M"), "Error: Cannot find device='nix' nor node-name=''\n")
        self.assertIn("Error:", self.hmp("block_resize d 20M"))


if __name__ == "__main__":
    runner.main()
