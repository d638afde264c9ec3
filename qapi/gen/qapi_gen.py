#!/usr/bin/env python3
"""Generates C++ and documentation from schema files: qapi_gen.py OUTDIR INCLUDEDIR SCHEMA.json...

INCLUDEDIR is what generated files write before each other's names in #include lines. The files are read in order; the name of each without suffix is its domain. A file in OUTDIR is only written
where its content changes, so that nothing is compiled needlessly.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

import cxx_commands
import cxx_types
import introspect
import manual
from parser import SchemaError, parse_file
from schema import Schema


def outputs(schema):
    ordered = schema.ordered()
    for domain in schema.domains:
        types = [t for t in ordered if t.domain == domain]
        commands = [c for c in schema.commands if c.domain == domain]
        events = [e for e in schema.events if e.domain == domain]
        yield f"qapi_types_{domain}.h", cxx_types.header(domain, types)
        yield f"qapi_types_{domain}.cc", cxx_types.source(domain, types)
        yield f"qapi_commands_{domain}.h", cxx_commands.commands_header(domain, commands)
        yield f"qapi_events_{domain}.h", cxx_commands.events_header(domain, events)
    yield "qapi_events.cc", cxx_commands.events_source(schema.domains, schema.events)
    yield "qapi_command_table.cc", cxx_commands.table(schema.domains, schema.commands)
    yield "qapi_introspect.cc", introspect.source(schema)
    yield "qmp-reference.md", manual.source(schema)


def write_if_changed(path, text):
    try:
        with open(path, encoding="utf-8") as f:
            if f.read() == text:
                return
    except FileNotFoundError:
        pass
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def main(outdir, include_dir, paths):
    cxx_types.include_dir = include_dir
    schema = Schema()
    try:
        for path in paths:
            domain = os.path.splitext(os.path.basename(path))[0]
            schema.add_domain(domain, parse_file(path, os.path.basename(path)))
        schema.resolve()
    except SchemaError as e:
        sys.exit(f"qapi: {e}")
    for name, text in outputs(schema):
        write_if_changed(os.path.join(outdir, name), text)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
