#!/usr/bin/env python3
"""Checks every #include "..." against the floors of docs/ARCHITECTURE.md: a folder may include only what is named.

Run by the build: an upward include fails it. Usage: check_layers.py ROOT [STAMP DEPFILE]
"""
import os
import re
import sys

# Folder: what it may include, besides itself. The longest matching folder counts. "hw/*" is any folder under hw.
BASE = ["util", "qapi"]
CORE = BASE + ["qom", "backends", "migration/vmstate"]
MAY = {
    "util": [],
    "qapi": ["util"],
    "qom": BASE,
    "backends": BASE + ["qom"],
    "migration/vmstate": BASE,
    "block": CORE,
    "chardev": CORE,
    "net": CORE,
    "memory": CORE,
    "ui": CORE,
    "ui/vnc": CORE + ["ui", "chardev"],
    "modules": BASE + ["ui/vnc"],
    "accel": CORE + ["memory"],
    "hw/core": CORE + ["block", "chardev", "memory", "accel"],
    "hw": CORE + ["block", "chardev", "net", "memory", "accel", "ui", "hw/core", "hw/block", "hw/mem", "hw/pci",
                  "hw/isa", "hw/i2c", "hw/scsi"],  # hw/<one bus or family>
    "target/i386": CORE + ["memory", "accel", "hw/core"],
    "hw/i386": CORE + ["block", "chardev", "memory", "accel", "ui", "target/i386", "hw"],
    "migration": CORE + ["block", "chardev", "memory", "accel", "hw/core"],
    "monitor": CORE + ["block", "chardev", "memory", "accel", "hw/core"],
    "system": None,  # anything
    "tools": CORE + ["block", "chardev", "memory"],
    "tests": None,
}
# Libraries that must stay out of our headers.
HEADER_BANS = re.compile(r"#\s*include\s*<(fmt/|rapidjson/)")
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.M)


def folder_of(path):
    """The floor-table entry a file belongs to: the longest one that is a prefix of its folder."""
    parts = path.split("/")[:-1]
    if parts[:1] == ["hw"] and len(parts) > 1:
        return "/".join(parts[:2])
    while parts:
        name = "/".join(parts)
        if name in MAY:
            return name
        parts.pop()
    return None


def may_include(folder):
    """The entry for a folder; each hw/<family> has that of "hw". None means anything."""
    return MAY[folder] if folder in MAY else MAY["hw"]


def allowed(source, target):
    """None when `source` (a file) may include `target` (root-relative), else why not."""
    here, there = folder_of(source), folder_of(target)
    if here is None or may_include(here) is None:
        return None
    if there is None:
        return None if "/" not in target else f"'{target}' is in no known folder"
    may = may_include(here)
    if here == there or there in may or (there.startswith("hw/") and "hw" in may):
        return None
    return f"{here}/ may not include {there}/"


def sources(root):
    for top in sorted({name.split("/")[0] for name in MAY}):
        for folder, folders, files in os.walk(os.path.join(root, top)):
            folders[:] = [f for f in folders if f != "__pycache__"]
            for name in files:
                if name.endswith((".h", ".cc", ".c")):
                    yield os.path.relpath(os.path.join(folder, name), root)


def check(root):
    problems, paths = [], list(sources(root))
    for path in paths:
        with open(os.path.join(root, path), encoding="utf-8") as file:
            text = file.read()
        for match in INCLUDE.finditer(text):
            reason = allowed(path, match[1])
            if reason:
                line = text.count("\n", 0, match.start()) + 1
                problems.append(f"{path}:{line}: includes \"{match[1]}\": {reason}")
        if path.endswith(".h") and not path.startswith("tests/") and HEADER_BANS.search(text):
            problems.append(f"{path}: a header includes fmt or the JSON library; only .cc files may")
    return problems, paths


def main():
    problems, paths = check(sys.argv[1] if len(sys.argv) > 1 else ".")
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        sys.exit(1)
    if len(sys.argv) > 3:
        stamp, depfile = sys.argv[2:4]
        with open(stamp, "w", encoding="utf-8") as out:
            out.write(f"{len(paths)} files\n")
        with open(depfile, "w", encoding="utf-8") as out:
            out.write(f"{stamp}: " + " ".join(os.path.join(sys.argv[1], p).replace(" ", "\\ ") for p in paths) + "\n")


if __name__ == "__main__":
    main()
