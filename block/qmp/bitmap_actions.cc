// Dirty bitmaps: add, remove, clear, enable, disable, merge; as commands and in transactions.
#include <algorithm>

#include "block/graph/bitmap_ops.h"
#include "block/graph/chain.h"
#include "block/qmp/transaction.h"
#include "qapi/qapi_commands_transaction.h"

namespace rhea {

namespace {

struct FoundBitmap {
  FoundBitmap() = default;
  FoundBitmap(NodeRef n, std::shared_ptr<DirtyBitmap> b) : node(std::move(n)), bitmap(std::move(b)) {}
  NodeRef node;
  std::shared_ptr<DirtyBitmap> bitmap;
};

Result<BlockDriverState*> bitmap_node(const BlockGraph& graph, const std::string& name) {
  Result<BlockDriverState*> node = graph.lookup(name);
  if (!node) return fail(ENOENT, "Node '", name, "' not found");
  return &skip_implicit_filters(**node);
}

Result<FoundBitmap> find_bitmap(const BlockGraph& graph, const std::string& node, const std::string& name) {
  BlockDriverState* bs = TRY(bitmap_node(graph, node));
  for (const auto& b : bs->bitmaps().all())
    if (!name.empty() && b->name() == name) return FoundBitmap(NodeRef(*bs), b);
  return fail(ENOENT, "Dirty bitmap '", name, "' not found");
}

class BitmapAdd final : public BlockAction {
 public:
  explicit BitmapAdd(BlockDirtyBitmapAdd args) : args_(std::move(args)) {}
  CoResult<> co_prepare(BlockGraph& graph, GraphWriteLock& lock) override {
    if (args_.name.empty()) co_return fail(EINVAL, "Bitmap name cannot be empty");
    node_ = NodeRef(*co_await or_return(graph.lookup(args_.node)));
    node_ = NodeRef(skip_implicit_filters(*node_));
    const uint64_t granularity = args_.granularity.value_or(0);
    if (args_.granularity && granularity == 0)
      co_return fail(EINVAL, "Granularity must be power of 2 and at least ", DirtyBitmap::kMinGranularity);
    const bool persistent = args_.persistent.value_or(false), enabled = !args_.disabled.value_or(false);
    bitmap_ =
        co_await or_return(co_await co_make_bitmap(*node_, args_.name, granularity, persistent, enabled));
    const DrainedSection drained = co_await or_return(co_await graph.co_drain(lock, *node_));
    node_->add_bitmap(bitmap_);
    co_return Result<>();
  }
  CoResult<> co_abort(BlockGraph&, GraphWriteLock&) override {
    node_->remove_bitmap(*bitmap_);
    co_return Result<>();
  }

 private:
  const BlockDirtyBitmapAdd args_;
  NodeRef node_;
  std::shared_ptr<DirtyBitmap> bitmap_;
};

class BitmapRemove final : public BlockAction {
 public:
  explicit BitmapRemove(BlockDirtyBitmap args) : args_(std::move(args)) {}
  CoResult<> co_prepare(BlockGraph& graph, GraphWriteLock& lock) override {
    found_ = co_await or_return(find_bitmap(graph, args_.node, args_.name));
    co_await or_return(check_bitmap(*found_.bitmap, kNotBusy | kNotReadOnly));
    const DrainedSection drained = co_await or_return(co_await graph.co_drain(lock, *found_.node));
    was_persistent_ = found_.bitmap->persistent();
    found_.node->remove_bitmap(*found_.bitmap);
    co_return Result<>();
  }
  CoResult<> co_abort(BlockGraph&, GraphWriteLock&) override {
    found_.node->add_bitmap(found_.bitmap);
    co_return Result<>();
  }
  /// What is stored goes last: that cannot be undone.
  CoResult<> co_end(BlockGraph& graph) override {
    if (!was_persistent_) co_return Result<>();
    GraphWriteLock lock = co_await or_return(co_await graph.co_lock());
    const DrainedSection drained = co_await or_return(co_await graph.co_drain(lock, *found_.node));
    co_return co_await found_.node->co_remove_stored_bitmap(args_.name);
  }

 private:
  const BlockDirtyBitmap args_;
  FoundBitmap found_;
  bool was_persistent_ = false;
};

class BitmapClear final : public BlockAction {
 public:
  explicit BitmapClear(BlockDirtyBitmap args) : args_(std::move(args)) {}
  CoResult<> co_prepare(BlockGraph& graph, GraphWriteLock&) override {
    found_ = co_await or_return(find_bitmap(graph, args_.node, args_.name));
    co_await or_return(check_bitmap(*found_.bitmap, kUsual));
    before_ =
        co_await or_return(DirtyBitmap::create({}, found_.bitmap->bytes(), found_.bitmap->granularity()));
    found_.bitmap->swap_bits(*before_);
    co_return Result<>();
  }
  CoResult<> co_abort(BlockGraph&, GraphWriteLock&) override {
    found_.bitmap->merge(*before_);
    co_return Result<>();
  }

