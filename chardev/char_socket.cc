// A stream socket: listens for one client after the other, or connects.
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cstring>

#include "chardev/backends.h"
#include "chardev/fd_chardev.h"
#include "chardev/socket_options.h"
#include "chardev/telnet.h"
#include "util/log.h"

namespace rhea {

namespace {

constexpr size_t kMaxPassedFds = 16;

struct SocketOptions {
  SocketEndpoint address;
  bool server = false;
  bool wait = false;
  bool nodelay = false;
  bool telnet = false;
  int64_t reconnect_ns = 0;
  int interrupt_fd = -1;
};

class SocketChardev final : public FdChardev {
 public:
  SocketChardev(ChardevRequest& request, SocketOptions options)
      : FdChardev(request.label, request.loop),
        options_(std::move(options)),
        address_(options_.address),
        retry_(loop(), realtime_clock(), [this] { try_connect(); }),
        cut_(loop(), realtime_clock(), [this] { disconnect(); }) {}
  ~SocketChardev() override;
  /// Listens or connects; `connected` is a client's connection, if it stands already.
  Result<> open(UniqueFd connected);

  std::string_view backend() const override { return "socket"; }
  std::string filename() const override;
  bool can_pass_fds() const override { return passes_fds_; }
  bool can_yank() const override { return true; }
  void yank() override;
  Result<> add_client(UniqueFd fd) override;
  Json address() const override { return address_.to_json(); }

 private:
  Result<> open_server();
  Result<> accept_now();
  void on_client();
  void begin(UniqueFd fd);
  void disconnect();
  void try_connect();
  void connect_done();
  void connect_failed(const Error& error);
  void collect_fds(msghdr& message);

  ssize_t read_fd(std::span<uint8_t> buffer) override;
  ssize_t write_fd(std::span<const uint8_t> data) override;
  ssize_t send_some(std::span<const uint8_t> data) {
    return ::send(out_fd(), data.data(), data.size(), MSG_NOSIGNAL);
  }
  ssize_t receive(std::span<uint8_t> buffer);
  ssize_t filter(std::span<uint8_t> received);
  void input_ended(int) override { disconnect(); }
  void output_failed(int errnum) override {
    FdChardev::output_failed(errnum);
    cut_.arm_in(0);  // descriptors are given up on the loop's thread
  }
  std::vector<UniqueFd> take_fds() override { return std::exchange(fds_, {}); }

