// rhea-img create.
#include <cstdio>

#include "block/drivers/create_options.h"
#include "block/graph/node_opener.h"
#include "tools/img/img.h"
#include "util/log.h"

namespace rhea::img {

namespace {

struct CreateRequest {
  std::string format = "raw", filename, backing_file, backing_format;
  std::vector<std::string> options;
  bool quiet = false;
  bool unsafe = false;  ///< the backing file need not be there
};

std::string_view type_text(CreateOption::Type t) {
  switch (t) {
    case CreateOption::Type::kSize:
      return "<size>";
    case CreateOption::Type::kNumber:
      return "<num>";
    case CreateOption::Type::kBool:
      return "<bool (on/off)>";
    case CreateOption::Type::kString:
      break;
  }
  return "<str>";
}

/// A value as it would be given: commas doubled.
std::string quoted(const std::string& text) {
  std::string out;
  for (const char c : text) out += c == ',' ? std::string(",,") : std::string(1, c);
  return out;
}

/// "name=value" for what was given and for what has a default, in the format's order.
std::string summary(const CreateRequest& r, const BlockDriver& driver, const OptionTree& options) {
  // First what makes up the format, then size and backing file, then how it is kept up.
  static constexpr std::string_view kOrder[] = {
      "encryption", "cluster_size",  "preallocation",  "extended_l2",   "compression_type",
      "nocow",      "size",          "compat",         "backing_file",  "backing_fmt",
      "data_file",  "data_file_raw", "lazy_refcounts", "refcount_bits", "extent_size_hint"};
  std::string out = str_cat("Formatting '", r.filename, "', fmt=", r.format);
  for (const std::string_view name : kOrder) {
    std::string value;
    if (const Json* given = options.get(name))
      value = given->is_string() ? given->as_string() : given->dump();
    for (const CreateOption& o : driver.create_options)
      if (o.name == name && value.empty()) value = std::string(o.default_value);
    if (value.empty()) continue;
    for (const CreateOption& o : driver.create_options) {
      uint64_t bytes = 0;
      if (o.name == name && o.type == CreateOption::Type::kSize && parse_size(value, bytes))
        value = str_cat(bytes);
    }
    str_append(out, " ", name, "=", quoted(value));
  }
  return out;
}

/// The size of the new disk where nobody says one: the backing file's.
Result<uint64_t> backing_bytes(Tool& tool, const CreateRequest& r, const std::string& file,
                               const std::string& format, std::string& detected) {
  ImageRequest request;
  request.name = TRY(resolve_backing_name(r.filename, file));
  request.format = format;
  Result<std::unique_ptr<ToolImage>> image = tool.open(request);
  if (!image) {  // the file's own message is enough
    const std::string prefix = str_cat("Could not open '", request.name, "': ");
    std::string text = image.error().message();
    if (text.starts_with(prefix + prefix)) text.erase(0, prefix.size());
    return Failure(Error(image.error().errnum(), std::move(text)).with_hint("Could not open backing image."));
  }
  detected = std::string((*image)->node().driver().name);
  return (*image)->bytes();
}

Result<> fill_in(Tool& tool, CreateRequest& r, const BlockDriver& driver, OptionTree& options) {
  const bool backs = driver.supports_backing;
  if (!r.backing_file.empty()) {
    if (!backs) return fail(EINVAL, "Backing file not supported for file format '", r.format, "'");
    options.set("backing_file", r.backing_file);
  }
  if (!r.backing_format.empty()) {
    if (!backs) return fail(EINVAL, "Backing format not supported for file format '", r.format, "'");
    options.set("backing_fmt", r.backing_format);
  }
  const Json* backing = options.get("backing_file");
  const std::string file = backing != nullptr && backing->is_string() ? backing->as_string() : std::string();
  const Json* given = options.get("backing_fmt");
  const std::string format = given != nullptr && given->is_string() ? given->as_string() : std::string();
  if (!format.empty() && tool.graph().find_driver(format) == nullptr)
    return fail(EINVAL, "Unknown backing file format '", format, "'");
  if (!file.empty() && file == r.filename)
    return fail(EINVAL, "Error: Trying to create an image with the same filename as the backing file");
  if (!file.empty() && !r.unsafe) {
    std::string detected;
    const uint64_t bytes = TRY(backing_bytes(tool, r, file, format, detected));
    if (format.empty())
      return Failure(Error(EINVAL, "Backing file specified without backing format")
                         .with_hint(str_cat("Detected format of ", detected, ".")));
    if (!options.has("size")) options.set("size", str_cat(bytes));
  }
  if (!file.empty() && format.empty()) return fail(EINVAL, "Backing file specified without backing format");
  if (!options.has("size")) return fail(EINVAL, "Image creation needs a size parameter");
  return {};
}

}  // namespace

void print_option_list(std::span<const CreateOption> options) {
  std::vector<CreateOption> all(options.begin(), options.end());
  std::ranges::sort(all, {}, &CreateOption::name);
  for (const CreateOption& o : all) {
    const std::string left = str_cat(o.name, "=", type_text(o.type));
    std::printf("  %-22s - %s\n", left.c_str(), std::string(o.help).c_str());
  }
}

int print_create_options(Tool& tool, const std::string& format, const std::string& filename) {
  const BlockDriver* d = tool.graph().find_driver(format);
  if (d == nullptr) return report(Error(EINVAL, str_cat("Unknown file format '", format, "'")));
  if (d->create_options.empty())
    return report(Error(EINVAL, str_cat("Format driver '", format, "' does not support image creation")));
  std::printf("Supported %soptions:\n", filename.empty() ? str_cat(format, " ").c_str() : "");
  std::vector<CreateOption> all(d->create_options.begin(), d->create_options.end());
  if (!filename.empty())
    if (const Result<const BlockDriver*> p = protocol_of(tool.graph(), filename); p)
      for (const CreateOption& o : (*p)->create_options)
        if (std::ranges::find(all, o.name, &CreateOption::name) == all.end()) all.push_back(o);
  print_option_list(all);
  if (filename.empty())
    std::printf(
        "\nThe protocol level may support further options.\nSpecify the target filename to include those "
        "options.\n");
  return 0;
}

int cmd_create(Tool& tool, int argc, char** argv) {
  CreateRequest r;
  ImageRequest image;
  Options options(tool, image, argc, argv, "f:F:b:o:qu");
  for (int c = 0; (c = options.next()) != -1;) {
    switch (c) {
      case -2:
        return options.status();
      case 'F':
        r.backing_format = options.value();
        break;
      case 'b':
        r.backing_file = options.value();
        break;
      case 'o':
        r.options.emplace_back(options.value());
        break;
      case 'u':
        r.unsafe = true;
        break;
    }
  }
  if (!image.format.empty()) r.format = image.format;
  r.quiet = options.quiet();
  int at = options.index();
  if (at < argc) r.filename = argv[at++];
  OptionTree tree;
  for (const std::string& text : r.options) {
    bool help = false;
    Result<OptionTree> parsed = parse_tool_options(text, &help);
    if (!parsed) return report(parsed.error());
    if (help) return print_create_options(tool, r.format, r.filename);
    for (const OptionTree::Entry& e : parsed->entries()) tree.set(e.key, e.value);
  }
  if (r.filename.empty()) return usage_error("Expecting image file name");
  if (at < argc) {
    uint64_t bytes = 0;
    if (!parse_size(argv[at], bytes))
      return report(Error(
          EINVAL,
          str_cat("Invalid image size specified! You must use k, M, G, T, P or E suffixes for kilobytes, "
                  "megabytes, gigabytes, terabytes, petabytes and exabytes.")));
    tree.set("size", str_cat(bytes));
    if (++at < argc) return usage_error("Unexpected argument: " + std::string(argv[at]));
  }
  const BlockDriver* driver = tool.graph().find_driver(r.format);
  if (driver == nullptr)
    return report(Error(EINVAL, str_cat(r.filename, ": Unknown file format '", r.format, "'")));
  if (driver->co_create == nullptr)
    return report(Error(
        ENOTSUP, str_cat(r.filename, ": Format driver '", r.format, "' does not support image creation")));
  if (Result<> ready = fill_in(tool, r, *driver, tree); !ready)
    return report(std::move(ready).error().prepend(str_cat(r.filename, ": ")));
  if (!r.quiet) {
    std::printf("%s\n", summary(r, *driver, tree).c_str());
    std::fflush(stdout);
  }
  Result<> made = tool.run(co_create_image_file(tool.graph(), r.format, r.filename, std::move(tree)));
  if (!made) return report(std::move(made).error().prepend(str_cat(r.filename, ": ")));
  return 0;
}

}  // namespace rhea::img
