#include "chardev/chardev.h"

#include <algorithm>

namespace rhea {

Chardev::~Chardev() {
  for (CharFrontend* frontend : frontends_) frontend->chardev_ = nullptr;
}

Result<> Chardev::add_client(UniqueFd) {
  return fail(ENOTSUP, "add_client failed");
}

Result<> Chardev::check_hotswap() const {
  for (const CharFrontend* frontend : frontends_)
    if (!frontend->handlers_.may_change_backend)
      return fail(ENOTSUP, "Chardev user does not support chardev hotswap");
  return {};
}

void Chardev::move_frontends_to(Chardev& other) {
  for (CharFrontend* frontend : std::exchange(frontends_, {})) {
    if (open_ && !other.open_) tell(*frontend, CharEvent::kClosed);
    frontend->chardev_ = &other;
    other.frontends_.push_back(frontend);
    other.handlers_changed(*frontend);
  }
}

bool Chardev::frontend_open() const {
  return std::ranges::any_of(frontends_, [](const CharFrontend* f) { return f->is_open(); });
}

Result<> Chardev::add_frontend(CharFrontend& frontend) {
  if (!is_mux() && !frontends_.empty()) return fail(EBUSY, "Device '", label_, "' is in use");
  frontends_.push_back(&frontend);
  return {};
}

void Chardev::remove_frontend(CharFrontend& frontend) {
  std::erase(frontends_, &frontend);
}

void Chardev::handlers_changed(CharFrontend& frontend) {
  if (open_) tell(frontend, CharEvent::kOpened);
  resume_input();
}

size_t Chardev::input_room() {
  if (frontends_.empty()) return 0;
  const auto& can_read = frontends_.front()->handlers_.can_read;
  return can_read ? can_read() : 0;
}

void Chardev::deliver(std::span<const uint8_t> data) {
  if (frontends_.empty() || data.empty()) return;
  const auto& read = frontends_.front()->handlers_.read;
  if (read) read(data);
}

void Chardev::tell(CharFrontend& frontend, CharEvent event) {
  if (frontend.handlers_.event) frontend.handlers_.event(event);
}

void Chardev::set_open(bool open) {
  if (open_ == open) return;
  open_ = open;
  emit(open ? CharEvent::kOpened : CharEvent::kClosed);
}

void Chardev::emit(CharEvent event) {
  for (size_t i = 0; i < frontends_.size(); ++i) tell(*frontends_[i], event);
}

size_t Chardev::write(std::span<const uint8_t> data, size_t backlog_limit) {
  size_t taken = has_backlog() ? 0 : push(data);
  if (taken < data.size()) {
    const size_t queued = backlog_.size() - backlog_start_;
    const size_t more = std::min(data.size() - taken, backlog_limit - std::min(queued, backlog_limit));
    backlog_.append(reinterpret_cast<const char*>(data.data()) + taken, more);
    taken += more;
    want_push();
  }
  if (log_) write_log(data.first(taken));
  return taken;
}

void Chardev::flush_backlog() {
  if (!has_backlog()) return;
  const auto* begin = reinterpret_cast<const uint8_t*>(backlog_.data());
  backlog_start_ += push(std::span(begin + backlog_start_, backlog_.size() - backlog_start_));
  if (has_backlog()) return want_push();
  drop_backlog();
  for (size_t i = 0; i < frontends_.size(); ++i)
    if (frontends_[i]->handlers_.writable) frontends_[i]->handlers_.writable();
}

void Chardev::drop_backlog() {
  backlog_.clear();
  if (backlog_.capacity() > kBacklogBytes) backlog_.shrink_to_fit();
  backlog_start_ = 0;
}

void Chardev::write_log(std::span<const uint8_t> data) {
  while (!data.empty()) {
    const ssize_t n = ::write(log_.get(), data.data(), data.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;  // a full disk does not stop the guest
    data = data.subspan(static_cast<size_t>(n));
  }
}

}  // namespace rhea
