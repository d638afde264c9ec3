// rhea-ui-vnc: the RFB protocol by libvncserver. Spec: RFC 6143.
//
// One thread serves all clients of one server; what the program says comes through a queue, so that a client
// that does not read holds up nobody else's guest.
#include <poll.h>
#include <rfb/rfb.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cstring>
#include <mutex>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "ui/vnc/engine.h"
#include "util/module.h"

namespace rhea {
namespace {

constexpr int kMaxWaitMs = 5000;    // for a client that neither reads nor writes in the middle of a message
constexpr int kPendingPollMs = 20;  // while clients wait for what changes next
constexpr size_t kMaxClients = 64;

class LibVncEngine final : public VncEngine {
 public:
  LibVncEngine(VncEvents& events, const VncEngineConfig& config) : events_(events), title_(config.title) {
    wake_fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    shadow_.assign(size_t(config.width) * size_t(config.height), 0);
    shadow_width_ = config.width;
    shadow_height_ = config.height;
    front_ = shadow_;
    screen_ = rfbGetScreen(nullptr, nullptr, config.width, config.height, 8, 3, 4);
    if (screen_ == nullptr || wake_fd_ < 0) return;
    set_up(config);
    thread_ = std::thread([this] { run(); });
  }

  ~LibVncEngine() override {
    if (thread_.joinable()) {
      {
        const std::lock_guard lock(mutex_);
        stop_ = true;
      }
      wake();
      thread_.join();
    }
    for (const New& n : new_clients_) close(n.fd);
    if (screen_ != nullptr) {
      screen_->frameBuffer = nullptr;
      rfbScreenCleanup(screen_);
    }
    if (wake_fd_ >= 0) close(wake_fd_);
  }

  bool usable() const { return thread_.joinable(); }

  void add_client(int fd, uint64_t client) override {
    {
      const std::lock_guard lock(mutex_);
      new_clients_.push_back({fd, client});
    }
    wake();
  }

  void resize(int width, int height) override {
    {
      const std::lock_guard lock(mutex_);
      shadow_.assign(size_t(width) * size_t(height), 0);
      shadow_width_ = width;
      shadow_height_ = height;
      resized_ = true;
      dirty_.clear();
    }
    wake();
  }

  void update(int x, int y, int width, int height, const uint32_t* pixels, size_t stride) override {
    {
      const std::lock_guard lock(mutex_);
      if (x < 0 || y < 0 || width <= 0 || height <= 0 || x + width > shadow_width_ ||
          y + height > shadow_height_)
        return;
      for (int row = 0; row < height; ++row)
        std::memcpy(&shadow_[size_t(y + row) * size_t(shadow_width_) + size_t(x)],
                    pixels + size_t(row) * stride, size_t(width) * 4);
      dirty_.push_back({x, y, width, height});
      if (dirty_.size() > kMaxDirty) dirty_.assign(1, {0, 0, shadow_width_, shadow_height_});
    }
    wake();
  }

  void set_password(const char* password) override {
    const std::lock_guard lock(mutex_);
    has_password_ = password != nullptr;
    password_ = password != nullptr ? std::string(password).substr(0, 8) : std::string();
  }

 private:
  struct Area {
    int x, y, width, height;
  };
  struct New {
    int fd;
    uint64_t id;
  };
  struct Client {
    LibVncEngine* engine;
    uint64_t id;
    bool ready = false;
  };
  static constexpr size_t kMaxDirty = 256;

  static LibVncEngine* self(rfbClientPtr cl) { return static_cast<LibVncEngine*>(cl->screen->screenData); }
  static Client* of(rfbClientPtr cl) { return static_cast<Client*>(cl->clientData); }

  void set_up(const VncEngineConfig& config) {
    rfbScreenInfoPtr s = screen_;
    s->screenData = this;
    s->desktopName = title_.c_str();
    s->frameBuffer = reinterpret_cast<char*>(front_.data());
    s->serverFormat.redShift = 16;
    s->serverFormat.greenShift = 8;
    s->serverFormat.blueShift = 0;
    s->port = s->ipv6port = 0;  // the program listens
    s->autoPort = FALSE;
    s->cursor = nullptr;
    s->deferUpdateTime = 0;
    s->maxClientWait = kMaxWaitMs;
    s->permitFileTransfer = FALSE;
    s->handleEventsEagerly = TRUE;
    s->alwaysShared = config.share != VncShare::kAllowExclusive;
    s->kbdAddEvent = [](rfbBool down, rfbKeySym key, rfbClientPtr cl) {
      if (Client* c = of(cl)) self(cl)->events_.vnc_key(c->id, key, down != 0);
    };
    s->ptrAddEvent = [](int buttons, int x, int y, rfbClientPtr cl) {
      if (Client* c = of(cl)) self(cl)->events_.vnc_pointer(c->id, x, y, unsigned(buttons));
    };
    s->setXCutText = [](char*, int, rfbClientPtr) {};
    s->newClientHook = [](rfbClientPtr cl) {
      cl->clientData = new Client{self(cl), self(cl)->adding_};
      cl->clientGoneHook = [](rfbClientPtr gone) {
        Client* c = of(gone);
        gone->clientData = nullptr;
        if (c == nullptr) return;
        c->engine->events_.vnc_gone(c->id);
        --c->engine->clients_;
        delete c;
      };
      ++self(cl)->clients_;
      return RFB_CLIENT_ACCEPT;
    };
    if (config.password) {
      s->authPasswdData = this;
      s->passwordCheck = [](rfbClientPtr cl, const char* response, int length) {
        return rfbBool(self(cl)->password_is(cl, response, length));
      };
    }
    rfbInitServer(s);
  }

