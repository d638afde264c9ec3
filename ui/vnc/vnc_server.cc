#include "ui/vnc/vnc_server.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <utility>

#include "qapi/qapi_events_ui.h"
#include "ui/input.h"
#include "ui/vnc/keysym.h"
#include "util/module.h"

namespace rhea {

namespace {

constexpr int64_t kRefreshNs = 30'000'000;
constexpr int64_t kNsPerS = 1'000'000'000;

/// One end of a socket; `peer`: the other one.
VncBasicInfo socket_end(int fd, bool peer) {
  VncBasicInfo info;
  info.family = NetworkAddressFamily::kUnknown;
  info.websocket = false;
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if ((peer ? getpeername(fd, generic, &length) : getsockname(fd, generic, &length)) != 0) return info;
  if (address.ss_family == AF_UNIX) {
    info.family = NetworkAddressFamily::kUnix;
    const auto* name = reinterpret_cast<const sockaddr_un*>(&address);
    const size_t room =
        length > offsetof(sockaddr_un, sun_path) ? length - offsetof(sockaddr_un, sun_path) : 0;
    info.service = std::string(name->sun_path, strnlen(name->sun_path, room));
    return info;
  }
  char host[NI_MAXHOST], service[NI_MAXSERV];
  if (getnameinfo(generic, length, host, sizeof host, service, sizeof service,
                  NI_NUMERICHOST | NI_NUMERICSERV) != 0)
    return info;
  info.family = address.ss_family == AF_INET6 ? NetworkAddressFamily::kIpv6 : NetworkAddressFamily::kIpv4;
  info.host = host;
  info.service = service;
  return info;
}

template <class T>
T with_ends(const VncBasicInfo& from) {
  T to;
  to.host = from.host;
  to.service = from.service;
  to.family = from.family;
  to.websocket = from.websocket;
  return to;
}

}  // namespace

std::vector<std::unique_ptr<VncServer>>& vnc_servers() {
  static std::vector<std::unique_ptr<VncServer>> servers;
  return servers;
}

Result<std::unique_ptr<VncServer>> VncServer::create(AioContext& loop, VncOptions options,
                                                     std::string title) {
  const auto* module = static_cast<const VncEngineModule*>(TRY(load_module("ui", "vnc")));
  std::unique_ptr<VncServer> server(new VncServer(loop, std::move(options)));
  server->title_ = std::move(title);
  server->listener_ = TRY(socket_listen(server->options_.address));
  server->place_ = socket_end(server->listener_.get(), false);
  const VncEngineConfig config{.title = server->title_.c_str(),
                               .share = server->options_.share,
                               .password = server->options_.password,
                               .width = Console::kDefaultWidth,
                               .height = Console::kDefaultHeight};
  server->engine_.reset(module->create(*server, config));
  if (server->engine_ == nullptr) return fail(ENOMEM, "the VNC server cannot start");
  server->refresh_ = std::make_unique<Timer>(loop, realtime_clock(), [s = server.get()] {
    if (s->console_ == nullptr) return;
    s->console_->refresh();
    s->refresh_->arm_in(kRefreshNs);
  });
  server->expiry_ = std::make_unique<Timer>(loop, host_clock(), [s = server.get()] { s->apply_password(); });
  server->listening_ =
      loop.watch_fd(server->listener_.get(), EPOLLIN, [s = server.get()](uint32_t) { s->accept_one(); });
  add_console_observer(*server);
  return server;
}

VncServer::~VncServer() {
  *alive_ = false;
  remove_console_observer(*this);
  if (console_ != nullptr) console_->remove_viewer(*this);
  listening_.reset();
  engine_.reset();
  if (options_.address.kind == SocketEndpoint::Kind::kUnix && listener_)
    ::unlink(options_.address.path.c_str());
}

// --- clients

void VncServer::accept_one() {
  UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!fd || clients_.size() >= options_.max_clients) return;
  const int on = 1;
  setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  const VncBasicInfo peer = socket_end(fd.get(), true);
  const uint64_t id = ++last_client_;
  clients_[id].info = with_ends<VncClientInfo>(peer);
  qapi_event_send_vnc_connected(server_info(), peer);
  update_watching();
  engine_->add_client(fd.release(), id);
}

/// Runs on the main loop, unless the server is gone by then.
void VncServer::post(std::move_only_function<void()> fn) {
  loop_.post([alive = alive_, fn = std::move(fn)]() mutable {
    if (*alive) fn();
  });
}

void VncServer::vnc_ready(uint64_t client) {
  post([this, client] { ready(client); });
}
void VncServer::vnc_gone(uint64_t client) {
  post([this, client] { gone(client); });
}
void VncServer::vnc_key(uint64_t client, uint32_t keysym, bool down) {
  post([this, client, keysym, down] { key(client, key_of_keysym(keysym), down); });
}
void VncServer::vnc_pointer(uint64_t client, int x, int y, unsigned buttons) {
  post([this, client, x, y, buttons] { pointer(client, x, y, buttons); });
}

