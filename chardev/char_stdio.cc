// The terminal (or whatever else) the process was started on.
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <termios.h>

#include <atomic>

#include "chardev/backends.h"
#include "chardev/fd_chardev.h"

namespace rhea {

namespace {

/// How the terminal was found, and how it is wanted while the process runs. Signal handlers and exit read it.
struct Terminal {
  bool is_tty = false;
  termios before{};
  termios wanted{};
  int in_flags = -1;
  int out_flags = -1;
  std::atomic<bool> taken{false};
};
Terminal terminal;

void restore_terminal() {
  if (!terminal.taken.exchange(false)) return;
  if (terminal.is_tty) tcsetattr(STDIN_FILENO, TCSANOW, &terminal.before);
  if (terminal.in_flags >= 0) fcntl(STDIN_FILENO, F_SETFL, terminal.in_flags);
  if (terminal.out_flags >= 0) fcntl(STDOUT_FILENO, F_SETFL, terminal.out_flags);
}

/// The shell has put its own modes in place while the process was stopped.
void on_continue(int) {
  if (!terminal.taken) return;
  const int saved_errno = errno;
  if (terminal.is_tty) tcsetattr(STDIN_FILENO, TCSANOW, &terminal.wanted);
  set_nonblocking(STDIN_FILENO);
  errno = saved_errno;
}

/// Bytes as they are typed, no echo, no translation; Ctrl-C and friends only if `signals`.
void take_terminal(bool signals) {
  static bool exit_hook = atexit(restore_terminal) == 0;
  std::ignore = exit_hook;
  terminal.is_tty = tcgetattr(STDIN_FILENO, &terminal.before) == 0;
  terminal.wanted = terminal.before;
  termios& t = terminal.wanted;
  t.c_iflag &= ~static_cast<tcflag_t>(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
  t.c_oflag |= OPOST;
  t.c_lflag &= ~static_cast<tcflag_t>(ECHO | ECHONL | ICANON | IEXTEN);
  if (!signals) t.c_lflag &= ~static_cast<tcflag_t>(ISIG);
  t.c_cflag = (t.c_cflag & ~static_cast<tcflag_t>(CSIZE | PARENB)) | CS8;
  t.c_cc[VMIN] = 1;
  t.c_cc[VTIME] = 0;
  if (terminal.is_tty) tcsetattr(STDIN_FILENO, TCSANOW, &t);
  // Both are noted first: input and output may share one open file.
  terminal.in_flags = fcntl(STDIN_FILENO, F_GETFL);
  terminal.out_flags = fcntl(STDOUT_FILENO, F_GETFL);
  set_nonblocking(STDIN_FILENO);
  set_nonblocking(STDOUT_FILENO);
  struct sigaction action {};
  action.sa_handler = on_continue;
  action.sa_flags = SA_RESTART;
  sigaction(SIGCONT, &action, nullptr);
  terminal.taken = true;
}

class StdioChardev final : public FdChardev {
 public:
  explicit StdioChardev(ChardevRequest& request, UniqueFd in, UniqueFd out)
      : FdChardev(request.label, request.loop) {
    start_io(std::move(in), std::move(out));
    set_open(true);
  }
  ~StdioChardev() override { restore_terminal(); }
  std::string_view backend() const override { return "stdio"; }
};

}  // namespace

ChardevResult create_stdio(ChardevRequest& request) {
  const bool signals = TRY(request.options.take_bool("signal", request.settings.stdio_signals));
  if (request.settings.daemonize) return fail(EINVAL, "cannot use stdio with -daemonize");
  if (terminal.taken) return fail(EBUSY, "cannot use stdio by multiple character devices");
  UniqueFd in(fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3));
  UniqueFd out(fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3));
  if (!in || !out) return fail_errno(errno, "cannot use stdio");
  take_terminal(signals);
  return std::make_unique<StdioChardev>(request, std::move(in), std::move(out));
}

}  // namespace rhea
