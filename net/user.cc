// The "user" back end: libslirp (4.7 interface, libslirp.h), which is loaded when one is first made.
#include <arpa/inet.h>
#include <dlfcn.h>
#include <slirp/libslirp.h>

#include <algorithm>

#include "net/backends.h"
#include "qapi/qapi_types_net.h"
#include "util/aio_context.h"
#include "util/clock.h"
#include "util/log.h"

namespace rhea {

namespace {

constexpr const char* kSlirpLibrary = "libslirp.so.0";

struct SlirpFunctions {
  decltype(&slirp_new) make = nullptr;
  decltype(&slirp_cleanup) cleanup = nullptr;
  decltype(&slirp_pollfds_fill) fill = nullptr;
  decltype(&slirp_pollfds_poll) poll = nullptr;
  decltype(&slirp_input) input = nullptr;
  decltype(&slirp_add_hostfwd) add_hostfwd = nullptr;
};

template <class F>
bool find_slirp(void* library, const char* name, F& out) {
  out = reinterpret_cast<F>(::dlsym(library, name));
  return out != nullptr;
}

Result<const SlirpFunctions*> load_slirp() {
  static SlirpFunctions functions;
  if (functions.make != nullptr) return &functions;
  void* library = ::dlopen(kSlirpLibrary, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr)
    return fail(ENOENT, "user networking needs ", kSlirpLibrary, " (package libslirp0)");
  SlirpFunctions found;
  if (!find_slirp(library, "slirp_cleanup", found.cleanup) ||
      !find_slirp(library, "slirp_pollfds_fill", found.fill) ||
      !find_slirp(library, "slirp_pollfds_poll", found.poll) ||
      !find_slirp(library, "slirp_input", found.input) ||
      !find_slirp(library, "slirp_add_hostfwd", found.add_hostfwd) ||
      !find_slirp(library, "slirp_new", found.make))
    return fail(ENOENT, kSlirpLibrary, " lacks a function");
  functions = found;
  return &functions;
}

/// The network as the user describes it.
struct UserNetwork {
  in_addr net{htonl(0x0a000200)}, mask{htonl(0xffffff00)}, host{}, dhcp{}, dns{};
  bool restricted = false;
  std::string hostname, tftp, bootfile, domain, tftp_server;
  std::vector<std::string> search;
};

class NetUser final : public NetBackend, private LoopHook {
 public:
  NetUser(std::string id, AioContext& loop, const SlirpFunctions& slirp, UserNetwork network)
      : NetBackend(std::move(id), loop),
        slirp_(slirp),
        network_(std::move(network)),
        wake_(loop, realtime_clock(), [this] { look_ = true; }) {}
  ~NetUser() override {
    if (stack_ == nullptr) return;
    loop().remove_hook(this);
    slirp_.cleanup(stack_);
  }
  Result<> start();
  Result<> forward(std::string_view rule);
  std::string_view kind() const override { return "user"; }
  std::string description() const override {
    char text[INET_ADDRSTRLEN];
    ::inet_ntop(AF_INET, &network_.net, text, sizeof text);
    return str_cat("net=", text, ",restrict=", network_.restricted ? "on" : "off");
  }

 private:
  struct Watched {
    int fd;
    short wanted = 0, happened = 0;  // SLIRP_POLL_*
    bool fresh = false;              ///< asked for in this pass
    std::unique_ptr<FdWatch> watch;
  };
  struct SlirpTimer {
    SlirpTimer(AioContext& loop, std::function<void()> callback)
        : timer(loop, virtual_clock(), std::move(callback)) {}
    Timer timer;
  };

  void do_send(std::span<const uint8_t> frame) override {
    slirp_.input(stack_, frame.data(), static_cast<int>(frame.size()));
    look_ = true;
  }
  bool before_wait() override;
  int want(int fd, int events);
  void forget(int fd) {
    std::erase_if(watched_, [fd](const Watched& w) { return w.fd == fd; });
  }
  static NetUser& self(void* opaque) { return *static_cast<NetUser*>(opaque); }
  static const SlirpCb kCallbacks;

