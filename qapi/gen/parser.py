"""Reads schema files: expressions in a JSON dialect, documentation in `##` blocks.

An expression is a JSON object; strings may stand in single or double quotes, `#` starts a comment. A block
of comment lines between two `##` lines documents the expression that follows it.
"""
import re


class SchemaError(Exception):
    pass


TOKEN = re.compile(r"""\s*(?:(?P<punct>[{}\[\]:,])|'(?P<single>[^'\\\n]*)'|"(?P<double>[^"\\\n]*)"
                       |(?P<word>true|false)\b|(?P<comment>\#[^\n]*))""", re.VERBOSE)


class Doc:
    """One documentation block: what it names, its prose, and its members."""

    def __init__(self, lines, where):
        self.name, self.text, self.members, self.sections = None, [], {}, []
        target = self.text
        for line in lines:
            line = line[2:] if line.startswith("# ") else line[1:]
            if m := re.match(r"@([\w.*-]+):\s*(.*)$", line):
                if self.name is None:
                    self.name = m[1]
                    if m[2]:
                        self.text.append(m[2])
                    continue
                if m[1] in self.members:
                    raise SchemaError(f"{where}: '{m[1]}' documented twice")
                target = self.members[m[1]] = [m[2]]
            elif m := re.match(r"(Returns|Errors|Since|Example|Notes?|Features):\s*(.*)$", line):
                target = [m[2]] if m[2] else []
                self.sections.append((m[1], target))
            elif not line.strip() and target is not self.text:
                target = self.text
            else:
                target.append(line.strip())
        if self.name is None:
            raise SchemaError(f"{where}: documentation does not start with '@name:'")


class Parser:
    def __init__(self, path, text):
        self.path, self.text, self.pos = path, text, 0
        self.items = []  # (expression, Doc or None, "file:line")

    def where(self):
        return f"{self.path}:{self.text.count(chr(10), 0, self.pos) + 1}"

    def token(self):
        while True:
            m = TOKEN.match(self.text, self.pos)
            if not m:
                if self.text[self.pos:].strip():
                    raise SchemaError(f"{self.where()}: cannot read this")
                return None, None
            self.pos = m.end()
            if m.lastgroup != "comment":
                return m.lastgroup, m[m.lastgroup]

    def value(self):
        kind, text = self.token()
        if kind in ("single", "double"):
            return text
        if kind == "word":
            return text == "true"
        if text == "{":
            return self.object()
        if text == "[":
            return self.array()
        raise SchemaError(f"{self.where()}: expected a value, found {text!r}")

    def object(self):
        out = {}
        save = self.pos
        if self.token()[1] == "}":
            return out
        self.pos = save
        while True:
            kind, key = self.token()
            if kind not in ("single", "double"):
                raise SchemaError(f"{self.where()}: expected a key, found {key!r}")
            if key in out:
                raise SchemaError(f"{self.where()}: duplicate key '{key}'")
            if self.token()[1] != ":":
                raise SchemaError(f"{self.where()}: expected ':' after '{key}'")
            out[key] = self.value()
            _, punct = self.token()
            if punct == "}":
                return out
            if punct != ",":
                raise SchemaError(f"{self.where()}: expected ',' or '}}', found {punct!r}")

    def array(self):
        out = []
        save = self.pos
        if self.token()[1] == "]":
            return out
        self.pos = save
        while True:
            out.append(self.value())
            _, punct = self.token()
            if punct == "]":
                return out
            if punct != ",":
                raise SchemaError(f"{self.where()}: expected ',' or ']', found {punct!r}")

    def parse(self):
        doc = None
        while True:
            m = re.compile(r"\s*").match(self.text, self.pos)
            self.pos = m.end()
            if self.pos == len(self.text):
                if doc:
                    raise SchemaError(f"{self.where()}: documentation of nothing: {doc.name}")
                return self.items
            if m := re.compile(r"##\n((?:#(?!#)[^\n]*\n)*)##\n").match(self.text, self.pos):
                where = self.where()
                self.pos = m.end()
                doc = Doc(m[1].splitlines(), where)
            elif m := re.compile(r"#[^\n]*\n").match(self.text, self.pos):
                self.pos = m.end()
            else:
                where = self.where()
                expr = self.value()
                if not isinstance(expr, dict):
                    raise SchemaError(f"{where}: an expression is an object")
                self.items.append((expr, doc, where))
                doc = None


def parse_file(path, shown):
    with open(path, encoding="utf-8") as f:
        return Parser(shown, f.read()).parse()
