// The commands of the human monitor (HMP). Each folder registers its own; monitor/ parses lines and runs
// them.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "util/coroutine.h"
#include "util/json.h"
#include "util/result.h"
#include "util/str.h"

namespace rhea {

struct QmpContext;

/// One command being executed: what it was given and what it prints. Lines of `out` end in "\n".
struct HmpCall {
  explicit HmpCall(QmpContext& c) : ctx(c) {}

  /// A string argument, empty if it was left out.
  std::string_view str(std::string_view name) const;
  bool has(std::string_view name) const { return args.find(name) != nullptr; }
  /// A flag (-f) or an on|off argument.
  bool flag(std::string_view name) const;
  int64_t number(std::string_view name, int64_t fallback = 0) const;
  template <class... A>
  void print(const A&... pieces) {
    str_append(out, pieces...);
  }

  QmpContext& ctx;
  Json args;  ///< an object: strings, integers and booleans by the names in HmpCommand::args
  /// The processor that commands are about: human-monitor-command's, or what "cpu" chose in this session.
  std::optional<int64_t> cpu_index;
  /// The lines typed in this session, oldest first; null where nobody types.
  const std::vector<std::string>* history = nullptr;
  std::string out;
};

/// A command of the human monitor. An error it returns is printed as "Error: MESSAGE".
struct HmpCommand {
  /// "stop", with another name after a bar: "stop|s"; "info NAME" for what info shows.
  std::string_view name;
  /// What follows the name: "force:-f,device:B,arg:s?". Types: s string, B block device, F file name, S rest
  /// of the line, i 32-bit and l 64-bit number (an expression), o size in MiB unless a suffix says else,
  /// b on|off, -x flag, -xs flag with a word, / format ("/4xw": an object of count, format and size).
  /// "?" after the type: may be left out.
  std::string_view args;
  std::string_view params;  ///< the same for people: "[-f] device"
  std::string_view help;    ///< "remove a removable medium (use -f to force it)"
  /// One of the two is set. `call` outlives the coroutine.
  Result<> (*run)(HmpCall& call) = nullptr;
  CoResult<> (*co_run)(HmpCall& call) = nullptr;
};

/// All commands of the process. Filled during start-up, read on the main thread.
class HmpRegistry {
 public:
  /// The strings of `command` live for ever. A command of the same name is replaced.
  void add(const HmpCommand& command);
  /// Null if there is none; `name` may be either name of "stop|s", or "info NAME".
  const HmpCommand* find(std::string_view name) const;
  /// In order of their names; those of info are apart.
  std::vector<const HmpCommand*> commands() const;
  std::vector<const HmpCommand*> info_commands() const;

  /// The value of register `name` of processor `cpu`, for expressions. Not set: there are no registers.
  std::function<Result<uint64_t>(unsigned cpu, std::string_view name)> register_value;
  /// The rest of a word that is being typed as argument type B ('B': drives), F or of a command's own kind;
  /// not set: none.
  std::function<std::vector<std::string>(std::string_view command, std::string_view type,
                                         std::string_view prefix)>
      complete_argument;

 private:
  std::vector<HmpCommand> commands_;  ///< sorted by name
};

/// The process's registry.
HmpRegistry& hmp_registry();

/// True if `name` is one of the names in `names` ("stop|s").
bool hmp_name_matches(std::string_view names, std::string_view name);

}  // namespace rhea
