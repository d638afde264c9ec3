#include "hw/core/qtest_server.h"

#include <fmt/format.h>

#include "hw/core/device.h"
#include "util/clock.h"

namespace rhea {

namespace {

constexpr size_t kReadBytes = 64 << 10;

Result<Device*> find_device(std::string_view path) {
  auto* device = dynamic_cast<Device*>(qom_root().resolve(path));
  if (device == nullptr) return fail(ENODEV, "Unknown device");
  return device;
}

}  // namespace

QtestServer::QtestServer(AioContext& loop)
    : protocol_(*this, loop, [this](std::string_view text) { front_.write_all(text); }) {}

Result<std::unique_ptr<QtestServer>> QtestServer::create(Chardev& chardev, AioContext& loop, Chardev* log) {
  std::unique_ptr<QtestServer> server(new QtestServer(loop));
  TRY(server->front_.attach(chardev));
  if (log != nullptr) {
    TRY(server->log_.attach(*log));
    server->protocol_.set_log([s = server.get()](char d, std::string_view line) { s->write_log(d, line); });
  }
  server->opened_ns_ = realtime_clock().now_ns();
  CharHandlers handlers;
  handlers.can_read = [] { return kReadBytes; };
  handlers.read = [s = server.get()](std::span<const uint8_t> data) {
    s->protocol_.receive({reinterpret_cast<const char*>(data.data()), data.size()});
  };
  handlers.event = [s = server.get()](CharEvent event) {
    if (event != CharEvent::kOpened && event != CharEvent::kClosed) return;
    s->protocol_.restart();
    s->write_log('I', event == CharEvent::kOpened ? "OPENED" : "CLOSED");
  };
  server->front_.set_handlers(std::move(handlers));
  return server;
}

void QtestServer::write_log(char direction, std::string_view line) {
  if (log_.chardev() == nullptr) return;
  double seconds = static_cast<double>(realtime_clock().now_ns() - opened_ns_) / 1e9;
  log_.write_all(fmt::format("[{} +{:.6f}] {}\n", direction, seconds, line));
}

Result<> QtestServer::intercept(std::string_view path, bool inputs, Report report) {
  Device* device = TRY(find_device(path));
  if (inputs)
    device->tap_inputs(std::move(report));
  else
    device->tap_outputs(std::move(report));
  return {};
}

Result<> QtestServer::set_irq(std::string_view path, std::string_view name, int n, int level) {
  Device* device = TRY(find_device(path));
  if (name != "unnamed-gpio-in") return fail(ENOENT, "Unknown interrupt input '", name, "'");
  if (n >= device->irq_input_count()) return fail(EINVAL, "'", path, "' has no interrupt input ", n);
  device->set_irq(n, level);
  return {};
}

}  // namespace rhea
