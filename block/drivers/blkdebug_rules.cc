#include <algorithm>
#include <array>
#include <fstream>

#include "block/drivers/blkdebug.h"

namespace rhea {

namespace {

constexpr std::string_view kEvents[] = {"l1_update",
                                        "l1_grow_alloc_table",
                                        "l1_grow_write_table",
                                        "l1_grow_activate_table",
                                        "l2_load",
                                        "l2_update",
                                        "l2_update_compressed",
                                        "l2_alloc_cow_read",
                                        "l2_alloc_write",
                                        "read_aio",
                                        "read_backing_aio",
                                        "read_compressed",
                                        "write_aio",
                                        "write_compressed",
                                        "vmstate_load",
                                        "vmstate_save",
                                        "cow_read",
                                        "cow_write",
                                        "reftable_load",
                                        "reftable_grow",
                                        "reftable_update",
                                        "refblock_load",
                                        "refblock_update",
                                        "refblock_update_part",
                                        "refblock_alloc",
                                        "refblock_alloc_hookup",
                                        "refblock_alloc_write",
                                        "refblock_alloc_write_blocks",
                                        "refblock_alloc_write_table",
                                        "refblock_alloc_switch_table",
                                        "cluster_alloc",
                                        "cluster_alloc_bytes",
                                        "cluster_free",
                                        "flush_to_os",
                                        "flush_to_disk",
                                        "pwritev_rmw_head",
                                        "pwritev_rmw_after_head",
                                        "pwritev_rmw_tail",
                                        "pwritev_rmw_after_tail",
                                        "pwritev",
                                        "pwritev_zero",
                                        "pwritev_done",
                                        "empty_image_prepare",
                                        "l1_shrink_write_table",
                                        "l1_shrink_free_l2_clusters",
                                        "cor_write",
                                        "cluster_alloc_space",
                                        "none"};

struct RequestName {
  std::string_view name;
  uint8_t bit;
};
constexpr RequestName kRequests[] = {{"read", BlkdebugRule::kRead},
                                     {"write", BlkdebugRule::kWrite},
                                     {"write-zeroes", BlkdebugRule::kWriteZeroes},
                                     {"discard", BlkdebugRule::kDiscard},
                                     {"flush", BlkdebugRule::kFlush},
                                     {"block-status", BlkdebugRule::kBlockStatus}};

std::string_view trim(std::string_view s) {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t' || s.back() == '\r')) s.remove_suffix(1);
  return s;
}

Result<BlkdebugRule::Action> action_of(std::string_view name) {
  if (name == "inject-error") return BlkdebugRule::Action::kInjectError;
  if (name == "set-state") return BlkdebugRule::Action::kSetState;
  return fail(EINVAL, "There is no option group '", name, "'");
}

}  // namespace

bool is_debug_event(std::string_view name) {
  return std::ranges::find(kEvents, name) != std::end(kEvents);
}

Result<> BlkdebugRules::add(BlkdebugRule::Action action, OptionTree options) {
  BlkdebugRule rule;
  rule.action = action;
  const auto event = TRY(options.take_string("event"));
  if (!event) return fail(EINVAL, "Missing event name for rule");
  if (!is_debug_event(*event)) return fail(EINVAL, "invalid parameter value: ", *event);
  rule.event = *event;
  rule.state = static_cast<int64_t>(TRY(options.take_number("state")).value_or(0));
  if (action == BlkdebugRule::Action::kInjectError) {
    rule.errnum = static_cast<int>(TRY(options.take_number("errno")).value_or(EIO) & 0xfff);
    if (const Json* sector = options.get("sector");
        sector != nullptr && sector->is_int() && sector->as_int() < 0)
      options.erase("sector");  // -1: any
    rule.sector = TRY(options.take_number("sector"));
    rule.once = TRY(options.take_bool("once")).value_or(false);
    rule.immediately = TRY(options.take_bool("immediately")).value_or(false);
    if (const auto request = TRY(options.take_string("iotype"))) {
      const auto* const found = std::ranges::find(kRequests, *request, &RequestName::name);
      if (found == std::end(kRequests)) return fail(EINVAL, "invalid parameter value: ", *request);
      rule.requests = found->bit;
    }
  } else {
    const auto new_state = TRY(options.take_number("new_state"));
    rule.new_state = static_cast<int64_t>(new_state.value_or(0));
  }
  if (const auto left = options.leftover(); !left.empty())
    return fail(EINVAL, "Invalid parameter '", left[0], "'");
  const std::lock_guard guard(mutex_);
  rules_.push_back(std::move(rule));
  return {};
}

Result<> BlkdebugRules::read_file(const std::string& path) {
  std::ifstream file(path);
  if (!file) return fail_errno(errno != 0 ? errno : ENOENT, "Could not read blkdebug config file");
  std::optional<BlkdebugRule::Action> section;
  OptionTree options;
  auto finish = [&]() -> Result<> {
    if (section) TRY(add(*section, std::exchange(options, OptionTree())));
    return {};
  };
  std::string text;
  for (int number = 1; std::getline(file, text); ++number) {
    const std::string_view line = trim(text);
    if (line.empty() || line[0] == '#') continue;
    if (line.front() == '[' && line.back() == ']') {
      TRY(finish());
      section = TRY(action_of(line.substr(1, line.size() - 2)));
      continue;
    }
    const size_t equals = line.find('=');
    std::string_view value = equals != std::string_view::npos ? trim(line.substr(equals + 1)) : "";
    if (!section || value.size() < 2 || value.front() != '"' || value.back() != '"')
      return fail(EINVAL, "Could not parse blkdebug config file: line ", number);
    value = value.substr(1, value.size() - 2);
    options.set(std::string(trim(line.substr(0, equals))), std::string(value));
  }
  return finish();
}

Result<> BlkdebugRules::take_options(OptionTree& options) {
  for (const std::string_view group : {"inject-error", "set-state"}) {
    OptionTree list = options.extract(group);
    for (unsigned i = 0; !list.empty(); ++i) {
      OptionTree one = list.extract(str_cat(i));
      if (one.empty()) return fail(EINVAL, "Unused option '", list.entries()[0].key, "' for [", group, "]");
      const BlkdebugRule::Action action = TRY(action_of(group));
      TRY(add(action, std::move(one)));
    }
  }
  std::ignore = apply("none");
  return {};
}

/// Carries out the rules of an event; what stands at a breakpoint is returned, to be waited for.
std::vector<std::shared_ptr<BlkdebugRules::Suspended>> BlkdebugRules::apply(std::string_view event) {
  const std::lock_guard guard(mutex_);
  int64_t new_state = state_;
  bool injected = false;
  for (size_t i = 0; i < rules_.size(); ++i) {
    const BlkdebugRule& rule = rules_[i];
    if (rule.spent || rule.event != event || (rule.state != 0 && rule.state != state_)) continue;
    if (rule.action == BlkdebugRule::Action::kSetState) {
      new_state = rule.new_state;
      continue;
    }
    if (!std::exchange(injected, true)) active_.clear();
    active_.push_back(i);
  }
  state_ = new_state;
  std::vector<std::shared_ptr<Suspended>> out;
  std::erase_if(breaks_, [&](const Break& b) {
    if (b.event != event) return false;
    out.push_back(std::make_shared<Suspended>());
    out.back()->tag = b.tag;
    suspended_.push_back(out.back());
    return true;
  });
  return out;
}

CoResult<> BlkdebugRules::co_event(std::string_view event) {
  const std::vector<std::shared_ptr<Suspended>> stops = apply(event);
  for (const auto& stop : stops) {
    if (on_break != nullptr) on_break(true, stop->tag);
    for (;;) {
      {
        const std::lock_guard guard(mutex_);
        if (stop->released) break;
      }
      co_await stop->queue.co_wait();
    }
  }
  co_return Result<>();
}

CoResult<> BlkdebugRules::co_check(BlkdebugRule::Request request, ByteRange range) {
  int errnum = 0;
  bool immediately = true;
  {
    const std::lock_guard guard(mutex_);
    const auto found = std::ranges::find_if(active_, [&](size_t i) {
      const BlkdebugRule& rule = rules_[i];
      const bool there = !rule.sector || (*rule.sector * kSectorBytes >= range.offset &&
                                          *rule.sector * kSectorBytes - range.offset < range.bytes);
      return (rule.requests & request) != 0 && there;
    });
    if (found == active_.end()) co_return Result<>();
    errnum = rules_[*found].errnum;
    immediately = rules_[*found].immediately;
    if (rules_[*found].once) {
      rules_[*found].spent = true;
      active_.erase(found);
    }
  }
  if (errnum == 0) co_return Result<>();
  if (!immediately) co_await AioContext::current()->co_yield_now();
  co_return fail_errno(errnum, "blkdebug");
}

Result<> BlkdebugRules::add_break(std::string_view event, std::string_view tag) {
  if (!is_debug_event(event)) return fail_errno(ENOENT, "Could not set breakpoint");
  const std::lock_guard guard(mutex_);
  breaks_.push_back({std::string(event), std::string(tag)});
  return {};
}

Result<> BlkdebugRules::resume(std::string_view tag) {
  std::shared_ptr<Suspended> one;
  {
    const std::lock_guard guard(mutex_);
    const auto found = std::ranges::find_if(suspended_, [&](const auto& s) { return s->tag == tag; });
    if (found == suspended_.end()) return fail_errno(ENOENT, "Could not resume request");
    one = *found;
    one->released = true;
    suspended_.erase(found);
  }
  if (on_break != nullptr) on_break(false, one->tag);
  one->queue.wake_all();
  return {};
}

Result<> BlkdebugRules::remove_break(std::string_view tag) {
  bool any = false;
  {
    const std::lock_guard guard(mutex_);
    any = std::erase_if(breaks_, [&](const Break& b) { return b.tag == tag; }) != 0;
  }
  while (is_suspended(tag)) {
    std::ignore = resume(tag);
    any = true;
  }
  if (!any) return fail_errno(ENOENT, "Could not remove breakpoint ", tag);
  return {};
}

bool BlkdebugRules::is_suspended(std::string_view tag) {
  const std::lock_guard guard(mutex_);
  return std::ranges::any_of(suspended_, [&](const auto& s) { return s->tag == tag; });
}

}  // namespace rhea