  const SocketOptions options_;
  SocketEndpoint address_;  ///< a listener's own, else where to connect
  UniqueFd listener_;
  std::unique_ptr<FdWatch> listener_watch_;
  UniqueFd connecting_;
  std::unique_ptr<FdWatch> connecting_watch_;
  bool passes_fds_ = false;
  bool failure_told_ = false;
  std::string connected_text_;
  std::vector<UniqueFd> fds_;
  TelnetFilter telnet_;
  bool half_iac_sent_ = false;  ///< of a byte 255, which telnet doubles
  Timer retry_;
  Timer cut_;
};

SocketChardev::~SocketChardev() {
  const auto& a = options_.address;  // a listener handed over leaves its path alone
  if (listener_ && a.kind == SocketEndpoint::Kind::kUnix && !a.abstract) ::unlink(a.path.c_str());
}

Result<> SocketChardev::open(UniqueFd connected) {
  if (options_.server) return open_server();
  if (connected) {
    begin(std::move(connected));
    return {};
  }
  if (options_.reconnect_ns != 0) {
    try_connect();
    return {};
  }
  begin(TRY(socket_connect(options_.address)));
  return {};
}

Result<> SocketChardev::open_server() {
  listener_ = TRY(socket_listen(options_.address));
  address_.set_from_listener(listener_.get());
  listener_watch_ = loop().watch_fd(listener_.get(), 0, [this](uint32_t) { on_client(); });
  if (options_.wait) return accept_now();
  listener_watch_->set_events(EPOLLIN);
  return {};
}

Result<> SocketChardev::accept_now() {
  info_report(str_cat("QEMU waiting for connection on: ", filename()));
  pollfd waits[] = {{.fd = listener_.get(), .events = POLLIN, .revents = 0},
                    {.fd = options_.interrupt_fd, .events = POLLIN, .revents = 0}};
  for (;;) {
    if (poll(waits, std::size(waits), -1) < 0 && errno != EINTR)
      return fail_errno(errno, "Unable to accept connection");
    if (waits[1].revents != 0)
      return fail(EINTR, "interrupted while waiting for connection on: ", filename());
    UniqueFd client(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (client) {
      begin(std::move(client));
      return {};
    }
    if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
      return fail_errno(errno, "Unable to accept connection");
  }
}

void SocketChardev::on_client() {
  UniqueFd client(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (client) begin(std::move(client));
}

void SocketChardev::begin(UniqueFd fd) {
  if (listener_watch_) listener_watch_->set_events(0);  // the next one waits in the kernel's queue
  cut_.cancel();
  retry_.cancel();
  failure_told_ = false;
  int domain = 0;
  socklen_t length = sizeof domain;
  getsockopt(fd.get(), SOL_SOCKET, SO_DOMAIN, &domain, &length);
  passes_fds_ = domain == AF_UNIX;
  const int on = 1;
  if (!passes_fds_ && options_.nodelay) setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  connected_text_ = connected_socket_text(fd.get(), options_.server, options_.telnet ? "telnet" : "tcp");
  start_io(std::move(fd), UniqueFd());
  telnet_ = {};
  half_iac_sent_ = false;
  if (options_.telnet && options_.server) {
    // A new connection's buffer takes these few bytes; if it does not, the connection is gone.
    const auto greeting = TelnetFilter::kGreeting;
    std::ignore = send_some(std::span(reinterpret_cast<const uint8_t*>(greeting.data()), greeting.size()));
  }
  set_open(true);
}

void SocketChardev::disconnect() {
  if (!io_started()) return;
  stop_io();
  cut_.cancel();
  fds_.clear();
  set_open(false);
  if (listener_watch_) listener_watch_->set_events(EPOLLIN);
  if (options_.reconnect_ns != 0) retry_.arm_in(options_.reconnect_ns);
}

void SocketChardev::yank() {
  if (io_started()) shutdown(in_fd(), SHUT_RDWR);
  if (connecting_) shutdown(connecting_.get(), SHUT_RDWR);
}

Result<> SocketChardev::add_client(UniqueFd fd) {
  if (io_started() || connecting_) return fail(EBUSY, "add_client failed");
  int type = 0;
  socklen_t length = sizeof type;
  if (getsockopt(fd.get(), SOL_SOCKET, SO_TYPE, &type, &length) < 0 || type != SOCK_STREAM)
    return fail(EINVAL, "add_client failed");
  set_nonblocking(fd.get());
  begin(std::move(fd));
  return {};
}

void SocketChardev::try_connect() {
  bool pending = false;
  auto fd = socket_begin_connect(options_.address, &pending);
  if (!fd) return connect_failed(fd.error());
  if (!pending) return begin(std::move(*fd));
  connecting_ = std::move(*fd);
  connecting_watch_ = loop().watch_fd(connecting_.get(), EPOLLOUT, [this](uint32_t) { connect_done(); });
}

void SocketChardev::connect_done() {
  int error = 0;
  socklen_t length = sizeof error;
  getsockopt(connecting_.get(), SOL_SOCKET, SO_ERROR, &error, &length);
  connecting_watch_.reset();
  UniqueFd fd = std::move(connecting_);
  if (error == 0) return begin(std::move(fd));
  connect_failed(Error(error, str_cat("Failed to connect to '", options_.address.host, ":",
                                      options_.address.port, "': ", errno_text(error))));
}

void SocketChardev::connect_failed(const Error& error) {
  if (!failure_told_)  // once, not at each attempt
    error_report(str_cat("Unable to connect character device ", label(), ": ", error.message()));
  failure_told_ = true;
  retry_.arm_in(options_.reconnect_ns);
}

std::string SocketChardev::filename() const {
  if (io_started()) return connected_text_;
  return str_cat("disconnected:", address_.text(options_.telnet ? "telnet" : "tcp"),
                 options_.server ? ",server=on" : "");
}

ssize_t SocketChardev::read_fd(std::span<uint8_t> buffer) {
  const ssize_t n = receive(buffer);
  return options_.telnet && n > 0 ? filter(buffer.first(static_cast<size_t>(n))) : n;
}

ssize_t SocketChardev::filter(std::span<uint8_t> received) {
  const auto [bytes, breaks] = telnet_.decode(received);
  if (breaks) emit(CharEvent::kBreak);
  if (bytes != 0) return static_cast<ssize_t>(bytes);
  errno = EAGAIN;  // commands only
  return -1;
}

ssize_t SocketChardev::write_fd(std::span<const uint8_t> data) {
  if (!options_.telnet) return send_some(data);
  const auto iac = std::ranges::find(data, TelnetFilter::kIac);
  const size_t plain = static_cast<size_t>(iac - data.begin());
  if (plain > 0) return send_some(data.first(plain));
  constexpr uint8_t kDoubled[] = {TelnetFilter::kIac, TelnetFilter::kIac};
  const ssize_t n = send_some(half_iac_sent_ ? std::span(kDoubled).first(1) : std::span(kDoubled));
  if (n < 0) return n;
  half_iac_sent_ = n == 1 && !half_iac_sent_;
  if (!half_iac_sent_) return 1;
  errno = EAGAIN;
  return -1;
}

ssize_t SocketChardev::receive(std::span<uint8_t> buffer) {
  if (!passes_fds_) return ::recv(in_fd(), buffer.data(), buffer.size(), 0);
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxPassedFds)];
  iovec piece{buffer.data(), buffer.size()};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t n = ::recvmsg(in_fd(), &message, MSG_CMSG_CLOEXEC);
  if (n >= 0 && message.msg_controllen != 0) collect_fds(message);
  return n;
}

void SocketChardev::collect_fds(msghdr& message) {
  std::vector<UniqueFd> fds;
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
      fds.emplace_back(fd);
    }
  }
  if (!fds.empty()) fds_ = std::move(fds);
}

