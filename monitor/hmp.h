// Executing lines of the human monitor.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "qapi/hmp_registry.h"
#include "util/coroutine.h"

namespace rhea {

/// Executes one line with the commands of hmp_registry(). What is wrong with it is printed into call.out, as
/// is the error a command ends with; so the result is always success. `call` outlives the coroutine.
CoResult<> hmp_execute(HmpCall& call, std::string line);

/// The text with CR LF at the line ends.
std::string hmp_wire_text(std::string_view text);

/// What Tab may put in place of the last word of `line`.
std::vector<std::string> hmp_completions(std::string_view line);

/// Registers quit, stop, cont, help, info version and the like.
void hmp_register_generic(HmpRegistry& registry);
/// Registers eject and change, which need the block layer and the drives.
void hmp_register_media(HmpRegistry& registry);

}  // namespace rhea
