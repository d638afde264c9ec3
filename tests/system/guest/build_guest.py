#!/usr/bin/env python3
"""Compiles the test guest to a flat image and puts it on a bootable CD.

usage: build_guest.py SOURCE_DIR WORK_DIR ISO COMPILER...
"""
import os
import subprocess
import sys

FLAGS = ("-m32 -march=i686 -mgeneral-regs-only -ffreestanding -fno-pic -fno-pie -fno-stack-protector"
         " -fno-asynchronous-unwind-tables -fcf-protection=none -fno-lto -O1 -Wall -Wextra -Werror"
         " -nostdlib -static -no-pie -Wl,--build-id=none -Wl,--oformat=binary -Wl,-m,elf_i386").split()
SOURCES = ["start.S", "main.c", "serial.c", "interrupts.c", "platform.c", "atapi.c"]


def main():
    source, work, iso, compiler = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]
    sys.path.insert(0, os.path.join(source, "..", ".."))
    from pyutil.iso import write_iso
    os.makedirs(work, exist_ok=True)
    image = os.path.join(work, "guest.bin")
    subprocess.run(compiler + FLAGS + ["-Wl,-T," + os.path.join(source, "guest.ld"), "-o", image]
                   + [os.path.join(source, name) for name in SOURCES], check=True)
    with open(image, "rb") as file:
        boot = file.read()
    if len(boot) > 0x60000:
        sys.exit(f"the guest's image is {len(boot)} bytes: it would reach its own stack")
    write_iso(iso, "RHEA_GUEST", {"README.TXT": b"The disc the Rhea test guest boots from.\n"}, boot, 512)


if __name__ == "__main__":
    main()
