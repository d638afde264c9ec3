// -qtest and -qtest-log: the qtest protocol on a character device, with the machine's devices behind it.
#pragma once

#include <memory>
#include <string>

#include "accel/qtest/qtest_protocol.h"
#include "chardev/char_frontend.h"

namespace rhea {

/// Serves one character device. Lives until the machine's devices are gone: they report to it. Main loop.
class QtestServer final : private QtestDevices {
 public:
  /// Takes hold of `chardev`. `log` (may be null) gets a line for each one sent or received; with
  /// `log_to_stderr` standard error does.
  static Result<std::unique_ptr<QtestServer>> create(Chardev& chardev, AioContext& loop, Chardev* log,
                                                     bool log_to_stderr = false);

 private:
  explicit QtestServer(AioContext& loop);
  Result<> intercept(std::string_view path, bool inputs, std::string_view name, Report report) override;
  Result<> set_irq(std::string_view path, std::string_view name, int n, int level) override;
  void write_log(char direction, std::string_view line);

  QtestProtocol protocol_;
  CharFrontend front_, log_;
  bool log_to_stderr_ = false;
  int64_t opened_ns_ = 0;
};

}  // namespace rhea
