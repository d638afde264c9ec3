#include "block/export/nbd_server.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>

#include "block/export/nbd_connection.h"

namespace rhea {

NbdServer::~NbdServer() {
  assert(connections_.empty() && exports_.empty());
}

void NbdServer::start(Options options) {
  assert(!running_);
  running_ = true;
  options_ = options;
}

void NbdServer::listen(std::vector<UniqueFd> listeners) {
  for (UniqueFd& fd : listeners) {
    auto listener = std::make_unique<Listener>();
    Listener* const raw = listener.get();
    listener->fd = std::move(fd);
    listener->watch =
        graph_.main_loop().watch_fd(raw->fd.get(), 0, [this, raw](uint32_t) { accept_from(*raw); });
    listeners_.push_back(std::move(listener));
  }
  set_listening(true);
}

void NbdServer::set_listening(bool on) {
  for (const auto& l : listeners_) l->watch->set_events(on ? uint32_t{EPOLLIN} : 0u);
}

void NbdServer::accept_from(Listener& listener) {
  UniqueFd fd(::accept4(listener.fd.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!fd) {
    if (errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM) return;
    // The client would be announced again and again meanwhile.
    constexpr int64_t kPauseNs = 1'000'000'000;
    set_listening(false);
    accept_again_ =
        std::make_unique<Timer>(graph_.main_loop(), realtime_clock(), [this] { set_listening(true); });
    accept_again_->arm_in(kPauseNs);
    return;
  }
  const int on = 1;
  setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on,
             sizeof on);  // fails on other sockets, where it means nothing
  auto connection = std::make_shared<NbdConnection>(*this, graph_.main_loop(), std::move(fd));
  connections_.push_back(connection);
  if (options_.max_connections != 0 && connections_.size() >= options_.max_connections) set_listening(false);
  gate_.spawn<void>(co_serve(std::move(connection)));
}

CoResult<> NbdServer::co_serve(std::shared_ptr<NbdConnection> connection) {
  std::ignore = co_await connection->co_run();  // an error ends this client only
  std::erase(connections_, connection);
  const bool used = connection->exported() != nullptr;
  connection.reset();
  released_.wake_all();
  if (running_) set_listening(true);
  if (on_disconnect) on_disconnect(used);
  co_return Result<>();
}

CoResult<> NbdServer::co_stop() {
  running_ = false;
  accept_again_.reset();
  listeners_.clear();
  for (const auto& c : connections_) c->shutdown();
  const auto all = exports_;
  for (const auto& e : all) begin_remove(*e);
  co_return co_await gate_.co_close();
}

Result<> check_nbd_names(const NbdExportConfig& config) {
  if (config.name.size() > nbd::kMaxString) return fail(EINVAL, "export name '", config.name, "' too long");
  if (config.description.size() > nbd::kMaxString)
    return fail(EINVAL, "description '", config.description, "' too long");
  return {};
}

CoResult<> NbdServer::co_add(BlockDriverState& node, NbdExportConfig config) {
  if (!is_well_formed_id(config.id)) co_return fail(EINVAL, "Invalid block export id");
  if (find_id(config.id) != nullptr)
    co_return fail(EEXIST, "Block export id '", config.id, "' is already in use");
  if (config.writable && node.read_only()) co_return fail(EINVAL, "Cannot export read-only node as writable");
  if (!running_) co_return fail(EINVAL, "NBD server not running");
  co_await or_return(check_nbd_names(config));
  config.multi_conn = options_.max_connections != 1;
  if (std::ranges::any_of(exports_, [&](const auto& e) { return e->config().name == config.name; }))
    co_return fail(EEXIST, "NBD server already has export named '", config.name, "'");
  const uint32_t perm = blk_perm::kConsistentRead | (config.writable ? blk_perm::kWrite : 0);
  const PermPair perms{perm, blk_perm::kAll & ~blk_perm::kResize};
  const NodeRef held(node);
  auto exported = std::make_shared<NbdExport>(graph_, std::move(config), perms);
  exports_.push_back(exported);  // its names are taken from here on
  Result<> opened = co_await exported->co_open(*held);
  if (!opened) std::erase(exports_, exported);
  co_return opened;
}

NbdExport* NbdServer::find_id(std::string_view id) const {
  const auto it = std::ranges::find_if(exports_, [&](const auto& e) { return e->config().id == id; });
  return it == exports_.end() ? nullptr : it->get();
}

std::shared_ptr<NbdExport> NbdServer::find_name(std::string_view name) const {
  const auto it = std::ranges::find_if(exports_, [&](const auto& e) {
    return e->config().name == name && !e->shutting_down && e->backend().node() != nullptr;
  });
  return it == exports_.end() ? nullptr : *it;
}

bool NbdServer::has_clients(const NbdExport& exported) const {
  return std::ranges::any_of(connections_, [&](const auto& c) { return c->exported() == &exported; });
}

void NbdServer::begin_remove(NbdExport& exported) {
  if (exported.shutting_down) return;
  exported.shutting_down = true;
  for (const auto& c : connections_)
    if (c->exported() == &exported) c->shutdown();
  exported.unwatch_medium();
  const auto it = std::ranges::find_if(exports_, [&](const auto& e) { return e.get() == &exported; });
  gate_.spawn<void>(co_remove(*it));
}

void NbdServer::remove_with_medium(NbdExport& exported, BlockBackend& drive) {
  exported.watch_medium(drive, [this, &exported] { begin_remove(exported); });
}

CoResult<> NbdServer::co_remove(std::shared_ptr<NbdExport> exported) {
  while (has_clients(*exported)) co_await released_.co_wait();
  std::ignore = co_await exported->co_close();
  std::erase(exports_, exported);
  const std::string id = exported->config().id;
  exported.reset();
  if (on_deleted) on_deleted(id);
  co_return Result<>();
}

}  // namespace rhea
