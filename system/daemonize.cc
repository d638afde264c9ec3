#include "system/daemonize.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace rhea {

namespace {

/// Waits for the daemon's word; ends this process.
[[noreturn]] void wait_for_daemon(int fd) {
  char word = 1;
  ssize_t n;
  do n = ::read(fd, &word, 1);
  while (n < 0 && errno == EINTR);
  _exit(n == 1 && word == 0 ? 0 : 1);
}

}  // namespace

Result<> Daemon::fork_away() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) < 0) return fail_errno(errno, "-daemonize: cannot create a pipe");
  UniqueFd from_daemon(fds[0]);
  to_starter_.reset(fds[1]);
  const pid_t child = ::fork();
  if (child < 0) return fail_errno(errno, "-daemonize: cannot fork");
  if (child > 0) {
    to_starter_.reset();
    wait_for_daemon(from_daemon.get());
  }
  ::setsid();
  // A second fork: the daemon leads no session, so no terminal can become its own.
  const pid_t daemon = ::fork();
  if (daemon < 0) return fail_errno(errno, "-daemonize: cannot fork");
  if (daemon > 0) _exit(0);
  return {};
}

Result<> Daemon::detach() {
  if (!to_starter_) return {};
  if (::chdir("/") < 0) return fail_errno(errno, "-daemonize: cannot change to /");
  null_.reset(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null_) return fail_errno(errno, "-daemonize: cannot open /dev/null");
  return {};
}

Result<> Daemon::ready() {
  if (!to_starter_) return {};
  for (int fd = 0; fd < 3; ++fd) ::dup2(null_.get(), fd);
  null_.reset();
  const char word = 0;
  if (::write(to_starter_.get(), &word, 1) != 1) return fail_errno(errno, "-daemonize: the starter is gone");
  to_starter_.reset();
  return {};
}

void PidFile::remove() {
  if (fd_) ::unlink(path_.c_str());
}

Result<> PidFile::create(std::string path) {
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!fd) return fail_errno(errno, "cannot create PID file: Cannot open pid file");
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  if (::fcntl(fd.get(), F_OFD_SETLK, &lock) < 0)
    return fail_errno(errno, "cannot create PID file: Cannot lock pid file");
  const std::string text = str_cat(::getpid(), "\n");
  if (::ftruncate(fd.get(), 0) < 0 ||
      ::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    return fail_errno(errno, "cannot create PID file: Failed to write pid file");
  if (!path.starts_with('/')) {
    char cwd[4096];
    if (::getcwd(cwd, sizeof cwd) != nullptr) path = str_cat(cwd, "/", path);
  }
  path_ = std::move(path);
  fd_ = std::move(fd);
  return {};
}

}  // namespace rhea
