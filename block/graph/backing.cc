// Children of a node beyond its file: the backing file an image names, and whatever else a driver opens.
#include "block/graph/io.h"
#include "block/graph/node_opener.h"

namespace rhea {

Result<std::string> resolve_backing_name(const std::string& base, const std::string& name) {
  if (name.empty() || name.starts_with('/') || !protocol_prefix(name).empty()) return name;
  if (base.empty() || base.starts_with("json:"))
    return fail(EINVAL, "Cannot use relative backing file names for '", base, "'");
  const size_t slash = base.rfind('/');
  return slash == std::string::npos ? name : str_cat(std::string_view(base).substr(0, slash + 1), name);
}

CoResult<NodeRef> co_open_child_node(BlockGraph& graph, OptionTree& options, const std::string& name,
                                     ParentOptions parent, std::string filename, bool user_supplied_name) {
  OpenRequest request(options.extract(name), std::move(filename));
  request.user_supplied_name = user_supplied_name;
  if (const Json* reference = options.get(name); reference != nullptr) {
    if (!reference->is_string())
      co_return fail(EINVAL, "Invalid parameter type for '", name, "', expected: object");
    request.reference = *co_await or_return(options.take_string(name));
  }
  if (request.reference.empty() && request.filename.empty() && request.options.empty()) co_return NodeRef();
  NodeOpener child(graph, std::move(request), &parent);
  co_return co_await child.co_run();
}

CoResult<BdrvChild> OpenContext::co_open_child(std::string name, uint32_t role, std::string default_name) {
  const ParentOptions parent{node.flags(), role};
  // Options that only add to what a name says leave the name alone.
  const bool described = options.has(name) || options.has(str_cat(name, ".driver")) ||
                         options.has(str_cat(name, ".filename")) || options.has(str_cat(name, ".file")) ||
                         options.has_below(str_cat(name, ".file"));
  if (described) default_name.clear();
  NodeRef child = co_await or_return(
      co_await co_open_child_node(graph, options, name, parent, std::move(default_name), false));
  if (!child) co_return BdrvChild();
  GraphWriteLock lock = co_await or_return(co_await graph.co_lock());
  co_return co_await graph.co_attach(lock, node, *child, std::move(name), role);
}

/// The options say what the backing file is; where they are silent the image does.
CoResult<> NodeOpener::co_open_backing() {
  const bool by_options = options_.has("backing") || options_.has_below("backing");
  const BackingName& own = node_->backing_name();
  if (!by_options && own.file.empty()) co_return Result<>();
  if (!driver_->supports_backing) co_return fail(EINVAL, "Driver doesn't support backing files");
  const bool elsewhere = options_.has("backing") || options_.has_below("backing.file") ||
                         options_.has("backing.file") || own.file.empty();
  std::string filename;
  if (!elsewhere) filename = co_await or_return(resolve_backing_name(file_->filename(), own.file));
  if (!options_.has("backing") && !own.format.empty())
    options_.set_default("backing.driver", own.format, OptionOrigin::kImage);
  const ParentOptions parent{flags_, child_role::kCow | child_role::kData};
  Result<NodeRef> backing =
      co_await co_open_child_node(graph_, options_, "backing", parent, std::move(filename), false);
  if (!backing) co_return Failure(std::move(backing).error().prepend("Could not open backing file: "));
  if (!*backing) co_return Result<>();
  GraphWriteLock lock = co_await or_return(co_await graph_.co_lock());
  Result<BdrvChild> edge = co_await graph_.co_attach(lock, *node_, **backing, "backing", parent.role);
  node_->backing_ = co_await or_return(std::move(edge));
  co_return Result<>();
}

}  // namespace rhea
