// HMP: info pic, info irq. The interrupt controllers are the board's own devices or the kernel's.
#include <fmt/format.h>

#include "accel/accel.h"
#include "hw/core/device.h"
#include "hw/intc/i8259.h"
#include "hw/intc/ioapic.h"
#include "qapi/hmp_registry.h"
#include "qapi/qmp_context.h"
#include "system/hmp_machine.h"

namespace rhea {

namespace {

/// What both kinds of 8259A have to show.
template <class State>
std::string pic_text(unsigned number, const State& s) {
  return fmt::format(
      "pic{}: irr={:02x} imr={:02x} isr={:02x} hprio={} irq_base={:02x} rr_sel={} elcr={:02x} fnm={}\n",
      number, s.irr, s.imr, s.isr, s.priority_add, s.irq_base, s.read_reg_select, s.elcr,
      s.special_fully_nested_mode);
}

std::string pins_text(uint32_t pins) {
  std::string out;
  for (int n = 0; n < 24; ++n)
    if ((pins >> n & 1) != 0) str_append(out, out.empty() ? "" : " ", n);
  return out.empty() ? "(none)" : out;
}

/// The I/O APIC's redirection table (82093AA, 3.2.4).
template <class State>
std::string ioapic_text(unsigned version, const State& s) {
  static constexpr const char* kDelivery[] = {"fixed", "lowpri", "smi", "...",
                                              "nmi",   "init",   "...", "extint"};
  std::string out = fmt::format("ioapic0: ver=0x{:x} id=0x{:02x} sel=0x{:02x}\n", version, s.id, s.ioregsel);
  uint32_t remote = 0;
  for (size_t pin = 0; pin < s.redirection.size(); ++pin) {
    const uint64_t e = s.redirection[pin];
    const bool logical = (e >> 11 & 1) != 0;
    out += fmt::format("  pin {:<2} 0x{:016x} dest={:x} vec={:<3} {} {:<5} {:<6} {:<6} {}\n", pin, e, e >> 56,
                       e & 0xff, (e >> 13 & 1) != 0 ? "active-lo" : "active-hi",
                       (e >> 15 & 1) != 0 ? "level" : "edge", (e >> 16 & 1) != 0 ? "masked" : "",
                       kDelivery[e >> 8 & 7], logical ? "logical" : "physical");
    if ((e >> 14 & 1) != 0) remote |= 1u << pin;
  }
  return out + "  IRR      " + pins_text(s.irr) + "\n  Remote IRR " + pins_text(remote) + "\n";
}

Result<> kernel_text(KernelIrqchip& chip, std::string& out) {
  out += ioapic_text(0x11, TRY(chip.get_ioapic()));
  for (const bool slave : {true, false}) out += pic_text(slave ? 1 : 0, TRY(chip.get_pic(slave)));
  return {};
}

Result<> info_pic(HmpCall& call) {
  Accelerator* accel = machine_accelerator();
  if (accel != nullptr && accel->irqchip() != nullptr) return kernel_text(*accel->irqchip(), call.out);
  std::string pics;
  for_each_device(call.ctx.qom.container("/machine"), [&](Device& d) {
    if (const auto* ioapic = dynamic_cast<const Ioapic*>(&d))
      call.out += ioapic_text(ioapic->version, ioapic->state);
    if (const auto* pic = dynamic_cast<const I8259*>(&d))
      pics = pic_text(pic->master ? 0 : 1, pic->state) + pics;
  });
  call.out += pics;
  return {};
}

void print_counts(HmpCall& call, const Device& device, std::span<const uint64_t> counts) {
  call.print("IRQ statistics for ", device.type().name, ":\n");
  for (size_t n = 0; n < counts.size(); ++n)
    if (counts[n] != 0) call.print(fmt::format("{:>2}: {}\n", n, counts[n]));
}

Result<> info_irq(HmpCall& call) {
  for_each_device(call.ctx.qom.container("/machine"), [&](Device& d) {
    if (const auto* ioapic = dynamic_cast<const Ioapic*>(&d)) print_counts(call, d, ioapic->request_counts());
    if (const auto* pic = dynamic_cast<const I8259*>(&d)) print_counts(call, d, pic->request_counts());
  });
  return {};
}

constexpr HmpCommand kHmpInterruptsCommands[] = {
    {.name = "info pic", .help = "show PIC state", .run = info_pic},
    {.name = "info irq", .help = "show the interrupts statistics (if available)", .run = info_irq},
};

}  // namespace

void register_interrupt_hmp(HmpRegistry& registry) {
  for (const auto& command : kHmpInterruptsCommands) registry.add(command);
}

}  // namespace rhea
