// From a processor's identity to the table CPUID answers from.
#include <algorithm>
#include <bit>
#include <cstring>

#include "target/i386/cpu_model.h"

namespace rhea {

namespace {

constexpr uint32_t kHypervisorBase = 0x40000000, kExtendedBase = 0x80000000;
constexpr uint32_t kHtt = 1u << 28;
constexpr uint32_t kXsaveBit = 1u << 26, kCpuidTableTopoext = 1u << 22;

unsigned cpuid_table_width(unsigned count) {
  return static_cast<unsigned>(std::bit_width(count - 1));
}

/// A cache as leaf 4 and AMD's 0x8000001d describe one.
struct Cache {
  uint32_t type, level, ways, sets;  // type: 1 data, 2 instructions, 3 both; 64-byte lines
  bool per_core;
};
constexpr Cache kCaches[] = {
    {1, 1, 8, 64, true}, {2, 1, 8, 64, true}, {3, 2, 16, 4096, true}, {3, 3, 16, 16384, false}};

class TableBuilder {
 public:
  explicit TableBuilder(const CpuIdentity& cpu) : c_(cpu) {}

  CpuidTable build() {
    basic();
    if (c_.kvm_leaves) hypervisor();
    extended();
    return std::move(table_);
  }

 private:
  uint32_t word(FeatureWord w) const { return static_cast<uint32_t>(c_.features[static_cast<size_t>(w)]); }
  unsigned threads_per_socket() const { return c_.topology.dies * c_.topology.cores * c_.topology.threads; }
  CpuidLeaf& add(uint32_t function) {
    table_.push_back({.function = function});
    return table_.back();
  }
  CpuidLeaf& add(uint32_t function, uint32_t index) {
    table_.push_back({.function = function, .index = index, .indexed = true});
    return table_.back();
  }
  static uint32_t letters(std::string_view text, size_t at) {
    uint32_t v = 0;
    for (size_t i = 0; i < 4 && at + i < text.size(); ++i)
      v |= uint32_t{static_cast<uint8_t>(text[at + i])} << i * 8;
    return v;
  }
  void put_vendor(CpuidLeaf& leaf) const {
    leaf.ebx = letters(c_.vendor, 0);
    leaf.edx = letters(c_.vendor, 4);
    leaf.ecx = letters(c_.vendor, 8);
  }
  uint32_t signature() const {
    uint32_t family = std::min(c_.family, 15u), extended_family = c_.family - family;
    return (extended_family & 0xff) << 20 | (c_.model >> 4 & 15) << 16 | family << 8 | (c_.model & 15) << 4 |
           (c_.stepping & 15);
  }

  void basic() {
    CpuidLeaf& zero = add(0);
    zero.eax = c_.level;
    put_vendor(zero);
    if (c_.level >= 1) identity();
    if (c_.level >= 2) {
      CpuidLeaf& caches = add(2);  // one iteration; 16 MiB L3, 32 KiB L1s, 2 MiB L2 in descriptors
      caches.eax = 1;
      caches.ecx = 0x4d;
      caches.edx = 0x002c307d;
    }
    if (c_.level >= 4) cache_leaves(4, false);
    if (c_.level >= 5) add(5);
    if (c_.level >= 6) add(6).eax = word(FeatureWord::k6Eax);
    if (c_.level >= 7) structured();
    if (c_.level >= 0xb) topology();
    if (c_.level >= 0xd) xsave();
  }

  void identity() {
    CpuidLeaf& leaf = add(1);
    leaf.eax = signature();
    leaf.ebx = (c_.place.apic_id & 0xff) << 24 | 8 << 8;  // CLFLUSH line in quadwords
    leaf.ecx = word(FeatureWord::k1Ecx);
    leaf.edx = word(FeatureWord::k1Edx);
    if (threads_per_socket() > 1) {
      leaf.ebx |= std::min(threads_per_socket(), 255u) << 16;
      leaf.edx |= kHtt;
    }
  }

