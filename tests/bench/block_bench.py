#!/usr/bin/env python3
"""Measures rhea-img beside qemu-img in one run: interleaved runs, medians, ratios (above 1: Rhea is quicker). Not a test:
nothing here fails for being slow.

usage: block_bench.py [--img PATH] [--peer PATH] [--runs N] [--only WORD] [--count N]
"""
import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
STRIDE = 20975616  # odd in units of 4 KiB: neighbours in time are far apart on the disk


def run(*words):
    done = subprocess.run(words, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(words)}: {done.stdout}{done.stderr}")


def timed(words):
    """Seconds of wall time and of CPU that a program took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    run(*words)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


class Images:
    """What the cases work on, made once by the peer, so that both have the same."""

    def __init__(self, folder, peer):
        self.folder, self.peer = folder, peer

    def path(self, name):
        return os.path.join(self.folder, name)

    def make(self):
        raw = self.path("disk.raw")
        with open(raw, "wb") as file:
            block = os.urandom(1 << 20)
            for number in range(256):  # half of it compresses
                file.write(block if number % 2 else bytes([number]) * (1 << 20))
        run(self.peer, "convert", "-f", "raw", "-O", "qcow2", raw, self.path("disk.qcow2"))
        run(self.peer, "convert", "-c", "-f", "raw", "-O", "qcow2", raw, self.path("packed.qcow2"))
        run(self.peer, "create", "-q", "-f", "qcow2", "-o", "preallocation=metadata", self.path("large.qcow2"), "64G")
        run(self.peer, "create", "-q", "-f", "qcow2", self.path("chain0.qcow2"), "1G")
        for number in range(1, 51):
            run(self.peer, "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", self.path(f"chain{number - 1}.qcow2"),
                self.path(f"chain{number}.qcow2"))


def bench(image, count, depth, fmt="qcow2", write=False, step=STRIDE, opts=False):
    def command(img):
        words = [img, "bench", "-q", "-c", str(count), "-d", str(depth), "-S", str(step), "-t", "none"]
        words += ["-w"] if write else []
        words += ["--image-opts", image] if opts else ["-f", fmt, image]
        return [words]
    return command


def cases(images, count):
    """(name, what one run is: img -> [timed commands], clean-up commands)."""
    raw, disk, large = images.path("disk.raw"), images.path("disk.qcow2"), images.path("large.qcow2")
    packed, chain, out = images.path("packed.qcow2"), images.path("chain50.qcow2"), images.path("out")
    cold = f"driver=qcow2,l2-cache-size=131072,file.driver=file,file.filename={large}"
    yield "start: --version", lambda img: [[img, "--version"]]
    yield "start: info", lambda img: [[img, "info", disk]]
    for depth in (1, 32):
        for name, image, fmt in (("raw", raw, "raw"), ("qcow2", disk, "qcow2")):
            yield f"{name} read 4k depth {depth}", bench(image, count, depth, fmt)
            yield f"{name} write 4k depth {depth}", bench(image, count, depth, fmt, write=True)
    yield "qcow2 read, metadata misses", bench(cold, count, 1, opts=True, step=2147479552)
    yield "chain of 50 read depth 1", bench(chain, count, 1)
    yield "chain of 50 read depth 32", bench(chain, count, 32)
    yield "convert raw to qcow2", lambda img: [[img, "convert", "-f", "raw", "-O", "qcow2", raw, out]]
    yield "convert qcow2 to raw", lambda img: [[img, "convert", "-f", "qcow2", "-O", "raw", disk, out]]
    yield "convert to deflate", lambda img: [[img, "convert", "-c", "-f", "raw", "-O", "qcow2", raw, out]]
    yield "convert from deflate", lambda img: [[img, "convert", "-f", "qcow2", "-O", "raw", packed, out]]
    yield "compare raw with qcow2", lambda img: [[img, "compare", "-f", "raw", "-F", "qcow2", raw, disk]]
    yield "map 64 GiB", lambda img: [[img, "map", "-f", "qcow2", large]]
    yield "check 64 GiB", lambda img: [[img, "check", "-f", "qcow2", large]]
    yield "snapshot made and deleted, 64 GiB", lambda img: [[img, "snapshot", "-c", "s", large],
                                                            [img, "snapshot", "-d", "s", large]]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--img", default=os.path.join(ROOT, "build", "rhea-img"))
    parser.add_argument("--peer", default=shutil.which("qemu-img"))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--count", type=int, default=20000, help="requests of one bench run")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    options = parser.parse_args()
    if options.peer is None:
        sys.exit("block_bench: qemu-img is not installed (Debian: qemu-utils)")
    print(f"{'case':36}{'Rhea ms':>10}{'QEMU ms':>10}{'ratio':>8}{'CPU ratio':>11}")
    with tempfile.TemporaryDirectory(prefix="rhea-bench-") as folder:
        images = Images(folder, options.peer)
        images.make()
        for name, command in cases(images, options.count):
            if options.only not in name:
                continue
            taken = {options.img: [], options.peer: []}
            for _ in range(options.runs):
                for img, results in taken.items():
                    parts = [timed(words) for words in command(img)]
                    results.append((sum(wall for wall, _ in parts), sum(cpu for _, cpu in parts)))
            ours, theirs = ([statistics.median(column) for column in zip(*results)] for results in taken.values())
            print(f"{name:36}{ours[0] * 1e3:10.1f}{theirs[0] * 1e3:10.1f}{theirs[0] / ours[0]:8.2f}"
                  f"{theirs[1] / max(ours[1], 1e-6):11.2f}", flush=True)


if __name__ == "__main__":
    main()
