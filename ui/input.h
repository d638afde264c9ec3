// The input core: what users do with keys and pointers, and the devices of the machine that want to know.
//
// Sources (a monitor command, a VNC client) send events; each goes to the first handler that takes its kind,
// those bound to the console it came from before those bound to none. Main thread with the machine lock.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "qapi/qapi_types_ui.h"
#include "util/result.h"

namespace rhea {

class AioContext;
class Clock;
class Console;
class Timer;

/// Kinds of events a handler takes: bits for InputHandler::accepts.
inline constexpr uint32_t kInputKeys = 1, kInputButtons = 2, kInputRelative = 4, kInputAbsolute = 8;
/// The bit of one kind.
constexpr uint32_t input_bit(InputEventKind kind) {
  return 1u << static_cast<unsigned>(kind);
}
static_assert(kInputKeys == input_bit(InputEventKind::kKey) &&
              kInputButtons == input_bit(InputEventKind::kBtn) &&
              kInputRelative == input_bit(InputEventKind::kRel) &&
              kInputAbsolute == input_bit(InputEventKind::kAbs));
/// How long send-key holds keys unless told, in milliseconds.
inline constexpr int64_t kDefaultHoldMs = 10;
/// Places on an absolute axis run from 0 to this.
inline constexpr int kInputAbsoluteMax = 0x7fff;

/// One event as devices get it: the fields that belong to its kind are valid.
struct InputStroke {
  InputEventKind kind;
  QKeyCode key{};        ///< kKey
  InputButton button{};  ///< kBtn
  bool down = false;     ///< kKey, kBtn
  InputAxis axis{};      ///< kRel, kAbs
  int value = 0;         ///< kRel: counts, right and down positive; kAbs: 0..kInputAbsoluteMax
};

/// A device that takes input. It belongs to the device; registered with an InputRegistration.
class InputHandler {
 public:
  virtual ~InputHandler() = default;
  virtual void input_event(const InputStroke& event) = 0;
  /// What came since the last call belongs together: a movement and the buttons with it.
  virtual void input_sync() {}
};

struct InputHandlerInfo {
  std::string name;            ///< "QEMU PS/2 Mouse": query-mice shows it
  uint32_t accepts = 0;        ///< kInput* bits
  Console* console = nullptr;  ///< takes only what comes from there; null: whatever nobody else takes
};

class InputHub {
 public:
  InputHub();
  ~InputHub();
  InputHub(const InputHub&) = delete;

  /// Known from now on, behind all others; its number, counted from 1.
  int add(InputHandlerInfo info, InputHandler& handler);
  void remove(int index);
  /// Puts it before all others, so that it gets what it takes. Fails if there is none of this number.
  Result<> activate(int index);
  /// Events come from now on from this console only: null undoes it.
  void bind(int index, Console* console);

  /// Whether events reach the devices now; false while the machine is stopped. Set by the machine's owner.
  std::function<bool()> enabled;
  bool is_enabled() const { return !enabled || enabled(); }

  /// Hands one event on; dropped if nobody takes it or the machine is stopped. Call sync() behind the last.
  void send(const Console* source, const InputStroke& event);
  void sync();
  bool has_handler(const Console* source, uint32_t kinds) const;
  /// True if a pointer device that would get the events wants places rather than movements.
  bool pointer_is_absolute(const Console* source) const;

  // Short forms.
  void key(const Console* source, QKeyCode key, bool down);
  void button(const Console* source, InputButton button, bool down);
  void move_by(const Console* source, int dx, int dy);
  /// `at` of `extent` pixels on each axis.
  void move_to(const Console* source, int x, int width, int y, int height);

  /// Presses `keys` in turn, `hold_ms` apart by `clock`, and lets go of them in opposite order. Queued behind
  /// earlier ones; what does not fit the queue is lost.
  void send_keys(AioContext& loop, Clock& clock, const std::vector<QKeyCode>& keys, int64_t hold_ms);
  /// Drops what send_keys() still has to do: before the loop goes.
  void clear_queue();

  std::vector<MouseInfo> mice() const;

 private:
  struct Entry {
    int index;
    InputHandlerInfo info;
    InputHandler* handler;
    bool touched = false;  ///< got events since the last sync
  };
  struct Queued {
    QKeyCode key;
    bool down;
    int64_t wait_ms;  ///< until the next
  };
  Entry* find(const Console* source, uint32_t kinds);
  void run_queue();
  std::vector<Entry> entries_;
  int last_index_ = 0;
  std::vector<Queued> queue_;
  std::unique_ptr<Timer> timer_;
};

/// The process's input core.
InputHub& input_hub();

/// Keeps a handler registered while it lives.
class InputRegistration {
 public:
  InputRegistration(InputHandlerInfo info, InputHandler& handler)
      : index_(input_hub().add(std::move(info), handler)) {}
  ~InputRegistration() { input_hub().remove(index_); }
  InputRegistration(const InputRegistration&) = delete;
  int index() const { return index_; }

 private:
  int index_;
};

class HmpRegistry;
/// sendkey, mouse_move, mouse_button, mouse_set, info mice.
void hmp_register_input(HmpRegistry& registry);
/// screendump.
void hmp_register_screendump(HmpRegistry& registry);

}  // namespace rhea
