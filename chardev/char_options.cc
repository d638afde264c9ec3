#include "chardev/char_options.h"

#include <algorithm>

#include "util/str.h"

namespace rhea {

namespace {

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/// Cuts the text up to the next single comma off `text`; ",," becomes a comma.
std::string next_piece(std::string_view& text) {
  std::string piece;
  size_t i = 0;
  for (; i < text.size(); ++i) {
    if (text[i] == ',') {
      if (i + 1 >= text.size() || text[i + 1] != ',') break;
      ++i;
    }
    piece += text[i];
  }
  text.remove_prefix(std::min(i + 1, text.size()));
  return piece;
}

/// "HOST:PORT" with the host possibly in brackets, to host= and port=.
Result<> set_host_port(CharOptions& options, std::string_view address) {
  size_t colon = address.rfind(':');
  std::string_view host = address.substr(0, colon);
  if (address.starts_with('[')) {
    const size_t close = address.find("]:");
    if (close == std::string_view::npos) return fail(EINVAL, "error parsing IPv6 address '", address, "'");
    host = address.substr(1, close - 1);
    colon = close + 1;
  }
  if (colon == std::string_view::npos) return fail(EINVAL, "error parsing address '", address, "'");
  options.set("host", host);
  options.set("port", address.substr(colon + 1));
  return {};
}

/// "[REMOTE-HOST]:REMOTE-PORT[@[LOCAL-HOST]:LOCAL-PORT]".
Result<> set_udp_addresses(CharOptions& options, std::string_view text) {
  const size_t at = text.find('@');
  if (at != std::string_view::npos) {
    CharOptions local;
    TRY(set_host_port(local, text.substr(at + 1)));
    options.set("localaddr", local.take("host"));
    options.set("localport", local.take("port"));
  }
  return set_host_port(options, text.substr(0, at));
}

}  // namespace

bool is_wellformed_id(std::string_view id) {
  if (id.empty() || !is_letter(id[0])) return false;
  return std::ranges::all_of(
      id, [](char c) { return is_letter(c) || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_'; });
}

CharOptions::Option* CharOptions::find(std::string_view key) {
  const auto it = std::ranges::find(options_, key, &Option::key);
  return it == options_.end() ? nullptr : &*it;
}

bool CharOptions::has(std::string_view key) const {
  return std::ranges::find(options_, key, &Option::key) != options_.end();
}

void CharOptions::set(std::string_view key, std::string_view value) {
  if (Option* option = find(key))
    option->value = value;
  else
    options_.push_back({std::string(key), std::string(value)});
}

std::string CharOptions::take(std::string_view key, std::string_view fallback) {
  Option* option = find(key);
  if (option == nullptr) return std::string(fallback);
  option->taken = true;
  return option->value;
}

Result<bool> CharOptions::take_bool(std::string_view key, bool fallback) {
  if (!has(key)) return fallback;
  const std::string value = take(key);
  if (value == "on" || value == "yes" || value == "true" || value == "y") return true;
  if (value == "off" || value == "no" || value == "false" || value == "n") return false;
  return fail(EINVAL, "Parameter '", key, "' expects 'on' or 'off'");
}

Result<uint64_t> CharOptions::take_number(std::string_view key, uint64_t fallback) {
  if (!has(key)) return fallback;
  uint64_t n;
  if (!parse_u64(take(key), n)) return fail(EINVAL, "Parameter '", key, "' expects a number");
  return n;
}

Result<uint64_t> CharOptions::take_size(std::string_view key, uint64_t fallback) {
  if (!has(key)) return fallback;
  uint64_t n;
  if (!parse_size(take(key), n)) return fail(EINVAL, "Parameter '", key, "' expects a size");
  return n;
}

Result<> CharOptions::check_all_taken() const {
  for (const Option& option : options_)
    if (!option.taken) return fail(EINVAL, "Invalid parameter '", option.key, "'");
  return {};
}

Result<> CharOptions::parse_list(std::string_view text) {
  while (!text.empty()) {
    const std::string piece = next_piece(text);
    const size_t equals = piece.find('=');
    if (equals != std::string::npos)
      set(std::string_view(piece).substr(0, equals), std::string_view(piece).substr(equals + 1));
    else if (piece.starts_with("no") && piece.size() > 2)
      set(std::string_view(piece).substr(2), "off");
    else if (!piece.empty())
      set(piece, "on");
  }
  return {};
}

Result<CharOptions> CharOptions::parse(std::string_view text) {
  CharOptions options;
  std::string first = next_piece(text);
  if (first.starts_with("backend=")) first.erase(0, sizeof("backend=") - 1);
  if (const size_t equals = first.find('='); equals != std::string::npos)
    options.set(std::string_view(first).substr(0, equals), std::string_view(first).substr(equals + 1));
  else
    options.backend_ = std::move(first);
  TRY(options.parse_list(text));
  if (options.has("backend")) options.backend_ = options.take("backend");
  return options;
}

Result<CharOptions> CharOptions::parse_legacy(std::string_view spec) {
  CharOptions options;
  if (spec.starts_with("mon:")) {
    spec.remove_prefix(4);
    options.set("mux", "on");
  }
  if (spec == "null" || spec == "pty" || spec == "stdio" || spec == "vc" || spec == "msmouse" ||
      spec == "braille" || spec == "testdev" || spec == "wctablet") {
    options.backend_ = spec;
    return options;
  }
  const size_t colon = spec.find(':');
  const std::string_view kind = spec.substr(0, colon);
  std::string_view rest = colon == std::string_view::npos ? std::string_view() : spec.substr(colon + 1);
  if (colon != std::string_view::npos && (kind == "file" || kind == "pipe" || kind == "vc")) {
    options.backend_ = kind;  // all that follows is the path, commas too
    options.set("path", rest);
    return options;
  }
  if (kind == "unix" && colon != std::string_view::npos) {
    options.backend_ = "socket";
    std::string path = next_piece(rest);
    constexpr std::string_view kKey = "path=";  // may be said or left out
    if (path.starts_with(kKey)) path.erase(0, kKey.size());
    options.set("path", path);
    TRY(options.parse_list(rest));
    return options;
  }
  if (kind == "udp" && colon != std::string_view::npos) {
    options.backend_ = "udp";
    TRY(set_udp_addresses(options, rest));
    return options;
  }
  if ((kind == "tcp" || kind == "telnet" || kind == "tn3270" || kind == "websocket") &&
      colon != std::string_view::npos) {
    options.backend_ = "socket";
    TRY(set_host_port(options, next_piece(rest)));
    TRY(options.parse_list(rest));
    if (kind != "tcp") options.set(kind, "on");
    return options;
  }
  if (spec.starts_with("/dev/")) {
    options.backend_ = spec.starts_with("/dev/parport") ? "parallel" : "serial";
    options.set("path", spec);
    return options;
  }
  return fail(EINVAL, "'", spec, "' is not a valid char driver");
}

}  // namespace rhea
