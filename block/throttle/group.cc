#include "block/throttle/group.h"

#include <algorithm>
#include <map>

#include "util/clock.h"

namespace rhea {

ThrottleConfig ThrottleGroup::limits() const {
  std::lock_guard guard(mutex_);
  return buckets_.limits();
}

size_t ThrottleGroup::member_count() const {
  std::lock_guard guard(mutex_);
  return members_.size();
}

void ThrottleGroup::set_limits(const ThrottleConfig& limits) {
  std::lock_guard guard(mutex_);
  buckets_.set(limits, clock_.now_ns());
  for (const bool is_write : {false, true}) {
    turn_[is_write] = nullptr;  // its timer is set anew, or comes to nothing
    pass_turn(is_write);
  }
}

/// False: it need not wait.
bool ThrottleGroup::enter(ThrottleTicket& t, std::coroutine_handle<> handle) {
  std::lock_guard guard(mutex_);
  std::deque<ThrottleTicket*>& queue = t.member_.waiting_[t.is_write_];
  const bool free = t.member_.drains_.load() != 0 ||
                    (turn_[t.is_write_] == nullptr && buckets_.wait_ns(t.is_write_, clock_.now_ns()) == 0);
  if (free) {
    buckets_.account(t.is_write_, t.bytes_);
    return false;
  }
  t.handle_ = handle;
  t.loop_ = AioContext::current();
  assert(t.loop_ != nullptr);
  t.timer_ = std::make_unique<Timer>(*t.loop_, clock_, [this, ticket = &t] { due(*ticket); });
  queue.push_back(&t);
  pass_turn(t.is_write_);
  return true;
}

/// The timer of `t` went off, in its loop. It is still there: only that loop lets it go on.
void ThrottleGroup::due(ThrottleTicket& t) {
  std::lock_guard guard(mutex_);
  if (turn_[t.is_write_] != &t) return;  // it was let go meanwhile
  turn_[t.is_write_] = nullptr;
  release(t);
  pass_turn(t.is_write_);
}

/// Gives the turn to the next who waits, if nobody has it. Those who need not wait any more go on.
void ThrottleGroup::pass_turn(bool is_write) {
  while (turn_[is_write] == nullptr) {
    ThrottleTicket* t = next_waiting(is_write);
    if (t == nullptr) return;
    const int64_t now = clock_.now_ns();
    const int64_t wait = buckets_.wait_ns(is_write, now);
    if (wait == 0) {
      release(*t);
      continue;
    }
    turn_[is_write] = t;
    t->timer_->arm(now + wait);
  }
}

/// The first request of the member behind the one served last.
ThrottleTicket* ThrottleGroup::next_waiting(bool is_write) const {
  const auto last = std::ranges::find(members_, served_[is_write]);
  const size_t start = last == members_.end() ? 0 : static_cast<size_t>(last - members_.begin()) + 1;
  for (size_t i = 0; i < members_.size(); ++i) {
    const ThrottleMember& m = *members_[(start + i) % members_.size()];
    if (!m.waiting_[is_write].empty()) return m.waiting_[is_write].front();
  }
  return nullptr;
}

/// `t`, the first in its queue, goes on. What it costs is accounted for here, so that the next one's time
/// does not depend on when its loop gets to it.
void ThrottleGroup::release(ThrottleTicket& t) {
  t.member_.waiting_[t.is_write_].pop_front();
  served_[t.is_write_] = &t.member_;
  buckets_.account(t.is_write_, t.bytes_);
  t.loop_->schedule(t.handle_);
}

void ThrottleMember::join(std::shared_ptr<ThrottleGroup> group) {
  leave();
  std::lock_guard guard(group->mutex_);
  group->members_.push_back(this);
  group_ = std::move(group);
}

void ThrottleMember::leave() {
  if (group_ == nullptr) return;
  const std::shared_ptr<ThrottleGroup> group = std::exchange(group_, nullptr);
  std::lock_guard guard(group->mutex_);
  assert(waiting_[0].empty() && waiting_[1].empty());
  std::erase(group->members_, this);
  std::ranges::replace(group->served_, this, static_cast<const ThrottleMember*>(nullptr));
}

void ThrottleMember::begin_drain() {
  drains_.fetch_add(1);
  const std::shared_ptr<ThrottleGroup> group = group_;
  if (group == nullptr) return;
  std::lock_guard guard(group->mutex_);
  for (const bool is_write : {false, true}) {
    while (!waiting_[is_write].empty()) {
      ThrottleTicket& t = *waiting_[is_write].front();
      if (group->turn_[is_write] == &t) group->turn_[is_write] = nullptr;
      group->release(t);
    }
    group->pass_turn(is_write);
  }
}

namespace {
std::map<std::string, std::weak_ptr<ThrottleGroup>>& throttle_groups() {
  static std::map<std::string, std::weak_ptr<ThrottleGroup>> groups;
  return groups;
}
}  // namespace

std::shared_ptr<ThrottleGroup> find_throttle_group(const std::string& name) {
  const auto it = throttle_groups().find(name);
  return it == throttle_groups().end() ? nullptr : it->second.lock();
}

std::shared_ptr<ThrottleGroup> get_throttle_group(const std::string& name) {
  if (std::shared_ptr<ThrottleGroup> group = find_throttle_group(name)) return group;
  std::erase_if(throttle_groups(), [](const auto& entry) { return entry.second.expired(); });
  auto group = std::make_shared<ThrottleGroup>(name, block_clock());
  throttle_groups()[name] = group;
  return group;
}

Clock& block_clock() {
  if (virtual_clock().manual()) return virtual_clock();
  return realtime_clock();
}

}  // namespace rhea
