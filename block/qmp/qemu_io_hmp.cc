// HMP "qemu-io DRIVE COMMAND": requests and breakpoints by hand, for tests.
#include <sstream>

#include "block/graph/block_graph.h"
#include "block/graph/io.h"
#include "block/qmp/block_hmp.h"
#include "qapi/qmp_context.h"

namespace rhea {

namespace {

using Words = std::vector<std::string>;

Words split(std::string_view text) {
  std::istringstream in{std::string(text)};
  Words out;
  for (std::string word; in >> word;) out.push_back(word);
  return out;
}

/// What a command works on: a drive's node, held while it runs.
struct Target {
  Target() = default;
  NodeRef node;
  BlockBackend* drive = nullptr;  ///< null where a node was named
};

Result<Target> find_target(BlockGraph& graph, std::string_view name) {
  Target out;
  out.drive = graph.find_backend(name);
  if (out.drive == nullptr && graph.device_resolver) out.drive = graph.device_resolver(name);
  BlockDriverState* node = out.drive != nullptr ? out.drive->node() : graph.find_node(name);
  if (node == nullptr) {
    if (out.drive != nullptr) return fail(ENOMEDIUM, "Device '", name, "' has no medium");
    return fail_class(ErrorClass::kDeviceNotFound, ENODEV, "Device '", name, "' not found");
  }
  out.node = NodeRef(*node);
  return out;
}

struct Command {
  std::string_view name;
  size_t args;
  std::string_view usage;
  CoResult<> (*run)(HmpCall& call, Target& target, const Words& words);
};

CoResult<> co_break(HmpCall&, Target& t, const Words& w) {
  co_return t.node->debug_break(w[1], w[2]);
}
CoResult<> co_remove_break(HmpCall&, Target& t, const Words& w) {
  co_return t.node->debug_remove_break(w[1]);
}
CoResult<> co_resume(HmpCall&, Target& t, const Words& w) {
  co_return t.node->debug_resume(w[1]);
}
CoResult<> co_wait_break(HmpCall& call, Target& t, const Words& w) {
  while (!t.node->debug_is_suspended(w[1])) co_await call.ctx.graph.main_loop().co_yield_now();
  co_return Result<>();
}
CoResult<> co_length(HmpCall& call, Target& t, const Words&) {
  call.print(t.node->total_bytes(), " bytes\n");
  co_return Result<>();
}
CoResult<> co_flush(HmpCall&, Target& t, const Words&) {
  Result<> r = co_await co_node_flush(*t.node);
  co_return r;
}

constexpr Command kCommands[] = {
    {"break", 2, "break event tag -- sets a breakpoint on event and tags the stopped request as tag",
     co_break},
    {"flush", 0, "flush -- flush all in-core file state to disk", co_flush},
    {"length", 0, "length -- gets the length of the current file", co_length},
    {"remove_break", 1, "remove_break tag -- remove a breakpoint by tag", co_remove_break},
    {"resume", 1, "resume tag -- resumes the request tagged as tag", co_resume},
    {"wait_break", 1, "wait_break tag -- waits for the suspension of a request", co_wait_break},
};

CoResult<> co_qemu_io(HmpCall& call) {
  const Words words = split(call.str("command"));
  if (words.empty()) co_return Result<>();
  const Command* command = nullptr;
  for (const Command& c : kCommands)
    if (c.name == words[0]) command = &c;
  if (command == nullptr) {
    call.print("command \"", words[0], "\" not found\n");
    co_return Result<>();
  }
  if (words.size() != command->args + 1) {
    call.print("bad argument count ", words.size() - 1, " to ", words[0], ", expected exactly ",
               command->args, " arguments\n");
    co_return Result<>();
  }
  Target target = co_await or_return(find_target(call.ctx.graph, call.str("device")));
  Result<> r = co_await command->run(call, target, words);
  if (!r) call.print(r.error().message(), "\n");
  co_return Result<>();
}

}  // namespace

void register_qemu_io_hmp(HmpRegistry& registry) {
  registry.add({.name = "qemu-io",
                .args = "device:B,command:s",
                .params = "[device] \"[command]\"",
                .help = "run a qemu-io command on a block device",
                .co_run = co_qemu_io});
}

}  // namespace rhea
