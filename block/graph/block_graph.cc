#include "block/graph/block_graph.h"

#include <algorithm>
#include <cassert>

#include "block/graph/io.h"
#include "block/graph/permissions.h"
#include "util/log.h"

namespace rhea {

bool is_well_formed_id(std::string_view id) {
  auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  auto inner = [&](char c) {
    return letter(c) || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
  };
  return !id.empty() && letter(id[0]) && std::ranges::all_of(id, inner);
}

BlockGraph::BlockGraph(AioContext& main_loop) : main_loop_(main_loop) {}

BlockGraph::~BlockGraph() {
  shutting_down_ = true;
  *alive_ = false;
  monitor_nodes_.clear();
  while (!dead_.empty()) {  // only if co_shutdown() was not called
    std::unique_ptr<BlockDriverState> node = std::move(dead_.front());
    dead_.pop_front();
  }
  assert(nodes_.empty() && backends_.empty());
}

void BlockGraph::register_driver(const BlockDriver& driver) {
  if (find_driver(driver.name) == nullptr) drivers_.push_back(&driver);
}

const BlockDriver* BlockGraph::find_driver(std::string_view name) const {
  auto it = std::ranges::find_if(drivers_, [&](const BlockDriver* d) { return d->name == name; });
  return it == drivers_.end() ? nullptr : *it;
}

BlockDriverState* BlockGraph::find_node(std::string_view node_name) const {
  auto it = std::ranges::find_if(nodes_, [&](const BlockDriverState* n) { return n->name() == node_name; });
  return it == nodes_.end() ? nullptr : *it;
}

BlockBackend* BlockGraph::find_backend(std::string_view name) const {
  if (name.empty()) return nullptr;  // those of devices have none
  auto it = std::ranges::find_if(backends_, [&](const BlockBackend* b) { return b->name() == name; });
  return it == backends_.end() ? nullptr : *it;
}

Result<BlockDriverState*> BlockGraph::lookup(std::string_view name) const {
  if (const BlockBackend* b = find_backend(name)) {
    if (b->node() == nullptr) return fail(ENOMEDIUM, "Device '", name, "' has no medium");
    return b->node();
  }
  if (BlockDriverState* n = find_node(name); n != nullptr && n->opened_) return n;
  return fail(ENOENT, "Cannot find device='", name, "' nor node-name='", name, "'");
}

uint64_t BlockGraph::add_backend(BlockBackend& backend) {
  backends_.push_back(&backend);
  return next_serial_++;
}

void BlockGraph::remove_backend(BlockBackend& backend) {
  std::erase(backends_, &backend);
  // An edge of its own may just be in the making, in a coroutine that will notice.
  for (BlockDriverState* node : nodes_)
    for (BlockEdge* edge : node->parents_)
      if (edge->parent_backend == &backend) edge->parent_backend = nullptr;
}

BlockBackend* BlockGraph::backend_by_serial(uint64_t serial) const {
  auto it = std::ranges::find_if(backends_, [&](const BlockBackend* b) { return b->serial_ == serial; });
  return it == backends_.end() ? nullptr : *it;
}

CoResult<GraphWriteLock> BlockGraph::co_lock() {
  CoMutex::Guard guard = co_await mutex_.co_lock();
  co_return GraphWriteLock(std::move(guard));
}

Result<> BlockGraph::check_node_name(std::string_view name) const {
  if (!is_well_formed_id(name)) return fail(EINVAL, "Invalid node-name: '", name, "'");
  if (find_backend(name) != nullptr)
    return fail(EINVAL, "node-name=", name, " is conflicting with a device id");
  if (find_node(name) != nullptr) return fail(EINVAL, "Duplicate nodes with node-name='", name, "'");
  constexpr size_t kMaxNodeName = 31;
  if (name.size() > kMaxNodeName) return fail(EINVAL, "Node name too long");
  return {};
}

std::string BlockGraph::generate_node_name() {
  // A name no user can give, hence free; the last two digits only make typing errors unlikely to hit.
  const uint64_t n = next_name_++;
  const uint64_t check = (n * 73 + 41) % 100;
  return str_cat("#block", n, check < 10 ? "0" : "", check);
}

Result<NodeRef> BlockGraph::make_node(GraphWriteLock&, const BlockDriver& driver, std::string node_name) {
  if (node_name.empty())
    node_name = generate_node_name();
  else
    TRY(check_node_name(node_name));
  std::unique_ptr<BlockDriverState> node = driver.make();
  node->graph_ = this;
  node->driver_ = &driver;
  node->name_ = std::move(node_name);
  nodes_.push_back(node.get());
  return NodeRef(*node.release());  // owned by its references from here on
}

void BlockGraph::mark_open(GraphWriteLock& lock, BlockDriverState& node, const OpenFlags& flags) {
  node.flags_ = flags;
  node.opened_ = true;
  node.refresh_limits(node.limits_);
  refresh_filename(lock, node);
}

void BlockGraph::refresh_filename(GraphWriteLock&, BlockDriverState& node) {
  node.filename_ = node.exact_filename();
  if (node.filename_.empty()) node.filename_ = "json:" + node.full_options().dump();
}

void BlockGraph::edge_removed(BlockDriverState& child) {
  if (std::ranges::find(loosened_, &child) == loosened_.end()) loosened_.push_back(&child);
  schedule_reap();
}

void BlockGraph::node_unreferenced(BlockDriverState& node) {
  if (node.dying_) return;
  node.dying_ = true;
  std::erase(nodes_, &node);
  std::erase(loosened_, &node);
  dead_.emplace_back(&node);
  schedule_reap();
}

void BlockGraph::schedule_reap() {
  if (reap_scheduled_ || shutting_down_) return;
  reap_scheduled_ = true;
  main_loop_.post([this, alive = alive_] {
    if (!*alive) return;
    background_.spawn<void>(co_reap_scheduled());
  });
}

CoResult<> BlockGraph::co_reap_scheduled() {
  reap_scheduled_ = false;
  GraphWriteLock lock = co_await or_return(co_await co_lock());
  co_return co_await co_reap(lock);
}

CoResult<> BlockGraph::co_close_node(BlockDriverState& node) {
  if (node.written()) {
    Result<> flushed = co_await co_node_flush(node);
    if (!flushed) warn_report(str_cat("Node '", node.name(), "': ", flushed.error().message()));
  }
  Result<> closed = co_await node.co_close();
  if (!closed) warn_report(str_cat("Node '", node.name(), "': ", closed.error().message()));
  co_return Result<>();
}

CoResult<> BlockGraph::co_reap(GraphWriteLock& lock) {
  while (!dead_.empty() || !loosened_.empty()) {
    if (!dead_.empty()) {
      std::unique_ptr<BlockDriverState> node = std::move(dead_.front());
      dead_.pop_front();
      if (node->opened_) co_await or_return(co_await co_close_node(*node));
      std::erase(loosened_, node.get());
      continue;  // destroying it lets go of its children
    }
    NodeRef node(*loosened_.back());
    loosened_.pop_back();
    std::ignore = co_await co_refresh_perms(lock, *node);  // giving back cannot conflict
  }
  co_return Result<>();
}

void BlockGraph::set_monitor_owned(GraphWriteLock&, BlockDriverState& node, bool owned) {
  if (node.monitor_owned_ == owned) return;
  node.monitor_owned_ = owned;
  if (owned) {
    monitor_nodes_.emplace_back(node);
    return;
  }
  auto it = std::ranges::find_if(monitor_nodes_, [&](const NodeRef& r) { return r.get() == &node; });
  NodeRef last = std::move(*it);
  monitor_nodes_.erase(it);
  // Somebody may still look at it (a query), but its name is free from here on.
  if (node.parents_.empty()) std::erase(nodes_, &node);
}

CoResult<BdrvChild> BlockGraph::co_attach(GraphWriteLock& lock, BlockDriverState& parent,
                                          BlockDriverState& child, std::string name, uint32_t role) {
  auto edge = std::make_shared<BlockEdge>();
  edge->parent_node = &parent;
  edge->name = std::move(name);
  edge->role = role;
  edge->perms = parent.child_perms(*edge, parent.cumulative_perms());
  co_return co_await co_attach_edge(lock, std::move(edge), child);
}

CoResult<BdrvChild> BlockGraph::co_attach_root(GraphWriteLock& lock, BlockBackend& parent,
                                               BlockDriverState& child, PermPair perms) {
  auto edge = std::make_shared<BlockEdge>();
  edge->parent_backend = &parent;
  edge->name = "root";
  edge->role = child_role::kFiltered | child_role::kPrimary;
  edge->perms = perms;
  co_return co_await co_attach_edge(lock, std::move(edge), child);
}

CoResult<BdrvChild> BlockGraph::co_attach_edge(GraphWriteLock& lock, std::shared_ptr<BlockEdge> edge,
                                               BlockDriverState& child) {
  if (std::ranges::find(nodes_, &child) == nodes_.end())  // deleted while the parent was being opened
    co_return fail(ENOENT, "Cannot find device='", child.name(), "' nor node-name='", child.name(), "'");
  edge->child = &child;
  child.parents_.push_back(edge.get());
  ++child.refs_;
  BdrvChild handle(std::move(edge));  // lets go of the child on failure
  co_await or_return(co_await co_refresh_perms(lock, child));
  co_return std::move(handle);
}

CoResult<> BlockGraph::co_set_edge_perms(GraphWriteLock& lock, BdrvChild& edge, PermPair perms) {
  // A copy: the edge may lose its handle while this waits.
  // NOLINTNEXTLINE(performance-unnecessary-copy-initialization)
  std::shared_ptr<BlockEdge> e = edge.edge();
  const PermPair before = e->perms;
  e->set_perms(perms);
  if (before == perms || e->child == nullptr) co_return Result<>();
  Result<> r = co_await co_refresh_perms(lock, *e->child);
  if (!r) e->set_perms(before);
  co_return r;
}

CoResult<> BlockGraph::co_refresh_perms(GraphWriteLock& lock, BlockDriverState& node) {
  PermTransaction transaction(*this);
  co_return co_await transaction.co_run(lock, node);
}

CoResult<> BlockGraph::co_shutdown() {
  {
    GraphWriteLock lock = co_await or_return(co_await co_lock());
    for (const NodeRef& n : monitor_nodes_) n->monitor_owned_ = false;
    monitor_nodes_.clear();
    co_await or_return(co_await co_reap(lock));
  }
  shutting_down_ = true;
  co_return co_await background_.co_close();
}

}  // namespace rhea
