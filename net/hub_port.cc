// The "hubport" back end: what one port of a hub hears, all others say.
#include "net/backends.h"

namespace rhea {

namespace {

class NetHubPort final : public NetBackend {
 public:
  NetHubPort(std::string id, AioContext& loop, int32_t hub) : NetBackend(std::move(id), loop), hub_(hub) {}
  std::string_view kind() const override { return "hubport"; }
  std::string description() const override { return str_cat("hubid=", hub_); }
  std::optional<int32_t> hub() const override { return hub_; }

 private:
  void do_send(std::span<const uint8_t> frame) override {
    for (const auto& other : net_set().backends()) {
      auto* const port = dynamic_cast<NetHubPort*>(other.get());
      if (port != nullptr && port != this && port->hub_ == hub_) port->deliver(frame);
    }
  }
  const int32_t hub_;
};

}  // namespace

std::unique_ptr<NetBackend> create_net_hub_port(std::string id, AioContext& loop, int32_t hub) {
  return std::make_unique<NetHubPort>(std::move(id), loop, hub);
}

}  // namespace rhea
