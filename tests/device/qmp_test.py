"""QMP as a manager uses it: order of requests, descriptors handed over, what introspection says, options from a file."""
import array
import json
import os
import socket
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cli_test import QUIET, run  # noqa: E402
from machine import MachineTest, not_the_peer  # noqa: E402
from pyutil import runner  # noqa: E402
from pyutil.emulator import Emulator  # noqa: E402


class Requests(MachineTest):
    def events_of(self, *commands):
        """Sends the commands in one write; the names of the events until the connection is closed or all have answered."""
        self.qmp.send_raw(b"".join(json.dumps({"execute": c, "id": c}).encode() + b"\n" for c in commands))
        seen = []
        try:
            while True:
                seen.append(self.qmp.read_message().get("event"))
        except (EOFError, ConnectionResetError):
            return [name for name in seen if name in ("RESET", "SHUTDOWN")]

    @not_the_peer("it may leave out what comes right before the end")
    def test_a_reset_is_done_before_the_quit_behind_it(self):
        self.assertEqual(self.events_of("system_reset", "quit"), ["RESET", "SHUTDOWN"])
        self.assertEqual(self.vm.wait_exit(), 0)

    def test_shutdown_is_told_before_quit_is_answered(self):
        self.qmp.send_raw(b'{"execute": "quit", "id": 1}')
        messages = [self.qmp.read_message() for _ in range(2)]
        self.assertEqual([m.get("event", m.get("id")) for m in messages], ["SHUTDOWN", 1])
        self.assertEqual(messages[0]["data"], {"guest": False, "reason": "host-qmp-quit"})
        self.assertEqual(self.vm.wait_exit(), 0)

    @not_the_peer("it joins resets")
    def test_each_reset_is_told_of(self):
        self.assertEqual(self.events_of("system_reset", "system_reset", "quit"), ["RESET", "RESET", "SHUTDOWN"])
        self.assertEqual(self.vm.wait_exit(), 0)


class Descriptors(MachineTest):
    def send_with_fd(self, command, **arguments):
        message = {"execute": command, "arguments": {k.replace("_", "-"): v for k, v in arguments.items()}, "id": 1}
        with tempfile.TemporaryFile() as file:
            self.qmp.sock.sendmsg([json.dumps(message).encode() + b"\n"],
                                  [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [file.fileno()]))])
        return self.qmp.read_reply()

    def test_sets_of_descriptors(self):
        first = self.send_with_fd("add-fd", opaque="one")["return"]
        self.assertEqual(first["fdset-id"], 0)
        second = self.send_with_fd("add-fd", fdset_id=0)["return"]
        third = self.send_with_fd("add-fd", fdset_id=7)["return"]
        self.assertEqual(self.qmp.execute("query-fdsets"), [
            {"fdset-id": 0, "fds": [{"fd": first["fd"], "opaque": "one"}, {"fd": second["fd"]}]},
            {"fdset-id": 7, "fds": [{"fd": third["fd"]}]}])
        self.qmp.execute("remove-fd", fdset_id=0, fd=first["fd"])
        self.assert_error(f"File descriptor named 'fdset-id:0, fd:{first['fd']}' not found", "remove-fd", fdset_id=0,
                          fd=first["fd"])
        self.qmp.execute("remove-fd", fdset_id=0)
        self.assert_error("File descriptor named 'fdset-id:0' not found", "remove-fd", fdset_id=0)
        self.assertEqual([s["fdset-id"] for s in self.qmp.execute("query-fdsets")], [7])

    def test_no_descriptor_came(self):
        self.assert_error("No file descriptor supplied via SCM_RIGHTS", "add-fd")


