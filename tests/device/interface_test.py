"""Our commands and events beside QEMU 7.2's: who was written for one can talk to the other."""
import os
import re
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from machine import MachineTest, not_the_peer  # noqa: E402
from pyutil import runner  # noqa: E402

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden", "qmp_interface.txt")
# Ours alone: commands, events, and members of answers.
OWN_COMMANDS = {"query-event-log", "query-command-outcomes", "device-unplug", "DEVICE_UNPLUG"}
OWN_MEMBERS = {"eject-requested", "unplug", "pivot"}
OWN_ARGUMENTS = {("job-complete", "witness"), ("job-complete", "pause-around")}
LINE = re.compile(r"(event )?(\S+?)\((.*?)\)(?: -> (.*?))?( oob)?$")


class Interface:
    """What one side says of a command or event: members as {name: (type, optional)}."""

    def __init__(self, arguments, result, members, oob):
        self.arguments, self.result, self.members, self.oob = arguments, result, members, oob


def members_of(text):
    out = {}
    for word in text.split():
        if not word.startswith("<"):
            name, _, kind = word.partition(":")
            out[name.rstrip("?")] = (kind, name.endswith("?"))
    return out


def read_golden():
    out = {}
    with open(GOLDEN, encoding="ascii") as file:
        for line in file:
            if line.startswith("#"):
                continue
            _, name, arguments, result, oob = LINE.match(line.rstrip("\n")).groups()
            inner = re.match(r"\[?\{(.*)\}\]?$", result or "")
            shape = re.sub(r"\{.*\}", "object", result) if result else None
            out[name] = Interface(members_of(arguments), shape, members_of(inner[1]) if inner else {}, bool(oob))
    return out


class Schema:
    KINDS = {"string": "str", "boolean": "bool", "value": "any"}

    def __init__(self, entries):
        self.by_name = {e["name"]: e for e in entries}

    def kind(self, name):
        entry = self.by_name[name]
        if entry["meta-type"] == "builtin":
            return self.KINDS.get(entry["json-type"], entry["json-type"])
        if entry["meta-type"] == "array":
            return f"[{self.kind(entry['element-type'])}]"
        return entry["meta-type"]

    def members(self, name):
        entry = self.by_name[name]
        if entry["meta-type"] == "array":
            entry = self.by_name[entry["element-type"]]
        if entry["meta-type"] != "object":
            return {}
        return {m["name"]: (self.kind(m["type"]), "default" in m) for m in entry["members"]}

    def interfaces(self):
        out = {}
        for entry in self.by_name.values():
            if entry["meta-type"] == "command":
                out[entry["name"]] = Interface(self.members(entry["arg-type"]), self.kind(entry["ret-type"]),
                                               self.members(entry["ret-type"]), entry.get("allow-oob", False))
            elif entry["meta-type"] == "event":
                out[entry["name"]] = Interface(self.members(entry["arg-type"]), None, {}, False)
        return out


class Compared(MachineTest):
    def setUp(self):
        super().setUp()
        self.ours = Schema(self.qmp.execute("query-qmp-schema")).interfaces()
        self.theirs = read_golden()

    @not_the_peer("it is the other side")
    def test_nothing_but_these_is_ours_alone(self):
        self.assertEqual(set(self.ours) - set(self.theirs), OWN_COMMANDS & set(self.ours))

    def test_arguments_have_the_same_names_and_types(self):
        for name in set(self.ours) & set(self.theirs):
            ours, theirs = self.ours[name], self.theirs[name]
            for member, described in ours.arguments.items():
                if (name, member) in OWN_ARGUMENTS:
                    self.assertTrue(described[1], f"{name}: {member} has to be optional")
                    continue
                self.assertEqual(described, theirs.arguments.get(member), f"{name}: {member}")
            needed = {m for m, (_, optional) in theirs.arguments.items() if not optional}
            self.assertLessEqual(needed, set(ours.arguments), name)
            self.assertEqual(ours.oob, theirs.oob, f"{name}: out of band")

    def test_answers_hold_what_clients_count_on(self):
        for name in set(self.ours) & set(self.theirs):
            ours, theirs = self.ours[name], self.theirs[name]
            self.assertEqual(ours.result, theirs.result, name)
            for member, described in ours.members.items():
                if member not in OWN_MEMBERS:
                    self.assertEqual(described, theirs.members.get(member), f"{name}: {member}")
            promised = {m for m, (_, optional) in theirs.members.items() if not optional}
            self.assertLessEqual(promised, set(ours.members), name)


if __name__ == "__main__":
    runner.main()
