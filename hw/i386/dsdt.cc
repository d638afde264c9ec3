// The DSDT of the i440FX/PIIX machine: host bridge windows, interrupt links, ISA devices, CPUs,
// sleep states.
// Specs: ACPI 6.4 chapters 5-7; PCI Firmware 3.3 section 4.2 (_PRT); Intel 82371SB (PIIX3) datasheet
// section 2.2.6 (PIRQRC[A:D] at configuration offset 0x60).
//
// Processors and PCI slots, which come and go, are in cpu_aml.cc and pci_aml.cc.
#include <array>
#include <string>

#include "hw/acpi/aml.h"
#include "hw/acpi/aml_resource.h"
#include "hw/i386/acpi_tables.h"
#include "hw/i386/cpu_aml.h"
#include "hw/i386/memory_aml.h"
#include "hw/i386/pci_aml.h"

namespace rhea {
namespace {

using namespace aml;  // NOLINT: this file is AML throughout

constexpr unsigned kPciSlots = 32;
constexpr unsigned kPirqs = 4;
constexpr uint8_t kDsdtPresent = 0x0f;      // _STA: present, enabled, shown, working
constexpr uint8_t kPresentHidden = 0x0b;    // not shown in a user interface
constexpr uint8_t kLinkDisabled = 0x09;     // present, not decoding
constexpr uint8_t kPirqOff = 0x80;          // PIRQRC bit 7: not routed
constexpr unsigned kInterruptNumberAt = 5;  // byte offset of the first number in descriptor 0x89

// --- Interrupt links ---------------------------------------------------------------------------

Resource pci_interrupt(std::initializer_list<uint32_t> numbers) {
  return interrupts(Trigger::kLevel, Polarity::kHigh, Sharing::kShared, numbers);
}

// What a PIRQRC value means: link status, and the resource it stands for.
TermList link_helpers() {
  TermList out;
  out.add(method(
      "LSTA", 1, Serialize::kNo,
      {if_(and_(arg(0), num(kPirqOff)), {return_(num(kLinkDisabled))}), return_(num(kPresentHidden))}));
  out.add(name("LBUF", resource_template({pci_interrupt({0})})));
  out.add(method("LCRS", 1, Serialize::kYes,
                 {create_dword_field(named("LBUF"), num(kInterruptNumberAt), "LNUM"),
                  if_(logical_not(and_(arg(0), num(kPirqOff))), {store(arg(0), named("LNUM"))}),
                  return_(named("LBUF"))}));
  return out;
}

Term pirq_link(unsigned n) {
  Term route = named("PRQ" + std::to_string(n));
  return device(
      "LNK" + std::string(1, static_cast<char>('A' + n)),
      {name("_HID", eisaid("PNP0C0F")), name("_UID", num(n)),
       name("_PRS", resource_template({pci_interrupt({5, 10, 11})})),
       method("_STA", 0, Serialize::kNo, {return_(call("LSTA", {route}))}),
       method("_DIS", 0, Serialize::kNo, {or_(route, num(kPirqOff), route)}),
       method("_CRS", 0, Serialize::kNo, {return_(call("LCRS", {route}))}),
       method("_SRS", 1, Serialize::kNo,
              {create_dword_field(arg(0), num(kInterruptNumberAt), "LNUM"), store(named("LNUM"), route)})});
}

// The power management function's pin is wired to the SCI and cannot be routed.
Term sci_link(uint8_t irq) {
  Term fixed = resource_template({pci_interrupt({irq})});
  return device("LNKS", {name("_HID", eisaid("PNP0C0F")), name("_UID", num(kPirqs)), name("_PRS", fixed),
                         method("_STA", 0, Serialize::kNo, {return_(num(kPresentHidden))}),
                         method("_DIS", 0, Serialize::kNo, {}),
                         method("_CRS", 0, Serialize::kNo, {return_(named("_PRS"))}),
                         method("_SRS", 1, Serialize::kNo, {})});
}

TermList interrupt_links(const AcpiConfig& config) {
  TermList out{field("PCI0.ISA.PIRC", Access::kByte, Lock::kNo, Update::kPreserve,
                     {{"PRQ0", 8}, {"PRQ1", 8}, {"PRQ2", 8}, {"PRQ3", 8}})};
  out.add(link_helpers());
  for (unsigned n = 0; n < kPirqs; n++) out.add(pirq_link(n));
  out.add(sci_link(config.sci_irq));
  return out;
}

// Pin p of slot s reaches PIRQ (p + s - 1) mod 4; slot 1 pin A is the SCI.
Term routing_table() {
  TermList routes;
  for (unsigned slot = 0; slot < kPciSlots; slot++) {
    for (unsigned pin = 0; pin < kPirqs; pin++) {
      unsigned pirq = (pin + slot + kPirqs - 1) % kPirqs;
      char letter = slot == 1 && pin == 0 ? 'S' : static_cast<char>('A' + pirq);
      routes.add(package(
          {num(uint64_t{slot} << 16 | 0xffff), num(pin), named(std::string("LNK") + letter), num(0)}));
    }
  }
  return package(routes);
}

// --- ISA devices -------------------------------------------------------------------------------

Term serial_port(unsigned index) {
  const uint16_t base = index == 0 ? 0x3f8 : 0x2f8;
  const uint16_t mask = index == 0 ? 1 << 4 : 1 << 3;
  return device(
      "COM" + std::to_string(index + 1),
      {name("_HID", eisaid("PNP0501")), name("_UID", num(index + 1)), name("_STA", num(kDsdtPresent)),
       name("_CRS", resource_template({io(base, base, 0, 8), irq(mask)}))});
}

Term rtc_device() {
  return device("RTC", {name("_HID", eisaid("PNP0B00")),
                        name("_CRS", resource_template({io(0x70, 0x70, 1, 8), irq(1 << 8)}))});
}

Term keyboard_device() {
  return device("KBD",
                {name("_HID", eisaid("PNP0303")), name("_STA", num(kDsdtPresent)),
                 name("_CRS", resource_template({io(0x60, 0x60, 1, 1), io(0x64, 0x64, 1, 1), irq(1 << 1)}))});
}

Term mouse_device() {
  return device("MOU", {name("_HID", eisaid("PNP0F13")), name("_STA", num(kDsdtPresent)),
                        name("_CRS", resource_template({irq(1 << 12)}))});
}

// docs/specs/pvpanic: the methods read which events count and tell of one.
Term pvpanic_device(uint16_t port) {
  return device("PEVT",
                {name("_HID", str("QEMU0001")), name("_STA", num(kDsdtPresent)),
                 name("_CRS", resource_template({io(port, port, 1, 1)})),
                 operation_region("PEOR", Space::kIo, num(port), num(1)),
                 field("PEOR", Access::kByte, Lock::kNo, Update::kPreserve, {{"PEPT", 8}}),
                 method("RDPT", 0, Serialize::kNo, {store(named("PEPT"), local(0)), return_(local(0))}),
                 method("WRPT", 1, Serialize::kNo, {store(arg(0), named("PEPT"))})});
}

// Diskette parameters as the BIOS function they are named after returns them (9.9.2).
Term floppy_drive(unsigned n, const AcpiConfig::Floppy& f) {
  return device("FLP" + std::string(1, static_cast<char>('A' + n)),
                {name("_ADR", num(n)),
                 name("_FDI", package({num(n), num(f.cmos_type), num(f.last_track), num(f.last_sector),
                                       num(f.last_head),
                                       num(0xaf),  // step rate and head unload time
                                       num(0x02),  // head load time, DMA
                                       num(0x25),  // motor off after, in ticks
                                       num(2),     // 512 bytes a sector
                                       num(18),    // sectors on a track
                                       num(0x1b), num(0xff), num(0x6c), num(0xf6),  // gaps, fill byte
                                       num(0x0f), num(8)}))});                      // settle and start time
}

Term floppy_controller(const AcpiConfig& config) {
  TermList body{name("_HID", eisaid("PNP0700")),
                name("_CRS", resource_template({io(0x3f2, 0x3f2, 0, 4), io(0x3f7, 0x3f7, 0, 1), irq(1 << 6),
                                                isa_dma(1 << 2)}))};
  // Five words: the presence of four drives, and of a tape (2: not known).
  std::array<uint8_t, 20> present{};
  present[16] = 2;
  for (unsigned n = 0; n < config.floppies.size() && n < 2; n++) {
    if (config.floppies[n].cmos_type == 0) continue;
    present[size_t{4} * n] = 1;
    body.add(floppy_drive(n, config.floppies[n]));
  }
  body.add(name("_FDE", buffer(present)));
  return device("FDC0", body);
}

Term isa_bridge(const AcpiConfig& config) {
  TermList body{name("_ADR", num(0x0001'0000)),
                operation_region("PIRC", Space::kPciConfig, num(0x60), num(kPirqs))};
  if (config.rtc) body.add(rtc_device());
  if (config.keyboard) body.add(keyboard_device()).add(mouse_device());
  for (unsigned i = 0; i < config.serial_ports.size() && i < 2; i++) {
    if (config.serial_ports[i]) body.add(serial_port(i));
  }
  if (config.fdc) body.add(floppy_controller(config));
  if (config.pvpanic_port) body.add(pvpanic_device(*config.pvpanic_port));
  return device("ISA", body);
}

// --- PCI ---------------------------------------------------------------------------------------

Term host_bridge_windows(const AcpiConfig& config) {
  std::vector<Resource> windows{word_bus_number(0, 0xff), io(0xcf8, 0xcf8, 1, 8), word_io(0, 0xcf7),
                                word_io(0xd00, 0xffff), dword_memory(0xa0000, 0xbffff, Caching::kCacheable)};
  if (config.ram_below_4g <= kPciHole32Last) {
    windows.push_back(dword_memory(static_cast<uint32_t>(config.ram_below_4g),
                                   static_cast<uint32_t>(kPciHole32Last), Caching::kNone));
  }
  if (config.pci_hole64 && config.pci_hole64->first <= config.pci_hole64->last) {
    windows.push_back(qword_memory(config.pci_hole64->first, config.pci_hole64->last, Caching::kCacheable));
  }
  return name("_CRS", resource_template(windows));
}

Term gpe_reservation(const AcpiConfig& config) {
  return device(
      "GPER",
      {name("_HID", eisaid("PNP0A06")), name("_UID", str("GPE0 resources")),
       name("_STA", num(kPresentHidden)),
       name("_CRS", resource_template({io(config.gpe0_base, config.gpe0_base, 1, config.gpe0_bytes)}))});
}

Term fw_cfg_device() {
  return device("FWCF", {name("_HID", str("QEMU0002")), name("_STA", num(kPresentHidden)),
                         name("_CRS", resource_template({io(0x510, 0x510, 1, 0x0c)}))});
}

Term pci_bus(const AcpiConfig& config) {
  TermList body{name("_HID", eisaid("PNP0A03")), name("_UID", num(0)), host_bridge_windows(config),
                name("_PRT", routing_table()),   isa_bridge(config),   gpe_reservation(config)};
  if (config.fw_cfg) body.add(fw_cfg_device());
  if (config.cpu_hotplug_base) body.add(cpu_hotplug_reservation(*config.cpu_hotplug_base));
  if (config.pci_hotplug_base) body.add(pci_hotplug_reservation(*config.pci_hotplug_base));
  body.add(pci_hotplug_scope(config));
  return device("PCI0", body);
}

// --- Everything else ---------------------------------------------------------------------------

// Present if the registers show a vendor and a counter period that the specification allows.
Term hpet_device() {
  constexpr uint32_t kVendorAt = 16, kNoVendor = 0xffff, kLongestPeriodFs = 100'000'000;
  const Term vendor = local(0), period = local(1);
  return device(
      "HPET",
      {name("_HID", eisaid("PNP0103")), name("_UID", num(0)),
       operation_region("HPTM", Space::kMemory, num(kHpetBase), num(kHpetBytes)),
       field("HPTM", Access::kDword, Lock::kYes, Update::kPreserve, {{"VEND", 32}, {"PRD", 32}}),
       method(
           "_STA", 0, Serialize::kNo,
           {shift_right(named("VEND"), num(kVendorAt), vendor), store(named("PRD"), period),
            if_(logical_or(equal(vendor, num(0)), equal(vendor, num(kNoVendor))), {return_(num(0))}),
            if_(logical_or(equal(period, num(0)), greater(period, num(kLongestPeriodFs))), {return_(num(0))}),
            return_(num(kDsdtPresent))}),
       name("_CRS", resource_template({memory32_fixed(kHpetBase, kHpetBytes, false)}))});
}

Term gpe_scope() {
  return scope("\\_GPE", {name("_HID", str("ACPI0006"))});
}

// The package holds SLP_TYP for PM1a and PM1b (PIIX4: 0 soft off, 1 suspend to RAM, 2 to disk).
Term sleep_state(unsigned state, uint8_t slp_typ) {
  return name("\\_S" + std::to_string(state), package({num(slp_typ), num(slp_typ), num(0), num(0)}));
}

}  // namespace

Bytes build_dsdt_body(const AcpiConfig& config) {
  TermList system_bus{pci_bus(config)};
  system_bus.add(interrupt_links(config));
  system_bus.add(cpu_container(config));
  if (config.memory_slots != 0) system_bus.add(memory_container(config));
  if (config.hpet_id != 0) system_bus.add(hpet_device());
  TermList root{scope("\\_SB", system_bus), gpe_scope()};
  if (config.cpu_hotplug_base) root.add(cpu_hotplug_event());
  if (config.pci_hotplug_base) root.add(pci_hotplug_event());
  if (config.memory_slots != 0) root.add(memory_hotplug_event());
  if (config.s3) root.add(sleep_state(3, 1));
  if (config.s4) root.add(sleep_state(4, config.s4_type));
  root.add(sleep_state(5, 0));
  return root.bytes();
}

}  // namespace rhea
