"""The schema as objects: types, commands and events, checked and cross-referenced."""
import re

from parser import SchemaError

BUILTINS = {  # schema name: (C++ type, JSON type as introspection names it, default initialiser needed)
    "str": ("std::string", "string"), "int": ("int64_t", "int"), "number": ("double", "number"),
    "int8": ("int8_t", "int"), "int16": ("int16_t", "int"), "int32": ("int32_t", "int"), "int64": ("int64_t", "int"),
    "uint8": ("uint8_t", "int"), "uint16": ("uint16_t", "int"), "uint32": ("uint32_t", "int"),
    "uint64": ("uint64_t", "int"), "size": ("uint64_t", "int"), "bool": ("bool", "boolean"),
    "any": ("Json", "value"), "null": ("std::nullptr_t", "null"),
}
CXX_KEYWORDS = set("""alignas and asm auto bool break case catch char class compl concept const constexpr continue
co_await decltype default delete do double else enum explicit export extern false float for friend goto if inline int
long mutable namespace new noexcept not nullptr operator or private protected public register requires return short
signed sizeof static struct switch template this throw true try typedef typeid typename union unsigned using virtual
void volatile while xor errno""".split())  # errno is a macro


def member_name(name):
    out = re.sub(r"\W", "_", name)
    return out + "_" if out in CXX_KEYWORDS or out[0].isdigit() else out


def camel(name):
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"[^A-Za-z0-9]+", name))


def enumerator(name):
    return "k" + camel(name)


class Member:
    def __init__(self, name, spec, where):
        self.optional = name.startswith("*")
        self.name = name[1:] if self.optional else name
        if not isinstance(spec, dict):
            spec = {"type": spec}
        if set(spec) - {"type", "features"}:
            raise SchemaError(f"{where}: member '{name}' has unknown keys")
        self.spec, self.features = spec["type"], spec.get("features", [])
        self.list, self.type, self.boxed = isinstance(self.spec, list), None, False
        self.cxx_name = member_name(self.name)

    def resolve(self, schema, where):
        self.type = schema.type(self.spec[0] if self.list else self.spec, where)


class Type:
    kind = ""

    def __init__(self, name, domain, doc, where):
        self.name, self.domain, self.doc, self.where = name, domain, doc, where
        self.features, self.cxx = [], name

    def resolve(self, schema):
        pass

    def direct(self):
        """Types that must be complete before this one: (type, setter that boxes this use, weight)."""
        return []


class Builtin(Type):
    kind = "builtin"

    def __init__(self, name):
        super().__init__(name, None, None, "builtin")
        self.cxx, self.json = BUILTINS[name]


class Enum(Type):
    kind = "enum"

    def __init__(self, name, data, domain, doc, where):
        super().__init__(name, domain, doc, where)
        self.values = [v if isinstance(v, dict) else {"name": v} for v in data]
        self.names = [v["name"] for v in self.values]
        if not self.names:
            raise SchemaError(f"{where}: enum '{name}' has no values")
        if len({enumerator(n) for n in self.names}) != len(self.names):
            raise SchemaError(f"{where}: values of enum '{name}' collide")


class Object(Type):
    """A struct or a union; `tag` is the name of the union's tag member."""
    kind = "object"

    def __init__(self, name, domain, doc, where, data, base=None, tag=None, branches=None):
        super().__init__(name, domain, doc, where)
        self.own = [Member(n, s, where) for n, s in data.items()]
        self.base, self.tag, self.branch_specs = base, tag, branches
        self.members, self.branches, self.resolved = None, None, False

    def resolve(self, schema):
        if self.resolved:
            return
        self.resolved = True
        inherited = []
        if isinstance(self.base, str):
            base = schema.type(self.base, self.where)
            if base.kind != "object" or base.tag:
                raise SchemaError(f"{self.where}: base '{self.base}' is not a struct")
            base.resolve(schema)
            for m in base.members:
                spec = {"type": m.spec, "features": m.features}
                inherited.append(Member(("*" if m.optional else "") + m.name, spec, self.where))
        elif self.base:
            inherited = [Member(n, s, self.where) for n, s in self.base.items()]
        self.members = inherited + self.own
        for m in self.members:
            m.resolve(schema, self.where)
        names = [m.cxx_name for m in self.members]
        if len(set(names)) != len(names):
            raise SchemaError(f"{self.where}: members of '{self.name}' collide")
        if self.tag:
            self.resolve_union(schema)

    def resolve_union(self, schema):
        tags = [m for m in self.members if m.name == self.tag]
        if not tags or tags[0].optional or tags[0].type.kind != "enum":
            raise SchemaError(f"{self.where}: '{self.tag}' is no mandatory enum member of '{self.name}'")
        self.tag_member = tags[0]
        if unknown := set(self.branch_specs) - set(self.tag_member.type.names):
            raise SchemaError(f"{self.where}: no tag value for branches {sorted(unknown)} of '{self.name}'")
        self.branches = {}  # tag value: type or None
        for value in self.tag_member.type.names:
            spec = self.branch_specs.get(value)
            spec = spec["type"] if isinstance(spec, dict) else spec
            branch = schema.type(spec, self.where) if spec else None
            if branch and branch.kind != "object":
                raise SchemaError(f"{self.where}: branch '{value}' of '{self.name}' is not a struct")
            if branch:
                branch.resolve(schema)
                if clash := {m.name for m in branch.members} & {m.name for m in self.members}:
                    raise SchemaError(f"{self.where}: branch '{value}' of '{self.name}' repeats {sorted(clash)}")
            self.branches[value] = branch

    def branch_types(self):
        out = []
        for t in self.branches.values():
            if t and t not in out:
                out.append(t)
        return out

    def direct(self):
        out = []
        for m in self.members:
            if not m.list and not m.boxed and m.type.kind in ("object", "alternate"):
                out.append((m.type, lambda m=m: setattr(m, "boxed", True), 1 if m.optional else 2))
        if self.tag:
            out += [(t, None, 9) for t in self.branch_types()]
        return out


