"""The generation id: its page and tables in fw_cfg, and what monitors say (needs no CPU)."""
import struct

from machine import MachineTest
from pyutil import runner

GUID = "324e6eaf-d1d1-4bf6-bf41-b9bb6c91fb87"
IN_MEMORY = bytes.fromhex("af6e4e32d1d1f64bbf41b9bb6c91fb87")


class FwCfgFiles(MachineTest):
    def select(self, key):
        self.q.outw(0x510, key)

    def take(self, count):
        return bytes(self.q.inb(0x511) for _ in range(count))

    def file(self, wanted, count):
        self.select(0x19)
        for _ in range(struct.unpack(">I", self.take(4))[0]):
            _, key, _ = struct.unpack(">IHH", self.take(8))
            if self.take(56).rstrip(b"\0").decode() == wanted:
                self.select(key)
                return self.take(count)
        raise AssertionError(f"no file {wanted}")


class VmGenId(FwCfgFiles):
    ARGS = ["-device", f"vmgenid,guid={GUID}"]

    def test_query(self):
        self.assertEqual(self.qmp.execute("query-vm-generation-id"), {"guid": GUID})
        self.assertEqual(self.qmp.hmp("info vm-generation-id").strip(), GUID)

    def test_page(self):
        self.assertEqual(self.file("etc/vmgenid_guid", 64), bytes(40) + IN_MEMORY + bytes(8))
        self.assertEqual(self.file("etc/vmgenid_addr", 8), bytes(8))

    def test_linker_writes_the_address_back(self):
        loader = self.file("etc/table-loader", 4096)
        records = [loader[i:i + 128] for i in range(0, 4096, 128)]
        wanted = struct.pack("<I56s56sIIB", 4, b"etc/vmgenid_addr", b"etc/vmgenid_guid", 0, 40, 8)
        self.assertIn(wanted.ljust(128, b"\0"), records)


class Automatic(MachineTest):
    ARGS = ["-device", "vmgenid"]

    def test_random(self):
        first = self.qmp.execute("query-vm-generation-id")["guid"]
        self.assertEqual((len(first), first[14]), (36, "4"))
        other = self.launch(["-device", "vmgenid,guid=auto"])
        self.assertNotEqual(other.qmp.execute("query-vm-generation-id")["guid"], first)


class Without(MachineTest):
    def test_query(self):
        self.assert_error("VM Generation ID device not found", "query-vm-generation-id")


if __name__ == "__main__":
    runner.main()
