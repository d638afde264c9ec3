#include "ui/input.h"

#include <algorithm>

#include "util/aio_context.h"

namespace rhea {

namespace {

constexpr size_t kMaxQueued = 1024;
constexpr int64_t kNsPerMs = 1'000'000;

int to_absolute(int at, int extent) {
  if (extent <= 1) return 0;
  return static_cast<int>(int64_t{std::clamp(at, 0, extent - 1)} * kInputAbsoluteMax / (extent - 1));
}

}  // namespace

InputHub::InputHub() = default;
InputHub::~InputHub() = default;

InputHub& input_hub() {
  static InputHub hub;
  return hub;
}

int InputHub::add(InputHandlerInfo info, InputHandler& handler) {
  entries_.push_back({.index = ++last_index_, .info = std::move(info), .handler = &handler});
  return last_index_;
}

void InputHub::remove(int index) {
  std::erase_if(entries_, [&](const Entry& e) { return e.index == index; });
  if (entries_.empty()) last_index_ = 0;
}

Result<> InputHub::activate(int index) {
  auto it = std::ranges::find(entries_, index, &Entry::index);
  if (it == entries_.end()) return fail(ENODEV, "there is no input device ", index);
  std::rotate(entries_.begin(), it, it + 1);
  return {};
}

void InputHub::bind(int index, Console* console) {
  auto it = std::ranges::find(entries_, index, &Entry::index);
  if (it != entries_.end()) it->info.console = console;
}

InputHub::Entry* InputHub::find(const Console* source, uint32_t kinds) {
  for (Entry& e : entries_)
    if (e.info.console != nullptr && e.info.console == source && (e.info.accepts & kinds) != 0) return &e;
  for (Entry& e : entries_)
    if (e.info.console == nullptr && (e.info.accepts & kinds) != 0) return &e;
  return nullptr;
}

bool InputHub::has_handler(const Console* source, uint32_t kinds) const {
  return const_cast<InputHub*>(this)->find(source, kinds) != nullptr;
}

bool InputHub::pointer_is_absolute(const Console* source) const {
  const Entry* e = const_cast<InputHub*>(this)->find(source, kInputRelative | kInputAbsolute);
  return e != nullptr && (e->info.accepts & kInputAbsolute) != 0;
}

void InputHub::send(const Console* source, const InputStroke& event) {
  if (!is_enabled()) return;
  Entry* e = find(source, input_bit(event.kind));
  if (e == nullptr) return;
  e->touched = true;
  e->handler->input_event(event);
}

void InputHub::sync() {
  for (Entry& e : entries_)
    if (std::exchange(e.touched, false)) e.handler->input_sync();
}

void InputHub::key(const Console* source, QKeyCode key, bool down) {
  send(source, {.kind = InputEventKind::kKey, .key = key, .down = down});
  sync();
}

void InputHub::button(const Console* source, InputButton button, bool down) {
  send(source, {.kind = InputEventKind::kBtn, .button = button, .down = down});
}

void InputHub::move_by(const Console* source, int dx, int dy) {
  if (dx != 0) send(source, {.kind = InputEventKind::kRel, .axis = InputAxis::kX, .value = dx});
  if (dy != 0) send(source, {.kind = InputEventKind::kRel, .axis = InputAxis::kY, .value = dy});
}

void InputHub::move_to(const Console* source, int x, int width, int y, int height) {
  send(source, {.kind = InputEventKind::kAbs, .axis = InputAxis::kX, .value = to_absolute(x, width)});
  send(source, {.kind = InputEventKind::kAbs, .axis = InputAxis::kY, .value = to_absolute(y, height)});
}

void InputHub::send_keys(AioContext& loop, Clock& clock, const std::vector<QKeyCode>& keys, int64_t hold_ms) {
  auto add = [&](QKeyCode key, bool down) {
    if (queue_.size() < kMaxQueued) queue_.push_back({key, down, hold_ms});
  };
  const bool idle = queue_.empty();
  for (QKeyCode key : keys) add(key, true);
  for (auto it = keys.rbegin(); it != keys.rend(); ++it) add(*it, false);
  if (!idle || queue_.empty()) return;
  timer_ = std::make_unique<Timer>(loop, clock, [this] { run_queue(); });
  run_queue();
}

void InputHub::run_queue() {
  while (!queue_.empty()) {
    const Queued next = queue_.front();
    if (next.wait_ms < 0) {  // it was sent, and its time is over
      queue_.erase(queue_.begin());
      continue;
    }
    key(nullptr, next.key, next.down);
    if (next.wait_ms == 0) {
      queue_.erase(queue_.begin());
      continue;
    }
    queue_.front().wait_ms = -1;
    timer_->arm_in(next.wait_ms * kNsPerMs);
    return;
  }
}

void InputHub::clear_queue() {
  queue_.clear();
  timer_.reset();
}

std::vector<MouseInfo> InputHub::mice() const {
  std::vector<MouseInfo> out;
  for (const Entry& e : entries_) {
    if ((e.info.accepts & (kInputRelative | kInputAbsolute)) == 0) continue;
    MouseInfo& info = out.emplace_back();
    info.name = e.info.name;
    info.index = e.index;
    info.absolute = (e.info.accepts & kInputAbsolute) != 0;
    info.current = out.size() == 1;
  }
  return out;
}

}  // namespace rhea
