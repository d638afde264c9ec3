"""One emulator process with a Linux guest in it."""
import os
import re
import select
import socket
import subprocess
import time

from pyutil.deadline import Deadline, Timeout
from pyutil.qmp import QmpClient, QmpError

# Most of these spare the guest work that only shows as time under an emulated CPU.  loglevel=3: a kernel
# message between a command's output lines would spoil it; a panic is still printed.
KERNEL_COMMAND_LINE = ("console=ttyS0 loglevel=3 nokaslr mitigations=off init_on_alloc=0 audit=0 "
                       "nowatchdog tsc=reliable random.trust_cpu=1")
BOOT_SECONDS = 90
SPARE_BYTES = 16 << 20
DISK_BYTES = 32 << 20


def command_line(options, cpus, run):
    """The command line under test; `run` is the directory of its sockets."""
    return [options.emulator, "-name", f"linux-{cpus}cpu",
            "-nodefaults", "-no-user-config", "-display", "none",
            "-machine", "pc", "-accel", "kvm", "-m", "256,slots=2,maxmem=1G", "-smp", str(cpus), "-S",
            "-chardev", f"socket,id=serial,path={run}/serial,server=on,wait=off", "-serial", "chardev:serial",
            "-chardev", f"socket,id=monitor,path={run}/monitor,server=on,wait=off",
            "-mon", "chardev=monitor,mode=control",
            "-kernel", options.kernel, "-initrd", options.initrd,
            "-append", f"{KERNEL_COMMAND_LINE} {options.append}".strip(),
            "-blockdev", f"driver=file,node-name=libvirt-3-storage,filename={options.cd1},read-only=on",
            "-blockdev", "driver=raw,node-name=libvirt-3-format,file=libvirt-3-storage,read-only=on",
            "-device", "ide-cd,bus=ide.1,unit=0,drive=libvirt-3-format,id=ide0-1-0",
            "-device", "virtio-scsi-pci,id=scsi0",
            "-object", "iothread,id=io0",
            "-blockdev", f"driver=file,node-name=disk,filename={run}/disk.img",
            "-device", f"virtio-blk-pci,drive=disk,id=disk0,iothread=io0,num-queues={cpus}"]


class Failure(Exception):
    """Why a case does not pass."""


class Vm:
    def __init__(self, options, cpus, run):
        os.makedirs(run)
        with open(f"{run}/disk.img", "wb") as disk:
            disk.truncate(DISK_BYTES)
        self._run, self._log = run, f"{run}/emulator.log"
        self.serial_text, self._unread = "", b""
        self._qmp_text = []  # both directions
        self._lines_sent = 0  # since the guest's shell started
        self.qmp = self._serial = None
        with open(self._log, "wb") as log:
            self.process = subprocess.Popen(command_line(options, cpus, run), stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log)

    def spare_disk(self):
        """The name of an empty image."""
        name = f"{self._run}/spare.img"
        with open(name, "wb") as disk:
            disk.truncate(SPARE_BYTES)
        return name

    def connect(self):
        """Waits for the emulator's sockets; the guest does not run yet."""
        self._serial = self._connect(f"{self._run}/serial")
        self.qmp = QmpClient(self._connect(f"{self._run}/monitor"), self._qmp_text.append)
        self.qmp.greet()

    def _connect(self, path):
        deadline = Deadline(20, f"the emulator's socket '{os.path.basename(path)}'")
        while deadline.left():
            if self.process.poll() is not None:
                raise Failure(f"the emulator ended with status {self.process.returncode}")
            sock = socket.socket(socket.AF_UNIX)
            try:
                sock.connect(path)
                return sock
            except OSError:
                sock.close()
                time.sleep(0.02)  # until the emulator listens

    def wait_for(self, pattern, seconds):
        """Reads the serial port up to a line that matches; gives the text before it and the match."""
        deadline = Deadline(seconds, f"'{pattern}' from the guest")
        while True:
            text = self._unread.decode("latin-1").replace("\r", "")
            match = re.search(rf"^{pattern}\n", text, re.MULTILINE)
            if match:
                self._unread = text[match.end():].encode("latin-1")
                return text[:match.start()], match
            if "end Kernel panic" in text:
                raise Failure(f"the guest's kernel panicked while '{pattern}' was awaited")
            ready = select.select([self._serial, self.qmp.sock], [], [], deadline.left())[0]
            if self._serial in ready:
                self._receive(pattern)
            elif ready:
                self.qmp.poll()
                if any(event["event"] == "STOP" for event in self.qmp.events):
                    raise Failure(f"the machine stopped while '{pattern}' was awaited")

    def _receive(self, awaited):
        try:
            data = self._serial.recv(65536)
        except ConnectionError:
            data = b""
        if not data:
            raise Failure(f"the serial port was closed while '{awaited}' was awaited")
        self._unread += data
        self.serial_text += data.decode("latin-1").replace("\r", "")

    def event(self, name, **wanted):
        """Waits for an event with these data ('_' for '-')."""
        wanted = {key.replace("_", "-"): value for key, value in wanted.items()}
        self.qmp.wait_event(name, 20, lambda event: wanted.items() <= event.get("data", {}).items())

    def wait_for_shell(self):
        self.wait_for("@ready", BOOT_SECONDS)
        self._lines_sent = 0

    def send(self, line):
        """Gives the guest's shell a line without waiting for its end."""
        self._lines_sent += 1
        self.serial_text += f"$ {line}\n"
        self._serial.sendall(line.encode() + b"\n")

    def shell(self, line, seconds=20):
        """Runs a line, which has to succeed, in the guest's shell and gives its output."""
        self.send(line)
        return self.answer(line, seconds)

    def answer(self, line, seconds=20):
        """The output of the line that was sent last."""
        output, match = self.wait_for(rf"@status (\d+) {self._lines_sent}", seconds)
        if match[1] != "0":
            raise Failure(f"in the guest '{line}' gave {match[1]}: {output.strip()[-200:]}")
        return output.strip()

    def wait_for_end(self):
        """Waits for the emulator to end by itself."""
        try:
            status = self.process.wait(Deadline(20, "").left())
        except subprocess.TimeoutExpired:
            raise Failure("the emulator still runs 20 s after the guest switched off") from None
        if status:
            raise Failure(f"the emulator ended with status {status}")

    def last_words(self):
        """The ends of what guest and emulator printed and of the QMP dialogue, and where the vCPU is."""
        with open(self._log, errors="replace") as f:
            emulator = f.read().splitlines()
        parts = (("guest", self.serial_text.splitlines()), ("emulator", emulator),
                 ("qmp", self._qmp_text[:]), ("vcpu", self._registers()))
        return [f"{name}: {line[:300]}" for name, lines in parts for line in lines[-15:]]

    def _registers(self):
        """Run state and first vCPU, for a guest that hangs, if the emulator still answers."""
        try:
            status = self.qmp.execute("query-status")
            text = self.qmp.hmp("info registers")
        except (AttributeError, EOFError, OSError, QmpError, Timeout):
            return []  # there is no connection, or nobody at its other end
        return [f"state {status.get('status')}"] + [line for line in text.splitlines()
                                                    if line.startswith(("RIP=", "CS =", "CR0=", "EFER="))]

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self._serial:
            self._serial.close()
        if self.qmp:
            self.qmp.close()
