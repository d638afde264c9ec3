"""Writes cpio archives in the "newc" format, which the kernel unpacks as an initramfs.

Format: Documentation/driver-api/early-userspace/buffer-format.rst of the Linux kernel.
"""
import os
import re
import shutil
import stat
import subprocess

# Directories that are links into /usr on a merged-/usr system; archives always use the /usr name.
MERGED = ("bin", "sbin", "lib", "lib64")


def inside(path):
    """The name, without a leading slash, under which an absolute host path is archived."""
    name = os.path.normpath(path).lstrip("/")
    return "usr/" + name if name.split("/")[0] in MERGED else name


def libraries(path):
    """Absolute paths of the shared libraries and the loader that an ELF file needs."""
    with open(path, "rb") as f:
        if f.read(4) != b"\x7fELF":
            return []
    listing = subprocess.run(["ldd", path], capture_output=True, text=True, check=False,
                             env=dict(os.environ, LC_ALL="C"))
    lost = re.findall(r"(\S+) => not found", listing.stdout)
    if lost:
        raise OSError(f"{path} needs {', '.join(lost)}, which cannot be found")
    return re.findall(r"(/\S+) \(0x", listing.stdout)


class Archive:
    """One archive being written; a path is stored once, parents come before it."""

    def __init__(self, path):
        self._file = open(path, "wb")
        self._names = set()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self._entry("TRAILER!!!", 0, 0)
        self._file.close()

    def _entry(self, name, mode, size, mtime=0, device=(0, 0)):
        number = len(self._names)  # inode: any number, links == 1 keeps it from mattering
        raw = name.encode() + b"\0"
        fields = (number, mode, 0, 0, 1, mtime, size, 0, 0, *device, len(raw), 0)
        header = b"070701" + b"".join(b"%08x" % f for f in fields) + raw
        self._file.write(header + bytes(-len(header) % 4))

    def _is_new(self, name):
        if name in self._names:
            return False
        if "/" in name:
            self.directory(os.path.dirname(name))
        self._names.add(name)
        return True

    def directory(self, name):
        if self._is_new(name):
            self._entry(name, stat.S_IFDIR | 0o755, 0)

    def link(self, name, target):
        if self._is_new(name):
            raw = target.encode()
            self._entry(name, stat.S_IFLNK | 0o777, len(raw))
            self._file.write(raw + bytes(-len(raw) % 4))

    def character_device(self, name, major, minor):
        if self._is_new(name):
            self._entry(name, stat.S_IFCHR | 0o600, 0, device=(major, minor))

    def data(self, name, content, mode=0o644):
        if self._is_new(name):
            self._entry(name, stat.S_IFREG | mode, len(content))
            self._file.write(content + bytes(-len(content) % 4))

    def copy(self, source, name=None):
        """Stores a file under its own path or another name; an ELF file brings its libraries."""
        if not self._is_new(inside(source) if name is None else name):
            return
        with open(source, "rb") as f:
            info = os.fstat(f.fileno())
            self._entry(inside(source) if name is None else name,
                        stat.S_IFREG | stat.S_IMODE(info.st_mode), info.st_size, int(info.st_mtime))
            shutil.copyfileobj(f, self._file, 1 << 20)
            self._file.write(bytes(-info.st_size % 4))
        for library in libraries(source):
            self.copy(library)

    def copy_tree(self, source, name=None, skip=()):
        """Stores a directory with all regular files below it, without the sub-directories named."""
        top = inside(source) if name is None else name
        self.directory(top)
        for root, directories, files in os.walk(source):
            directories[:] = sorted(d for d in directories if d not in skip)
            for file in sorted(files):
                path = os.path.join(root, file)
                if os.path.isfile(path):
                    self.copy(path, os.path.join(top, os.path.relpath(path, source)))
