#include "hw/core/machine.h"

#include <sys/stat.h>

namespace rhea {

namespace {

const MachineConfig* config_of(const Object& o) {
  return static_cast<const Machine&>(o).config;
}

template <std::string MachineConfig::*Member>
Json get_text(const Object& o) {
  const MachineConfig* config = config_of(o);
  return config != nullptr ? config->*Member : std::string();
}

Json get_smp(const Object& o) {
  const SmpTopology smp = config_of(o) != nullptr ? config_of(o)->smp : SmpTopology();
  return Json::object({{"cpus", smp.cpus},
                       {"sockets", smp.sockets},
                       {"dies", smp.dies},
                       {"clusters", 1},
                       {"cores", smp.cores},
                       {"threads", smp.threads},
                       {"maxcpus", smp.max_cpus}});
}

Json get_memory(const Object& o) {
  const MachineConfig config = config_of(o) != nullptr ? *config_of(o) : MachineConfig();
  return Json::object({{"size", config.ram_bytes}});
}

Json get_boot(const Object& o) {
  const BootOptions boot = config_of(o) != nullptr ? config_of(o)->boot : BootOptions();
  Json out = Json::object({{"order", boot.order}});
  if (!boot.once.empty()) out.set("once", boot.once);
  if (boot.menu) out.set("menu", true);
  if (boot.strict) out.set("strict", true);
  if (boot.splash_time_ms) out.set("splash-time", *boot.splash_time_ms);
  if (boot.reboot_timeout_ms) out.set("reboot-timeout", *boot.reboot_timeout_ms);
  return out;
}

}  // namespace

constexpr PropertyInfo Machine::kProperties[] = {
    {.name = "kernel",
     .type = "string",
     .description = "Linux kernel image file",
     .get = get_text<&MachineConfig::kernel>},
    {.name = "initrd",
     .type = "string",
     .description = "Linux initial ramdisk file",
     .get = get_text<&MachineConfig::initrd>},
    {.name = "append",
     .type = "string",
     .description = "Linux kernel command line",
     .get = get_text<&MachineConfig::append>},
    {.name = "firmware",
     .type = "string",
     .description = "Firmware image",
     .get = get_text<&MachineConfig::firmware>},
    {.name = "smp", .type = "SMPConfiguration", .description = "CPU topology", .get = get_smp},
    {.name = "memory",
     .type = "MemorySizeConfiguration",
     .description = "Memory size configuration",
     .get = get_memory},
    {.name = "boot", .type = "BootConfiguration", .description = "Boot configuration", .get = get_boot},
    prop<&Machine::dump_guest_core>("dump-guest-core", "Include guest memory in a core dump"),
    prop<&Machine::mem_merge>("mem-merge", "Enable/disable memory merge support"),
    prop<&Machine::usb>("usb", "Set on/off to enable/disable usb"),
    prop<&Machine::graphics>("graphics", "Set on/off to enable/disable graphics emulation"),
    prop<&Machine::memory_backend>("memory-backend",
                                   "Set RAM backend. Valid value is ID of hostmem based backend"),
};
constexpr TypeInfo Machine::kType{
    .name = "machine", .parent = &Object::kType, .properties = Machine::kProperties};

static std::shared_ptr<Object> make_none() {
  return std::make_shared<NoneMachine>();
}
constexpr TypeInfo NoneMachine::kType{.name = "none-machine", .parent = &Machine::kType, .create = make_none};
const MachineClass NoneMachine::kClass{.name = "none",
                                       .alias = nullptr,
                                       .description = "empty machine",
                                       .is_default = false,
                                       .max_cpus = 1,
                                       .default_cpu_type = nullptr,
                                       .default_ram_id = nullptr,
                                       .type = &NoneMachine::kType};

Result<> Machine::set_boot_order(std::string_view) {
  return fail(ENOTSUP, "no function defined to set boot device list for this architecture");
}

void Machine::reset() {
  reset_devices(*this);
}

std::string MachineConfig::find_data_file(const std::string& name) const {
  struct stat st {};
  if (::stat(name.c_str(), &st) == 0 && S_ISREG(st.st_mode)) return name;
  if (name.find('/') != std::string::npos) return {};
  for (const auto& directory : data_directories) {
    std::string path = str_cat(directory, "/", name);
    if (::stat(path.c_str(), &st) == 0 && S_ISREG(st.st_mode)) return path;
  }
  return {};
}

std::vector<const MachineClass*>& machine_classes() {
  static std::vector<const MachineClass*> classes{&NoneMachine::kClass};
  return classes;
}

const MachineClass* find_machine_class(std::string_view name) {
  for (const MachineClass* c : machine_classes())
    if (name == c->name || (c->alias != nullptr && name == c->alias)) return c;
  return nullptr;
}

}  // namespace rhea