 private:
  const BlockDirtyBitmap args_;
  FoundBitmap found_;
  std::shared_ptr<DirtyBitmap> before_;
};

class BitmapEnable final : public BlockAction {
 public:
  BitmapEnable(BlockDirtyBitmap args, bool enable) : args_(std::move(args)), enable_(enable) {}
  CoResult<> co_prepare(BlockGraph& graph, GraphWriteLock&) override {
    found_ = co_await or_return(find_bitmap(graph, args_.node, args_.name));
    co_await or_return(check_bitmap(*found_.bitmap, kNotBusy | kConsistent));
    before_ = found_.bitmap->enabled();
    found_.bitmap->set_enabled(enable_);
    co_return Result<>();
  }
  CoResult<> co_abort(BlockGraph&, GraphWriteLock&) override {
    found_.bitmap->set_enabled(before_);
    co_return Result<>();
  }

 private:
  const BlockDirtyBitmap args_;
  const bool enable_;
  FoundBitmap found_;
  bool before_ = false;
};

class BitmapMerge final : public BlockAction {
 public:
  explicit BitmapMerge(BlockDirtyBitmapMerge args) : args_(std::move(args)) {}
  CoResult<> co_prepare(BlockGraph& graph, GraphWriteLock&) override {
    target_ = co_await or_return(find_bitmap(graph, args_.node, args_.target));
    DirtyBitmap& target = *target_.bitmap;
    std::shared_ptr<DirtyBitmap> sum =
        co_await or_return(DirtyBitmap::create({}, target.bytes(), target.granularity()));
    for (const BlockDirtyBitmapOrStr& source : args_.bitmaps) {
      const FoundBitmap from = co_await or_return(find_source(graph, source));
      co_await or_return(check_merge(*from.bitmap));
      sum->merge(*from.bitmap);
    }
    before_ = co_await or_return(DirtyBitmap::create({}, target.bytes(), target.granularity()));
    before_->merge(target);
    target.merge(*sum);
    co_return Result<>();
  }
  CoResult<> co_abort(BlockGraph&, GraphWriteLock&) override {
    // Writes since then count too.
    target_.bitmap->merge(*before_);
    co_return Result<>();
  }

 private:
  Result<FoundBitmap> find_source(const BlockGraph& graph, const BlockDirtyBitmapOrStr& source) const {
    if (const std::string* local = source.local()) return find_bitmap(graph, args_.node, *local);
    return find_bitmap(graph, source.external()->node, source.external()->name);
  }
  Result<> check_merge(const DirtyBitmap& from) const {
    TRY(check_bitmap(*target_.bitmap, kUsual));
    TRY(check_bitmap(from, kNotBusy | kConsistent));
    if (from.bytes() != target_.bitmap->bytes())
      return fail(EINVAL, "Bitmaps are of different sizes (destination size is ", target_.bitmap->bytes(),
                  ", source size is ", from.bytes(), ") and can't be merged");
    return {};
  }
  const BlockDirtyBitmapMerge args_;
  FoundBitmap target_;
  std::shared_ptr<DirtyBitmap> before_;
};

}  // namespace

std::unique_ptr<BlockAction> make_bitmap_add(BlockDirtyBitmapAdd args) {
  return std::make_unique<BitmapAdd>(std::move(args));
}
std::unique_ptr<BlockAction> make_bitmap_remove(BlockDirtyBitmap args) {
  return std::make_unique<BitmapRemove>(std::move(args));
}
std::unique_ptr<BlockAction> make_bitmap_clear(BlockDirtyBitmap args) {
  return std::make_unique<BitmapClear>(std::move(args));
}
std::unique_ptr<BlockAction> make_bitmap_enable(BlockDirtyBitmap args, bool enable) {
  return std::make_unique<BitmapEnable>(std::move(args), enable);
}
std::unique_ptr<BlockAction> make_bitmap_merge(BlockDirtyBitmapMerge args) {
  return std::make_unique<BitmapMerge>(std::move(args));
}

CoResult<> qmp_block_dirty_bitmap_add(QmpContext& ctx, BlockDirtyBitmapAdd args) {
  co_return co_await co_run_action(ctx.graph, make_bitmap_add(std::move(args)));
}
CoResult<> qmp_block_dirty_bitmap_remove(QmpContext& ctx, BlockDirtyBitmap args) {
  co_return co_await co_run_action(ctx.graph, make_bitmap_remove(std::move(args)));
}
CoResult<> qmp_block_dirty_bitmap_clear(QmpContext& ctx, BlockDirtyBitmap args) {
  co_return co_await co_run_action(ctx.graph, make_bitmap_clear(std::move(args)));
}
CoResult<> qmp_block_dirty_bitmap_enable(QmpContext& ctx, BlockDirtyBitmap args) {
  co_return co_await co_run_action(ctx.graph, make_bitmap_enable(std::move(args), true));
}
CoResult<> qmp_block_dirty_bitmap_disable(QmpContext& ctx, BlockDirtyBitmap args) {
  co_return co_await co_run_action(ctx.graph, make_bitmap_enable(std::move(args), false));
}
CoResult<> qmp_block_dirty_bitmap_merge(QmpContext& ctx, BlockDirtyBitmapMerge args) {
  co_return co_await co_run_action(ctx.graph, make_bitmap_merge(std::move(args)));
}

Result<BlockDirtyBitmapSha256> qmp_x_debug_block_dirty_bitmap_sha256(QmpContext& ctx, BlockDirtyBitmap args) {
  const FoundBitmap found = TRY(find_bitmap(ctx.graph, args.node, args.name));
  BlockDirtyBitmapSha256 out;
  out.sha256 = found.bitmap->sha256();
  return out;
}

}  // namespace rhea
