// MonitorSession: the connection a command came over, as its handler sees it.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "qapi/qapi_types_control.h"
#include "util/result.h"
#include "util/unique_fd.h"

namespace rhea {

/// A QMP or human monitor. Main loop's thread.
class MonitorSession {
 public:
  virtual ~MonitorSession() = default;

  /// Ends the negotiation of a QMP session.
  virtual Result<> negotiate(const std::vector<QMPCapability>& enable) = 0;

  /// Whether the client wants no command to wait for disks that do not answer ("bounded").
  virtual bool bounded() const { return false; }

  /// Keeps a descriptor under `name`; one kept earlier under it is closed. It stays until it is taken or
  /// dropped, whoever is connected.
  void keep_fd(std::string name, UniqueFd fd) { fds_[std::move(name)] = std::move(fd); }
  /// Takes it out: "File descriptor named 'NAME' has not been found".
  Result<UniqueFd> take_fd(std::string_view name);
  /// Closes it: "File descriptor named 'NAME' not found".
  Result<> drop_fd(std::string_view name);
  /// The descriptor that came with the command (SCM_RIGHTS), none if there was none.
  virtual UniqueFd received_fd() = 0;

 private:
  std::map<std::string, UniqueFd, std::less<>> fds_;
};

}  // namespace rhea
