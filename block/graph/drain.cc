// Drained sections, and the text form of the graph.
#include <algorithm>

#include "block/graph/block_graph.h"

namespace rhea {

namespace {
/// The backends whose requests can reach `node`.
void collect_backends(const BlockDriverState& node, std::vector<BlockBackend*>& out) {
  for (const BlockEdge* e : node.parents()) {
    if (e->parent_node != nullptr)
      collect_backends(*e->parent_node, out);
    else if (e->parent_backend != nullptr && std::ranges::find(out, e->parent_backend) == out.end())
      out.push_back(e->parent_backend);
  }
}
/// The nodes below and at `node` that may keep requests waiting.
void collect_throttles(BlockDriverState& node, std::vector<NodeRef>& out) {
  if (node.throttle_member() != nullptr &&
      std::ranges::none_of(out, [&](const NodeRef& n) { return n.get() == &node; }))
    out.emplace_back(node);
  for (const BdrvChild* c : node.children()) collect_throttles(c->node(), out);
}
}  // namespace

UndelayedRequests::UndelayedRequests(BlockBackend& backend)
    : graph_(&backend.graph_), serial_(backend.serial_) {
  backend.throttle_.begin_drain();
  if (backend.node() != nullptr) collect_throttles(*backend.node(), nodes_);
  for (const NodeRef& n : nodes_) n->throttle_member()->begin_drain();
}

UndelayedRequests::~UndelayedRequests() {
  if (graph_ == nullptr) return;
  for (const NodeRef& n : nodes_) n->throttle_member()->end_drain();
  if (BlockBackend* backend = graph_->backend_by_serial(serial_)) backend->throttle_.end_drain();
}

DrainedSection::~DrainedSection() {
  for (const Held& h : held_) {
    BlockBackend* backend = graph_->backend_by_serial(h.serial);
    if (backend != nullptr) backend->choose_loop();
    h.gate->end();
    if (backend == nullptr) continue;  // it went away meanwhile
    --backend->drained_;
    if (backend->device() != nullptr) backend->device()->drained_end();
  }
}

CoResult<> BlockGraph::co_drain_backends(DrainedSection& section, std::vector<BlockBackend*> backends) {
  for (BlockBackend* b : backends) {
    section.held_.push_back({b->serial_, b->shared_gate(), UndelayedRequests(*b)});
    // The device first: what it has taken from the guest by then is not to wait at the gate.
    ++b->drained_;
    if (b->device() != nullptr) b->device()->drained_begin();
    b->gate().begin();
  }
  for (size_t i = 0; i < section.held_.size(); ++i) {
    std::shared_ptr<RequestGate> gate = section.held_[i].gate;
    co_await gate->co_idle();
  }
  for (const DrainedSection::Held& held : section.held_) {
    const BlockBackend* const backend = backend_by_serial(held.serial);
    if (backend != nullptr && backend->device() != nullptr) backend->device()->requests_ended();
  }
  co_return Result<>();
}

CoResult<DrainedSection> BlockGraph::co_drain(GraphWriteLock&, BlockDriverState& node) {
  std::vector<BlockBackend*> backends;
  collect_backends(node, backends);
  DrainedSection section(*this);
  co_await or_return(co_await co_drain_backends(section, std::move(backends)));
  co_return std::move(section);
}

CoResult<DrainedSection> BlockGraph::co_drain(GraphWriteLock&, BlockBackend& backend) {
  std::vector<BlockBackend*> backends = {&backend};
  DrainedSection section(*this);
  co_await or_return(co_await co_drain_backends(section, std::move(backends)));
  co_return std::move(section);
}

CoResult<DrainedSection> BlockGraph::co_drain_all(GraphWriteLock&) {
  DrainedSection section(*this);
  std::vector<BlockBackend*> backends = backends_;
  co_await or_return(co_await co_drain_backends(section, std::move(backends)));
  co_return std::move(section);
}

std::string BlockGraph::dump() const {
  std::string out;
  for (const BlockDriverState* n : nodes_) {
    const PermPair p = n->cumulative_perms();
    str_append(out, "node ", n->name(), " ", n->driver().name, n->monitor_owned() ? " monitor" : "",
               n->read_only() ? " ro" : " rw", " perm=", p.perm, " shared=", p.shared, "\n");
    for (const BdrvChild* c : n->children())
      str_append(out, "  ", c->name(), " -> ", c->node().name(), " perm=", c->perms().perm,
                 " shared=", c->perms().shared, "\n");
  }
  for (const BlockBackend* b : backends_)
    str_append(out, "backend '", b->name(), "' ", b->device_id_or_path(), " -> ",
               b->node() != nullptr ? std::string_view(b->node()->name()) : "(none)", "\n");
  return out;
}

}  // namespace rhea