class Alternate(Type):
    kind = "alternate"

    def __init__(self, name, data, domain, doc, where):
        super().__init__(name, domain, doc, where)
        self.alternatives = [Member(n, s, where) for n, s in data.items()]

    def resolve(self, schema):
        kinds = set()
        for m in self.alternatives:
            m.resolve(schema, self.where)
            k = self.json_kind(m)
            if k in kinds:
                raise SchemaError(f"{self.where}: alternate '{self.name}' cannot tell its branches apart")
            kinds.add(k)

    @staticmethod
    def json_kind(m):
        if m.list:
            return "array"
        if m.type.kind == "enum":
            return "string"
        if m.type.kind == "object":
            return "object"
        if m.type.kind == "builtin" and m.type.json != "value":
            return m.type.json
        raise SchemaError(f"{m.name}: no such branch in an alternate")

    def direct(self):
        return [(m.type, lambda m=m: setattr(m, "boxed", True), 0) for m in self.alternatives
                if not m.list and not m.boxed and m.type.kind == "object"]


class Command:
    KEYS = {"command", "data", "returns", "coroutine", "allow-oob", "allow-preconfig", "features", "gen", "reply",
            "boxed"}

    def __init__(self, expr, domain, doc, where):
        if unknown := set(expr) - self.KEYS:
            raise SchemaError(f"{where}: unknown keys {sorted(unknown)}")
        self.name, self.domain, self.doc, self.where = expr["command"], domain, doc, where
        self.data, self.returns = expr.get("data"), expr.get("returns")
        self.coroutine = expr.get("coroutine", False)
        self.allow_oob = expr.get("allow-oob", False)
        self.allow_preconfig = expr.get("allow-preconfig", False)
        self.features = expr.get("features", [])
        self.raw_args = expr.get("gen") is False
        self.text_reply = expr.get("reply") == "text"
        self.handler = "qmp_" + member_name(self.name)
        self.args, self.ret = None, None
        if self.text_reply and self.coroutine:
            raise SchemaError(f"{where}: a command with a text reply is no coroutine")

    def resolve(self, schema):
        if isinstance(self.data, str):
            self.args = schema.type(self.data, self.where)
            if self.args.kind != "object":
                raise SchemaError(f"{self.where}: 'data' of '{self.name}' is not a struct or union")
        elif self.data:
            self.args = Object(camel(self.name) + "Args", self.domain, self.doc, self.where, self.data)
            schema.add_type(self.args, implicit=True)
            self.args.resolve(schema)
        if self.returns:
            self.ret = Member("return", self.returns, self.where)
            self.ret.resolve(schema, self.where)


class Event:
    def __init__(self, expr, domain, doc, where):
        if unknown := set(expr) - {"event", "data", "features"}:
            raise SchemaError(f"{where}: unknown keys {sorted(unknown)}")
        self.name, self.domain, self.doc, self.where = expr["event"], domain, doc, where
        self.data, self.features, self.args = expr.get("data"), expr.get("features", []), None

    def resolve(self, schema):
        if isinstance(self.data, str):
            self.args = schema.type(self.data, self.where)
        elif self.data:  # never a C++ type: the members are parameters of the sending function
            self.args = Object(camel(self.name.lower()) + "Data", self.domain, self.doc, self.where, self.data)
            self.args.resolve(schema)


