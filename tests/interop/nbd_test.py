"""rhea-nbd served to other people's clients (libnbd's programs, qemu-img, qemu-io), and qemu-nbd to our own."""
import filecmp
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from pyutil import runner  # noqa: E402

BUILD = os.environ.get("RHEA_BUILD", "build-dbg")
OURS = {n: os.path.join(BUILD, "tools/rhea-" + n) for n in ("img", "io", "nbd")}
THEIRS = {n: "qemu-" + n for n in ("img", "io", "nbd")}
SIZE = 8 << 20


class NbdInterop(unittest.TestCase):
    def setUp(self):
        if any(shutil.which(p) is None for p in (*THEIRS.values(), "nbdinfo", "nbdcopy")):
            self.skipTest("qemu-utils and libnbd-bin are not installed")
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, name):
        return os.path.join(self.folder, name)

    def run_ok(self, *words, status=0):
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, status, f"{words}: {done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def serve(self, program, *words):
        """Starts a server in the background (--fork: it serves when that returns); the URI of its export."""
        pid_file = self.path("pid")
        self.run_ok(program, "--fork", "--pid-file", pid_file, "-k", self.path("s"), *words)
        with open(pid_file, encoding="ascii") as file:
            pid = int(file.read())
        self.addCleanup(self.stop, pid)
        self.pid = pid
        name = words[words.index("-x") + 1] if "-x" in words else ""
        return f"nbd+unix:///{name}?socket={self.path('s')}"

    @staticmethod
    def wait_end(pid):
        try:
            end = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        try:
            if not select.select([end], [], [], 20)[0]:
                raise TimeoutError(f"server {pid} does not end")
        finally:
            os.close(end)

    def stop(self, pid):
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            return
        self.wait_end(pid)

    def make(self, kind="qcow2"):
        image = self.path("disk")
        self.run_ok(THEIRS["img"], "create", "-q", "-f", kind, image, str(SIZE))
        self.run_ok(THEIRS["io"], "-f", kind, "-c", "write -q -P 1 0 1M", "-c", "write -q -P 2 3M 100k",
                    "-c", "write -q -z 512k 64k", image)
        return image

    def test_the_same_as_theirs_to_nbdinfo(self):
        for kind in ("raw", "qcow2"):
            image = self.make(kind)
            for words in ([], ["-r"], ["-e", "3"], ["-A", "-D", "a text"]):
                with self.subTest(kind=kind, words=words):
                    seen = []
                    for server in (THEIRS["nbd"], OURS["nbd"]):
                        uri = self.serve(server, "-t", "-f", kind, "-x", "name", *words, image)
                        seen.append(self.run_ok("nbdinfo", uri) + self.run_ok("nbdinfo", "--map", uri) +
                                    self.run_ok(THEIRS["nbd"], "-L", "-k", self.path("s")) +
                                    self.run_ok(THEIRS["img"], "map", "--output=json", "-f", "raw", uri))
                        self.assertEqual(self.run_ok(THEIRS["nbd"], "-L", "-k", self.path("s")),
                                         self.run_ok(OURS["nbd"], "-L", "-k", self.path("s")))
                        self.stop(self.pid)
                    self.assertEqual(*seen)

    def test_nbdcopy_both_ways(self):
        image = self.make()
        uri = self.serve(OURS["nbd"], "-t", "-e", "0", "-f", "qcow2", "--discard=unmap", image)
        out, plain = self.path("out"), self.path("plain")
        self.run_ok("nbdcopy", uri, out)
        self.run_ok(THEIRS["img"], "convert", "-U", "-f", "qcow2", "-O", "raw", image, plain)
        self.assertTrue(filecmp.cmp(out, plain, shallow=False))
        other = self.path("other")
        with open(other, "wb") as file:
            file.write(os.urandom(SIZE // 2) + bytes(SIZE // 2))
        self.run_ok("nbdcopy", "--connections=4", other, uri)
        self.run_ok("nbdcopy", uri, out)
        self.assertTrue(filecmp.cmp(out, other, shallow=False))

    def test_their_programs_on_our_server_and_ours_on_theirs(self):
        for server, clients in ((OURS, THEIRS), (THEIRS, OURS), (OURS, OURS)):
            with self.subTest(server=server["nbd"], client=clients["io"]):
                image = self.make("raw")
                # Two clients: an image is compared with itself.
                uri = self.serve(server["nbd"], "-t", "-e", "2", "-f", "raw", "--discard=unmap", image)
                self.run_ok(clients["io"], "-f", "raw", "-c", "read -P 1 0 512k", "-c", "write -P 9 4M 1M",
                            "-c", "read -P 9 4M 1M", "-c", "write -z -u 0 64k", "-c", "discard 128k 64k",
                            "-c", "aio_write -P 3 6M 64k", "-c", "aio_flush", "-c", "flush", uri)
                self.run_ok(clients["img"], "compare", "-f", "raw", "-F", "raw", uri, uri)
                self.run_ok(clients["img"], "convert", "-f", "raw", "-O", "qcow2", uri, self.path("copy"))
                self.stop(self.pid)
                self.run_ok(THEIRS["img"], "compare", "-f", "raw", "-F", "qcow2", image, self.path("copy"))
                self.run_ok(THEIRS["io"], "-f", "raw", "-c", "read -P 3 6M 64k", "-c", "read -P 0 0 64k", image)

    def test_a_server_goes_with_its_last_client_unless_told_otherwise(self):
        image = self.make("raw")
        uri = self.serve(OURS["nbd"], "-f", "raw", image)
        self.run_ok(THEIRS["io"], "-f", "raw", "-c", "read 0 512", uri)
        self.wait_end(self.pid)
        self.assertFalse(os.path.exists(self.path("s")))

    def test_part_of_an_image_and_a_snapshot(self):
        image = self.make("raw")
        uri = self.serve(OURS["nbd"], "-t", "-f", "raw", "-o", str(3 << 20), image)
        self.run_ok(THEIRS["io"], "-f", "raw", "-c", "read -P 2 0 100k", uri)
        self.stop(self.pid)
        image = self.make("qcow2")
        self.run_ok(THEIRS["img"], "snapshot", "-c", "before", image)
        self.run_ok(THEIRS["io"], "-f", "qcow2", "-c", "write -P 7 0 1M", image)
        uri = self.serve(OURS["nbd"], "-t", "-f", "qcow2", "-l", "snapshot.name=before", image)
        self.run_ok(THEIRS["io"], "-r", "-f", "raw", "-c", "read -P 1 0 512k", uri)

    def test_messages_are_theirs(self):
        image = self.make("raw")
        for words in ([], [image, image], ["-o", "x", image], ["-e", "-1", image], ["-k", "rel", image],
                      ["-L", image], ["-L", "-x", "a"], ["-L", "-k", "/nonexistent/s"],
                      ["--image-opts", "-f", "raw", "driver=raw"], ["-f", "foo", image], ["--cache=bad", image],
                      ["--aio=bad", image], ["--discard=bad", image], ["--detect-zeroes=bad", image],
                      ["-n", "--cache=none", image], ["-f", "raw", "-p", "abc", image], ["nofile"],
                      ["-f", "raw", "-k", "/nonexistent/s", image], ["-x", "a" * 4097, image],
                      ["-f", "raw", "-k", self.path("s"), "--pid-file", "/nonexistent/p", image]):
            with self.subTest(words=words):
                theirs, ours = (self.run_ok(p["nbd"], *words, status=1) for p in (THEIRS, OURS))
                self.assertEqual(ours.replace("rhea-nbd", "qemu-nbd"), theirs)

    def test_what_is_not_there_says_so(self):
        for option, text in (("-c", "-c is not supported"), ("-B", "-B is not supported")):
            self.assertIn(text, self.run_ok(OURS["nbd"], option, "x", "y", status=1))

    def test_a_socket_from_systemd(self):
        image = self.make("raw")
        uri = f"nbd+unix:///?socket={self.path('s')}"
        script = ("import os,socket,sys; s=socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(4)\n"
                  "os.dup2(s.fileno(), 3); os.set_inheritable(3, True)\n"
                  "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1')\n"
                  "print('ready', flush=True); os.execv(sys.argv[2], sys.argv[2:])")
        with subprocess.Popen([sys.executable, "-c", script, self.path("s"), OURS["nbd"], "-f", "raw", image],
                              stdout=subprocess.PIPE, text=True) as server:
            try:
                self.assertEqual(server.stdout.readline(), "ready\n")
                self.run_ok(THEIRS["io"], "-f", "raw", "-c", "read -P 1 0 512k", uri)
                self.assertEqual(server.wait(timeout=30), 0)
            finally:
                server.kill()


if __name__ == "__main__":
    runner.main()
