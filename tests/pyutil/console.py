"""A guest's serial console: what it wrote, with and without terminal control, and bounded waits for text."""
import codecs
import os
import re
import select

from .deadline import Deadline

_CONTROL = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]|\x1b[^\[]|[\x00-\x08\x0b-\x1f\x7f]")
_SOFT_WRAP = re.compile(rb"\x1b\[[0-9;]*H")


def plain(data):
    """Terminal output as text: cursor moves become spaces or nothing, colours and other control vanish."""
    data = _SOFT_WRAP.sub(b"", data)
    return _CONTROL.sub(b"", data).decode("utf-8", "replace")


class Transcript:
    """Turns a terminal stream into lines that can be shown below other output: clearing the screen is dropped,
    writing on another row or over what stands there starts a line, runs of blank lines shrink to one."""

    _TOKEN = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|\x1b[^\[]|[^\x1b]")
    _PARTIAL = re.compile(r"\x1b(\[[0-9;?]*)?$")

    def __init__(self, out):
        self.out = out  # called with text
        self.row, self.column = 1, 0  # the terminal's cursor
        self.end = None  # the column after what the line being shown holds; None while it is empty
        self.blank, self.pending = 0, ""
        self.decode = codecs.getincrementaldecoder("utf-8")("replace").decode

    def feed(self, data):
        text = self.pending + self.decode(data)
        partial = self._PARTIAL.search(text)
        self.pending = partial[0] if partial else ""
        text = text[:len(text) - len(self.pending)]
        self.out("".join(self._token(m) for m in self._TOKEN.finditer(text)))

    def _token(self, match):
        if match[2] == "H":
            return self._move(match[1])
        char = match[0]
        if char == "\n":
            self.row += 1
            return self._newline()
        if char == "\r":
            self.column = 0
        if char < " " or char[0] == "\x1b":
            return ""
        shown = "" if char == " " else self._before() + char
        self.column += 1
        if shown:
            self.end, self.blank = self.column, 0
        return shown

    def _before(self):
        """What brings the shown line to the cursor: spaces, or a new line when the place is taken."""
        if self.end is None:
            return ""
        if self.column < self.end:
            return self._newline()
        return " " * (self.column - self.end)

    def _newline(self):
        self.end = None
        self.blank += 1
        return "\n" if self.blank <= 2 else ""

    def _move(self, where):
        row, column = (int(n) if n.isdigit() else 1 for n in (where.split(";") + ["1"])[:2])
        self.column = column - 1
        if row == self.row:
            return ""
        self.row = row
        return self._newline() if self.end is not None else ""


class Console:
    """Reads one descriptor and writes another (they may be the same). `echo`: called with all bytes that come."""

    def __init__(self, read_fd, write_fd, echo=None, alive=None):
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
            self.echo(data)
        return bool(data)

    def text(self, since=0):
        return plain(bytes(self.raw[since:]))

    def new_text(self):
        return self.text(self.mark)

    def wait(self, pattern, timeout, what=None):
        """Waits until the text after the mark matches the regular expression; moves the mark to the end of what has
        come, so that old text never answers a later question. Of a guest that talks on unasked, one wait asks all."""
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

    def type(self, text, timeout=20):
        """Types as a person would: the guest's keyboard buffer is short (the BIOS's holds 15 keys), so a few keys
        at a time, each group awaited until its echo is seen."""
        for start in range(0, len(text), 8):
            part = text[start:start + 8]
            seen = len(self.raw)
            self.send(part)
            deadline = Deadline(timeout, f"the guest's echo of '{part}'")
            while part not in self.text(seen):
                if not self.pump(min(1, self._left(deadline))) and self.closed:
                    raise EOFError(f"{deadline.what}: the console closed")
