// Machine: the object at /machine, and what it is made from.
#pragma once

#include <array>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "hw/core/device.h"
#include "hw/core/numa.h"

namespace rhea {

class Accelerator;
class CharFrontend;
class Machine;
class VmControl;
enum class WakeupReason : uint8_t;

/// -smp. Products agree: sockets * dies * cores * threads == max_cpus.
struct SmpTopology {
  unsigned cpus = 1, max_cpus = 1;
  unsigned sockets = 1, dies = 1, cores = 1, threads = 1;
};

/// -rtc.
struct RtcOptions {
  enum class Base { kUtc, kLocaltime, kDate };
  enum class Source { kHost, kRealtime, kVirtual };
  Base base = Base::kUtc;
  int64_t date_unix_s = 0;  ///< for kDate
  Source clock = Source::kHost;
  bool driftfix_slew = false;
};

/// -boot.
struct BootOptions {
  std::string order = "cad";  ///< letters of drives, first choice first
  std::string once;           ///< order of the first boot only; empty: none
  bool menu = false;
  bool strict = false;
  std::optional<uint16_t> splash_time_ms;
  std::optional<uint32_t> reboot_timeout_ms;  ///< all ones: never
  std::string splash;                         ///< a picture's file for the firmware to show; empty: none
  bool floppy_signature_check = true;         ///< false: boot from floppies without a boot signature
};

/// -vga.
enum class VgaKind : uint8_t { kNone, kStd };

/// What the command line says about the machine, checked. Owned by the VM; outlives the machine.
struct MachineConfig {
  uint64_t ram_bytes = uint64_t{128} << 20;
  uint64_t max_ram_bytes = 0;  ///< with all modules that may come; 0: as much as there is
  uint32_t memory_slots = 0;   ///< for them
  std::string mem_path;        ///< -mem-path: a file, or a directory for one
  bool mem_prealloc = false;   ///< -mem-prealloc
  SmpTopology smp;
  NumaConfig numa;
  std::string cpu_model;  ///< -cpu, options included; empty: the machine's default
  std::string kernel, initrd, append;
  std::string firmware;                       ///< -bios: a path or a name searched for; empty: the machine's
  std::vector<std::string> data_directories;  ///< -L, then the built-in ones
  bool graphics = true;                       ///< false: the firmware talks over the first serial port
  VgaKind vga = VgaKind::kNone;               ///< which adapter the machine makes by itself
  bool acpi = true;
  std::string guest_name;
  std::array<uint8_t, 16> uuid{};
  bool uuid_set = false;
  BootOptions boot;
  RtcOptions rtc;
  /// Chardev ids of the serial ports that the machine makes by itself (-serial), empty id: absent port.
  std::vector<std::string> serial_chardevs;
  std::string debugcon_chardev;

  /// The full path of firmware file `name`, searched as -L says; empty if there is none.
  std::string find_data_file(const std::string& name) const;
};

/// A machine type: what -machine help and query-machines show.
struct MachineClass {
  const char* name;   ///< "pc-i440fx-7.2"
  const char* alias;  ///< "pc", null if none
  const char* description;
  bool is_default;
  unsigned max_cpus;
  const char* default_cpu_type;  ///< null if it has no CPU
  const char* default_ram_id;    ///< null if it has no RAM
  const TypeInfo* type;
  bool deprecated = false;
  bool hotpluggable_cpus = false;
  bool numa_mem_supported = false;  ///< NUMA nodes may be told by their memory size alone
};

/// What a machine is built with.
struct MachineContext {
  MachineContext(DeviceContext& d, Accelerator& a, VmControl& v, const MachineConfig& c)
      : devices(d), accel(a), vm(v), config(c) {}
  DeviceContext& devices;
  Accelerator& accel;
  VmControl& vm;
  const MachineConfig& config;
};

/// Firmware that lies in guest memory, or that the guest fetches by a name.
struct MachineRom {
  std::string name;                 ///< as users know it: the file's name
  std::optional<uint64_t> address;  ///< where in guest memory; else `file` of fw_cfg holds it
  std::string file;
  uint64_t bytes = 0;
};

class Machine : public Object {
 public:
  static const TypeInfo kType;  ///< "machine", abstract
  const TypeInfo& type() const override { return kType; }

  /// Puts in force what an older version of the machine gave its devices, before any is made.
  virtual void apply_compatibility() {}
  /// Makes the board: CPUs, RAM, chips. The object is at /machine. Main loop.
  virtual CoResult<> co_build(MachineContext&) { co_return Result<>(); }
  /// After all devices of the command line exist: firmware tables, boot order.
  virtual CoResult<> co_finish(MachineContext&) { co_return Result<>(); }
  /// A device has come to the running machine: tells the guest.
  virtual void device_plugged(Device&) {}
  /// Asks the guest to let go of a device; false: nobody needs to be asked, and it may be taken away at once.
  virtual Result<bool> ask_to_unplug(Device&) { return false; }
  /// The guest is not to be asked any more, though it may have been told.
  virtual void withdraw_unplug(Device&) {}
  /// Puts CPUs, then devices, to their reset state. vCPUs are stopped.
  virtual void reset();
  /// The power button.
  virtual void press_power_button() {}
  /// Whether the guest can sleep (S3) and be woken.
  virtual bool can_wake_up() const { return false; }
  /// The guest sleeps from now on. vCPUs are stopped.
  virtual void suspend() {}
  /// Puts devices and CPUs to the state in which a woken machine starts. vCPUs are stopped.
  virtual void wake_up(WakeupReason) { reset(); }
  /// Raises a non-maskable interrupt on all processors; fails where there are none.
  virtual Result<> inject_nmi() { return fail(ENOTSUP, "machine does not provide NMIs"); }
  virtual const MachineClass& machine_class() const = 0;
  /// Changes the boot order for the next start of the firmware: "Invalid boot device 'z'".
  virtual Result<> set_boot_order(std::string_view order);
  /// For "info roms".
  virtual std::vector<MachineRom> roms() const { return {}; }

  /// What the command line said; set before co_build(). Null in an object that is only looked at.
  const MachineConfig* config = nullptr;

  // Properties common to machines; -machine sets them.
  bool dump_guest_core = true;
  bool mem_merge = true;
  bool usb = false;
  bool graphics = true;
  bool hmat = false;  ///< HMAT options may be given
  std::string memory_backend;

 private:
  static const PropertyInfo kProperties[];
};

/// "none": no CPU, no device; for asking questions.
class NoneMachine final : public Machine {
 public:
  static const TypeInfo kType;  ///< "none-machine"
  static const MachineClass kClass;
  const TypeInfo& type() const override { return kType; }
  const MachineClass& machine_class() const override { return kClass; }
};

/// All machine types; registered at start-up.
std::vector<const MachineClass*>& machine_classes();
/// By name or alias; null if there is none.
const MachineClass* find_machine_class(std::string_view name);

}  // namespace rhea
