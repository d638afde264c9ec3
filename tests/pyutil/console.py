"""A guest's serial console: what it wrote, with and without terminal control, and bounded waits for text."""
import os
import re
import select
import sys

from .deadline import Deadline

_CONTROL = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]|\x1b[^\[]|[\x00-\x08\x0b-\x1f\x7f]")
_SOFT_WRAP = re.compile(rb"\x1b\[[0-9;]*H")


def plain(data):
    """Terminal output as text: cursor moves become spaces or nothing, colours and other control vanish."""
    data = _SOFT_WRAP.sub(b"", data)
    return _CONTROL.sub(b"", data).decode("utf-8", "replace")


class Console:
    """Reads one descriptor and writes another (they may be the same). `echo`: also copy to our own stdout."""

    def __init__(self, read_fd, write_fd, echo=False, alive=None):
        self.read_fd, self.write_fd, self.echo = read_fd, write_fd, echo
        self.alive = alive or (lambda: True)
        self.raw = bytearray()
        self.mark = 0  # waits look at what came after this offset
        self.closed = False

    def pump(self, timeout):
        """Takes what comes within `timeout` seconds; False when nothing did."""
        ready, _, _ = select.select([self.read_fd], [], [], timeout)
        if not ready:
            return False
        try:
            data = os.read(self.read_fd, 65536)
        except (ConnectionResetError, OSError):
            data = b""
        self.closed = self.closed or not data
        self.raw += data
        if self.echo and data:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        return bool(data)

    def text(self, since=0):
        return plain(bytes(self.raw[since:]))

    def new_text(self):
        return self.text(self.mark)

    def wait(self, pattern, timeout, what=None):
        """Waits until the text after the mark matches the regular expression; moves the mark to the end."""
        deadline = Deadline(timeout, what or f"'{pattern}' on the serial console")
        regex = re.compile(pattern, re.S)
        while True:
            match = regex.search(self.new_text())
            if match:
                self.mark = len(self.raw)
                return match
            if self.closed or not self.alive():
                while not self.closed and self.pump(0):
                    pass
                if regex.search(self.new_text()):
                    continue
                raise EOFError(f"{deadline.what}: the console closed; last: {self.new_text()[-300:]!r}")
            if not self.pump(min(1, self._left(deadline))) and self.closed:
                continue

    def _left(self, deadline):
        try:
            return deadline.left()
        except Exception:
            raise deadline.error(f"last: {self.new_text()[-300:]!r}") from None

    def send(self, text):
        data = text.encode()
        while data:
            data = data[os.write(self.write_fd, data):]