class Schema:
    def __init__(self):
        self.types = {name: Builtin(name) for name in BUILTINS}
        self.commands, self.events, self.domains = [], [], []

    def type(self, name, where):
        if not isinstance(name, str) or name not in self.types:
            raise SchemaError(f"{where}: unknown type {name!r}")
        return self.types[name]

    def add_type(self, t, implicit=False):
        if t.name in self.types:
            raise SchemaError(f"{t.where}: '{t.name}' is defined twice")
        t.implicit = implicit
        self.types[t.name] = t

    def add_domain(self, domain, items):
        self.domains.append(domain)
        for expr, doc, where in items:
            self.add(domain, expr, doc, where)

    def add(self, domain, expr, doc, where):
        name = next((expr[k] for k in ("enum", "struct", "union", "alternate", "command", "event") if k in expr), None)
        if name is None:
            raise SchemaError(f"{where}: neither a type nor a command nor an event")
        if doc is None or doc.name != name:
            raise SchemaError(f"{where}: '{name}' lacks its documentation")
        if "enum" in expr:
            t = Enum(name, expr["data"], domain, doc, where)
        elif "struct" in expr:
            t = Object(name, domain, doc, where, expr["data"], base=expr.get("base"))
        elif "union" in expr:
            t = self.make_union(name, expr, domain, doc, where)
        elif "alternate" in expr:
            t = Alternate(name, expr["data"], domain, doc, where)
        elif "command" in expr:
            self.commands.append(Command(expr, domain, doc, where))
            return
        else:
            self.events.append(Event(expr, domain, doc, where))
            return
        t.features = expr.get("features", [])
        self.add_type(t)

    def make_union(self, name, expr, domain, doc, where):
        """A union with a discriminator is flat; without one each branch is wrapped in a member `data`."""
        if "discriminator" in expr:
            return Object(name, domain, doc, where, {}, expr["base"], expr["discriminator"], expr["data"])
        kind = Enum(name + "Kind", list(expr["data"]), domain, None, where)
        self.add_type(kind, implicit=True)
        branches = {}
        for value, spec in expr["data"].items():
            wrapper = Object(f"{name}{camel(value)}Wrapper", domain, None, where, {"data": spec})
            self.add_type(wrapper, implicit=True)
            branches[value] = wrapper.name
        return Object(name, domain, doc, where, {}, {"type": kind.name}, "type", branches)

    def resolve(self):
        for t in list(self.types.values()):
            t.resolve(self)
        for c in self.commands + self.events:
            c.resolve(self)
        names = [c.name for c in self.commands + self.events]
        if len(set(names)) != len(names):
            raise SchemaError("a command or event is defined twice")
        self.commands.sort(key=lambda c: c.name)
        self.break_cycles()
        self.check_docs()

    def break_cycles(self):
        """Boxes uses of types inside their own definition: first in alternates, then optional members."""
        for weight in (0, 1, 2):
            while cycle := self.find_cycle():
                uses = [box for t in cycle for (to, box, w) in t.direct() if box and w <= weight and to in cycle]
                if not uses:
                    break
                for box in uses:
                    box()
        if cycle := self.find_cycle():
            raise SchemaError(f"{cycle[0].where}: '{cycle[0].name}' contains itself")

    def find_cycle(self):
        done, stack = set(), []

        def visit(t):
            if t in stack:
                return stack[stack.index(t):]
            if t in done:
                return None
            stack.append(t)
            for to, _, _ in t.direct():
                if found := visit(to):
                    return found
            stack.pop()
            done.add(t)
            return None

        for t in self.types.values():
            if found := visit(t):
                return found
        return None

    def ordered(self):
        """All types but the builtin ones, each behind those it contains, and where it can be those it lists."""
        out, listing = [], set()

        def visit(t):
            if t in out or t.kind == "builtin":
                return
            members = getattr(t, "members", None) or getattr(t, "alternatives", [])
            for to in [m.type for m in members if m.type.kind == "enum"] + [use[0] for use in t.direct()]:
                visit(to)
            if t not in listing:
                listing.add(t)
                for m in members:
                    if m.list:
                        visit(m.type)
            if t not in out:
                out.append(t)

        for t in self.types.values():
            visit(t)
        return out

    def check_docs(self):
        for t in list(self.types.values()) + self.commands + self.events:
            if t.doc is None or getattr(t, "implicit", False):
                continue
            names = documented_names(t)
            if names is None:
                continue
            if missing := [n for n in names if n not in t.doc.members]:
                raise SchemaError(f"{t.where}: '{t.name}' does not document {missing}")
            if extra := set(t.doc.members) - set(names):
                raise SchemaError(f"{t.where}: '{t.name}' documents unknown {sorted(extra)}")


def documented_names(t):
    if isinstance(t, Enum):
        return t.names
    if isinstance(t, Alternate):
        return [m.name for m in t.alternatives]
    if isinstance(t, Object):
        own = t.own if not isinstance(t.base, dict) else t.members
        return [m.name for m in own if not getattr(m.type, "implicit", False)]
    if isinstance(t, (Command, Event)):
        if isinstance(t.data, str):
            return []
        return [n.lstrip("*") for n in (t.data or {})]
    return None
