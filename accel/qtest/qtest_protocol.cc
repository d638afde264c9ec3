#include "accel/qtest/qtest_protocol.h"

#include <algorithm>

#include "memory/memory.h"
#include "util/aio_context.h"
#include "util/base64.h"
#include "util/clock.h"

namespace rhea {

namespace {

constexpr uint64_t kMaxBytes = uint64_t{64} << 20;      ///< of one transfer
constexpr size_t kMaxLine = 2 * kMaxBytes + (4 << 10);  ///< such a transfer in hexadecimal
constexpr const char* kBadArgument = "ERR invalid argument\n";

bool parse(std::string_view word, uint64_t& out) {
  return parse_u64(word, out);
}

/// Address and length of a transfer.
bool parse_span(std::string_view address, std::string_view bytes, uint64_t& addr, uint64_t& length) {
  return parse(address, addr) && parse(bytes, length) && length <= kMaxBytes;
}

/// The size that a command's last letter stands for.
unsigned size_of(std::string_view command) {
  switch (command.back()) {
    case 'b':
      return 1;
    case 'w':
      return 2;
    case 'l':
      return 4;
    default:
      return 8;
  }
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string ok(std::string_view value) {
  return str_cat("OK ", value, "\n");
}

constexpr const char* kOk = "OK\n";

}  // namespace

constexpr QtestProtocol::Command QtestProtocol::kCommands[] = {
    {"outb", 2, &QtestProtocol::out_port},
    {"outw", 2, &QtestProtocol::out_port},
    {"outl", 2, &QtestProtocol::out_port},
    {"inb", 1, &QtestProtocol::in_port},
    {"inw", 1, &QtestProtocol::in_port},
    {"inl", 1, &QtestProtocol::in_port},
    {"writeb", 2, &QtestProtocol::write_value},
    {"writew", 2, &QtestProtocol::write_value},
    {"writel", 2, &QtestProtocol::write_value},
    {"writeq", 2, &QtestProtocol::write_value},
    {"readb", 1, &QtestProtocol::read_value},
    {"readw", 1, &QtestProtocol::read_value},
    {"readl", 1, &QtestProtocol::read_value},
    {"readq", 1, &QtestProtocol::read_value},
    {"read", 2, &QtestProtocol::read_bytes},
    {"write", 3, &QtestProtocol::write_bytes},
    {"b64read", 2, &QtestProtocol::read_base64},
    {"b64write", 3, &QtestProtocol::write_base64},
    {"memset", 3, &QtestProtocol::fill},
    {"endianness", 0, &QtestProtocol::endianness},
    {"clock_step", 0, &QtestProtocol::clock_step},
    {"clock_set", 1, &QtestProtocol::clock_set},
    {"irq_intercept_in", 1, &QtestProtocol::intercept},
    {"irq_intercept_out", 1, &QtestProtocol::intercept},
    {"set_irq_in", 4, &QtestProtocol::set_irq_in},
    {"module_load", 2, &QtestProtocol::module_load}};

void QtestProtocol::receive(std::string_view bytes) {
  size_t scanned = input_.size();
  input_ += bytes;
  size_t begin = 0;
  for (size_t end = input_.find('\n', scanned); end != std::string::npos; end = input_.find('\n', begin)) {
    std::string line = input_.substr(begin, end - begin);
    begin = end + 1;
    run_line(line);
    if (input_.size() < begin) return;  // a command has closed the conversation
  }
  input_.erase(0, begin);
  if (input_.size() <= kMaxLine) return;
  input_.clear();
  reply("ERR line too long\n");
}

void QtestProtocol::run_line(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (log_) log_('R', line);
  Words words;
  while (!line.empty()) {
    size_t blank = std::min(line.find(' '), line.size());
    if (blank != 0) words.push_back(line.substr(0, blank));
    line.remove_prefix(std::min(blank + 1, line.size()));
  }
  if (!words.empty()) reply(run(words));
}

std::string QtestProtocol::run(const Words& words) {
  for (const Command& command : kCommands) {
    if (command.name != words[0]) continue;
    if (words.size() <= command.arguments) return "ERR missing argument\n";
    return (this->*command.run)(words);
  }
  return str_cat("FAIL Unknown command '", words[0], "'\n");
}

void QtestProtocol::reply(std::string text) {
  if (log_) log_('S', std::string_view(text).substr(0, text.size() - 1));
  send_(text);
}

std::string QtestProtocol::out_port(const Words& words) {
  uint64_t port = 0, value = 0;
  if (!parse(words[1], port) || port > 0xffff || !parse(words[2], value)) return kBadArgument;
  io_space().store(port, value, size_of(words[0]));
  return kOk;
}

std::string QtestProtocol::in_port(const Words& words) {
  uint64_t port = 0;
  if (!parse(words[1], port) || port > 0xffff) return kBadArgument;
  return ok(str_cat("0x", hex(io_space().load(port, size_of(words[0])), 4)));
}

std::string QtestProtocol::write_value(const Words& words) {
  uint64_t addr = 0, value = 0;
  if (!parse(words[1], addr) || !parse(words[2], value)) return kBadArgument;
  memory_space().store(addr, value, size_of(words[0]));
  return kOk;
}

std::string QtestProtocol::read_value(const Words& words) {
  uint64_t addr = 0;
  if (!parse(words[1], addr)) return kBadArgument;
  return ok(str_cat("0x", hex(memory_space().load(addr, size_of(words[0])), 16)));
}

std::string QtestProtocol::read_bytes(const Words& words) {
  uint64_t addr = 0, length = 0;
  if (!parse_span(words[1], words[2], addr, length)) return kBadArgument;
  std::vector<uint8_t> bytes(length);
  std::ignore = memory_space().read(addr, bytes.data(), length);  // what is not there reads as ones
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text = "0x";
  text.reserve(2 + 2 * length);
  for (uint8_t b : bytes) {
    text += kDigits[b >> 4];
    text += kDigits[b & 15];
  }
  return ok(text);
}

/// Data that is shorter than the length given is followed by zeros.
std::string QtestProtocol::write_bytes(const Words& words) {
  uint64_t addr = 0, length = 0;
  std::string_view digits = words[3];
  if (!parse_span(words[1], words[2], addr, length) || !digits.starts_with("0x")) return kBadArgument;
  digits.remove_prefix(2);
  std::vector<uint8_t> bytes(length);
  for (size_t i = 0; i < length && 2 * i + 1 < digits.size(); ++i) {
    int high = hex_digit(digits[2 * i]), low = hex_digit(digits[2 * i + 1]);
    if (high < 0 || low < 0) return kBadArgument;
    bytes[i] = static_cast<uint8_t>(high << 4 | low);
  }
  std::ignore = memory_space().write(addr, bytes.data(), length);  // nothing takes it where nothing is
  return kOk;
}

std::string QtestProtocol::read_base64(const Words& words) {
  uint64_t addr = 0, length = 0;
  if (!parse_span(words[1], words[2], addr, length)) return kBadArgument;
  std::vector<uint8_t> bytes(length);
  std::ignore = memory_space().read(addr, bytes.data(), length);  // as for read
  return ok(base64_encode(bytes));
}

std::string QtestProtocol::write_base64(const Words& words) {
  uint64_t addr = 0, length = 0;
  if (!parse_span(words[1], words[2], addr, length)) return kBadArgument;
  std::vector<uint8_t> bytes = base64_decode(words[3]);
  std::ignore =
      memory_space().write(addr, bytes.data(), std::min<uint64_t>(length, bytes.size()));  // as for write
  return kOk;
}

std::string QtestProtocol::fill(const Words& words) {
  uint64_t addr = 0, length = 0, value = 0;
  if (!parse_span(words[1], words[2], addr, length) || !parse(words[3], value)) return kBadArgument;
  std::vector<uint8_t> bytes(length, static_cast<uint8_t>(value));
  std::ignore = memory_space().write(addr, bytes.data(), length);  // as for write
  return kOk;
}

std::string QtestProtocol::endianness(const Words&) {
  return ok("little");
}

/// Without an argument: to the next timer.
std::string QtestProtocol::clock_step(const Words& words) {
  VirtualClock& clock = virtual_clock();
  int64_t now = clock.now_ns(), target = loop_.next_deadline_ns(clock);
  if (words.size() > 1) {
    int64_t step = 0;
    if (!parse_i64(words[1], step) || step < 0 || step > INT64_MAX - now) return kBadArgument;
    target = now + step;
  }
  if (target != INT64_MAX) clock.step_to(target, loop_);
  return ok(str_cat(clock.now_ns()));
}

std::string QtestProtocol::clock_set(const Words& words) {
  int64_t target = 0;
  if (!parse_i64(words[1], target) || target < 0) return kBadArgument;
  virtual_clock().step_to(target, loop_);
  return ok(str_cat(virtual_clock().now_ns()));
}

/// The lines of one device for the whole run; asking again for the same device is harmless and changes
/// nothing. A third word names the lines, if they have a name.
std::string QtestProtocol::intercept(const Words& words) {
  if (intercepted_ == words[1]) return kOk;
  if (!intercepted_.empty()) return "FAIL IRQ intercept already enabled\n";
  const bool inputs = words[0] == "irq_intercept_in";
  const std::string_view name = words.size() > 2 ? words[2] : std::string_view();
  Result<> done =
      devices_.intercept(words[1], inputs, name, [this](int n, int level) { irq_changed(n, level); });
  if (!done) return str_cat("FAIL ", done.error().message(), "\n");
  intercepted_ = words[1];
  return kOk;
}

void QtestProtocol::irq_changed(int n, int level) {
  if (n < 0 || n > 4095) return;
  if (static_cast<size_t>(n) >= levels_.size()) levels_.resize(static_cast<size_t>(n) + 1);
  if (std::exchange(levels_[static_cast<size_t>(n)], level) == level) return;
  reply(str_cat("IRQ ", level != 0 ? "raise" : "lower", " ", n, "\n"));
}

std::string QtestProtocol::set_irq_in(const Words& words) {
  uint64_t n = 0;
  int64_t level = 0;
  if (!parse(words[3], n) || n > 4095 || !parse_i64(words[4], level)) return kBadArgument;
  Result<> done = devices_.set_irq(words[1], words[2], static_cast<int>(n), level != 0);
  return done ? std::string(kOk) : str_cat("FAIL ", done.error().message(), "\n");
}

/// Nothing that a test program would load comes as a module here.
std::string QtestProtocol::module_load(const Words&) {
  return "FAIL\n";
}

}  // namespace rhea
