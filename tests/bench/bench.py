#!/usr/bin/env python3
"""Measures Rhea beside QEMU in one run: interleaved runs, medians, ratios. Counts stand beside times, because they
repeat exactly. Not a test: nothing here fails for being slow.

usage: bench.py [--emulator PATH] [--peer PATH] [--runs N] [--accel kvm]
"""
import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from pyutil.emulator import ROOT, Emulator, kvm_problem  # noqa: E402

DRIVE = "ide0-1-0"


def machine(accel):
    return ["-machine", "pc", "-accel", accel, "-m", "256", "-nodefaults", "-display", "none", "-vga", "none", "-S"]


class Wire:
    """Raw QMP lines, so that little of the client's own cost is in the numbers."""

    def __init__(self, sock):
        self.sock, self.buffer = sock, b""
        sock.settimeout(60)

    def replies(self, count):
        """Reads until that many replies (not events) have come."""
        while count > 0:
            data = self.sock.recv(1 << 20)
            if not data:
                raise EOFError("the emulator closed its QMP socket")
            *lines, self.buffer = (self.buffer + data).split(b"\n")
            count -= sum(b'"return"' in line or b'"error"' in line for line in lines)

    def ask(self, line):
        self.sock.sendall(line)
        self.replies(1)


def time_start(program, args):
    """Seconds from exec to the reply of qmp_capabilities."""
    start = time.perf_counter()
    with Emulator(args, program=program) as emulator:
        took = time.perf_counter() - start
        emulator.quit()
    return took


def idle_process(program, args, out):
    with Emulator(args, program=program) as emulator:
        with open(f"/proc/{emulator.pid}/smaps_rollup", encoding="ascii") as file:
            out["private"].append(sum(int(n) for n in re.findall(r"Private_\w+:\s+(\d+) kB", file.read())) / 1024)
        with open(f"/proc/{emulator.pid}/maps", encoding="utf-8") as file:
            libraries = {l.split()[-1] for l in file if re.search(r"/[^/]+\.so[.0-9]*$", l.strip())}
        out["libraries"].append(len(libraries))
        emulator.quit()


def talk(program, args, out):
    """QMP round trips, the schema, tray cycles: one process, its own connection."""
    with Emulator(args + ["-device", f"ide-cd,bus=ide.1,unit=0,id={DRIVE}"], program=program) as emulator:
        wire = Wire(emulator.qmp.sock)
        status = b'{"execute":"query-status"}\n'
        out["plain"].append(rate(2000, lambda n: [wire.ask(status) for _ in range(n)]))
        out["pipelined"].append(rate(4000, lambda n: pipelined(wire, status, n)))
        start = time.perf_counter()
        wire.ask(b'{"execute":"query-qmp-schema"}\n')
        out["schema"].append((time.perf_counter() - start) * 1e3)
        arguments = b'"arguments":{"id":"%s"}}\n' % DRIVE.encode()
        pair = [b'{"execute":"blockdev-open-tray",' + arguments, b'{"execute":"blockdev-close-tray",' + arguments]
        out["tray"].append(rate(300, lambda n: [wire.ask(line) for _ in range(n) for line in pair]))
        emulator.qmp = None
        wire.ask(b'{"execute":"quit"}\n')
        emulator.wait_exit()


