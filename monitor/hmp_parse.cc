#include "monitor/hmp_parse.h"

namespace rhea {

namespace {

void skip_blanks(std::string_view& text) {
  while (!text.empty() && is_blank(text[0])) text.remove_prefix(1);
}

/// One argument a command declares: "name:type?".
struct Declared {
  std::string_view name;
  std::string_view type;  ///< without the question mark
  bool optional;
};

Declared next_declared(std::string_view& list) {
  const size_t comma = list.find(',');
  std::string_view one = list.substr(0, comma);
  list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
  const size_t colon = one.find(':');
  Declared d{one.substr(0, colon), one.substr(colon + 1), false};
  if (d.type.ends_with('?')) {
    d.type.remove_suffix(1);
    d.optional = true;
  }
  return d;
}

bool escaped_char(char c, std::string& out) {
  switch (c) {
    case 'n':
      out += '\n';
      return true;
    case 'r':
      out += '\r';
      return true;
    case '\\':
    case '\'':
    case '"':
      out += c;
      return true;
    default:
      return false;
  }
}

std::string_view expected(char type) {
  return type == 'B' ? "block device name expected" : type == 'F' ? "filename expected" : "string expected";
}

Result<Json> parse_octets(std::string_view word) {
  uint64_t bytes;
  if (!parse_size(word, bytes, 'M') || bytes > INT64_MAX) return fail(EINVAL, "invalid size");
  return Json(bytes);
}

Result<Json> parse_number(const HmpLine& line, std::string_view& text, char type,
                          const RegisterLookup& lookup) {
  const int64_t n = TRY(hmp_expression(text, lookup));
  if (type == 'i' && (n < 0 || n > UINT32_MAX))
    return fail(EINVAL, "'", line.command->name, "' has failed: integer is for 32-bit values");
  return Json(n);
}

Result<Json> parse_on_off(std::string_view word) {
  if (word == "on") return Json(true);
  if (word == "off") return Json(false);
  return fail(EINVAL, "Expected 'on' or 'off'");
}

/// Whether a flag `letter` is among those declared in `list`.
bool declares_flag(std::string_view list, char letter) {
  while (!list.empty()) {
    const Declared d = next_declared(list);
    if (d.type.size() >= 2 && d.type[0] == '-' && d.type[1] == letter) return true;
  }
  return false;
}

/// A flag, or a flag with a word ("-fs"). Null if it does not stand here.
Result<Json> parse_flag(const HmpLine& line, const Declared& d, std::string_view& text,
                        std::string_view later) {
  if (d.type.size() < 2 || !text.starts_with('-') || text.size() < 2 || is_blank(text[1])) return Json();
  if (text[1] != d.type[1]) {
    if (declares_flag(later, text[1])) return Json();
    return fail(EINVAL, line.shown_name, ": unsupported option -", text[1]);
  }
  text.remove_prefix(2);
  if (d.type.size() == 2) return Json(true);
  std::string word;
  if (!hmp_next_word(text, word)) return fail(EINVAL, line.shown_name, ": ", expected(d.type[2]));
  return Json(std::move(word));
}

/// Reads one argument off `text`; null if an optional one is not there. `later`: what is declared after it.
Result<Json> parse_one(const HmpLine& line, const Declared& d, std::string_view& text, std::string_view later,
                       const RegisterLookup& lookup) {
  const char type = d.type.empty() ? 's' : d.type[0];
  skip_blanks(text);
  if (type == '-') return parse_flag(line, d, text, later);
  if (type == '/') {
    const HmpFormat format = TRY(hmp_format(text));
    const std::string letter(format.format != 0 ? 1 : 0, format.format);
    return Json::object({{"count", format.count}, {"format", letter}, {"size", format.size}});
  }
  if (text.empty()) {
    if (d.optional) return Json();
    if (type == 's' || type == 'B' || type == 'F' || type == 'S')
      return fail(EINVAL, line.shown_name, ": ", expected(type));
    return fail(EINVAL, "unexpected end of expression");
  }
  if (type == 'S') {
    Json rest(text);
    text = {};
    return rest;
  }
  if (type == 'i' || type == 'l') return parse_number(line, text, type, lookup);
  std::string word;
  if (!hmp_next_word(text, word)) return fail(EINVAL, line.shown_name, ": ", expected(type));
  if (type == 'b') return parse_on_off(word);
  if (type == 'o') return parse_octets(word);
  return Json(std::move(word));
}

}  // namespace

bool hmp_next_word(std::string_view& text, std::string& word) {
  skip_blanks(text);
  word.clear();
  if (text.empty()) return false;
  if (text[0] != '"') {
    while (!text.empty() && !is_blank(text[0])) {
      word += text[0];
      text.remove_prefix(1);
    }
    return true;
  }
  for (size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '"') {
      text.remove_prefix(i + 1);
      return true;
    }
    if (text[i] != '\\')
      word += text[i];
    else if (++i >= text.size() || !escaped_char(text[i], word))
      return false;
  }
  return false;
}

Result<HmpLine> hmp_find(const HmpRegistry& registry, std::string_view line) {
  skip_blanks(line);
  size_t end = 0;
  while (end < line.size() && !is_blank(line[end]) && line[end] != '/') ++end;
  const std::string_view name = line.substr(0, end);
  std::string_view rest = line.substr(end);
  if (name == "info") {
    std::string topic;
    if (hmp_next_word(rest, topic)) {
      const HmpCommand* command = registry.find(str_cat("info ", topic));
      if (command == nullptr) return fail(ENOENT, "unknown command: 'info ", topic, "'");
      return HmpLine{command, rest, command->name.substr(5), str_cat("info ", topic)};
    }
  }
  const HmpCommand* command = registry.find(name);
  if (command == nullptr) return fail(ENOENT, "unknown command: '", name, "'");
  return HmpLine{command, rest, command->name, std::string(name)};
}

Result<Json> hmp_parse_args(const HmpLine& line, const RegisterLookup& lookup) {
  Json args = Json::object();
  std::string_view text = line.rest;
  for (std::string_view list = line.command->args; !list.empty();) {
    const Declared d = next_declared(list);
    Json value = TRY(parse_one(line, d, text, list, lookup));
    if (!value.is_null()) args.set(d.name, std::move(value));
  }
  skip_blanks(text);
  if (!text.empty()) return fail(EINVAL, line.shown_name, ": extraneous characters at the end of line");
  return args;
}

}  // namespace rhea
