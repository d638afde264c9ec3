"""A small ISO 9660 writer (ECMA-119, level 1, flat tree of directories) with an optional El Torito boot image.

Enough for test discs: plain upper-case 8.3 names, one extent per file, dates fixed so that equal input gives
equal bytes. El Torito is "no emulation" (specification 1.0, sections 2.1-2.4).
"""
import struct
import sys

SECTOR = 2048
_DATE7 = bytes([125, 1, 1, 0, 0, 0, 0])
_DATE17 = b"2025010100000000\x00"


def _both16(n):
    return struct.pack("<H", n) + struct.pack(">H", n)


def _both32(n):
    return struct.pack("<I", n) + struct.pack(">I", n)


def _pad(data, size=SECTOR):
    return data + bytes(-len(data) % size)


def _record(name, extent, size, is_dir):
    """A directory record (9.1)."""
    body = (bytes([0]) + _both32(extent) + _both32(size) + _DATE7 + bytes([2 if is_dir else 0, 0, 0]) + _both16(1)
            + bytes([len(name)]) + name)
    body += bytes((len(body) + 1) % 2)
    return bytes([len(body) + 1]) + body


def _identifier(name):
    """A file identifier: 'README.TXT' becomes 'README.TXT;1'."""
    base, _, extension = name.partition(".")
    if len(base) > 8 or len(extension) > 3 or name.upper() != name:
        raise ValueError(f"'{name}' is not an upper-case 8.3 name")
    return f"{base}.{extension};1".encode()


def _path_table(dirs, fmt):
    """A path table (9.4); dirs are (name, extent, parent number), the root first."""
    table = b""
    for name, extent, parent in dirs:
        table += struct.pack(fmt, len(name), 0, extent, parent) + name + bytes(len(name) % 2)
    return table


def _volume(label, sectors, table_size, lpath, mpath, root):
    """The primary volume descriptor (8.4)."""
    def text(value, size):
        return value.encode().ljust(size)
    return (b"\x01CD001\x01\x00" + text("", 32) + text(label, 32) + bytes(8) + _both32(sectors) + bytes(32)
            + _both16(1) + _both16(1) + _both16(SECTOR) + _both32(table_size) + struct.pack("<II", lpath, 0)
            + struct.pack(">II", mpath, 0) + root + text("", 128) * 4 + text("", 37) * 3 + _DATE17 * 2
            + b"0" * 16 + b"\x00" + _DATE17 + b"\x01\x00")


def _boot_catalog(image_extent, image_size):
    """El Torito validation entry and default entry: no emulation, loaded at 7C00h."""
    entry = struct.pack("<BBH24sHBB", 1, 0, 0, b"RHEA", 0, 0x55, 0xAA)
    checksum = -sum(struct.unpack("<16H", entry)) & 0xFFFF
    entry = entry[:28] + struct.pack("<H", checksum) + entry[30:]
    blocks = min((image_size + 511) // 512, 0xFFFF)
    return entry + struct.pack("<BBHBBHI20x", 0x88, 0, 0, 0, 0, blocks, image_extent)


def make_iso(label, files, boot=None, minimum_sectors=0):
    """The image as bytes. files: {'NAME.EXT' or 'DIR/NAME.EXT': bytes}; boot: a raw image to boot from."""
    tree = {"": {}}
    for path, data in files.items():
        folder, _, name = path.rpartition("/")
        tree.setdefault(folder, {})[name] = data
    folders = sorted(tree)  # the root, "", is first
    descriptors = 3 if boot is not None else 2
    lpath = 16 + descriptors
    mpath, cursor = lpath + 1, lpath + 2
    extents = {}
    for folder in folders:
        extents[folder] = cursor
        cursor += 1
    catalog = boot_extent = None
    if boot is not None:
        catalog, boot_extent = cursor, cursor + 1
        cursor = boot_extent + (len(boot) + SECTOR - 1) // SECTOR
    content = {}
    for folder in folders:
        for name, data in sorted(tree[folder].items()):
            content[folder, name] = cursor
            cursor += max(1, (len(data) + SECTOR - 1) // SECTOR)
    total = max(cursor, minimum_sectors)

    image = bytearray(total * SECTOR)

    def put(sector, data):
        image[sector * SECTOR:sector * SECTOR + len(data)] = data

    dirs = [(b"\x00", extents[""], 1)] + [(f.encode(), extents[f], 1) for f in folders if f]
    ltable, mtable = _path_table(dirs, "<BBIH"), _path_table(dirs, ">BBIH")
    root = _record(b"\x00", extents[""], SECTOR, True)
    put(16, _volume(label, total, len(ltable), lpath, mpath, root))
    if boot is not None:
        put(17, b"\x00CD001\x01" + b"EL TORITO SPECIFICATION".ljust(32, b"\0") + bytes(32)
            + struct.pack("<I", catalog))
        put(catalog, _boot_catalog(boot_extent, len(boot)))
        put(boot_extent, boot)
    put(16 + descriptors - 1, b"\xffCD001\x01")
    put(lpath, ltable)
    put(mpath, mtable)
    for folder in folders:
        listing = _record(b"\x00", extents[folder], SECTOR, True) + _record(b"\x01", extents[""], SECTOR, True)
        entries = [(_identifier(n), content[folder, n], len(d), False) for n, d in tree[folder].items()]
        if folder == "":
            entries += [(f.encode(), extents[f], SECTOR, True) for f in folders if f]
        for entry in sorted(entries):
            listing += _record(*entry)
        if len(listing) > SECTOR:
            raise ValueError(f"too many files in '{folder}'")
        put(extents[folder], listing)
    for (folder, name), extent in content.items():
        put(extent, tree[folder][name])
    return bytes(image)


def write_iso(path, label, files, boot=None, minimum_sectors=0):
    with open(path, "wb") as out:
        out.write(make_iso(label, files, boot, minimum_sectors))


if __name__ == "__main__":  # iso.py OUTPUT LABEL BOOT_IMAGE [NAME=FILE...]
    def _read(path):
        with open(path, "rb") as file:
            return file.read()
    write_iso(sys.argv[1], sys.argv[2], {p.split("=")[0]: _read(p.split("=")[1]) for p in sys.argv[4:]},
              _read(sys.argv[3]))
