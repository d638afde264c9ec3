#include "block/graph/node_opener.h"

#include <bit>
#include <cstdio>

#include "block/graph/aligned_buffer.h"
#include "block/graph/io.h"
#include "util/log.h"
#include "util/thread_pool.h"

namespace rhea {

CoResult<NodeRef> NodeOpener::co_run() {
  if (!reference_.empty()) co_return co_await co_find_reference();
  co_await or_return(merge_json_filename());
  explicit_options_ = options_;
  inherit();
  co_await or_return(co_await co_fill_options());
  co_await or_return(take_flags());
  if (options_.get("driver") != nullptr) {
    const std::string name = *co_await or_return(options_.take_string("driver"));
    driver_ = graph_.find_driver(name);
    if (driver_ == nullptr) co_return fail(EINVAL, "Unknown driver '", name, "'");
  }
  handle_backing();
  if (!protocol_) co_await or_return(co_await co_open_file_child());
  if (driver_ == nullptr) co_await or_return(co_await co_probe());
  co_await or_return(check_common());
  co_await or_return(co_await co_open_driver());
  co_return std::move(node_);
}

CoResult<NodeRef> NodeOpener::co_find_reference() {
  if (!options_.empty() || !filename_.empty())
    co_return fail(EINVAL,
                   "Cannot reference an existing block device with additional options or a new filename");
  BlockDriverState* node = co_await or_return(graph_.lookup(reference_));
  co_return NodeRef(*node);
}

/// `json:{…}` counts as options, behind those given directly; the name is gone then.
Result<> NodeOpener::merge_json_filename() {
  if (!user_supplied_name_ || !filename_.starts_with("json:")) return {};
  Result<Json> parsed = Json::parse(std::string_view(filename_).substr(5));
  if (!parsed) return Failure(std::move(parsed).error().prepend("Could not parse the JSON options: "));
  if (!parsed->is_object()) return fail(EINVAL, "Invalid JSON object given");
  options_.merge_below(OptionTree::from_json(*parsed, OptionOrigin::kJsonFilename));
  filename_.clear();
  return {};
}

/// Each row: an option a child takes over from its parent while it says nothing itself.
void inherit_options(OptionTree& options, const ParentOptions& parent) {
  const OpenFlags& p = parent.flags;
  const bool cow = (parent.role & child_role::kCow) != 0;
  const auto from = OptionOrigin::kInherited;
  options.set_default("cache.direct", p.direct, from);
  options.set_default("cache.no-flush", p.no_flush, from);
  options.set_default("force-share", p.force_share, from);
  options.set_default("read-only", cow || p.read_only, cow ? OptionOrigin::kDefault : from);
  options.set_default("auto-read-only", !cow && p.auto_read_only, cow ? OptionOrigin::kDefault : from);
  options.set_default("discard", "unmap", OptionOrigin::kDefault);
}

void NodeOpener::inherit() {
  if (parent_ != nullptr) inherit_options(options_, *parent_);
}

/// Settles whether this node is storage itself, and turns a file name into options.
CoResult<> NodeOpener::co_fill_options() {
  protocol_ = parent_ != nullptr && (parent_->role & child_role::kCow) == 0;
  const BlockDriver* named = nullptr;
  if (const Json* driver = options_.get("driver"); driver != nullptr && driver->is_string()) {
    named = graph_.find_driver(driver->as_string());
    if (named == nullptr) co_return fail(EINVAL, "Unknown driver '", driver->as_string(), "'");
    protocol_ = named->is_protocol;
  }
  if (!protocol_) {
    const bool has_file = options_.has("file") || options_.has_below("file") || !filename_.empty();
    if (named == nullptr && !has_file) co_return fail(EINVAL, "Must specify either driver or file");
    co_return Result<>();
  }
  bool parse_filename = false;
  if (!filename_.empty()) {
    if (options_.has("filename"))
      co_return fail(EINVAL, "Can't specify 'file' and 'filename' options at the same time");
    options_.set("filename", filename_, OptionOrigin::kFilename);
    parse_filename = true;
  }
  const Json* given = options_.get("filename");
  const std::string name = given != nullptr && given->is_string() ? given->as_string() : std::string();
  if (named != nullptr) {
    driver_ = named;
  } else {
    if (given == nullptr) co_return fail(EINVAL, "Must specify either driver or file");
    co_await or_return(co_await co_guess_protocol(name, parse_filename));
    options_.set("driver", driver_->name, OptionOrigin::kFilename);
  }
  if (parse_filename && driver_->parse_filename != nullptr) {
    co_await or_return(driver_->parse_filename(name, options_));
    if (!driver_->needs_filename) options_.erase("filename");
  }
  co_return Result<>();
}

CoResult<> NodeOpener::co_guess_protocol(const std::string& name, bool parse_filename) {
  // Looking at a device node may wait for its server, so it happens on the pool.
  auto probe = [&] {
    const BlockDriver* best = nullptr;
    int best_score = 0;
    for (const BlockDriver* d : graph_.drivers()) {
      const int score = d->probe_device != nullptr ? d->probe_device(name) : 0;
      if (score > best_score) {
        best = d;
        best_score = score;
      }
    }
    return best;
  };
  driver_ = co_await thread_pool().co_run(probe);
  if (driver_ != nullptr) co_return Result<>();
  const std::string_view prefix =
      parse_filename && user_supplied_name_ ? protocol_prefix(name) : std::string_view();
  if (prefix.empty()) {
    driver_ = graph_.find_driver("file");
    if (driver_ == nullptr) co_return fail(EINVAL, "Unknown protocol 'file'");
    co_return Result<>();
  }
  for (const BlockDriver* d : graph_.drivers())
    if (d->speaks(prefix)) driver_ = d;
  if (driver_ == nullptr) co_return fail(EINVAL, "Unknown protocol '", prefix, "'");
  co_return Result<>();
}

Result<> take_open_flags(OptionTree& options, OpenFlags& flags) {
  flags.read_only = TRY(options.take_bool("read-only")).value_or(false);
  flags.auto_read_only = TRY(options.take_bool("auto-read-only")).value_or(false);
  flags.no_flush = TRY(options.take_bool("cache.no-flush")).value_or(false);
  flags.direct = TRY(options.take_bool("cache.direct")).value_or(false);
  flags.force_share = TRY(options.take_bool("force-share")).value_or(false);
  return {};
}

Result<> take_data_flags(OptionTree& options, OpenFlags& flags) {
  const auto discard =
      TRY(options.take_choice("discard", {"ignore", "off", "unmap", "on"}, "Invalid discard option"));
  flags.unmap = discard.value_or(0) >= 2;
  const Json* given = options.get("detect-zeroes");
  const std::string bad =
      str_cat("invalid parameter value: ",
              given != nullptr && given->is_string() ? given->as_string() : std::string());
  const auto detect = TRY(options.take_choice("detect-zeroes", {"off", "on", "unmap"}, bad));
  flags.detect_zeroes = static_cast<DetectZeroes>(detect.value_or(0));
  if (flags.detect_zeroes == DetectZeroes::kUnmap && !flags.unmap)
    return fail(EINVAL,
                "setting detect-zeroes to unmap is not allowed without setting discard operation to unmap");
  return {};
}

Result<> NodeOpener::take_flags() {
  TRY(take_open_flags(options_, flags_));
  flags_.protocol = protocol_;
  node_name_ = TRY(options_.take_string("node-name")).value_or("");
  return {};
}

/// `"backing": null`: the image is used without the backing file it names.
void NodeOpener::handle_backing() {
  const Json* backing = options_.get("backing");
  if (backing == nullptr) return;
  const bool empty = backing->is_string() && backing->as_string().empty();
  if (empty) warn_report("Use of \"backing\": \"\" is deprecated; use \"backing\": null instead");
  if (!backing->is_null() && !empty) return;
  options_.erase("backing");
  no_backing_ = true;
}

CoResult<> NodeOpener::co_open_file_child() {
  const bool given = options_.has("file") || options_.has_below("file") || !filename_.empty();
  if (!given) co_return fail(EINVAL, "A block device must be specified for \"file\"");
  const ParentOptions inherited{flags_, child_role::kImage};
  file_ = co_await or_return(
      co_await co_open_child_node(graph_, options_, "file", inherited, filename_, user_supplied_name_));
  co_return Result<>();
}

namespace {
void warn_probed_raw(const std::string& filename) {
  std::fprintf(stderr,
               "WARNING: Image format was not specified for '%s' and probing guessed raw.\n"
               "         Automatically detecting the format is dangerous for raw images, write operations on "
               "block 0 will be restricted.\n"
               "         Specify the 'raw' format explicitly to remove the restrictions.\n",
               filename.c_str());
}
}  // namespace

CoResult<> NodeOpener::co_probe() {
  if (file_->total_bytes() == 0 || !file_->is_inserted()) {
    driver_ = graph_.find_driver("raw");
    if (driver_ == nullptr)
      co_return fail(ENOENT, "Could not determine image format: No compatible driver found");
    co_return Result<>();
  }
  AlignedBuffer head;
  constexpr size_t kHeadBytes = 512;
  co_await or_return(head.allocate(kHeadBytes, kHeadBytes));
  const ByteRange first{0, kHeadBytes};
  Result<> read = co_await co_node_preadv(*file_, first, head.iov(kHeadBytes));
  if (!read) co_return fail_errno(read.error().errnum(), "Could not read image for determining its format");
  bool foreign = false;
  driver_ = probe_format(graph_, {head.data(), kHeadBytes}, &foreign);
  if (driver_ == nullptr)
    co_return fail(ENOENT, "Could not determine image format: No compatible driver found");
  flags_.probed = true;
  if (driver_->name == "raw" && !flags_.read_only) warn_probed_raw(file_->filename());
  co_return Result<>();
}

Result<> NodeOpener::check_common() {
  if (flags_.force_share && !flags_.read_only)
    return fail(EINVAL, "force-share=on can only be used with read-only images");
  if (driver_->needs_filename) {
    const Json* name = options_.get("filename");
    if (name == nullptr || (name->is_string() && name->as_string().empty()))
      return fail(EINVAL, "The '", driver_->name, "' block driver requires a file name");
  }
  if (flags_.copy_on_read && flags_.read_only)
    return fail(EINVAL, "Can't use copy-on-read on read-only device");
  return take_data_flags(options_, flags_);
}

CoResult<> NodeOpener::co_open_driver() {
  {
    GraphWriteLock lock = co_await or_return(co_await graph_.co_lock());
    node_ = co_await or_return(graph_.make_node(lock, *driver_, node_name_));
    node_->flags_ = flags_;
    node_->explicit_options_ = explicit_options_;
    if (file_) {
      const uint32_t role = node_->file_role(options_);
      Result<BdrvChild> edge = co_await graph_.co_attach(lock, *node_, *file_, "file", role);
      node_->file_ = co_await or_return(std::move(edge));
    }
  }
  effective_options_ = options_;
  const Json* name = options_.get("filename");
  const std::string filename = name != nullptr && name->is_string() ? name->as_string() : std::string();
  OpenContext ctx{graph_, options_, filename, *node_};
  co_await or_return(co_await node_->co_open(ctx));
  node_->opened_ = true;
  if (flags_.copy_on_read) node_->add_copy_on_read(1);
  if (!protocol_ && !no_backing_) co_await or_return(co_await co_open_backing());
  co_return co_await co_finish_node();
}

CoResult<> NodeOpener::co_finish_node() {
  BlockDriverState& node = *node_;
  Result<> length = co_await node.co_refresh_length();
  if (!length) co_return fail_errno(length.error().errnum(), "Could not refresh total sector count");
  node.refresh_limits(node.limits_);
  const BlockLimits& l = node.limits_;
  if (!std::has_single_bit(l.request_alignment) || !std::has_single_bit(l.memory_alignment) ||
      !std::has_single_bit(l.pwrite_zeroes_alignment))
    co_return fail(EINVAL, "Driver '", driver_->name, "' asks for an alignment that is no power of two");
  node.filename_ = node.exact_filename();
  if (node.filename_.empty()) node.filename_ = "json:" + node.full_options().dump();
  node.effective_options_ = std::move(effective_options_);
  co_return check_leftover();
}

Result<> NodeOpener::check_leftover() const {
  const std::vector<std::string> keys = options_.leftover();
  if (keys.empty()) return {};
  if (driver_->is_protocol)
    return fail(EINVAL, "Block protocol '", driver_->name, "' doesn't support the option '", keys[0], "'");
  return fail(EINVAL, "Block format '", driver_->name, "' does not support the option '", keys[0], "'");
}

CoResult<NodeRef> co_open_node(BlockGraph& graph, OpenRequest request) {
  Result<NodeRef> node;
  {
    NodeOpener opener(graph, std::move(request), nullptr);
    node = co_await opener.co_run();
  }  // what a failed one still held is let go of here
  if (!node) {
    GraphWriteLock lock = co_await or_return(co_await graph.co_lock());
    co_await or_return(co_await graph.co_reap(lock));
  }
  co_return node;
}

}  // namespace rhea
