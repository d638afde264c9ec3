"""C++ declarations of command handlers, the command table, and the functions that send events."""
from cxx_types import BANNER, comment, cxx_type, include
from schema import member_name


def ret_type(c):
    if c.text_reply:
        return "std::string_view"
    return cxx_type(c.ret) if c.ret else "void"


def param(c):
    if c.raw_args:
        return ", Json args"
    return f", {c.args.cxx} args" if c.args else ""


def result(c):
    t = ret_type(c)
    name = "CoResult" if c.coroutine else "Result"
    return f"{name}<>" if t == "void" else f"{name}<{t}>"


def commands_header(domain, commands):
    out = [BANNER.format(domain),
           "// The handlers of this domain's QMP commands; each is defined next to what it controls.\n",
           "#pragma once\n\n", include(f"qapi_types_{domain}")]
    others = {t.domain for c in commands for t in ([c.args] if c.args else []) + ([c.ret.type] if c.ret else [])}
    out += [include(f"qapi_types_{d}") for d in sorted(others - {None, domain})]
    out.append('#include "qapi/qmp_context.h"\n#include "util/coroutine.h"\n\nnamespace rhea {\n')
    for c in commands:
        out.append("\n" + comment(c.doc.text))
        for name, text in c.doc.sections:
            out.append(comment([f"{name}: {text[0]}"] + text[1:]) if text else "")
        out.append(f"{result(c)} {c.handler}(QmpContext& ctx{param(c)});\n")
    out.append("\n}  // namespace rhea\n")
    return "".join(out)


def thunk(c):
    co = c.coroutine
    ret = ret_type(c)
    out = [f"{'CoResult<>' if co else 'Result<>'} run_{member_name(c.name)}(QmpContext& ctx, Json arguments, "
           "std::string& reply) {\n"]

    def get(expr):
        return f"co_await or_return({expr})" if co else f"TRY({expr})"

    call = f"{c.handler}(ctx)"
    if c.raw_args:
        call = f"{c.handler}(ctx, std::move(arguments))"
    elif c.args:
        out.append(f"  auto args = {get(f'from_json<{c.args.cxx}>(std::move(arguments))')};\n")
        call = f"{c.handler}(ctx, std::move(args))"
    else:
        out.append(f"  {get('no_arguments(arguments)')};\n")
    if co:
        out.append(f"  auto work = {call};\n")
        call = "co_await std::move(work)"
        out.append(f"  auto result = {call};\n  if (!result) co_return Failure(std::move(result).error());\n")
    elif ret == "void":
        out.append(f"  TRY({call});\n")
    else:
        out.append(f"  auto result = {call};\n  if (!result) return Failure(std::move(result).error());\n")
    if ret == "void":
        out.append('  reply += "{}";\n')
    elif c.text_reply:
        out.append("  reply += *result;\n")
    else:
        out.append("  write_json(reply, *result);\n")
    out.append("  co_return {};\n}\n" if co else "  return {};\n}\n")
    return "".join(out)


def table(domains, commands):
    out = [BANNER.format("*"), '#include "qapi/command.h"\n']
    out += [include(f"qapi_commands_{d}") for d in domains]
    out.append("\nnamespace rhea {\n\nnamespace {\n\n")
    out.append("[[maybe_unused]] Result<> no_arguments(const Json& arguments) {\n"
               "  if (!arguments.is_object() || arguments.as_object().empty()) return {};\n"
               "  return fail(EINVAL, \"Parameter '\", arguments.as_object()[0].first, \"' is unexpected\");\n}\n\n")
    rows = []
    for c in commands:
        out.append(thunk(c) + "\n")
        fn = f"run_{member_name(c.name)}"
        run, co_run = ("nullptr", fn) if c.coroutine else (fn, "nullptr")
        flags = ", ".join("true" if f else "false" for f in (c.allow_oob, c.allow_preconfig))
        rows.append(f'    {{"{c.name}", {flags}, {run}, {co_run}}},\n')
    out.append("constexpr QmpCommand kCommands[] = {\n" + "".join(rows) + "};\n\n}  // namespace\n\n"
               "std::span<const QmpCommand> qmp_commands() { return kCommands; }\n\n}  // namespace rhea\n")
    return "".join(out)


def by_value(m):
    t = cxx_type(m)
    cheap = not m.list and (m.type.kind == "enum" or (m.type.kind == "builtin" and m.type.name not in ("str", "any")))
    return f"{t} {m.cxx_name}" if cheap else f"const {t}& {m.cxx_name}"


def event_signature(e):
    if isinstance(e.data, str):
        params = f"const {e.args.cxx}& data"
    else:
        params = ", ".join(by_value(m) for m in e.args.members) if e.args else ""
    return f"void qapi_event_send_{member_name(e.name.lower())}({params})"


def events_header(domain, events):
    out = [BANNER.format(domain), "// Sending this domain's events: each goes to qapi_event_sink(), if there is one.\n"
           "#pragma once\n\n", '#include "qapi/event.h"\n', include(f"qapi_types_{domain}")]
    others = {m.type.domain for e in events if e.args for m in e.args.members}
    out += [include(f"qapi_types_{d}") for d in sorted(others - {None, domain})]
    out.append("\nnamespace rhea {\n")
    for e in events:
        out.append("\n" + comment(e.doc.text))
        for n, text in e.doc.members.items():
            out.append(comment([f"`{n}`: {text[0]}"] + text[1:]))
        out.append(event_signature(e) + ";\n")
    out.append("\n}  // namespace rhea\n")
    return "".join(out)


def events_source(domains, events):
    out = [BANNER.format("*")] + [include(f"qapi_events_{d}") for d in domains]
    out.append("\nnamespace rhea {\n")
    for e in events:
        out.append(f"\n{event_signature(e)} {{\n")
        out.append("  EventSink* sink = qapi_event_sink();\n  if (sink == nullptr) return;\n")
        if isinstance(e.data, str):
            out.append(f'  sink->emit("{e.name}", to_json(data));\n}}\n')
            continue
        if not e.args:
            out.append(f'  sink->emit("{e.name}", nullptr);\n}}\n')
            continue
        out.append("  qapi::TreeWriter v;\n  v.begin('{');\n")
        out += [f'  v.member("{m.name}", {m.cxx_name});\n' for m in e.args.members]
        out.append(f"  v.end('}}');\n  sink->emit(\"{e.name}\", v.take());\n}}\n")
    out.append("\n}  // namespace rhea\n")
    return "".join(out)
