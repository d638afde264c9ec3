// The table of QMP commands, as the dispatcher sees it.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "util/coroutine.h"
#include "util/json.h"
#include "util/result.h"

namespace rhea {

struct QmpContext;

/// One command. Exactly one of `run` and `co_run` is set. Both take the "arguments" object (an empty object
/// if the client sent none; consumed), check it against the schema, call the handler and append the text of
/// the value for "return" to `reply` ("{}" for a command that returns nothing). On failure `reply` is
/// unchanged.
struct QmpCommand {
  std::string_view name;
  bool allow_oob;        ///< may run out of band
  bool allow_preconfig;  ///< may run before the machine is made
  Result<> (*run)(QmpContext& ctx, Json arguments, std::string& reply);
  /// `ctx` and `reply` must outlive the coroutine.
  CoResult<> (*co_run)(QmpContext& ctx, Json arguments, std::string& reply);
};

/// All commands of the schema in order of their names. Defined by qapi_command_table.cc, which references
/// every handler and is linked into the VM process only.
std::span<const QmpCommand> qmp_commands();

/// The command named `name` in `commands` (sorted by name), null if there is none.
const QmpCommand* qmp_find_command(std::span<const QmpCommand> commands, std::string_view name);

}  // namespace rhea
