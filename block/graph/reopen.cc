#include "block/graph/reopen.h"

#include <algorithm>

#include "block/graph/chain.h"
#include "block/graph/graph_edit.h"
#include "block/graph/io.h"
#include "block/graph/node_opener.h"
#include "util/reversed.h"

namespace rhea {

/// The steps of one co_reopen(): who changes, getting ready, making it so.
class Reopener {
 public:
  Reopener(BlockGraph& graph, bool keep_old) : graph_(graph), keep_old_(keep_old) {}
  CoResult<> co_run(std::vector<ReopenRequest> requests);

 private:
  struct Step {
    NodeRef node;
    OptionTree own, effective, rest;  ///< as given; with what is inherited; what the driver is to take
    OpenFlags before, after;
    bool prepared = false;
  };
  Result<> add(BlockDriverState& node, OptionTree options, const ParentOptions* parent, bool keep_old);
  struct NewChild {
    NodeRef parent;
    std::string name;
    NodeRef to;  ///< null: none any more
  };
  Result<> take_new_child(BlockDriverState& node, OptionTree& options, const std::string& name);
  CoResult<> co_drain_new_children(GraphWriteLock& lock, std::vector<DrainedSection>& drained);
  CoResult<> co_change(GraphWriteLock& lock);
  Result<> add_children(BlockDriverState& node, OptionTree& options, const OpenFlags& flags, bool keep_old);
  CoResult<> co_prepare();
  CoResult<> co_refresh_perms(GraphWriteLock& lock);
  void set_flags(bool after);
  void commit();
  void abort();

