// -daemonize and -pidfile.
#pragma once

#include <string>

#include "util/result.h"
#include "util/unique_fd.h"

namespace rhea {

/// The way to the background. The process that was started ends with status 0 only after ready(), or with 1
/// when the daemon ended before.
class Daemon {
 public:
  /// Forks; returns in the daemon only. Before any thread starts.
  Result<> fork_away();
  /// Leaves the starter's folder; before the root changes. Nothing without fork_away().
  Result<> detach();
  /// Lets the starter go, with its terminal and standard streams. After detach().
  Result<> ready();

 private:
  UniqueFd to_starter_;
  UniqueFd null_;  ///< between the two
};

/// A locked file with the process id; removed at the end.
class PidFile {
 public:
  PidFile() = default;
  PidFile(const PidFile&) = delete;
  ~PidFile() { remove(); }
  void remove();
  /// Fails if another process holds it: `cannot create PID file: Cannot lock pid file`.
  Result<> create(std::string path);

 private:
  std::string path_;
  UniqueFd fd_;
};

}  // namespace rhea
