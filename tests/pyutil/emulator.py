"""Launches the emulator under test with bounded waits and gets rid of it afterwards, whatever happens.

The program is $RHEA_EMULATOR, else build-dbg/rhea, else build/rhea. Any program that speaks the same command
line will do: RHEA_EMULATOR=qemu-system-x86_64 runs the same tests against the peer.
"""
import os
import shutil
import socket
import subprocess
import tempfile
import time

from .console import Console
from .deadline import Deadline
from .qmp import QmpClient
from .qtest import QTest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def emulator_path():
    named = os.environ.get("RHEA_EMULATOR")
    if named:
        found = shutil.which(named)
        return os.path.abspath(found) if found else named
    for build in ("build-dbg", "build"):
        path = os.path.join(ROOT, build, "rhea")
        if os.path.exists(path):
            return path
    return os.path.join(ROOT, "build-dbg", "rhea")


def kvm_problem():
    """None where KVM can be used, else why not."""
    try:
        fd = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        return f"/dev/kvm cannot be opened ({error.strerror})"
    try:
        import fcntl
        version = fcntl.ioctl(fd, 0xAE00, 0)  # KVM_GET_API_VERSION
        return None if version == 12 else f"/dev/kvm speaks API version {version}, not 12"
    except OSError as error:
        return f"/dev/kvm does not answer ({error.strerror})"
    finally:
        os.close(fd)


class Emulator:
    """One emulator process; a context manager. It stays in our process group, so whoever ends that ends both.

    args: the command line after the program. qmp/qtest: open that socket and connect `.qmp` / `.qtest`.
    serial: give the guest's first serial port to `.console` through a socket. stdio: the process's own stdin and
    stdout are `.console` (for -nographic). Sockets live in a directory of their own, `.dir`.
    """

    def __init__(self, args=(), qmp=True, qtest=False, serial=False, stdio=False, program=None, timeout=30,
                 log=None, echo=None, env=None, negotiate=True, on_start=None, pass_fds=()):
        self.args, self.timeout, self.log, self.env = list(args), timeout, log, env
        self.program = program or emulator_path()
        self.want = {"qmp": qmp, "qtest": qtest, "serial": serial}
        self.pass_fds = pass_fds  # descriptors the program inherits, by their numbers
        self.stdio, self.echo, self.negotiate, self.on_start = stdio, echo, negotiate, on_start
        self.qmp = self.qtest = self.console = self.process = None
        self.dir = tempfile.mkdtemp(prefix="rhea-")
        self._listeners = {}
        self._sockets = []

    def path(self, name):
        """A path inside the emulator's own directory."""
        return os.path.join(self.dir, name)

    def command_line(self):
        line = [self.program] + self.args
        if self.want["qmp"]:
            line += ["-qmp", f"unix:{self.path('qmp')},server=on,wait=off"]
        if self.want["qtest"]:
            line += ["-qtest", f"unix:{self._listen('qtest')}", "-qtest-log", "none"]
        if self.want["serial"]:
            line += ["-chardev", f"socket,id=testserial,path={self._listen('serial')}",
                     "-serial", "chardev:testserial"]
        return line

    def _listen(self, name):
        if name not in self._listeners:
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            listener.bind(self.path(name))
            listener.listen(1)
            self._listeners[name] = listener
        return self.path(name)

    def start(self):
        line = self.command_line()
        if self.on_start:
            self.on_start(line)
        self.stderr_file = open(self.path("stderr"), "w+b")
        pipe = subprocess.PIPE if self.stdio else None
        self.process = subprocess.Popen(
            line, stdin=pipe or subprocess.DEVNULL, stdout=pipe or self.stderr_file, stderr=self.stderr_file,
            env=dict(os.environ, **(self.env or {})), pass_fds=self.pass_fds)
        if self.stdio:
            self.console = Console(self.process.stdout.fileno(), self.process.stdin.fileno(), self.echo, self.running)
        if self.want["qtest"]:
            self.qtest = QTest(self._accept("qtest"), self.timeout)
        if self.want["serial"]:
            fd = self._accept("serial").fileno()
            self.console = Console(fd, fd, self.echo, self.running)
        if self.want["qmp"]:
            self.qmp = self.connect_qmp()
        return self

    def _accept(self, name):
        deadline = Deadline(self.timeout, f"{os.path.basename(self.program)} connecting its {name} socket")
        listener = self._listeners[name]
        listener.settimeout(0.2)
        while True:
            try:
                sock, _ = listener.accept()
                sock.setblocking(True)
                self._sockets.append(sock)
                return sock
            except socket.timeout:
                self._check_alive(deadline.what)
                deadline.left()

    def connect_qmp(self):
        """Another connection to the QMP socket, as soon as it listens."""
        deadline = Deadline(self.timeout, f"{os.path.basename(self.program)} opening its QMP socket")
        while True:
            try:
                client = QmpClient.connect(self.path("qmp"), self.log, self.timeout, self.negotiate)
                self._sockets.append(client.sock)
                return client
            except (FileNotFoundError, ConnectionRefusedError):
                self._check_alive(deadline.what)
                time.sleep(min(0.002, deadline.left()))  # polls a condition the process cannot signal

    def _check_alive(self, what):
        if not self.running():
            raise EOFError(f"{what}: it exited with status {self.process.returncode}: {self.stderr().strip()}")

    def running(self):
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self):
        return self.process.pid

    def stderr(self):
        """What the process wrote to stderr so far (and to stdout, unless that is the console)."""
        with open(self.path("stderr"), "rb") as file:
            return file.read().decode("utf-8", "replace")

    def wait_exit(self, timeout=None):
        """The exit status once the process has ended by itself."""
        deadline = Deadline(timeout or self.timeout, f"{os.path.basename(self.program)} exiting")
        while True:
            try:
                return self.process.wait(min(0.1, deadline.left()))
            except subprocess.TimeoutExpired:
                if self.console and not self.console.closed:  # a full pipe must not hold the process back
                    self.console.pump(0)

    def quit(self, timeout=None):
        """Sends `quit` and returns the exit status."""
        self.qmp.execute("quit")
        return self.wait_exit(timeout)

    def kill(self):
        """Ends the process and removes the directory; safe to call twice."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            for pipe in (self.process.stdin, self.process.stdout):
                if pipe:
                    try:
                        pipe.close()
                    except OSError:
                        pass
        for sock in list(self._listeners.values()) + self._sockets:
            sock.close()
        if getattr(self, "stderr_file", None):
            self.stderr_file.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.kill()
            raise

    def __exit__(self, *_):
        self.kill()
