// Fuzzes the readers of option text: JSON whole and in pieces, key=value syntax in both kinds. What was read
// is written and read again, and must be the same.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "qapi/option.h"
#include "util/json.h"
#include "util/keyval.h"

namespace rhea {
namespace {

void check(bool holds) {
  if (!holds) std::abort();
}

/// What a splitter makes of `text` when it comes in pieces of `step` bytes.
std::vector<std::string> pieces(std::string_view text, size_t step) {
  JsonSplitter splitter;
  std::vector<std::string> out;
  for (size_t at = 0; at < text.size(); at += step) {
    splitter.feed(text.substr(at, step));
    std::string_view piece;
    while (splitter.next(piece) != JsonSplitter::Next::kNeedMore) out.emplace_back(piece);
  }
  return out;
}

void fuzz_json(std::string_view text) {
  auto value = Json::parse(text);
  const std::string why = json_diagnose(text);
  check(!value || why.empty());  // what is read has nothing wrong with it
  check(value || !value.error().message().empty());
  if (value) {
    // A number without a fraction comes back as an integer; its text is the same.
    auto again = Json::parse(value->dump());
    check(again && again->dump() == value->dump());
    std::string pretty;
    value->write_pretty(pretty);
    auto third = Json::parse(pretty);
    check(third && third->dump() == value->dump());
  }
  check(pieces(text, text.size() + 1) == pieces(text, 1));
}

void fuzz_keyval(std::string_view text) {
  std::ignore = keyval_parse(text, "driver");
  if (auto flat = keyval_parse_flat(text, "type")) {
    auto nested = json_unflatten(flat->values);
    if (nested) std::ignore = json_flatten(*nested);
  }
  for (const OptionSyntax syntax : {OptionSyntax::kStrict, OptionSyntax::kLax})
    std::ignore = parse_option(text, "driver", syntax);
}

}  // namespace
}  // namespace rhea

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  rhea::fuzz_json(text);
  rhea::fuzz_keyval(text);
  return 0;
}
