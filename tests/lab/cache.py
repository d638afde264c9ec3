"""The cache: L1's initramfs and a snapshot of the booted L1, rebuilt when what they are made of changes."""
import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile

import archive
import kernel
from machine import KERNEL_COMMAND_LINE, MACHINE, QEMU, LabError, Machine

HERE = os.path.dirname(os.path.realpath(__file__))
BUSYBOX = "/bin/busybox"
PYTHON = "/usr/bin/python3"
FIRMWARE = "/usr/share/seabios"
L1_MODULES = ("virtio_pci", "9p", "9pnet_virtio", "ccp", "kvm", "kvm_amd")
PYTHON_PARTS_NOT_NEEDED = {"test", "tests", "idlelib", "tkinter", "turtledemo", "lib2to3", "ensurepip",
                           "pydoc_data", "dist-packages", "venv"}
KEPT = 2  # caches of other inputs that stay, for those who work in two trees


def missing():
    """What has to be installed first, one phrase each."""
    checks = ((shutil.which(QEMU), f"{QEMU} (package qemu-system-x86)"),
              (kernel.newest(), "a kernel with KVM in /boot (package linux-image-amd64)"),
              (os.access(BUSYBOX, os.X_OK) and not archive.libraries(BUSYBOX),
               f"a static {BUSYBOX} (package busybox-static)"),
              (os.path.isfile(f"{FIRMWARE}/bios-256k.bin"), f"{FIRMWARE} (package seabios)"),
              (os.access(PYTHON, os.X_OK), f"{PYTHON} (package python3)"))
    return [phrase for present, phrase in checks if not present]


def require():
    lacking = missing()
    if lacking:
        raise LabError("the nested lab needs " + ", ".join(lacking))


def directory():
    path = os.path.join(os.environ.get("XDG_CACHE_HOME") or "/var/tmp", "rhea-lab")
    os.makedirs(path, mode=0o700, exist_ok=True)
    if os.stat(path).st_uid != os.geteuid():
        raise LabError(f"{path} belongs to another user: set XDG_CACHE_HOME")
    return path


def _key():
    """Changes whenever the snapshot would come out different."""
    key = hashlib.sha256()
    image, modules = kernel.newest()
    for name in sorted(os.listdir(HERE)):
        if name.endswith((".py", "-init")):
            with open(f"{HERE}/{name}", "rb") as f:
                key.update(f.read())
    for path in (shutil.which(QEMU), image, f"{modules}/modules.dep", BUSYBOX, os.path.realpath(PYTHON),
                 f"{FIRMWARE}/bios-256k.bin"):
        info = os.stat(path)
        key.update(f"{path} {info.st_size} {info.st_mtime_ns}\n".encode())
    key.update(repr((MACHINE, KERNEL_COMMAND_LINE, L1_MODULES)).encode())
    return key.hexdigest()[:16]


def _build_initramfs(path):
    with archive.Archive(path) as out:
        for name in archive.MERGED:
            out.directory(f"usr/{name}")
            out.link(name, f"usr/{name}")
        for name in ("dev", "proc", "sys", "run", "tmp", "etc"):
            out.directory(name)
        out.character_device("dev/console", 5, 1)
        out.copy(f"{HERE}/l1-init", "init")
        out.copy(f"{HERE}/keep_kvm.py", "lab/keep_kvm.py")
        out.copy(BUSYBOX, "usr/bin/busybox")
        out.copy_tree(FIRMWARE)
        kernel.store(out, kernel.newest()[1], L1_MODULES)
        where = "import sys, sysconfig; print(sys.executable, sysconfig.get_path('stdlib'))"
        binary, library = subprocess.run(
            [PYTHON, "-I", "-c", where],
            capture_output=True, text=True, check=True).stdout.split()
        out.copy(os.path.realpath(binary), "usr/bin/python3")
        out.copy_tree(library, skip=PYTHON_PARTS_NOT_NEEDED)


def _build_snapshot(path):
    """Boots L1 up to READY and saves it: `ram` is its memory, `state` the rest of the machine."""
    _build_initramfs(f"{path}/initramfs")
    job = f"{path}/job"
    os.makedirs(f"{job}/out")
    l1 = Machine(job, f"{job}/out", ram=f"{path}/ram", ram_is_shared=True,
                 boot=(kernel.newest()[0], f"{path}/initramfs"))
    try:
        l1.expect(240, "READY")
        l1.save(f"{path}/state")
    finally:
        l1.kill()
    shutil.rmtree(job)
    os.unlink(f"{path}/initramfs")


@contextlib.contextmanager
def _locked(path, how):
    with open(path, "w") as file:  # the lock goes with the file
        fcntl.flock(file, how)
        yield


def _remove_old(top, used):
    """Removes the snapshots of former inputs that nobody uses, except the newest."""
    names = [n for n in os.listdir(top) if n != used and os.path.isdir(f"{top}/{n}")]
    for name in sorted(names, key=lambda n: os.stat(f"{top}/{n}").st_mtime, reverse=True)[KEPT:]:
        with contextlib.suppress(BlockingIOError), \
                _locked(f"{top}/{name}.lock", fcntl.LOCK_EX | fcntl.LOCK_NB):
            shutil.rmtree(f"{top}/{name}")


def _build(top, key):
    print("lab: booting the emulated machine once, later runs start from there", file=sys.stderr, flush=True)
    fresh = tempfile.mkdtemp(prefix=f"{key}.", dir=top)
    try:
        _build_snapshot(fresh)
        os.rename(fresh, f"{top}/{key}")
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    _remove_old(top, key)


@contextlib.contextmanager
def snapshot():
    """Gives the directory of a snapshot, which stays as it is while the context lasts."""
    require()
    top, key = directory(), _key()
    path, lock = f"{top}/{key}", f"{top}/{key}.lock"
    while True:
        with _locked(lock, fcntl.LOCK_SH):
            if os.path.isdir(path):
                os.utime(path)  # _remove_old() keeps what was used last
                yield path
                return
        with _locked(lock, fcntl.LOCK_EX):
            if not os.path.isdir(path):
                _build(top, key)
