// HMP commands about processors: cpu, info cpus, registers, mem, tlb, lapic.
#include <fmt/format.h>

#include <array>
#include <optional>

#include "accel/accel.h"
#include "accel/x86_paging.h"
#include "memory/memory.h"
#include "qapi/hmp_registry.h"
#include "system/hmp_machine.h"
#include "util/byteorder.h"

namespace rhea {

namespace {

constexpr size_t kMaxTables = 1 << 16;        // the guest may let its tables name each other
constexpr size_t kMaxText = size_t{4} << 20;  // bytes

Vcpu* vcpu_at(int64_t index) {
  Accelerator* accel = machine_accelerator();
  if (accel == nullptr || index < 0 || static_cast<uint64_t>(index) >= accel->vcpus().size()) return nullptr;
  return accel->vcpus()[static_cast<size_t>(index)].get();
}

Result<X86State> state_of(const HmpCall& call) {
  Vcpu* vcpu = vcpu_at(call.cpu_index.value_or(0));
  if (vcpu == nullptr) return fail(ENODEV, "No CPU available");
  return vcpu->get_state();
}

Result<> hmp_cpu(HmpCall& call) {
  const int64_t index = call.number("index");
  if (vcpu_at(index) == nullptr)
    call.print("invalid CPU index\n");
  else
    call.cpu_index = index;
  return {};
}

Result<> info_cpus(HmpCall& call) {
  call.out += info_cpus_text(static_cast<unsigned>(call.cpu_index.value_or(0)));
  return {};
}

Result<> info_registers(HmpCall& call) {
  const int64_t index = call.number("vcpu", call.cpu_index.value_or(0));
  if (!call.flag("cpustate_all") && call.has("vcpu") && vcpu_at(index) == nullptr)
    call.print("CPU#", index, " not available\n");
  else
    call.out += TRY(info_registers_text(static_cast<unsigned>(index), call.flag("cpustate_all")));
  return {};
}

/// Ends a text that would go on for ever.
void print_stopped(HmpCall& call, bool complete) {
  if (!complete) call.print("(there is more: too many page tables)\n");
}

std::string page_flags(const X86Page& page) {
  constexpr std::pair<int, char> kFlags[] = {{63, 'X'}, {8, 'G'}, {7, 'P'}, {6, 'D'}, {5, 'A'},
                                             {4, 'C'},  {3, 'T'}, {2, 'U'}, {1, 'W'}};
  std::string out;
  for (const auto& [bit, letter] : kFlags) out += (page.entry >> bit & 1) != 0 ? letter : '-';
  return out;
}

Result<> info_tlb(HmpCall& call) {
  const X86State state = TRY(state_of(call));
  if (!x86_paging(state)) {
    call.print("PG disabled\n");
    return {};
  }
  bool full = false;
  const bool complete = x86_for_each_page(state, read_physical, kMaxTables, [&](const X86Page& page) {
    call.print(hex(page.linear, 16), ": ", hex(page.physical, 16), " ", page_flags(page), "\n");
    full = call.out.size() > kMaxText;
    return !full;
  });
  print_stopped(call, complete && !full);
  return {};
}

/// Pages that follow each other with the same rights.
struct Stretch {
  uint64_t start = 0, bytes = 0;
  bool user = false, writable = false;
};

void print_stretch(HmpCall& call, const Stretch& s) {
  if (s.bytes == 0) return;
  call.print(hex(s.start, 16), "-", hex(s.start + s.bytes, 16), " ", hex(s.bytes, 16), " ",
             s.user ? "u" : "-", "r", s.writable ? "w" : "-", "\n");
}

Result<> info_mem(HmpCall& call) {
  const X86State state = TRY(state_of(call));
  if (!x86_paging(state)) {
    call.print("PG disabled\n");
    return {};
  }
  Stretch now;
  bool full = false;
  const bool complete = x86_for_each_page(state, read_physical, kMaxTables, [&](const X86Page& page) {
    if (now.bytes != 0 && now.start + now.bytes == page.linear && now.user == page.user &&
        now.writable == page.writable) {
      now.bytes += page.bytes;
      return true;
    }
    print_stretch(call, now);
    now = {page.linear, page.bytes, page.user, page.writable};
    full = call.out.size() > kMaxText;
    return !full;
  });
  print_stretch(call, now);
  print_stopped(call, complete && !full);
  return {};
}

// --- The local APIC. Spec: SDM 3, chapter 11.
constexpr const char* kDelivery[] = {"Fixed", "LowPrio", "SMI", "...", "NMI", "INIT", "SIPI", "ExtINT"};

class LapicText {
 public:
  LapicText(const std::vector<uint8_t>& page, std::string& out) : page_(page), out_(out) {}

  void print(uint32_t apic_id) {
    add("dumping local APIC state for CPU {} \n\n", apic_id);
    lvt("LVT0", 0x350);
    lvt("LVT1", 0x360);
    lvt("LVTPC", 0x340);
    lvt("LVTERR", 0x370);
    lvt("LVTTHMR", 0x330);
    lvt("LVTT", 0x320);
    timer();
    const uint32_t spiv = reg(0xf0);
    add("SPIV\t 0x{:08x} APIC {}, focus={}, spurious vec {}\n", spiv, spiv & 0x100 ? "enabled" : "disabled",
        spiv & 0x200 ? "on" : "off", spiv & 0xff);
    command();
    add("ESR\t 0x{:08x}\n", reg(0x280));
    vectors("ISR", 0x100);
    vectors("IRR", 0x200);
    add("\nAPR 0x{:02x} TPR 0x{:02x} DFR 0x{:02x} LDR 0x{:02x} PPR 0x{:02x}\n", reg(0x90) & 0xff,
        reg(0x80) & 0xff, reg(0xe0) >> 28, reg(0xd0) >> 24, reg(0xa0) & 0xff);
  }

