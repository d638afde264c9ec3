"""A machine with one qcow2 disk, "f1" on storage "s1", for tests of jobs on disks: images are made and joined as a manager
does it."""
import json
import os
import struct
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from machine import PEER, MachineTest  # noqa: E402

SIZE = 8 << 20
DEVICE = "/machine/peripheral/virtio-disk0/virtio-backend"


def empty_qcow2(path, size, cluster_bits=16):
    """The smallest version 3 image: header, refcount table, refcount block, L1 table, a cluster each."""
    cluster = 1 << cluster_bits
    header = struct.pack(">4sIQIIQIIQQIIQQQQII", b"QFI\xfb", 3, 0, 0, cluster_bits, size, 0, 1, 3 * cluster, cluster, 1,
                         0, 0, 0, 0, 0, 4, 104)
    image = bytearray(4 * cluster)
    image[:len(header)] = header
    struct.pack_into(">Q", image, cluster, 2 * cluster)
    struct.pack_into(">4H", image, 2 * cluster, 1, 1, 1, 1)
    with open(path, "wb") as file:
        file.write(image)


class DiskJobsTest(MachineTest):
    def args(self):
        self.dir = tempfile.TemporaryDirectory()
        self.addCleanup(self.dir.cleanup)
        empty_qcow2(self.path(1), SIZE)
        return self.drive_args()

    def drive_args(self):
        storage = {"driver": "file", "filename": self.path(1), "node-name": "s1", "auto-read-only": True,
                   "discard": "unmap"}
        top = {"node-name": "f1", "read-only": False, "driver": "qcow2", "file": "s1", "backing": None}
        return ["-blockdev", json.dumps(storage), "-blockdev", json.dumps(top),
                "-device", "virtio-blk-pci,drive=f1,id=virtio-disk0,addr=5"]

    def path(self, number):
        return os.path.join(self.dir.name, f"disk{number}.qcow2")

    def make(self, number, backing=None, size=SIZE):
        """An image as libvirt makes one: an empty file, blockdev-create, both nodes."""
        with open(self.path(number), "wb"):
            pass
        self.qmp.execute("blockdev-add", {"driver": "file", "filename": self.path(number), "node-name": f"s{number}",
                                          "auto-read-only": True, "discard": "unmap"})
        options = {"driver": "qcow2", "file": f"s{number}", "size": size, "cluster-size": 65536}
        if backing:
            options.update({"backing-file": self.path(backing), "backing-fmt": "qcow2"})
        self.qmp.execute("blockdev-create", {"job-id": f"create{number}", "options": options})
        self.assertEqual(self.states(f"create{number}", "concluded"),
                         ["created", "running", "waiting", "pending", "concluded"])
        job = next(j for j in self.qmp.execute("query-jobs") if j["id"] == f"create{number}")
        self.assertEqual(job, {"id": f"create{number}", "type": "create", "status": "concluded",
                               "current-progress": 1, "total-progress": 1})
        self.qmp.execute("job-dismiss", {"id": f"create{number}"})
        self.qmp.execute("blockdev-add", {"node-name": f"f{number}", "read-only": False, "driver": "qcow2",
                                          "file": f"s{number}", "backing": None})

    def states(self, job, last):
        """The status changes of a job up to `last`."""
        seen = []
        while not seen or seen[-1] != last:
            event = self.qmp.wait_event("JOB_STATUS_CHANGE", match=lambda e: e["data"]["id"] == job)
            seen.append(event["data"]["status"])
        return seen

    def io(self, command, where=DEVICE):
        out = self.qmp.hmp(f'qemu-io -d {where} "{command}"' if where == DEVICE and PEER
                           else f'qemu-io {where} "{command}"')
        self.assertNotIn("failed", out)
        return out

    def assert_content(self, *parts, where=DEVICE):
        for pattern, offset, length in parts:
            self.io(f"read -P {pattern} {offset} {length}", where)

    def drive(self):
        return next(d for d in self.qmp.execute("query-block") if d.get("qdev") == DEVICE)

    def start(self, command, job="j", **arguments):
        self.qmp.execute(command, dict({"job-id": job, "auto-finalize": True, "auto-dismiss": False},
                                       **{k.replace("_", "-"): v for k, v in arguments.items()}))

    def conclude(self, job="j"):
        states = self.states(job, "concluded")
        info = next(j for j in self.qmp.execute("query-jobs") if j["id"] == job)
        self.qmp.execute("job-dismiss", {"id": job})
        return states, info

    def snapshot(self, base, overlay):
        self.make(overlay, base)
        self.qmp.execute("transaction", {"actions": [{"type": "blockdev-snapshot",
                                                      "data": {"node": f"f{base}", "overlay": f"f{overlay}"}}]})

    def delete(self, *numbers):
        for n in numbers:
            self.qmp.execute("blockdev-del", {"node-name": f"f{n}"})
            self.qmp.execute("blockdev-del", {"node-name": f"s{n}"})

    def bitmap(self, name):
        return next((b for b in self.drive()["inserted"].get("dirty-bitmaps", []) if b.get("name") == name), None)
