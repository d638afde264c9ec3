#include "accel/accel.h"

#include <algorithm>

#include "accel/accel_internal.h"
#include "accel/kvm/kvm_accel.h"
#include "accel/qtest/qtest_accel.h"
#include "util/byteorder.h"
#include "util/log.h"

namespace rhea {

namespace {

Accelerator* current_machine_accelerator = nullptr;

struct AccelKind {
  std::string_view name;
  Result<std::unique_ptr<Accelerator>> (*create)(const Json& options);
};
constexpr AccelKind kKinds[] = {{"kvm", create_kvm}, {"qtest", create_qtest}};

const AccelKind* find_kind(std::string_view name) {
  for (const AccelKind& kind : kKinds)
    if (kind.name == name) return &kind;
  return nullptr;
}

}  // namespace

void set_machine_accelerator(Accelerator* accel) {
  current_machine_accelerator = accel;
}

Result<> inject_lint1_nmi(Vcpu& vcpu) {
  constexpr size_t kLint1 = 0x360;
  constexpr uint32_t kMasked = 0x10000, kMode = 0x700, kNmi = 0x400;  // SDM 3, 11.5.1
  const X86State state = TRY(vcpu.get_state());
  if (state.lapic.size() >= kLint1 + 4) {
    const auto entry = load_le<uint32_t>(&state.lapic[kLint1]);
    if ((entry & kMasked) != 0 || (entry & kMode) != kNmi) return {};
  }
  return vcpu.inject_nmi();
}

Accelerator* machine_accelerator() {
  return current_machine_accelerator;
}

void Accelerator::GsiSink::set_irq(int n, int level) {
  if (KernelIrqchip* chip = accel_.irqchip()) chip->set_gsi(n, level);
}

Result<> Vcpu::reset() {
  if (log_enabled(LogItem::kReset))
    if (const Result<X86State> state = get_state())
      log_line(LogItem::kReset, str_cat("CPU Reset (CPU ", index(), ")\n", x86_registers_text(*state)));
  const CpuidLeaf* leaf = find_cpuid(cpuid(), 1);
  return set_state(x86_reset_state(index() == 0, apic_id(), leaf != nullptr ? leaf->eax : 0));
}

Result<> Accelerator::reset() {
  if (irqchip() != nullptr) TRY(irqchip()->reset());
  for (const auto& vcpu : vcpus_) TRY(vcpu->reset());
  return {};
}

std::vector<AccelRequest> parse_accel_list(std::string_view names) {
  std::vector<AccelRequest> requests;
  while (true) {
    size_t colon = names.find(':');
    requests.push_back({std::string(names.substr(0, colon)), Json::object()});
    if (colon == std::string_view::npos) return requests;
    names.remove_prefix(colon + 1);
  }
}

Result<std::unique_ptr<Accelerator>> create_accelerator(std::span<const AccelRequest> requests,
                                                        bool quiet_kvm, bool may_idle) {
  // A manager asks "kvm:tcg" to learn what there is, on whatever host: nothing is to run.
  const bool idles = may_idle && std::ranges::find(requests, "tcg", &AccelRequest::name) != requests.end();
  Failure last = fail(ENODEV, "no accelerator found");
  bool failed_before = false;
  for (size_t i = 0; i < requests.size(); ++i) {
    const AccelRequest& request = requests[i];
    bool is_last = i + 1 == requests.size();
    const AccelKind* kind = find_kind(request.name);
    if (kind == nullptr && idles && request.name == "tcg") {
      if (failed_before && !quiet_kvm) error_report("falling back to none: the machine has no processors");
      return create_idle();
    }
    if (kind == nullptr) {
      last = fail(ENODEV, "invalid accelerator ", request.name);
      if (!is_last) error_report(last.error());
      continue;
    }
    auto accel = kind->create(request.options);
    if (accel) {
      if (failed_before && !quiet_kvm) error_report(str_cat("falling back to ", request.name));
      return accel;
    }
    if (accel.error().errnum() == kBadAccelOption) return accel;
    bool quiet = quiet_kvm && accel.error().errnum() == ENOENT;
    if (!quiet) error_report(accel.error());
    last = fail_errno(accel.error().errnum(), "failed to initialize ", request.name);
    if (!quiet && !is_last) error_report(last.error());
    failed_before = true;
  }
  return last;
}

void Accelerator::remove_vcpu(Vcpu& vcpu) {
  const auto it = std::ranges::find(vcpus_, &vcpu, &std::unique_ptr<Vcpu>::get);
  if (it == vcpus_.end()) return;
  const std::unique_ptr<Vcpu> last = std::move(*it);  // whoever looks while its thread ends finds it gone
  vcpus_.erase(it);
}

std::string accelerators_help() {
  std::string text = "Accelerators supported in QEMU binary:\n";
  for (const AccelKind& kind : kKinds) str_append(text, kind.name, "\n");
  return text;
}

std::string info_cpus_text(unsigned current) {
  std::string text;
  if (machine_accelerator() == nullptr) return text;
  for (const auto& vcpu : machine_accelerator()->vcpus())
    str_append(text, vcpu->index() == current ? "*" : " ", " CPU #", vcpu->index(),
               ": thread_id=", vcpu->thread_id(), "\n");
  return text;
}

Result<std::string> info_registers_text(unsigned current, bool all) {
  std::string text;
  if (machine_accelerator() != nullptr) {
    for (const auto& vcpu : machine_accelerator()->vcpus()) {
      if (!all && vcpu->index() != current) continue;
      str_append(text, "\nCPU#", vcpu->index(), "\n", x86_registers_text(TRY(vcpu->get_state())));
    }
  }
  if (text.empty()) return fail(ENOENT, "No CPU available");
  return text;
}

}  // namespace rhea