def pipelined(wire, line, count):
    for _ in range(count // 100):  # windows of 100: no side's socket buffer has to hold everything
        wire.sock.sendall(line * 100)
        wire.replies(100)


def rate(count, work):
    start = time.perf_counter()
    work(count)
    return count / (time.perf_counter() - start)


def strace_calls(path):
    """The calls column of strace -c's sum line: percent, seconds, microseconds a call, calls, [errors,] "total"."""
    with open(path, encoding="utf-8") as file:
        sums = [line.split() for line in file if line.rstrip().endswith(" total")]
    return int(sums[0][3]) if sums else None


def syscalls_to_start(program, args):
    with tempfile.TemporaryDirectory() as folder:
        table = os.path.join(folder, "calls")
        tracer = ["-f", "-qq", "-c", "-o", table, program]
        with Emulator(tracer + args, program=shutil.which("strace")) as emulator:
            emulator.quit(60)
        return strace_calls(table)


def syscalls_per_round_trip(program, args, count=200):
    """Attaches strace to a running process for `count` round trips."""
    with tempfile.TemporaryDirectory() as folder, Emulator(args, program=program) as emulator:
        table = os.path.join(folder, "calls")
        wire = Wire(emulator.qmp.sock)
        line = b'{"execute":"query-status"}\n'
        wire.ask(line)
        tracer = subprocess.Popen(["strace", "-f", "-c", "-o", table, "-p", str(emulator.pid)],
                                  stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            tracer.stderr.readline()  # "Process N attached"
            for _ in range(count):
                wire.ask(line)
        finally:
            tracer.terminate()
            tracer.wait(20)
            tracer.stderr.close()
        calls = strace_calls(table)
        return calls / count if calls else None


def instructions_to_start(program, args):
    """Million user instructions from exec to quit: by perf where the machine has a counter, else by callgrind
    (which cannot run KVM: then with -accel qtest). None where neither works."""
    return instructions_by_perf(program, args) or instructions_by_callgrind(program, args)


def instructions_by_perf(program, args):
    if not shutil.which("perf"):
        return None
    with tempfile.TemporaryDirectory() as folder:
        table = os.path.join(folder, "stat")
        tracer = ["stat", "-x,", "-e", "instructions:u", "-o", table, program]
        with Emulator(tracer + args, program=shutil.which("perf")) as emulator:
            emulator.quit(60)
        with open(table, encoding="utf-8") as file:
            match = re.search(r"^(\d+),", file.read(), re.M)
    return int(match[1]) / 1e6 if match else None


def instructions_by_callgrind(program, args):
    if not shutil.which("valgrind"):
        return None
    args = ["qtest" if word == "kvm" else word for word in args]
    tracer = ["--tool=callgrind", "--callgrind-out-file=/dev/null", program]
    with Emulator(tracer + args, program=shutil.which("valgrind"), timeout=120) as emulator:
        emulator.quit(120)
        match = re.search(r"Collected : (\d+)", emulator.stderr())
    return int(match[1]) / 1e6 if match else None


ROWS = [  # key, title, unit, True when more is better
    ("start", "exec to first QMP reply", "ms", False),
    ("start_calls", "system calls, exec to quit", "", False),
    ("start_instructions", "user instructions, exec to quit", "million", False),
    ("private", "private memory, idle 256 MiB VM", "MiB", False),
    ("libraries", "shared libraries loaded", "", False),
    ("plain", "QMP round trips, one at a time", "/s", True),
    ("calls", "system calls per round trip", "", False),
    ("pipelined", "QMP round trips, pipelined", "/s", True),
    ("schema", "query-qmp-schema", "ms", False),
    ("tray", "tray cycles (open and close)", "/s", True),
]


def measure(sides, args, runs):
    """{side: {row: [values]}}; the sides take turns within each run."""
    results = {side: {key: [] for key, *_ in ROWS} for side in sides}
    notes = []
    for number in range(runs):
        print(f"# run {number + 1} of {runs}", file=sys.stderr, flush=True)
        for side, program in sides.items():
            out = results[side]
            out["start"] += [time_start(program, args) * 1e3 for _ in range(3)]
            idle_process(program, args, out)
            talk(program, args, out)
    for key, tool, function in (("start_calls", "strace", syscalls_to_start),
                                ("calls", "strace", syscalls_per_round_trip),
                                ("start_instructions", None, instructions_to_start)):
        count_with(key, tool, function, sides, args, results, notes)
    return results, notes


def count_with(key, tool, function, sides, args, results, notes):
    if tool and not shutil.which(tool):
        notes.append(f"{key}: {tool} is not installed")
        return
    for side, program in sides.items():
        try:
            value = function(program, args)
        except (OSError, EOFError, ValueError, subprocess.SubprocessError) as error:
            value, reason = None, str(error).splitlines()[0]
        else:
            reason = f"{tool or 'perf or valgrind'} gave no count here"
        if value is None:
            notes.append(f"{key} of {side}: {reason}")
        else:
            results[side][key].append(value)


def show(results, notes, sides):
    peer = len(sides) > 1
    print(f"{'':34}" + "".join(f"{side:>14}" for side in sides) + (f"{'times better':>15}" if peer else ""))
    for key, title, unit, more in ROWS:
        medians = [statistics.median(results[s][key]) if results[s][key] else None for s in sides]
        line = f"{title:34}" + "".join(f"{'-' if m is None else f'{m:,.1f}':>14}" for m in medians)
        if peer and None not in medians and min(medians) > 0:
            ratio = medians[0] / medians[1] if more else medians[1] / medians[0]
            line += f"{ratio:>14.1f}x"
        elif peer:
            line += f"{'-':>15}"
        print(f"{line}  {unit}".rstrip())
    for note in notes:
        print(f"# {note}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--emulator", default=os.path.join(ROOT, "build", "rhea"))
    parser.add_argument("--peer", default=shutil.which("qemu-system-x86_64"))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--accel", default="kvm", help="kvm, or qtest where KVM is not usable")
    args = parser.parse_args()
    if args.accel == "kvm" and kvm_problem():
        print(f"# {kvm_problem()}: measuring with -accel qtest")
        args.accel = "qtest"
    sides = {os.path.basename(args.emulator): os.path.abspath(args.emulator)}
    if args.peer:
        name = "peer" if os.path.basename(args.peer) in sides else "qemu"
        sides[name] = args.peer
    results, notes = measure(sides, machine(args.accel), args.runs)
    show(results, notes, sides)


if __name__ == "__main__":
    main()