  const SlirpFunctions& slirp_;
  UserNetwork network_;
  Slirp* stack_ = nullptr;
  std::vector<Watched> watched_;
  Timer wake_;
  bool look_ = false;  ///< something has happened since the stack looked last
};

// Callbacks of the library. It may call any of them from within the functions we call.
const SlirpCb NetUser::kCallbacks = {
    .send_packet = [](const void* frame, size_t bytes, void* opaque) -> ssize_t {
      self(opaque).deliver({static_cast<const uint8_t*>(frame), bytes});
      return static_cast<ssize_t>(bytes);
    },
    .guest_error = [](const char* text, void*) { log_guest_error("user network: ", text); },
    .clock_get_ns = [](void*) -> int64_t { return virtual_clock().now_ns(); },
    .timer_new = [](SlirpTimerCb call, void* argument, void* opaque) -> void* {
      return new SlirpTimer(self(opaque).loop(), [call, argument] { call(argument); });
    },
    .timer_free = [](void* timer, void*) { delete static_cast<SlirpTimer*>(timer); },
    .timer_mod = [](void* timer, int64_t at_ms,
                    void*) { static_cast<SlirpTimer*>(timer)->timer.arm(at_ms * 1'000'000); },
    .register_poll_fd = [](int, void*) {},
    .unregister_poll_fd = [](int fd, void* opaque) { self(opaque).forget(fd); },
    .notify = [](void* opaque) { self(opaque).look_ = true; },
    .init_completed = nullptr,
    .timer_new_opaque = nullptr,
};

Result<> NetUser::start() {
  SlirpConfig config{};
  config.version = 3;
  config.restricted = network_.restricted ? 1 : 0;
  config.in_enabled = true;
  config.vnetwork = network_.net;
  config.vnetmask = network_.mask;
  config.vhost = network_.host;
  config.vdhcp_start = network_.dhcp;
  config.vnameserver = network_.dns;
  auto text = [](const std::string& s) { return s.empty() ? nullptr : s.c_str(); };
  config.vhostname = text(network_.hostname);
  config.tftp_path = text(network_.tftp);
  config.bootfile = text(network_.bootfile);
  config.vdomainname = text(network_.domain);
  config.tftp_server_name = text(network_.tftp_server);
  std::vector<const char*> search;
  for (const std::string& s : network_.search) search.push_back(s.c_str());
  search.push_back(nullptr);
  if (search.size() > 1) config.vdnssearch = search.data();
  stack_ = slirp_.make(&config, &kCallbacks, this);
  if (stack_ == nullptr) return fail(EINVAL, "user networking could not be set up");
  loop().add_hook(this);
  return {};
}

int NetUser::want(int fd, int events) {
  auto at = std::ranges::find(watched_, fd, &Watched::fd);
  if (at == watched_.end()) {
    Watched w{.fd = fd};
    w.watch = loop().watch_fd(fd, 0, [this, fd](uint32_t happened) {
      const auto found = std::ranges::find(watched_, fd, &Watched::fd);
      if (found == watched_.end()) return;
      int bits = 0;
      if ((happened & EPOLLIN) != 0) bits |= SLIRP_POLL_IN;
      if ((happened & EPOLLOUT) != 0) bits |= SLIRP_POLL_OUT;
      if ((happened & EPOLLPRI) != 0) bits |= SLIRP_POLL_PRI;
      if ((happened & EPOLLERR) != 0) bits |= SLIRP_POLL_ERR;
      if ((happened & EPOLLHUP) != 0) bits |= SLIRP_POLL_HUP;
      found->happened = static_cast<short>(found->happened | bits);
      look_ = true;
    });
    watched_.push_back(std::move(w));
    at = watched_.end() - 1;
  }
  at->wanted = static_cast<short>(events);
  at->fresh = true;
  return fd;
}

/// Lets the stack do what is to be done, then asks what it waits for.
bool NetUser::before_wait() {
  const bool looked = std::exchange(look_, false);
  if (looked)
    slirp_.poll(
        stack_, 0,
        [](int fd, void* opaque) -> int {
          auto& list = self(opaque).watched_;
          const auto at = std::ranges::find(list, fd, &Watched::fd);
          return at != list.end() ? at->happened & (at->wanted | SLIRP_POLL_ERR | SLIRP_POLL_HUP) : 0;
        },
        this);
  for (Watched& w : watched_) w.fresh = false;
  uint32_t timeout_ms = UINT32_MAX;
  slirp_.fill(
      stack_, &timeout_ms, [](int fd, int events, void* opaque) { return self(opaque).want(fd, events); },
      this);
  std::erase_if(watched_, [](const Watched& w) { return !w.fresh; });
  for (Watched& w : watched_) {
    w.happened = 0;
    uint32_t events = 0;
    if ((w.wanted & SLIRP_POLL_IN) != 0) events |= EPOLLIN;
    if ((w.wanted & SLIRP_POLL_OUT) != 0) events |= EPOLLOUT;
    if ((w.wanted & SLIRP_POLL_PRI) != 0) events |= EPOLLPRI;
    if (w.watch->events() != events) w.watch->set_events(events);
  }
  if (timeout_ms != UINT32_MAX)
    wake_.arm_in(int64_t{timeout_ms} * 1'000'000);
  else
    wake_.cancel();
  return looked;
}

Result<in_addr> parse_address(std::string_view what, const std::string& text) {
  in_addr address{};
  if (::inet_pton(AF_INET, text.c_str(), &address) != 1) return fail(EINVAL, "Failed to parse ", what);
  return address;
}

Result<uint16_t> parse_port(std::string_view text) {
  uint32_t port = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return fail(EINVAL, "Bad port");
    port = std::min<uint32_t>(port * 10 + static_cast<uint32_t>(c - '0'), 65536);
  }
  if (text.empty() || port > 65535) return fail(EINVAL, "Bad port");
  return static_cast<uint16_t>(port);
}

/// "[tcp|udp]:[hostaddr]:hostport-[guestaddr]:guestport"
Result<> NetUser::forward(std::string_view rule) {
  const auto invalid = [rule](std::string_view why) -> Failure {
    return fail(EINVAL, "Invalid host forwarding rule '", rule, "' (", why, ")");
  };
  std::string_view rest = rule;
  const auto take = [&rest](char until) -> std::optional<std::string_view> {
    const size_t at = rest.find(until);
    if (at == std::string_view::npos) return std::nullopt;
    const std::string_view part = rest.substr(0, at);
    rest.remove_prefix(at + 1);
    return part;
  };
  const auto protocol = take(':');
  if (!protocol || (*protocol != "tcp" && *protocol != "udp" && !protocol->empty()))
    return invalid("Bad protocol name");
  const auto host = take(':'), host_port = take('-'), guest = take(':');
  if (!host || !host_port || !guest) return invalid("Missing : separator");
  in_addr from{htonl(INADDR_ANY)}, to{};
  if (!host->empty() && ::inet_pton(AF_INET, std::string(*host).c_str(), &from) != 1)
    return invalid("Bad host address");
  if (!guest->empty() && ::inet_pton(AF_INET, std::string(*guest).c_str(), &to) != 1)
    return invalid("Bad guest address");
  const Result<uint16_t> from_port = parse_port(*host_port), to_port = parse_port(rest);
  if (!from_port) return invalid("Bad host port");
  if (!to_port || *to_port == 0) return invalid("Bad guest port");
  if (slirp_.add_hostfwd(stack_, *protocol == "udp" ? 1 : 0, from, *from_port, to, *to_port) < 0)
    return fail(EADDRINUSE, "Could not set up host forwarding rule '", rule, "'");
  return {};
}

Result<> set_net(UserNetwork& n, const std::string& text) {
  const size_t slash = text.find('/');
  n.net = TRY(parse_address("net", text.substr(0, slash)));
  if (slash != std::string::npos) {
    const std::string bits = text.substr(slash + 1);
    if (bits.find('.') != std::string::npos) {
      n.mask = TRY(parse_address("netmask", bits));
    } else {
      const uint16_t count = TRY(parse_port(bits));
      if (count < 4 || count > 30) return fail(EINVAL, "Invalid netmask provided (must be in range 4..30)");
      n.mask.s_addr = htonl(~uint32_t{0} << (32 - count));
    }
  }
  n.net.s_addr &= n.mask.s_addr;
  return {};
}

}  // namespace

