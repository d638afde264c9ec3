#include "monitor/qmp_request.h"

#include "util/str.h"

namespace rhea {

namespace {

/// Reads the messages nearly all clients send most of the time, without building values: an object with
/// plain strings and integers.
class PlainScanner {
 public:
  explicit PlainScanner(std::string_view text) : p_(text.data()), end_(p_ + text.size()) {}

  bool symbol(char c) {
    skip_blanks();
    if (p_ == end_ || *p_ != c) return false;
    ++p_;
    return true;
  }
  /// A string without escapes, ASCII only; `out` is what stands between the quotes.
  bool string(std::string_view& out) {
    if (!symbol('"')) return false;
    const char* begin = p_;
    while (p_ != end_ && *p_ >= 0x20 && *p_ < 0x7f && *p_ != '"' && *p_ != '\\') ++p_;
    if (p_ == end_ || *p_ != '"') return false;
    out = {begin, static_cast<size_t>(p_++ - begin)};
    return true;
  }
  /// A string or integer in the form in which it would be written; `out` is its text.
  bool plain_value(std::string_view& out) {
    skip_blanks();
    const char* begin = p_;
    std::string_view content;
    if (p_ != end_ && *p_ == '"') {
      if (!string(content)) return false;
    } else if (!integer()) {
      return false;
    }
    out = {begin, static_cast<size_t>(p_ - begin)};
    return true;
  }
  bool at_end() {
    skip_blanks();
    return p_ == end_;
  }

 private:
  void skip_blanks() {
    while (p_ != end_ && (*p_ == ' ' || *p_ == '\t' || *p_ == '\r' || *p_ == '\n')) ++p_;
  }
  bool integer() {
    const char* begin = p_;
    while (p_ != end_ && *p_ >= '0' && *p_ <= '9') ++p_;
    const auto digits = p_ - begin;
    return digits >= 1 && digits <= 18 && (*begin != '0' || digits == 1);
  }
  const char* p_;
  const char* end_;
};

}  // namespace

bool QmpRequest::parse_plain(std::string_view text) {
  PlainScanner in(text);
  bool have_command = false, have_id = false, have_arguments = false;
  if (!in.symbol('{')) return false;
  do {
    std::string_view key, value;
    if (!in.string(key) || !in.symbol(':')) return false;
    if (key == "execute" && !have_command) {
      if (!in.string(value)) return false;
      command.assign(value);
      have_command = true;
    } else if (key == "id" && !have_id) {
      if (!in.plain_value(value)) return false;
      id.assign(value);
      have_id = true;
    } else if (key == "arguments" && !have_arguments) {
      if (!in.symbol('{') || !in.symbol('}')) return false;
      have_arguments = true;
    } else {
      return false;
    }
  } while (in.symbol(','));
  return in.symbol('}') && in.at_end() && have_command;
}

Result<> QmpRequest::take_members(Json& message, bool allow_oob) {
  std::string_view verb;
  for (auto& [key, value] : message.as_object()) {
    if (key == "execute" || (key == "exec-oob" && allow_oob)) {
      if (!value.is_string()) return fail(EINVAL, "QMP input member '", key, "' must be a string");
      if (!verb.empty()) return fail(EINVAL, "QMP input member '", key, "' clashes with '", verb, "'");
      verb = key;
      command = std::move(value.as_string());
      oob = key == "exec-oob";
    } else if (key == "arguments") {
      if (!value.is_object()) return fail(EINVAL, "QMP input member 'arguments' must be an object");
      arguments = std::move(value);
    } else if (key != "id") {
      return fail(EINVAL, "QMP input member '", key, "' is unexpected");
    }
  }
  if (verb.empty()) return fail(EINVAL, "QMP input lacks member 'execute'");
  return {};
}

Result<> QmpRequest::parse(std::string_view text, bool allow_oob) {
  id.clear();
  oob = false;
  arguments = Json::object();
  if (parse_plain(text)) return {};
  id.clear();
  Json message = TRY(Json::parse(text));
  if (!message.is_object()) return fail(EINVAL, "QMP input must be a JSON object");
  if (const Json* given = message.find("id")) given->write(id);
  return take_members(message, allow_oob);
}

void qmp_append_error(std::string& out, std::string_view id, const Error& error) {
  out += '{';
  if (!id.empty()) str_append(out, "\"id\": ", id, ", ");
  str_append(out, "\"error\": {\"class\": \"", error_class_name(error.error_class()), "\", \"desc\": ");
  json_write_string(out, error.message());
  out += "}}\r\n";
}

void qmp_end_return(std::string& out, std::string_view id) {
  if (!id.empty()) str_append(out, ", \"id\": ", id);
  out += "}\r\n";
}

std::string qmp_pretty(std::string_view line) {
  std::string out;
  auto message = Json::parse(line);
  if (!message) return std::string(line);  // our own output parses
  std::string text;
  message->write_pretty(text);
  for (char c : text) {
    if (c == '\n') out += '\r';
    out += c;
  }
  out += "\r\n";
  return out;
}

}  // namespace rhea
