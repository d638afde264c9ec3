#include "chardev/fd_chardev.h"

#include <fcntl.h>
#include <sys/epoll.h>

#include <algorithm>
#include <array>

namespace rhea {

namespace {

/// False for what epoll refuses because it is always ready: regular files, /dev/null.
bool is_pollable(int fd) {
  UniqueFd probe(epoll_create1(EPOLL_CLOEXEC));
  epoll_event event{.events = 0, .data = {}};
  return epoll_ctl(probe.get(), EPOLL_CTL_ADD, fd, &event) == 0 || errno != EPERM;
}

/// Input passes through it within one callback; the main loop's thread only.
std::array<uint8_t, FdChardev::kReadBytes>& read_buffer() {
  static std::array<uint8_t, FdChardev::kReadBytes> buffer;
  return buffer;
}

}  // namespace

int set_nonblocking(int fd) {
  const int flags = fcntl(fd, F_GETFL);
  if (flags >= 0 && (flags & O_NONBLOCK) == 0) fcntl(fd, F_SETFL, flags | O_NONBLOCK);
  return flags;
}

void FdChardev::start_io(UniqueFd in, UniqueFd out) {
  stop_io();
  in_ = std::move(in);
  out_ = std::move(out);
  in_pollable_ = !in_ || is_pollable(in_.get());
  if (in_ && in_pollable_)
    in_watch_ = loop_.watch_fd(in_.get(), 0, [this](uint32_t events) { on_input(events); });
  else if (in_)
    pump_ = std::make_unique<Timer>(loop_, realtime_clock(), [this] { on_input(EPOLLIN); });
  if (out_) out_watch_ = loop_.watch_fd(out_.get(), 0, [this](uint32_t events) { on_output(events); });
  input_wanted_ = bool(in_);
  output_wanted_ = false;
  resume_input();
}

void FdChardev::stop_io() {
  in_watch_.reset();
  out_watch_.reset();
  pump_.reset();
  drop_backlog();
  in_.reset();
  out_.reset();
  input_wanted_ = output_wanted_ = false;
}

void FdChardev::stop_input() {
  input_wanted_ = false;
  update_watches();
}

void FdChardev::start_input() {
  input_wanted_ = true;
  update_watches();
}

void FdChardev::resume_input() {
  if (!in_ || !input_wanted_) return;
  update_watches();
}

void FdChardev::update_watches() {
  const bool read = input_wanted_ && input_room() > 0;
  if (pump_) {
    if (read && !pump_->pending()) pump_->arm_in(0);
    if (!read) pump_->cancel();
  }
  const uint32_t output = output_wanted_ ? uint32_t{EPOLLOUT} : 0;
  const uint32_t input = read ? uint32_t{EPOLLIN} : 0;
  if (in_watch_) in_watch_->set_events(input | (out_watch_ ? 0 : output));
  if (out_watch_) out_watch_->set_events(output);
}

void FdChardev::on_input(uint32_t events) {
  if ((events & EPOLLOUT) != 0 && !out_watch_) on_output(events);
  if (!input_wanted_ || (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0) return;
  if (input_room() == 0) {
    // Data or the end of it waits until somebody asks; an error with nobody reading is not reported again.
    if (in_watch_) in_watch_->set_events(in_watch_->events() & EPOLLOUT);
    return;
  }
  if (read_once() && in_) update_watches();
}

bool FdChardev::read_once() {
  auto& buffer = read_buffer();
  const size_t room = std::min(input_room(), buffer.size());
  const ssize_t n = read_fd(std::span(buffer).first(room));
  if (n > 0) {
    deliver(std::span(buffer).first(static_cast<size_t>(n)));
    return true;
  }
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return true;
  input_ended(n < 0 ? errno : 0);
  return false;
}

void FdChardev::on_output(uint32_t) {
  if (!output_wanted_) return;
  output_wanted_ = false;
  flush_backlog();  // asks again if something is left
  if (in_ || out_) update_watches();
}

void FdChardev::input_ended(int) {
  stop_input();
  set_open(false);
}

void FdChardev::output_failed(int) {
  output_wanted_ = false;
}

size_t FdChardev::push(std::span<const uint8_t> data) {
  if (!in_ && !out_) return data.size();
  size_t done = 0;
  while (done < data.size()) {
    const ssize_t n = write_fd(data.subspan(done));
    if (n > 0) {
      done += static_cast<size_t>(n);
      continue;
    }
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return done;
    output_failed(n < 0 ? errno : EIO);
    return data.size();
  }
  return done;
}

void FdChardev::want_push() {
  if (output_wanted_) return;
  output_wanted_ = true;
  update_watches();
}

ssize_t FdChardev::read_fd(std::span<uint8_t> buffer) {
  return ::read(in_.get(), buffer.data(), buffer.size());
}

ssize_t FdChardev::write_fd(std::span<const uint8_t> data) {
  return ::write(out_fd(), data.data(), data.size());
}

}  // namespace rhea
