#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/backends.h"
#include "util/aio_context.h"
#include "util/byteorder.h"

namespace rhea {

namespace {

constexpr size_t kMaxFrame = 68 << 10, kMaxUnsent = 1 << 20;

class NetSocket final : public NetBackend {
 public:
  NetSocket(std::string id, AioContext& loop, UniqueFd socket)
      : NetBackend(std::move(id), loop), socket_(std::move(socket)) {
    watch_ = loop.watch_fd(socket_.get(), EPOLLIN, [this](uint32_t events) { happened(events); });
  }
  std::string_view kind() const override { return "socket"; }
  std::string description() const override { return str_cat("fd=", socket_.get()); }

 private:
  void do_send(std::span<const uint8_t> frame) override;
  void room_again() override { update(); }
  void happened(uint32_t events);
  void read_some();
  void take_frames();
  void write_some();
  void update();
  void ended();

  UniqueFd socket_;
  std::unique_ptr<FdWatch> watch_;
  std::vector<uint8_t> in_;   ///< not yet a whole frame
  std::vector<uint8_t> out_;  ///< what the socket had no room for
};

void NetSocket::do_send(std::span<const uint8_t> frame) {
  if (watch_ == nullptr || out_.size() + frame.size() > kMaxUnsent) return;
  uint8_t length[4];
  store_be<uint32_t>(length, static_cast<uint32_t>(frame.size()));
  out_.insert(out_.end(), length, length + 4);
  out_.insert(out_.end(), frame.begin(), frame.end());
  write_some();
  update();
}

void NetSocket::write_some() {
  size_t done = 0;
  while (done < out_.size()) {
    const ssize_t n =
        ::send(socket_.get(), out_.data() + done, out_.size() - done, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno != EAGAIN) return ended();
    if (n < 0) break;
    done += static_cast<size_t>(n);
  }
  out_.erase(out_.begin(), out_.begin() + static_cast<ptrdiff_t>(done));
}

void NetSocket::happened(uint32_t events) {
  if ((events & EPOLLOUT) != 0) write_some();
  if (watch_ != nullptr && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) read_some();
  update();
}

void NetSocket::read_some() {
  uint8_t buffer[16 << 10];
  const ssize_t n = ::recv(socket_.get(), buffer, sizeof buffer, MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0) return ended();
  in_.insert(in_.end(), buffer, buffer + n);
  take_frames();
}

/// The peer is hostile: a length no frame can have ends the connection.
void NetSocket::take_frames() {
  size_t at = 0;
  while (in_.size() - at >= 4) {
    const auto length = load_be<uint32_t>(&in_[at]);
    if (length > kMaxFrame) return ended();
    if (in_.size() - at - 4 < length) break;
    deliver(std::span(in_).subspan(at + 4, length));
    at += 4 + length;
  }
  in_.erase(in_.begin(), in_.begin() + static_cast<ptrdiff_t>(at));
}

void NetSocket::update() {
  if (watch_ == nullptr) return;
  watch_->set_events((has_room() ? EPOLLIN : 0u) | (out_.empty() ? 0u : EPOLLOUT));
}

/// The watch calls us: it goes when that is over.
void NetSocket::ended() {
  in_.clear();
  out_.clear();
  if (watch_ == nullptr) return;
  watch_->set_events(0);
  loop().post([watch = std::shared_ptr<FdWatch>(std::move(watch_))] { std::ignore = watch; });
}

}  // namespace

Result<std::unique_ptr<NetBackend>> create_net_socket(std::string id, AioContext& loop, UniqueFd socket) {
  return std::make_unique<NetSocket>(std::move(id), loop, std::move(socket));
}

}  // namespace rhea
