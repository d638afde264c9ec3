"""Bounded waiting: every wait in a test names what it waits for and ends."""
import os
import time

# Machines differ: RHEA_TEST_SCALE=3 triples every limit.
SCALE = float(os.environ.get("RHEA_TEST_SCALE", "1"))


class Timeout(Exception):
    """A wait that ran out; the text says what was awaited and for how long."""


class Deadline:
    """A point in time that belongs to one thing awaited."""

    def __init__(self, seconds, what):
        self.seconds = seconds * SCALE
        self.what = what
        self.end = time.monotonic() + self.seconds

    def left(self):
        """Seconds left; raises Timeout at zero."""
        left = self.end - time.monotonic()
        if left <= 0:
            raise self.error()
        return left

    def error(self, detail=""):
        return Timeout(f"{self.what}: not within {self.seconds:g} s{': ' + detail if detail else ''}")
