// Vm: the virtual machine of this process: run state, life cycle, the parts it is put together from.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>

#include "accel/accel.h"
#include "backends/iothread.h"
#include "block/drive.h"
#include "block/export/nbd_server.h"
#include "block/graph/block_graph.h"
#include "block/jobs/job.h"
#include "chardev/chardev_set.h"
#include "hw/core/machine.h"
#include "hw/core/qtest_server.h"
#include "hw/core/unplug.h"
#include "monitor/monitor_set.h"
#include "qapi/qapi_commands_dump.h"
#include "qapi/qapi_types_machine.h"
#include "qapi/vm_control.h"
#include "system/command_line.h"
#include "system/dirty_rate.h"
#include "system/guest_dump.h"
#include "util/aio_context.h"
#include "util/co_sync.h"

namespace rhea {

/// Owns everything. Made and destroyed by main(), on the main thread, which runs the loop. The machine lock
/// is held except while the loop waits.
class Vm final : public VmControl {
 public:
  Vm(AioContext& loop, CommandLine command_line);
  ~Vm() override;

  /// Puts the machine together as the command line says; lets it run unless -S. On failure the error names
  /// the option.
  CoResult<> co_start();
  /// Stops the machine and lets go of disks; after it the Vm can be destroyed.
  CoResult<> co_shut_down();
  /// Whether the process is to end: run no loop any more.
  bool ending() const { return ending_; }
  bool initialized() const override { return initialized_; }
  CoResult<> co_exit_preconfig() override;
  /// What a -numa option adds; only before the machine is put together.
  Result<> add_numa(const NumaOptions& options);
  /// What the process ends with.
  int exit_code() const { return exit_code_.load(); }
  /// Ends the process with `code` without ceremony: isa-debug-exit. Any thread.
  void request_exit(int code);

  RunState run_state() const override { return state_; }
  CoResult<> co_stop() override;
  CoResult<> co_bounded_stop() override;
  Result<> cont() override;
  void request_quit(ShutdownCause cause) override;
  void request_bounded_quit(ShutdownCause cause) override;
  /// Whether co_shut_down() is to end soon whatever the disks do.
  bool quits_bounded() const { return quits_bounded_; }
  void request_reset(ShutdownCause cause) override;
  void request_powerdown() override;
  void request_stop(RunState state) override;
  void request_suspend() override;
  bool can_wake_up() const override { return machine_ != nullptr && machine_->can_wake_up(); }
  Result<> wake_up(WakeupReason reason) override;
  void guest_panicked(std::optional<GuestPanicInformation> info) override;
  void guest_crashloaded(std::optional<GuestPanicInformation> info) override;
  void watchdog_fired() override;
  std::string_view name() const override { return options_.config.guest_name; }
  std::string_view uuid() const override { return uuid_text_; }

  /// dump-guest-memory; `session` has the descriptors that were passed.
  CoResult<> co_dump(DumpGuestMemoryArgs args, MonitorSession* session);
  DumpQueryResult dump_result() const;
  DirtyRateMeter& dirty_rate() { return dirty_rate_; }

  BlockGraph& graph() { return graph_; }
  ChardevSet& chardevs() { return chardevs_; }

 private:
  void stop_as(RunState state);
  CoResult<> co_prepare_dump(UniqueFd file, bool paging, std::optional<DumpFilter> filter);
  CoResult<> co_write_dump(bool resume);
  bool disks_busy() const;
  CoResult<> co_drain_disks();
  Result<> make_chardevs();
  Result<> make_monitors();
  Result<> make_accelerator();
  CoResult<> co_make_objects();
  CoResult<> co_make_blockdevs();
  Result<> make_netdevs();
  CoResult<> co_put_together();
  Result<> make_machine();
  Result<> check_numa_supported() const;
  Result<> apply_numa_options();
  CoResult<> co_wait_for_client();
  CoResult<> co_build_machine();
  Json device_for(const DriveInfo& info);
  CoResult<> co_make_drives();
  CoResult<> co_make_devices();
  Result<> start_qtest();
  Result<> make_vnc_servers();
  void handle_requests();
  void do_reset(ShutdownCause cause);
  CoResult<> co_reset(ShutdownCause cause);
  bool do_shutdown(ShutdownCause cause);
  bool ends_the_process(ShutdownCause cause) const;
  void do_suspend();
  void do_wake_up(WakeupReason reason);
  CoResult<> co_wake_up(WakeupReason reason);
  void stop_and_drain(RunState state);
  void kick();

  AioContext& loop_;
  CommandLine options_;
  std::string uuid_text_;
  RunState state_ = RunState::kPrelaunch;
  ChardevSet chardevs_;
  BlockGraph graph_;
  DeviceContext device_context_;
  QmpContext qmp_context_;
  DriveSet drives_;
  NbdServer nbd_;
  Unplugger unplugger_{device_context_};
  JobSet jobs_;
  std::shared_ptr<IoThread> io_thread_;  ///< of the devices that were given none
  std::unique_ptr<Accelerator> accel_;
  std::shared_ptr<Machine> machine_;
  std::unique_ptr<MachineContext> machine_context_;
  std::unique_ptr<MonitorSet> monitors_;
  std::unique_ptr<QtestServer> qtest_;

  /// A reset or a shutdown that was asked for. They are carried out in the order in which they came.
  struct Request {
    bool reset;
    ShutdownCause cause;
    bool operator==(const Request&) const = default;
  };
  void add_request(Request request);
  std::optional<Request> next_request();
  std::mutex requests_mutex_;
  std::deque<Request> requests_;  // GUARDED_BY(requests_mutex_)

  // Other requests, taken by the main loop. One of a kind is enough; the first cause counts.
  static constexpr int kNoCause = -1;
  std::atomic<int> stop_request_{kNoCause}, wakeup_request_{kNoCause};
  std::atomic<bool> suspend_request_{false};
  std::atomic<bool> powerdown_request_{false};
  std::atomic<bool> error_request_{false};
  std::atomic<bool> io_error_request_{false};
  std::atomic<int> exit_code_{0};
  bool resetting_ = false;  ///< the vCPUs wait for co_reset()
  bool quits_bounded_ = false;
  DumpStatus dump_status_ = DumpStatus::kNone;
  std::shared_ptr<GuestDump> dump_;  ///< the last
  DirtyRateMeter dirty_rate_{loop_};
  bool initialized_ = false, ending_ = false;
  bool preconfig_ = false;            ///< co_start() waits for the client
  CoQueue preconfig_over_, started_;  ///< who waits for its end; for co_start()'s
  Gate background_;
};

}  // namespace rhea