Result<> refuse_if_on(CharOptions& options, std::string_view key) {
  if (!TRY(options.take_bool(key, false))) return {};
  return fail(ENOTSUP, "'", key, "=on' is not supported by the socket chardev");
}

/// There is no kind of object that could hold credentials.
Result<> refuse_tls(CharOptions& options) {
  if (options.has("tls-creds"))
    return fail(ENOENT, "No TLS credentials with id '", options.take("tls-creds"), "'");
  if (options.has("tls-authz")) return fail(EINVAL, "'tls_authz' option requires 'tls_creds' option");
  return {};
}

Result<> check_descriptor(int fd) {
  struct stat st {};
  if (fstat(fd, &st) < 0 || !S_ISSOCK(st.st_mode))
    return fail(EINVAL, "File descriptor '", fd, "' is not a socket");
  return {};
}

Result<SocketOptions> take_socket_options(CharOptions& options) {
  SocketOptions s;
  s.address = TRY(take_socket_address(options));
  s.server = TRY(options.take_bool("server", false));
  const bool wait_given = options.has("wait");
  s.wait = TRY(options.take_bool("wait", s.server));
  if (options.has("delay") && options.has("nodelay"))
    return fail(EINVAL, "'delay' and 'nodelay' are mutually exclusive");
  s.nodelay = options.has("delay") ? !TRY(options.take_bool("delay", true))
                                   : TRY(options.take_bool("nodelay", false));
  const uint64_t seconds = TRY(options.take_number("reconnect", 0));
  s.telnet = TRY(options.take_bool("telnet", false));
  for (const char* key : {"tn3270", "websocket"}) TRY(refuse_if_on(options, key));
  TRY(refuse_tls(options));
  if (seconds > INT32_MAX) return fail(EINVAL, "Parameter 'reconnect' expects a number of seconds");
  s.reconnect_ns = static_cast<int64_t>(seconds) * 1'000'000'000;
  if (s.server && s.reconnect_ns != 0)
    return fail(EINVAL, "'reconnect' option is incompatible with socket in server listen mode");
  if (s.server && s.address.keep_alive)
    return fail(EINVAL, "keep-alive option is not supported for passive sockets");
  if (!s.server && wait_given)
    return fail(EINVAL, "'wait' option is incompatible with socket in client connect mode");
  if (s.address.kind != SocketEndpoint::Kind::kFd) return s;
  if (s.reconnect_ns != 0) return fail(EINVAL, "'reconnect' option is incompatible with 'fd'");
  TRY(check_descriptor(s.address.fd));
  return s;
}

}  // namespace

ChardevResult create_socket(ChardevRequest& request) {
  SocketOptions options = TRY(take_socket_options(request.options));
  options.interrupt_fd = request.settings.interrupt_fd;
  auto chardev = std::make_unique<SocketChardev>(request, std::move(options));
  TRY(request.options.check_all_taken());  // before anything is seen outside
  TRY(chardev->open(std::move(request.connected)));
  return chardev;
}

}  // namespace rhea
