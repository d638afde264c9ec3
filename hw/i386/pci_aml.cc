#include "hw/i386/pci_aml.h"

#include <array>
#include <cstdio>
#include <string>

#include "hw/acpi/aml_resource.h"

namespace rhea {

namespace {

using namespace aml;  // NOLINT: this file is AML throughout

constexpr uint8_t kPciRegisterPorts = 24;
constexpr unsigned kDeviceCame = 1, kEjectAsked = 3;  // Notify values (5.6.6)
constexpr int kIsaBridgeDevfn = 1 << 3;
constexpr unsigned kLabelFunction = 7;  // PCI Firmware 3.3, 4.6.7

/// "S28": slot 5, function 0.
std::string function_name(int devfn) {
  std::array<char, 8> text{};
  std::snprintf(text.data(), text.size(), "S%02X", static_cast<unsigned>(devfn) & 0xff);
  return text.data();
}

// Arrivals, requests to let go; where a bit lets go; bus selector, and the index of a function.
TermList slot_registers(uint16_t base) {
  TermList out;
  out.add(operation_region("PHPS", Space::kIo, num(base), num(8)));
  out.add(field("PHPS", Access::kDword, Lock::kNo, Update::kWriteAsZeros, {{"PCIU", 32}, {"PCID", 32}}));
  out.add(operation_region("PHPE", Space::kIo, num(base + 8u), num(4)));
  out.add(field("PHPE", Access::kDword, Lock::kNo, Update::kWriteAsZeros, {{"B0EJ", 32}}));
  out.add(operation_region("PHPB", Space::kIo, num(base + 16u), num(8)));
  out.add(field("PHPB", Access::kDword, Lock::kNo, Update::kWriteAsZeros, {{"BNUM", 32}, {"PIDX", 32}}));
  out.add(mutex("BLCK", 0));
  return out;
}

// PCEJ(bus, slot) lets go of what is there; AIDX(bus, slot) reads its index.
TermList slot_methods() {
  TermList out;
  out.add(method("PCEJ", 2, Serialize::kYes,
                 {acquire("BLCK", 0xffff), store(arg(0), named("BNUM")),
                  shift_left(num(1), arg(1), named("B0EJ")), release("BLCK")}));
  out.add(method(
      "AIDX", 2, Serialize::kYes,
      {acquire("BLCK", 0xffff), store(arg(0), named("BNUM")), shift_left(num(1), arg(1), named("PIDX")),
       store(named("PIDX"), local(0)), release("BLCK"), return_(local(0))}));
  return out;
}

// PDSM(uuid, revision, function, bus, slot): function 0 tells that there is a label if there is, function 7
// gives it: a number, and a name, which is empty.
Term label_method() {
  const Term has_index = logical_and(greater(local(0), num(0)), less(local(0), ones()));
  constexpr std::array<uint8_t, 1> kNone{};
  const TermList query{
      store(buffer(kNone), local(1)),
      if_(logical_and(equal(arg(0), uuid("E5C937D0-3553-4D7A-9117-EA4D19C3434D")), greater(arg(1), num(1))),
          {if_(has_index, {store(num(1u | 1u << kLabelFunction), index(local(1), num(0)))})}),
      return_(local(1))};
  const TermList label{store(package({num(0), str("")}), local(2)),
                       if_(has_index, {store(local(0), index(local(2), num(0)))}), return_(local(2))};
  return method("PDSM", 5, Serialize::kYes,
                {store(call("AIDX", {arg(3), arg(4)}), local(0)), if_(equal(arg(2), num(0)), query),
                 if_(equal(arg(2), num(kLabelFunction)), label), return_(num(0))});
}

TermList bus_body(const AcpiPciBus& bus);

Term slot_device(const AcpiPciFunction& f, bool numbered) {
  const unsigned slot = static_cast<unsigned>(f.devfn) >> 3, function = static_cast<unsigned>(f.devfn) & 7;
  TermList body{name("_ADR", num(uint64_t{slot} << 16 | function))};
  if (numbered && function == 0)
    body.add(method("_DSM", 4, Serialize::kYes,
                    {return_(call("PDSM", {arg(0), arg(1), arg(2), named("^^BSEL"), num(slot)}))}));
  if (f.ejectable) {
    body.add(name("_SUN", num(slot)));
    body.add(method("_EJ0", 1, Serialize::kNo, {call("PCEJ", {named("^^BSEL"), num(slot)})}));
  }
  for (const AcpiPciBus& behind : f.behind) body.add(bus_body(behind));
  return device(function_name(f.devfn), body);
}

// DVNT(slots, what): AML cannot pick an object by a number.
Term notify_slots(const AcpiPciBus& bus) {
  TermList body;
  for (const AcpiPciFunction& f : bus.functions)
    if (f.ejectable)
      body.add(if_(and_(arg(0), num(uint64_t{1} << (f.devfn >> 3))),
                   {notify(named(function_name(f.devfn)), arg(1))}));
  return method("DVNT", 2, Serialize::kNo, body);
}

// What is on the bus, and PCNT(), which tells the guest of all that has happened on it and behind it.
TermList bus_body(const AcpiPciBus& bus) {
  TermList out, scan;
  if (bus.number) {
    out.add(name("BSEL", num(*bus.number)));
    out.add(notify_slots(bus));
    scan.add(store(num(*bus.number), named("BNUM")));
    scan.add(call("DVNT", {named("PCIU"), num(kDeviceCame)}));
    scan.add(call("DVNT", {named("PCID"), num(kEjectAsked)}));
  }
  for (const AcpiPciFunction& f : bus.functions) {
    if (f.devfn == kIsaBridgeDevfn && !f.ejectable && f.behind.empty()) continue;
    out.add(slot_device(f, bus.number.has_value()));
    for (size_t i = 0; i < f.behind.size(); ++i) scan.add(call("^" + function_name(f.devfn) + ".PCNT", {}));
  }
  out.add(method("PCNT", 0, Serialize::kNo, scan));
  return out;
}

}  // namespace

TermList pci_hotplug_scope(const AcpiConfig& config) {
  if (!config.pci_hotplug_base) return {};
  TermList out = slot_registers(*config.pci_hotplug_base);
  out.add(slot_methods());
  out.add(label_method());
  out.add(bus_body(config.pci_root));
  return out;
}

Term pci_hotplug_reservation(uint16_t base) {
  return device("PHPR", {name("_HID", eisaid("PNP0A06")), name("_UID", str("PCI Hotplug resources")),
                         name("_STA", num(0x0b)),  // present, not shown
                         name("_CRS", resource_template({io(base, base, 1, kPciRegisterPorts)}))});
}

Term pci_hotplug_event() {
  return method(
      "\\_GPE._E01", 0, Serialize::kNo,
      {acquire("\\_SB.PCI0.BLCK", 0xffff), call("\\_SB.PCI0.PCNT", {}), release("\\_SB.PCI0.BLCK")});
}

}  // namespace rhea
