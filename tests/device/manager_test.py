"""What a manager that dies and comes back is offered: numbered events, outcomes of commands, bounded waits (F8, F9, F13)."""
import os
import random
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from machine import PEER, MachineTest  # noqa: E402
from pyutil import runner  # noqa: E402
from pyutil.qmp import QmpClient, QmpError  # noqa: E402

SEED = int(os.environ.get("SEED", "7"))


@unittest.skipIf(PEER, "the peer has none of it")
class Manager(MachineTest):
    def setUp(self):
        super().setUp()
        self.qmp.close()
        self.clients = []

    def finish(self, vm):
        self.disconnect()
        vm.qmp = self.connect()
        super().finish(vm)

    def connect(self, *enable):
        """A new connection, which the server takes once it has noticed that the last one is gone."""
        client = QmpClient.connect(self.vm.path("qmp"), None, 20, False)
        self.clients.append(client)
        self.reply = client.call({"execute": "qmp_capabilities", "arguments": {"enable": list(enable)}})
        return client

    def disconnect(self):
        for client in self.clients:
            client.close()
        self.clients.clear()


class PlainClients(Manager):
    def test_who_does_not_ask_sees_the_plain_protocol(self):
        client = self.connect()
        self.assertEqual(client.greeting["QMP"]["capabilities"], ["oob"])
        client.execute("system_reset")
        event = client.wait_event("RESET")
        self.assertEqual(set(event), {"timestamp", "event", "data"})

    def test_unknown_capabilities_do_not_end_the_negotiation(self):
        client = QmpClient.connect(self.vm.path("qmp"), None, 20, False)
        self.clients.append(client)
        self.assertIn("error", client.call({"execute": "qmp_capabilities", "arguments": {"enable": ["nosuch"]}}))
        self.assertEqual(client.call({"execute": "qmp_capabilities"}), {"return": {}})


class Events(Manager):
    def test_numbers_rise_by_one(self):  # F13, S3.7
        client = self.connect("event-log")
        before = client.execute("query-event-log")["last"]
        for _ in range(3):
            client.execute("system_reset")
            client.wait_event("RESET")
        log = client.execute("query-event-log", since=before)
        self.assertEqual([(e["event"], e["sequence"]) for e in log["events"]],
                         [("RESET", before + 1), ("RESET", before + 2), ("RESET", before + 3)])
        self.assertTrue(log["complete"])
        client.execute("stop")
        self.assertEqual(client.wait_event("STOP")["sequence"], before + 4)

    def test_another_run_is_told_apart(self):
        client = self.connect()
        log = client.execute("query-event-log", since=3, run="0123")
        self.assertFalse(log["complete"])
        self.assertTrue(client.execute("query-event-log", since=log["last"], run=log["run"])["complete"])
        self.assertFalse(client.execute("query-event-log", since=log["last"] + 5)["complete"])

    def test_state_survives_random_disconnects(self):  # F13
        """Whoever replays what it missed knows the state that query-status tells."""
        rng = random.Random(SEED)
        client, last, running = self.connect("event-log"), 0, None
        run = client.execute("query-event-log")["run"]
        for step in range(120):
            if rng.random() < 0.4:
                client.send({"execute": rng.choice(["stop", "cont", "system_reset"]), "id": step})
                if rng.random() < 0.5:
                    client.read_reply()
            if rng.random() < 0.3:
                self.disconnect()
                client = self.connect("event-log")
            client.send({"execute": "query-event-log", "arguments": {"since": last, "run": run}, "id": "log"})
            while (reply := client.read_reply()).get("id") != "log":
                pass
            log = reply["return"]
            self.assertTrue(log["complete"], f"seed {SEED}")
            numbers = [e["sequence"] for e in log["events"]]
            self.assertEqual(numbers, list(range(last + 1, log["last"] + 1)), f"seed {SEED} step {step}")
            last = log["last"]
            for event in log["events"]:
                running = {"STOP": False, "RESUME": True}.get(event["event"], running)
            client.send({"execute": "query-status", "id": "status"})
            client.send({"execute": "query-event-log", "arguments": {"since": last, "run": run}, "id": "after"})
            while (reply := client.read_reply()).get("id") != "status":
                pass
            status = reply["return"]
            while (reply := client.read_reply()).get("id") != "after":
                pass
            if not reply["return"]["events"] and running is not None:
                self.assertEqual(status["running"], running, f"seed {SEED} step {step}")


