// Taking a line of the human monitor apart.
#pragma once

#include <string>
#include <string_view>

#include "monitor/hmp_expr.h"
#include "qapi/hmp_registry.h"
#include "util/json.h"
#include "util/result.h"

namespace rhea {

/// A command and what stands behind its name.
struct HmpLine {
  const HmpCommand* command;
  std::string_view rest;
  std::string_view shown_name;  ///< in messages: the name without "info "
  std::string typed;            ///< the name as it was typed: "p", "info cpus"
};

/// Finds the command a line names: "unknown command: 'xyz'".
Result<HmpLine> hmp_find(const HmpRegistry& registry, std::string_view line);

/// Reads the arguments as the command declares them; numbers are expressions, in which `lookup` gives the
/// values of registers. Errors are whole lines for the user, without the advice to try help.
Result<Json> hmp_parse_args(const HmpLine& line, const RegisterLookup& lookup = {});

/// The next word, or the content of a "quoted string" with escapes; false if there is none or the quote is
/// not closed.
bool hmp_next_word(std::string_view& text, std::string& word);

}  // namespace rhea
