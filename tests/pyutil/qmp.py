"""A QMP client over a stream socket: one message per line each way, replies matched by id, events kept in order."""
import json
import select
import socket

from .deadline import Deadline, Timeout


class QmpError(Exception):
    """An error reply: `error_class` and `desc` are the wire's."""

    def __init__(self, reply):
        self.error_class = reply["error"]["class"]
        self.desc = reply["error"]["desc"]
        super().__init__(f"{self.error_class}: {self.desc}")


class QmpClient:
    """One monitor connection. `log`, when given, gets each line sent ('->') and received ('<-')."""

    def __init__(self, sock, log=None, timeout=30):
        self.sock, self.log, self.timeout = sock, log, timeout
        self.events = []
        self.greeting = None
        self._buffer = bytearray()
        self._replies = []
        self._next_id = 0

    @classmethod
    def connect(cls, address, log=None, timeout=30, negotiate=True):
        """`address`: a unix path or a (host, port) pair that already listens."""
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.settimeout(timeout)
        sock.connect(address)
        client = cls(sock, log, timeout)
        client.greet(negotiate)
        return client

    def greet(self, negotiate=True):
        """Reads the greeting and, unless told otherwise, leaves negotiation mode."""
        self.greeting = self.read_message("QMP greeting")
        if "QMP" not in self.greeting:
            raise ValueError(f"not a QMP greeting: {self.greeting}")
        if negotiate:
            self.execute("qmp_capabilities")

    def send_raw(self, data):
        """Sends bytes as they are: for malformed input."""
        self.sock.sendall(data)

    def send(self, message):
        text = json.dumps(message)
        if self.log:
            self.log("-> " + text)
        self.send_raw(text.encode() + b"\n")

    def read_message(self, what="QMP message", timeout=None):
        """The next JSON line of any kind."""
        deadline = Deadline(timeout or self.timeout, what)
        while b"\n" not in self._buffer:
            ready, _, _ = select.select([self.sock], [], [], deadline.left())
            if not ready:
                continue
            data = self.sock.recv(65536)
            if not data:
                raise EOFError(f"{what}: the connection was closed")
            self._buffer += data
        line, _, rest = bytes(self._buffer).partition(b"\n")
        self._buffer = bytearray(rest)
        text = line.decode().rstrip("\r")
        if self.log:
            self.log("<- " + text)
        return json.loads(text)

    def _pump(self, what, timeout=None):
        """Reads one message; an event is kept, anything else is a reply."""
        message = self.read_message(what, timeout)
        (self.events if "event" in message else self._replies).append(message)

    def poll(self):
        """Takes in what has already arrived, without waiting for more."""
        while b"\n" in self._buffer or select.select([self.sock], [], [], 0)[0]:
            self._pump("rest of a QMP message")

    def read_reply(self, what="QMP reply", timeout=None):
        """The next message that is not an event."""
        while not self._replies:
            self._pump(what, timeout)
        return self._replies.pop(0)

    def call(self, message, timeout=None):
        """Sends a whole message and returns its whole reply, error or not. The reply's id must be the message's."""
        self.send(message)
        name = message.get("execute", message.get("exec-oob", "message"))
        reply = self.read_reply(f"reply to {name}", timeout)
        if reply.get("id") != message.get("id"):
            raise AssertionError(f"reply to {name} has id {reply.get('id')!r}, not {message.get('id')!r}")
        return reply

    def execute(self, command, arguments=None, timeout=None, **kwargs):
        """Runs a command and returns its `return`; raises QmpError. Underscores in keyword names become dashes."""
        arguments = dict(arguments or {}, **{k.replace("_", "-"): v for k, v in kwargs.items()})
        self._next_id += 1
        message = {"execute": command, "id": f"t{self._next_id}"}
        if arguments:
            message["arguments"] = arguments
        reply = self.call(message, timeout)
        if "error" in reply:
            raise QmpError(reply)
        return reply["return"]

    def hmp(self, line):
        """A human monitor command's text."""
        return self.execute("human-monitor-command", {"command-line": line})

    def wait_event(self, name, timeout=None, match=None):
        """Takes the first event of that name (and, if given, for which match(event) holds) out of the kept ones."""
        deadline = Deadline(timeout or self.timeout, f"event {name}")
        while True:
            for i, event in enumerate(self.events):
                if event["event"] == name and (match is None or match(event)):
                    return self.events.pop(i)
            try:
                self._pump(f"event {name}", max(deadline.left(), 0.001))
            except Timeout:
                raise deadline.error(f"seen: {[e['event'] for e in self.events]}") from None

    def close(self):
        self.sock.close()
