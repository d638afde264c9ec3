// OutcomeLog: what became of the commands that came over a monitor, for a manager that lost the connection.
#pragma once

#include <cstdint>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>

#include "qapi/qapi_types_monitor.h"
#include "util/json.h"
#include "util/result.h"

namespace rhea {

/// One record a command. Main loop's thread.
class OutcomeLog {
 public:
  static constexpr size_t kMaxRecords = 4096;
  static constexpr size_t kMaxBytes = size_t{4} << 20;   ///< of all replies
  static constexpr size_t kMaxReply = size_t{64} << 10;  ///< of one reply

  struct Record {
    std::string id;  ///< its JSON text
    std::string command;
    size_t fingerprint;  ///< of the arguments, which may hold secrets
    CommandState state = CommandState::kRunning;
    bool reply_kept = true;
    std::string reply;  ///< the text of what it returned
    std::string error_class, error;
    uint64_t waiting_client = 0;  ///< who sent it again while it runs, and waits for its end; 0: nobody
  };

  /// Null if no command with this id is known.
  Record* find(std::string_view id);
  /// The command is taken and will be run. Its id is unknown.
  Record& begin(std::string_view id, std::string_view command, const Json& arguments);
  /// It has ended; `reply` is the text of what it returned.
  void finish(Record& record, const Result<>& result, std::string_view reply);
  /// Whether it is the same command with the same arguments.
  static bool same(const Record& record, std::string_view command, const Json& arguments);

  const std::list<Record>& records() const { return records_; }
  uint64_t forgotten() const { return forgotten_; }

 private:
  void forget_oldest();
  std::list<Record> records_;  ///< oldest first
  std::unordered_map<std::string_view, std::list<Record>::iterator> by_id_;
  size_t bytes_ = 0;
  uint64_t forgotten_ = 0;
};

/// True for commands that change nothing, and so may be repeated.
bool qmp_only_asks(std::string_view command);

}  // namespace rhea
