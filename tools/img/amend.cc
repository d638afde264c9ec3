// rhea-img amend.
#include <cstdio>

#include "tools/img/img.h"
#include "tools/img/progress.h"
#include "util/log.h"

namespace rhea::img {

namespace {

int print_amend_options(Tool& tool, const std::string& format) {
  const BlockDriver* d = tool.graph().find_driver(format);
  if (d == nullptr) return report(Error(EINVAL, str_cat("Unknown file format '", format, "'")));
  if (d->amend_options.empty())
    return report(Error(ENOTSUP, str_cat("Format driver '", format, "' does not support option amendment")));
  std::printf("Amend options for '%s':\n", format.c_str());
  print_option_list(d->amend_options);
  return 0;
}

/// What `options` names must be among the amendable ones.
Result<> check_names(const BlockDriver& driver, const OptionTree& options) {
  const auto in = [](std::span<const CreateOption> list, std::string_view name) {
    return std::ranges::find(list, name, &CreateOption::name) != list.end();
  };
  for (const OptionTree::Entry& e : options.entries()) {
    if (in(driver.amend_options, e.key)) continue;
    Error unknown(EINVAL, str_cat("Invalid parameter '", e.key, "'"));
    if (in(driver.create_options, e.key) || e.key == "encryption")
      unknown = std::move(unknown).with_hint("This option is only supported for image creation");
    return Failure(std::move(unknown));
  }
  return {};
}

}  // namespace

int cmd_amend(Tool& tool, int argc, char** argv) {
  static constexpr option kLong[] = {{"force", no_argument, nullptr, kForce}};
  ImageRequest request;
  std::vector<std::string> texts;
  Options options(tool, request, argc, argv, "ho:f:t:pq", kLong);
  for (int c = 0; (c = options.next()) != -1;) {
    switch (c) {
      case -2:
        return options.status();
      case 'o':
        texts.emplace_back(options.value());
        break;
      case 't':
        request.cache = options.value();
        break;
      case kForce:
        break;  // only images that can lose their last key ask for it
    }
  }
  if (texts.empty()) return usage_error("Must specify options (-o)");
  OptionTree tree;
  bool help = false;
  for (const std::string& text : texts) {
    bool wants_help = false;
    Result<OptionTree> parsed = parse_tool_options(text, &wants_help);
    if (!parsed) return report(parsed.error());
    help |= wants_help;
    for (const OptionTree::Entry& e : parsed->entries()) tree.set(e.key, e.value);
  }
  const bool named = options.index() == argc - 1;
  if (help && !request.format.empty()) return print_amend_options(tool, request.format);
  if (!named) return usage_error("Expecting one image file name");
  request.name = argv[options.index()];
  request.writable = request.resizable = true;
  Result<std::unique_ptr<ToolImage>> image = tool.open(request);
  if (!image) return report(image.error());
  const BlockDriver& driver = (*image)->node().driver();
  if (help) return print_amend_options(tool, std::string(driver.name));
  if (driver.amend_options.empty())
    return report(
        Error(ENOTSUP, str_cat("Format driver '", driver.name, "' does not support option amendment")));
  if (const Result<> known = check_names(driver, tree); !known) return report(known.error());
  Progress bar(options.progress());
  Result<> done = tool.run((*image)->node().co_amend(tree));
  bar.end(done.has_value());
  return done ? 0 : report(done.error());
}

}  // namespace rhea::img
