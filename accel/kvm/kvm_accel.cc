#include "accel/kvm/kvm_accel.h"

#include <fcntl.h>

#include "accel/accel_internal.h"
#include "accel/kvm/kvm_ioctl.h"
#include "accel/kvm/kvm_irqchip.h"
#include "accel/kvm/kvm_memory.h"
#include "accel/kvm/kvm_stats.h"
#include "accel/kvm/kvm_vcpu.h"
#include "util/locks.h"

namespace rhea {

namespace {

/// Four pages below the firmware for the tables that Intel processors need to run real mode; firmware's
/// memory map reserves them.
constexpr uint64_t kIdentityMap = 0xfeffc000, kTss = 0xfeffd000;
constexpr unsigned kMaxApicIds = 255;  // 8-bit ids, the last means all
constexpr unsigned kDefaultSlots = 32;

class KvmAccel final : public Accelerator, public CounterSource {
 public:
  KvmAccel(UniqueFd kvm, UniqueFd vm) : kvm_(std::move(kvm)), vm_(std::move(vm)) {}
  ~KvmAccel() override;
  Result<> open();

  std::string_view name() const override { return "kvm"; }
  bool runs_guest() const override { return true; }
  Result<> init(AccelCallbacks callbacks) override;
  const CpuidTable* supported_cpuid() const override { return &supported_; }
  const CpuidTable& supported_hyperv_cpuid() const override { return hyperv_; }
  uint64_t feature_msr(uint32_t index) const override;
  unsigned max_vcpus() const override { return max_vcpus_; }
  bool wants_irqchip() const override { return irqchip_ == nullptr && !wants_split_; }
  SplitIrqchip* split_irqchip() override { return split_.get(); }
  void want_split() { wants_split_ = true; }
  Result<> create_irqchip(bool pit) override;
  KernelIrqchip* irqchip() override { return irqchip_.get(); }
  Result<Vcpu*> create_vcpu(VcpuConfig config) override;
  void remove_vcpu(Vcpu& vcpu) override;
  void start_vcpus() override;
  void stop_vcpus() override;
  bool vcpus_running() const override { return running_; }
  void pause_current_vcpu() override;
  Vcpu* current_vcpu() const override { return KvmVcpu::current(); }
  uint64_t kvmclock_ns() const override { return running_ ? read_clock() : clock_ns_; }
  void set_kvmclock_ns(uint64_t ns) override { clock_ns_ = ns; }
  Result<std::vector<AccelCounter>> counters(const Vcpu* vcpu) override;
  Result<> update_dirty_logging() override { return memory_->update_dirty_logging(); }
  Result<> sync_dirty_log() override { return memory_->sync_dirty_log(); }

 private:
  Result<> check_capabilities();
  Result<CpuidTable> read_cpuid_list(unsigned long request, std::string_view name) const;
  Result<> read_supported_cpuid();
  void adjust_supported_cpuid();
  CpuidLeaf* supported_leaf(uint32_t function);
  void exclude_vcpus(bool exclude);
  uint64_t read_clock() const;
  KvmVcpu& vcpu(size_t i) { return static_cast<KvmVcpu&>(*vcpus_[i]); }

