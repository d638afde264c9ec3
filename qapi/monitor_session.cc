#include "qapi/monitor_session.h"

namespace rhea {

Result<UniqueFd> MonitorSession::take_fd(std::string_view name) {
  const auto it = fds_.find(name);
  if (it == fds_.end()) return fail(ENOENT, "File descriptor named '", name, "' has not been found");
  UniqueFd fd = std::move(it->second);
  fds_.erase(it);
  return fd;
}

Result<> MonitorSession::drop_fd(std::string_view name) {
  const auto it = fds_.find(name);
  if (it == fds_.end()) return fail(ENOENT, "File descriptor named '", name, "' not found");
  fds_.erase(it);
  return {};
}

}  // namespace rhea
