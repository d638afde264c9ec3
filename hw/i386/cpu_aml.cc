#include "hw/i386/cpu_aml.h"

#include <array>
#include <cstdio>
#include <string>

#include "hw/acpi/aml_resource.h"

namespace rhea {

namespace {

using namespace aml;  // NOLINT: this file is AML throughout

constexpr uint8_t kCpuAmlPresent = 0x0f;  // _STA: present, enabled, shown, working
constexpr uint8_t kPorts = 12;
constexpr unsigned kCheckDevice = 1, kEjectRequest = 3;  // Notify values (5.6.6)
// Commands of the register block.
constexpr unsigned kNextWithEvent = 0, kOstEvent = 1, kOstStatus = 2;

std::string cpu_name(unsigned n) {
  std::array<char, 8> text{};
  std::snprintf(text.data(), text.size(), "C%03X", n & 0xfff);
  return text.data();
}

// Selector, flags (each is written alone: the others as zero), command, data.
TermList registers(uint16_t base) {
  TermList out{operation_region("CREG", Space::kIo, num(base), num(kPorts))};
  out.add(field("CREG", Access::kByte, Lock::kNo, Update::kWriteAsZeros,
                {{"", 32}, {"CENA", 1}, {"CINS", 1}, {"CRMV", 1}, {"CEJT", 1}, {"", 4}, {"CCMD", 8}}));
  out.add(
      field("CREG", Access::kDword, Lock::kNo, Update::kPreserve, {{"CSEL", 32}, {"", 32}, {"CDAT", 32}}));
  out.add(mutex("CLCK", 0));
  return out;
}

// A method whose body has the registers to itself, with processor Arg0 selected.
Term exclusive(std::string_view name, unsigned args, const TermList& body, const TermList& after = {}) {
  TermList all{acquire("CLCK", 0xffff), store(arg(0), named("CSEL"))};
  all.add(body).add(release("CLCK")).add(after);
  return method(name, args, Serialize::kYes, all);
}

// CNTF(processor, what): AML cannot pick an object by a number.
Term notify_method(unsigned cpus) {
  TermList body;
  for (unsigned i = 0; i < cpus; i++)
    body.add(if_(equal(arg(0), num(i)), {notify(named(cpu_name(i)), arg(1))}));
  return method("CNTF", 2, Serialize::kNo, body);
}

// CSCN: each turn takes the next processor with an event and clears that, until none has any.
Term scan_method() {
  const TermList came{call("CNTF", {named("CDAT"), num(kCheckDevice)}), store(num(1), named("CINS")),
                      store(num(1), local(0))};
  const TermList goes{call("CNTF", {named("CDAT"), num(kEjectRequest)}), store(num(1), named("CRMV")),
                      store(num(1), local(0))};
  const TermList turn{store(num(kNextWithEvent), named("CCMD")), store(num(0), local(0)),
                      if_(equal(named("CINS"), num(1)), came),
                      else_({if_(equal(named("CRMV"), num(1)), goes)})};
  return method("CSCN", 0, Serialize::kYes,
                {acquire("CLCK", 0xffff), store(num(0), named("CSEL")), store(num(1), local(0)),
                 while_(equal(local(0), num(1)), turn), release("CLCK")});
}

TermList hotplug_methods(const AcpiConfig& config) {
  TermList out = registers(*config.cpu_hotplug_base);
  // A zero in the selector turns the block from its legacy interface into the one used here.
  out.add(method("_INI", 0, Serialize::kYes, {store(num(0), named("CSEL"))}));
  out.add(exclusive(
      "CSTA", 1,
      {store(num(0), local(0)), if_(equal(named("CENA"), num(1)), {store(num(kCpuAmlPresent), local(0))})},
      {return_(local(0))}));
  out.add(exclusive("CEJ0", 1, {store(num(1), named("CEJT"))}));
  out.add(exclusive("COST", 3,
                    {store(num(kOstEvent), named("CCMD")), store(arg(1), named("CDAT")),
                     store(num(kOstStatus), named("CCMD")), store(arg(2), named("CDAT"))}));
  out.add(notify_method(static_cast<unsigned>(config.cpus.size())));
  out.add(scan_method());
  return out;
}

Term hotplug_cpu(const AcpiConfig& config, unsigned n) {
  const AcpiConfig::Cpu enabled{.apic_id = config.cpus[n].apic_id, .present = true};
  TermList body{name("_HID", str("ACPI0007")), name("_UID", num(n)),
                method("_STA", 0, Serialize::kYes, {return_(call("CSTA", {num(n)}))}),
                name("_MAT", buffer(madt_cpu_entry(n, enabled)))};
  if (n != 0) body.add(method("_EJ0", 1, Serialize::kNo, {call("CEJ0", {num(n)})}));
  body.add(method("_OST", 3, Serialize::kYes, {call("COST", {num(n), arg(0), arg(1)})}));
  return device(cpu_name(n), body);
}

}  // namespace

Term cpu_container(const AcpiConfig& config) {
  TermList body{name("_HID", str("ACPI0010")), name("_CID", eisaid("PNP0A05"))};
  if (config.cpu_hotplug_base) body.add(hotplug_methods(config));
  for (unsigned i = 0; i < config.cpus.size(); i++) {
    if (config.cpu_hotplug_base)
      body.add(hotplug_cpu(config, i));
    else
      body.add(device(cpu_name(i), {name("_HID", str("ACPI0007")), name("_UID", num(i)),
                                    name("_STA", num(config.cpus[i].present ? kCpuAmlPresent : 0))}));
  }
  return device("CPUS", body);
}

Term cpu_hotplug_reservation(uint16_t base) {
  constexpr uint8_t kPresentHidden = 0x0b;
  return device("CPHR", {name("_HID", eisaid("PNP0A06")), name("_UID", str("CPU hotplug resources")),
                         name("_STA", num(kPresentHidden)),
                         name("_CRS", resource_template({io(base, base, 1, kPorts)}))});
}

Term cpu_hotplug_event() {
  return method("\\_GPE._E02", 0, Serialize::kNo, {call("\\_SB.CPUS.CSCN", {})});
}

}  // namespace rhea
