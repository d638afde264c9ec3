#include "accel/x86_state.h"

#include <algorithm>

#include "util/byteorder.h"

namespace rhea {

namespace {

constexpr uint32_t kMsrPat = 0x277, kMsrMiscEnable = 0x1a0;
constexpr uint64_t kPatReset = 0x0007'0406'0007'0406;
constexpr uint64_t kMiscFastStrings = 1;

constexpr uint16_t kX86StatePresent = 1 << 7, kCodeOrData = 1 << 4;
constexpr uint16_t kDataRw = 3, kCodeRead = 0xb, kLdtType = 2, kTssBusy = 0xb;

/// The FPU as FNINIT leaves it (SDM 1, 8.1.5), SSE as after reset.
std::vector<uint8_t> reset_xsave() {
  std::vector<uint8_t> area(kXsaveLegacyBytes);
  store_le<uint16_t>(&area[0], 0x037f);   // FCW
  store_le<uint32_t>(&area[24], 0x1f80);  // MXCSR
  area[512] = 3;                          // XSTATE_BV: x87 and SSE are given
  return area;
}

/// SDM 3, 11.4.7.1 (local APIC state after power-up), and LINT0 as virtual wire on the bootstrap processor,
/// as firmware for PCs finds it.
std::vector<uint8_t> reset_lapic(bool bootstrap, uint32_t apic_id) {
  constexpr uint32_t kMasked = 0x10000, kExtInt = 0x700;
  std::vector<uint8_t> page(1024);
  auto set = [&](size_t reg, uint32_t value) { store_le<uint32_t>(&page[reg], value); };
  set(0x20, apic_id << 24);
  set(0x30, 0x00050014);  // version: integrated, 6 LVT entries
  set(0xe0, 0xffffffff);  // destination format: flat
  set(0xf0, 0xff);        // spurious vector, software disabled
  for (size_t lvt : {0x320, 0x330, 0x340, 0x350, 0x360, 0x370}) set(lvt, kMasked);
  if (bootstrap) set(0x350, kExtInt);
  return page;
}

}  // namespace

uint64_t X86State::msr(uint32_t index) const {
  for (const X86Msr& m : msrs)
    if (m.index == index) return m.value;
  return 0;
}

void X86State::set_msr(uint32_t index, uint64_t value) {
  for (X86Msr& m : msrs) {
    if (m.index != index) continue;
    m.value = value;
    return;
  }
  msrs.push_back({index, value});
}

X86State x86_reset_state(bool bootstrap, uint32_t apic_id, uint32_t signature) {
  X86State s;
  s.gpr[kRdx] = signature;
  s.rip = 0xfff0;
  s.rflags = 2;
  for (X86Segment& seg : s.seg) seg = {.limit = 0xffff, .flags = kX86StatePresent | kCodeOrData | kDataRw};
  s.seg[kCs] = {.selector = 0xf000,
                .base = 0xffff0000,
                .limit = 0xffff,
                .flags = kX86StatePresent | kCodeOrData | kCodeRead};
  s.ldt = {.limit = 0xffff, .flags = kX86StatePresent | kLdtType};
  s.tr = {.limit = 0xffff, .flags = kX86StatePresent | kTssBusy};
  s.gdt = {0, 0xffff};
  s.idt = {0, 0xffff};
  s.cr0 = 0x60000010;
  s.dr6 = 0xffff0ff0;
  s.dr7 = 0x400;
  s.apic_base = 0xfee00800 | (bootstrap ? 0x100 : 0);
  s.xsave = reset_xsave();
  s.lapic = reset_lapic(bootstrap, apic_id);
  s.msrs = {{kMsrPat, kPatReset}, {kMsrMiscEnable, kMiscFastStrings}};
  s.mp_state = bootstrap ? X86MpState::kRunnable : X86MpState::kUninitialized;
  return s;
}

}  // namespace rhea
