"""The pivot whose outcome can be told whatever dies: its witness, the pause around it, and what is refused. S2.1-S2.5, S2.7,
S2.8, S2.10, F2."""
import array
import fcntl
import hashlib
import os
import shutil
import socket
import struct
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from disk_jobs import SIZE, DiskJobsTest, empty_qcow2  # noqa: E402
from machine import ACCEL, BASE, not_the_peer  # noqa: E402
from pyutil import runner  # noqa: E402
from pyutil.emulator import Emulator, emulator_path  # noqa: E402
from pyutil.qmp import QmpError  # noqa: E402

PREPARED, PIVOTED, REFUSED = 1, 2, 3


def parse_witness(record):
    """What docs/qmp-extensions.md says of the layout."""
    magic, version, verdict, generation = struct.unpack_from(">8sIIQ", record)
    assert len(record) == 512 and magic == b"RHEAPIVT" and version == 1, record
    assert record[448:].decode() == hashlib.sha256(record[:448]).hexdigest(), "the digest is wrong"
    texts = [record[a:b].rstrip(b"\0").decode() for a, b in ((24, 152), (152, 216), (216, 280))]
    return (verdict, generation, *texts)


@not_the_peer("it has no witness")
class Pivot(DiskJobsTest):
    def witness(self):
        return os.path.join(self.dir.name, "witness")

    def read_witness(self):
        with open(self.witness(), "rb") as file:
            return parse_witness(file.read())

    def get_ready(self, source, target, **arguments):
        self.start("blockdev-mirror", device=source, target=target, sync="full", **arguments)
        self.qmp.wait_event("BLOCK_JOB_READY")

    def test_witness_says_what_happened(self):  # S2.1, S2.2, S2.3
        self.io("write -P 1 0 1M")
        self.make(2)
        self.get_ready("f1", "f2", auto_finalize=False)
        self.qmp.execute("job-complete", {"id": "j", "witness": self.witness()})
        self.qmp.wait_event("BLOCK_JOB_PENDING")
        self.assertEqual(self.read_witness(), (PREPARED, 1, "j", "f1", "f2"))
        self.assertEqual(self.qmp.execute("query-jobs")[0]["pivot"],
                         {"verdict": "prepared", "from-node": "f1", "to-node": "f2", "generation": 1})
        self.qmp.execute("job-finalize", {"id": "j"})
        self.assertEqual(self.read_witness(), (PIVOTED, 1, "j", "f1", "f2"))
        _, info = self.conclude()
        self.assertEqual(info["pivot"], {"verdict": "pivoted", "from-node": "f1", "to-node": "f2", "generation": 1})
        self.assertEqual(self.drive()["inserted"]["node-name"], "f2")
        # The same witness sees the way back.
        self.get_ready("f2", "f1")
        self.qmp.execute("job-complete", {"id": "j", "witness": self.witness()})
        self.conclude()
        self.assertEqual(self.read_witness(), (PIVOTED, 2, "j", "f2", "f1"))
        self.assert_content((1, 0, "1M"))

    def send_fd(self, name, fd):
        message = b'{"execute": "getfd", "arguments": {"fdname": "%s"}}' % name.encode()
        self.qmp.sock.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])
        self.assertEqual(self.qmp.read_reply()["return"], {})

    def test_witness_may_be_a_descriptor(self):  # S2.3
        fd = os.memfd_create("witness")
        self.addCleanup(os.close, fd)
        self.make(2)
        self.get_ready("f1", "f2")
        self.send_fd("w", fd)
        self.qmp.execute("job-complete", {"id": "j", "witness": "fd:w"})
        self.conclude()
        self.assertEqual(parse_witness(os.pread(fd, 4096, 0)), (PIVOTED, 1, "j", "f1", "f2"))

    def test_without_a_witness_that_can_be_written_nothing_changes(self):  # S2.1, S2.7
        """Where even the refusal cannot be written down the machine stands: both disks are the same then."""
        fd = os.memfd_create("witness", os.MFD_ALLOW_SEALING)
        self.addCleanup(os.close, fd)
        self.io("write -P 1 0 1M")
        self.make(2)
        self.get_ready("f1", "f2", auto_finalize=False)
        self.send_fd("w", fd)
        self.qmp.execute("job-complete", {"id": "j", "witness": "fd:w"})
        self.qmp.wait_event("BLOCK_JOB_PENDING")
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)
        self.qmp.execute("job-finalize", {"id": "j"})
        _, info = self.conclude()
        self.assertEqual(info["error"], "The machine is stopped, because its disk may be the one or the other by what the "
                         "witness says: Could not write the witness of the pivot: Operation not permitted")
        self.assertEqual(info["pivot"]["verdict"], "refused")
        self.qmp.wait_event("STOP")
        self.assertEqual(self.drive()["inserted"]["node-name"], "f1")
        self.delete(2)
        self.assert_content((1, 0, "1M"))
        self.io("write -P 2 0 64k")

    def test_machine_stands_around_the_pivot(self):  # S2.4
        self.make(2)
        self.get_ready("f1", "f2")
        self.qmp.execute("job-complete", {"id": "j", "pause-around": True, "witness": self.witness()})
        self.qmp.wait_event("STOP")
        self.qmp.wait_event("RESUME")
        _, info = self.conclude()
        self.assertEqual(self.qmp.execute("query-status")["status"], "running")
        self.assertEqual(info["pivot"]["verdict"], "pivoted")
        self.assertTrue(0 < info["pivot"]["paused-ns"] < 5_000_000_000, info)

    def test_machine_that_stood_goes_on_standing(self):  # S2.4
        self.make(2)
        self.get_ready("f1", "f2")
        self.qmp.execute("stop")
        self.qmp.execute("job-complete", {"id": "j", "pause-around": True})
        _, info = self.conclude()
        self.assertEqual(self.qmp.execute("query-status")["status"], "paused")
        self.assertNotIn("paused-ns", info["pivot"])
        self.qmp.execute("cont")

    def test_what_is_refused(self):  # S2.5, S2.8, S2.10
        self.io("write -P 1 0 8M")
        self.make(2)
        complete = dict(id="j", witness=self.witness())
        self.start("blockdev-mirror", device="f1", target="f2", sync="full", speed=65536)
        self.assert_error("Job 'j' in state 'running' cannot accept command verb 'complete'", "job-complete", **complete)
        self.assertFalse(os.path.exists(self.witness()))
        self.qmp.execute("block-job-set-speed", {"device": "j", "speed": 0})
        self.qmp.wait_event("BLOCK_JOB_READY")
        self.assert_error("Parameter 'witness' expects an absolute path or 'fd:' and a descriptor's name", "job-complete",
                          id="j", witness="relative")
        self.assert_error("File descriptor named 'nope' has not been found", "job-complete", id="j", witness="fd:nope")
        self.assert_error(f"Could not open '{self.dir.name}/no/where': No such file or directory", "job-complete", id="j",
                          witness=self.dir.name + "/no/where")
        with open(self.witness(), "wb") as file:
            file.write(b"somebody's data")
        self.assert_error("The file holds something that is no witness of a pivot", "job-complete", **complete)
        with open(self.witness(), "rb") as file:
            self.assertEqual(file.read(), b"somebody's data")
        os.unlink(self.witness())
        self.qmp.execute("job-complete", complete)
        try:
            self.qmp.execute("job-complete", complete)
            self.fail("it was completed twice, with a witness each")
        except QmpError as e:
            self.assertRegex(str(e), "is being completed already|cannot accept command verb 'complete'")
        self.conclude()
        self.assertEqual(self.read_witness(), (PIVOTED, 1, "j", "f1", "f2"))

    def test_killed_at_any_point_it_can_be_told(self):  # S2.1, F2
        """The process is killed at its Nth system call from the finalization on: $RHEA_PIVOT_POINTS points, 8 if not given."""
        if shutil.which("strace") is None:
            self.skipTest("strace is not installed")
        points = int(os.environ.get("RHEA_PIVOT_POINTS", "8"))
        self.finish(self.vm)
        seen = set()
        for n in range(points):
            empty_qcow2(self.path(1), SIZE)
            for left in (self.path(2), self.witness()):
                if os.path.exists(left):
                    os.unlink(left)
            self.vm = Emulator(BASE + ACCEL + self.drive_args(), qtest=True)
            self.addCleanup(self.vm.kill)
            self.vm.start()
            self.q, self.qmp = self.vm.qtest, self.vm.qmp
            seen.add(self.kill_at(1 + n * max(1, 320 // points)))
            self.vm.kill()
        self.assertLessEqual(seen, {PREPARED, PIVOTED})

    def kill_at(self, call):
        """Returns the verdict, after it was compared with what the images hold."""
        self.io("write -P 1 0 1M")
        self.make(2)
        self.get_ready("f1", "f2", auto_finalize=False)
        self.io("write -P 2 512k 64k")
        self.io("flush")
        self.qmp.execute("job-complete", {"id": "j", "witness": self.witness()})
        self.qmp.wait_event("BLOCK_JOB_PENDING")
        tracer = subprocess.Popen(["strace", "-f", "-o", "/dev/null", "-p", str(self.vm.pid), "-e", "trace=all", "-e",
                                   f"inject=all:signal=KILL:when={call}"], stderr=subprocess.PIPE)
        first = tracer.stderr.readline().decode()
        if "attached" not in first:
            tracer.kill()
            tracer.communicate()
            self.skipTest("strace may not attach: " + first.strip())
        acknowledged = False
        try:
            self.qmp.execute("job-finalize", {"id": "j"})
            self.io("write -P 3 2M 64k")
            self.io("flush")
            acknowledged = True
            while True:
                self.qmp.execute("query-status")
        except (EOFError, OSError):
            pass
        tracer.communicate(timeout=30)
        self.vm.process.wait(timeout=30)
        verdict = self.read_witness()[0]
        image = self.path(2 if verdict == PIVOTED else 1)
        self.assertFalse(acknowledged and verdict != PIVOTED, "a write was acknowledged that the disk does not have")
        for pattern, offset, length in ((1, 0, "512k"), (2, "512k", "64k"), *(((3, "2M", "64k"),) if acknowledged else ())):
            read = subprocess.run([emulator_path() + "-io", "-f", "qcow2", "-r", "-c", f"read -P {pattern} {offset} {length}",
                                   image], capture_output=True, text=True, timeout=30, check=False)
            self.assertNotIn("failed", read.stdout + read.stderr, f"call {call}, verdict {verdict}")
        return verdict


if __name__ == "__main__":
    runner.main()
