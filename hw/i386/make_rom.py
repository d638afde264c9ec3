#!/usr/bin/env python3
"""Assembles an option ROM and writes it as a C++ array, size and checksums filled in.

Usage: make_rom.py AS LD SOURCE OUTPUT.cc OUTPUT.bin FUNCTION
"""
import os
import subprocess
import sys
import tempfile


def assemble(assembler, linker, source):
    with tempfile.TemporaryDirectory() as folder:
        obj, image = os.path.join(folder, "rom.o"), os.path.join(folder, "rom.bin")
        subprocess.run([assembler, "--32", "-o", obj, source], check=True)
        subprocess.run([linker, "-m", "elf_i386", "-Ttext=0", "-e", "0", "--oformat=binary", "-o", image, obj],
                       check=True)
        with open(image, "rb") as f:
            return bytearray(f.read())


def sign(rom):
    """Pads to 512 bytes; fixes the size byte, the PnP header's checksum and the ROM's."""
    rom += bytes(-(len(rom) + 1) % 512) + b"\0"
    rom[2] = len(rom) // 512
    pnp = int.from_bytes(rom[0x1a:0x1c], "little")
    if rom[pnp:pnp + 4] != b"$PnP":
        sys.exit("make_rom.py: no PnP header")
    length = rom[pnp + 5] * 16
    rom[pnp + 9] = -sum(rom[pnp:pnp + length]) & 0xff
    rom[-1] = -sum(rom) & 0xff
    return rom


def cpp_source(rom, function):
    rows = [", ".join(str(b) for b in rom[i:i + 24]) for i in range(0, len(rom), 24)]
    return ("#include <cstdint>\n#include <span>\n\nnamespace rhea {\n\n"
            "std::span<const uint8_t> %s() {\n  static constexpr uint8_t kRom[] = {\n%s};\n  return kRom;\n}\n\n"
            "}  // namespace rhea\n" % (function, ",\n".join("      " + r for r in rows)))


def main():
    assembler, linker, source, out_cc, out_bin, function = sys.argv[1:]
    rom = sign(assemble(assembler, linker, source))
    with open(out_bin, "wb") as f:
        f.write(rom)
    with open(out_cc, "w", encoding="ascii") as f:
        f.write(cpp_source(rom, function))


main()