Result<std::unique_ptr<NetBackend>> create_net_user(std::string id, AioContext& loop,
                                                    const NetdevUserOptions& options) {
  const SlirpFunctions* const slirp = TRY(load_slirp());
  UserNetwork n;
  n.restricted = options.restrict.value_or(false);
  if (options.net) TRY(set_net(n, *options.net));
  const auto at = [&n](uint32_t number) { return in_addr{n.net.s_addr | htonl(number)}; };
  n.host = options.host ? TRY(parse_address("host", *options.host)) : at(2);
  n.dns = options.dns ? TRY(parse_address("DNS", *options.dns)) : at(3);
  n.dhcp = options.dhcpstart ? TRY(parse_address("DHCP start address", *options.dhcpstart)) : at(15);
  const auto inside = [&n](in_addr a) { return (a.s_addr & n.mask.s_addr) == n.net.s_addr; };
  if (!inside(n.host)) return fail(EINVAL, "Host doesn't match network");
  if (!inside(n.dns)) return fail(EINVAL, "DNS doesn't match network");
  if (n.dns.s_addr == n.host.s_addr) return fail(EINVAL, "DNS must be different from host");
  if (!inside(n.dhcp) || n.dhcp.s_addr == n.host.s_addr || n.dhcp.s_addr == n.dns.s_addr)
    return fail(EINVAL, "DHCP must be different from host and DNS");
  n.hostname = options.hostname.value_or("");
  n.tftp = options.tftp.value_or("");
  n.bootfile = options.bootfile.value_or("");
  n.domain = options.domainname.value_or("");
  n.tftp_server = options.tftp_server_name.value_or("");
  if (options.dnssearch)
    for (const auto& entry : *options.dnssearch) n.search.push_back(entry.str);
  auto made = std::make_unique<NetUser>(std::move(id), loop, *slirp, std::move(n));
  TRY(made->start());
  if (options.hostfwd)
    for (const auto& entry : *options.hostfwd) TRY(made->forward(entry.str));
  return made;
}

}  // namespace rhea