  /// RFC 6143 7.2.2: the challenge, encrypted with the password.
  bool password_is(rfbClientPtr cl, const char* response, int length) {
    const std::lock_guard lock(mutex_);
    if (!has_password_ || length != CHALLENGESIZE) return false;
    unsigned char expected[CHALLENGESIZE];
    std::memcpy(expected, cl->authChallenge, CHALLENGESIZE);
    char password[9] = {};
    password_.copy(password, 8);
    rfbEncryptBytes(expected, password);
    unsigned differ = 0;  // in constant time
    for (int i = 0; i < CHALLENGESIZE; ++i)
      differ |= unsigned(expected[i] ^ static_cast<unsigned char>(response[i]));
    return differ == 0;
  }

  void wake() {
    const uint64_t one = 1;
    std::ignore = write(wake_fd_, &one, sizeof one);
  }

  template <class F>
  void for_each_client(F&& fn) {
    rfbClientIteratorPtr it = rfbGetClientIterator(screen_);
    while (rfbClientPtr cl = rfbClientIteratorNext(it)) fn(cl);
    rfbReleaseClientIterator(it);
  }

  /// False when it is time to end.
  bool take_orders() {
    std::vector<New> fresh;
    std::vector<Area> areas;
    bool resized = false;
    {
      const std::lock_guard lock(mutex_);
      if (stop_) return false;
      fresh.swap(new_clients_);
      areas.swap(dirty_);
      resized = std::exchange(resized_, false);
      if (resized) {
        back_ = shadow_;
      } else {
        for (const Area& a : areas)
          for (int y = a.y; y < a.y + a.height; ++y) {
            const size_t at = size_t(y) * size_t(shadow_width_) + size_t(a.x);
            std::memcpy(&front_[at], &shadow_[at], size_t(a.width) * 4);
          }
      }
      width_ = shadow_width_;
      height_ = shadow_height_;
    }
    if (resized) {
      rfbNewFramebuffer(screen_, reinterpret_cast<char*>(back_.data()), width_, height_, 8, 3, 4);
      screen_->serverFormat.redShift = 16;
      screen_->serverFormat.greenShift = 8;
      screen_->serverFormat.blueShift = 0;
      for_each_client([](rfbClientPtr cl) { rfbSetTranslateFunction(cl); });
      front_.swap(back_);
      rfbMarkRectAsModified(screen_, 0, 0, width_, height_);
    } else {
      for (const Area& a : areas) rfbMarkRectAsModified(screen_, a.x, a.y, a.x + a.width, a.y + a.height);
    }
    for (const New& n : fresh) admit(n);
    return true;
  }

  void admit(const New& n) {
    // The library uses select().
    if (n.fd >= FD_SETSIZE || clients_ >= kMaxClients) {
      close(n.fd);
      events_.vnc_gone(n.id);
      return;
    }
    adding_ = n.id;
    const size_t before = clients_;
    if (rfbNewClient(screen_, n.fd) == nullptr && clients_ == before) events_.vnc_gone(n.id);
  }

  void run() {
    std::vector<pollfd> fds;
    while (true) {
      fds.assign(1, {wake_fd_, POLLIN, 0});
      for_each_client([&](rfbClientPtr cl) {
        if (cl->sock >= 0) fds.push_back({cl->sock, POLLIN, 0});
      });
      poll(fds.data(), fds.size(), fds.size() > 1 ? kPendingPollMs : -1);
      uint64_t count = 0;
      std::ignore = read(wake_fd_, &count, sizeof count);
      if (!take_orders()) break;
      rfbProcessEvents(screen_, 0);
      for_each_client([&](rfbClientPtr cl) {
        Client* c = of(cl);
        if (c == nullptr || c->ready || cl->sock < 0 || cl->state != rfbClientRec::RFB_NORMAL) return;
        c->ready = true;
        events_.vnc_ready(c->id);
      });
    }
    rfbShutdownServer(screen_, TRUE);
  }

  VncEvents& events_;
  std::string title_;
  rfbScreenInfoPtr screen_ = nullptr;
  int wake_fd_ = -1;
  std::thread thread_;
  // The engine's thread.
  std::vector<uint32_t> front_, back_;
  int width_ = 0, height_ = 0;
  uint64_t adding_ = 0;
  size_t clients_ = 0;
  // Both.
  std::mutex mutex_;
  bool stop_ = false, resized_ = false, has_password_ = false;
  std::string password_;
  std::vector<uint32_t> shadow_;
  int shadow_width_ = 0, shadow_height_ = 0;
  std::vector<Area> dirty_;
  std::vector<New> new_clients_;
};

VncEngine* create(VncEvents& events, const VncEngineConfig& config) {
  rfbLogEnable(FALSE);
  auto* engine = new LibVncEngine(events, config);
  if (engine->usable()) return engine;
  delete engine;
  return nullptr;
}

const VncEngineModule kModule{create};

}  // namespace
}  // namespace rhea

extern "C" __attribute__((visibility("default"))) const rhea::ModuleHeader rhea_module;
const rhea::ModuleHeader rhea_module{rhea::kModuleMagic, rhea::kModuleBuild, &rhea::kModule};
