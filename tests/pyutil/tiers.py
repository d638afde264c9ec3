"""Runs test programs with bounded time in their own process groups and adds their results up.

The programs of a tier run side by side, one a processor; what one prints stays together.
"""
import concurrent.futures
import glob
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

_LINE = re.compile(r"(PASS|FAIL|SKIP) ([^:\s][^:]*)(?:: (.*))?$")
_running = set()  # processes that run_bounded() waits for


class Totals:
    """Counts and prints results. Passing tests are shown one by one only when verbose."""

    def __init__(self, verbose):
        self.verbose = verbose
        self.counts = {"PASS": 0, "FAIL": 0, "SKIP": 0}
        self.failures, self.skips = [], []
        self.tier, self._before, self._start = "", {}, 0.0
        self.lock = threading.Lock()  # held while the lines of one program are added

    def begin(self, tier):
        self.tier, self._before, self._start = tier, dict(self.counts), time.monotonic()
        print(f"=== {tier}", flush=True)

    def end(self):
        made = {k: self.counts[k] - self._before[k] for k in self.counts}
        print(f"=== {self.tier}: {made['PASS']} passed, {made['FAIL']} failed, {made['SKIP']} skipped, "
              f"{time.monotonic() - self._start:.0f} s", flush=True)

    def add(self, word, name, reason=""):
        self.counts[word] += 1
        if word == "FAIL":
            self.failures.append(f"{name}: {reason}")
        if word == "SKIP":
            self.skips.append(f"{name}: {reason}")
        if self.verbose or word != "PASS":
            print(f"{word} {name}{': ' + reason if reason else ''}", flush=True)

    def ok(self, name): self.add("PASS", name)
    def fail(self, name, reason): self.add("FAIL", name, reason)
    def skip(self, name, reason): self.add("SKIP", name, reason)

    def close(self):
        """Prints the closing line and returns the exit status."""
        if self.failures:
            print("failed:\n  " + "\n  ".join(self.failures))
        c = self.counts
        print(f"{c['PASS']} passed, {c['FAIL']} failed, {c['SKIP']} skipped", flush=True)
        return 0 if c["FAIL"] == 0 and c["PASS"] > 0 else 1


def run_bounded(command, limit, env=None, on_line=None):
    """Runs a command in a process group of its own for at most `limit` seconds; whatever is left is then killed.

    Returns (status, output); the status is None when time ran out. on_line gets each line as it comes.
    """
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               start_new_session=True, env=dict(os.environ, **(env or {})))
    _running.add(process)
    output = []

    def read():
        for raw in process.stdout:
            line = raw.decode("utf-8", "replace").rstrip("\n")
            output.append(line)
            if on_line:
                on_line(line)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        status = process.wait(limit)
    except subprocess.TimeoutExpired:
        status = None
        _signal_group(process, signal.SIGTERM)  # lets a nested runner end its own children
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            pass
    finally:
        _signal_group(process, signal.SIGKILL)
        process.wait()
        _running.discard(process)
    reader.join(10)
    return status, output


def _signal_group(process, number):
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        pass


def _side_by_side(function, items):
    """function(item) of each, one a processor at a time. When this is interrupted, so is what runs."""
    executor = concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1)
    futures = [executor.submit(function, item) for item in items]
    try:
        for future in futures:
            future.result()
    finally:
        for future in futures:
            future.cancel()
        for process in list(_running):
            _signal_group(process, signal.SIGTERM)
        executor.shutdown()


def _ending(status, limit):
    if status is None:
        return f"not done within {limit:g} s"
    return f"ended by signal {-status}" if status < 0 else f"exit status {status}"


def _tail(output, count=15):
    for line in output[-count:]:
        print("    | " + line, flush=True)


def run_command(totals, name, command, limit, env=None, lines=True, prefix=""):
    """A command that prints result lines (they count), or, with lines=False, is itself one test."""
    seen = {"PASS": 0, "FAIL": 0, "SKIP": 0}

    def on_line(line):
        match = _LINE.match(line) if lines else None
        if match:
            seen[match[1]] += 1
            totals.add(match[1], prefix + match[2], match[3] or "")
        elif totals.verbose:
            print("    " + line, flush=True)

    status, output = run_bounded(command, limit, env, on_line)
    if status != 0 and not seen["FAIL"]:
        _tail(output, 40)
        totals.fail(name, _ending(status, limit))
    elif not lines:
        totals.ok(name)
    elif not any(seen.values()):
        _tail(output)
        totals.fail(name, "printed no result line")