class Outcomes(Manager):
    ADD = {"execute": "object-add", "arguments": {"qom-type": "memory-backend-ram", "id": "m", "size": 4096}}

    def test_a_command_sent_again_is_not_run_again(self):  # F8
        client = self.connect("outcome-log")
        self.assertEqual(client.call(dict(self.ADD, id="one")), {"return": {}, "id": "one"})
        self.assertEqual(client.call(dict(self.ADD, id="one")), {"return": {}, "id": "one"})
        failed = client.call(dict(self.ADD, id="two"))
        self.assertIn("error", failed)
        client.execute("object-del", id="m")
        self.assertEqual(client.call(dict(self.ADD, id="two")), failed)  # though it would succeed now
        reused = client.call({"execute": "object-del", "arguments": {"id": "m"}, "id": "one"})
        self.assertEqual(reused["error"]["desc"], "The id was used for another command, 'object-add'")
        outcomes = client.execute("query-command-outcomes", ids=["one", "two", "three"])["outcomes"]
        self.assertEqual([(o["id"], o["state"]) for o in outcomes], [("one", "done"), ("two", "failed")])
        self.assertEqual(outcomes[1]["error"], failed["error"])
        self.assertEqual(outcomes[0]["return"], {})

    def test_plain_clients_may_repeat_ids(self):
        client = self.connect()
        self.assertIn("return", client.call(dict(self.ADD, id=1)))
        self.assertIn("error", client.call(dict(self.ADD, id=1)))
        self.assertEqual(client.execute("query-command-outcomes"), {"outcomes": [], "forgotten": 0})

    def test_killed_at_any_byte(self):  # F8: each object is made exactly once, whenever the connection is lost
        rng = random.Random(SEED)
        for i in range(60):
            name = f"object{i}"
            message = (b'{"execute": "object-add", "arguments": {"qom-type": "memory-backend-ram", "id": "%s", "size": 4096},'
                       b' "id": "add-%d"}\n' % (name.encode(), i))
            client = self.connect("outcome-log")
            cut = rng.randrange(len(message) + 1)
            client.send_raw(message[:cut])
            self.disconnect()  # the manager dies, perhaps before the answer
            client = self.connect("outcome-log")
            client.send_raw(message)
            self.assertEqual(client.read_reply(), {"return": {}, "id": f"add-{i}"}, f"seed {SEED}, {cut} bytes of {message}")
            self.disconnect()
        objects = [o["name"] for o in self.connect().execute("qom-list", path="/objects")]
        self.assertEqual(sum(o.startswith("object") for o in objects), 60)


class Bounded(Manager):
    ARGS = ["-blockdev", "driver=null-co,node-name=hung,size=1048576,latency-ns=3600000000000,read-zeroes=on",
            "-device", "ide-cd,id=cd0,drive=hung,bus=ide.0,unit=0"]

    def hang(self):
        """Lets the guest read a sector that will not come: PACKET, then READ(10)."""
        q = self.q
        q.outb(0x1f6, 0xa0)
        q.outb(0x1f4, 0x00)
        q.outb(0x1f5, 0x08)
        packets = [[0] * 12] * 3 + [[0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]]  # unit attention and the like go first
        for packet in packets:
            q.outb(0x1f7, 0xa0)
            for low, high in zip(packet[::2], packet[1::2]):
                q.outw(0x1f0, low | high << 8)

    def finish(self, vm):  # it ends without its disk
        self.disconnect()
        client = self.connect("bounded")
        began = time.monotonic()
        client.execute("quit")
        self.assertEqual(vm.wait_exit(), 0)
        self.assertLess(time.monotonic() - began, 3)

    def test_stop_and_queries_do_not_wait_for_a_disk_that_hangs(self):  # F9
        client = self.connect("bounded")
        self.hang()
        client.execute("cont")
        began = time.monotonic()
        client.send({"execute": "stop", "id": "stop"})
        client.send({"execute": "query-status", "id": "status"})
        replies = [client.read_reply(), client.read_reply()]
        self.assertLess(time.monotonic() - began, 3)
        by_id = {r["id"]: r for r in replies}
        self.assertFalse(by_id["status"]["return"]["running"])
        self.assertEqual([r["id"] for r in replies], ["status", "stop"])
        self.assertIn("have not finished", by_id["stop"]["error"]["desc"])
        self.assertRaises(QmpError, client.execute, "nosuch")


if __name__ == "__main__":
    runner.main()
