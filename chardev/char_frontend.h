// CharFrontend: what a device or a monitor holds of a character device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "util/result.h"
#include "util/unique_fd.h"

namespace rhea {

class Chardev;

/// What happens to the other side of a character device.
enum class CharEvent : uint8_t {
  kOpened,  ///< somebody is there: a client connected, a terminal opened the pty
  kClosed,  ///< nobody is there any more
  kBreak,   ///< the line's break condition
  kMuxIn,   ///< this front end of a mux got the keyboard
  kMuxOut,  ///< it lost it to another
};

/// What a front end is called for. All run on the main loop's thread; each may be empty.
struct CharHandlers {
  std::function<size_t()> can_read;                    ///< how many bytes read() may be given now
  std::function<void(std::span<const uint8_t>)> read;  ///< never more than can_read() said, never none
  std::function<void(CharEvent)> event;
  std::function<void()> writable;   ///< all output queued earlier has left
  bool may_change_backend = false;  ///< chardev-change may put another character device behind it
};

/// How characters go over a serial line.
struct SerialLine {
  uint32_t speed;  ///< bits per second
  char parity;     ///< 'N', 'E' or 'O'
  uint8_t data_bits;
  uint8_t stop_bits;
};

/// The device's end of a character device; without one, output vanishes and no input comes. Belongs to the
/// main loop: every call comes from its thread or under the machine lock.
class CharFrontend {
 public:
  CharFrontend() = default;
  CharFrontend(const CharFrontend&) = delete;
  CharFrontend& operator=(const CharFrontend&) = delete;
  ~CharFrontend() { detach(); }

  /// Takes the place in front of `chardev`, which must not have another user unless it is a mux: "Device 'ID'
  /// is in use".
  Result<> attach(Chardev& chardev);
  /// Gives it back. The handlers are dropped.
  void detach();
  /// Null while not attached.
  Chardev* chardev() const { return chardev_; }
  /// True if attached and somebody is at the other side.
  bool connected() const;

  /// Sets who is called. If somebody is there already, event(kOpened) comes before this returns. On a mux it
  /// also takes the keyboard.
  void set_handlers(CharHandlers handlers);
  /// Says that can_read() may have become larger than when it was asked last.
  void accept_input();

  /// Sends what can be sent now and queues the rest, up to Chardev::kBacklogBytes. Returns how many bytes
  /// were taken; fewer than given means that the other side does not read: writable() tells when to go on.
  /// Bytes to nobody (disconnected, no chardev) are taken and vanish. Never blocks.
  size_t write(std::span<const uint8_t> data);
  /// The same without a bound on the queue: for who watches backlog_bytes() itself.
  void write_all(std::span<const uint8_t> data);
  void write_all(std::string_view text) {
    write_all(std::span(reinterpret_cast<const uint8_t*>(text.data()), text.size()));
  }
  /// Bytes queued and not yet sent.
  size_t backlog_bytes() const;

  /// Sends a break condition where the backend has such a thing.
  void send_break();
  /// Sets speed and format where the backend is a serial line.
  void set_line(const SerialLine& line);
  /// The modem lines of such a line as TIOCM_* bits; none elsewhere.
  std::optional<uint32_t> modem_lines() const;
  /// Sets the outgoing ones (TIOCM_DTR, TIOCM_RTS).
  void set_modem_lines(uint32_t lines);
  /// Tells the backend whether the device's side is in use; set_handlers() says so by itself.
  void set_open(bool open) { open_ = open; }
  bool is_open() const { return open_; }
  /// Descriptors that came with the input (SCM_RIGHTS); what is not taken is closed when others come or the
  /// client goes.
  std::vector<UniqueFd> take_fds();

 private:
  friend class Chardev;
  Chardev* chardev_ = nullptr;
  CharHandlers handlers_;
  bool open_ = false;
};

}  // namespace rhea
