#include "hw/core/machine.h"

#include <sys/stat.h>

namespace rhea {

constexpr PropertyInfo Machine::kProperties[] = {
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
