// MonitorSet: the monitors of the process, and the events they share.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "monitor/event_broker.h"
#include "qapi/command.h"
#include "qapi/qmp_context.h"
#include "util/aio_context.h"
#include "util/coroutine.h"
#include "util/result.h"

namespace rhea {

class HmpSession;
class QmpSession;

enum class MonitorMode : uint8_t { kReadline, kControl };

/// Makes and owns them. While it lives it is where events go (qapi/event.h). Must be destroyed before the
/// character devices. Main loop's thread.
class MonitorSet {
 public:
  /// `context` is what handlers reach, its session apart. `commands` is qmp_commands() outside of tests.
  MonitorSet(AioContext& loop, const QmpContext& context, std::span<const QmpCommand> commands);
  ~MonitorSet();

  /// A monitor on an existing character device: "chardev "ID" not found", "Device 'ID' is in use".
  Result<> create(std::string_view chardev_id, MonitorMode mode, bool pretty = false);
  /// -mon [chardev=]ID,mode=readline|control,pretty=on|off.
  Result<> create_from_options(std::string_view options);
  /// -monitor, -qmp and -qmp-pretty: makes the character device `spec` names, with a label of its own
  /// ("compat_monitor0" …), or takes the one "chardev:ID" names. "none" makes nothing.
  Result<> create_legacy(std::string_view spec, MonitorMode mode, bool pretty = false);

  /// Whether commands wait, as they must until the machine is complete. Before the monitors are made.
  void hold() { held_ = true; }
  void release();

  bool empty() const { return qmp_.empty() && hmp_.empty(); }
  /// Writes what is waiting; before the process ends.
  void flush();
  /// Waits for commands under way.
  CoResult<> co_stop();

 private:
  void send_event(std::string_view name, std::string_view line, bool numbered);

  AioContext& loop_;
  const QmpContext context_;
  const std::span<const QmpCommand> commands_;
  std::vector<std::unique_ptr<QmpSession>> qmp_;
  std::vector<std::unique_ptr<HmpSession>> hmp_;
  int compat_count_ = 0;
  bool held_ = false;
  EventBroker events_;
};

}  // namespace rhea
