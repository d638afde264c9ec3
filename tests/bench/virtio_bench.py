#!/usr/bin/env python3
"""Counts what a virtio-blk request costs, beside QEMU in one run: user instructions for each 4 KiB read from null-co, by
callgrind. A guest's part is played over qtest: the ring is filled once and offered again and again. Two runs with the
same number of doorbells and another number of requests at each tell the request's cost from everything else. Not a test:
nothing here fails for being slow.

usage: virtio_bench.py [--emulator PATH] [--peer PATH] [--rounds N]
"""
import argparse
import os
import re
import shutil
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from pyutil.emulator import ROOT, Emulator  # noqa: E402

QUEUE, PIECES = 256, 3
FEW, MANY = 1, 64  # requests a doorbell; both divide the ring
IO, RING, DATA, HEADERS = 0xC000, 0x100000, 0x200000, 0x180000
BYTES = 4096
LIMIT_S = 120


def machine(program, place):
    peer = os.path.basename(program).startswith("qemu")
    words = ["-machine", "pc", "-m", "64", "-nodefaults", "-display", "none", "-vga", "none",
             "-accel", "tcg" if peer else "qtest", *(["-S"] if peer else []),
             "-blockdev", "null-co,node-name=n,size=1073741824"]
    thread = place == "iothread"
    if thread:
        words += ["-object", "iothread,id=io0,poll-max-ns=0"]
    return words + ["-device", "virtio-blk-pci,drive=n,addr=4" + (",iothread=io0" if thread else ",ioeventfd=off")]


def set_up(q, sectors):
    """A legacy driver with one queue whose available ring names all requests; returns available and used ring."""
    q.pci_writel(4 << 3, 0x10, IO)
    q.pci_writew(4 << 3, 0x04, 7)
    for status in (0, 1, 3):
        q.outb(IO + 18, status)
    q.outw(IO + 14, 0)
    q.outl(IO + 8, RING >> 12)
    avail = RING + 16 * QUEUE
    used = avail + 6 + 2 * QUEUE + 4095 & -4096
    table, headers = b"", b""
    for i, sector in enumerate(sectors):
        header = HEADERS + 32 * i
        headers += struct.pack("<IIQ16x", 0, 0, sector)
        for n, (at, size, flags) in enumerate(((header, 16, 1), (DATA + BYTES * i, BYTES, 3), (header + 16, 1, 2))):
            table += struct.pack("<QIHH", at, size, flags, PIECES * i + n + 1)
    q.write(RING, table)
    q.write(HEADERS, headers)
    heads = [PIECES * (slot % len(sectors)) for slot in range(QUEUE)]
    q.write(avail, struct.pack(f"<HH{QUEUE}H", 1, 0, *heads))  # 1: no interrupts, which are not what is measured
    q.outb(IO + 18, 7)
    return avail, used


def instructions(program, place, sectors, rounds):
    """Instructions of a process that serves `rounds` doorbells with all of `sectors` at each."""
    tracer = ["--tool=callgrind", "--callgrind-out-file=/dev/null", program]
    with Emulator(tracer + machine(program, place), program=shutil.which("valgrind"), timeout=LIMIT_S, qtest=True) as vm:
        avail, used = set_up(vm.qtest, sectors)
        for index in range(len(sectors), len(sectors) * rounds + 1, len(sectors)):
            vm.qtest.writew(avail + 2, index & 0xFFFF)
            vm.qtest.outw(IO + 16, 0)
            end = time.monotonic() + LIMIT_S
            while vm.qtest.readw(used + 2) != index & 0xFFFF:
                if time.monotonic() > end:
                    raise TimeoutError("requests do not end")
        vm.quit(LIMIT_S)
        match = re.search(r"Collected : (\d+)", vm.stderr())
    if match is None:
        raise RuntimeError(f"callgrind gave no count: {vm.stderr().strip()[-300:]}")
    return int(match[1])


def cost(program, place, spread, rounds):
    """Instructions for one request; `spread`: sectors between neighbours in the ring."""
    few, many = (instructions(program, place, [spread * i for i in range(count)], rounds) for count in (FEW, MANY))
    return (many - few) / (rounds * (MANY - FEW))


ROWS = [  # title, place, sectors between requests
    ("4k reads far apart, main loop", "main", 1024),
    ("4k reads of neighbours, main loop", "main", 8),
    ("4k reads far apart, I/O thread", "iothread", 1024),
    ("4k reads of neighbours, I/O thread", "iothread", 8),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--emulator", default=os.path.join(ROOT, "build", "rhea"))
    parser.add_argument("--peer", default=shutil.which("qemu-system-x86_64"))
    parser.add_argument("--rounds", type=int, default=40)
    args = parser.parse_args()
    if not shutil.which("valgrind"):
        sys.exit("valgrind is not installed")
    sides = [os.path.abspath(args.emulator)] + ([args.peer] if args.peer else [])
    print(f"{'instructions a request':38}" + "".join(f"{os.path.basename(side)[:12]:>14}" for side in sides))
    for title, place, spread in ROWS:
        costs = [cost(side, place, spread, args.rounds) for side in sides]
        line = f"{title:38}" + "".join(f"{c:>14,.0f}" for c in costs)
        print(line + (f"{costs[1] / costs[0]:>13.1f}x" if len(costs) > 1 and costs[0] > 0 else ""), flush=True)


if __name__ == "__main__":
    main()