  BlockGraph& graph_;
  const bool keep_old_;
  std::vector<Step> steps_;  ///< parents before their children
  std::vector<BlockDriverState*> tops_;
  std::vector<NewChild> new_children_;
};

namespace {

std::string text_of(const Json& value) {
  if (value.is_string()) return value.as_string();
  if (value.is_bool()) return value.as_bool() ? "on" : "off";
  return value.dump();
}

/// Typed and string options alike.
bool same_value(const Json* a, const Json& b) {
  if (a == nullptr) return false;
  if (*a == b || text_of(*a) == text_of(b)) return true;
  const auto is_on = [](const std::string& s) { return s == "on" || s == "true" || s == "yes"; };
  return is_on(text_of(*a)) && is_on(text_of(b));
}

Error cannot_change(std::string_view key) {
  return Error(EINVAL, str_cat("Cannot change the option '", key, "'"));
}

/// True for the name of a child the node has, and what is below it.
bool names_child(const BlockDriverState& node, const std::string& key) {
  for (const BdrvChild* c : node.children()) {
    const std::string& name = c->name();
    if (key.starts_with(name) && (key.size() == name.size() || key[name.size()] == '.')) return true;
  }
  return false;
}

}  // namespace

/// A child is named that is not the one there is: it is to be replaced.
Result<> Reopener::take_new_child(BlockDriverState& node, OptionTree& options, const std::string& name) {
  const Json* value = options.get(name);
  if (value == nullptr || !(value->is_null() || value->is_string())) return {};
  const bool backing = name == "backing";
  const BdrvChild* old = nullptr;
  for (const BdrvChild* c : node.children())
    if (c->name() == name) old = c;
  NodeRef to;
  if (value->is_string()) {
    BlockDriverState* found = graph_.find_node(value->as_string());
    if (found == nullptr || !found->is_open())
      return fail(ENOENT, "Cannot find device='' nor node-name='", value->as_string(), "'");
    if (is_reachable(*found, node))
      return fail(EINVAL, "Making '", found->name(), "' a ", name, " child of '", node.name(),
                  "' would create a cycle");
    to = NodeRef(*found);
  } else if (!backing) {
    return {};
  }
  if (old != nullptr && to.get() == &old->node()) return {};
  if (old == nullptr && !to) return {};
  if (old != nullptr) {
    if (to && &skip_implicit_filters(old->node()) == to.get()) {
      options.erase(name);
      return {};
    }
    if (old->node().implicit())
      return fail(EPERM, "Cannot replace implicit ", name, " child of ", node.name());
    if (old->edge()->frozen != 0)
      return fail(EPERM, "Cannot change frozen '", name, "' link from '", node.name(), "' to '",
                  old->node().name(), "'");
  } else if (node.driver().is_filter) {
    return fail(EINVAL, "'", node.name(), "' is a ", node.driver().name,
                " filter node that does not support a ", name, " child");
  } else if (!backing || !node.driver().supports_backing) {
    return fail(EINVAL, "Driver '", node.driver().name, "' of node '", node.name(),
                "' does not support backing files");
  }
  options.erase(name);
  new_children_.push_back({NodeRef(node), name, std::move(to)});
  return {};
}

CoResult<> Reopener::co_drain_new_children(GraphWriteLock& lock, std::vector<DrainedSection>& drained) {
  for (const NewChild& c : new_children_)
    if (c.to) drained.push_back(co_await or_return(co_await graph_.co_drain(lock, *c.to)));
  co_return Result<>();
}

Result<> Reopener::add_children(BlockDriverState& node, OptionTree& options, const OpenFlags& flags,
                                bool keep_old) {
  for (const char* name : {"file", "backing"}) TRY(take_new_child(node, options, name));
  for (const BdrvChild* child : node.children()) {
    const auto is_this = [&](const NewChild& c) {
      return c.parent.get() == &node && c.name == child->name();
    };
    if (std::ranges::any_of(new_children_, is_this)) continue;
    BlockDriverState& below = child->node();
    // The filter of a job was not opened for this parent, and takes nothing over from it.
    if (below.effective_options().entries().empty() && below.explicit_options().entries().empty()) continue;
    const bool given = options.has_below(child->name());
    OptionTree theirs = options.extract(child->name());
    if (const Json* named = options.get(child->name()); named != nullptr) {
      if (!named->is_string() || named->as_string() != below.name())
        return Failure(cannot_change(child->name()));
      options.erase(child->name());
      if (given) return fail(EINVAL, "Option '", child->name(), "' is given twice");
      continue;
    }
    // One that was put in by its name has options of its own, which do not follow its parents'.
    const Json* by_name = node.explicit_options().get(child->name());
    if (by_name != nullptr && by_name->is_string()) {
      if (given) return Failure(cannot_change(theirs.entries().front().key));
      continue;
    }
    const ParentOptions parent{flags, child->role()};
    TRY(add(below, std::move(theirs), &parent, keep_old || !given));
  }
  return {};
}

Result<> Reopener::add(BlockDriverState& node, OptionTree options, const ParentOptions* parent,
                       bool keep_old) {
  if (keep_old) {
    OptionTree old;
    for (const OptionTree::Entry& e : node.explicit_options().entries())
      if (!names_child(node, e.key)) old.set(e.key, e.value, e.origin);
    node.drop_overridden(options, old);
    options.merge_below(old);
  }
  Step step;
  step.node = NodeRef(node);
  const bool has_backing = node.backing() || !node.backing_name().file.empty();
  if (!keep_old && has_backing && !options.has("backing") && !options.has("backing.driver"))
    return fail(EINVAL, "backing is missing for '", node.name(), "'");
  step.before = step.after = node.flags();
  if (const Json* name = options.get("node-name"); name != nullptr && !same_value(name, Json(node.name())))
    return Failure(cannot_change("node-name"));
  if (const Json* driver = options.get("driver");
      driver != nullptr && !same_value(driver, Json(std::string(node.driver().name))))
    return Failure(cannot_change("driver"));
  const OptionTree whole = options;
  if (parent != nullptr) inherit_options(options, *parent);
  TRY(take_open_flags(options, step.after));
  TRY(take_data_flags(options, step.after));
  if (step.after.force_share && !step.after.read_only)
    return fail(EINVAL, "force-share=on can only be used with read-only images");
  const size_t at = steps_.size();
  const OpenFlags flags = step.after;
  steps_.push_back(std::move(step));
  TRY(add_children(node, options, flags, keep_old));
  Step& mine = steps_[at];
  if (const Json* none = options.get("backing"); none != nullptr && none->is_null() && !node.backing())
    options.erase("backing");
  mine.own = whole;
  mine.effective = options;
  for (const char* key : {"node-name", "driver"}) options.erase(key);
  mine.rest = std::move(options);
  return {};
}

CoResult<> Reopener::co_prepare() {
  for (Step& step : steps_) {
    if (step.node->written()) co_await or_return(co_await co_node_flush(*step.node));
    // A driver may look at what stays the same too: only what it leaves must not have changed.
    co_await or_return(co_await step.node->co_reopen_prepare(step.rest, step.after));
    step.prepared = true;
    for (const std::string& key : step.rest.leftover())
      if (!same_value(step.node->effective_options().get(key), *step.rest.get(key)))
        co_return Failure(cannot_change(key));
  }
  co_return Result<>();
}

void Reopener::set_flags(bool after) {
  for (Step& step : steps_) step.node->flags_ = after ? step.after : step.before;
}

CoResult<> Reopener::co_refresh_perms(GraphWriteLock& lock) {
  for (BlockDriverState* top : tops_) co_await or_return(co_await graph_.co_refresh_perms(lock, *top));
  co_return Result<>();
}

/// The new children and flags, with permissions; on failure all is as before.
CoResult<> Reopener::co_change(GraphWriteLock& lock) {
  GraphEdit edit(graph_);
  for (const NewChild& c : new_children_) {
    BlockDriverState& parent = *c.parent;
    const BdrvChild* old = nullptr;
    for (const BdrvChild* child : parent.children())
      if (child->name() == c.name) old = child;
    if (old != nullptr && c.to)
      edit.move(*old->edge(), *c.to);
    else if (old != nullptr)
      edit.detach(parent, c.name);
    else
      edit.attach(parent, *c.to, c.name, child_role::kCow | child_role::kData);
  }
  set_flags(true);
  Result<> ready = co_await co_refresh_perms(lock);
  if (ready) ready = co_await edit.co_commit(lock);
  if (ready) co_return Result<>();
  set_flags(false);
  edit.undo();
  std::ignore = co_await co_refresh_perms(lock);  // what was allowed before is allowed again
  co_return ready;
}

void Reopener::abort() {
  for (Step& step : reversed(steps_))
    if (step.prepared) step.node->reopen_abort();
}

void Reopener::commit() {
  for (Step& step : reversed(steps_)) {
    BlockDriverState& node = *step.node;
    // What the node knows beyond what was said now (its file's name, its driver) stays.
    for (const OptionTree::Entry& e : step.effective.entries())
      node.effective_options_.set(e.key, e.value, e.origin);
    node.explicit_options_ = std::move(step.own);
    node.reopen_commit();
    node.refresh_limits(node.limits_);
  }
}

CoResult<> Reopener::co_run(std::vector<ReopenRequest> requests) {
  GraphWriteLock lock = co_await or_return(co_await graph_.co_lock());
  std::vector<DrainedSection> drained;
  for (ReopenRequest& r : requests) {
    drained.push_back(co_await or_return(co_await graph_.co_drain(lock, *r.node)));
    tops_.push_back(r.node.get());
    co_await or_return(add(*r.node, std::move(r.options), nullptr, keep_old_));
  }
  co_await or_return(co_await co_drain_new_children(lock, drained));
  Result<> ready = co_await co_prepare();
  if (ready) ready = co_await co_change(lock);
  if (ready)
    commit();
  else
    abort();
  for (const NewChild& c : new_children_) graph_.refresh_filename(lock, *c.parent);
  co_return ready;
}

CoResult<> co_reopen(BlockGraph& graph, std::vector<ReopenRequest> requests, bool keep_old) {
  Reopener reopener(graph, keep_old);
  co_return co_await reopener.co_run(std::move(requests));
}

}  // namespace rhea
