// MSRs: Intel SDM volume 4; AMD APM volume 2, appendix A; Documentation/virt/kvm/x86/msr.rst.
#include "accel/kvm/kvm_msrs.h"

#include <algorithm>

#include "accel/kvm/kvm_ioctl.h"

namespace rhea {

namespace {

constexpr uint32_t kTscDeadline = 0x6e0;
constexpr uint32_t kPollControl = 0x4b564d05;

/// Guest state among the registers a host may list. The others describe the host, or cannot be written.
constexpr uint32_t kStateMsrs[] = {
    0x10,        // TSC
    0x3a,        // FEATURE_CONTROL
    0x3b,        // TSC_ADJUST
    0x48,        // SPEC_CTRL
    0xe1,        // UMWAIT_CONTROL
    0x122,       // TSX_CTRL
    0x140,       // MISC_FEATURES_ENABLES
    0x174,       // SYSENTER_CS
    0x175,       // SYSENTER_ESP
    0x176,       // SYSENTER_EIP
    0x17a,       // MCG_STATUS
    0x17b,       // MCG_CTL
    0x1a0,       // MISC_ENABLE
    0x1c4,       // XFD
    0x1c5,       // XFD_ERR
    0x1d9,       // DEBUGCTL
    0x277,       // PAT
    0xd90,       // BNDCFGS
    0xda0,       // XSS
    0xc0000081,  // STAR
    0xc0000082,  // LSTAR
    0xc0000083,  // CSTAR
    0xc0000084,  // SFMASK
    0xc0000102,  // KERNEL_GS_BASE
    0xc0000103,  // TSC_AUX
    0xc0000104,  // TSC_RATIO
    0xc001011f,  // VIRT_SPEC_CTRL
    0xc0010117,  // VM_HSAVE_PA
    0x11,        // KVM wall clock, old
    0x12,        // KVM system time, old
    0x4b564d00,  // KVM wall clock
    0x4b564d01,  // KVM system time
    0x4b564d02,  // KVM asynchronous page faults
    0x4b564d03,  // KVM steal time
    0x4b564d04,  // KVM paravirtual EOI
    0x4b564d06,  // KVM asynchronous page faults, interrupt
    0x4b564d07,  // KVM asynchronous page faults, acknowledge
    kPollControl, kTscDeadline,
};

/// MTRRs: not in the host's list, but every host has them.
std::vector<uint32_t> mtrrs() {
  std::vector<uint32_t> list = {0x2ff, 0x250, 0x258, 0x259};
  for (uint32_t i = 0x268; i <= 0x26f; ++i) list.push_back(i);
  for (uint32_t i = 0x200; i <= 0x20f; ++i) list.push_back(i);
  return list;
}

uint64_t reset_value(uint32_t index) {
  return index == kPollControl ? 1 : 0;
}

using MsrArray = KvmArray<kvm_msrs, kvm_msr_entry>;

}  // namespace

std::vector<uint32_t> kvm_kept_msrs(int kvm_fd) {
  KvmArray<kvm_msr_list, uint32_t> list(kMaxMsrs);
  list->nmsrs = kMaxMsrs;
  std::vector<uint32_t> kept;
  if (kvm_ioctl(kvm_fd, KVM_GET_MSR_INDEX_LIST, list.get()) >= 0) {
    const __u32* begin = list->indices;
    const __u32* end = begin + std::min<size_t>(list->nmsrs, kMaxMsrs);
    for (uint32_t index : kStateMsrs)
      if (std::find(begin, end, index) != end) kept.push_back(index);
  }
  // The deadline timer is armed last, when the clock it counts by is set.
  auto deadline = std::find(kept.begin(), kept.end(), kTscDeadline);
  std::vector<uint32_t> more = mtrrs();
  kept.insert(deadline, more.begin(), more.end());
  return kept;
}

/// The kernel stops at the first register it does not have: that one is left out, the rest goes on.
Result<> kvm_get_msrs(int vcpu_fd, const std::vector<uint32_t>& kept, X86State& state) {
  MsrArray msrs(kept.size());
  size_t at = 0;
  while (at < kept.size()) {
    msrs->nmsrs = static_cast<uint32_t>(kept.size() - at);
    for (size_t i = at; i < kept.size(); ++i) msrs->entries[i - at].index = kept[i];
    auto done = static_cast<size_t>(TRY(kvm_call(vcpu_fd, KVM_GET_MSRS, "KVM_GET_MSRS", msrs.get())));
    for (size_t i = 0; i < done; ++i) state.msrs.push_back({msrs->entries[i].index, msrs->entries[i].data});
    at += done + 1;
  }
  return {};
}

Result<> kvm_set_msrs(int vcpu_fd, const std::vector<uint32_t>& kept, const X86State& state) {
  std::vector<X86Msr> wanted;
  for (uint32_t index : kept) {
    auto given =
        std::find_if(state.msrs.begin(), state.msrs.end(), [&](const X86Msr& m) { return m.index == index; });
    wanted.push_back(given != state.msrs.end() ? *given : X86Msr{index, reset_value(index)});
  }
  MsrArray msrs(wanted.size());
  size_t at = 0;
  while (at < wanted.size()) {
    msrs->nmsrs = static_cast<uint32_t>(wanted.size() - at);
    for (size_t i = at; i < wanted.size(); ++i)
      msrs->entries[i - at] = {.index = wanted[i].index, .reserved = 0, .data = wanted[i].value};
    at += static_cast<size_t>(TRY(kvm_call(vcpu_fd, KVM_SET_MSRS, "KVM_SET_MSRS", msrs.get())));
    if (at == wanted.size()) break;
    // A register that this CPU model lacks holds nothing.
    if (wanted[at].value != reset_value(wanted[at].index) && wanted[at].value != 0)
      return fail(EINVAL, "KVM: MSR 0x", hex(wanted[at].index), " cannot be set to 0x",
                  hex(wanted[at].value));
    ++at;
  }
  return {};
}

}  // namespace rhea
