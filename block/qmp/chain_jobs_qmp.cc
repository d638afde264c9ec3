// block-stream, block-commit, blockdev-mirror: what they are told, checked in the order clients know.
#include <bit>

#include "block/graph/chain.h"
#include "block/graph/image_ops.h"
#include "block/graph/node_opener.h"
#include "block/graph/open.h"
#include "block/jobs/chain_jobs.h"
#include "block/jobs/mirror_job.h"
#include "block/qmp/job_args.h"
#include "qapi/qapi_commands_job.h"
#include "qapi/qmp_context.h"
#include "qapi/visit.h"

namespace rhea {

namespace {

/// By its own name only.
Result<BlockDriverState*> node_by_name(const BlockGraph& graph, const std::string& name) {
  BlockDriverState* node = graph.find_node(name);
  if (node == nullptr || !node->is_open())
    return fail(ENOENT, "Cannot find device='' nor node-name='", name, "'");
  return node;
}

Result<JobSet*> job_set(QmpContext& ctx) {
  if (ctx.jobs == nullptr) return fail(ENODEV, "This program has no jobs");
  return ctx.jobs;
}

/// The image below `top` that is called `filename`, by its own name or as the image above remembers it.
BlockDriverState* find_backing_image(BlockDriverState& top, const std::string& filename) {
  BlockDriverState* above = &skip_filters(top);
  for (BlockDriverState* n = backing_chain_next(*above); n != nullptr;
       above = n, n = backing_chain_next(*n)) {
    if (n->filename() == filename || above->backing_name().file == filename) return n;
    const Result<std::string> full = resolve_backing_name(above->filename(), filename);
    if (full && n->filename() == *full) return n;
  }
  return nullptr;
}

Result<> check_filter_name(const BlockGraph& graph, const std::optional<std::string>& name) {
  return name ? graph.check_node_name(*name) : Result<>();
}

Result<BlockDriverState*> stream_base(QmpContext& ctx, const BlockStreamArgs& args, BlockDriverState& top) {
  if (args.base) {
    BlockDriverState* base = find_backing_image(top, *args.base);
    if (base == nullptr) return fail(ENOENT, "Can't find '", *args.base, "' in the backing chain");
    return base;
  }
  if (args.base_node) {
    BlockDriverState* base = TRY(node_by_name(ctx.graph, *args.base_node));
    if (base == &top || !chain_contains(top, *base))
      return fail(EINVAL, "Node '", *args.base_node, "' is not a backing image of '", args.device, "'");
    return base;
  }
  if (args.bottom) {
    BlockDriverState* bottom = TRY(node_by_name(ctx.graph, *args.bottom));
    if (bottom->driver().is_filter)
      return fail(EINVAL, "Node '", *args.bottom, "' is a filter, use a non-filter node as 'bottom'");
    if (!chain_contains(top, *bottom))
      return fail(EINVAL, "Node '", *args.bottom, "' is not in a chain starting from '", args.device, "'");
    return cow_child(*bottom);
  }
  return static_cast<BlockDriverState*>(nullptr);
}

Result<> check_chain_free(const JobSet& jobs, BlockDriverState& top, const BlockDriverState* base) {
  for (BlockDriverState* n = &top; n != nullptr && n != base; n = filter_or_cow_child(*n))
    TRY(jobs.check_free(*n));
  return {};
}

Result<BlockDriverState*> commit_top(QmpContext& ctx, const BlockCommitArgs& args, BlockDriverState& active) {
  if (args.top_node) {
    BlockDriverState* top = TRY(node_by_name(ctx.graph, *args.top_node));
    if (!chain_contains(active, *top))
      return fail(EINVAL, "'", *args.top_node, "' is not in this backing file chain");
    return top;
  }
  if (!args.top || active.filename() == *args.top) return &active;
  BlockDriverState* top = find_backing_image(active, *args.top);
  if (top == nullptr) return fail(ENOENT, "Top image file ", *args.top, " not found");
  return top;
}

Result<BlockDriverState*> commit_base(QmpContext& ctx, const BlockCommitArgs& args, BlockDriverState& top) {
  if (args.base_node) {
    BlockDriverState* base = TRY(node_by_name(ctx.graph, *args.base_node));
    if (!chain_contains(top, *base))
      return fail(EINVAL, "'", *args.base_node, "' is not in this backing file chain");
    return base;
  }
  if (!args.base) {
    BlockDriverState* base = &chain_end(top);
    if (base == &skip_filters(top)) return fail(EINVAL, "There is no backimg image");
    return base;
  }
  BlockDriverState* base = find_backing_image(top, *args.base);
  if (base == nullptr) return fail(ENOENT, "Can't find '", *args.base, "' in the backing chain");
  return base;
}

/// True if somebody writes to the image: it is committed like the active one.
bool has_writers(const BlockDriverState& node) {
  for (const BlockEdge* e : node.parents())
    if (e->parent_backend != nullptr) return true;
  return false;
}

}  // namespace

CoResult<> qmp_block_stream(QmpContext& ctx, BlockStreamArgs args) {
  JobSet& jobs = *co_await or_return(job_set(ctx));
  if (args.base && args.base_node)
    co_return fail(EINVAL, "'base' and 'base-node' cannot be specified at the same time");
  if (args.base && args.bottom)
    co_return fail(EINVAL, "'base' and 'bottom' cannot be specified at the same time");
  if (args.bottom && args.base_node)
    co_return fail(EINVAL, "'bottom' and 'base-node' cannot be specified at the same time");
  BlockDriverState* top = co_await or_return(root_node(ctx.graph, args.device));
  BlockDriverState* base = co_await or_return(stream_base(ctx, args, *top));
  co_await or_return(check_chain_free(jobs, *top, base));
  if (base == nullptr && args.backing_file)
    co_return fail(EINVAL, "backing file specified, but streaming the entire chain");
  if (args.filter_node_name) co_await or_return(check_filter_name(ctx.graph, args.filter_node_name));
  ChainJobOptions options;
  options.block = co_await or_return(job_options(args, *top));
  options.block.on_source_error = args.on_error.value_or(BlockdevOnError::kReport);
  options.filter_name = args.filter_node_name.value_or("");
  options.backing_file = args.backing_file.value_or("");
  NodeRef on(*top), below;
  if (base != nullptr) below = NodeRef(*base);
  co_return co_await co_start_stream(jobs, std::move(on), std::move(below), std::move(options));
}

CoResult<> qmp_block_commit(QmpContext& ctx, BlockCommitArgs args) {
  JobSet& jobs = *co_await or_return(job_set(ctx));
  if (args.top_node && args.top) co_return fail(EINVAL, "'top-node' and 'top' are mutually exclusive");
  if (args.base_node && args.base) co_return fail(EINVAL, "'base-node' and 'base' are mutually exclusive");
  Result<BlockDriverState*> found = root_node(ctx.graph, args.device);
  if (!found && found.error().errnum() == ENOENT)
    co_return fail_class(ErrorClass::kDeviceNotFound, ENOENT, "Device '", args.device, "' not found");
  BlockDriverState* active = co_await or_return(std::move(found));
  BlockDriverState* top = co_await or_return(commit_top(ctx, args, *active));
  BlockDriverState* base = co_await or_return(commit_base(ctx, args, *top));
  if (top == base) co_return fail(EINVAL, "cannot commit an image into itself");
  co_await or_return(jobs.check_free(*active));
  co_await or_return(check_chain_free(jobs, *top, filter_or_cow_child(*base)));
  co_await or_return(check_filter_name(ctx.graph, args.filter_node_name));
  const bool is_active = top == active || has_writers(*top);
  if (is_active && args.backing_file)
    co_return fail(EINVAL, top == active ? "'backing-file' specified, but 'top' is the active layer"
                                         : "'backing-file' specified, but 'top' has a writer on it");
  BlockJobOptions block = co_await or_return(job_options(args, *active));
  block.on_source_error = block.on_target_error = args.on_error.value_or(BlockdevOnError::kReport);
  NodeRef from(*top), into(*base);
  if (!is_active) {
    if (BlockDriverState* above = chain_overlay(*active, *top); above != nullptr)
      co_await or_return(jobs.check_free(*above));
    ChainJobOptions options;
    options.block = std::move(block);
    options.filter_name = args.filter_node_name.value_or("");
    options.backing_file = args.backing_file.value_or("");
    NodeRef above(*active);
    co_return co_await co_start_commit(jobs, std::move(above), std::move(from), std::move(into),
                                       std::move(options));
  }
  MirrorOptions options;
  options.block = std::move(block);
  options.commit = true;
  options.zero_target = false;
  options.filter_name = args.filter_node_name.value_or("");
  const bool read_only = into->read_only();
  co_await or_return(jobs.check_id(options.block.job.id));
  co_await or_return(co_await co_set_read_only(ctx.graph, into, false));
  Result<> started = co_await co_start_mirror(jobs, std::move(from), into, std::move(options));
  if (!started && read_only) std::ignore = co_await co_set_read_only(ctx.graph, into, true);
  co_return started;
}

namespace {

/// What both kinds of mirror have in common is checked and filled in.
template <class Args>
Result<MirrorOptions> mirror_options(QmpContext& ctx, const Args& args, BlockDriverState& source,
                                     BlockDriverState& target) {
  const uint64_t granularity = args.granularity.value_or(0);
  if (granularity != 0 && (granularity < 512 || granularity > uint64_t{64} << 20))
    return fail(EINVAL, "Parameter 'granularity' expects a value in range [512B, 64MB]");
  if (granularity != 0 && !std::has_single_bit(granularity))
    return fail(EINVAL, "Parameter 'granularity' expects a power of 2");
  TRY(ctx.jobs->check_free(source));
  TRY(ctx.jobs->check_free(target));
  if (args.replaces) {
    const BlockDriverState* node = ctx.graph.find_node(*args.replaces);
    if (node == nullptr || !node->is_open())
      return fail(ENOENT, "Failed to find node with node-name='", *args.replaces, "'");
    if (!is_reachable(source, *node))
      return fail(EINVAL, "Cannot replace '", *args.replaces, "' by a node mirrored from '", args.device,
                  "', because it cannot be guaranteed that doing so would not lead to an abrupt change of "
                  "visible data");
    if (node->total_bytes() != source.total_bytes())
      return fail(EINVAL, "cannot replace image with a mirror image of different size");
  }
  if (args.sync == MirrorSyncMode::kIncremental || args.sync == MirrorSyncMode::kBitmap)
    return fail(EINVAL, "Sync mode '", to_string(args.sync), "' not supported");
  if (&source == &target) return fail(EINVAL, "Can't mirror node into itself");
  MirrorOptions options;
  options.block = TRY(job_options(args, source));
  options.block.on_source_error = args.on_source_error.value_or(BlockdevOnError::kReport);
  options.block.on_target_error = args.on_target_error.value_or(BlockdevOnError::kReport);
  using Sync = MirrorOptions::Sync;
  options.sync = args.sync == MirrorSyncMode::kFull  ? Sync::kFull
                 : args.sync == MirrorSyncMode::kTop ? Sync::kTop
                                                     : Sync::kNone;
  if (options.sync == Sync::kTop && backing_chain_next(source) == nullptr) options.sync = Sync::kFull;
  options.zero_target = args.sync == MirrorSyncMode::kFull;
  options.granularity = granularity;
  options.write_blocking = args.copy_mode == MirrorCopyMode::kWriteBlocking;
  options.replaces = args.replaces.value_or("");
  return options;
}

/// Makes the image of a drive-mirror if it is to be made, and opens it without its backing file.
CoResult<NodeRef> co_open_mirror_target(BlockGraph& graph, const DriveMirror& args, NodeRef source) {
  const bool existing = args.mode == NewImageMode::kExisting;
  std::string format = args.format.value_or(existing ? "" : std::string(source->driver().name));
  BlockDriverState* below = cow_child(skip_filters(*source));
  if (args.sync == MirrorSyncMode::kNone) below = source.get();
  if (!existing) {
    OptionTree making;
    making.set("size", source->total_bytes());
    if (args.sync != MirrorSyncMode::kFull && below != nullptr) {
      making.set("backing_file", below->filename());
      making.set("backing_fmt", skip_filters(*below).driver().name);
    }
    co_await or_return(co_await co_create_image_file(graph, format, args.target, std::move(making)));
  }
  OptionTree options;
  if (!format.empty()) options.set("driver", format);
  if (args.node_name) options.set("node-name", *args.node_name);
  if (format != "raw") options.set("backing", Json());
  options.set("cache.direct", source->flags().direct);
  options.set("cache.no-flush", source->flags().no_flush);
  options.set("discard", source->flags().unmap ? "unmap" : "ignore");
  OpenRequest request(std::move(options), args.target);
  co_return co_await co_open_node(graph, std::move(request));
}

}  // namespace

CoResult<> qmp_blockdev_mirror(QmpContext& ctx, BlockdevMirrorArgs args) {
  JobSet& jobs = *co_await or_return(job_set(ctx));
  BlockDriverState* source = co_await or_return(root_node(ctx.graph, args.device));
  BlockDriverState* target = co_await or_return(ctx.graph.lookup(args.target));
  MirrorOptions options = co_await or_return(mirror_options(ctx, args, *source, *target));
  co_await or_return(check_filter_name(ctx.graph, args.filter_node_name));
  options.filter_name = args.filter_node_name.value_or("");
  NodeRef from(*source), to(*target);
  co_return co_await co_start_mirror(jobs, std::move(from), std::move(to), std::move(options));
}

CoResult<> qmp_drive_mirror(QmpContext& ctx, DriveMirror args) {
  JobSet& jobs = *co_await or_return(job_set(ctx));
  NodeRef source(*co_await or_return(root_node(ctx.graph, args.device)));
  co_await or_return(jobs.check_free(*source));
  if (args.replaces && !args.node_name)
    co_return fail(EINVAL, "a node-name must be provided when replacing a named node of the graph");
  NodeRef target = co_await or_return(co_await co_open_mirror_target(ctx.graph, args, source));
  Result<MirrorOptions> checked = mirror_options(ctx, args, *source, *target);
  Result<> started;
  if (checked) {
    MirrorOptions options = std::move(*checked);
    const bool existing = args.mode == NewImageMode::kExisting;
    options.zero_target = args.sync == MirrorSyncMode::kFull && existing;
    options.unmap = args.unmap.value_or(true);
    options.take_over_backing = !existing;
    options.open_backing = existing;
    started = co_await co_start_mirror(jobs, std::move(source), std::move(target), std::move(options));
  } else {
    started = Failure(std::move(checked).error());
  }
  target.reset();
  GraphWriteLock lock = co_await or_return(co_await ctx.graph.co_lock());
  co_await or_return(co_await ctx.graph.co_reap(lock));
  co_return started;
}

}  // namespace rhea
