#include "hw/isa/isa_bus.h"

namespace rhea {

constexpr TypeInfo IsaDevice::kType{.name = "isa-device", .parent = &Device::kType};
constexpr TypeInfo IsaBus::kType{.name = "ISA", .parent = &Bus::kType, .made_by_owner = true};

IsaBus& IsaDevice::isa_bus() const {
  return *static_cast<IsaBus*>(bus());
}

void IsaDevice::add_ports(uint16_t base, uint16_t count, MmioHandler& handler, std::string name,
                          AccessRules rules) {
  ports_.push_back(MemoryRegion::io(std::move(name), count, handler, rules));
  isa_bus().io().add_subregion(base, *ports_.back());
}

}  // namespace rhea