void VncServer::ready(uint64_t id) {
  auto it = clients_.find(id);
  if (it == clients_.end() || std::exchange(it->second.ready, true)) return;
  qapi_event_send_vnc_initialized(server_info(), it->second.info);
}

/// What the client held down comes up.
void VncServer::gone(uint64_t id) {
  auto it = clients_.find(id);
  if (it == clients_.end()) return;
  for (QKeyCode k : it->second.keys_down) input_hub().key(wanted_console(), k, false);
  if (it->second.buttons != 0) pointer(id, it->second.x, it->second.y, 0);
  const VncClientInfo info = std::move(it->second.info);
  clients_.erase(it);
  qapi_event_send_vnc_disconnected(server_info(), info);
  update_watching();
}

void VncServer::key(uint64_t id, QKeyCode key, bool down) {
  auto it = clients_.find(id);
  if (it == clients_.end() || key == QKeyCode::kUnmapped) return;
  auto& held = it->second.keys_down;
  std::erase(held, key);
  if (down) held.push_back(key);
  input_hub().key(wanted_console(), key, down);
}

void VncServer::pointer(uint64_t id, int x, int y, unsigned buttons) {
  auto it = clients_.find(id);
  if (it == clients_.end()) return;
  Client& c = it->second;
  constexpr InputButton kButtons[] = {
      InputButton::kLeft,      InputButton::kMiddle,    InputButton::kRight,     InputButton::kWheelUp,
      InputButton::kWheelDown, InputButton::kWheelLeft, InputButton::kWheelRight};
  const Console* console = wanted_console();
  InputHub& hub = input_hub();
  for (size_t i = 0; i < std::size(kButtons); ++i)
    if (((buttons ^ c.buttons) >> i & 1) != 0) hub.button(console, kButtons[i], (buttons >> i & 1) != 0);
  c.buttons = buttons;
  if (hub.pointer_is_absolute(console)) {
    const Surface* surface = console_ != nullptr ? &console_->surface() : nullptr;
    hub.move_to(console, x, surface != nullptr ? surface->width() : Console::kDefaultWidth, y,
                surface != nullptr ? surface->height() : Console::kDefaultHeight);
  } else if (c.x >= 0) {
    hub.move_by(console, x - c.x, y - c.y);
  }
  c.x = x;
  c.y = y;
  hub.sync();
}

// --- the picture

Console* VncServer::wanted_console() const {
  if (!options_.display.empty()) {
    Result<Console*> named = find_console(options_.display, options_.head);
    return named ? *named : nullptr;
  }
  return consoles().empty() ? nullptr : consoles().front();
}

void VncServer::watch(Console* console) {
  if (console == console_) return;
  if (console_ != nullptr) console_->remove_viewer(*this);
  console_ = console;
  refresh_->cancel();
  if (console_ == nullptr) return;
  console_->add_viewer(*this);
  refresh_->arm_in(kRefreshNs);
}

/// Nobody renders for nobody.
void VncServer::update_watching() {
  watch(clients_.empty() ? nullptr : wanted_console());
}

void VncServer::console_added(Console&) {
  // Its device is not complete yet: it is looked at a little later.
  post([this] { update_watching(); });
}

void VncServer::console_removed(Console& console) {
  if (&console != console_) return;
  console_ = nullptr;
  refresh_->cancel();
  post([this] { update_watching(); });
}

void VncServer::resized(const Surface& surface) {
  engine_->resize(surface.width(), surface.height());
}

void VncServer::changed(const Surface& surface, const PixelRect& area) {
  engine_->update(area.x, area.y, area.width, area.height, surface.row(area.y) + area.x,
                  static_cast<size_t>(surface.width()));
}

// --- passwords

Result<> VncServer::set_password(std::string_view password) {
  if (!options_.password)
    return fail(EINVAL,
                "If you want use passwords please enable password auth using '-vnc ${dpy},password'.");
  password_ = password;
  apply_password();
  return {};
}

void VncServer::expire_password(int64_t at) {
  expires_at_ = at;
  apply_password();
}

void VncServer::apply_password() {
  const int64_t now = host_clock().now_ns() / kNsPerS;
  const bool valid = password_ && now < expires_at_;
  engine_->set_password(valid ? password_->c_str() : nullptr);
  expiry_->cancel();
  if (valid && expires_at_ < INT64_MAX / kNsPerS) expiry_->arm(expires_at_ * kNsPerS);
}

// --- what is known about it

VncServerInfo VncServer::server_info() const {
  VncServerInfo info = with_ends<VncServerInfo>(place_);
  info.auth = options_.password ? "vnc" : "none";
  return info;
}

std::vector<VncClientInfo> VncServer::clients() const {
  std::vector<VncClientInfo> out;
  for (const auto& [id, client] : clients_) out.push_back(client.info);
  return out;
}

}  // namespace rhea
