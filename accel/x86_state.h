// The state of one x86 processor, as it is shown, saved and restored; no accelerator's own layout.
//
// Names and meanings: Intel SDM volume 3, chapters 2 (system registers), 10 (local APIC), 13 (XSAVE).
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "migration/vmstate/vmstate.h"

namespace rhea {

/// A segment register with its hidden part. `flags` holds bits 55:40 of a descriptor: type (3:0), S, DPL
/// (6:5), P, and at 12 up AVL, L, D/B, G.
struct X86Segment {
  uint16_t selector = 0;
  uint64_t base = 0;
  uint32_t limit = 0;
  uint16_t flags = 0;
  bool unusable = false;
  friend bool operator==(const X86Segment&, const X86Segment&) = default;
};

struct X86Table {
  uint64_t base = 0;
  uint16_t limit = 0;
  friend bool operator==(const X86Table&, const X86Table&) = default;
};

struct X86Msr {
  uint32_t index = 0;
  uint64_t value = 0;
  friend bool operator==(const X86Msr&, const X86Msr&) = default;
};

/// Exceptions, interrupts and NMIs on their way into the processor.
struct X86Events {
  bool exception_injected = false, exception_pending = false;
  uint8_t exception_vector = 0;
  bool exception_has_error = false, exception_has_payload = false;
  uint32_t exception_error = 0;
  uint64_t exception_payload = 0;
  bool interrupt_injected = false, interrupt_soft = false;
  uint8_t interrupt_vector = 0, interrupt_shadow = 0;
  bool nmi_injected = false, nmi_pending = false, nmi_masked = false;
  uint32_t sipi_vector = 0;
  bool smm = false, smm_pending = false, smm_inside_nmi = false, smm_latched_init = false;
  bool triple_fault_pending = false;
  friend bool operator==(const X86Events&, const X86Events&) = default;
};

/// What a processor does between instructions.
enum class X86MpState : uint8_t { kRunnable, kUninitialized, kInitReceived, kHalted, kSipiReceived };

enum X86Gpr { kRax, kRcx, kRdx, kRbx, kRsp, kRbp, kRsi, kRdi };
enum X86Seg { kEs, kCs, kSs, kDs, kFs, kGs };

inline constexpr size_t kXsaveLegacyBytes = 576;    ///< legacy region and header
inline constexpr size_t kXsaveMaxBytes = 64 << 10;  ///< more than any component set in use
inline constexpr size_t kMaxMsrs = 1024;

struct X86State {
  std::array<uint64_t, 16> gpr{};  ///< in encoding order: X86Gpr, then R8 to R15
  uint64_t rip = 0, rflags = 0;
  std::array<X86Segment, 6> seg;  ///< X86Seg
  X86Segment ldt, tr;
  X86Table gdt, idt;
  uint64_t cr0 = 0, cr2 = 0, cr3 = 0, cr4 = 0, cr8 = 0, efer = 0, apic_base = 0;
  std::array<uint64_t, 4> interrupt_bitmap{};  ///< a vector accepted and not yet delivered (no kernel LAPIC)
  std::array<uint64_t, 4> dr{};
  uint64_t dr6 = 0, dr7 = 0;
  uint64_t xcr0 = 1;
  std::vector<uint8_t> xsave;  ///< standard (not compacted) XSAVE format; at least the legacy region
  std::vector<X86Msr> msrs;
  std::vector<uint8_t> lapic;  ///< the 1 KiB register page of a kernel LAPIC; empty without one
  X86Events events;
  X86MpState mp_state = X86MpState::kRunnable;
  uint32_t tsc_khz = 0;

  /// The value of an MSR, 0 if it is not among those kept.
  uint64_t msr(uint32_t index) const;
  void set_msr(uint32_t index, uint64_t value);
  friend bool operator==(const X86State&, const X86State&) = default;
};

/// The state after power-up or reset (SDM 3, table 10-1): `bootstrap` runs at the reset vector, others wait
/// for INIT and SIPI. `signature` is leaf 1's EAX, which EDX then holds. MSRs not named in `msrs` reset to
/// zero.
X86State x86_reset_state(bool bootstrap, uint32_t apic_id, uint32_t signature);

extern const VMState kX86StateVmState;  ///< of an X86State

/// The text of `info registers` for one processor, as QEMU formats it.
std::string x86_registers_text(const X86State& state);

}  // namespace rhea
