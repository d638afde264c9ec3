#!/usr/bin/env python3
"""./dev lint: formatting, layers, script syntax, headers that stand alone, clang-tidy. One PASS/FAIL/SKIP line each."""
import argparse
import concurrent.futures
import hashlib
import json
import os
import py_compile
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# Which build says how files are compiled: the debug one, or that of AddressSanitizer where only it is there.
BUILD = next((d for d in ("build-dbg", "build-asan") if os.path.exists(os.path.join(ROOT, d, "build.ninja"))), "build-dbg")
# Seconds of clang-tidy and, if set, of the header check: the files changed last are looked at first; --all has no limit.
TIDY_SECONDS = int(os.environ.get("RHEA_LINT_SECONDS", "150"))
HEADER_SECONDS = float(os.environ.get("RHEA_LINT_SECONDS", "inf"))
FAILED = []


def result(name, problems, note=""):
    for problem in problems:
        print(problem)
    if problems:
        FAILED.append(name)
        print(f"FAIL lint.{name}: {len(problems)} problem(s)", flush=True)
    else:
        print(f"PASS lint.{name}", flush=True)
    if note:
        print(f"# {name}: {note}", flush=True)


def run(command, limit=300, cwd=None):
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=limit, cwd=cwd)
        return done.returncode, done.stdout + done.stderr
    except subprocess.TimeoutExpired:
        return 1, f"{command[0]}: not done within {limit} s\n"


def tracked(*endings):
    """Files git knows or would add, not those it ignores."""
    _, text = run(["git", "ls-files", "-co", "--exclude-standard"])
    return sorted(f for f in text.splitlines() if f.endswith(endings) and os.path.exists(f))


def pool(function, items):
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 2) as executor:
        return list(executor.map(function, items))


def check_format(files):
    if not shutil.which("clang-format"):
        print("SKIP lint.format: clang-format is not installed")
        return
    groups = [files[i:i + 20] for i in range(0, len(files), 20)]
    texts = pool(lambda group: run(["clang-format", "--dry-run", "-Werror"] + group)[1], groups)
    result("format", [l for t in texts for l in t.splitlines() if "error:" in l], f"{len(files)} files")


def check_layers():
    status, text = run([sys.executable, "tests/lint/check_layers.py", ROOT])
    result("layers", text.splitlines() if status else [])


def first_line(path):
    with open(path, "rb") as file:
        return file.readline(200)


def check_scripts():
    problems = []
    plain = [f for f in tracked("") if "." not in os.path.basename(f)]
    shell = tracked(".sh") + [f for f in plain if b"bash" in first_line(f) or first_line(f).startswith(b"#!/bin/sh")]
    scripts = tracked(".py") + [f for f in plain if first_line(f).startswith(b"#!") and b"python" in first_line(f)]
    for path in shell:
        status, text = run(["bash", "-n", path])
        problems += text.splitlines() if status else []
    with tempfile.TemporaryDirectory() as folder:
        for path in scripts:
            try:
                py_compile.compile(path, os.path.join(folder, "x.pyc"), doraise=True)
            except py_compile.PyCompileError as error:
                problems.append(str(error).strip())
    result("scripts", problems, f"{len(shell)} shell, {len(scripts)} python")


def compile_commands():
    """{file: argument list} of our own C++ files, without the gcc-only and precompiled-header options."""
    path = os.path.join(BUILD, "compile_commands.json")
    if not os.path.exists(path):
        return {}
    with open(path, encoding="utf-8") as file:
        entries = json.load(file)
    commands = {}
    for entry in entries:
        flags = plain_flags(shlex.split(entry["command"]))
        for path in parts_of(os.path.join(entry["directory"], entry["file"])):
            source = os.path.relpath(path, ROOT)
            if source.endswith(".cc"):
                commands[source] = flags
    return commands


def parts_of(path):
    """The files a unity file stands for, or the file itself."""
    if "-unity" not in os.path.basename(path) or not os.path.exists(path):
        return [path]
    with open(path, encoding="utf-8") as file:
        return [os.path.join(os.path.dirname(path), name) for name in re.findall(r'^#include\s*[<"]([^>"]+)[>"]', file.read(), re.M)]


def plain_flags(words):
    """-I, -D, -isystem and -include of a compiler command, except the precompiled header."""
    flags, i = [], 1
    while i < len(words):
        word = words[i]
        takes_value = word in ("-I", "-D", "-isystem", "-include", "-iquote")
        value = words[i + 1] if takes_value and i + 1 < len(words) else ""
        if takes_value:
            if not (word == "-include" and "pch" in value):
                flags += [word, value]
            i += 1
        elif word.startswith(("-I", "-D", "-isystem", "-U")):
            flags.append(word)
        i += 1
    return flags