  UniqueFd kvm_, vm_, counters_fd_;
  KvmShared shared_;
  CpuidTable supported_, hyperv_;
  unsigned max_vcpus_ = 1;
  std::unique_ptr<KvmIrqchip> irqchip_;
  bool wants_split_ = false;
  std::unique_ptr<KvmSplitIrqchip> split_;
  std::unique_ptr<KvmMemory> memory_;
  std::unique_ptr<KvmPorts> ports_;
  bool running_ = false;
  uint64_t clock_ns_ = 0;
};

KvmAccel::~KvmAccel() {
  if (machine_accelerator() == this) set_machine_accelerator(nullptr);
  for (auto& v : vcpus_) static_cast<KvmVcpu&>(*v).request_stop();
  vcpus_.clear();
  if (memory_ != nullptr) memory_space().remove_listener(*memory_);
  if (ports_ != nullptr) io_space().remove_listener(*ports_);
}

Result<> KvmAccel::check_capabilities() {
  struct Needed {
    int capability;
    const char* name;
  };
  static constexpr Needed kNeeded[] = {{KVM_CAP_USER_MEMORY, "user memory"},
                                       {KVM_CAP_DESTROY_MEMORY_REGION_WORKS, "memory slot removal"},
                                       {KVM_CAP_IMMEDIATE_EXIT, "immediate exit"},
                                       {KVM_CAP_READONLY_MEM, "read-only memory"},
                                       {KVM_CAP_EXT_CPUID, "extended CPUID"},
                                       {KVM_CAP_VCPU_EVENTS, "vCPU events"},
                                       {KVM_CAP_MP_STATE, "processor states"}};
  for (const Needed& n : kNeeded)
    if (kvm_capability(kvm_.get(), n.capability) == 0)
      return fail(ENOTSUP, "KVM of this host lacks a capability that is needed: ", n.name);
  return {};
}

Result<> KvmAccel::open() {
  TRY(check_capabilities());
  shared_.vm_fd = vm_.get();
  shared_.run_bytes =
      static_cast<size_t>(TRY(kvm_call(kvm_.get(), KVM_GET_VCPU_MMAP_SIZE, "KVM_GET_VCPU_MMAP_SIZE", 0ul)));
  if (shared_.run_bytes < sizeof(kvm_run)) return fail(ENOTSUP, "KVM: the vCPU area is too small");
  int cap = kvm_capability(vm_.get(), KVM_CAP_MAX_VCPUS);
  max_vcpus_ = std::min<unsigned>(cap > 0 ? static_cast<unsigned>(cap) : 4, kMaxApicIds);
  if (kvm_capability(kvm_.get(), KVM_CAP_SET_IDENTITY_MAP_ADDR) != 0) {
    uint64_t address = kIdentityMap;
    TRY(kvm_call(vm_.get(), KVM_SET_IDENTITY_MAP_ADDR, "KVM_SET_IDENTITY_MAP_ADDR", &address));
  }
  if (kvm_capability(kvm_.get(), KVM_CAP_SET_TSS_ADDR) != 0)
    TRY(kvm_call(vm_.get(), KVM_SET_TSS_ADDR, "KVM_SET_TSS_ADDR", static_cast<unsigned long>(kTss)));
  return read_supported_cpuid();
}

Result<CpuidTable> KvmAccel::read_cpuid_list(unsigned long request, std::string_view name) const {
  for (size_t count = 128; count <= 4096; count *= 2) {
    KvmArray<kvm_cpuid2, kvm_cpuid_entry2> table(count);
    table->nent = static_cast<uint32_t>(count);
    int r = kvm_ioctl(kvm_.get(), request, table.get());
    if (r == -E2BIG) continue;
    if (r < 0) return fail_errno(-r, "KVM: ", name, " failed");
    CpuidTable list;
    for (uint32_t i = 0; i < table->nent; ++i) {
      const kvm_cpuid_entry2& e = table->entries[i];
      list.push_back({e.function, e.index, (e.flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) != 0, e.eax, e.ebx,
                      e.ecx, e.edx});
    }
    return list;
  }
  return fail(E2BIG, "KVM: the list of CPUID leaves has no end");
}

Result<> KvmAccel::read_supported_cpuid() {
  supported_ = TRY(read_cpuid_list(KVM_GET_SUPPORTED_CPUID, "KVM_GET_SUPPORTED_CPUID"));
  adjust_supported_cpuid();
  if (kvm_capability(kvm_.get(), KVM_CAP_SYS_HYPERV_CPUID) != 0)
    if (Result<CpuidTable> list = read_cpuid_list(KVM_GET_SUPPORTED_HV_CPUID, "KVM_GET_SUPPORTED_HV_CPUID"))
      hyperv_ =
          std::move(*list);  // without it no enlightenment can be had, which is said when one is asked for
  return {};
}

CpuidLeaf* KvmAccel::supported_leaf(uint32_t function) {
  return const_cast<CpuidLeaf*>(find_cpuid(supported_, function));
}

/// What the kernel can do and does not say in its table.
void KvmAccel::adjust_supported_cpuid() {
  constexpr uint32_t kX2apic = 1u << 21, kTscDeadline = 1u << 24, kHypervisor = 1u << 31, kArat = 1u << 2;
  constexpr uint32_t kApic = 1u << 9;
  constexpr uint32_t kAmdSharedEdx = 0x0183f3ff;  // leaf 1 EDX bits that AMD repeats in 0x80000001
  if (CpuidLeaf* leaf = supported_leaf(1)) {
    leaf->ecx |= kHypervisor | kX2apic;
    leaf->edx |= kApic;
    if (kvm_capability(kvm_.get(), KVM_CAP_TSC_DEADLINE_TIMER) != 0) leaf->ecx |= kTscDeadline;
    if (CpuidLeaf* extended = supported_leaf(0x80000001)) extended->edx |= leaf->edx & kAmdSharedEdx;
  }
  if (CpuidLeaf* leaf = supported_leaf(6)) leaf->eax |= kArat;
}

uint64_t KvmAccel::feature_msr(uint32_t index) const {
  if (kvm_capability(kvm_.get(), KVM_CAP_GET_MSR_FEATURES) == 0) return 0;
  KvmArray<kvm_msrs, kvm_msr_entry> list(1);
  list->nmsrs = 1;
  list->entries[0].index = index;
  return kvm_ioctl(kvm_.get(), KVM_GET_MSRS, list.get()) == 1 ? list->entries[0].data : 0;
}

Result<> KvmAccel::init(AccelCallbacks callbacks) {
  shared_.callbacks = std::move(callbacks);
  int slots = kvm_capability(kvm_.get(), KVM_CAP_NR_MEMSLOTS);
  memory_ = std::make_unique<KvmMemory>(vm_.get(), slots > 0 ? static_cast<unsigned>(slots) : kDefaultSlots,
                                        [this](bool on) { exclude_vcpus(on); });
  ports_ = std::make_unique<KvmPorts>(vm_.get());
  memory_space().add_listener(*memory_);
  io_space().add_listener(*ports_);
  set_machine_accelerator(this);
  if (wants_split_) {
    split_ = TRY(KvmSplitIrqchip::create(vm_.get()));
    shared_.split = split_.get();
  }
  return memory_->take_error();
}

Result<> KvmAccel::create_irqchip(bool pit) {
  if (irqchip_ != nullptr || !vcpus_.empty()) return fail(EBUSY, "KVM: too late for interrupt controllers");
  if (kvm_capability(kvm_.get(), KVM_CAP_IRQCHIP) == 0 ||
      kvm_capability(kvm_.get(), KVM_CAP_IRQ_ROUTING) == 0)
    return fail(ENOTSUP, "KVM of this host has no interrupt controllers in the kernel");
  if (pit && kvm_capability(kvm_.get(), KVM_CAP_PIT2) == 0)
    return fail(ENOTSUP, "KVM of this host has no PIT");
  irqchip_ = TRY(KvmIrqchip::create(vm_.get(), pit));
  return {};
}

Result<Vcpu*> KvmAccel::create_vcpu(VcpuConfig config) {
  if (vcpus_.size() >= max_vcpus_)
    return fail(E2BIG, "KVM: more than ", max_vcpus_, " vCPUs are not supported");
  if (vcpus_.empty())
    shared_.shape = KvmStateShape::probe(kvm_.get(), vm_.get(), irqchip_ != nullptr || split_ != nullptr);
  vcpus_.push_back(TRY(KvmVcpu::create(shared_, std::move(config))));
  Vcpu* made = vcpus_.back().get();
  if (Result<> set = made->reset(); !set) {
    vcpus_.pop_back();
    return Failure(std::move(set).error());
  }
  if (split_ != nullptr && made->index() == 0) split_->set_bootstrap(static_cast<KvmVcpu*>(made));
  if (running_) vcpu(vcpus_.size() - 1).start();
  return made;
}

/// It leaves the guest first: what changes the guest's memory waits for all that may run.
void KvmAccel::remove_vcpu(Vcpu& vcpu) {
  auto& leaving = static_cast<KvmVcpu&>(vcpu);
  leaving.request_stop();
  const bool held = MachineLock::held();
  if (held) machine_lock().unlock();
  leaving.wait_stopped();
  if (held) machine_lock().lock();
  Accelerator::remove_vcpu(vcpu);
}

void KvmAccel::start_vcpus() {
  if (!running_ && clock_ns_ != 0) {
    kvm_clock_data clock{};
    clock.clock = clock_ns_;
    kvm_ioctl(vm_.get(), KVM_SET_CLOCK, &clock);  // without it time has only passed
  }
  if (irqchip_ != nullptr) irqchip_->start_time();
  running_ = true;
  for (size_t i = 0; i < vcpus_.size(); ++i) vcpu(i).start();
}

void KvmAccel::stop_vcpus() {
  if (KvmVcpu::current() != nullptr) return pause_current_vcpu();
  for (size_t i = 0; i < vcpus_.size(); ++i) vcpu(i).request_stop();
  bool held = MachineLock::held();  // an exit being handled may need it to get done
  if (held) machine_lock().unlock();
  for (size_t i = 0; i < vcpus_.size(); ++i) vcpu(i).wait_stopped();
  if (held) machine_lock().lock();
  if (running_) clock_ns_ = read_clock();
  if (running_ && irqchip_ != nullptr) irqchip_->stop_time();
  running_ = false;
}

Result<std::vector<AccelCounter>> KvmAccel::counters(const Vcpu* of) {
  if (of == nullptr && !counters_fd_)
    if (const int fd = kvm_ioctl(vm_.get(), KVM_GET_STATS_FD); fd >= 0) counters_fd_ = UniqueFd(fd);
  const int fd = of != nullptr ? static_cast<const KvmVcpu*>(of)->counters_fd() : counters_fd_.get();
  if (fd < 0) return std::vector<AccelCounter>();
  return kvm_read_counters(fd);
}

void KvmAccel::pause_current_vcpu() {
  if (KvmVcpu* self = KvmVcpu::current()) self->request_stop();
}

uint64_t KvmAccel::read_clock() const {
  kvm_clock_data clock{};
  return kvm_ioctl(vm_.get(), KVM_GET_CLOCK, &clock) < 0 ? 0 : clock.clock;
}

void KvmAccel::exclude_vcpus(bool exclude) {
  if (!exclude) return shared_.gate.open();
  shared_.gate.shut();
  for (size_t i = 0; i < vcpus_.size(); ++i) {
    if (vcpu(i).is_current()) continue;
    if (vcpu(i).place().load()) vcpu(i).kick();
    shared_.gate.wait_outside(vcpu(i).place());
  }
}

/// Checks them; true if the controllers are to be split.
Result<bool> check_options(const Json& options) {
  bool split = false;
  if (!options.is_object()) return split;
  for (const auto& [key, value] : options.as_object()) {
    if (key != "kernel-irqchip") return fail(kBadAccelOption, "Property 'kvm-accel.", key, "' not found");
    std::string text = value.is_bool()     ? (value.as_bool() ? "on" : "off")
                       : value.is_string() ? value.as_string()
                                           : "";
    if (text == "off")
      return fail(kBadAccelOption, "kernel-irqchip=off is not supported: the local APIC is the kernel's");
    if (text == "split") split = true;
    if (text != "on" && text != "split")
      return fail(kBadAccelOption, "Parameter 'kernel-irqchip' does not accept value '", text, "'");
  }
  return split;
}

constexpr int kApiVersion = 12;

Result<UniqueFd> create_vm(int kvm_fd) {
  int version = kvm_ioctl(kvm_fd, KVM_GET_API_VERSION);
  if (version < 0) return fail_errno(-version, "Could not access KVM kernel module");
  if (version != kApiVersion) return fail(ENOTSUP, "kvm version ", version, " is not supported");
  return UniqueFd(TRY(kvm_call(kvm_fd, KVM_CREATE_VM, "ioctl(KVM_CREATE_VM)", 0ul)));
}

}  // namespace

Result<std::unique_ptr<Accelerator>> create_kvm(const Json& options) {
  const bool split = TRY(check_options(options));
  UniqueFd kvm(::open("/dev/kvm", O_RDWR | O_CLOEXEC));
  if (!kvm) return fail_errno(errno, "Could not access KVM kernel module");
  UniqueFd vm = TRY(create_vm(kvm.get()));
  auto accel = std::make_unique<KvmAccel>(std::move(kvm), std::move(vm));
  if (split) accel->want_split();
  TRY(accel->open());
  return std::unique_ptr<Accelerator>(std::move(accel));
}

}  // namespace rhea
