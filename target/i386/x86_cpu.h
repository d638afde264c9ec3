// A processor as an object of the machine: its model, its properties, the vCPU that plays it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "accel/accel.h"
#include "hw/core/device.h"
#include "hw/core/machine.h"
#include "target/i386/cpu_model.h"
#include "target/i386/hyperv.h"

namespace rhea {

/// "x86_64-cpu" and one type for each model ("qemu64-x86_64-cpu"). Features are boolean properties by their
/// names. Main loop.
class X86Cpu final : public Device {
 public:
  static const TypeInfo kType;  ///< "x86_64-cpu", abstract
  static constexpr uint32_t kAuto = UINT32_MAX;

  explicit X86Cpu(const X86CpuModel& model_info);
  ~X86Cpu() override;
  const TypeInfo& type() const override;
  const VMState* vmstate() const override;
  void describe(std::string& out) const override;

  const X86CpuModel& model_info() const { return info_; }
  /// Where it runs and what it is called there; before realize().
  void attach(Accelerator& accelerator, unsigned cpu_index, const CpuTopology& smp);
  Vcpu* vcpu() const { return vcpu_; }
  unsigned index() const { return index_; }
  /// The realized processors, in order of their index.
  static const std::vector<X86Cpu*>& all();
  /// Who gives a processor that is added later its place: called before it is realized, and before its
  /// properties are looked at. Null: none is taken.
  using PlugHandler = std::function<Result<>(X86Cpu&)>;
  static void set_plug_handler(PlugHandler handler);

  /// What KVM's processors start with, where machines differ.
  struct KvmDefaults {
    bool x2apic = true;     ///< every model has it
    bool hides_svm = true;  ///< no model has it
  };
  static KvmDefaults& kvm_defaults();

  /// "+feature" and "-feature" of -cpu, which hold for every processor of the type and win over the rest.
  static void set_overrides(const X86CpuModel* model, std::vector<std::string> plus,
                            std::vector<std::string> minus);

  bool feature(FeatureBit bit) const;
  bool feature(std::string_view name) const;
  /// All bits of the name. No effect if there is none.
  void set_feature(std::string_view name, bool on);
  /// Bits asked for that the host does not have.
  const FeatureBits& filtered() const { return filtered_; }
  const FeatureBits& features() const { return features_; }
  /// Their names.
  std::vector<std::string> unavailable_features() const;

  /// Settles what the properties leave open: the features of models max and host, what depends on what, the
  /// levels. The processor need not be realized after it.
  Result<> expand();
  /// Takes away what the accelerator does not have, and warns where `verbose`.
  void filter(bool verbose);

  // Properties.
  std::string vendor, model_id;
  uint32_t family = 0, model = 0, stepping = 0;
  uint32_t level = kAuto, level_func7 = kAuto, xlevel = kAuto, xlevel2 = kAuto;  ///< kAuto: as needed
  uint32_t min_level = 0, min_xlevel = 0, min_xlevel2 = 0;
  bool full_auto_level = true;  ///< every feature's leaf is within reach
  bool intel_pt_auto_level = true;
  uint32_t phys_bits = 0;  ///< 0: the default
  bool host_phys_bits = false;
  uint8_t host_phys_bits_limit = 0;
  bool migratable = true;  ///< models max and host: leave out what cannot move to another host
  bool kvm = true;         ///< show KVM's leaves
  bool check = true, enforce = false, force_features = false;
  bool legacy_cache = true, l3_cache = true, cpuid_0xb = true, host_cache_info = false;
  bool pmu = false, lmce = false;
  bool vmware_freq = true, fill_mtrr_mask = true, tcg_cpuid = true, vendor_cpuid_only = true;
  bool migrate_smi_count = true, kvm_no_smi_migration = false, kvm_pv_enforce_cpuid = false;
  bool start_powered_off = false;
  uint64_t lbr_fmt = ~uint64_t{0x3f};
  uint64_t ucode_rev = 0;
  int64_t tsc_frequency = 0;  ///< Hz; 0: the host's
  uint32_t apic_id = kAuto;
  int32_t node_id = -1, socket_id = -1, die_id = -1, core_id = -1, thread_id = -1;
  HypervOptions hyperv;

  X86State saved;  ///< what is read before saving and written after loading

 protected:
  Result<> do_realize() override;
  void do_unrealize() override;

 private:
  void take_accelerator_defaults();
  void take_host_identity(const CpuidTable& host);
  Result<> apply_overrides();
  void add_all_features();
  void drop_what_lacks_its_base();
  void choose_xsave_components();
  void choose_levels();
  void reach_intel_pt();
  void raise_level(FeatureWord w);
  void repeat_amd_bits();
  uint64_t supported(FeatureWord w) const;
  void mark_unavailable(FeatureWord w, uint64_t bits, const char* why, bool verbose);
  uint32_t host_phys_bits_value() const;
  Result<> choose_phys_bits();
  Result<CpuIdentity> identity();
  std::vector<X86Msr> feature_msrs() const;
  uint64_t& word(FeatureWord w) { return features_[static_cast<size_t>(w)]; }
  uint64_t word(FeatureWord w) const { return features_[static_cast<size_t>(w)]; }
  bool under_kvm() const;

  const X86CpuModel& info_;
  FeatureBits features_, touched_{}, filtered_{};
  bool expanded_ = false;
  Accelerator* accel_ = nullptr;
  Vcpu* vcpu_ = nullptr;
  unsigned index_ = 0;
  CpuTopology topology_;
};

/// Makes the types known.
void register_x86_cpu_types();

/// The model that -cpu text `option` names, with its properties and features in force for every processor of
/// it that is made. What is odd about the text is said.
Result<const X86CpuModel*> apply_cpu_option(std::string_view option);

/// Makes a processor of `info` with the properties in force; it is nowhere yet.
Result<std::shared_ptr<X86Cpu>> make_x86_cpu(const X86CpuModel& info);

/// Makes `smp.cpus` processors of `model`, as children "device[*]" of `parent`, with a vCPU each. After a
/// failure the accelerator is of no more use.
Result<> create_cpus(Accelerator& accel, const SmpTopology& smp, const X86CpuModel& model, Object& parent,
                     const NumaConfig& numa = {});

/// Gives a processor that is added later the place that its ids name; they and its type are checked.
Result<> plug_cpu(X86Cpu& cpu, Accelerator& accel);

}  // namespace rhea