def check_headers(headers, commands, everything):
    """Each header compiles as the only include of a file."""
    if not commands:
        print(f"SKIP lint.headers: no {BUILD}/compile_commands.json; run ./dev build first")
        return
    by_folder = {}
    for source, flags in commands.items():
        by_folder.setdefault(source.split("/")[0], flags)
    every = sorted({f for flags in commands.values() for f in flags if f.startswith("-I")})
    folder = os.path.join(ROOT, BUILD, "header-check")
    os.makedirs(folder, exist_ok=True)
    end = time.monotonic() + (float("inf") if everything else HEADER_SECONDS)

    def one(header):
        if time.monotonic() > end:
            return None
        base = os.path.join(folder, header.replace("/", "_"))
        with open(base + ".cc", "w", encoding="utf-8") as file:
            file.write(f'#include "{header}"\n#include "{header}"\n')
        flags = by_folder.get(header.split("/")[0], []) + every
        status, text = run(["g++", *flags, "-std=c++23", "-Wall", "-Wextra", "-Wno-missing-field-initializers", "-I" + ROOT,
                            "-fsyntax-only", base + ".cc"], cwd=BUILD)
        first = next((l for l in text.splitlines() if "error" in l), text.strip()[:300])
        return [f"{header} does not compile on its own: {first}"] if status else []

    looked = [found for found in pool(one, newest_first(headers)) if found is not None]
    result("headers", [p for found in looked for p in found], share(len(looked), len(headers), "headers"))


def share(looked, of, what):
    return f"{of} {what}" if looked == of else f"{looked} of {of} {what} within the time"


def newest_first(files):
    """Uncommitted files, then by the time of their last commit."""
    _, dirty = run(["git", "status", "--porcelain"])
    changed = {line[3:] for line in dirty.splitlines()}
    _, log = run(["git", "log", "--format=", "--name-only"])
    rank = {}
    for i, name in enumerate(log.split()):
        rank.setdefault(name, i)
    return sorted(files, key=lambda f: (f not in changed, rank.get(f, -1)))


def tidy_key(path, flags, headers_hash):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read() + repr(flags).encode() + headers_hash).hexdigest()


def hash_of(files):
    digest = hashlib.sha256()
    for path in files:
        with open(path, "rb") as file:
            digest.update(file.read())
    return digest.digest()


def check_tidy(files, headers, commands, everything):
    """Files found clean are remembered until they, a header or the configuration change."""
    if not shutil.which("clang-tidy"):
        print("SKIP lint.tidy: clang-tidy is not installed")
        return
    if not commands:
        print(f"SKIP lint.tidy: no {BUILD}/compile_commands.json; run ./dev build first")
        return
    clean_path = os.path.join(ROOT, BUILD, ".tidy-clean")
    clean = set(open(clean_path).read().split()) if os.path.exists(clean_path) else set()
    headers_hash = hash_of(headers + [".clang-tidy"])
    unreadable = []  # clang 14 cannot parse all of libstdc++ 12 (some of <ranges>)
    todo = [f for f in newest_first(files) if f in commands]
    end = time.monotonic() + (1e9 if everything else TIDY_SECONDS)

    def one(path):
        key = tidy_key(path, commands[path], headers_hash)
        if key in clean:
            return path, [], key
        if time.monotonic() > end:
            return path, None, None
        command = ["clang-tidy", "--quiet", os.path.join(ROOT, path), "--", "-xc++", "-std=c++2b",
                   "-D__cpp_impl_coroutine=201902L", "-Wno-everything"] + commands[path]
        status, text = run(command, 240, cwd=BUILD)
        lines = [l for l in text.splitlines() if "error:" in l]
        unread = any("[clang-diagnostic-error]" in l for l in lines)  # g++ judges what compiles, not clang 14
        problems = [l for l in lines if "[clang-diagnostic-error]" not in l]
        if status and not lines:
            problems = [f"{path}: {text[-300:]}"]
        if unread:
            unreadable.append(path)
        return path, problems, None if problems else key

    results = pool(one, todo)
    with open(clean_path, "w", encoding="utf-8") as file:
        file.write("\n".join(sorted(key for _, _, key in results if key)))
    looked = [r for r in results if r[1] is not None]
    result("tidy", [p for _, problems, _ in looked for p in problems],
           share(len(looked), len(todo), "files"))
    if unreadable:
        print(f"# tidy: clang 14 cannot read all of {', '.join(sorted(unreadable))}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true", help="every header and every file, however long it takes")
    args = parser.parse_args()
    os.chdir(ROOT)
    sources, headers = tracked(".cc"), tracked(".h")
    commands = compile_commands()
    check_format(sources + headers)
    check_layers()
    check_scripts()
    check_headers([h for h in headers if not h.startswith("tests/")], commands, args.all)
    check_tidy(sources, headers, commands, args.all)
    sys.exit(1 if FAILED else 0)


if __name__ == "__main__":
    main()
