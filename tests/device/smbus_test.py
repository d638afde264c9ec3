"""The SMBus of the PIIX4 and what is on it."""
from machine import MachineTest, not_the_peer
from pyutil import runner

BASE = 0xB100
STATUS, CONTROL, COMMAND, ADDRESS, DATA0, DATA1, BLOCK = (BASE + n for n in (0, 2, 3, 4, 5, 6, 7))
START = 0x40
QUICK, BYTE, BYTE_DATA, WORD_DATA, BLOCK_DATA = 0, 1, 2, 3, 5
DONE, ERROR = 2, 4
FUNCTION = 1 << 3 | 3


class Smbus(MachineTest):
    def transfer(self, protocol, address, command=0, data=()):
        """Returns the status at the end."""
        self.q.outb(STATUS, 0x1E)
        self.q.outb(ADDRESS, address)
        self.q.outb(COMMAND, command)
        for port, byte in zip((DATA0, DATA1), data):
            self.q.outb(port, byte)
        self.q.outb(CONTROL, START | protocol << 2)
        self.assertEqual(self.q.inb(STATUS), 1)
        return self.q.inb(STATUS)

    def byte_at(self, offset, address=0xA1):
        self.assertEqual(self.transfer(BYTE_DATA, address, offset), DONE)
        return self.q.inb(DATA0)

    def test_where_it_is(self):
        self.assertEqual(self.q.pci_readl(FUNCTION, 0x90), 0xB101)
        self.assertEqual(self.q.pci_readb(FUNCTION, 0xD2), 0x09)
        self.q.outb(COMMAND, 0x5A)
        self.q.pci_writew(FUNCTION, 0x90, 0xB201)
        self.assertEqual(self.q.inb(COMMAND + 0x100), 0x5A)
        self.q.pci_writeb(FUNCTION, 0xD2, 0)
        self.assertNotEqual(self.q.inb(COMMAND + 0x100), 0x5A)

    def test_who_answers(self):
        found = [address for address in range(2, 256, 2) if self.transfer(QUICK, address) == DONE]
        self.assertEqual(found, list(range(0xA0, 0xB0, 2)))
        self.assertEqual(self.transfer(4, 0xA1), ERROR)

    def test_bytes_and_words(self):
        self.assertEqual(self.transfer(BYTE_DATA, 0xA2, 5, (0x77,)), DONE)
        self.assertEqual(self.transfer(WORD_DATA, 0xA2, 6, (0x12, 0x34)), DONE)
        self.assertEqual([self.byte_at(n, 0xA3) for n in range(4, 9)], [0, 0x77, 0x12, 0x34, 0])
        self.assertEqual(self.byte_at(5, 0xA1), 0, "another one")
        self.assertEqual(self.transfer(WORD_DATA, 0xA3, 5), DONE)
        self.assertEqual((self.q.inb(DATA0), self.q.inb(DATA1)), (0x77, 0x12))
        self.assertEqual(self.transfer(BYTE, 0xA2, 5), DONE)
        for byte in (0x77, 0x12, 0x34):
            self.assertEqual(self.transfer(BYTE, 0xA3), DONE)
            self.assertEqual(self.q.inb(DATA0), byte)

    def test_blocks(self):
        self.q.inb(CONTROL)
        for byte in (0x11, 0x22, 0x33, 0x44):
            self.q.outb(BLOCK, byte)
        self.assertEqual(self.transfer(BLOCK_DATA, 0xA0, 0x20, (4,)), DONE)
        self.assertEqual([self.byte_at(n) for n in range(0x1F, 0x26)], [0, 4, 0x11, 0x22, 0x33, 0x44, 0])
        self.assertEqual(self.transfer(BLOCK_DATA, 0xA1, 0x20), DONE)
        self.assertEqual(self.q.inb(DATA0), 4)
        self.q.inb(CONTROL)
        self.assertEqual([self.q.inb(BLOCK) for _ in range(4)], [0x11, 0x22, 0x33, 0x44])

    @not_the_peer("it takes any number as one that fits")
    def test_a_block_that_is_no_block(self):
        for count in (0, 33, 255):
            self.assertEqual(self.transfer(BLOCK_DATA, 0xA0, 0x20, (count,)), ERROR)

    def test_in_the_tree(self):
        tree = self.qmp.execute("human-monitor-command", **{"command-line": "info qtree"})
        self.assertEqual(tree.count("dev: smbus-eeprom"), 8)
        self.assertIn("address = 87 (0x57)", tree)


if __name__ == "__main__":
    runner.main()
