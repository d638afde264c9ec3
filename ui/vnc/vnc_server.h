// VNC servers: who may connect where, what clients see and do. The protocol is in module rhea-ui-vnc.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "qapi/qapi_types_ui.h"
#include "ui/console.h"
#include "ui/vnc/engine.h"
#include "util/aio_context.h"
#include "util/result.h"
#include "util/socket_address.h"

namespace rhea {

/// What -vnc says.
struct VncOptions {
  std::string id = "default";
  SocketEndpoint address;
  bool password = false;
  VncShare share = VncShare::kAllowExclusive;
  uint32_t max_clients = 32;
  std::string display;  ///< the id of the display device; empty: the first
  int64_t head = 0;
  std::string audiodev;  ///< whose sound clients would hear; empty: none
};

/// Parses "[HOST]:N[,KEY=VALUE…]" or "unix:PATH…"; null for "none". Errors name the key.
Result<std::optional<VncOptions>> parse_vnc_options(std::string_view text);

/// Main thread with the machine lock.
class VncServer final : public VncEvents, public ConsoleViewer, public ConsoleObserver {
 public:
  /// Listens from now on. `title` stands on the clients' windows. The loop outlives it.
  static Result<std::unique_ptr<VncServer>> create(AioContext& loop, VncOptions options, std::string title);
  ~VncServer() override;

  const VncOptions& options() const { return options_; }
  /// Fails if the server wants no password.
  Result<> set_password(std::string_view password);
  /// Until when the password counts; seconds since 1970, INT64_MAX: for ever.
  void expire_password(int64_t at);

  VncServerInfo server_info() const;
  std::vector<VncClientInfo> clients() const;

  // ConsoleViewer, ConsoleObserver.
  void resized(const Surface& surface) override;
  void changed(const Surface& surface, const PixelRect& area) override;
  void console_added(Console& console) override;
  void console_removed(Console& console) override;
  // VncEvents, on the engine's thread.
  void vnc_ready(uint64_t client) override;
  void vnc_gone(uint64_t client) override;
  void vnc_key(uint64_t client, uint32_t keysym, bool down) override;
  void vnc_pointer(uint64_t client, int x, int y, unsigned buttons) override;

 private:
  struct Client {
    VncClientInfo info;
    bool ready = false;
    int x = -1, y = -1;
    unsigned buttons = 0;
    std::vector<QKeyCode> keys_down;
  };
  VncServer(AioContext& loop, VncOptions options) : loop_(loop), options_(std::move(options)) {}
  void accept_one();
  void post(std::move_only_function<void()> fn);
  void ready(uint64_t id);
  void gone(uint64_t id);
  void key(uint64_t id, QKeyCode key, bool down);
  void pointer(uint64_t id, int x, int y, unsigned buttons);
  void watch(Console* console);
  void update_watching();
  void apply_password();
  Console* wanted_console() const;

  AioContext& loop_;
  VncOptions options_;
  std::string title_;
  std::unique_ptr<VncEngine> engine_;
  UniqueFd listener_;
  std::unique_ptr<FdWatch> listening_;
  VncBasicInfo place_;  ///< where it listens
  std::map<uint64_t, Client> clients_;
  uint64_t last_client_ = 0;
  Console* console_ = nullptr;  ///< that it looks at; only while there are clients
  std::unique_ptr<Timer> refresh_, expiry_;
  std::optional<std::string> password_;
  int64_t expires_at_ = INT64_MAX;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  ///< for what is posted; false once it is gone
};

/// All VNC servers of the process, by their ids.
std::vector<std::unique_ptr<VncServer>>& vnc_servers();

class HmpRegistry;
/// info vnc, set_password, expire_password.
void hmp_register_vnc(HmpRegistry& registry);

}  // namespace rhea
