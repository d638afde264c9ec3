// The line protocol by which device tests drive the machine (QEMU, docs/devel/testing/qtest): port and memory
// access, the virtual clock, interrupt lines.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "util/result.h"

namespace rhea {

class AioContext;

/// What the protocol asks of devices, which are above it.
class QtestDevices {
 public:
  using Report = std::function<void(int n, int level)>;
  virtual ~QtestDevices() = default;
  /// Reports changes of a device's interrupt inputs or outputs called `name` (empty: those without a name)
  /// from now on. Fails with `Unknown device`.
  virtual Result<> intercept(std::string_view path, bool inputs, std::string_view name, Report report) = 0;
  /// Drives input `n` of the device's lines called `name` ("unnamed-gpio-in": those without a name).
  virtual Result<> set_irq(std::string_view path, std::string_view name, int n, int level) = 0;
};

/// One client's conversation. Main loop.
class QtestProtocol {
 public:
  /// `send` gets whole lines with their line feed.
  QtestProtocol(QtestDevices& devices, AioContext& loop, std::function<void(std::string_view)> send)
      : devices_(devices), loop_(loop), send_(std::move(send)) {}

  /// Bytes from the client, cut anywhere.
  void receive(std::string_view bytes);
  /// A new client: what the last one left unfinished is dropped.
  void restart() { input_.clear(); }
  /// Called with "R" or "S" and each line received or sent (-qtest-log).
  void set_log(std::function<void(char, std::string_view)> log) { log_ = std::move(log); }

 private:
  using Words = std::vector<std::string_view>;
  using Handler = std::string (QtestProtocol::*)(const Words&);
  struct Command {
    std::string_view name;
    size_t arguments;  ///< at least so many
    Handler run;
  };
  static const Command kCommands[];

  void run_line(std::string_view line);
  std::string run(const Words& words);
  void reply(std::string text);
  void irq_changed(int n, int level);

  std::string out_port(const Words& words);
  std::string in_port(const Words& words);
  std::string write_value(const Words& words);
  std::string read_value(const Words& words);
  std::string read_bytes(const Words& words);
  std::string write_bytes(const Words& words);
  std::string read_base64(const Words& words);
  std::string write_base64(const Words& words);
  std::string fill(const Words& words);
  std::string endianness(const Words& words);
  std::string clock_step(const Words& words);
  std::string clock_set(const Words& words);
  std::string intercept(const Words& words);
  std::string set_irq_in(const Words& words);
  std::string module_load(const Words& words);

  QtestDevices& devices_;
  AioContext& loop_;
  std::function<void(std::string_view)> send_;
  std::function<void(char, std::string_view)> log_;
  std::string input_;
  std::string intercepted_;  ///< the device whose lines are reported; one at a time
  std::vector<int> levels_;
};

}  // namespace rhea
