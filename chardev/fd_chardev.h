// FdChardev: what backends over file descriptors share.
#pragma once

#include <memory>
#include <string>

#include "chardev/chardev.h"
#include "util/aio_context.h"

namespace rhea {

/// Reads from one descriptor and writes to another (or the same) from the main loop. While no front end has
/// room for input the descriptor is not watched, so that data waits in the kernel.
class FdChardev : public Chardev {
 public:
  static constexpr size_t kReadBytes = 64 << 10;  ///< of one read

  FdChardev(std::string label, AioContext& loop) : Chardev(std::move(label)), loop_(loop) {}

 protected:
  /// Begins with descriptors in non-blocking mode. `out` may be none: then `in` is written to as well; `in`
  /// may be none: no input.
  void start_io(UniqueFd in, UniqueFd out);
  /// Forgets and closes them; queued output is lost. Loop's thread.
  void stop_io();
  bool io_started() const { return in_ || out_; }
  int in_fd() const { return in_.get(); }
  int out_fd() const { return out_ ? out_.get() : in_.get(); }
  AioContext& loop() const { return loop_; }

  /// As read(2) and write(2).
  virtual ssize_t read_fd(std::span<uint8_t> buffer);
  virtual ssize_t write_fd(std::span<const uint8_t> data);
  /// Input has ended (0) or failed (errno). By default it is not asked for any more and kClosed is emitted.
  virtual void input_ended(int errnum);
  /// Output failed for good. By default what is queued is dropped. Any thread with the machine lock.
  virtual void output_failed(int errnum);

  size_t push(std::span<const uint8_t> data) override;
  void want_push() override;
  void resume_input() override;
  /// Asks for no input, or for input again.
  void stop_input();
  void start_input();

 private:
  void on_input(uint32_t events);
  void on_output(uint32_t events);
  bool read_once();
  void update_watches();
  AioContext& loop_;
  UniqueFd in_;
  UniqueFd out_;  ///< none: in_ serves both ways
  bool in_pollable_ = true;
  bool input_wanted_ = false;
  bool output_wanted_ = false;
  std::unique_ptr<FdWatch> in_watch_;
  std::unique_ptr<FdWatch> out_watch_;
  std::unique_ptr<Timer> pump_;  ///< reads a descriptor that epoll refuses: a regular file, /dev/null
};

/// Sets O_NONBLOCK; returns the flags it had before.
int set_nonblocking(int fd);

}  // namespace rhea