 private:
  template <class... A>
  void add(fmt::format_string<A...> format, A&&... args) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<A>(args)...);
  }
  uint32_t reg(size_t offset) const { return load_le<uint32_t>(&page_[offset]); }

  void lvt(const char* name, size_t offset) {
    static constexpr const char* kModes[] = {"one-shot", "periodic", "tsc-deadline", "..."};
    const uint32_t v = reg(offset);
    const unsigned delivery = v >> 8 & 7;
    add("{}\t 0x{:08x} {} {:<5} {:<6} {:<7} {:<12} {:<6}", name, v, v & 1 << 13 ? "active-lo" : "active-hi",
        v & 1 << 15 ? "level" : "edge", v & 1 << 16 ? "masked" : "", v & 1 << 12 ? "pending" : "",
        offset == 0x320 ? kModes[v >> 17 & 3] : "", kDelivery[delivery]);
    if (delivery == 0) add(" (vec {})", v & 0xff);
    out_ += '\n';
  }

  void timer() {
    const uint32_t dcr = reg(0x3e0);
    const unsigned shift = ((dcr & 3) | (dcr >> 1 & 4)) + 1;  // 7 divides by one
    add("Timer\t DCR=0x{:x} (divide by {}) initial_count = {} current_count = {}\n", dcr & 0xf,
        shift == 8 ? 1 : 1 << shift, reg(0x380), reg(0x390));
  }

  void command() {
    static constexpr const char* kShorthands[] = {"no-shorthand", "self", "all-self", "all"};
    const uint32_t icr = reg(0x300), icr2 = reg(0x310);
    const bool logical = (icr & 1 << 11) != 0;
    add("ICR\t 0x{:08x} {} {} {} {}\n", icr, logical ? "logical" : "physical",
        icr & 1 << 15 ? "level" : "edge", icr & 1 << 14 ? "assert" : "de-assert", kShorthands[icr >> 18 & 3]);
    add("ICR2\t 0x{:08x}", icr2);
    if ((icr >> 18 & 3) != 0)
      out_ += '\n';
    else if (logical)
      add(" mask {:08b} (APIC ID)\n", icr2 >> 24);
    else
      add(" cpu {} (APIC ID)\n", icr2 >> 24);
  }

  /// The vectors whose bits are set in the eight registers from `offset` on; those of level type are marked.
  void vectors(const char* name, size_t offset) {
    out_ += str_cat(name, "\t ");
    bool any = false;
    for (unsigned vector = 0; vector < 256; ++vector) {
      const size_t at = size_t{vector / 32} * 16;
      if ((reg(offset + at) >> vector % 32 & 1) == 0) continue;
      any = true;
      str_append(out_, vector, (reg(0x180 + at) >> vector % 32 & 1) != 0 ? "(level) " : " ");
    }
    out_ += any ? "\n" : "(none)\n";
  }

  const std::vector<uint8_t>& page_;
  std::string& out_;
};

Result<> info_lapic(HmpCall& call) {
  Accelerator* accel = machine_accelerator();
  Vcpu* found = vcpu_at(call.cpu_index.value_or(0));
  if (call.has("apic-id")) {
    found = nullptr;
    for (size_t i = 0; accel != nullptr && i < accel->vcpus().size(); ++i)
      if (accel->vcpus()[i]->apic_id() == call.number("apic-id")) found = accel->vcpus()[i].get();
  }
  if (found == nullptr) {
    call.print("No CPU available\n");
    return {};
  }
  const X86State state = TRY(found->get_state());
  if (state.lapic.size() < 0x400) {
    call.print("Local APIC of CPU ", found->index(), " is not in the kernel\n");
    return {};
  }
  LapicText(state.lapic, call.out).print(found->index());
  return {};
}

constexpr HmpCommand kHmpCpuCommands[] = {
    {.name = "cpu", .args = "index:i", .params = "index", .help = "set the default CPU", .run = hmp_cpu},
    {.name = "info cpus", .help = "show infos for each CPU", .run = info_cpus},
    {.name = "info registers",
     .args = "cpustate_all:-a,vcpu:i?",
     .params = "[-a|vcpu]",
     .help =
         "show the cpu registers (-a: show register info for all cpus; vcpu: specific vCPU to query; show "
         "the current CPU's registers if no argument is specified)",
     .run = info_registers},
    {.name = "info tlb", .help = "show virtual to physical memory mappings", .run = info_tlb},
    {.name = "info mem", .help = "show the active virtual memory mappings", .run = info_mem},
    {.name = "info lapic",
     .args = "apic-id:i?",
     .params = "[apic-id]",
     .help = "show local apic state (apic-id: local apic to read, default is which of current CPU)",
     .run = info_lapic},
};

}  // namespace

void register_cpu_hmp(HmpRegistry& registry) {
  for (const auto& command : kHmpCpuCommands) registry.add(command);
  registry.register_value = [](unsigned cpu, std::string_view name) -> Result<uint64_t> {
    Vcpu* vcpu = vcpu_at(cpu);
    if (vcpu == nullptr) return fail(ENODEV, "No CPU defined");
    const X86State state = TRY(vcpu->get_state());
    return x86_register(state, name);
  };
}

}  // namespace rhea
