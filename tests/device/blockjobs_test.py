"""Jobs on disks as managers run them: images made by blockdev-create, copies, snapshots, commits, pulls; with their
events in order, the data that must come out, and the errors clients match. S2.5, S2.8, S2.10, S3.12, C.2."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from disk_jobs import SIZE, DiskJobsTest  # noqa: E402
from pyutil import runner  # noqa: E402
from pyutil.qmp import QmpError  # noqa: E402

class BlockJobs(DiskJobsTest):
    def test_copy_and_pivot(self):  # S2.8, S2.10
        self.io("write -P 1 1M 1M")
        self.make(2)
        self.start("blockdev-mirror", device="f1", target="f2", sync="full")
        ready = self.qmp.wait_event("BLOCK_JOB_READY")["data"]
        self.assertEqual((ready["device"], ready["type"], ready["speed"]), ("j", "mirror", 0))
        self.assertEqual(ready["len"], ready["offset"])
        self.io("write -P 2 5M 64k")
        self.assertEqual(self.drive()["inserted"]["node-name"], "f1")
        info = self.qmp.execute("query-block-jobs")[0]
        self.assertEqual((info["type"], info["device"], info["ready"], info["io-status"]), ("mirror", "j", True, "ok"))
        self.qmp.execute("job-complete", {"id": "j"})
        done = self.qmp.wait_event("BLOCK_JOB_COMPLETED")["data"]
        self.assertEqual(done["len"], done["offset"])
        self.assertNotIn("error", done)
        states, _ = self.conclude()
        self.assertEqual(states, ["created", "running", "ready", "waiting", "pending", "concluded"])
        self.assertEqual(self.drive()["inserted"]["node-name"], "f2")
        self.delete(1)
        self.assert_content((1, "1M", "1M"), (2, "5M", "64k"), (0, 0, "1M"))

    def test_completing_twice_is_once(self):  # S2.8
        self.make(2)
        self.qmp.execute("blockdev-mirror", {"job-id": "j", "device": "f1", "target": "f2", "sync": "full",
                                             "replaces": "f1", "auto-finalize": False})
        self.qmp.wait_event("BLOCK_JOB_READY")
        for _ in range(2):
            try:
                self.qmp.execute("block-job-complete", {"device": "j"})
            except QmpError as e:  # by then it may wait for being finalized
                self.assertIn("cannot accept command verb 'complete'", str(e))
        self.qmp.wait_event("BLOCK_JOB_PENDING")
        self.qmp.execute("block-job-finalize", {"id": "j"})
        self.qmp.wait_event("BLOCK_JOB_COMPLETED")
        self.assertEqual(self.drive()["inserted"]["node-name"], "f2")

    def test_write_blocking_copy_has_each_write_at_once(self):
        self.io("write -P 1 0 8M")
        self.make(2)
        self.start("blockdev-mirror", device="f1", target="f2", sync="full", copy_mode="write-blocking")
        self.qmp.wait_event("BLOCK_JOB_READY")
        self.io("write -P 7 1000k 3000k")
        dirty = next(n for n in self.qmp.execute("query-named-block-nodes") if n["node-name"] == "f1")["dirty-bitmaps"]
        self.assertEqual([b["count"] for b in dirty], [0])
        self.qmp.execute("block-job-cancel", {"device": "j"})
        self.conclude()
        self.assert_content((7, "1000k", "3000k"), (1, 0, "1000k"), (1, "4000k", "1M"), where="f2")

    def test_backup_has_the_disk_as_it_was(self):
        self.io("write -P 1 0 8M")
        self.make(2)
        self.start("blockdev-backup", device="f1", target="f2", sync="full", speed=65536)
        self.states("j", "running")
        self.io("write -P 2 3M 2M")
        self.qmp.execute("block-job-set-speed", {"device": "j", "speed": 0})
        _, info = self.conclude()
        self.assertNotIn("error", info)
        self.assert_content((1, 0, "8M"), where="f2")
        self.assert_content((1, 0, "3M"), (2, "3M", "2M"), (1, "5M", "3M"))

    def test_incremental_backups(self):
        self.io("write -P 1 0 8M")
        self.make(2)
        self.qmp.execute("transaction", {"actions": [
            {"type": "block-dirty-bitmap-add", "data": {"node": "f1", "name": "b"}},
            {"type": "blockdev-backup", "data": {"device": "f1", "target": "f2", "sync": "full", "job-id": "j",
                                                 "auto-dismiss": False}}]})
        self.conclude()
        self.io("write -P 2 1M 64k")
        self.start("blockdev-backup", device="f1", target="f2", sync="incremental", bitmap="b")
        _, info = self.conclude()
        self.assertEqual((info["current-progress"], info["total-progress"], info.get("error")), (65536, 65536, None))
        self.assertEqual(self.bitmap("b")["count"], 0)
        self.assert_content((1, 0, "1M"), (2, "1M", "64k"), (1, "2M", "6M"), where="f2")

    def test_backups_of_one_transaction_end_together(self):
        self.io("write -P 1 0 8M")
        self.make(2)
        self.make(3)
        self.make(4)
        backups = [{"type": "blockdev-backup", "data": {"device": d, "target": t, "sync": "full", "job-id": j,
                                                        "speed": 65536, "auto-dismiss": False}}
                   for d, t, j in (("f1", "f2", "j"), ("f3", "f4", "k"))]
        self.qmp.execute("transaction", {"actions": backups, "properties": {"completion-mode": "grouped"}})
        self.states("j", "running")
        self.qmp.execute("block-job-cancel", {"device": "j"})
        for job in "jk":
            states = self.states(job, "concluded")
            self.assertEqual(states[-2:], ["aborting", "concluded"])
            self.qmp.execute("job-dismiss", {"id": job})
        self.delete(2, 3, 4)

    def test_backup_errors(self):
        self.make(2)
        self.assert_error("Source and target cannot be the same", "blockdev-backup", device="f1", target="f1",
                          sync="full", job_id="j")
        self.assert_error("must provide a valid bitmap name for 'incremental' sync mode", "blockdev-backup",
                          device="f1", target="f2", sync="incremental", job_id="j")
        self.assert_error("Bitmap 'nope' could not be found", "blockdev-backup", device="f1", target="f2",
                          sync="incremental", bitmap="nope", job_id="j")
        self.make(3, size=1 << 20)
        self.assert_error("Source and target image have different sizes", "blockdev-backup", device="f1", target="f3",
                          sync="full", job_id="j")

    def test_cancelled_ready_copy_is_a_success(self):
        self.io("write -P 1 0 1M")
        self.make(2)
        self.start("blockdev-mirror", device="f1", target="f2", sync="full")
        self.qmp.wait_event("BLOCK_JOB_READY")
        self.io("write -P 3 2M 64k")
        self.qmp.execute("block-job-cancel", {"device": "j"})
        self.qmp.wait_event("BLOCK_JOB_COMPLETED")
        states, info = self.conclude()
        self.assertNotIn("error", info)
        self.assertEqual(states[-3:], ["waiting", "pending", "concluded"])
        self.assertEqual(self.drive()["inserted"]["node-name"], "f1")
        self.assert_content((1, 0, "1M"), (3, "2M", "64k"), where="f2")
        self.delete(2)

    def test_slow_copy_is_paused_and_cancelled(self):  # S2.5
        self.io("write -P 1 0 8M")
        self.make(2)
        self.start("blockdev-mirror", device="f1", target="f2", sync="full", speed=65536)
        self.assert_error("Job 'j' in state 'running' cannot accept command verb 'complete'", "job-complete", id="j")
        self.assert_error("Node 'f1' is busy: block device is in use by block job: mirror", "block-stream",
                          device="f1", job_id="k")
        self.qmp.execute("block-job-set-speed", {"device": "j", "speed": 131072})
        self.assert_error("Parameter 'speed' expects a non-negative value", "block-job-set-speed", device="j",
                          speed=-1)
        self.qmp.execute("block-job-pause", {"device": "j"})
        self.states("j", "paused")
        self.assert_error("Job is already paused", "job-pause", id="j")
        self.assert_error("The block job for device 'j' is currently paused and cannot be cancelled",
                          "block-job-cancel", device="j")
        self.qmp.execute("block-job-resume", {"device": "j"})
        self.states("j", "running")
        self.assert_error("Can't resume a job that was not paused", "job-resume", id="j")
        self.qmp.execute("block-job-cancel", {"device": "j"})
        cancelled = self.qmp.wait_event("BLOCK_JOB_CANCELLED")["data"]
        self.assertEqual((cancelled["device"], cancelled["speed"]), ("j", 131072))
        states, info = self.conclude()
        self.assertEqual(states[-2:], ["aborting", "concluded"])
        self.assertEqual(info["error"], "Operation canceled")
        self.delete(2)

    def test_active_commit(self):  # S2.10
        self.io("write -P 1 0 2M")
        self.snapshot(1, 2)
        self.assertTrue(any(n["node-name"] == "f1" and n["ro"] for n in self.qmp.execute("query-named-block-nodes")))
        self.io("write -P 2 1M 2M")
        self.start("block-commit", device="f2", top_node="f2", base_node="f1")
        ready = self.qmp.wait_event("BLOCK_JOB_READY")["data"]
        self.assertEqual(ready["type"], "commit")
        self.io("write -P 3 7M 64k")
        self.qmp.execute("job-complete", {"id": "j"})
        _, info = self.conclude()
        self.assertNotIn("error", info)
        self.assertEqual(self.drive()["inserted"]["node-name"], "f1")
        self.delete(2)
        self.assert_content((1, 0, "1M"), (2, "1M", "2M"), (3, "7M", "64k"))
        self.io("write -P 4 0 64k")

    def test_commit_of_an_image_in_between(self):
        self.io("write -P 1 0 1M")
        self.snapshot(1, 2)
        self.io("write -P 2 1M 1M")
        self.snapshot(2, 3)
        self.io("write -P 3 2M 1M")
        self.start("block-commit", device="f3", top_node="f2", base_node="f1")
        states, info = self.conclude()
        self.assertEqual(states, ["created", "running", "waiting", "pending", "concluded"])
        self.assertNotIn("error", info)
        self.delete(2)
        inserted = self.drive()["inserted"]
        self.assertEqual((inserted["node-name"], inserted["backing_file_depth"], inserted["backing_file"]),
                         ("f3", 1, self.path(1)))
        self.assert_content((1, 0, "1M"), (2, "1M", "1M"), (3, "2M", "1M"))
        self.assert_content((2, "1M", "1M"), where="f1")

    def test_pull(self):
        self.io("write -P 1 0 1M")
        self.snapshot(1, 2)
        self.io("write -P 2 1M 1M")
        self.snapshot(2, 3)
        self.io("write -P 3 512k 1M")
        self.start("block-stream", device="f3", base_node="f1", backing_file=self.path(1))
        _, info = self.conclude()
        self.assertEqual((info["current-progress"], info["total-progress"], info.get("error")), (SIZE, SIZE, None))
        self.delete(2)
        self.assert_content((1, 0, "512k"), (3, "512k", "1M"), (2, "1536k", "512k"))
        self.start("block-stream", device="f3")
        self.conclude()
        self.delete(1)
        inserted = self.drive()["inserted"]
        self.assertEqual(inserted["backing_file_depth"], 0)
        self.assertNotIn("backing-filename", inserted["image"])
        self.assert_content((1, 0, "512k"), (3, "512k", "1M"), (2, "1536k", "512k"), (0, "2M", "6M"))

    def test_transaction_is_all_or_nothing(self):  # S2.6's ground
        self.make(2, 1)
        before = self.qmp.execute("query-named-block-nodes")
        self.assert_error("Transaction aborted using Abort action", "transaction", actions=[
            {"type": "block-dirty-bitmap-add", "data": {"node": "f1", "name": "b"}},
            {"type": "blockdev-snapshot", "data": {"node": "f1", "overlay": "f2"}},
            {"type": "abort", "data": {}}])
        self.assertEqual(self.qmp.execute("query-named-block-nodes"), before)
        self.assertEqual(self.drive()["inserted"]["node-name"], "f1")
        self.io("write -P 1 0 64k")

    def test_dirty_bitmaps(self):
        add = {"node": "f1", "name": "b", "granularity": 65536}
        self.qmp.execute("block-dirty-bitmap-add", add)
        self.assertEqual(self.bitmap("b"), {"name": "b", "count": 0, "granularity": 65536, "recording": True,
                                            "busy": False, "persistent": False})
        self.io("write -P 1 100k 100k")
        self.assertEqual(self.bitmap("b")["count"], 3 * 65536)
        self.qmp.execute("block-dirty-bitmap-disable", {"node": "f1", "name": "b"})
        self.io("write -P 1 4M 64k")
        self.assertEqual((self.bitmap("b")["count"], self.bitmap("b")["recording"]), (3 * 65536, False))
        self.qmp.execute("block-dirty-bitmap-add", {"node": "f1", "name": "c", "disabled": True})
        self.qmp.execute("block-dirty-bitmap-merge", {"node": "f1", "target": "c", "bitmaps": ["b"]})
        self.assertEqual(self.bitmap("c")["count"], 3 * 65536)
        hashes = [self.qmp.execute("x-debug-block-dirty-bitmap-sha256", {"node": "f1", "name": n})["sha256"]
                  for n in "bc"]
        self.assertEqual(hashes[0], hashes[1])
        self.qmp.execute("block-dirty-bitmap-clear", {"node": "f1", "name": "b"})
        self.assertEqual(self.bitmap("b")["count"], 0)
        for name in "bc":
            self.qmp.execute("block-dirty-bitmap-remove", {"node": "f1", "name": name})
        self.assertIsNone(self.bitmap("b"))

    def test_bitmap_errors(self):
        self.qmp.execute("block-dirty-bitmap-add", {"node": "f1", "name": "b"})
        self.assert_error("Bitmap already exists: b", "block-dirty-bitmap-add", node="f1", name="b")
        self.assert_error("Bitmap name cannot be empty", "block-dirty-bitmap-add", node="f1", name="")
        self.assert_error("Granularity must be power of 2 and at least 512", "block-dirty-bitmap-add", node="f1",
                          name="c", granularity=1000)
        self.assert_error("Cannot find device='nope' nor node-name='nope'", "block-dirty-bitmap-add", node="nope",
                          name="c")
        self.assert_error("Dirty bitmap 'nope' not found", "block-dirty-bitmap-remove", node="f1", name="nope")
        self.assert_error("Node 'nope' not found", "block-dirty-bitmap-clear", node="nope", name="b")

    def test_job_errors(self):
        self.assert_error("Job not found", "job-cancel", id="nope")
        self.assert_error("Block job 'nope' not found", "block-job-cancel", "DeviceNotActive", device="nope")
        self.assert_error("Device 'nope' not found", "block-commit", "DeviceNotFound", device="nope", job_id="j")
        self.assert_error("Invalid job ID ''", "block-stream", device="f1")
        self.assert_error("Invalid job ID '0'", "block-stream", device="f1", job_id="0")
        self.assert_error("Can't mirror node into itself", "blockdev-mirror", device="f1", target="f1", sync="full",
                          job_id="j")
        self.assert_error("Cannot find device='nope' nor node-name='nope'", "blockdev-mirror", device="f1",
                          target="nope", sync="full", job_id="j")

    def test_snapshot_errors(self):
        self.make(2, 1)
        self.assert_error("Cannot find device='nope' nor node-name='nope'", "blockdev-snapshot", node="f1",
                          overlay="nope")
        self.assert_error("The overlay does not support backing images", "blockdev-snapshot", node="f1", overlay="s2")
        self.qmp.execute("blockdev-snapshot", {"node": "f1", "overlay": "f2"})
        self.make(3, 2)
        self.assert_error("The overlay is already in use", "blockdev-snapshot", node="f3", overlay="f2")

    def test_snapshot_makes_its_own_image(self):
        self.io("write -P 1 0 1M")
        file = self.path("-sync")
        self.qmp.execute("blockdev-snapshot-sync", {"node-name": "f1", "snapshot-file": file,
                                                    "snapshot-node-name": "top"})
        inserted = self.drive()["inserted"]
        self.assertEqual((inserted["node-name"], inserted["file"], inserted["image"]["backing-filename"]),
                         ("top", file, self.path(1)))
        self.io("write -P 2 512k 64k")
        self.assert_content((1, 0, "512k"), (2, "512k", "64k"))

    def test_reopen_puts_another_backing_file_below(self):  # S4.1 ff.
        self.make(2, 1)
        self.make(3)
        self.io("write -P 5 0 64k", "f3")
        options = {"driver": "qcow2", "node-name": "f2", "file": "s2"}
        self.assert_error("backing is missing for 'f2'", "blockdev-reopen", options=[options])
        self.assert_error("Cannot find device='' nor node-name='nope'", "blockdev-reopen",
                          options=[dict(options, backing="nope")])
        self.assert_error("Making 'f2' a backing child of 'f2' would create a cycle", "blockdev-reopen",
                          options=[dict(options, backing="f2")])
        self.qmp.execute("blockdev-reopen", {"options": [dict(options, backing="f3")]})
        self.assert_content((5, 0, "64k"), where="f2")
        self.qmp.execute("blockdev-reopen", {"options": [dict(options, backing=None)]})
        self.assert_content((0, 0, "64k"), where="f2")

    def test_write_threshold(self):
        self.qmp.execute("block-set-write-threshold", {"node-name": "f1", "write-threshold": 1 << 20})
        self.assertEqual(self.drive()["inserted"]["write_threshold"], 1 << 20)
        self.io("write 0 1M")
        self.io("write 1M 64k")
        event = self.qmp.wait_event("BLOCK_WRITE_THRESHOLD")["data"]
        self.assertEqual(event, {"node-name": "f1", "amount-exceeded": 65536, "write-threshold": 1 << 20})
        self.assertEqual(self.drive()["inserted"]["write_threshold"], 0)

    def test_persistent_bitmaps_come_back(self):  # F7's ground
        """The bitmaps of -blockdev nodes and those rhea-img handles are the same ones."""
        self.io("write -P 1 0 64k")
        self.qmp.execute("block-dirty-bitmap-add", {"node": "f1", "name": "kept", "persistent": True,
                                                    "granularity": 65536})
        self.qmp.execute("block-dirty-bitmap-add", {"node": "f1", "name": "gone", "persistent": True})
        self.qmp.execute("block-dirty-bitmap-add", {"node": "f1", "name": "memory"})
        self.io("write -P 2 100k 100k")
        self.qmp.execute("block-dirty-bitmap-remove", {"node": "f1", "name": "gone"})
        before = self.bitmap("kept")
        self.assertEqual((before["count"], before["persistent"]), (3 * 65536, True))
        sha256 = self.qmp.execute("x-debug-block-dirty-bitmap-sha256", {"node": "f1", "name": "kept"})
        self.finish(self.vm)
        self.vm = self.launch(self.drive_args())
        self.q, self.qmp = self.vm.qtest, self.vm.qmp
        self.assertEqual([b["name"] for b in self.drive()["inserted"]["dirty-bitmaps"]], ["kept"])
        self.assertEqual(self.bitmap("kept"), before)
        image = self.drive()["inserted"]["image"]["format-specific"]["data"]
        self.assertEqual([(b["name"], b["granularity"]) for b in image["bitmaps"]], [("kept", 65536)])
        self.assertEqual(self.qmp.execute("x-debug-block-dirty-bitmap-sha256", {"node": "f1", "name": "kept"}), sha256)

    def test_internal_snapshots(self):  # C.2
        self.io("write -P 1 0 64k")
        self.qmp.execute("blockdev-snapshot-internal-sync", {"device": "f1", "name": "one"})
        self.io("write -P 2 0 64k")
        self.assert_error("Snapshot with name 'one' already exists on device 'f1'", "blockdev-snapshot-internal-sync",
                          device="f1", name="one")
        self.assert_error("Name is empty", "blockdev-snapshot-internal-sync", device="f1", name="")
        self.assert_error("Block format 'file' used by device 's1' does not support internal snapshots",
                          "blockdev-snapshot-internal-sync", device="s1", name="x")
        snapshots = self.drive()["inserted"]["image"]["snapshots"]
        self.assertEqual([(s["id"], s["name"], s["vm-state-size"]) for s in snapshots], [("1", "one", 0)])
        self.assert_error("Name or id must be provided", "blockdev-snapshot-delete-internal-sync", device="f1")
        self.assert_error("Snapshot with id '2' and name 'one' does not exist on device 'f1'",
                          "blockdev-snapshot-delete-internal-sync", device="f1", id="2", name="one")
        gone = self.qmp.execute("blockdev-snapshot-delete-internal-sync", {"device": "f1", "name": "one"})
        self.assertEqual(gone, snapshots[0])
        self.assertNotIn("snapshots", self.drive()["inserted"]["image"])
        self.assert_content((2, 0, "64k"))

    def test_internal_snapshots_in_a_transaction(self):  # C.2, S2.6's ground
        self.make(2)
        taken = [{"type": "blockdev-snapshot-internal-sync", "data": {"device": d, "name": "t"}} for d in ("f1", "f2")]
        self.assert_error("Transaction aborted using Abort action", "transaction",
                          actions=taken + [{"type": "abort", "data": {}}])
        self.assertNotIn("snapshots", self.drive()["inserted"]["image"])
        self.qmp.execute("transaction", {"actions": taken})
        self.assertEqual(self.drive()["inserted"]["image"]["snapshots"][0]["name"], "t")

    def test_pulls_in_one_chain(self):
        """A job that makes an image writable leaves those below the filter of another job as they are."""
        for number in (2, 3, 4):
            self.snapshot(number - 1, number)
        self.start("block-stream", "j", device="f2", bottom="f1", auto_finalize=False)
        self.start("block-stream", "k", device="f4", bottom="f3", auto_finalize=False)
        for job in "jk":
            self.states(job, "pending")
            self.qmp.execute("job-finalize", {"id": job})
            self.conclude(job)
        self.assertEqual(self.drive()["inserted"]["backing_file_depth"], 1)

    def test_nodes_in_use_stay(self):
        self.make(2, 1)
        self.qmp.execute("blockdev-snapshot", {"node": "f1", "overlay": "f2"})
        self.assert_error("Node 'f1' is busy: node is used as backing hd of 'f2'", "blockdev-del", node_name="f1")
        self.qmp.execute("block-stream", {"device": "f2", "job-id": "j", "auto-finalize": False})
        self.qmp.wait_event("BLOCK_JOB_PENDING")
        self.assert_error("Node 'f2' is busy: block device is in use by block job: stream", "blockdev-del",
                          node_name="f2")
        self.qmp.execute("job-finalize", {"id": "j"})  # has ended when it answers
        self.assertEqual(self.qmp.execute("query-jobs"), [])
        self.qmp.execute("blockdev-del", {"node-name": "f1"})

    def test_human_monitor(self):
        self.assertEqual(self.qmp.hmp("info block-jobs"), "No active jobs\r\n")
        self.io("write -P 1 0 8M")
        self.make(2)
        self.qmp.execute("blockdev-mirror", {"job-id": "j", "device": "f1", "target": "f2", "sync": "full",
                                             "speed": 65536})
        self.states("j", "running")
        self.assertRegex(self.qmp.hmp("info block-jobs"),
                         r"^Type mirror, device j: Completed \d+ of \d+ bytes, speed limit 65536 bytes/s\r\n$")
        self.assertEqual(self.qmp.hmp("block_job_complete j"), "Error: Job 'j' in state 'running' cannot accept command "
                         "verb 'complete'\r\n")
        self.assertEqual(self.qmp.hmp("block_job_pause j"), "")
        self.states("j", "paused")
        self.assertEqual(self.qmp.hmp("block_job_set_speed j 0"), "")
        self.assertEqual(self.qmp.hmp("block_job_resume j"), "")
        self.qmp.wait_event("BLOCK_JOB_READY")
        self.assertEqual(self.qmp.hmp("block_job_cancel -f j"), "")
        self.qmp.wait_event("BLOCK_JOB_CANCELLED")
        self.assertEqual(self.qmp.hmp("block_job_cancel j"), "Error: Block job 'j' not found\r\n")
        self.assertEqual(self.qmp.hmp("snapshot_blkdev_internal f1 one"), "")
        self.assertEqual(self.drive()["inserted"]["image"]["snapshots"][0]["name"], "one")
        self.assertEqual(self.qmp.hmp("snapshot_delete_blkdev_internal f1 one"), "")
        self.assertEqual(self.qmp.hmp("snapshot_blkdev f1"), "Error: Parameter 'snapshot-file' is missing\r\n")

    def test_machine_ends_with_jobs_at_work(self):
        self.io("write -P 1 0 8M")
        self.make(2)
        self.start("blockdev-mirror", device="f1", target="f2", sync="full", speed=65536)


if __name__ == "__main__":
    runner.main()