def run_scripts(totals, folder, env, filters, limit):
    """Every *_test.py of a folder, each a process of its own."""
    scripts = sorted(glob.glob(os.path.join(folder, "*_test.py")))
    if not scripts:
        print(f"# {folder}: no *_test.py there", flush=True)
        return
    chosen = [s for s in scripts if not filters or any(f in s for f in filters)]
    _side_by_side(lambda script: _run_script(totals, script, env, limit), chosen)


def _run_script(totals, script, env, limit):
    name = os.path.splitext(os.path.basename(script))[0].removesuffix("_test")
    start = time.monotonic()
    status, output = run_bounded([sys.executable, script], limit, env)
    results = [m for m in map(_LINE.match, output) if m]
    with totals.lock:
        for match in results:
            totals.add(match[1], match[2], match[3] or "")
        failed = any(m[1] == "FAIL" for m in results)
        if status != 0 and not failed:
            totals.fail(name, _ending(status, limit))
        elif not results:
            totals.fail(name, "printed no result line")
        if failed or status != 0:
            _tail([line for line in output if not _LINE.match(line)])
        print(f"# {script}: {len(results)} results, {time.monotonic() - start:.1f} s", flush=True)


def _meson_tests(build):
    text = subprocess.run(["meson", "introspect", build, "--tests"], check=True, capture_output=True, timeout=60).stdout
    return json.loads(text)


def run_gtests(totals, build, filters, limit):
    """What meson knows as tests of that build: GoogleTest binaries case by case, anything else as one test."""
    if not os.path.exists(os.path.join(build, "build.ninja")):
        totals.fail("unit", f"'{build}' is not a build directory; run ./dev build")
        return
    tests = _meson_tests(build)
    if not tests:
        totals.skip("unit", "the build has no tests")
    chosen = [t for t in tests if not filters or any(f in t["name"] for f in filters)]
    _side_by_side(lambda test: _run_meson_test(totals, test, limit), chosen)


def _run_meson_test(totals, test, limit):
    start = time.monotonic()
    env = dict(test["env"]) if isinstance(test["env"], dict) else {}
    gtest = "/tests/unit/" in test["cmd"][0]
    with tempfile.TemporaryDirectory(prefix="rhea-gtest-") as folder:
        report = os.path.join(folder, "report.json")
        status, output = run_bounded(test["cmd"] + ([f"--gtest_output=json:{report}"] if gtest else []), limit, env)
        cases = _read_report(report, _skip_reasons(output)) if gtest else []
    if not gtest and status == 0:
        cases = [("", "PASS", "")]
    with totals.lock:
        for name, word, reason in cases:
            totals.add(word, f"{test['name']}:{name}".replace(":", ".") if name else test["name"], reason)
        failed = any(word == "FAIL" for _, word, _ in cases)
        if status != 0 and not failed:
            totals.fail(test["name"], _ending(status, limit))
        elif not cases:
            totals.fail(test["name"], "no case ran")
        if failed or status != 0 or not cases:
            _tail([line for line in output if "[       OK" not in line and "[ RUN " not in line], 40)
        print(f"# {test['name']}: {len(cases)} cases, {time.monotonic() - start:.1f} s", flush=True)


def _skip_reasons(output):
    """{case: why it was skipped}: GoogleTest prints the reason, but its report leaves it out."""
    reasons, text = {}, []
    for line in output:
        if line.startswith("[  SKIPPED ] ") and text:
            reasons[line.split()[3]] = " ".join(text)
        if line.startswith("["):
            text = []
        elif not line.endswith(": Skipped"):
            text.append(line)
    return reasons


def _read_report(path, reasons):
    """(name, PASS|FAIL|SKIP, reason) of each case GoogleTest wrote down."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            report = json.load(file)
    except (OSError, ValueError):
        return []
    cases = []
    for suite in report.get("testsuites", []):
        for case in suite.get("testsuite", []):
            name = f"{suite['name']}.{case['name']}"
            if case.get("failures"):
                cases.append((name, "FAIL", " ".join(case["failures"][0]["failure"].split())[:300]))
            elif case.get("result") == "SKIPPED":
                cases.append((name, "SKIP", reasons.get(name, "the test says so")[:300]))
            elif case.get("status") == "RUN":
                cases.append((name, "PASS", ""))
    return cases
