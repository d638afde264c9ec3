// Chardev: the host's side of a character device. One class per backend derives from it.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "chardev/char_frontend.h"
#include "qom/object.h"
#include "util/result.h"
#include "util/unique_fd.h"

namespace rhea {

/// A byte stream with a label. ChardevSet owns it and shows it in the tree under /chardevs; a CharFrontend
/// borrows it. Output that the host does not take at once waits in a backlog here. Main loop's thread or
/// under the machine lock, as CharFrontend.
class Chardev : public Object {
 public:
  static const TypeInfo kType;                       ///< "chardev", abstract
  static constexpr size_t kBacklogBytes = 64 << 10;  ///< what CharFrontend::write() queues at most

  explicit Chardev(std::string label) : label_(std::move(label)) {}
  ~Chardev() override;

  /// "chardev-BACKEND", one of register_chardev_types().
  const TypeInfo& type() const override;

  const std::string& label() const { return label_; }
  /// The backend's name in `-chardev BACKEND`.
  virtual std::string_view backend() const = 0;
  /// What query-chardev shows, such as "pty:/dev/pts/3" or "disconnected:unix:/x,server=on".
  virtual std::string filename() const { return std::string(backend()); }
  /// True while somebody is at the other side.
  bool is_open() const { return open_; }
  virtual bool is_mux() const { return false; }
  /// True if descriptors may come with the input, so that fd-passing commands make sense.
  virtual bool can_pass_fds() const { return false; }
  /// True if a device or monitor uses it.
  bool frontend_open() const;
  bool in_use() const { return !frontends_.empty(); }
  /// Appends everything written to `fd` as well.
  void set_log(UniqueFd fd) { log_ = std::move(fd); }
  /// True for backends with connections that may hang; yank() then cuts the present one, if there is one.
  virtual bool can_yank() const { return false; }
  virtual void yank() {}
  /// Takes `fd` as the peer, where connections come and go and there is none now: "add_client failed".
  virtual Result<> add_client(UniqueFd fd);
  /// The address of a socket as SocketAddress shows it; null for others.
  virtual Json address() const { return {}; }
  /// A break condition as if it had come from the host's side.
  void receive_break() { emit(CharEvent::kBreak); }
  /// "Chardev user does not support chardev hotswap" if a front end cannot be given another device.
  Result<> check_hotswap() const;
  /// Gives all front ends to `other`, which is no mux and has none. After check_hotswap().
  void move_frontends_to(Chardev& other);

 protected:
  friend class CharFrontend;

  // For backends: what the host side reports.
  /// How many bytes deliver() may be given now.
  virtual size_t input_room();
  virtual void deliver(std::span<const uint8_t> data);
  /// Records kOpened and kClosed, and tells the front ends.
  void set_open(bool open);
  virtual void emit(CharEvent event);
  /// Sends what waits in the backlog: to be called when push() may succeed again.
  void flush_backlog();
  bool has_backlog() const { return backlog_start_ != backlog_.size(); }
  void drop_backlog();

  // What a backend implements.
  /// Gives bytes to the host without blocking; returns how many it took. Nobody there: all, they vanish.
  virtual size_t push(std::span<const uint8_t> data) = 0;
  /// The backlog is not empty: call flush_backlog() when the host takes more.
  virtual void want_push() {}
  /// input_room() may have grown.
  virtual void resume_input() {}
  virtual void send_break() {}
  virtual void set_line(const SerialLine&) {}
  virtual std::optional<uint32_t> modem_lines() { return std::nullopt; }
  virtual void set_modem_lines(uint32_t) {}
  virtual std::vector<UniqueFd> take_fds() { return {}; }

  // What a mux does otherwise.
  virtual Result<> add_frontend(CharFrontend& frontend);
  virtual void remove_frontend(CharFrontend& frontend);
  virtual void handlers_changed(CharFrontend& frontend);
  static const CharHandlers& handlers_of(const CharFrontend& frontend) { return frontend.handlers_; }
  static void tell(CharFrontend& frontend, CharEvent event);
  const std::vector<CharFrontend*>& frontends() const { return frontends_; }

 private:
  size_t write(std::span<const uint8_t> data, size_t backlog_limit);
  void write_log(std::span<const uint8_t> data);

  std::string label_;
  bool open_ = false;
  std::vector<CharFrontend*> frontends_;
  std::string backlog_;
  size_t backlog_start_ = 0;  ///< bytes of backlog_ already sent
  UniqueFd log_;
};

/// Adds "chardev" and a type per backend to the type registry. At start-up.
void register_chardev_types();

}  // namespace rhea
