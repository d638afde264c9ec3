// HmpSession: a human monitor on a character device.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "chardev/char_frontend.h"
#include "monitor/line_editor.h"
#include "qapi/hmp_registry.h"
#include "qapi/monitor_session.h"
#include "qapi/qmp_context.h"
#include "util/aio_context.h"
#include "util/co_sync.h"
#include "util/coroutine.h"

namespace rhea {

/// Shows a prompt, executes the lines typed and prints what they say. Input waits while a command does. On a
/// mux nothing is printed while another front end has the keyboard. Main loop's thread.
class HmpSession final : public MonitorSession {
 public:
  /// `context` is copied, with this session put in.
  HmpSession(AioContext& loop, const QmpContext& context);
  ~HmpSession() override { *alive_ = false; }
  Result<> attach(Chardev& chardev);
  /// While held it takes no input, so no command runs. Not held when made.
  void set_held(bool held) {
    input_held_ = held;
    if (!held) frontend_.accept_input();
  }
  /// Waits for the command under way.
  CoResult<> co_stop() { return gate_.co_close(); }

  Result<> negotiate(const std::vector<QMPCapability>& enable) override;
  UniqueFd received_fd() override;

 private:
  void event(CharEvent event);
  void opened();
  void show();
  void read(std::span<const uint8_t> data);
  void process();
  void execute(std::string line);
  void finished(uint64_t client, const HmpCall& call);
  void output(std::string_view text);
  bool on_mux() const;

  AioContext& loop_;
  QmpContext context_;
  CharFrontend frontend_;
  bool input_held_ = false;
  Gate gate_;
  LineEditor editor_;
  uint64_t client_ = 0;         ///< counts clients
  std::optional<int64_t> cpu_;  ///< chosen by "cpu"
  bool busy_ = false;
  bool shown_ = true;  ///< false on a mux while another has the keyboard
  bool focused_ = true;
  bool processing_ = false;
  std::string input_;  ///< keys not yet looked at
  std::string held_;   ///< output for when it is shown
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace rhea
