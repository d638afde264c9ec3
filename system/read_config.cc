// -readconfig: options out of a file of sections.
#include <cerrno>
#include <fstream>

#include "system/option_handlers.h"

namespace rhea {

namespace {

std::string_view trimmed(std::string_view s) {
  constexpr std::string_view kBlank = " \t\r";
  const size_t begin = s.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return {};
  return s.substr(begin, s.find_last_not_of(kBlank) - begin + 1);
}

/// A value of the key=value syntax.
std::string escaped(std::string_view value) {
  std::string out;
  for (char c : value) {
    if (c == ',') out += ',';
    out += c;
  }
  return out;
}

/// `[group]` or `[group "id"]`, collected until the next one.
struct Section {
  std::string group;
  OptionHandler handler = nullptr;
  std::string argument;
  int line = 0;  ///< of its last parameter

  void add(std::string_view name, std::string_view value) {
    if (!argument.empty()) argument += ',';
    str_append(argument, name, "=", escaped(value));
  }
};

/// The content of a string in quotes that ends `text`.
std::optional<std::string_view> unquoted(std::string_view text) {
  if (text.size() < 2 || text.front() != '"' || text.find('"', 1) != text.size() - 1) return std::nullopt;
  return text.substr(1, text.size() - 2);
}

Result<Section> section_of(std::string_view line) {
  if (!line.ends_with(']')) return fail(EINVAL, "parse error");
  std::string_view name = trimmed(line.substr(1, line.size() - 2)), id;
  if (const size_t quote = name.find('"'); quote != std::string_view::npos) {
    const auto inner = unquoted(name.substr(quote));
    if (!inner) return fail(EINVAL, "parse error");
    id = *inner;
    name = trimmed(name.substr(0, quote));
  }
  Section section;
  section.group = name;
  const OptionGroup* group = find_option_group(name);
  if (group != nullptr) section.handler = find_option_handler(group->option);
  if (section.handler == nullptr) return fail(ENOENT, "There is no option group '", name, "'");
  if (!id.empty()) section.add("id", id);
  return section;
}

class ConfigReader {
 public:
  ConfigReader(CommandLine& c, std::string_view name) : command_line_(c), name_(name) {}

  Result<> take_line(std::string_view text) {
    ++line_;
    text = trimmed(text);
    if (text.empty() || text.front() == '#') return {};
    if (text.front() == '[') {
      TRY(finish());
      auto section = section_of(text);
      if (!section) return here(std::move(section).error());
      section_ = std::move(*section);
      section_->line = line_;
      return {};
    }
    return take_parameter(text);
  }

  /// The section is complete: it is one option.
  Result<> finish() {
    if (!section_) return {};
    const Section done = std::move(*section_);
    section_.reset();
    Result<> r = done.handler(command_line_, done.argument);
    if (!r) return Failure(std::move(r).error().prepend(str_cat(name_, ":", done.line, ": ")));
    return {};
  }

 private:
  Result<> take_parameter(std::string_view text) {
    if (!section_) return here(Error(EINVAL, "no group defined"));
    const size_t equals = text.find('=');
    if (equals == std::string_view::npos) return here(Error(EINVAL, "parse error"));
    const std::string_view name = trimmed(text.substr(0, equals));
    const auto value = unquoted(trimmed(text.substr(equals + 1)));
    if (name.empty() || name.find_first_of(" \t,=") != std::string_view::npos || !value)
      return here(Error(EINVAL, "parse error"));
    section_->add(name, *value);
    section_->line = line_;
    return {};
  }
  Failure here(Error error) const {
    return Failure(std::move(error).prepend(str_cat(name_, ":", line_, ": ")));
  }

  CommandLine& command_line_;
  std::string name_;
  std::optional<Section> section_;
  int line_ = 0;
};

}  // namespace

Result<> opt_readconfig(CommandLine& c, std::string_view path) {
  const std::string name(path);
  std::ifstream file(name);
  if (!file) return fail_errno(errno, "Could not open '", name, "'");
  ConfigReader reader(c, name);
  for (std::string line; std::getline(file, line);) TRY(reader.take_line(line));
  if (file.bad()) return fail_errno(EIO, "Cannot read config file");
  return reader.finish();
}

}  // namespace rhea
