// Fuzzes what a person (or a manager, through human-monitor-command) may type: lines with arguments of every
// type, and keys at the terminal.
#include <cstdlib>

#include "monitor/hmp.h"
#include "monitor/hmp_parse.h"
#include "monitor/line_editor.h"

namespace rhea {
namespace {

constexpr HmpCommand kCommands[] = {
    {"words|w", "force:-f,device:B,file:F,name:s?", "", ""},
    {"numbers|n", "a:i,b:l,c:o?,d:b?", "", ""},
    {"rest", "name:s,rest:S?", "", ""},
    {"info thing", "name:s?", "", ""},
};

void run(std::string_view input) {
  static HmpRegistry registry = [] {
    HmpRegistry r;
    for (const HmpCommand& command : kCommands) r.add(command);
    return r;
  }();
  std::string shown;
  LineEditor editor(
      "> ", [&](std::string_view text) { shown += text; }, hmp_completions);
  for (char c : input) {
    auto line = editor.key(static_cast<uint8_t>(c));
    if (editor.line().size() > LineEditor::kMaxLine) abort();
    if (!line) continue;
    auto found = hmp_find(registry, *line);
    if (!found) continue;
    auto args = hmp_parse_args(*found);
    if (args && !args->is_object()) abort();
  }
}

}  // namespace
}  // namespace rhea

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  rhea::run({reinterpret_cast<const char*>(data), size});
  return 0;
}