  void structured() {
    CpuidLeaf& leaf = add(7, 0);
    leaf.ebx = word(FeatureWord::k7Ebx);
    leaf.ecx = word(FeatureWord::k7Ecx);
    leaf.edx = word(FeatureWord::k7Edx);
    if (word(FeatureWord::k7_1Eax) == 0) return;
    leaf.eax = 1;
    add(7, 1).eax = word(FeatureWord::k7_1Eax);
  }

  void cache_leaves(uint32_t function, bool amd) {
    uint32_t index = 0;
    for (const Cache& cache : kCaches) {
      unsigned sharing = cache.per_core ? c_.topology.threads : threads_per_socket();
      CpuidLeaf& leaf = add(function, index++);
      leaf.eax = cache.type | cache.level << 5 | 1u << 8 | ((1u << cpuid_table_width(sharing)) - 1) << 14;
      if (!amd) leaf.eax |= ((1u << cpuid_table_width(c_.topology.cores * c_.topology.dies)) - 1) << 26;
      leaf.ebx = 63 | (cache.ways - 1) << 22;
      leaf.ecx = cache.sets - 1;
      leaf.edx = cache.level == 3 ? 2 : 0;  // an inclusive last level
    }
    add(function, index);
  }

  void topology() {
    unsigned thread_bits = cpuid_table_width(c_.topology.threads);
    CpuidLeaf& threads = add(0xb, 0);
    threads.eax = thread_bits;
    threads.ebx = c_.topology.threads;
    threads.ecx = 1 << 8;
    threads.edx = c_.place.apic_id;
    CpuidLeaf& cores = add(0xb, 1);
    cores.eax = thread_bits + cpuid_table_width(c_.topology.cores) + cpuid_table_width(c_.topology.dies);
    cores.ebx = threads_per_socket();
    cores.ecx = 2 << 8 | 1;
    cores.edx = c_.place.apic_id;
    CpuidLeaf& end = add(0xb, 2);
    end.ecx = 2;
    end.edx = c_.place.apic_id;
  }

  void xsave() {
    if ((word(FeatureWord::k1Ecx) & kXsaveBit) == 0 || c_.supported == nullptr) {
      add(0xd, 0);
      return;
    }
    uint64_t mask = 0;
    for (const XsaveComponent& x : kXsaveComponents)
      if (word(x.feature.word) >> x.feature.bit & 1) mask |= uint64_t{1} << x.bit;
    if (const CpuidLeaf* host = find_cpuid(*c_.supported, 0xd, 0))
      mask &= host->eax | uint64_t{host->edx} << 32;
    size_t at = table_.size();
    add(0xd, 0);
    add(0xd, 1).eax = word(FeatureWord::kXsave);
    uint32_t bytes = 576;  // legacy region and header
    for (uint32_t i = 2; i < 63; ++i) {
      const CpuidLeaf* host = find_cpuid(*c_.supported, 0xd, i);
      if ((mask >> i & 1) == 0 || host == nullptr) continue;
      table_.push_back(*host);
      bytes = std::max(bytes, host->eax + host->ebx);
    }
    table_[at].eax = static_cast<uint32_t>(mask);
    table_[at].edx = static_cast<uint32_t>(mask >> 32);
    table_[at].ebx = table_[at].ecx = bytes;
  }

  void hypervisor() {
    CpuidLeaf& leaf = add(kHypervisorBase);
    leaf.eax = kHypervisorBase + 1;
    leaf.ebx = letters("KVMKVMKVM", 0);
    leaf.ecx = letters("KVMKVMKVM", 4);
    leaf.edx = letters("KVMKVMKVM", 8);
    add(kHypervisorBase + 1).eax = word(FeatureWord::kKvm);
  }

