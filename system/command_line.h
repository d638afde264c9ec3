// The command line: options in QEMU's language, checked and put into plain values. Nothing is opened or made
// here.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "accel/accel.h"
#include "hw/core/machine.h"
#include "qapi/vm_control.h"
#include "qom/globals.h"
#include "system/identity.h"
#include "system/sandbox.h"
#include "ui/vnc/vnc_server.h"
#include "util/json.h"
#include "util/value_form.h"

namespace rhea {

/// An option tree and the form of its values.
struct OptionValue {
  Json tree;
  ValueForm form;
};

/// -drive and its short forms, in QEMU's keys ("file", "if", "index", "media" …), as strings.
struct DriveOption {
  Json options;
  bool if_absent = false;  ///< what a machine has by default: not where its place is taken
};

/// -serial, -monitor, -qmp: a chardev in the short form.
struct MonitorOption {
  std::string chardev;  ///< short form, or a chardev's id if `by_id`
  bool by_id = false;
  bool control = false;  ///< QMP
  bool pretty = false;
};

/// What main() is asked to do besides running a machine.
struct CommandLine {
  MachineConfig config;
  std::string machine_type;
  std::vector<std::pair<std::string, std::string>> machine_properties;
  std::vector<AccelRequest> accelerators;
  std::string kernel_irqchip;  ///< -machine kernel-irqchip=
  std::vector<OptionValue> objects, blockdevs, devices, numas;
  std::vector<OptionValue> netdevs;
  std::vector<std::string> netdev_texts;  ///< of `netdevs`, for messages
  std::vector<GlobalProperty> globals;
  std::vector<std::string> numa_texts;  ///< of `numas`, for messages
  std::vector<DriveOption> drives;
  std::vector<VncOptions> vncs;
  std::vector<std::string> chardevs;
  std::vector<std::string> audiodevs;  ///< their ids
  bool lock_memory = false;            ///< -overcommit mem-lock=on
  std::vector<std::string> serials;    ///< short forms, in order
  std::vector<MonitorOption> monitors;
  bool serial_given = false, monitor_given = false, cdrom_given = false, vga_given = false;
  bool guest_name_in_messages = false;  ///< -msg guest-name=on
  std::string qtest, qtest_log;
  std::string pidfile;
  SandboxOptions sandbox;
  std::string chroot_directory;
  std::optional<UserIdentity> run_as;
  bool nodefaults = false, nographic = false;
  bool start_paused = false, daemonize = false;
  bool preconfig = false;  ///< waits for x-exit-preconfig before the machine is put together
  VmActions actions;
  /// Set where the command line only asked for a text (-help, -device help …): print it and end.
  std::optional<std::string> answer;
};

/// Parses argv[1…]. Errors name the option: `-foo: invalid option`, `-m foo: Parameter 'size' expects a
/// size`.
Result<CommandLine> parse_command_line(int argc, char** argv);

/// The text of -help.
std::string command_line_help(std::string_view program);

}  // namespace rhea
