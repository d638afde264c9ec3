// `info registers`: a processor's state as text, in the layout people and scripts know.
#include <fmt/format.h>

#include "accel/x86_state.h"
#include "util/byteorder.h"

namespace rhea {

namespace {

constexpr const char* kSegNames[] = {"ES", "CS", "SS", "DS", "FS", "GS"};
constexpr uint64_t kPe = 1, kLma = 1 << 10;
constexpr uint32_t kFlagP = 1 << 15, kFlagS = 1 << 12, kFlagL = 1 << 21, kFlagB = 1 << 22;

/// Names of system descriptors by type: legacy and long mode (SDM 3, table 3-2).
constexpr const char* kSystemTypes[2][16] = {
    {"Reserved", "TSS16-avl", "LDT", "TSS16-busy", "CallGate16", "TaskGate", "IntGate16", "TrapGate16",
     "Reserved", "TSS32-avl", "Reserved", "TSS32-busy", "CallGate32", "Reserved", "IntGate32", "TrapGate32"},
    {"<hiword>", "Reserved", "LDT", "Reserved", "Reserved", "Reserved", "Reserved", "Reserved", "Reserved",
     "TSS64-avl", "Reserved", "TSS64-busy", "CallGate64", "Reserved", "IntGate64", "TrapGate64"}};

class Printer {
 public:
  explicit Printer(const X86State& state)
      : s_(state), lma_((state.efer & kLma) != 0), wide_(lma_ && (word(state.seg[kCs]) & kFlagL) != 0) {}

  std::string print() {
    general();
    segments();
    control();
    fpu();
    return std::move(out_);
  }

 private:
  template <class... A>
  void add(fmt::format_string<A...> format, A&&... args) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<A>(args)...);
  }
  /// A register at the width of the mode.
  std::string reg(uint64_t v) const { return hex(wide_ ? v : v & 0xffffffff, wide_ ? 16 : 8); }
  /// The upper half of the descriptor, without the limit.
  static uint32_t word(const X86Segment& seg) { return uint32_t{seg.flags} << 8 & 0xf0ff00; }

  void general() {
    struct Name {
      const char *narrow, *wide;
      int gpr;
    };
    static constexpr Name kNames[] = {{"EAX", "RAX", kRax}, {"EBX", "RBX", kRbx}, {"ECX", "RCX", kRcx},
                                      {"EDX", "RDX", kRdx}, {"ESI", "RSI", kRsi}, {"EDI", "RDI", kRdi},
                                      {"EBP", "RBP", kRbp}, {"ESP", "RSP", kRsp}};
    for (size_t i = 0; i < 8; ++i)
      add("{}={}{}", wide_ ? kNames[i].wide : kNames[i].narrow, reg(s_.gpr[kNames[i].gpr]),
          i % 4 == 3 ? '\n' : ' ');
    for (size_t i = 8; wide_ && i < 16; ++i)
      add("{:<3}={}{}", str_cat("R", i), reg(s_.gpr[i]), i % 4 == 3 ? '\n' : ' ');
    static constexpr std::pair<int, char> kFlags[] = {{10, 'D'}, {11, 'O'}, {7, 'S'}, {6, 'Z'},
                                                      {4, 'A'},  {2, 'P'},  {0, 'C'}};
    std::string flags;
    for (auto [bit, letter] : kFlags) flags += s_.rflags >> bit & 1 ? letter : '-';
    add("{}={} {}={:08x} [{}] CPL={} II={} A20=1 SMM={} HLT={}\n", wide_ ? "RIP" : "EIP", reg(s_.rip),
        wide_ ? "RFL" : "EFL", s_.rflags & 0xffffffff, flags, word(s_.seg[kSs]) >> 13 & 3,
        s_.events.interrupt_shadow != 0 ? 1 : 0, s_.events.smm ? 1 : 0,
        s_.mp_state == X86MpState::kHalted ? 1 : 0);
  }

  void segment(const char* name, const X86Segment& seg) {
    uint32_t flags = word(seg);
    std::string base = wide_ ? hex(seg.base, 16) : hex(seg.base & 0xffffffff, 8);
    add("{:<3}={:04x} {} {:08x} {:08x}", name, seg.selector, base, seg.limit, flags);
    if ((s_.cr0 & kPe) != 0 && (flags & kFlagP) != 0 && !seg.unusable) {
      add(" DPL={} {}", flags >> 13 & 3, describe(flags));
    }
    out_ += '\n';
  }

  std::string describe(uint32_t flags) const {
    unsigned type = flags >> 8 & 15;
    if ((flags & kFlagS) == 0) return kSystemTypes[lma_ ? 1 : 0][type];
    char accessed = type & 1 ? 'A' : '-';
    if (type & 8) {
      const char* width = (flags & kFlagL) && lma_ ? "CS64" : flags & kFlagB ? "CS32" : "CS16";
      return fmt::format("{} [{}{}{}]", width, type & 4 ? 'C' : '-', type & 2 ? 'R' : '-', accessed);
    }
    const char* width = (flags & kFlagB) || lma_ ? "DS  " : "DS16";
    return fmt::format("{} [{}{}{}]", width, type & 4 ? 'E' : '-', type & 2 ? 'W' : '-', accessed);
  }

  void segments() {
    for (int i = 0; i < 6; ++i) segment(kSegNames[i], s_.seg[static_cast<size_t>(i)]);
    segment("LDT", s_.ldt);
    segment("TR", s_.tr);
    add("GDT=     {} {:08x}\n", reg(s_.gdt.base), s_.gdt.limit);
    add("IDT=     {} {:08x}\n", reg(s_.idt.base), s_.idt.limit);
  }

  void control() {
    add("CR0={:08x} CR2={} CR3={} CR4={:08x}\n", s_.cr0 & 0xffffffff, reg(s_.cr2), reg(s_.cr3),
        s_.cr4 & 0xffffffff);
    for (size_t i = 0; i < 4; ++i) add("DR{}={}{}", i, reg(s_.dr[i]), i == 3 ? " \n" : " ");
    add("DR6={} DR7={}\n", reg(s_.dr6), reg(s_.dr7));
    add("EFER={:016x}\n", s_.efer);
  }

  void fpu() {
    if (s_.xsave.size() < kXsaveLegacyBytes) return;
    const uint8_t* area = s_.xsave.data();
    auto fsw = load_le<uint16_t>(area + 2);
    add("FCW={:04x} FSW={:04x} [ST={}] FTW={:02x} MXCSR={:08x}\n", load_le<uint16_t>(area), fsw & ~0x3800,
        fsw >> 11 & 7, area[4], load_le<uint32_t>(area + 24));
    for (int i = 0; i < 8; ++i) {
      const uint8_t* r = area + 32 + 16 * i;
      add("FPR{}={:016x} {:04x}{}", i, load_le<uint64_t>(r), load_le<uint16_t>(r + 8), i % 2 ? '\n' : ' ');
    }
    for (int i = 0; i < (wide_ ? 16 : 8); ++i) {
      const uint8_t* r = area + 160 + 16 * i;
      add("XMM{:02}={:016x} {:016x}{}", i, load_le<uint64_t>(r + 8), load_le<uint64_t>(r),
          i % 2 ? '\n' : ' ');
    }
  }

  const X86State& s_;
  bool lma_, wide_;
  std::string out_;
};

}  // namespace

std::string x86_registers_text(const X86State& state) {
  return Printer(state).print();
}

}  // namespace rhea