  void extended() {
    if (c_.xlevel < kExtendedBase) return;
    CpuidLeaf& zero = add(kExtendedBase);
    zero.eax = c_.xlevel;
    put_vendor(zero);
    if (c_.xlevel >= kExtendedBase + 1) {
      CpuidLeaf& leaf = add(kExtendedBase + 1);
      leaf.eax = signature();
      leaf.ecx = word(FeatureWord::k80000001Ecx);
      leaf.edx = word(FeatureWord::k80000001Edx);
      if (threads_per_socket() > 1 && c_.vendor == "AuthenticAMD") leaf.ecx |= 2;  // legacy multi-core
    }
    for (uint32_t i = 0; i < 3 && c_.xlevel >= kExtendedBase + 2 + i; ++i) {
      CpuidLeaf& leaf = add(kExtendedBase + 2 + i);
      leaf.eax = letters(c_.model_id, i * 16);
      leaf.ebx = letters(c_.model_id, i * 16 + 4);
      leaf.ecx = letters(c_.model_id, i * 16 + 8);
      leaf.edx = letters(c_.model_id, i * 16 + 12);
    }
    if (c_.xlevel >= kExtendedBase + 6) amd_caches();
    if (c_.xlevel >= kExtendedBase + 7) add(kExtendedBase + 7).edx = word(FeatureWord::k80000007Edx);
    if (c_.xlevel >= kExtendedBase + 8) addresses();
    if (c_.xlevel >= kExtendedBase + 0xa && word(FeatureWord::k80000001Ecx) & 4) svm();
    if (c_.xlevel >= kExtendedBase + 0x1e && word(FeatureWord::k80000001Ecx) & kCpuidTableTopoext)
      amd_topology();
  }

  void amd_caches() {
    CpuidLeaf& l1 = add(kExtendedBase + 5);
    l1.eax = l1.ebx = 0x01ff01ff;  // TLBs: 255 entries, direct mapped
    l1.ecx = l1.edx = 32u << 24 | 8 << 16 | 1 << 8 | 64;
    CpuidLeaf& l2 = add(kExtendedBase + 6);
    l2.eax = l2.ebx = 0x42004200;                           // TLBs: 512 entries, 4 ways
    l2.ecx = 4096u << 16 | 8 << 12 | 1 << 8 | 64;           // KiB, 16 ways
    l2.edx = (16384u / 512) << 18 | 8 << 12 | 1 << 8 | 64;  // 512 KiB units
  }

  void addresses() {
    CpuidLeaf& leaf = add(kExtendedBase + 8);
    bool long_mode = word(FeatureWord::k80000001Edx) >> 29 & 1;
    bool la57 = word(FeatureWord::k7Ecx) >> 16 & 1;
    leaf.eax = long_mode ? c_.phys_bits | (la57 ? 57u : 48u) << 8 : std::min(c_.phys_bits, 36u);
    leaf.ebx = word(FeatureWord::k80000008Ebx);
    if (threads_per_socket() > 1)
      leaf.ecx = cpuid_table_width(threads_per_socket()) << 12 | (std::min(threads_per_socket(), 256u) - 1);
  }

  void svm() {
    CpuidLeaf& leaf = add(kExtendedBase + 0xa);
    leaf.eax = 1;     // revision
    leaf.ebx = 0x10;  // address space ids
    leaf.edx = word(FeatureWord::kSvm);
  }

  void amd_topology() {
    cache_leaves(kExtendedBase + 0x1d, true);
    CpuidLeaf& leaf = add(kExtendedBase + 0x1e);
    leaf.eax = c_.place.apic_id;
    leaf.ebx = (c_.topology.threads - 1) << 8 | c_.place.core;
    leaf.ecx = (c_.topology.dies - 1) << 8 | c_.place.die;
  }

  const CpuIdentity& c_;
  CpuidTable table_;
};

}  // namespace

CpuidTable build_cpuid(const CpuIdentity& cpu) {
  return TableBuilder(cpu).build();
}

}  // namespace rhea