class Introspection(MachineTest):
    def test_schema_is_closed_and_masked(self):
        """Each type is described once and used; type names say nothing; commands are those of query-commands."""
        schema = self.qmp.execute("query-qmp-schema")
        by_name = {entry["name"]: entry for entry in schema}
        self.assertEqual(len(by_name), len(schema))
        used = set()
        for entry in schema:
            used.update(entry[k] for k in ("arg-type", "ret-type", "element-type") if k in entry)
            used.update(m["type"] for m in entry.get("members", []) if "type" in m)
            used.update(v["type"] for v in entry.get("variants", []))
            if entry["meta-type"] == "enum":
                self.assertEqual(entry["values"], [m["name"] for m in entry["members"]])
            if entry["meta-type"] == "object" and "tag" in entry:
                self.assertIn(entry["tag"], [m["name"] for m in entry["members"]])
        described = {e["name"] for e in schema if e["meta-type"] not in ("command", "event")}
        self.assertEqual(used, described)
        builtin = {"str", "int", "number", "bool", "null", "any"}
        for name in described:
            bare = name.strip("[]")
            self.assertTrue(bare.isdigit() or bare in builtin, name)
        commands = {e["name"] for e in schema if e["meta-type"] == "command"}
        self.assertEqual(commands, {c["name"] for c in self.qmp.execute("query-commands")})

    def test_command_line_options(self):
        options = {o["option"]: {p["name"]: p["type"] for p in o["parameters"]}
                   for o in self.qmp.execute("query-command-line-options")}
        self.assertEqual(options["smp-opts"], dict.fromkeys(
            ("cpus", "sockets", "dies", "clusters", "cores", "threads", "maxcpus"), "number"))
        self.assertEqual(options["add-fd"], {"fd": "number", "set": "number", "opaque": "string"})
        self.assertEqual(options["device"], {})
        self.assertEqual(len(self.qmp.execute("query-command-line-options", option="rtc")), 1)
        self.assert_error("invalid option name: nosuch", "query-command-line-options", option="nosuch")

    def test_migration_capabilities(self):
        self.qmp.execute("migrate-set-capabilities", capabilities=[{"capability": "events", "state": True}])
        self.assertIn({"capability": "events", "state": True}, self.qmp.execute("query-migrate-capabilities"))

    def test_what_is_not_there_says_so(self):
        self.assert_error("No balloon device has been activated", "query-balloon", error_class="DeviceNotActive")
        self.assert_error("No balloon device has been activated", "balloon", error_class="DeviceNotActive", value=1 << 20)
        self.assert_error("USB support not enabled", "x-query-usb")
        self.assertEqual(self.qmp.execute("query-replay")["mode"], "none")
        self.assertEqual(self.qmp.execute("query-rx-filter"), [])
        self.assert_error("invalid net client name: x", "query-rx-filter", name="x")
        self.assert_error("Device 'x' not found", "set_link", error_class="DeviceNotFound", name="x", up=True)
        self.assertEqual(self.qmp.execute("query-acpi-ospm-status"), [])
        self.assertEqual(self.qmp.execute("query-memory-devices"), [])

    def test_no_acpi_no_status(self):
        vm = self.launch(["-no-acpi"])
        reply = vm.qmp.call({"execute": "query-acpi-ospm-status", "id": 1})
        self.assertEqual(reply["error"]["desc"], "command is not supported, missing ACPI device")

    @not_the_peer("its events have other names")
    def test_trace_events(self):
        names = [e["name"] for e in self.qmp.execute("trace-event-get-state", name="*")]
        self.assertTrue(names)
        self.qmp.execute("trace-event-set-state", name=names[0], enable=True)
        self.assertEqual(self.qmp.execute("trace-event-get-state", name=names[0]),
                         [{"name": names[0], "state": "enabled", "vcpu": False}])
        self.qmp.execute("trace-event-set-state", name=names[0], enable=False)
        self.assert_error('unknown event "nosuch"', "trace-event-get-state", name="nosuch")
        self.assertEqual(self.qmp.execute("trace-event-get-state", name="nosuch*"), [])


class Files(unittest.TestCase):
    def write(self, text):
        file = tempfile.NamedTemporaryFile("w", suffix=".cfg", delete=False)
        self.addCleanup(os.unlink, file.name)
        with file:
            file.write(text)
        return file.name

    def test_options_from_a_file(self):
        path = self.write('# a comment\n\n[name]\n  guest = "a, b"\n[object "m0"]\nqom-type="memory-backend-ram"\n'
                          'size = "1M"\n[smp-opts]\ncpus = "2"\n[chardev "c0"]\nbackend="null"\n')
        with Emulator(QUIET + ["-readconfig", path]) as vm:
            self.assertEqual(vm.qmp.execute("query-name"), {"name": "a, b"})
            self.assertEqual(vm.qmp.execute("qom-get", path="/objects/m0", property="size"), 1 << 20)
            self.assertEqual(len(vm.qmp.execute("query-cpus-fast")), 2)
            self.assertIn("c0", [c["label"] for c in vm.qmp.execute("query-chardev")])
            self.assertEqual(vm.quit(), 0)

    def test_mistakes_name_the_line(self):
        for text, error in (("abc\n", "1: no group defined"), ("\n[nosuch]\n", "2: There is no option group 'nosuch'"),
                            ("[object\n", "1: parse error"), ("[object]\nid = x\n", "2: parse error"),
                            ('[memory]\nsize = "abc"\n', "2: Parameter 'size' expects a size"),
                            ('[boot-opts]\nzz = "1"\n', "2: Invalid parameter 'zz'")):
            path = self.write(text)
            status, _, err = run(*QUIET, "-readconfig", path)
            self.assertEqual((status, err), (1, f"rhea: -readconfig {path}: {path}:{error}\n"))

    def test_options_that_managers_give(self):
        status, _, err = run(*QUIET, "-overcommit", "mem-lock=off", "-audiodev", '{"id":"audio1","driver":"none"}', "-no-hpet",
                             "-device", "nosuch")
        self.assertEqual((status, err), (1, "rhea: -device nosuch: 'nosuch' is not a valid device model name\n"))
        for args, error in ((("-overcommit", "cpu-pm=maybe"), "Parameter 'cpu-pm' expects 'on' or 'off'"),
                            (("-audiodev", "alsa,id=a"), "Parameter 'driver' does not accept value 'alsa'"),
                            (("-audiodev", "none"), "Parameter 'id' is missing")):
            status, _, err = run(*QUIET, *args)
            self.assertEqual((status, err), (1, f"rhea: {args[0]} {args[1]}: {error}\n"))


if __name__ == "__main__":
    runner.main()
