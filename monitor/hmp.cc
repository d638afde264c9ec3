#include "monitor/hmp.h"

#include <algorithm>
#include <span>

#include "monitor/hmp_parse.h"
#include "qapi/vm_control.h"
#include "util/log.h"

namespace rhea {

namespace {

TracePoint trace_command("handle_hmp_command");

/// Collects what error_report() says while a command runs.
class OutputSink final : public MessageSink {
 public:
  explicit OutputSink(std::string& out) : out_(out), before_(log_set_sink(this)) {}
  ~OutputSink() override { log_set_sink(before_); }
  void write(std::string_view text) override { out_ += text; }

 private:
  std::string& out_;
  MessageSink* before_;
};

Result<> run_now(const HmpCommand& command, HmpCall& call) {
  OutputSink sink(call.out);
  return command.run(call);
}

void print_advice(HmpCall& call, std::string_view typed) {
  call.print("Try \"help ", typed, "\" for more information\n");
}

void print_error(HmpCall& call, const Error& error) {
  call.print("Error: ", error.message(), "\n");
  if (!error.hint().empty()) call.print(error.hint(), "\n");
}

bool is_blank_line(std::string_view line) {
  return line.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

bool works_in_preconfig(const HmpCommand& command) {
  constexpr std::string_view kEarly[] = {"exit_preconfig", "help|?",    "info",         "info name",
                                         "info status",    "info uuid", "info version", "quit|q"};
  return std::ranges::find(kEarly, command.name) != std::end(kEarly);
}

/// What a word of a help or info line may become.
void add_names(std::vector<std::string>& out, const std::vector<const HmpCommand*>& commands,
               std::string_view prefix, size_t skip) {
  for (const HmpCommand* c : commands) {
    std::string_view names = c->name.substr(skip);
    while (!names.empty()) {
      const size_t bar = names.find('|');
      if (names.substr(0, bar).starts_with(prefix)) out.emplace_back(names.substr(0, bar));
      names.remove_prefix(bar == std::string_view::npos ? names.size() : bar + 1);
    }
  }
  std::ranges::sort(out);
}

}  // namespace

CoResult<> hmp_execute(HmpCall& call, std::string line) {
  if (is_blank_line(line)) co_return {};
  trace_command("cmdline: ", line);
  auto found = hmp_find(hmp_registry(), line);
  if (!found) {
    call.print(found.error().message(), "\n");
    co_return {};
  }
  const HmpCommand& command = *found->command;
  if (!call.ctx.vm.initialized() && !works_in_preconfig(command)) {
    call.print("Command '", line, "' not available until machine initialization has completed.\n");
    co_return {};
  }
  const RegisterLookup lookup = [&call](std::string_view name) -> Result<uint64_t> {
    const auto& value = hmp_registry().register_value;
    if (!value) return fail(EINVAL, "unknown register");
    return value(static_cast<unsigned>(call.cpu_index.value_or(0)), name);
  };
  auto args = hmp_parse_args(*found, lookup);
  if (!args) {
    call.print(args.error().message(), "\n");
    print_advice(call, found->typed);
    co_return {};
  }
  call.args = std::move(*args);
  Result<> result;
  if (command.run != nullptr) {
    result = run_now(command, call);
  } else {
    CoResult<> work = command.co_run(call);
    result = co_await std::move(work);
  }
  if (!result) print_error(call, result.error());
  co_return {};
}

std::string hmp_wire_text(std::string_view text) {
  std::string out;
  out.reserve(text.size() + text.size() / 16);
  for (char c : text) {
    if (c == '\n') out += '\r';
    out += c;
  }
  return out;
}

std::vector<std::string> hmp_completions(std::string_view line) {
  std::vector<std::string> words;
  std::string word;
  std::string_view rest = line;
  while (hmp_next_word(rest, word)) words.push_back(word);
  if (line.empty() || line.back() == ' ') words.emplace_back();
  std::vector<std::string> out;
  std::span<const std::string> left(words);
  while (left.size() > 1 && (left[0] == "help" || left[0] == "?")) left = left.subspan(1);
  const HmpRegistry& registry = hmp_registry();
  if (left.size() == 1) add_names(out, registry.commands(), left[0], 0);
  if (left.size() == 2 && left[0] == "info") add_names(out, registry.info_commands(), left[1], 5);
  return out;
}

}  // namespace rhea
