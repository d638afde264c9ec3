// mux=on: several front ends share one backend. Output of all goes there; the keyboard belongs to one, and an
// escape key (Ctrl-a) followed by a letter switches it.
#include <algorithm>
#include <map>

#include "chardev/backends.h"
#include "util/str.h"

namespace rhea {

namespace {

/// Keys a front end without room may leave waiting; escapes are still seen meanwhile.
constexpr size_t kQueuedKeys = 256;

class MuxChardev final : public Chardev {
 public:
  MuxChardev(std::string label, const ChardevSettings& settings)
      : Chardev(std::move(label)), settings_(settings) {}
  /// Takes the place in front of `base`.
  Result<> open(Chardev& base) {
    TRY(inner_.attach(base));
    inner_.set_handlers({.can_read = [this] { return room(); },
                         .read = [this](std::span<const uint8_t> data) { keys(data); },
                         .event = [this](CharEvent event) { base_event(event); },
                         .writable = [this] { flush_backlog(); }});
    inner_.set_open(false);  // until somebody is in front of it
    return {};
  }
  std::string_view backend() const override { return "mux"; }
  bool is_mux() const override { return true; }

 private:
  size_t room() const { return focus_ == nullptr ? kQueuedKeys : kQueuedKeys - queue_.at(focus_).size(); }
  void keys(std::span<const uint8_t> data);
  void escape_key(uint8_t key);
  void typed(uint8_t key) {
    if (focus_ != nullptr) queue_.at(focus_).push_back(static_cast<char>(key));
  }
  void drain();
  void set_focus(CharFrontend* frontend);
  void next_focus();
  void help();
  void say(std::string_view text) { inner_.write_all(text); }
  void base_event(CharEvent event) {
    if (event == CharEvent::kBreak)
      emit_to_focus(event);
    else
      set_open(event == CharEvent::kOpened);
  }
  void emit_to_focus(CharEvent event) {
    if (focus_ != nullptr) tell(*focus_, event);
  }

  size_t push(std::span<const uint8_t> data) override { return inner_.write(data); }
  void resume_input() override {
    drain();
    inner_.accept_input();
  }
  void send_break() override { inner_.send_break(); }
  std::vector<UniqueFd> take_fds() override { return inner_.take_fds(); }
  Result<> add_frontend(CharFrontend& frontend) override {
    queue_[&frontend];
    return Chardev::add_frontend(frontend);
  }
  void remove_frontend(CharFrontend& frontend) override;
  void handlers_changed(CharFrontend& frontend) override {
    Chardev::handlers_changed(frontend);
    inner_.set_open(frontend_open());
    if (frontend.is_open()) set_focus(&frontend);
  }

  CharFrontend inner_;
  const ChardevSettings& settings_;
  std::map<CharFrontend*, std::string> queue_;  ///< keys not yet taken
  CharFrontend* focus_ = nullptr;
  bool escaped_ = false;
  bool draining_ = false;
};

void MuxChardev::remove_frontend(CharFrontend& frontend) {
  Chardev::remove_frontend(frontend);
  inner_.set_open(frontend_open());
  queue_.erase(&frontend);
  if (focus_ != &frontend) return;
  focus_ = nullptr;
  if (!frontends().empty()) set_focus(frontends().front());
}

void MuxChardev::keys(std::span<const uint8_t> data) {
  for (uint8_t key : data) {
    if (escaped_) {
      escaped_ = false;
      escape_key(key);
    } else if (static_cast<char>(key) == settings_.mux_escape) {
      escaped_ = true;
    } else {
      typed(key);
    }
  }
  drain();
}

void MuxChardev::escape_key(uint8_t key) {
  if (static_cast<char>(key) == settings_.mux_escape) return typed(key);
  switch (key) {
    case 'h':
    case '?':
      return help();
    case 'x':
      say("QEMU: Terminated\n\r");
      if (settings_.on_quit) settings_.on_quit();
      return;
    case 'b':
      return emit_to_focus(CharEvent::kBreak);
    case 'c':
      drain();  // what was typed before belongs to the one that had the keyboard
      return next_focus();
    default:
      return;
  }
}

void MuxChardev::help() {
  const char key = settings_.mux_escape;
  const std::string name =
      key > 0 && key < 27 ? str_cat("C-", static_cast<char>('a' + key - 1)) : std::string(1, key);
  say(str_cat("\n\r", name, " h    print this help\n\r", name, " x    exit emulator\n\r"));
  say(str_cat(name, " b    send break (magic sysrq)\n\r", name,
              " c    switch between console and monitor\n\r"));
  say(str_cat(name, " ", name, "  sends ", name, "\n\r"));
}

void MuxChardev::drain() {
  if (draining_) return;  // a reader that asks for more gets it from the loop below
  draining_ = true;
  while (focus_ != nullptr && !queue_.at(focus_).empty()) {
    const CharHandlers& handlers = handlers_of(*focus_);
    const size_t room = handlers.can_read ? handlers.can_read() : 0;
    if (room == 0 || !handlers.read) break;
    std::string& queue = queue_.at(focus_);
    const std::string keys = queue.substr(0, room);
    queue.erase(0, keys.size());
    handlers.read(std::span(reinterpret_cast<const uint8_t*>(keys.data()), keys.size()));
  }
  draining_ = false;
}

void MuxChardev::set_focus(CharFrontend* frontend) {
  if (focus_ == frontend) return;
  if (focus_ != nullptr) tell(*focus_, CharEvent::kMuxOut);
  focus_ = frontend;
  tell(*focus_, CharEvent::kMuxIn);
}

void MuxChardev::next_focus() {
  const auto& all = frontends();
  if (all.empty()) return;
  const auto it = std::ranges::find(all, focus_);
  set_focus(it == all.end() || it + 1 == all.end() ? all.front() : *(it + 1));
}

}  // namespace

ChardevResult create_mux(std::string label, Chardev& base, const ChardevSettings& settings) {
  auto mux = std::make_unique<MuxChardev>(std::move(label), settings);
  TRY(mux->open(base));
  return mux;
}

}  // namespace rhea
