#include "accel/kvm/kvm_state.h"

#include <algorithm>
#include <cstring>

#include "accel/kvm/kvm_ioctl.h"
#include "accel/kvm/kvm_msrs.h"
#include "util/byteorder.h"

namespace rhea {

namespace {

X86Segment from_kvm(const kvm_segment& k) {
  auto flags =
      static_cast<uint16_t>((k.type & 15) | (k.s & 1) << 4 | (k.dpl & 3) << 5 | (k.present & 1) << 7 |
                            (k.avl & 1) << 12 | (k.l & 1) << 13 | (k.db & 1) << 14 | (k.g & 1) << 15);
  return {k.selector, k.base, k.limit, flags, k.unusable != 0};
}

kvm_segment to_kvm(const X86Segment& s) {
  kvm_segment k{};
  k.base = s.base;
  k.limit = s.limit;
  k.selector = s.selector;
  k.type = s.flags & 15;
  k.s = s.flags >> 4 & 1;
  k.dpl = s.flags >> 5 & 3;
  k.present = s.flags >> 7 & 1;
  k.avl = s.flags >> 12 & 1;
  k.l = s.flags >> 13 & 1;
  k.db = s.flags >> 14 & 1;
  k.g = static_cast<uint8_t>(s.flags >> 15);
  k.unusable = s.unusable;
  return k;
}

X86Table from_kvm(const kvm_dtable& k) {
  return {k.base, k.limit};
}

kvm_dtable to_kvm(const X86Table& t) {
  kvm_dtable k{};
  k.base = t.base;
  k.limit = t.limit;
  return k;
}

/// kvm_regs has the sixteen in an order of its own.
constexpr __u64 kvm_regs::*kKvmStateGprs[16] = {
    &kvm_regs::rax, &kvm_regs::rcx, &kvm_regs::rdx, &kvm_regs::rbx, &kvm_regs::rsp, &kvm_regs::rbp,
    &kvm_regs::rsi, &kvm_regs::rdi, &kvm_regs::r8,  &kvm_regs::r9,  &kvm_regs::r10, &kvm_regs::r11,
    &kvm_regs::r12, &kvm_regs::r13, &kvm_regs::r14, &kvm_regs::r15};

Result<> get_regs(int fd, X86State& s) {
  kvm_regs k{};
  TRY(kvm_call(fd, KVM_GET_REGS, "KVM_GET_REGS", &k));
  for (size_t i = 0; i < 16; ++i) s.gpr[i] = k.*kKvmStateGprs[i];
  s.rip = k.rip;
  s.rflags = k.rflags;
  return {};
}

Result<> set_regs(int fd, const X86State& s) {
  kvm_regs k{};
  for (size_t i = 0; i < 16; ++i) k.*kKvmStateGprs[i] = s.gpr[i];
  k.rip = s.rip;
  k.rflags = s.rflags;
  TRY(kvm_call(fd, KVM_SET_REGS, "KVM_SET_REGS", &k));
  return {};
}

constexpr kvm_segment kvm_sregs::*kSegs[6] = {&kvm_sregs::es, &kvm_sregs::cs, &kvm_sregs::ss,
                                              &kvm_sregs::ds, &kvm_sregs::fs, &kvm_sregs::gs};

Result<> get_sregs(int fd, X86State& s) {
  kvm_sregs k{};
  TRY(kvm_call(fd, KVM_GET_SREGS, "KVM_GET_SREGS", &k));
  for (size_t i = 0; i < 6; ++i) s.seg[i] = from_kvm(k.*kSegs[i]);
  s.ldt = from_kvm(k.ldt);
  s.tr = from_kvm(k.tr);
  s.gdt = from_kvm(k.gdt);
  s.idt = from_kvm(k.idt);
  s.cr0 = k.cr0;
  s.cr2 = k.cr2;
  s.cr3 = k.cr3;
  s.cr4 = k.cr4;
  s.cr8 = k.cr8;
  s.efer = k.efer;
  s.apic_base = k.apic_base;
  for (size_t i = 0; i < 4; ++i) s.interrupt_bitmap[i] = k.interrupt_bitmap[i];
  return {};
}

Result<> set_sregs(int fd, const X86State& s) {
  kvm_sregs k{};
  for (size_t i = 0; i < 6; ++i) k.*kSegs[i] = to_kvm(s.seg[i]);
  k.ldt = to_kvm(s.ldt);
  k.tr = to_kvm(s.tr);
  k.gdt = to_kvm(s.gdt);
  k.idt = to_kvm(s.idt);
  k.cr0 = s.cr0;
  k.cr2 = s.cr2;
  k.cr3 = s.cr3;
  k.cr4 = s.cr4;
  k.cr8 = s.cr8;
  k.efer = s.efer;
  k.apic_base = s.apic_base;
  for (size_t i = 0; i < 4; ++i) k.interrupt_bitmap[i] = s.interrupt_bitmap[i];
  TRY(kvm_call(fd, KVM_SET_SREGS, "KVM_SET_SREGS", &k));
  return {};
}

/// Without XSAVE there is only what FXSAVE holds: the fields go to their places in its layout (SDM
/// 1, 10.5.1).
Result<> get_fpu(int fd, X86State& s) {
  kvm_fpu k{};
  TRY(kvm_call(fd, KVM_GET_FPU, "KVM_GET_FPU", &k));
  s.xsave.assign(kXsaveLegacyBytes, 0);
  uint8_t* area = s.xsave.data();
  store_le<uint16_t>(area, k.fcw);
  store_le<uint16_t>(area + 2, k.fsw);
  area[4] = k.ftwx;
  store_le<uint16_t>(area + 6, k.last_opcode);
  store_le<uint64_t>(area + 8, static_cast<uint64_t>(k.last_ip));
  store_le<uint64_t>(area + 16, static_cast<uint64_t>(k.last_dp));
  store_le<uint32_t>(area + 24, k.mxcsr);
  std::memcpy(area + 32, k.fpr, sizeof k.fpr);
  std::memcpy(area + 160, k.xmm, sizeof k.xmm);
  area[512] = 3;
  return {};
}

Result<> set_fpu(int fd, const X86State& s) {
  kvm_fpu k{};
  const uint8_t* area = s.xsave.data();
  k.fcw = load_le<uint16_t>(area);
  k.fsw = load_le<uint16_t>(area + 2);
  k.ftwx = area[4];
  k.last_opcode = load_le<uint16_t>(area + 6);
  k.last_ip = load_le<uint64_t>(area + 8);
  k.last_dp = load_le<uint64_t>(area + 16);
  k.mxcsr = load_le<uint32_t>(area + 24);
  std::memcpy(k.fpr, area + 32, sizeof k.fpr);
  std::memcpy(k.xmm, area + 160, sizeof k.xmm);
  TRY(kvm_call(fd, KVM_SET_FPU, "KVM_SET_FPU", &k));
  return {};
}

Result<> get_xsave(int fd, const KvmStateShape& shape, X86State& s) {
  if (!shape.has_xsave) return get_fpu(fd, s);
  s.xsave.assign(std::max(shape.xsave_bytes, sizeof(kvm_xsave)), 0);
  unsigned long request = shape.xsave_bytes > sizeof(kvm_xsave) ? KVM_GET_XSAVE2 : KVM_GET_XSAVE;
  TRY(kvm_call(fd, request, "KVM_GET_XSAVE", static_cast<void*>(s.xsave.data())));
  return {};
}

Result<> set_xsave(int fd, const KvmStateShape& shape, const X86State& s) {
  if (s.xsave.size() < kXsaveLegacyBytes) return fail(EINVAL, "KVM: the FPU state is cut short");
  if (!shape.has_xsave) return set_fpu(fd, s);
  size_t room = std::max(shape.xsave_bytes, sizeof(kvm_xsave));
  std::vector<uint8_t> area = s.xsave;
  if (std::any_of(area.begin() + static_cast<ptrdiff_t>(std::min(room, area.size())), area.end(),
                  [](uint8_t b) { return b != 0; }))
    return fail(EINVAL, "KVM: the FPU state has components that this host lacks");
  area.resize(room);
  TRY(kvm_call(fd, KVM_SET_XSAVE, "KVM_SET_XSAVE", static_cast<void*>(area.data())));
  return {};
}

Result<> get_xcrs(int fd, const KvmStateShape& shape, X86State& s) {
  if (!shape.has_xcrs) return {};
  kvm_xcrs k{};
  TRY(kvm_call(fd, KVM_GET_XCRS, "KVM_GET_XCRS", &k));
  for (uint32_t i = 0; i < std::min<uint32_t>(k.nr_xcrs, KVM_MAX_XCRS); ++i)
    if (k.xcrs[i].xcr == 0) s.xcr0 = k.xcrs[i].value;
  return {};
}

Result<> set_xcrs(int fd, const KvmStateShape& shape, const X86State& s) {
  if (!shape.has_xcrs) return {};
  kvm_xcrs k{};
  k.nr_xcrs = 1;
  k.xcrs[0].value = s.xcr0;
  TRY(kvm_call(fd, KVM_SET_XCRS, "KVM_SET_XCRS", &k));
  return {};
}

Result<> get_lapic(int fd, const KvmStateShape& shape, X86State& s) {
  if (!shape.kernel_lapic) return {};
  s.lapic.assign(sizeof(kvm_lapic_state), 0);
  TRY(kvm_call(fd, KVM_GET_LAPIC, "KVM_GET_LAPIC", static_cast<void*>(s.lapic.data())));
  return {};
}

Result<> set_lapic(int fd, const KvmStateShape& shape, const X86State& s) {
  if (!shape.kernel_lapic) return {};
  if (s.lapic.size() != sizeof(kvm_lapic_state))
    return fail(EINVAL, "KVM: the local APIC's state is missing");
  kvm_lapic_state k;
  std::memcpy(&k, s.lapic.data(), sizeof k);
  TRY(kvm_call(fd, KVM_SET_LAPIC, "KVM_SET_LAPIC", &k));
  return {};
}

Result<> get_debugregs(int fd, const KvmStateShape& shape, X86State& s) {
  if (!shape.has_debugregs) return {};
  kvm_debugregs k{};
  TRY(kvm_call(fd, KVM_GET_DEBUGREGS, "KVM_GET_DEBUGREGS", &k));
  for (size_t i = 0; i < 4; ++i) s.dr[i] = k.db[i];
  s.dr6 = k.dr6;
  s.dr7 = k.dr7;
  return {};
}

Result<> set_debugregs(int fd, const KvmStateShape& shape, const X86State& s) {
  if (!shape.has_debugregs) return {};
  kvm_debugregs k{};
  for (size_t i = 0; i < 4; ++i) k.db[i] = s.dr[i];
  k.dr6 = s.dr6;
  k.dr7 = s.dr7;
  TRY(kvm_call(fd, KVM_SET_DEBUGREGS, "KVM_SET_DEBUGREGS", &k));
  return {};
}

Result<> get_events(int fd, X86State& s) {
  kvm_vcpu_events k{};
  TRY(kvm_call(fd, KVM_GET_VCPU_EVENTS, "KVM_GET_VCPU_EVENTS", &k));
  X86Events& e = s.events;
  e.exception_injected = k.exception.injected != 0;
  e.exception_pending = k.exception.pending != 0;
  e.exception_vector = k.exception.nr;
  e.exception_has_error = k.exception.has_error_code != 0;
  e.exception_error = k.exception.error_code;
  e.exception_has_payload = k.exception_has_payload != 0;
  e.exception_payload = k.exception_payload;
  e.interrupt_injected = k.interrupt.injected != 0;
  e.interrupt_soft = k.interrupt.soft != 0;
  e.interrupt_vector = k.interrupt.nr;
  e.interrupt_shadow = k.interrupt.shadow;
  e.nmi_injected = k.nmi.injected != 0;
  e.nmi_pending = k.nmi.pending != 0;
  e.nmi_masked = k.nmi.masked != 0;
  e.sipi_vector = k.sipi_vector;
  e.smm = k.smi.smm != 0;
  e.smm_pending = k.smi.pending != 0;
  e.smm_inside_nmi = k.smi.smm_inside_nmi != 0;
  e.smm_latched_init = k.smi.latched_init != 0;
  return {};
}

Result<> set_events(int fd, const KvmStateShape& shape, const X86State& s) {
  kvm_vcpu_events k{};
  const X86Events& e = s.events;
  k.exception.injected = e.exception_injected;
  k.exception.pending = e.exception_pending;
  k.exception.nr = e.exception_vector;
  k.exception.has_error_code = e.exception_has_error;
  k.exception.error_code = e.exception_error;
  k.exception_has_payload = e.exception_has_payload;
  k.exception_payload = e.exception_payload;
  k.interrupt.injected = e.interrupt_injected;
  k.interrupt.soft = e.interrupt_soft;
  k.interrupt.nr = e.interrupt_vector;
  k.interrupt.shadow = e.interrupt_shadow;
  k.nmi.injected = e.nmi_injected;
  k.nmi.pending = e.nmi_pending;
  k.nmi.masked = e.nmi_masked;
  k.sipi_vector = e.sipi_vector;
  k.flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SIPI_VECTOR | KVM_VCPUEVENT_VALID_SHADOW;
  if (shape.has_payload) k.flags |= KVM_VCPUEVENT_VALID_PAYLOAD;
  if (e.smm || e.smm_pending || e.smm_inside_nmi || e.smm_latched_init) {
    k.smi.smm = e.smm;
    k.smi.pending = e.smm_pending;
    k.smi.smm_inside_nmi = e.smm_inside_nmi;
    k.smi.latched_init = e.smm_latched_init;
    k.flags |= KVM_VCPUEVENT_VALID_SMM;
  }
  TRY(kvm_call(fd, KVM_SET_VCPU_EVENTS, "KVM_SET_VCPU_EVENTS", &k));
  return {};
}

constexpr uint32_t kMpStates[] = {KVM_MP_STATE_RUNNABLE, KVM_MP_STATE_UNINITIALIZED,
                                  KVM_MP_STATE_INIT_RECEIVED, KVM_MP_STATE_HALTED,
                                  KVM_MP_STATE_SIPI_RECEIVED};

Result<> get_mp_state(int fd, X86State& s) {
  kvm_mp_state k{};
  TRY(kvm_call(fd, KVM_GET_MP_STATE, "KVM_GET_MP_STATE", &k));
  auto at = std::find(std::begin(kMpStates), std::end(kMpStates), k.mp_state);
  if (at == std::end(kMpStates)) return fail(EINVAL, "KVM: processor state ", k.mp_state, " is not known");
  s.mp_state = static_cast<X86MpState>(at - kMpStates);
  return {};
}

Result<> set_mp_state(int fd, const KvmStateShape& shape, const X86State& s) {
  // Without a kernel LAPIC the kernel knows running processors only.
  if (!shape.kernel_lapic && s.mp_state != X86MpState::kRunnable)
    return fail(ENOTSUP, "KVM: a waiting processor needs the kernel's local APIC");
  kvm_mp_state k{};
  k.mp_state = kMpStates[static_cast<size_t>(s.mp_state)];
  TRY(kvm_call(fd, KVM_SET_MP_STATE, "KVM_SET_MP_STATE", &k));
  return {};
}

}  // namespace

KvmStateShape KvmStateShape::probe(int kvm_fd, int vm_fd, bool kernel_lapic) {
  KvmStateShape shape;
  shape.kernel_lapic = kernel_lapic;
  shape.has_xsave = kvm_capability(kvm_fd, KVM_CAP_XSAVE) != 0;
  shape.has_xcrs = kvm_capability(kvm_fd, KVM_CAP_XCRS) != 0;
  shape.has_debugregs = kvm_capability(kvm_fd, KVM_CAP_DEBUGREGS) != 0;
  shape.has_tsc_khz = kvm_capability(kvm_fd, KVM_CAP_GET_TSC_KHZ) != 0;
  int bytes = kvm_capability(vm_fd, KVM_CAP_XSAVE2);
  if (bytes > 0) shape.xsave_bytes = static_cast<size_t>(bytes);
  kvm_enable_cap payload{};
  payload.cap = KVM_CAP_EXCEPTION_PAYLOAD;
  payload.args[0] = 1;
  shape.has_payload = kvm_ioctl(vm_fd, KVM_ENABLE_CAP, &payload) >= 0;
  shape.msrs = kvm_kept_msrs(kvm_fd);
  return shape;
}

Result<> kvm_change_registers(int fd, const std::function<void(std::array<uint64_t, 16>&)>& fn) {
  X86State s;
  TRY(get_regs(fd, s));
  fn(s.gpr);
  return set_regs(fd, s);
}

Result<X86State> kvm_get_state(int fd, const KvmStateShape& shape) {
  X86State s;
  TRY(get_mp_state(fd, s));  // first: it makes the kernel take in INIT and SIPI that wait
  TRY(get_regs(fd, s));
  TRY(get_sregs(fd, s));
  TRY(get_xsave(fd, shape, s));
  TRY(get_xcrs(fd, shape, s));
  TRY(kvm_get_msrs(fd, shape.msrs, s));
  TRY(get_lapic(fd, shape, s));
  TRY(get_debugregs(fd, shape, s));
  TRY(get_events(fd, s));
  if (shape.has_tsc_khz) s.tsc_khz = static_cast<uint32_t>(std::max(kvm_ioctl(fd, KVM_GET_TSC_KHZ), 0));
  return s;
}

/// The order matters: the LAPIC needs the base in the system registers, the deadline timer (an MSR) the
/// LAPIC, and setting registers drops a pending exception, so events come late.
Result<> kvm_set_state(int fd, const KvmStateShape& shape, const X86State& s) {
  TRY(set_sregs(fd, s));
  TRY(set_regs(fd, s));
  TRY(set_xcrs(fd, shape, s));
  TRY(set_xsave(fd, shape, s));
  TRY(set_lapic(fd, shape, s));
  TRY(kvm_set_msrs(fd, shape.msrs, s));
  TRY(set_debugregs(fd, shape, s));
  TRY(set_events(fd, shape, s));
  TRY(set_mp_state(fd, shape, s));
  return {};
}

}  // namespace rhea
