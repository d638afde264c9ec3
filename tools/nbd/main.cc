#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "tools/nbd/nbd.h"
#include "util/log.h"

namespace rhea::nbd_tool {

void Background::split() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0) {
    error_report("Failed to create a pipe");
    std::exit(1);
  }
  const UniqueFd from_child(ends[0]);
  UniqueFd to_parent(ends[1]);
  const pid_t child = fork();
  if (child < 0) {
    error_report("Failed to fork");
    std::exit(1);
  }
  if (child == 0) {
    setsid();
    const UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
    old_stderr_ = UniqueFd(fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3));
    dup2(null.get(), STDIN_FILENO);
    dup2(null.get(), STDOUT_FILENO);
    dup2(to_parent.get(), STDERR_FILENO);
    split_ = true;
    return;
  }
  to_parent.reset();
  // What the child says until it is ready is an error.
  char text[1024];
  bool said = false;
  for (;;) {
    const ssize_t n = read(from_child.get(), text, sizeof text);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    said = true;
    std::ignore = write(STDERR_FILENO, text, static_cast<size_t>(n));
  }
  std::_Exit(said ? 1 : 0);
}

void Background::ready(bool keep_stderr) {
  if (!split_) return;
  const UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  dup2(keep_stderr && old_stderr_ ? old_stderr_.get() : null.get(), STDERR_FILENO);
  old_stderr_.reset();
}

namespace {

/// A socket systemd has made for us; an error ends the program.
std::vector<UniqueFd> activated_sockets() {
  std::vector<UniqueFd> out;
  const char* pid = std::getenv("LISTEN_PID");
  const char* count = std::getenv("LISTEN_FDS");
  uint64_t number = 0;
  if (pid == nullptr || count == nullptr || !parse_u64(pid, number) ||
      number != static_cast<uint64_t>(getpid()))
    return out;
  if (!parse_u64(count, number) || number == 0) return out;
  constexpr int kFirst = 3;
  unsetenv("LISTEN_PID");
  unsetenv("LISTEN_FDS");
  if (number > 1) {
    error_report("rhea-nbd does not support socket activation with LISTEN_FDS > 1");
    std::exit(1);
  }
  int listening = 0;
  socklen_t length = sizeof listening;
  if (getsockopt(kFirst, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) < 0 || listening == 0) {
    error_report("File descriptor 3 is not a listening socket");
    std::exit(1);
  }
  fcntl(kFirst, F_SETFD, FD_CLOEXEC);
  fcntl(kFirst, F_SETFL, fcntl(kFirst, F_GETFL) | O_NONBLOCK);
  out.emplace_back(kFirst);
  return out;
}

Result<> write_pid_file(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
  if (!fd) return fail_errno(errno, "Could not create '", path, "'");
  const std::string text = str_cat(getpid(), "\n");
  if (ftruncate(fd.get(), 0) < 0 ||
      write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    return fail_errno(errno, "Failed to write pid file");
  return {};
}

/// The signals that end the server come to its loop, so they wait from here on.
void hold_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int s : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, s);
  sigprocmask(SIG_BLOCK, &set, nullptr);
}

int main(int argc, char** argv) {
  Options o = parse_options(argc, argv);
  if (o.status >= 0) return o.status;
  std::vector<UniqueFd> listeners = activated_sockets();
  if (!listeners.empty() && (!o.socket.empty() || o.port != "10809" || o.bind != "0.0.0.0")) {
    error_report("Unix socket, port or address can't be set when using socket activation");
    return 1;
  }
  Background background;
  if (o.fork && !o.list) background.split();
  hold_signals();
  Result<std::unique_ptr<Tool>> tool = Tool::create();
  if (!tool) return report(tool.error());
  for (const std::string& object : o.objects)
    if (Result<> added = (*tool)->add_object(object); !added) return report(added.error());
  if (o.list) return list_exports(**tool, o);

  Server server(**tool, o);
  Result<> opened = server.open();
  if (opened && listeners.empty()) opened = server.bind();
  if (opened && !o.pid_file.empty()) opened = write_pid_file(o.pid_file);
  if (!opened) return report(opened.error());
  if (!listeners.empty()) server.set_listeners(std::move(listeners));
  server.begin();
  background.ready(o.verbose);
  server.run();
  return 0;
}

}  // namespace
}  // namespace rhea::nbd_tool

int main(int argc, char** argv) {
  return rhea::nbd_tool::main(argc, argv);
}
