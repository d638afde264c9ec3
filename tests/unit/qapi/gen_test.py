#!/usr/bin/env python3
"""What the schema generator refuses, with which words; and that it leaves unchanged files alone."""
import os
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
GENERATOR = os.path.join(ROOT, "qapi", "gen", "qapi_gen.py")


def run(text, folder):
    path = os.path.join(folder, "t.json")
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    return subprocess.run([sys.executable, GENERATOR, folder, "x", path], capture_output=True, text=True, timeout=60)


def doc(name, *members):
    return "##\n# @%s: x\n%s##\n" % (name, "".join(f"# @{m}: y\n" for m in members))


ENUM = doc("E", "a", "b") + "{ 'enum': 'E', 'data': ['a', 'b'] }\n"
REFUSED = {
    "{ 'struct': 'S', 'data': {} }": "'S' lacks its documentation",
    doc("S") + "{ 'struct': 'S', 'data': { 'a': 'int' } }": "does not document ['a']",
    doc("S", "a", "b") + "{ 'struct': 'S', 'data': { 'a': 'int' } }": "documents unknown ['b']",
    doc("S", "a") + "{ 'struct': 'S', 'data': { 'a': 'T' } }": "unknown type 'T'",
    doc("S", "a") + "{ 'struct': 'S', 'data': { 'a': 'S' } }": None,  # boxed
    doc("S", "a-b", "a_b") + "{ 'struct': 'S', 'data': { 'a-b': 'int', 'a_b': 'int' } }": "collide",
    doc("S") + "{ 'struct': 'S', 'data': {} }\n" + doc("S") + "{ 'struct': 'S', 'data': {} }": "defined twice",
    doc("E") + "{ 'enum': 'E', 'data': [] }": "has no values",
    doc("c") + "{ 'command': 'c', 'colour': true }": "unknown keys ['colour']",
    doc("c") + "{ 'command': 'c', 'data': 'E' }\n" + ENUM: "is not a struct or union",
    doc("A", "x", "y") + "{ 'alternate': 'A', 'data': { 'x': 'str', 'y': 'E' } }\n" + ENUM: "cannot tell its branches",
    ENUM + doc("U", "t") + "{ 'union': 'U', 'base': { '*t': 'E' }, 'discriminator': 't', 'data': {} }":
        "is no mandatory enum member",
    ENUM + doc("U", "t") + "{ 'union': 'U', 'base': { 't': 'E' }, 'discriminator': 't', 'data': { 'c': 'U' } }":
        "no tag value for branches",
    "{ 'struct' 'S' }": "expected ':'",
    doc("S"): "documentation of nothing",
}


class Generator(unittest.TestCase):
    def test_refusals(self):
        for text, message in REFUSED.items():
            with self.subTest(text=text), tempfile.TemporaryDirectory() as folder:
                result = run(text, folder)
                if message is None:
                    self.assertEqual(result.returncode, 0, result.stderr)
                else:
                    self.assertEqual(result.returncode, 1)
                    self.assertIn(message, result.stderr)
                    self.assertNotIn("Traceback", result.stderr)

    def test_unchanged_files_stay(self):
        with tempfile.TemporaryDirectory() as folder:
            run(ENUM, folder)
            name = os.path.join(folder, "qapi_types_t.h")
            os.utime(name, (1, 1))
            self.assertEqual(run(ENUM, folder).returncode, 0)
            self.assertEqual(os.stat(name).st_mtime, 1)


unittest.main()
