"""The reference manual of the schema, in Markdown."""


def type_text(m):
    name = m.type.name
    name = f"`{name}`" if m.type.kind == "builtin" else f"[`{name}`](#{name.lower()})"
    return f"list of {name}" if m.list else name


def prose(lines):
    return " ".join(line for line in lines if line).strip()


def section(lines):
    """Prose, or where lines begin with a dash, a list."""
    items = []
    for line in lines:
        if line.startswith("- ") or not items:
            items.append(line)
        else:
            items[-1] += " " + line
    return "\n\n" + "\n".join(items) if items and items[0].startswith("- ") else " ".join(items)


def members_table(members, doc):
    if not members:
        return []
    out = ["| member | type | |\n| --- | --- | --- |\n"]
    for m in members:
        text = prose(doc.members.get(m.name, [])) if doc else ""
        optional = " (optional)" if m.optional else ""
        deprecated = " Deprecated." if "deprecated" in m.features else ""
        out.append(f"| `{m.name}`{optional} | {type_text(m)} | {text}{deprecated} |\n")
    return out + ["\n"]


def entry(level, t, kind):
    out = [f"{'#' * level} {t.name}\n\n*{kind}.* {prose(t.doc.text) if t.doc else ''}\n\n"]
    for name, text in (t.doc.sections if t.doc else []):
        out.append(f"{name}: {section(text)}\n\n")
    return out


def describe_type(t):
    if t.kind == "enum":
        out = entry(3, t, "Enumeration")
        out += [f"- `{n}`: {prose(t.doc.members.get(n, [])) if t.doc else ''}\n" for n in t.names]
        return out + ["\n"]
    if t.kind == "alternate":
        out = entry(3, t, "One of")
        out += [f"- {type_text(m)}: {prose(t.doc.members.get(m.name, []))}\n" for m in t.alternatives]
        return out + ["\n"]
    out = entry(3, t, f"Union, told apart by `{t.tag}`" if t.tag else "Object") + members_table(t.members, t.doc)
    for value, branch in (t.branches or {}).items():
        if branch:
            out.append(f"- `{value}`: the members of [`{branch.name}`](#{branch.name.lower()}) as well\n")
    return out + ["\n"]


def describe_command(c):
    out = entry(3, c, "Command")
    if c.args:
        out += members_table(c.args.members, c.doc if not isinstance(c.data, str) else c.args.doc)
        if isinstance(c.data, str):
            out.append(f"Arguments: those of [`{c.args.name}`](#{c.args.name.lower()}).\n\n")
    if c.ret:
        out.append(f"Value returned: {type_text(c.ret)}.\n\n")
    return out


def describe_event(e):
    return entry(3, e, "Event") + (members_table(e.args.members, e.doc) if e.args else [])


def source(schema):
    out = ["# QMP reference\n\nGenerated from the schema in `qapi/`.\n\n"]
    for domain in schema.domains:
        commands = [c for c in schema.commands if c.domain == domain]
        events = [e for e in schema.events if e.domain == domain]
        types = [t for t in schema.types.values() if t.domain == domain and t.name not in
                 {c.args.name for c in commands if c.args and not isinstance(c.data, str)}]
        out.append(f"## {domain}\n\n")
        for items, describe in ((commands, describe_command), (events, describe_event), (types, describe_type)):
            for item in items:
                out += describe(item)
    return "".join(out)
