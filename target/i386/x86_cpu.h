// A processor as an object of the machine: its model, its properties, the vCPU that plays it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "accel/accel.h"
#include "hw/core/device.h"
#include "hw/core/machine.h"
#include "target/i386/cpu_model.h"

namespace rhea {

/// "x86_64-cpu" and one type for each model ("qemu64-x86_64-cpu"). Features are boolean properties by their
/// names. Main loop.
class X86Cpu final : public Device {
 public:
  static const TypeInfo kType;  ///< "x86_64-cpu", abstract
  static constexpr uint32_t kAuto = UINT32_MAX;

  explicit X86Cpu(const CpuModelInfo& model_info);
  ~X86Cpu() override;
  const TypeInfo& type() const override;
  bool hotpluggable() const override { return false; }
  const VMState* vmstate() const override;
  void describe(std::string& out) const override;

  const CpuModelInfo& model_info() const { return info_; }
  /// Where it runs and what it is called there; before realize().
  void attach(Accelerator& accelerator, unsigned cpu_index, const CpuTopology& smp);
  Vcpu* vcpu() const { return vcpu_; }
  unsigned index() const { return index_; }
  /// The realized processors, in order of their index.
  static const std::vector<X86Cpu*>& all();

  bool feature(FeatureBit bit) const;
  void set_feature(FeatureBit bit, bool on);
  /// Bits asked for that the host does not have.
  const FeatureBits& filtered() const { return filtered_; }
  const FeatureBits& features() const { return features_; }

  // Properties.
  std::string vendor, model_id;
  uint32_t family = 0, model = 0, stepping = 0;
  uint32_t level = kAuto, xlevel = kAuto;  ///< kAuto: as the features need
  uint32_t phys_bits = 0;                  ///< 0: the default
  bool host_phys_bits = false;
  bool migratable = true;  ///< model host: leave out what cannot move to another host
  bool kvm = true;         ///< show KVM's leaves
  bool check = true, enforce = false;
  uint32_t apic_id = kAuto;
  int32_t socket_id = -1, die_id = -1, core_id = -1, thread_id = -1;

  X86State saved;  ///< what is read before saving and written after loading

 protected:
  Result<> do_realize() override;
  void do_unrealize() override;

 private:
  void take_host_identity();
  void add_defaults();
  Result<> filter_features();
  void choose_levels();
  uint32_t host_phys_bits_value() const;
  CpuIdentity identity() const;
  uint32_t& word(FeatureWord w) { return features_[static_cast<size_t>(w)]; }

  const CpuModelInfo& info_;
  FeatureBits features_, touched_{}, filtered_{};
  Accelerator* accel_ = nullptr;
  Vcpu* vcpu_ = nullptr;
  unsigned index_ = 0;
  CpuTopology topology_;
};

/// Makes the types known.
void register_x86_cpu_types();

/// Makes `smp.cpus` processors of the model that `-cpu` text `option` names, as children "device[*]" of
/// `parent`, with a vCPU each. After a failure the accelerator is of no more use.
Result<> create_cpus(Accelerator& accel, const SmpTopology& smp, std::string_view option, Object& parent);

}  // namespace rhea
