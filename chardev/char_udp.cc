// Datagrams: each write goes out as one, each that comes in is handed over whole or piece by piece.
#include <array>

#include "chardev/backends.h"
#include "chardev/socket_options.h"

namespace rhea {

namespace {

constexpr size_t kMaxDatagram = 65507;  ///< payload of one over IPv4

class UdpChardev final : public Chardev {
 public:
  UdpChardev(ChardevRequest& request, UniqueFd fd) : Chardev(request.label), fd_(std::move(fd)) {
    watch_ = request.loop.watch_fd(fd_.get(), 0, [this](uint32_t) { receive(); });
    set_open(true);
  }
  std::string_view backend() const override { return "udp"; }

 private:
  void receive() {
    if (begin_ != end_) return watch_->set_events(0);
    const ssize_t n = ::recv(fd_.get(), packet_.data(), packet_.size(), 0);
    begin_ = 0;
    end_ = n > 0 ? static_cast<size_t>(n) : 0;  // an error is the peer's that refused an earlier one
    resume_input();
  }
  /// The next datagram is asked for when this one has been taken.
  void resume_input() override {
    while (begin_ < end_) {
      const size_t n = std::min(input_room(), end_ - begin_);
      if (n == 0) break;
      begin_ += n;
      deliver(std::span(packet_).subspan(begin_ - n, n));
    }
    watch_->set_events(begin_ == end_ && input_room() > 0 ? uint32_t{EPOLLIN} : 0);
  }
  /// A datagram that cannot leave is lost, as one may be anywhere on its way.
  size_t push(std::span<const uint8_t> data) override {
    for (size_t done = 0; done < data.size(); done += kMaxDatagram) {
      const auto piece = data.subspan(done, std::min(kMaxDatagram, data.size() - done));
      std::ignore = ::send(fd_.get(), piece.data(), piece.size(), MSG_NOSIGNAL);
    }
    return data.size();
  }

  UniqueFd fd_;
  std::unique_ptr<FdWatch> watch_;
  std::array<uint8_t, 65536> packet_;
  size_t begin_ = 0, end_ = 0;  ///< of what is left of the last datagram
};

}  // namespace

ChardevResult create_udp(ChardevRequest& request) {
  CharOptions& options = request.options;
  SocketEndpoint remote{.kind = SocketEndpoint::Kind::kInet}, local{.kind = SocketEndpoint::Kind::kInet};
  remote.host = options.take("host");
  if (remote.host.empty()) remote.host = "localhost";
  remote.port = options.take("port");
  if (remote.port.empty()) return fail(EINVAL, "chardev: udp: remote port not specified");
  const bool bound = options.has("localaddr") || options.has("localport");
  local.host = options.take("localaddr");
  local.port = options.take("localport", "0");
  TRY(take_socket_families(options, remote));
  TRY(options.check_all_taken());
  UniqueFd fd = TRY(socket_datagram(remote, bound ? &local : nullptr));
  return std::make_unique<UdpChardev>(request, std::move(fd));
}

}  // namespace rhea
