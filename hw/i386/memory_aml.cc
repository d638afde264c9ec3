#include "hw/i386/memory_aml.h"

#include <array>
#include <cstdio>
#include <string>

#include "hw/acpi/aml_resource.h"
#include "hw/acpi/memory_hotplug.h"

namespace rhea {

namespace {

using namespace aml;  // NOLINT: this file is AML throughout

constexpr unsigned kModuleCame = 1, kModuleGoes = 3;  // Notify values (5.6.6)
constexpr uint8_t kModulePresent = 0x0f;              // _STA: present, enabled, shown, working
// Where a 64-bit address descriptor (6.4.3.5.1) has its range.
constexpr unsigned kMinimumAt = 14, kMaximumAt = 22, kLengthAt = 38;

std::string module_name(unsigned n) {
  std::array<char, 8> text{};
  std::snprintf(text.data(), text.size(), "M%03X", n & 0xfff);
  return text.data();
}

TermList memory_registers() {
  TermList out{operation_region("DREG", Space::kIo, num(MemoryHotplug::kBase), num(MemoryHotplug::kBytes))};
  // Read.
  out.add(field("DREG", Access::kDword, Lock::kNo, Update::kPreserve,
                {{"DADL", 32}, {"DADH", 32}, {"DSZL", 32}, {"DSZH", 32}, {"DPXM", 32}}));
  // Flags: each is written alone, the others as zero.
  out.add(field("DREG", Access::kByte, Lock::kNo, Update::kWriteAsZeros,
                {{"", 160}, {"DENA", 1}, {"DINS", 1}, {"DRMV", 1}, {"DEJT", 1}}));
  // Written.
  out.add(field("DREG", Access::kDword, Lock::kNo, Update::kPreserve,
                {{"DSEL", 32}, {"DOEV", 32}, {"DOST", 32}}));
  out.add(mutex("DLCK", 0));
  return out;
}

// A method whose body has the registers to itself, with slot Arg0 selected.
Term exclusively(std::string_view name, unsigned args, const TermList& body, const TermList& after = {}) {
  TermList all{acquire("DLCK", 0xffff), store(arg(0), named("DSEL"))};
  all.add(body).add(release("DLCK")).add(after);
  return method(name, args, Serialize::kYes, all);
}

// MCRS(slot): integers have 32 bits in this table, so that the last address is reckoned in halves.
Term resources_method() {
  TermList body{name("MBUF", resource_template({qword_memory(0, 1, Caching::kCacheable)}))};
  const auto part = [&](unsigned at,
                        const char* path) {  // by a variable: the compiler knows the whole range by its place
    body.add(store(num(at), local(0))).add(create_dword_field(named("MBUF"), local(0), path));
  };
  part(kMinimumAt, "MNLO");
  part(kMinimumAt + 4, "MNHI");
  part(kMaximumAt, "MXLO");
  part(kMaximumAt + 4, "MXHI");
  part(kLengthAt, "LNLO");
  part(kLengthAt + 4, "LNHI");
  body.add(acquire("DLCK", 0xffff)).add(store(arg(0), named("DSEL")));
  body.add(store(named("DADL"), named("MNLO"))).add(store(named("DADH"), named("MNHI")));
  body.add(store(named("DSZL"), named("LNLO"))).add(store(named("DSZH"), named("LNHI")));
  body.add(release("DLCK"));
  body.add(aml::add(named("MNLO"), named("LNLO"), named("MXLO")));
  body.add(aml::add(named("MNHI"), named("LNHI"), named("MXHI")));
  body.add(if_(less(named("MXLO"), named("MNLO")), {increment(named("MXHI"))}));
  body.add(if_(equal(named("MXLO"), num(0)), {decrement(named("MXHI"))}));
  body.add(decrement(named("MXLO")));
  body.add(return_(named("MBUF")));
  return method("MCRS", 1, Serialize::kYes, body);
}

// MNTF(slot, what): AML cannot pick an object by a number.
Term notify_modules(unsigned slots) {
  TermList body;
  for (unsigned i = 0; i < slots; ++i)
    body.add(if_(equal(arg(0), num(i)), {notify(named(module_name(i)), arg(1))}));
  return method("MNTF", 2, Serialize::kNo, body);
}

// MSCN: looks at one slot after the other.
Term scan_modules(unsigned slots) {
  const TermList came{call("MNTF", {local(0), num(kModuleCame)}), store(num(1), named("DINS"))};
  const TermList goes{call("MNTF", {local(0), num(kModuleGoes)}), store(num(1), named("DRMV"))};
  const TermList turn{store(local(0), named("DSEL")), if_(equal(named("DINS"), num(1)), came),
                      else_({if_(equal(named("DRMV"), num(1)), goes)}), increment(local(0))};
  return method("MSCN", 0, Serialize::kYes,
                {acquire("DLCK", 0xffff), store(num(0), local(0)), while_(less(local(0), num(slots)), turn),
                 release("DLCK")});
}

Term module_device(unsigned n) {
  return device(module_name(n), {name("_HID", eisaid("PNP0C80")), name("_UID", num(n)),
                                 method("_STA", 0, Serialize::kYes, {return_(call("MSTA", {num(n)}))}),
                                 method("_CRS", 0, Serialize::kYes, {return_(call("MCRS", {num(n)}))}),
                                 method("_PXM", 0, Serialize::kYes, {return_(call("MPXM", {num(n)}))}),
                                 method("_OST", 3, Serialize::kYes, {call("MOST", {num(n), arg(0), arg(1)})}),
                                 method("_EJ0", 1, Serialize::kYes, {call("MEJ0", {num(n)})})});
}

}  // namespace

Term memory_container(const AcpiConfig& config) {
  constexpr auto kIoBase = static_cast<uint16_t>(MemoryHotplug::kBase);
  TermList body{name("_HID", eisaid("PNP0A06")), name("_UID", str("Memory hotplug resources")),
                name("_CRS", resource_template({io(kIoBase, kIoBase, 1, MemoryHotplug::kBytes)}))};
  body.add(memory_registers());
  body.add(exclusively(
      "MSTA", 1,
      {store(num(0), local(0)), if_(equal(named("DENA"), num(1)), {store(num(kModulePresent), local(0))})},
      {return_(local(0))}));
  body.add(resources_method());
  body.add(exclusively("MPXM", 1, {store(named("DPXM"), local(0))}, {return_(local(0))}));
  body.add(exclusively("MOST", 3, {store(arg(1), named("DOEV")), store(arg(2), named("DOST"))}));
  body.add(exclusively("MEJ0", 1, {store(num(1), named("DEJT"))}));
  body.add(notify_modules(config.memory_slots));
  body.add(scan_modules(config.memory_slots));
  for (unsigned i = 0; i < config.memory_slots; ++i) body.add(module_device(i));
  return device("DIMM", body);
}

Term memory_hotplug_event() {
  return method("\\_GPE._E03", 0, Serialize::kNo, {call("\\_SB.DIMM.MSCN", {})});
}

}  // namespace rhea
