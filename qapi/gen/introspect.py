"""The replies of query-qmp-schema and query-commands, as C++ string literals."""
import json

from cxx_types import BANNER


class Introspection:
    """Lists what commands and events can reach, types under made-up names (numbers)."""

    def __init__(self, schema):
        self.schema, self.out, self.numbers, self.queue, self.seen = schema, [], {}, [], set()
        for c in schema.commands:
            self.command(c)
        for e in schema.events:
            self.emit(e.name, "event", e, {"arg-type": self.object_name(e.args)})
        while self.queue:
            self.type(self.queue.pop(0))

    def emit(self, name, meta, entity, rest):
        entry = {"name": name, **rest, "meta-type": meta}
        if entity is not None and entity.features:
            entry["features"] = entity.features
        self.out.append(entry)

    def command(self, c):
        rest = {"ret-type": self.member_name(c.ret) if c.ret else self.object_name(None),
                "arg-type": self.object_name(c.args)}
        if c.allow_oob:
            rest["allow-oob"] = True
        self.emit(c.name, "command", c, rest)

    def object_name(self, t):
        return self.name(t) if t else self.name("empty")

    def name(self, t):
        if t != "empty" and t.kind == "builtin":
            name = "int" if t.json == "int" else t.name
        else:
            name = self.numbers.setdefault(t, str(len(self.numbers)))
        if name not in self.seen:
            self.seen.add(name)
            self.queue.append(t)
        return name

    def member_name(self, m):
        element = self.name(m.type)
        if not m.list:
            return element
        name = f"[{element}]"
        if name not in self.seen:
            self.seen.add(name)
            self.emit(name, "array", None, {"element-type": element})
        return name

    def member(self, m):
        entry = {"name": m.name}
        if m.optional:
            entry["default"] = None
        entry["type"] = self.member_name(m)
        if m.features:
            entry["features"] = m.features
        return entry

    def type(self, t):
        if t == "empty":
            self.emit(self.numbers["empty"], "object", None, {"members": []})
        elif t.kind == "builtin":
            name = self.name(t)
            self.emit(name, "builtin", None, {"json-type": t.json})
        elif t.kind == "enum":
            self.emit(self.numbers[t], "enum", t, {"members": t.values, "values": t.names})
        elif t.kind == "alternate":
            self.emit(self.numbers[t], "alternate", t,
                      {"members": [{"type": self.member_name(m)} for m in t.alternatives]})
        else:
            rest = {}
            if t.tag:
                rest["tag"] = t.tag
                rest["variants"] = [{"case": v, "type": self.object_name(b)} for v, b in t.branches.items()]
            rest["members"] = [self.member(m) for m in t.members]
            self.emit(self.numbers[t], "object", t, rest)


def literal(text):
    """C++ string literals of at most 100 characters a line."""
    lines = []
    for i in range(0, len(text), 90):
        piece = text[i:i + 90].replace("\\", "\\\\").replace('"', '\\"')
        lines.append(f'    "{piece}"\n')
    return "".join(lines)


def source(schema):
    replies = (("qapi_schema_text", Introspection(schema).out),
               ("qapi_commands_text", [{"name": c.name} for c in schema.commands]))
    out = [BANNER.format("*"), '#include "qapi/introspect.h"\n\nnamespace rhea {\n']
    for function, value in replies:
        text = json.dumps(value)
        out.append(f"\nstd::string_view {function}() {{\n  static constexpr char kText[] =\n{literal(text)[:-1]};\n"
                   "  return {kText, sizeof kText - 1};\n}\n")
    out.append("\n}  // namespace rhea\n")
    return "".join(out)
