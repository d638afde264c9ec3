"""L1: the Linux with a working /dev/kvm, in an emulated machine with AMD's SVM."""
import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import time

QEMU = "qemu-system-x86_64"
MEMORY_MIB = 1536
# init_on_alloc: memory that is never touched stays out of the snapshot.  tsc: no clock watchdog, which
# would distrust an emulated clock.  halt_poll_ns: a waiting vCPU must not burn an emulated CPU.
KERNEL_COMMAND_LINE = ("console=ttyS0 quiet panic=-1 nokaslr mitigations=off init_on_alloc=0 audit=0 "
                       "nowatchdog tsc=reliable random.trust_cpu=1 kvm.halt_poll_ns=0")
# The command line decides what a snapshot holds, so it is part of the cache key.
MACHINE = ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
           "-machine", "pc,memory-backend=ram", "-accel", "tcg,thread=multi", "-cpu", "EPYC-Milan",
           "-smp", "2", "-m", f"{MEMORY_MIB}M"]


class LabError(Exception):
    """What keeps the lab from working, as a sentence."""


def _end_with_parent():
    PR_SET_PDEATHSIG = 1
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class _Lines:
    """Lines of one socket, read with a deadline."""

    def __init__(self, sock):
        self.socket, self._pending = sock, b""

    def send(self, text):
        self.socket.sendall(text.encode() + b"\n")

    def next(self, seconds):
        """The next line, '' at the end of the stream, None when the time is over."""
        deadline = time.monotonic() + seconds
        while b"\n" not in self._pending:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.socket], [], [], left)[0]:
                return None
            try:
                data = self.socket.recv(65536)
            except ConnectionError:
                data = b""
            if not data:
                return ""
            self._pending += data
        line, _, self._pending = self._pending.partition(b"\n")
        return line.decode(errors="replace").strip() or " "


class Machine:
    """A running L1.  `job` and `out` are host directories that it can mount over 9p."""

    def __init__(self, job, out, ram, ram_is_shared, boot=None, state=None):
        """Boots `boot` = (kernel, initramfs), or restores what `save` wrote to the file `state`."""
        self._job = job
        control, qemu_control = socket.socketpair()
        qmp, qemu_qmp = socket.socketpair()
        self.control, self._qmp = _Lines(control), _Lines(qmp)
        share = "on" if ram_is_shared else "off"
        command = [QEMU, *MACHINE,
                   "-object", f"memory-backend-file,id=ram,size={MEMORY_MIB}M,mem-path={ram},share={share}",
                   "-chardev", f"file,id=console,path={job}/console", "-serial", "chardev:console",
                   "-chardev", f"socket,id=control,fd={qemu_control.fileno()}", "-serial", "chardev:control",
                   "-chardev", f"socket,id=qmp,fd={qemu_qmp.fileno()}", "-mon", "chardev=qmp,mode=control"]
        for tag, path in (("job", job), ("out", out)):
            command += ["-fsdev", f"local,id={tag},path={path},security_model=none",
                        "-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}"]
        if boot:
            command += ["-kernel", boot[0], "-initrd", boot[1], "-append", KERNEL_COMMAND_LINE]
        else:
            command += ["-incoming", "defer"]
        with open(f"{job}/qemu.log", "wb") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=_end_with_parent,
                start_new_session=True, pass_fds=[qemu_control.fileno(), qemu_qmp.fileno()])
        qemu_control.close()
        qemu_qmp.close()
        self._qmp.next(30)  # greeting
        self._execute("qmp_capabilities")
        if state:
            self._restore(state)

    def last_words(self):
        """The ends of what the emulator and L1's console printed."""
        text = ""
        for name in ("qemu.log", "console"):
            with open(f"{self._job}/{name}", errors="replace") as f:
                lines = [line for line in f.read().splitlines() if "doesn't support requested" not in line]
            text += "".join(f"\n  {name}: {line}" for line in lines[-15:])
        return text

    def expect(self, seconds, *words):
        """The next control line, which has to start with one of the words."""
        line = self.control.next(seconds)
        if line is None:
            raise LabError(f"L1 did not say {' or '.join(words)} within {seconds} s{self.last_words()}")
        if line.split(" ")[0] not in words:
            raise LabError(f"L1 said '{line}' instead of {' or '.join(words)}{self.last_words()}")
        return line

    def save(self, state):
        """Stops L1 and writes all but its memory, which is in the shared `ram` file, to `state`."""
        self._execute("stop")
        self._skip_shared_memory()
        self._migrate("migrate", state, os.O_WRONLY | os.O_CREAT)
        self._await("query-migrate", "completed", ("setup", "active", "device", "none"))

    def _restore(self, state):
        self._skip_shared_memory()
        self._migrate("migrate-incoming", state, os.O_RDONLY)
        self._await("query-status", "paused", ("inmigrate",))
        self._execute("cont")

    def _skip_shared_memory(self):
        self._execute("migrate-set-capabilities",
                      capabilities=[{"capability": "x-ignore-shared", "state": True}])

    def _migrate(self, command, path, flags):
        fd = os.open(path, flags, 0o644)
        try:
            message = json.dumps({"execute": "getfd", "arguments": {"fdname": "state"}})
            socket.send_fds(self._qmp.socket, [message.encode()], [fd])
        finally:
            os.close(fd)
        self._reply("getfd")
        self._execute(command, uri="fd:state")

    def _await(self, query, wanted, meanwhile):
        deadline = time.monotonic() + 60
        while True:
            status = self._execute(query).get("status", "none")
            if status == wanted:
                return
            if status not in meanwhile or time.monotonic() > deadline:
                raise LabError(f"{query} says '{status}' instead of '{wanted}'{self.last_words()}")
            time.sleep(0.01)

    def _execute(self, command, **arguments):
        self._qmp.send(json.dumps({"execute": command, "arguments": arguments}))
        return self._reply(command)

    def _reply(self, command):
        while True:
            line = self._qmp.next(30)
            if not line:
                raise LabError(f"{QEMU} does not answer {command}{self.last_words()}")
            message = json.loads(line)
            if "error" in message:
                raise LabError(f"{QEMU} answers {command} with: {message['error']['desc']}")
            if "return" in message:
                return message["return"]

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.control.socket.close()
        self._qmp.socket.close()
