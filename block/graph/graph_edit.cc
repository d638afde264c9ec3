#include "block/graph/graph_edit.h"

#include <algorithm>

#include "block/graph/chain.h"
#include "block/graph/permissions.h"

namespace rhea {

GraphEdit::~GraphEdit() {
  undo();
}

void GraphEdit::touch(BlockDriverState& node) {
  if (std::ranges::none_of(touched_, [&](const NodeRef& r) { return r.get() == &node; }))
    touched_.emplace_back(node);
}

void GraphEdit::point(BlockEdge& edge, BlockDriverState& to) {
  const NodeRef from(*edge.child);
  std::erase(from->parents_, &edge);
  --from->refs_;
  edge.child = &to;
  to.parents_.push_back(&edge);
  ++to.refs_;
  touch(*from);
  touch(to);
}

void GraphEdit::move(BlockEdge& edge, BlockDriverState& to) {
  done_.push_back(Kind::kMove);
  moves_.push_back({edge.shared_from_this(), NodeRef(*edge.child)});
  point(edge, to);
}

void GraphEdit::move_users(BlockDriverState& from, BlockDriverState& to,
                           const std::function<bool(const BlockEdge&)>& which) {
  const std::vector<BlockEdge*> users = from.parents();
  for (BlockEdge* edge : users) {
    if (edge->parent_node != nullptr && is_reachable(to, *edge->parent_node)) continue;
    if (!which || which(*edge)) move(*edge, to);
  }
}

BdrvChild* GraphEdit::slot(BlockDriverState& parent, std::string_view name) {
  if (name == "file") return &parent.file_;
  if (name == "backing") return &parent.backing_;
  for (BdrvChild& c : parent.other_children_)
    if (c.name() == name) return &c;
  return nullptr;
}

void GraphEdit::attach(BlockDriverState& parent, BlockDriverState& child, std::string name, uint32_t role) {
  auto edge = std::make_shared<BlockEdge>();
  edge->parent_node = &parent;
  edge->name = name;
  edge->role = role;
  edge->perms = parent.child_perms(*edge, parent.cumulative_perms());
  edge->child = &child;
  child.parents_.push_back(edge.get());
  ++child.refs_;
  done_.push_back(Kind::kAttach);
  attached_.push_back({NodeRef(parent), edge});
  BdrvChild handle(std::move(edge));
  if (BdrvChild* place = slot(parent, name); place != nullptr && !*place)
    *place = std::move(handle);
  else
    parent.other_children_.push_back(std::move(handle));
  touch(parent);
  touch(child);
}

void GraphEdit::detach(BlockDriverState& parent, std::string_view name) {
  BdrvChild* child = slot(parent, name);
  if (child == nullptr || !*child) return;
  done_.push_back(Kind::kDetach);
  touch(child->node());
  touch(parent);
  const bool fixed = child == &parent.file_ || child == &parent.backing_;
  const size_t at = fixed ? 0 : static_cast<size_t>(child - parent.other_children_.data());
  Detached d{NodeRef(parent), std::move(*child), at};
  if (!fixed) parent.other_children_.erase(parent.other_children_.begin() + static_cast<ptrdiff_t>(at));
  // It stands ready to be put back, but counts for nothing meanwhile.
  BlockEdge& edge = *d.child.edge();
  std::erase(edge.child->parents_, &edge);
  detached_.push_back(std::move(d));
}

void GraphEdit::undo() {
  for (; !done_.empty(); done_.pop_back()) {
    if (done_.back() == Kind::kMove) {
      Move m = std::move(moves_.back());
      moves_.pop_back();
      if (m.edge->child != nullptr) point(*m.edge, *m.from);
    } else if (done_.back() == Kind::kAttach) {
      Attached a = std::move(attached_.back());
      attached_.pop_back();
      BlockDriverState& parent = *a.parent;
      for (BdrvChild* c : {&parent.file_, &parent.backing_})
        if (c->edge() == a.edge) c->reset();
      std::erase_if(parent.other_children_, [&](const BdrvChild& c) { return c.edge() == a.edge; });
    } else {
      Detached d = std::move(detached_.back());
      detached_.pop_back();
      BlockEdge& edge = *d.child.edge();
      edge.child->parents_.push_back(&edge);
      BlockDriverState& parent = *d.parent;
      if (edge.name == "file" || edge.name == "backing")
        *slot(parent, edge.name) = std::move(d.child);
      else
        parent.other_children_.insert(
            parent.other_children_.begin() +
                static_cast<ptrdiff_t>(std::min(d.at, parent.other_children_.size())),
            std::move(d.child));
    }
  }
  touched_.clear();
}

CoResult<> GraphEdit::co_commit(GraphWriteLock& lock, std::function<CoResult<>()> last) {
  std::vector<NodeRef> touched = touched_;
  std::vector<BlockDriverState*> starts;
  for (const NodeRef& n : touched) starts.push_back(n.get());
  Result<> settled;
  {
    PermTransaction perms(graph_);
    settled = co_await perms.co_run(lock, starts);
  }
  if (settled && last) settled = co_await last();
  if (!settled) {
    undo();
    PermTransaction before(graph_);
    std::ignore = co_await before.co_run(lock, starts);  // what was allowed before is allowed again
    co_return settled;
  }
  done_.clear();
  moves_.clear();
  attached_.clear();
  detached_.clear();
  touched_.clear();
  co_return Result<>();
}

Result<NodeRef> make_filter_node(GraphWriteLock& lock, BlockGraph& graph, const BlockDriver& driver,
                                 std::string name, OpenFlags flags) {
  NodeRef node = TRY(graph.make_node(lock, driver, std::move(name)));
  graph.mark_open(lock, *node, flags);
  return node;
}

CoResult<> co_insert_filter(GraphWriteLock& lock, BlockDriverState& filter, BlockDriverState& base,
                            std::string child_name) {
  BlockGraph& graph = base.graph();
  const NodeRef keep(filter);
  const DrainedSection drained = co_await or_return(co_await graph.co_drain(lock, base));
  GraphEdit edit(graph);
  edit.attach(filter, base, std::move(child_name), child_role::kFiltered | child_role::kPrimary);
  co_await or_return(co_await filter.co_refresh_length());
  edit.move_users(base, filter);
  co_await or_return(co_await edit.co_commit(lock));
  graph.refresh_filename(lock, filter);
  co_return Result<>();
}

CoResult<> co_remove_filter(GraphWriteLock& lock, BlockDriverState& filter) {
  BlockGraph& graph = filter.graph();
  const NodeRef keep(filter);
  BlockDriverState* below = filtered_child(filter);
  if (below == nullptr) co_return Result<>();
  const NodeRef base(*below);
  const DrainedSection drained = co_await or_return(co_await graph.co_drain(lock, filter));
  GraphEdit edit(graph);
  std::vector<std::string> names;
  for (const BdrvChild* c : filter.children()) names.push_back(c->name());
  for (const std::string& name : names) edit.detach(filter, name);
  edit.move_users(filter, *base);
  co_return co_await edit.co_commit(lock);
}

}  // namespace rhea
