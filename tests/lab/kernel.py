"""Finds Debian's kernel and the modules a small system needs of it."""
import glob
import lzma
import os
import re


def newest():
    """(image, module directory) of the newest installed kernel that has KVM, or None."""
    found = []
    for image in glob.glob("/boot/vmlinuz-*"):
        release = image.split("vmlinuz-", 1)[1]
        modules = f"/lib/modules/{release}"
        if os.path.isdir(f"{modules}/kernel/arch/x86/kvm") and os.access(image, os.R_OK):
            found.append(([int(n) for n in re.findall(r"\d+", release)], image, modules))
    return max(found)[1:] if found else None


def module_name(path):
    return os.path.basename(path).split(".ko")[0].replace("-", "_")


def in_load_order(modules, wanted):
    """Files of the wanted modules and of all they depend on, dependencies first.

    A name that is no module is taken to be built in.
    """
    needs, file_of = {}, {}
    with open(f"{modules}/modules.dep") as f:
        for line in f:
            file, _, rest = line.partition(":")
            needs[file] = rest.split()
            file_of[module_name(file)] = file
    order = []

    def visit(file):
        for dependency in needs[file]:
            visit(dependency)
        if file not in order:
            order.append(file)

    for name in wanted:
        if name in file_of:
            visit(file_of[name])
    return order


def store(archive, modules, wanted):
    """Puts modules under /modules and their load order, one path a line, in /modules/order."""
    names = []
    for file in in_load_order(modules, wanted):
        name = f"modules/{module_name(file)}.ko"
        if file.endswith(".xz"):
            with lzma.open(f"{modules}/{file}") as f:
                archive.data(name, f.read())
        else:
            archive.copy(f"{modules}/{file}", name)
        names.append(f"/{name}\n")
    archive.data("modules/order", "".join(names).encode())
