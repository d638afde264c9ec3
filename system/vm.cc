#include "system/vm.h"

#include <algorithm>

#include "block/drivers/drivers.h"
#include "hw/core/data_files.h"
#include "hw/core/device_add.h"
#include "hw/core/run_state_listener.h"
#include "hw/misc/debug_exit.h"
#include "memory/backend.h"
#include "net/net.h"
#include "qapi/command.h"
#include "qapi/qapi_commands_block.h"
#include "qapi/qapi_commands_net.h"
#include "qapi/qapi_events_block_export.h"
#include "qapi/qapi_events_runstate.h"
#include "qom/user_creatable.h"
#include "ui/input.h"
#include "util/log.h"
#include "util/uuid.h"

namespace rhea {

namespace {

Failure option_error(std::string_view option, Error error) {
  return Failure(std::move(error).prepend(str_cat("-", option, ": ")));
}

bool by_guest(ShutdownCause cause) {
  return cause >= ShutdownCause::kGuestShutdown;
}

}  // namespace

Vm::Vm(AioContext& loop, CommandLine command_line)
    : loop_(loop),
      options_(std::move(command_line)),
      uuid_text_(uuid_to_text(options_.config.uuid)),
      chardevs_(loop,
                {.daemonize = options_.daemonize,
                 .stdio_signals = !options_.nographic,
                 .mux_escape = 1,
                 .on_quit = [this] { request_quit(ShutdownCause::kHostUi); }},
                &qom_root().container("/chardevs")),
      graph_(loop),
      device_context_(loop, virtual_clock(), graph_, chardevs_, this),
      qmp_context_(graph_, qom_root(), *this, chardevs_),
      drives_(graph_),
      nbd_(graph_),
      jobs_(graph_) {
  qmp_context_.drives = &drives_;
  device_context_.drives = &drives_;
  device_context_.unplugger = &unplugger_;
  device_context_.io_loop = [this]() -> Result<AioContext*> {
    if (io_thread_ == nullptr) {
      auto thread = std::make_shared<IoThread>();
      TRY(thread->complete());
      io_thread_ = std::move(thread);
    }
    return io_thread_->loop();
  };
  unplugger_.withdraw = [this](Device& device) { machine_->withdraw_unplug(device); };
  qmp_context_.nbd = &nbd_;
  nbd_.on_deleted = [](const std::string& id) { qapi_event_send_block_export_deleted(id); };
  qmp_context_.jobs = &jobs_;
  register_block_drivers(graph_);
  actions() = options_.actions;
  set_data_file_finder([this](const std::string& name) { return options_.config.find_data_file(name); });
  input_hub().enabled = [this] { return running(); };
  graph_.stop_machine = [this] {
    io_error_request_ = true;
    kick();
  };
  IsaDebugExit::default_on_exit = [this](int code) { request_exit(code); };
}

Vm::~Vm() {
  set_device_context(nullptr);
  vnc_servers().clear();
  input_hub().enabled = nullptr;
  set_data_file_finder(nullptr);
}

// --- Putting the machine together.
// ------------------------------------------------------------------------------------

CoResult<> Vm::co_start() {
  Result<> made = co_await co_put_together();
  initialized_ = made && !ending_;
  if (initialized_ && !options_.start_paused) made = cont();
  started_.wake_all();
  if (made && initialized_) monitors_->release();
  co_return made;
}

CoResult<> Vm::co_put_together() {
  co_await or_return(make_chardevs());
  co_await or_return(make_monitors());
  co_await or_return(make_accelerator());
  for (GlobalProperty& global : options_.globals) add_global_property(std::move(global));
  co_await or_return(co_await co_make_objects());
  co_await or_return(co_await co_make_blockdevs());
  co_await or_return(make_netdevs());
  co_await or_return(make_machine());
  co_await or_return(apply_numa_options());
  co_await or_return(co_await co_wait_for_client());
  if (ending_) co_return Result<>();
  co_await or_return(co_await co_build_machine());
  co_await or_return(co_await co_make_drives());
  co_await or_return(co_await co_make_devices());
  co_await or_return(co_await machine_->co_finish(*machine_context_));
  warn_of_unused_globals(can_be_plugged);
  co_await or_return(make_vnc_servers());
  machine_->reset();
  co_return start_qtest();
}

/// -preconfig: a client may ask and add some things until it says that it is done.
CoResult<> Vm::co_wait_for_client() {
  if (!options_.preconfig) co_return Result<>();
  preconfig_ = true;
  monitors_->release();
  while (preconfig_) co_await preconfig_over_.co_wait();
  co_return Result<>();
}

CoResult<> Vm::co_exit_preconfig() {
  if (!preconfig_) co_return fail(EPERM, "The command is permitted only before machine initialization");
  preconfig_ = false;
  preconfig_over_.wake_all();
  co_await started_.co_wait();
  if (!initialized_) co_return fail(ECANCELED, "The machine was not put together");
  co_return Result<>();
}

Result<> Vm::make_chardevs() {
  for (const auto& text : options_.chardevs) {
    Result<Chardev*> made = chardevs_.add(text);
    if (!made) return option_error(str_cat("chardev ", text), std::move(made).error());
  }
  int index = 0;
  for (const auto& text : options_.serials) {
    const std::string label = str_cat("serial", index++);
    Result<Chardev*> made = chardevs_.add_legacy(label, text);
    if (!made) return option_error(str_cat("serial ", text), std::move(made).error());
    options_.config.serial_chardevs.push_back(*made != nullptr ? (*made)->label() : std::string());
    // "mon:…": the monitor shares it with the port.
    if (*made != nullptr && text.starts_with("mon:"))
      options_.monitors.push_back({.chardev = (*made)->label(), .by_id = true});
  }
  std::string& debugcon = options_.config.debugcon_chardev;
  if (debugcon.empty()) return {};
  Result<Chardev*> made = chardevs_.add_legacy("debugcon", debugcon);
  if (!made) return option_error(str_cat("debugcon ", debugcon), std::move(made).error());
  debugcon = *made != nullptr ? (*made)->label() : std::string();
  return {};
}

Result<> Vm::make_monitors() {
  monitors_ = std::make_unique<MonitorSet>(loop_, qmp_context_, qmp_commands());
  monitors_->hold();  // a command must not meet half a machine
  for (const auto& m : options_.monitors) {
    const MonitorMode mode = m.control ? MonitorMode::kControl : MonitorMode::kReadline;
    Result<> r = m.by_id ? monitors_->create(m.chardev, mode, m.pretty)
                         : monitors_->create_legacy(m.chardev, mode, m.pretty);
    if (!r)
      return option_error(m.by_id ? "mon" : str_cat(m.control ? "qmp " : "monitor ", m.chardev),
                          std::move(r).error());
  }
  return {};
}

Result<> Vm::make_accelerator() {
  std::vector<AccelRequest> requests = options_.accelerators;
  if (requests.empty()) requests = parse_accel_list("kvm");
  if (!options_.kernel_irqchip.empty())
    for (AccelRequest& request : requests)
      if (request.name == "kvm" && request.options.find("kernel-irqchip") == nullptr) {
        if (!request.options.is_object()) request.options = Json::object({});
        request.options.set("kernel-irqchip", options_.kernel_irqchip);
      }
  const bool may_idle = options_.machine_type == "none" && options_.config.cpu_model.empty();
  accel_ = TRY(create_accelerator(requests, !options_.qtest.empty(), may_idle));
  return accel_->init({
      .on_guest_reset = [this] { request_reset(ShutdownCause::kGuestReset); },
      .on_guest_shutdown = [this] { request_quit(ShutdownCause::kGuestShutdown); },
      .on_internal_error =
          [this] {
            error_request_ = true;
            kick();
          },
  });
}

CoResult<> Vm::co_make_objects() {
  for (auto& object : options_.objects) {
    Result<> r = object_add(std::move(object.tree), object.form);
    if (!r) co_return option_error("object", std::move(r).error());
  }
  co_return Result<>();
}

CoResult<> Vm::co_make_blockdevs() {
  for (auto& blockdev : options_.blockdevs) {
    auto typed = from_json<BlockdevOptions>(std::move(blockdev.tree), blockdev.form);
    if (!typed) co_return option_error("blockdev", std::move(typed).error());
    Result<> r = co_await qmp_blockdev_add(qmp_context_, std::move(*typed));
    if (!r) co_return option_error("blockdev", std::move(r).error());
  }
  co_return Result<>();
}

Result<> Vm::make_netdevs() {
  for (size_t i = 0; i < options_.netdevs.size(); ++i) {
    OptionValue& netdev = options_.netdevs[i];
    auto typed = from_json<Netdev>(std::move(netdev.tree), netdev.form);
    Result<> r = typed ? qmp_netdev_add(qmp_context_, std::move(*typed)) : Result<>(Failure(typed.error()));
    if (!r) return option_error(str_cat("netdev ", options_.netdev_texts[i]), std::move(r).error());
  }
  return {};
}

Result<> Vm::make_machine() {
  const MachineClass* type = nullptr;
  if (options_.machine_type.empty()) {
    for (const MachineClass* c : machine_classes())
      if (c->is_default) type = c;
  } else {
    type = find_machine_class(options_.machine_type);
    if (type == nullptr) {
      Error error(EINVAL, str_cat("-machine ", options_.machine_type, ": unsupported machine type"));
      return Failure(std::move(error).with_hint("Use -machine help to list supported machines"));
    }
  }
  if (options_.config.smp.max_cpus > type->max_cpus)
    return fail(EINVAL, "Invalid SMP CPUs ", options_.config.smp.max_cpus,
                ". The max CPUs supported by machine '", type->name, "' is ", type->max_cpus);
  machine_ = std::static_pointer_cast<Machine>(type->type->create());
  machine_->config = &options_.config;
  qom_root().add_child("machine", std::static_pointer_cast<Object>(machine_));
  for (const char* path : {"/machine/unattached", "/machine/peripheral", "/machine/peripheral-anon",
                           "/objects", "/chardevs", "/backend"})
    qom_root().container(path);
  for (const auto& [key, value] : options_.machine_properties) {
    Result<> r = machine_->set_property(key, value, ValueForm::kKeyval);
    if (!r) return option_error("machine", std::move(r).error());
  }
  machine_->apply_compatibility();
  return {};
}

CoResult<> Vm::co_build_machine() {
  // A guest looks for modules that come later where a table of nodes says that they can be.
  NumaConfig& numa = options_.config.numa;
  if (options_.config.memory_slots != 0 && !numa.any() && check_numa_supported())
    numa.nodes.push_back({.present = true, .bytes = options_.config.ram_bytes});
  co_await or_return(numa_complete(options_.config.numa, options_.config.ram_bytes));
  machine_context_ = std::make_unique<MachineContext>(device_context_, *accel_, *this, options_.config);
  co_return co_await machine_->co_build(*machine_context_);
}

/// The device that shows `info` to the guest; null if this machine has no place for it.
Json Vm::device_for(const DriveInfo& info) {
  if (info.interface == DriveInterface::kVirtio && find_bus(*machine_, "pci.0") != nullptr)
    return Json::object({{"driver", "virtio-blk-pci"}, {"drive", info.backend->name()}});
  const bool floppy = info.interface == DriveInterface::kFloppy;
  if (!floppy && info.interface != DriveInterface::kIde) return {};
  if (floppy && info.bus != 0) return {};
  const std::string bus_name = floppy ? "floppy-bus.0" : str_cat("ide.", info.bus);
  const Bus* bus = find_bus(*machine_, bus_name);
  constexpr int kFloppyDrives = 2;
  if (bus == nullptr || (floppy && info.unit >= kFloppyDrives)) return {};
  Json device = Json::object({{"driver", floppy          ? "floppy"
                                         : info.is_cdrom ? "ide-cd"
                                                         : "ide-hd"},
                              {"bus", bus_name},
                              {"unit", info.unit},
                              {"drive", info.backend->name()}});
  if (floppy) {  // the controller says which types of drives are its own
    Result<Json> type = bus->owner()->get_property(info.unit == 0 ? "fdtypeA" : "fdtypeB");
    if (type && *type != Json("auto")) device.set("drive-type", std::move(*type));
  }
  return device;
}

Result<> Vm::check_numa_supported() const {
  if (machine_->machine_class().hotpluggable_cpus) return {};
  return fail(ENOTSUP, "NUMA is not supported by this machine-type");
}

Result<> Vm::add_numa(const NumaOptions& options) {
  MachineConfig& c = options_.config;
  TRY(check_numa_supported());
  return numa_add(c.numa, options,
                  {.mem_allowed = machine_->machine_class().numa_mem_supported,
                   .hmat = machine_->hmat,
                   .max_cpus = c.smp.max_cpus,
                   .sockets = c.smp.sockets,
                   .dies = c.smp.dies,
                   .cores = c.smp.cores,
                   .threads = c.smp.threads});
}

Result<> Vm::apply_numa_options() {
  if (!options_.numas.empty()) TRY(check_numa_supported());
  for (size_t i = 0; i < options_.numas.size(); ++i) {
    OptionValue& numa = options_.numas[i];
    const std::string name = str_cat("numa ", options_.numa_texts[i]);
    Result<NumaOptions> option = from_json<NumaOptions>(std::move(numa.tree), numa.form);
    if (!option) return option_error(name, std::move(option).error());
    if (Result<> added = add_numa(*option); !added) return option_error(name, std::move(added).error());
  }
  return {};
}

CoResult<> Vm::co_make_drives() {
  constexpr int kCdBus = 1, kCdUnit = 0;
  for (auto& drive : options_.drives) {
    if (drive.if_absent) {
      const bool floppy = drive.options.find("if")->as_string() == "floppy";
      const DriveInfo* const there = floppy ? drives_.find(DriveInterface::kFloppy, 0, 0)
                                            : drives_.find(DriveInterface::kIde, kCdBus, kCdUnit);
      if (there != nullptr) continue;
    }
    Result<DriveInfo*> made = co_await drives_.co_add(std::move(drive.options), DriveInterface::kIde);
    if (!made) co_return option_error("drive", std::move(made).error());
    DriveInfo& info = **made;
    if (info.interface == DriveInterface::kNone) continue;
    if (info.interface == DriveInterface::kPflash && info.bus == 0) {
      // The machine takes it when the board is complete.
      const std::string property = str_cat("pflash", info.unit);
      if (machine_->set_property(property, info.backend->name(), ValueForm::kTyped)) {
        info.claimed = true;
        continue;
      }
    }
    Json device = device_for(info);
    if (device.is_null()) {
      if (info.backend->node() == nullptr && (info.is_cdrom || drive.if_absent))
        continue;  // a default drive of a machine that has none such
      co_return fail(EINVAL, "machine type does not support if=", drive_interface_name(info.interface),
                     ",bus=", info.bus, ",unit=", info.unit);
    }
    const bool built_in = info.interface != DriveInterface::kVirtio;
    auto added = co_await co_device_add(device_context_, std::move(device), ValueForm::kTyped, false,
                                        built_in ? "/machine/unattached" : "/machine/peripheral-anon");
    if (!added) co_return option_error("drive", std::move(added).error());
    info.claimed = true;
  }
  co_return Result<>();
}

CoResult<> Vm::co_make_devices() {
  graph_.device_resolver = [](std::string_view id_or_path) -> BlockBackend* {
    return device_backend(id_or_path);
  };
  for (auto& device : options_.devices) {
    const Json* driver = device.tree.find("driver");
    const std::string named = driver != nullptr && driver->is_string() ? driver->as_string() : std::string();
    auto added = co_await co_device_add(device_context_, std::move(device.tree), device.form, false);
    if (!added) co_return option_error(str_cat("device ", named), std::move(added).error());
  }
  set_device_context(&device_context_);
  co_return Result<>();
}

CoResult<> Vm::co_shut_down() {
  if (dump_ != nullptr) dump_->cancel();
  co_await or_return(co_await dirty_rate_.co_stop());
  co_await or_return(co_await background_.co_close());
  if (accel_ != nullptr) accel_->stop_vcpus();
  virtual_clock().stop();
  input_hub().clear_queue();
  if (monitors_ != nullptr) {
    co_await or_return(co_await monitors_->co_stop());
    monitors_->flush();
  }
  monitors_.reset();
  vnc_servers().clear();
  co_await or_return(co_await unplugger_.co_stop());
  set_device_context(nullptr);
  co_await or_return(co_await jobs_.co_stop());
  graph_.device_resolver = nullptr;
  co_await or_return(co_await nbd_.co_stop());
  if (machine_ != nullptr) {
    std::vector<std::shared_ptr<Device>> devices;
    for_each_device(*machine_, [&](Device& d) {
      devices.push_back(std::static_pointer_cast<Device>(d.shared_from_this()));
    });
    for (auto it = devices.rbegin(); it != devices.rend(); ++it)
      co_await or_return(co_await (*it)->co_stop());
    for (auto it = devices.rbegin(); it != devices.rend(); ++it) remove_device(**it);
    devices.clear();
    machine_->unparent();
    machine_.reset();
  }
  net_set().clear();
  qtest_.reset();
  {  // requests made by hand have no device that waits for them
    GraphWriteLock lock = co_await or_return(co_await graph_.co_lock());
    const DrainedSection drained = co_await or_return(co_await graph_.co_drain_all(lock));
  }
  drives_.clear();
  io_thread_.reset();
  accel_.reset();
  Object& objects = qom_root().container("/objects");
  while (!objects.children().empty()) objects.children().back()->unparent();
  co_return co_await graph_.co_shutdown();
}

// --- Run state.
// -------------------------------------------------------------------------------------------------------

void Vm::stop_as(RunState state) {
  if (state_ != RunState::kRunning) {
    if (state != RunState::kPaused) state_ = state;
    return;
  }
  accel_->stop_vcpus();
  virtual_clock().stop();
  state_ = state;
  RunStateListener::tell(false);
  qapi_event_send_stop();
}

/// A device may need several requests for what the guest asked of it: it is given the time.
bool Vm::disks_busy() const {
  return std::ranges::any_of(graph_.backends(),
                             [](const BlockBackend* b) { return b->has_device() && b->device()->is_busy(); });
}

CoResult<> Vm::co_drain_disks() {
  for (;;) {
    {
      GraphWriteLock lock = co_await or_return(co_await graph_.co_lock());
      const DrainedSection drained = co_await or_return(co_await graph_.co_drain_all(lock));
    }
    if (!disks_busy()) co_return Result<>();
    co_await loop_.co_yield_now();
  }
}

CoResult<> Vm::co_stop() {
  stop_as(RunState::kPaused);
  co_return co_await co_drain_disks();
}

Result<> Vm::cont() {
  if (state_ == RunState::kRunning) return {};
  if (dump_status_ == DumpStatus::kActive) return fail(EBUSY, "There is a dump in process, please wait.");
  if (state_ == RunState::kInternalError || state_ == RunState::kShutdown)
    return fail(EBUSY, "Resetting the Virtual Machine is required");
  io_error_request_ = false;
  for (BlockBackend* b : graph_.backends()) b->reset_iostatus();
  state_ = RunState::kRunning;
  qapi_event_send_resume();
  virtual_clock().start();
  for (BlockBackend* b : graph_.backends())
    if (b->has_device()) b->device()->machine_resumed();
  RunStateListener::tell(true);
  if (!resetting_) accel_->start_vcpus();  // else the reset does
  return {};
}

void Vm::kick() {
  if (accel_ != nullptr) accel_->pause_current_vcpu();
  loop_.post([this] { handle_requests(); });
}

void Vm::add_request(Request request) {
  {
    std::lock_guard guard(requests_mutex_);
    // What a guest can repeat without end counts once; of a client's resets a number that no machine notices.
    constexpr size_t kMaxRequests = 64;
    const bool client =
        request.cause == ShutdownCause::kHostQmpSystemReset && requests_.size() < kMaxRequests;
    if (client || requests_.empty() || requests_.back() != request) requests_.push_back(request);
  }
  kick();
}

std::optional<Vm::Request> Vm::next_request() {
  std::lock_guard guard(requests_mutex_);
  if (requests_.empty()) return std::nullopt;
  const Request request = requests_.front();
  requests_.pop_front();
  return request;
}

void Vm::request_quit(ShutdownCause cause) {
  add_request({.reset = false, .cause = cause});
  // A client that says so itself gets SHUTDOWN before the answer.
  if (cause == ShutdownCause::kHostQmpQuit && loop_.in_loop_thread()) handle_requests();
}

void Vm::request_reset(ShutdownCause cause) {
  add_request({.reset = true, .cause = cause});
}

void Vm::request_powerdown() {
  powerdown_request_ = true;
  loop_.post([this] { handle_requests(); });
}

void Vm::request_exit(int code) {
  exit_code_ = code;
  if (accel_ != nullptr) accel_->pause_current_vcpu();
  loop_.stop();
}

void Vm::handle_requests() {
  if (suspend_request_.exchange(false)) do_suspend();
  while (!resetting_) {  // else the end of the reset gets to the rest
    const std::optional<Request> request = next_request();
    if (!request) break;
    if (request->reset)
      do_reset(request->cause);
    else if (do_shutdown(request->cause))
      return;
  }
  if (const int reason = wakeup_request_.exchange(kNoCause); reason != kNoCause)
    do_wake_up(static_cast<WakeupReason>(reason));
  if (powerdown_request_.exchange(false)) {
    qapi_event_send_powerdown();
    if (machine_ != nullptr) machine_->press_power_button();
  }
  if (const int state = stop_request_.exchange(kNoCause); state != kNoCause)
    stop_and_drain(static_cast<RunState>(state));
  if (error_request_.exchange(false)) stop_as(RunState::kInternalError);
  if (io_error_request_.exchange(false) && running()) stop_and_drain(RunState::kIoError);
}

void Vm::do_reset(ShutdownCause cause) {
  if (actions().reboot == RebootAction::kShutdown && cause != ShutdownCause::kSubsystemReset) {
    do_shutdown(cause);
    return;
  }
  if (accel_ == nullptr || machine_ == nullptr) return;
  accel_->stop_vcpus();
  resetting_ = true;
  background_.spawn(co_reset(cause), {});
}

CoResult<> Vm::co_reset(ShutdownCause cause) {
  {
    // What is under way at a disk may still write to guest memory: it ends first.
    GraphWriteLock lock = co_await or_return(co_await graph_.co_lock());
    const DrainedSection drained = co_await or_return(co_await graph_.co_drain_all(lock));
    machine_->reset();
  }
  resetting_ = false;
  qapi_event_send_reset(by_guest(cause), cause);
  if (state_ == RunState::kRunning)
    accel_->start_vcpus();
  else
    state_ = RunState::kPrelaunch;
  loop_.post([this] { handle_requests(); });
  co_return Result<>();
}

bool Vm::ends_the_process(ShutdownCause cause) const {
  if (cause == ShutdownCause::kHostQmpQuit || cause == ShutdownCause::kHostSignal) return true;
  return actions().shutdown == ShutdownAction::kPoweroff;
}

/// True if the process ends.
bool Vm::do_shutdown(ShutdownCause cause) {
  qapi_event_send_shutdown(by_guest(cause), cause);
  if (!ends_the_process(cause)) {
    stop_and_drain(RunState::kShutdown);
    return false;
  }
  if (cause == ShutdownCause::kGuestPanic && actions().panic == PanicAction::kExitFailure) exit_code_ = 1;
  ending_ = true;
  preconfig_ = false;
  preconfig_over_.wake_all();
  loop_.stop();
  return true;
}

Result<> Vm::make_vnc_servers() {
  const std::string title = name().empty() ? "Rhea" : str_cat("Rhea (", name(), ")");
  for (const VncOptions& options : options_.vncs) {
    if (!options.display.empty()) {
      Result<Console*> shown = find_console(options.display, options.head);
      if (!shown) return option_error("vnc", std::move(shown).error());
    }
    // The only backend, "none", makes no sound that clients could miss.
    if (!options.audiodev.empty() &&
        std::ranges::find(options_.audiodevs, options.audiodev) == options_.audiodevs.end())
      return option_error("vnc", Error(ENOENT, str_cat("Audiodev '", options.audiodev, "' not found")));
    Result<std::unique_ptr<VncServer>> server = VncServer::create(loop_, options, title);
    if (!server) return option_error("vnc", std::move(server).error());
    vnc_servers().push_back(std::move(*server));
  }
  return {};
}

Result<> Vm::start_qtest() {
  if (options_.qtest.empty()) return {};
  Result<Chardev*> socket = chardevs_.add_legacy("qtest", options_.qtest);
  if (!socket) return option_error(str_cat("qtest ", options_.qtest), std::move(socket).error());
  if (*socket == nullptr) return {};
  Chardev* log = nullptr;
  const bool to_stderr = options_.qtest_log.empty();
  if (!options_.qtest_log.empty() && options_.qtest_log != "none") {
    // A bare path names a file.
    const bool bare = options_.qtest_log.find(':') == std::string::npos &&
                      options_.qtest_log.find('/') != std::string::npos;
    log = TRY(
        chardevs_.add_legacy("qtest-log", bare ? str_cat("file:", options_.qtest_log) : options_.qtest_log));
  }
  qtest_ = TRY(QtestServer::create(**socket, loop_, log, to_stderr));
  return {};
}

}  // namespace rhea
