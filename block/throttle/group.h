// Throttle groups: disks that share limits take turns.
#pragma once

#include <atomic>
#include <cassert>
#include <coroutine>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "block/throttle/limits.h"
#include "util/aio_context.h"

namespace rhea {

class ThrottleMember;
class ThrottleTicket;

/// Limits and those who share them. For reads and for writes there is at most one request at a time whose
/// turn is next: it has a timer; the others queue at their members, which are served one after the other. Any
/// thread, guarded by `mutex_`.
class ThrottleGroup {
 public:
  ThrottleGroup(std::string name, Clock& clock)
      : name_(std::move(name)), clock_(clock), buckets_(clock.now_ns()) {}
  ThrottleGroup(const ThrottleGroup&) = delete;
  ~ThrottleGroup() { assert(members_.empty()); }
  const std::string& name() const { return name_; }
  ThrottleConfig limits() const;
  /// Checked ones; requests that wait now wait as these say.
  void set_limits(const ThrottleConfig& limits);
  size_t member_count() const;

 private:
  friend class ThrottleMember;
  friend class ThrottleTicket;
  bool enter(ThrottleTicket& ticket, std::coroutine_handle<> handle);
  void due(ThrottleTicket& ticket);
  void pass_turn(bool is_write);
  void release(ThrottleTicket& ticket);
  ThrottleTicket* next_waiting(bool is_write) const;

  const std::string name_;
  Clock& clock_;
  mutable std::mutex mutex_;  // guards what follows, and the members' queues
  ThrottleBuckets buckets_;
  std::vector<ThrottleMember*> members_;
  std::array<ThrottleTicket*, 2> turn_{};          ///< whose timer runs; of reads, of writes
  std::array<const ThrottleMember*, 2> served_{};  ///< who had the last turn
};

/// A disk's part in a group. Joining and leaving: main loop, with no request under way.
class ThrottleMember {
 public:
  ThrottleMember() = default;
  ThrottleMember(const ThrottleMember&) = delete;
  ~ThrottleMember() { leave(); }
  void join(std::shared_ptr<ThrottleGroup> group);
  void leave();
  const std::shared_ptr<ThrottleGroup>& group() const { return group_; }
  /// Whether requests have to ask (ThrottleTicket).
  bool limited() const { return group_ != nullptr; }
  /// Requests that wait go on at once, and new ones do not wait, until the matching end_drain(). Main loop.
  void begin_drain();
  void end_drain() { drains_.fetch_sub(1); }

 private:
  friend class ThrottleGroup;
  friend class ThrottleTicket;
  std::shared_ptr<ThrottleGroup> group_;
  std::atomic<int> drains_{0};
  std::array<std::deque<ThrottleTicket*>, 2> waiting_;  ///< reads, writes; guarded by the group
};

/// One request's way through its group: `ThrottleTicket ticket(member, is_write, bytes); co_await ticket;`
/// goes on when it may, in the same loop.
class ThrottleTicket {
 public:
  ThrottleTicket(ThrottleMember& member, bool is_write, uint64_t bytes)
      : member_(member), group_(member.group_), is_write_(is_write), bytes_(bytes) {}
  ThrottleTicket(const ThrottleTicket&) = delete;
  bool await_ready() const noexcept { return group_ == nullptr; }
  bool await_suspend(std::coroutine_handle<> h) { return group_->enter(*this, h); }
  void await_resume() const noexcept {}

 private:
  friend class ThrottleGroup;
  friend class ThrottleMember;
  ThrottleMember& member_;
  const std::shared_ptr<ThrottleGroup> group_;
  const bool is_write_;
  const uint64_t bytes_;
  std::coroutine_handle<> handle_;
  AioContext* loop_ = nullptr;
  std::unique_ptr<Timer> timer_;  ///< on loop_
};

/// The group of that name; null if there is none. Main loop, as all that follows.
std::shared_ptr<ThrottleGroup> find_throttle_group(const std::string& name);
/// The same; one without limits is made if there is none. It ends with its last user.
std::shared_ptr<ThrottleGroup> get_throttle_group(const std::string& name);
/// What limits and statistics are measured by: the host's time, or the guest's where a test steps it.
Clock& block_clock();

}  // namespace rhea
