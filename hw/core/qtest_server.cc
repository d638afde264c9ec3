#include "hw/core/qtest_server.h"

#include <fmt/format.h>

#include <cstdio>

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

Result<std::unique_ptr<QtestServer>> QtestServer::create(Chardev& chardev, AioContext& loop, Chardev* log,
                                                         bool log_to_stderr) {
  std::unique_ptr<QtestServer> server(new QtestServer(loop));
  TRY(server->front_.attach(chardev));
  if (log != nullptr) {
    TRY(server->log_.attach(*log));
  }
  server->log_to_stderr_ = log_to_stderr;
  if (log != nullptr || log_to_stderr) {
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
    if (event == CharEvent::kOpened) s->opened_ns_ = realtime_clock().now_ns();
    s->write_log('I', event == CharEvent::kOpened ? "OPENED" : "CLOSED");
  };
  server->front_.set_handlers(std::move(handlers));
  return server;
}

void QtestServer::write_log(char direction, std::string_view line) {
  if (log_.chardev() == nullptr && !log_to_stderr_) return;
  const double seconds = static_cast<double>(realtime_clock().now_ns() - opened_ns_) / 1e9;
  const std::string text = fmt::format("[{} +{:.6f}] {}\n", direction, seconds, line);
  if (log_to_stderr_)
    std::fputs(text.c_str(), stderr);
  else
    log_.write_all(text);
}

Result<> QtestServer::intercept(std::string_view path, bool inputs, std::string_view name, Report report) {
  Device* device = TRY(find_device(path));
  if (inputs)
    device->tap_inputs(name, std::move(report));
  else
    device->tap_outputs(name, std::move(report));
  return {};
}

Result<> QtestServer::set_irq(std::string_view path, std::string_view name, int n, int level) {
  Device* device = TRY(find_device(path));
  const auto group = device->find_irq_inputs(name == "unnamed-gpio-in" ? std::string_view() : name);
  if (!group) return fail(ENOENT, "Unknown interrupt input '", name, "'");
  if (n >= group->count) return fail(EINVAL, "'", path, "' has no interrupt input ", n);
  device->set_irq(group->first + n, level);
  return {};
}

}  // namespace rhea
