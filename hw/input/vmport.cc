#include "hw/input/vmport.h"

#include <algorithm>

#include "util/byteorder.h"
#include "util/log.h"

namespace rhea {

namespace {
constexpr uint16_t kVmportBase = 0x5658, kVmportBytes = 4;  // one register of any width
constexpr uint32_t kVmportMagic = 0x564d'5868;
constexpr uint32_t kVmportAllOnes = UINT32_MAX;
// backdoor_def.h's BDOOR_CMD_*.
constexpr unsigned kGetVersion = 10, kGetUuid = 19, kGetRamSize = 20, kGetTime = 23, kGetTimeFull = 46,
                   kGetVcpuInfo = 68;
constexpr uint32_t kRamSizeMark = 0x1177;
constexpr uint32_t kMaxTimeLagUs = 1'000'000;
constexpr uint32_t kVcpuInfoX2apic = 1u << 3;
constexpr uint32_t kCpuidX2apic = 1u << 21;  // of leaf 1's ECX
constexpr int64_t kUsPerSecond = 1'000'000;

void set_low(uint64_t& reg, uint32_t value) {
  reg = value;  // a 32-bit result clears the upper half
}
}  // namespace

constexpr PropertyInfo Vmport::kProperties[] = {
    prop<&Vmport::read_set_eax>("x-read-set-eax"),
    prop<&Vmport::signal_unsupported>("x-signal-unsupported-cmd"),
    prop<&Vmport::report_vmx_type>("x-report-vmx-type"),
    prop<&Vmport::commands_v2>("x-cmds-v2"),
    prop<&Vmport::vmx_version>("vmware-vmx-version"),
    prop<&Vmport::vmx_type>("vmware-vmx-type"),
};
constexpr TypeInfo Vmport::kType{
    .name = "vmport",
    .parent = &IsaDevice::kType,
    .create = []() -> std::shared_ptr<Object> { return std::make_shared<Vmport>(); },
    .properties = Vmport::kProperties};

Result<> Vmport::do_realize() {
  add_plain_commands();
  if (commands_v2) add_later_commands();
  add_ports(kVmportBase, kVmportBytes, io_, "vmport", {.valid_max = 4, .impl_max = 4});
  return {};
}

void Vmport::set_command(unsigned number, Command command) {
  if (number < commands_.size()) commands_[number] = std::move(command);
}

void Vmport::add_plain_commands() {
  set_command(kGetVersion, [this](Registers& r) {
    set_low(r[kRbx], kVmportMagic);
    if (report_vmx_type) set_low(r[kRcx], vmx_type);
    return vmx_version;
  });
  set_command(kGetRamSize, [this](Registers& r) {
    set_low(r[kRbx], kRamSizeMark);
    return static_cast<uint32_t>(ram_bytes);
  });
}

void Vmport::add_later_commands() {
  set_command(kGetUuid, [this](Registers& r) {
    set_low(r[kRbx], load_le<uint32_t>(&uuid[4]));
    set_low(r[kRcx], load_le<uint32_t>(&uuid[8]));
    set_low(r[kRdx], load_le<uint32_t>(&uuid[12]));
    return load_le<uint32_t>(&uuid[0]);
  });
  auto time = [this](Registers& r) {
    const int64_t us = host_time_us ? host_time_us() : 0;
    set_low(r[kRbx], static_cast<uint32_t>(us % kUsPerSecond));
    set_low(r[kRcx], kMaxTimeLagUs);
    return static_cast<uint64_t>(us / kUsPerSecond);
  };
  set_command(kGetTime, [time](Registers& r) { return static_cast<uint32_t>(time(r)); });
  set_command(kGetTimeFull, [time](Registers& r) {
    const uint64_t seconds = time(r);
    set_low(r[kRsi], static_cast<uint32_t>(seconds >> 32));
    set_low(r[kRdx], static_cast<uint32_t>(seconds));
    return kVmportMagic;
  });
  set_command(kGetVcpuInfo, [this](Registers&) {
    const CpuidLeaf* leaf = find_cpuid(current_vcpu()->cpuid(), 1);
    return leaf != nullptr && (leaf->ecx & kCpuidX2apic) != 0 ? kVcpuInfoX2apic : 0u;
  });
}

/// The answer to the command in `r`, which goes to EAX.
uint32_t Vmport::answer(Registers& r) {
  const auto eax = static_cast<uint32_t>(r[kRax]);
  const auto number = static_cast<uint16_t>(r[kRcx]);
  if (eax == kVmportMagic && number < commands_.size() && commands_[number]) return commands_[number](r);
  if (eax == kVmportMagic && log_enabled(LogItem::kUnimplemented))
    log_line(LogItem::kUnimplemented, str_cat("vmport: command ", number, " is not known"));
  return signal_unsupported ? kVmportAllOnes : eax;
}

/// Only a processor has registers to answer in: other accesses, as a test's, read as ones.
uint64_t Vmport::run(bool is_write) {
  Vcpu* vcpu = current_vcpu ? current_vcpu() : nullptr;
  if (vcpu == nullptr) return kVmportAllOnes;
  uint32_t eax = 0;
  const bool sets_eax = is_write || read_set_eax;
  const Result<> changed = vcpu->change_registers([&](Registers& r) {
    eax = answer(r);
    if (sets_eax) set_low(r[kRax], eax);
  });
  if (changed) return eax;
  error_report(changed.error());
  return kVmportAllOnes;
}

}  // namespace rhea
