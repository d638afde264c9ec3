#include "tools/common/tool.h"

#include "backends/backend_types.h"
#include "block/cache_mode.h"
#include "block/drivers/drivers.h"
#include "block/graph/open.h"
#include "block/throttle/group_object.h"
#include "qom/user_creatable.h"
#include "util/keyval.h"
#include "util/log.h"

namespace rhea {

ToolImage::ToolImage(Tool& tool, std::string name, NodeRef, PermPair perms)
    : tool_(tool), name_(std::move(name)), backend_(tool.graph(), "", perms) {}

ToolImage::~ToolImage() {
  Result<> closed = tool_.run(tool_.co_remove(backend_));
  if (!closed) error_report(closed.error());
}

Result<std::unique_ptr<Tool>> Tool::create() {
  std::unique_ptr<AioContext> loop = TRY(AioContext::create("main"));
  std::unique_ptr<Tool> tool(new Tool(std::move(loop)));
  register_block_drivers(tool->graph_);
  return tool;
}

Tool::~Tool() {
  std::ignore = run(graph_.co_shutdown());
}

Result<> Tool::add_object(const std::string& text) {
  if (!std::exchange(types_registered_, true)) {
    register_backend_types(TypeRegistry::instance());
    register_throttle_types(TypeRegistry::instance());
  }
  if (text.starts_with('{')) return object_add(TRY(Json::parse(text)), ValueForm::kTyped);
  const Keyval parsed = TRY(keyval_parse(text, "qom-type"));
  return object_add(parsed.values, ValueForm::kKeyval);
}

CoResult<> Tool::co_insert(ToolImage& image, NodeRef node) {
  GraphWriteLock lock = co_await or_return(co_await graph_.co_lock());
  co_return co_await image.backend_.co_insert(lock, *node);
}

CoResult<> Tool::co_set_perm(BlockBackend& backend, PermPair perms) {
  GraphWriteLock lock = co_await or_return(co_await graph_.co_lock());
  co_return co_await backend.co_set_perm(lock, perms);
}

CoResult<> Tool::co_remove(BlockBackend& backend) {
  if (backend.node() == nullptr) co_return Result<>();
  GraphWriteLock lock = co_await or_return(co_await graph_.co_lock());
  co_await or_return(co_await backend.co_remove(lock));
  co_return co_await graph_.co_reap(lock);
}

namespace {

Result<OptionTree> image_options(const ImageRequest& r) {
  OptionTree options = r.options;
  if (r.image_opts) {
    const Keyval parsed = TRY(keyval_parse_flat(r.name));
    options = OptionTree::from_json(parsed.values);
  }
  const CacheMode mode = TRY(parse_cache_mode(r.cache));
  if (!r.format.empty()) options.set_default("driver", r.format, OptionOrigin::kExplicit);
  options.set_default("cache.direct", mode.direct, OptionOrigin::kDefault);
  options.set_default("cache.no-flush", mode.no_flush, OptionOrigin::kDefault);
  options.set_default("read-only", !r.writable, OptionOrigin::kDefault);
  if (r.writable) options.set_default("discard", r.discard, OptionOrigin::kDefault);
  if (r.force_share) options.set_default("force-share", true, OptionOrigin::kDefault);
  if (r.no_backing) options.set("backing", Json());
  return options;
}

Result<AioDefault> parse_aio(const std::string& text) {
  if (text.empty() || text == "threads") return AioDefault::kThreads;
  if (text == "native") return AioDefault::kNative;
  if (text == "io_uring") return AioDefault::kIoUring;
  return fail(EINVAL, "Invalid aio option: ", text);
}

}  // namespace

Result<std::unique_ptr<ToolImage>> Tool::open(const ImageRequest& r) {
  OptionTree options = TRY(image_options(r));
  const bool overlay = r.snapshot && r.writable;
  if (overlay) options.set("read-only", true);
  OpenRequest request(std::move(options), r.image_opts ? std::string() : r.name);
  request.for_check = r.for_check;
  request.copy_on_read = r.copy_on_read;
  request.aio = TRY(parse_aio(r.aio));
  const std::string prefix = r.name.empty() ? std::string() : str_cat("Could not open '", r.name, "': ");
  Result<NodeRef> node = run(co_open_node(graph_, std::move(request)));
  if (node && overlay) {
    NodeRef base = std::move(*node);
    node = run(co_open_temporary_overlay(graph_, std::move(base)));
  }
  if (!node) return Failure(std::move(node).error().prepend(prefix));
  PermPair perms{blk_perm::kConsistentRead, blk_perm::kAll};
  if (r.writable) perms.perm |= blk_perm::kWrite;
  if (r.resizable) perms.perm |= blk_perm::kResize;
  auto image = std::make_unique<ToolImage>(*this, r.name, *node, perms);
  Result<> inserted = run(co_insert(*image, *node));
  if (!inserted) return Failure(std::move(inserted).error().prepend(prefix));
  image->backend_.set_write_cache_enabled(TRY(parse_cache_mode(r.cache)).writeback);
  return image;
}

Result<OptionTree> parse_tool_options(const std::string& text, bool* help) {
  if (text.starts_with(',')) return fail(EINVAL, "Invalid option list: ", text);
  const Keyval parsed = TRY(keyval_parse_flat(text));
  if (help != nullptr) *help = parsed.help;
  return OptionTree::from_json(parsed.values);
}

Result<> show_snapshot(Tool& tool, const std::string& which, ToolImage& image) {
  const ImageDetails details = TRY(tool.run(image.node().co_details()));
  std::string id, name = which;
  const bool by_options = which.starts_with("snapshot.");
  if (by_options) {
    const OptionTree given = TRY(parse_tool_options(which, nullptr));
    const Json* i = given.get("snapshot.id");
    const Json* n = given.get("snapshot.name");
    id = i != nullptr && i->is_string() ? i->as_string() : std::string();
    name = n != nullptr && n->is_string() ? n->as_string() : std::string();
  }
  for (const ImageSnapshot& s : details.snapshots) {
    const bool found = by_options ? (id.empty() || s.id == id) && (name.empty() || s.name == name)
                                  : s.id == name || s.name == name;
    if (!found) continue;
    Result<> loaded = tool.run(image.node().co_snapshot_load(s.id));
    if (loaded) return {};
    return Failure(std::move(loaded).error().prepend("Failed to load snapshot: "));
  }
  return fail(ENOENT, "Failed to load snapshot: Can't find snapshot");
}

int report(const Error& error) {
  error_report(error);
  return 1;
}

}  // namespace rhea
