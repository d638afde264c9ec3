// Messages for people: errors, warnings, and the -d log (guest errors, trace events).
#pragma once

#include <atomic>
#include <string>
#include <string_view>
#include <vector>

#include "util/result.h"

namespace rhea {

/// Sets the program name that precedes messages (argv[0]'s base name) and whether each line starts with a
/// time stamp
/// (-msg timestamp=on).
void log_set_program(std::string name);
void log_set_timestamps(bool on);
void log_set_guest_name(std::string name);

/// Where messages go in place of standard error; used by HMP, whose errors belong to the session. Returns the
/// earlier one. Main thread only; null restores standard error.
class MessageSink {
 public:
  virtual ~MessageSink() = default;
  virtual void write(std::string_view text) = 0;
};
MessageSink* log_set_sink(MessageSink* sink);

/// "PROGRAM: MESSAGE" on standard error, one line. Any thread.
void error_report(std::string_view message);
/// The same with "warning: " before the message.
void warn_report(std::string_view message);
/// The same with "info: ".
void info_report(std::string_view message);
/// An Error with its hint on a second line.
void error_report(const Error& error);

/// Categories of the -d log; each is off until -d names it.
enum class LogItem : unsigned {
  kGuestError = 1 << 0,
  kUnimplemented = 1 << 1,
  kReset = 1 << 2,
  kTrace = 1 << 3
};
bool log_enabled(LogItem item);
/// Turns on the items in a comma-separated list ("guest_errors,unimp,trace:PATTERN"); with "none" in it those
/// before it go off. "help" is not handled here.
Result<> log_enable(std::string_view items);
/// Turns off all items.
void log_disable_all();
/// One line per known item: name and description, for `-d help`.
std::string log_items_help();
/// Writes the log to a file instead of standard error (-D).
Result<> log_to_file(const std::string& path);

/// One rate-limited line in the -d log if `item` is on: what a guest did that hardware would not expect. Any
/// thread.
void log_line(LogItem item, std::string_view message);
template <class... A>
void log_guest_error(const A&... pieces) {
  if (log_enabled(LogItem::kGuestError)) log_line(LogItem::kGuestError, str_cat(pieces...));
}

/// A trace point, at namespace scope: `TracePoint trace_tray("ide_tray_moved"); … trace_tray("open ", open);`
/// costs one load when off. Turned on by -trace NAME or a pattern with `*` and `?`.
class TracePoint {
 public:
  /// `name` lives for ever.
  explicit TracePoint(const char* name);
  TracePoint(const TracePoint&) = delete;
  template <class... A>
  void operator()(const A&... pieces) {
    if (enabled()) emit(str_cat(pieces...));
  }
  const char* name() const { return name_; }
  const TracePoint* next() const { return next_; }
  bool enabled() const { return enabled_.load(std::memory_order_relaxed); }

 private:
  friend size_t trace_set(std::string_view pattern, bool on);
  void emit(std::string_view text);
  const char* name_;
  std::atomic<bool> enabled_{false};
  TracePoint* next_ = nullptr;
};
/// Turns on trace points whose name matches `pattern` (`*` matches any run, `?` any character; a `-` before
/// it turns them off). A name without wildcards that is none is warned of.
Result<> trace_enable(std::string_view pattern);
/// Switches what matches; how many that were.
size_t trace_set(std::string_view pattern, bool on);
/// The trace points whose name matches, sorted by name.
std::vector<const TracePoint*> trace_points(std::string_view pattern = "*");

}  // namespace rhea
