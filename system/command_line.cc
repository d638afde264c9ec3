#include "system/command_line.h"

#include <algorithm>
#include <fstream>

#include "system/option_handlers.h"
#include "util/log.h"

namespace rhea {

namespace {

template <std::string MachineConfig::*Member>
Result<> opt_config_text(CommandLine& c, std::string_view text) {
  c.config.*Member = text;
  return {};
}

Result<> opt_directory(CommandLine& c, std::string_view text) {
  if (text == "help") {
    std::string out;
    for (const auto& d : c.config.data_directories) str_append(out, d, "\n");
    c.answer = std::move(out);
    return {};
  }
  c.config.data_directories.insert(c.config.data_directories.begin(), std::string(text));
  return {};
}

Result<> opt_parallel(CommandLine&, std::string_view text) {
  if (text == "none") return {};
  return fail(ENOTSUP, "this machine has no parallel port; only 'none' is accepted");
}

Result<> opt_nographic(CommandLine& c, std::string_view) {
  c.nographic = true;
  c.config.graphics = false;
  return {};
}

Result<> opt_vnc(CommandLine& c, std::string_view text) {
  std::optional<VncOptions> options = TRY(parse_vnc_options(text));
  if (!options) return {};
  if (options->id == "default" && !c.vncs.empty()) options->id = str_cat("vnc", c.vncs.size() + 1);
  c.vncs.push_back(std::move(*options));
  return {};
}

Result<> opt_display(CommandLine& c, std::string_view text) {
  if (text == "none") return {};
  if (text == "help") {
    c.answer = "Available display backend types:\nnone\n";
    return {};
  }
  if (text == "vnc") return fail(EINVAL, "VNC requires a display argument vnc=<display>");
  if (text.starts_with("vnc=")) return opt_vnc(c, text.substr(4));
  return fail(EINVAL, "display backend '", text.substr(0, text.find(',')),
              "' is not available; 'none' and 'vnc=' are");
}

/// Which key of a US keyboard a client's key is does not depend on it: only this layout is known.
Result<> opt_keyboard(CommandLine&, std::string_view text) {
  if (text == "en-us") return {};
  return fail(ENOTSUP, "keyboard layout '", text, "' is not available; 'en-us' is");
}

Result<> opt_vga(CommandLine& c, std::string_view text) {
  if (text == "help" || text == "?") {
    c.answer = "none                 no graphic card\nstd                  standard VGA (default)\n";
    return {};
  }
  constexpr std::string_view kOthers[] = {"cirrus", "vmware", "qxl", "tcx", "cg3", "virtio", "xenfb"};
  if (std::ranges::find(kOthers, text) != std::end(kOthers))
    return fail(ENOTSUP, "this VGA card is not available; 'std' and 'none' are");
  if (text != "none" && text != "std") return fail(EINVAL, "unknown vga type: ", text);
  c.config.vga = text == "std" ? VgaKind::kStd : VgaKind::kNone;
  c.vga_given = true;
  return {};
}

template <bool CommandLine::*Member>
Result<> opt_flag(CommandLine& c, std::string_view) {
  c.*Member = true;
  return {};
}

template <std::string CommandLine::*Member>
Result<> opt_text(CommandLine& c, std::string_view text) {
  c.*Member = text;
  return {};
}

template <int Index>
Result<> opt_fd_at(CommandLine& c, std::string_view text) {
  return opt_fd(c, Index, text);
}

template <int Index>
Result<> opt_hd_at(CommandLine& c, std::string_view text) {
  return opt_hd(c, Index, text);
}

Result<> opt_nothing(CommandLine&, std::string_view) {
  return {};
}

Result<> opt_no_acpi(CommandLine& c, std::string_view) {
  c.config.acpi = false;
  return {};
}

Result<> opt_no_hpet(CommandLine& c, std::string_view) {
  c.machine_properties.emplace_back("hpet", "off");
  return {};
}

std::string trace_names() {
  std::string out;
  for (const TracePoint* p : trace_points()) str_append(out, p->name(), "\n");
  return out;
}

/// One pattern a line; blank lines and those that begin with # are skipped.
Result<> trace_enable_from(const std::string& path) {
  std::ifstream file(path);
  if (!file) return fail_errno(errno, path);
  for (std::string line; std::getline(file, line);) {
    while (!line.empty() && (line.back() == ' ' || line.back() == '\r')) line.pop_back();
    if (!line.empty() && line[0] != '#') TRY(trace_enable(line));
  }
  return {};
}

Result<> opt_no_fd_bootchk(CommandLine& c, std::string_view) {
  c.config.boot.floppy_signature_check = false;
  return {};
}

Result<> opt_trace(CommandLine& c, std::string_view text) {
  if (text == "help" || text == "?") {
    c.answer = trace_names();
    return {};
  }
  const Fields f = TRY(Fields::parse(text, "enable", "trace"));
  if (const std::string* path = f.find("events")) TRY(trace_enable_from(*path));
  if (const std::string* path = f.find("file")) TRY(log_to_file(*path));
  if (const std::string* pattern = f.find("enable")) TRY(trace_enable(*pattern));
  return {};
}

Result<> opt_log_file(CommandLine&, std::string_view text) {
  return log_to_file(std::string(text));
}

Result<> opt_log_items(CommandLine& c, std::string_view text) {
  if (text == "help" || text == "?") {
    c.answer = log_items_help();
    return {};
  }
  if (text == "trace:help") {
    c.answer = trace_names();
    return {};
  }
  return log_enable(text);
}

Result<> opt_msg(CommandLine& c, std::string_view text) {
  const Fields f = TRY(Fields::parse(text, {}, "msg"));
  log_set_timestamps(TRY(f.flag("timestamp", false)));
  c.guest_name_in_messages = TRY(f.flag("guest-name", false));
  return {};
}

Result<> opt_version(CommandLine& c, std::string_view) {
  c.answer = "Rhea emulator version " RHEA_VERSION " (compatible with QEMU emulator version 7.2.0)\n";
  return {};
}

Result<> opt_help(CommandLine& c, std::string_view);

struct Option {
  const char* name;
  const char* argument;  ///< null: takes none
  const char* help;
  Result<> (*apply)(CommandLine&, std::string_view);
};

constexpr Option kOptions[] = {
    {"h", nullptr, nullptr, opt_help},
    {"help", nullptr, "display this help and exit", opt_help},
    {"version", nullptr, "display version information and exit", opt_version},
    {"machine", "[type=]name[,prop=value...]", "select the machine ('-machine help' for a list)",
     opt_machine},
    {"M", "name", nullptr, opt_machine},
    {"accel", "[accel=]name[,prop=value...]",
     "select the accelerator (kvm, qtest; 'a:b' falls back in order)", opt_accel},
    {"enable-kvm", nullptr, "the same as -accel kvm",
     [](CommandLine& c, std::string_view) -> Result<> { return opt_accel(c, "kvm"); }},
    {"cpu", "model[,feature...]", "select the CPU ('-cpu help' for a list)", opt_cpu},
    {"smp", "[cpus=]n[,maxcpus=][,sockets=][,dies=][,cores=][,threads=]",
     "set the number and topology of CPUs", opt_smp},
    {"m", "[size=]megs", "set the size of guest memory", opt_memory},
    {"numa",
     "node[,nodeid=][,cpus=first-last][,memdev=id] | cpu,node-id=n[,socket-id=]... | dist,src=,dst=,val=",
     "describe NUMA nodes", opt_numa},
    {"mem-path", "path", "take guest memory from files in 'path'", opt_config_text<&MachineConfig::mem_path>},
    {"mem-prealloc", nullptr, "take all guest memory at once",
     [](CommandLine& c, std::string_view) -> Result<> {
       c.config.mem_prealloc = true;
       return {};
     }},
    {"object", "type,id=id[,prop=value...]", "create an object; JSON is accepted", opt_object},
    {"netdev", "user|tap|socket,id=id[,option...]", "make a back end for a network card; JSON is accepted",
     opt_netdev},
    {"nic", "none|user|tap|socket,model=card[,mac=address][,option...]",
     "make a network card and its back end", opt_nic},
    {"net", "none", "make no network card by default (there is none)", opt_net},
    {"boot", "[order=drives][,once=][,menu=on|off][,strict=on|off]...",
     "set the boot order: a, c (disk), d (CD-ROM), n", opt_boot},
    {"fda", "file", "use 'file' as floppy disk 0", opt_fd_at<0>},
    {"fdb", "file", "use 'file' as floppy disk 1", opt_fd_at<1>},
    {"hda", "file", "use 'file' as hard disk 0 (master of the first IDE channel)", opt_hd_at<0>},
    {"hdb", "file", "use 'file' as hard disk 1 (slave of the first IDE channel)", opt_hd_at<1>},
    {"hdc", "file", "use 'file' as hard disk 2 (master of the second IDE channel)", opt_hd_at<2>},
    {"hdd", "file", "use 'file' as hard disk 3 (slave of the second IDE channel)", opt_hd_at<3>},
    {"cdrom", "file", "use 'file' as CD-ROM (master of the second IDE channel)", opt_cdrom},
    {"drive", "[file=file][,if=ide|none][,media=cdrom|disk][,id=name]...", "define a drive", opt_drive},
    {"blockdev", "[driver=]driver[,node-name=n]...", "define a block node; JSON is accepted", opt_blockdev},
    {"device", "driver[,prop=value...]",
     "add a device ('-device help', '-device driver,help'); JSON is accepted", opt_device},
    {"global", "driver.property=value | driver=driver,property=property,value=value",
     "change what a property of a type of device is at first", opt_global},
    {"kernel", "bzImage", "use 'bzImage' as kernel image", opt_config_text<&MachineConfig::kernel>},
    {"append", "cmdline", "use 'cmdline' as kernel command line", opt_config_text<&MachineConfig::append>},
    {"initrd", "file", "use 'file' as initial ram disk", opt_config_text<&MachineConfig::initrd>},
    {"bios", "file", "set the firmware", opt_config_text<&MachineConfig::firmware>},
    {"L", "path", "add a directory for firmware", opt_directory},
    {"chardev", "backend,id=id[,...]", "define a character device ('-chardev help' for the backends)",
     opt_chardev},
    {"add-fd", "fd=fd,set=set[,opaque=opaque]", "add an inherited descriptor to set 'set' (/dev/fdset/SET)",
     opt_add_fd},
    {"serial", "dev", "connect a serial port to a character device", opt_serial},
    {"parallel", "none", "this machine has no parallel port", opt_parallel},
    {"monitor", "dev", "put the human monitor on a character device", opt_monitor},
    {"qmp", "dev", "put a QMP monitor on a character device",
     [](CommandLine& c, std::string_view text) { return opt_qmp(c, text, false); }},
    {"qmp-pretty", "dev", "the same with indented output",
     [](CommandLine& c, std::string_view text) { return opt_qmp(c, text, true); }},
    {"mon", "[chardev=]id[,mode=readline|control][,pretty=on|off]", "put a monitor on chardev 'id'", opt_mon},
    {"audiodev", "[driver=]none,id=id[,prop=value...]", "define an audio backend; JSON is accepted",
     opt_audiodev},
    {"overcommit", "[mem-lock=on|off][,cpu-pm=on|off]", "say what the host may promise to others",
     opt_overcommit},
    {"debugcon", "dev", "connect the debug console (port 0xe9) to a character device",
     opt_config_text<&MachineConfig::debugcon_chardev>},
    {"nographic", nullptr, "no display; serial port and monitor on the terminal", opt_nographic},
    {"display", "none|vnc=display[,option...]", "select the display", opt_display},
    {"vnc", "none|[host]:n|unix:path[,id=][,password=on|off][,share=policy][,to=n]...",
     "serve displays over VNC", opt_vnc},
    {"k", "en-us", "set the keyboard layout of VNC clients", opt_keyboard},
    {"vga", "std|none", "select the VGA card (default: std)", opt_vga},
    {"nodefaults", nullptr, "do not create default devices", opt_flag<&CommandLine::nodefaults>},
    {"readconfig", "file", "read options from 'file'", opt_readconfig},
    {"no-user-config", nullptr, "do not load user-provided configuration (there is none)", opt_nothing},
    {"no-hpet", nullptr, "disable HPET", opt_no_hpet},
    {"no-acpi", nullptr, "disable ACPI", opt_no_acpi},
    {"no-fd-bootchk", nullptr, "disable boot signature checking for floppy disks", opt_no_fd_bootchk},
    {"name", "[guest=]name[,debug-threads=on|off]", "set the name of the guest", opt_name},
    {"uuid", "uuid", "set the machine's UUID", opt_uuid},
    {"S", nullptr, "do not start the CPUs (use 'cont' to start)", opt_flag<&CommandLine::start_paused>},
    {"preconfig", nullptr, "pause QEMU before machine is initialized (experimental)",
     opt_flag<&CommandLine::preconfig>},
    {"no-reboot", nullptr, "exit instead of rebooting", opt_no_reboot},
    {"no-shutdown", nullptr, "stop before shutdown", opt_no_shutdown},
    {"action",
     "[reboot=reset|shutdown][,shutdown=poweroff|pause][,panic=pause|shutdown|exit-failure|none]...",
     "choose what the guest's reboot, power-off, panic and watchdogs do", opt_action},
    {"watchdog-action", "reset|shutdown|poweroff|pause|debug|none|inject-nmi", "choose what watchdogs do",
     opt_watchdog_action},
    {"daemonize", nullptr, "go to the background once the machine stands", opt_flag<&CommandLine::daemonize>},
    {"sandbox",
     "on[,obsolete=allow|deny][,elevateprivileges=allow|deny|children][,spawn=allow|deny]"
     "[,resourcecontrol=allow|deny]",
     "give up system calls (seccomp)", opt_sandbox},
    {"runas", "user",
     "change to user id user just before starting the VM; user can be numeric uid:gid instead", opt_runas},
    {"chroot", "dir", "chroot to dir just before starting the VM", opt_text<&CommandLine::chroot_directory>},
    {"pidfile", "file", "write the process id to 'file'", opt_text<&CommandLine::pidfile>},
    {"rtc", "[base=utc|localtime|datetime][,clock=host|rt|vm][,driftfix=none|slew]", "set the clock's base",
     opt_rtc},
    {"trace", "[enable=]pattern[,events=file][,file=file]", "turn on trace events ('-trace help' for a list)",
     opt_trace},
    {"D", "logfile", "write the log to 'logfile'", opt_log_file},
    {"d", "item1,...", "enable logging of items ('-d help' for a list)", opt_log_items},
    {"msg", "[timestamp=on|off][,guest-name=on|off]", "control messages", opt_msg},
    {"qtest", "dev", "serve the qtest protocol on a character device", opt_text<&CommandLine::qtest>},
    {"qtest-log", "dev", "log the qtest protocol", opt_text<&CommandLine::qtest_log>},
};

Result<> opt_help(CommandLine& c, std::string_view) {
  c.answer = command_line_help("rhea");
  return {};
}

const Option* find_option(std::string_view name) {
  for (const auto& o : kOptions)
    if (name == o.name) return &o;
  return nullptr;
}

/// What a machine gets without -nodefaults and without being asked.
void add_defaults(CommandLine& c) {
  if (c.nographic && !c.daemonize) {
    if (!c.serial_given && !c.monitor_given && !c.nodefaults)
      c.serials.emplace_back("mon:stdio");
    else if (!c.serial_given && !c.nodefaults)
      c.serials.emplace_back("stdio");
    else if (!c.monitor_given && !c.nodefaults)
      c.monitors.push_back({.chardev = "stdio"});
  } else if (!c.serial_given && !c.nodefaults) {
    c.serials.emplace_back("null");
  }
  auto has_device = [&](std::string_view name) {
    return std::ranges::any_of(c.devices, [name](const OptionValue& d) {
      const Json* driver = d.tree.find("driver");
      return driver != nullptr && driver->is_string() && driver->as_string() == name;
    });
  };
  if (!c.nodefaults && !c.vga_given && !has_device("VGA")) c.config.vga = VgaKind::kStd;
  const bool has_cd = c.cdrom_given || has_device("ide-cd") || has_device("ide-hd");
  if (!c.nodefaults && !has_cd)
    c.drives.push_back(
        {.options = Json::object({{"if", "ide"}, {"index", "2"}, {"media", "cdrom"}}), .if_absent = true});
  auto names_floppy = [](const OptionValue& d) {
    const Json* driver = d.tree.find("driver");
    return driver != nullptr && driver->is_string() &&
           (driver->as_string() == "floppy" || driver->as_string() == "isa-fdc");
  };
  if (!c.nodefaults && !std::ranges::any_of(c.devices, names_floppy))
    c.drives.push_back({.options = Json::object({{"if", "floppy"}, {"index", "0"}}), .if_absent = true});
}

}  // namespace

OptionHandler find_option_handler(std::string_view name) {
  const Option* option = find_option(name);
  return option != nullptr && option->argument != nullptr ? option->apply : nullptr;
}

std::string command_line_help(std::string_view program) {
  std::string out = str_cat("Rhea emulator version " RHEA_VERSION "\nusage: ", program, " [options]\n\n");
  for (const auto& o : kOptions) {
    if (o.help == nullptr) continue;
    std::string head =
        str_cat("-", o.name, o.argument != nullptr ? " " : "", o.argument != nullptr ? o.argument : "");
    if (head.size() < 24) {
      head.resize(24, ' ');
      str_append(out, head, o.help, "\n");
    } else {
      str_append(out, head, "\n                        ", o.help, "\n");
    }
  }
  return out;
}

Result<CommandLine> parse_command_line(int argc, char** argv) {
  CommandLine c;
  c.config.data_directories = {"/usr/share/seabios", "/usr/share/qemu"};
  for (int i = 1; i < argc; ++i) {
    std::string_view word = argv[i];
    if (!word.starts_with('-') || word == "-")
      return fail(EINVAL, word, ": a disk image as the first argument is not available; use -drive");
    const std::string shown(word);
    word.remove_prefix(word.starts_with("--") ? 2 : 1);
    const Option* option = find_option(word);
    if (option == nullptr) return fail(EINVAL, shown, ": invalid option");
    std::string_view argument;
    if (option->argument != nullptr) {
      if (i + 1 >= argc) return fail(EINVAL, shown, ": requires an argument");
      argument = argv[++i];
    }
    Result<> r = option->apply(c, argument);
    if (!r)
      return Failure(std::move(r).error().prepend(argument.empty() ? shown + ": "
                                                                   : str_cat(shown, " ", argument, ": ")));
    if (c.answer) return c;
  }
  add_defaults(c);
  if (c.guest_name_in_messages) log_set_guest_name(c.config.guest_name);
  return c;
}

}  // namespace rhea
