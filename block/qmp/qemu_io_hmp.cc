// HMP "qemu-io DRIVE COMMAND": requests and breakpoints by hand, for tests.
#include <sstream>

#include "block/graph/aligned_buffer.h"
#include "block/graph/block_graph.h"
#include "block/graph/io.h"
#include "block/qmp/block_hmp.h"
#include "block/qmp/qemu_io_aio.h"
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

/// What a request by hand is told: `[-options] [-P pattern] offset length`.
struct RequestWords {
  RequestWords() = default;
  std::optional<uint64_t> pattern;
  bool zeroes = false;
  std::vector<uint64_t> numbers;
};

Result<uint64_t> parse_hand_size(const std::string& text) {
  uint64_t out = 0;
  if (!parse_size(text, out)) return fail(EINVAL, "non-numeric length argument -- ", text);
  return out;
}

Result<RequestWords> parse_request(const Words& w) {
  RequestWords out;
  for (size_t i = 1; i < w.size(); ++i) {
    if (w[i] == "-P" && i + 1 < w.size()) {
      out.pattern = TRY(parse_hand_size(w[++i]));
    } else if (w[i].starts_with('-')) {
      out.zeroes = out.zeroes || w[i] == "-z";
    } else {
      out.numbers.push_back(TRY(parse_hand_size(w[i])));
    }
  }
  constexpr uint64_t kMaxBytes = uint64_t{1} << 31;
  if (out.numbers.size() != 2) return fail(EINVAL, "bad argument count, expected offset and length");
  if (out.numbers[1] >= kMaxBytes) return fail(EINVAL, "length cannot exceed ", kMaxBytes - 1);
  return out;
}

/// A request enters by the drive where one was named; a node gets a backend for it.
template <class F>
CoResult<> co_with_entry(Target& t, PermPair perms, F& work) {
  if (t.drive != nullptr) co_return co_await work(*t.drive);
  BlockGraph& graph = t.node->graph();
  BlockBackend backend(graph, "", perms);
  {
    GraphWriteLock lock = co_await or_return(co_await graph.co_lock());
    co_await or_return(co_await backend.co_insert(lock, *t.node));
  }
  Result<> done = co_await work(backend);
  GraphWriteLock lock = co_await or_return(co_await graph.co_lock());
  co_await or_return(co_await backend.co_remove(lock));
  co_return done;
}

struct WriteByHand {
  WriteByHand() = default;
  RequestWords request;
  CoResult<> operator()(BlockBackend& backend) {
    const ByteRange range(request.numbers[0], request.numbers[1]);
    if (request.zeroes) co_return co_await backend.co_pwrite_zeroes(range, false);
    AlignedBuffer buffer;
    co_await or_return(buffer.allocate(4096, range.bytes));
    std::memset(buffer.data(), static_cast<int>(request.pattern.value_or(0xcd) & 0xff), range.bytes);
    co_return co_await backend.co_pwritev(range, buffer.iov(range.bytes));
  }
};

struct ReadByHand {
  ReadByHand() = default;
  RequestWords request;
  bool differs = false;
  CoResult<> operator()(BlockBackend& backend) {
    const ByteRange range(request.numbers[0], request.numbers[1]);
    AlignedBuffer buffer;
    co_await or_return(buffer.allocate(4096, range.bytes));
    co_await or_return(co_await backend.co_preadv(range, buffer.iov(range.bytes)));
    const auto wanted = static_cast<uint8_t>(request.pattern.value_or(0));
    for (uint64_t i = 0; request.pattern && i < range.bytes; ++i)
      differs = differs || buffer.data()[i] != wanted;
    co_return Result<>();
  }
};

struct DiscardByHand {
  DiscardByHand() = default;
  RequestWords request;
  CoResult<> operator()(BlockBackend& backend) {
    return backend.co_pdiscard(ByteRange(request.numbers[0], request.numbers[1]));
  }
};

void report(HmpCall& call, std::string_view did, const RequestWords& r) {
  call.print(did, " ", r.numbers[1], "/", r.numbers[1], " bytes at offset ", r.numbers[0], "\n",
             size_text(r.numbers[1]), ", 1 ops; 00:00:00.00 (inf EiB/sec and inf ops/sec)\n");
}

CoResult<> co_write(HmpCall& call, Target& t, const Words& w) {
  WriteByHand work;
  work.request = co_await or_return(parse_request(w));
  const PermPair perms{blk_perm::kWrite, blk_perm::kAll};
  Result<> done = co_await co_with_entry(t, perms, work);
  if (!done) co_return fail(done.error().errnum(), "write failed: ", errno_text(done.error().errnum()));
  report(call, "wrote", work.request);
  co_return done;
}

CoResult<> co_read(HmpCall& call, Target& t, const Words& w) {
  ReadByHand work;
  work.request = co_await or_return(parse_request(w));
  const PermPair perms{blk_perm::kConsistentRead, blk_perm::kAll};
  Result<> done = co_await co_with_entry(t, perms, work);
  if (!done) co_return fail(done.error().errnum(), "read failed: ", errno_text(done.error().errnum()));
  if (work.differs)
    call.print("Pattern verification failed at offset ", work.request.numbers[0], ", ",
               work.request.numbers[1], " bytes\n");
  report(call, "read", work.request);
  co_return done;
}

CoResult<> co_discard(HmpCall& call, Target& t, const Words& w) {
  DiscardByHand work;
  work.request = co_await or_return(parse_request(w));
  const PermPair perms{blk_perm::kWrite, blk_perm::kAll};
  Result<> done = co_await co_with_entry(t, perms, work);
  if (!done) co_return fail(done.error().errnum(), "discard failed: ", errno_text(done.error().errnum()));
  report(call, "discard", work.request);
  co_return done;
}

constexpr size_t kAnyArgs = 99;

constexpr Command kCommands[] = {
    {"aio_read", kAnyArgs, "aio_read [-P pattern] off len -- asynchronously reads a number of bytes",
     co_read},
    {"aio_write", kAnyArgs, "aio_write [-z] [-P pattern] off len -- asynchronously writes a number of bytes",
     co_write},
    {"discard", kAnyArgs, "discard off len -- discards a number of bytes at a specified offset", co_discard},
    {"read", kAnyArgs, "read [-P pattern] off len -- reads a number of bytes at a specified offset", co_read},
    {"write", kAnyArgs, "write [-z] [-P pattern] off len -- writes a number of bytes at a specified offset",
     co_write},
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
  if (is_hand_aio(words[0])) {
    const Target aio_target = co_await or_return(find_target(call.ctx.graph, call.str("device")));
    if (aio_target.drive != nullptr) {
      Result<> begun = co_await co_hand_aio(*aio_target.drive, words);
      if (!begun) call.print(begun.error().message(), "\n");
      co_return Result<>();
    }
  }
  const Command* command = nullptr;
  for (const Command& c : kCommands)
    if (c.name == words[0]) command = &c;
  if (command == nullptr) {
    call.print("command \"", words[0], "\" not found\n");
    co_return Result<>();
  }
  if (command->args != kAnyArgs && words.size() != command->args + 1) {
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
