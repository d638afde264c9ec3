#include "util/log.h"

#include <fcntl.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <vector>

#include "util/locks.h"
#include "util/unique_fd.h"

namespace rhea {

MachineLock& machine_lock() {
  static MachineLock lock;
  return lock;
}

namespace {

struct LogState {
  std::mutex mutex;
  std::string program = "rhea";
  std::string guest;
  bool timestamps = false;
  UniqueFd file;
  int64_t window_start_s = 0;
  int lines_in_window = 0;
};

LogState& state() {
  static LogState s;
  return s;
}

std::atomic<unsigned> enabled_items{0};
constinit TracePoint* first_point = nullptr;  // filled before main(), or as a module is loaded
MessageSink* sink = nullptr;
constexpr int kGuestLinesPerSecond = 200;

struct ItemName {
  LogItem item;
  std::string_view name;
  std::string_view help;
};
constexpr ItemName kItems[] = {
    {LogItem::kGuestError, "guest_errors",
     "log when the guest OS does something invalid (eg accessing a non-existent register)"},
    {LogItem::kUnimplemented, "unimp", "log unimplemented functionality"},
    {LogItem::kReset, "cpu_reset", "log CPU state before CPU resets"},
};

void write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    text.remove_prefix(static_cast<size_t>(n));
  }
}

std::string timestamp() {
  timeval tv{};
  gettimeofday(&tv, nullptr);
  tm t{};
  gmtime_r(&tv.tv_sec, &t);
  char day[32], buf[64];
  strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &t);
  snprintf(buf, sizeof buf, "%s.%06ldZ ", day, static_cast<long>(tv.tv_usec));
  return buf;
}

void report(std::string_view kind, std::string_view message) {
  if (sink != nullptr && MachineLock::held()) {
    sink->write(str_cat(kind, message, "\n"));
    return;
  }
  auto& s = state();
  std::lock_guard guard(s.mutex);
  std::string line;
  if (s.timestamps) line = timestamp();
  if (!s.guest.empty()) str_append(line, s.guest, " ");
  str_append(line, s.program, ": ", kind, message, "\n");
  write_all(STDERR_FILENO, line);
}

/// Each run of `*` is tried at the latest place that one before it left, so the time is bounded by the
/// product of the lengths.
bool matches(std::string_view pattern, std::string_view name) {
  size_t p = 0, n = 0, star = std::string_view::npos, resume = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = n;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == name[n])) {
      ++p;
      ++n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace

void log_set_program(std::string name) {
  state().program = std::move(name);
}
void log_set_timestamps(bool on) {
  state().timestamps = on;
}
void log_set_guest_name(std::string name) {
  state().guest = std::move(name);
}

MessageSink* log_set_sink(MessageSink* s) {
  return std::exchange(sink, s);
}

void error_report(std::string_view message) {
  report("", message);
}
void warn_report(std::string_view message) {
  report("warning: ", message);
}
void info_report(std::string_view message) {
  report("info: ", message);
}

void error_report(const Error& error) {
  report("", error.message());
  if (error.hint().empty()) return;
  if (sink != nullptr && MachineLock::held())
    sink->write(str_cat(error.hint(), "\n"));
  else
    write_all(STDERR_FILENO, str_cat(error.hint(), "\n"));
}

bool log_enabled(LogItem item) {
  return (enabled_items.load(std::memory_order_relaxed) & static_cast<unsigned>(item)) != 0;
}

Result<> log_enable(std::string_view items) {
  unsigned mask = enabled_items;
  std::vector<std::string_view> patterns;
  while (!items.empty()) {
    const size_t comma = items.find(',');
    const std::string_view one = items.substr(0, comma);
    items = comma == std::string_view::npos ? std::string_view() : items.substr(comma + 1);
    if (one.starts_with("trace:")) {
      patterns.push_back(one.substr(6));
      continue;
    }
    bool known = one == "none";
    if (known) mask = 0;
    for (const auto& item : kItems) {
      if (item.name != one && one != "all") continue;
      mask |= static_cast<unsigned>(item.item);
      known = true;
    }
    if (!known) return fail(EINVAL, "unknown log item '", one, "' (see -d help)");
  }
  for (const std::string_view pattern : patterns) TRY(trace_enable(pattern));
  enabled_items = mask;
  return {};
}

void log_disable_all() {
  enabled_items = 0;
}

std::string log_items_help() {
  std::string out = "Log items (comma separated):\n";
  for (const auto& item : kItems) {
    std::string name(item.name);
    name.resize(16, ' ');
    str_append(out, name, item.help, "\n");
  }
  str_append(out, "trace:PATTERN   enable trace events\n");
  return out;
}

Result<> log_to_file(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!fd) return fail_errno(errno, "Error opening logfile ", path);
  std::lock_guard guard(state().mutex);
  state().file = std::move(fd);
  return {};
}

void log_line(LogItem item, std::string_view message) {
  auto& s = state();
  std::lock_guard guard(s.mutex);
  if (item == LogItem::kGuestError || item == LogItem::kUnimplemented) {  // a guest chooses how many
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    if (now.tv_sec != s.window_start_s) s.window_start_s = now.tv_sec, s.lines_in_window = 0;
    if (++s.lines_in_window > kGuestLinesPerSecond) return;
  }
  write_all(s.file ? s.file.get() : STDERR_FILENO, str_cat(message, "\n"));
}

TracePoint::TracePoint(const char* name) : name_(name), next_(first_point) {
  first_point = this;
}

void TracePoint::emit(std::string_view text) {
  log_line(LogItem::kTrace, str_cat(name_, " ", text));
}

size_t trace_set(std::string_view pattern, bool on) {
  size_t count = 0;
  for (TracePoint* p = first_point; p != nullptr; p = p->next_) {
    if (!matches(pattern, p->name())) continue;
    p->enabled_.store(on, std::memory_order_relaxed);
    ++count;
  }
  return count;
}

std::vector<const TracePoint*> trace_points(std::string_view pattern) {
  std::vector<const TracePoint*> out;
  for (const TracePoint* p = first_point; p != nullptr; p = p->next())
    if (matches(pattern, p->name())) out.push_back(p);
  std::ranges::sort(out, {}, [](const TracePoint* p) { return std::string_view(p->name()); });
  return out;
}

Result<> trace_enable(std::string_view pattern) {
  const bool on = !pattern.starts_with('-');
  if (!on) pattern.remove_prefix(1);
  if (pattern.empty()) return fail(EINVAL, "empty trace event name");
  if (trace_set(pattern, on) == 0 && pattern.find_first_of("*?") == std::string_view::npos)
    warn_report(str_cat("trace event '", pattern, "' does not exist"));
  return {};
}

}  // namespace rhea
