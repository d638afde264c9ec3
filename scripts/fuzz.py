#!/usr/bin/env python3
"""Builds the libFuzzer targets (executables named fuzz_*) and runs each for a while over its kept corpus.

Prints PASS/FAIL lines; new inputs go to BUILD/corpus/TARGET, a crashing input is left in BUILD/crashes/.
"""
import argparse
import concurrent.futures
import json
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests"))
from pyutil.tiers import run_bounded  # noqa: E402


def targets(build):
    text = subprocess.run(["meson", "introspect", build, "--targets"], check=True, capture_output=True).stdout
    return {t["name"]: t["filename"][0] for t in json.loads(text)
            if t["type"] == "executable" and t["name"].startswith("fuzz_")}


def run_one(name, program, build, seconds, seed):
    grown = os.path.join(build, "corpus", name)
    crashes = os.path.join(build, "crashes", "")
    os.makedirs(grown, exist_ok=True)
    os.makedirs(crashes, exist_ok=True)
    kept = os.path.join(ROOT, "tests/fuzz/corpus", name.removeprefix("fuzz_"))
    command = [program, f"-max_total_time={seconds}", f"-artifact_prefix={crashes}", "-timeout=10",
               "-rss_limit_mb=2048", "-print_final_stats=1", f"-seed={seed}", grown] + ([kept] if os.path.isdir(kept) else [])
    status, output = run_bounded(command, seconds + 60)
    runs = next((l.split()[-1] for l in output if "number_of_executed_units" in l), "?")
    if status == 0:
        print(f"PASS fuzz.{name}\n# {name}: {runs} inputs in {seconds} s", flush=True)
        return True
    print("\n".join(output[-40:]) + f"\nFAIL fuzz.{name}: {'hung' if status is None else f'exit status {status}'}; see {crashes}", flush=True)
    return False


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", required=True)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0, help="of the mutations; the same one, the same inputs (default: any)")
    parser.add_argument("targets", nargs="*")
    args = parser.parse_args()
    known = targets(args.build)
    chosen = args.targets or sorted(known)
    unknown = [t for t in chosen if t not in known]
    if unknown or not chosen:
        sys.exit(f"fuzz: no target '{unknown[0]}'; there are: {' '.join(sorted(known))}" if unknown
                 else "fuzz: the build has no fuzz_* target")
    relative = [os.path.relpath(known[t], os.path.abspath(args.build)) for t in chosen]
    subprocess.run(["ninja", "-C", args.build] + relative, check=True)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:  # one a processor
        results = list(pool.map(lambda t: run_one(t, known[t], args.build, args.seconds, args.seed), chosen))
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
