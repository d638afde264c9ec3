"""A QMP client whose every wait is bounded."""
import json
import select
import time


class Failure(Exception):
    """Why a case does not pass."""


class Qmp:
    def __init__(self, sock):
        self.socket, self._pending, self._events = sock, b"", []
        self.log = []  # every line sent and received
        if "QMP" not in self._read(time.monotonic() + 10, "a greeting"):
            raise Failure("QMP does not start with a greeting")
        self.execute("qmp_capabilities")

    def execute(self, command, **arguments):
        """Sends a command ('-' replaces '_' in argument names) and gives what it returns."""
        message = {"execute": command}
        if arguments:
            message["arguments"] = {name.replace("_", "-"): value for name, value in arguments.items()}
        return self.send(json.dumps(message), command)

    def send(self, text, name):
        """Sends a message as it stands and gives its return value; its id has to come back."""
        self.log.append("> " + text)
        self.socket.sendall(text.encode() + b"\n")
        deadline = time.monotonic() + 20
        while True:
            reply = self._read(deadline, f"an answer to {name}")
            if "event" in reply:
                self._events.append(reply)
                continue
            if reply.get("id") != json.loads(text).get("id"):
                raise Failure(f"{name}: the answer has id {reply.get('id')}")
            if "error" in reply:
                raise Failure(f"{name}: {reply['error'].get('class')}: {reply['error'].get('desc')}")
            return reply["return"]

    def event(self, name, seconds=20, **wanted):
        """Takes the first event of that name with these data ('_' for '-'), waiting for it."""
        deadline = time.monotonic() + seconds
        while True:
            for event in self._events:
                data = event.get("data", {})
                if event["event"] == name and all(data.get(k.replace("_", "-")) == v
                                                  for k, v in wanted.items()):
                    self._events.remove(event)
                    return data
            message = self._read(deadline, f"event {name} {wanted or ''}".strip())
            if "event" in message:
                self._events.append(message)

    def has_stopped(self):
        """Takes in what has arrived and tells whether the machine stopped, as on an internal error."""
        while self._pending or select.select([self.socket], [], [], 0)[0]:
            self._events.append(self._read(time.monotonic() + 10, "the end of a message"))
        return any(event.get("event") == "STOP" for event in self._events)

    def forget_events(self):
        self._events.clear()

    def close(self):
        self.socket.close()

    def _read(self, deadline, what):
        while b"\n" not in self._pending:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.socket], [], [], left)[0]:
                raise Failure(f"QMP: {what} did not come in time")
            try:
                data = self.socket.recv(65536)
            except ConnectionError:
                data = b""
            if not data:
                raise Failure(f"QMP was closed while {what} was awaited")
            self._pending += data
        line, _, self._pending = self._pending.partition(b"\n")
        self.log.append("< " + line.decode(errors="replace").strip())
        try:
            return json.loads(line)
        except ValueError:
            raise Failure(f"QMP: not JSON: {line[:200]!r}") from None
