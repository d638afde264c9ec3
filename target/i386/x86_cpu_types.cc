// The types of processors and their properties.
#include <algorithm>
#include <cassert>
#include <utility>

#include "target/i386/cpu_feature_table.h"
#include "target/i386/x86_cpu.h"
#include "util/log.h"

namespace rhea {

namespace {

Result<> set_feature_property(Object& o, std::string_view name, const Json& value, ValueForm form) {
  const bool on = TRY(property_bool(name, value, form));
  auto& cpu = static_cast<X86Cpu&>(o);
  if (find_feature(name) != nullptr)
    cpu.set_feature(name, on);
  else
    cpu.set_feature(canonical_feature_name(name), on);
  return {};
}

template <size_t I>
Json get_feature_property(const Object& o) {
  return static_cast<const X86Cpu&>(o).feature(FeatureBit{kFeatureNames[I].word, kFeatureNames[I].bit});
}

template <size_t I>
Json get_alias_property(const Object& o) {
  return static_cast<const X86Cpu&>(o).feature(std::string_view(kFeatureAliases[I].now));
}

using Getter = Json (*)(const Object&);
template <size_t... I>
constexpr auto feature_getters(std::index_sequence<I...>) {
  return std::array<Getter, sizeof...(I)>{&get_feature_property<I>...};
}
template <size_t... I>
constexpr auto alias_getters(std::index_sequence<I...>) {
  return std::array<Getter, sizeof...(I)>{&get_alias_property<I>...};
}

Result<> set_vendor(Object& o, std::string_view name, const Json& value, ValueForm form) {
  std::string text = TRY(property_str(name, value, form));
  if (text.size() != 12) return fail(EINVAL, "Property '.vendor' doesn't take value '", text, "'");
  static_cast<X86Cpu&>(o).vendor = std::move(text);
  return {};
}

constexpr PropertyInfo vendor_property() {
  PropertyInfo info = prop<&X86Cpu::vendor>("vendor");
  info.type = "string";
  info.set = set_vendor;
  info.has_default = false;
  return info;
}

Result<> set_model_id(Object& o, std::string_view name, const Json& value, ValueForm form) {
  static_cast<X86Cpu&>(o).model_id = TRY(property_str(name, value, form));
  return {};
}

constexpr PropertyInfo model_id_property() {
  PropertyInfo info = prop<&X86Cpu::model_id>("model-id");
  info.type = "string";
  info.set = set_model_id;
  info.has_default = false;
  return info;
}

/// An integer with a range of its own.
template <auto Member, int64_t Max>
constexpr PropertyInfo ranged_property(const char* property_name) {
  PropertyInfo info = prop<Member>(property_name);
  info.type = "int";
  info.has_default = false;
  info.set = [](Object& o, std::string_view name, const Json& value, ValueForm form) -> Result<> {
    Result<int64_t> number = property_int(name, value, form, INT64_MIN, INT64_MAX);
    if (!number) return fail(EINVAL, "Parameter '", name, "' expects int64");
    if (*number < 0 || *number > Max)
      return fail(EINVAL, "Property .", name, " doesn't take value ", *number, " (minimum: 0, maximum: ", Max,
                  ")");
    auto& member = static_cast<X86Cpu&>(o).*Member;
    member = static_cast<std::remove_reference_t<decltype(member)>>(*number);
    return {};
  };
  return info;
}

Result<> set_lbr_fmt(Object& o, std::string_view name, const Json& value, ValueForm form) {
  const uint64_t format = TRY(property_uint(name, value, form, UINT64_MAX));
  if (format > 0x3f) return fail(EINVAL, "invalid lbr-fmt");
  static_cast<X86Cpu&>(o).lbr_fmt = format;
  return {};
}

constexpr PropertyInfo lbr_property(const char* name) {
  PropertyInfo info = prop<&X86Cpu::lbr_fmt>(name);
  info.set = set_lbr_fmt;
  info.has_default = false;
  return info;
}

/// feature-words and filtered-features: the registers, as libvirt reads them.
Json word_list(const FeatureBits& bits) {
  static constexpr const char* kRegisters[] = {"EAX", "EBX", "ECX", "EDX"};
  Json list = Json::array();
  for (size_t w = kCpuidWords; w-- > 0;) {
    const FeatureWordInfo& info = feature_word(static_cast<FeatureWord>(w));
    Json item = Json::object({{"cpuid-register", kRegisters[static_cast<size_t>(info.reg)]}});
    item.set("cpuid-input-eax", info.function);
    if (info.indexed) item.set("cpuid-input-ecx", info.index);
    item.set("features", bits[w]);
    list.push_back(std::move(item));
  }
  return list;
}

Json unavailable_features(const Object& o) {
  Json list = Json::array();
  for (std::string& name : static_cast<const X86Cpu&>(o).unavailable_features())
    list.push_back(std::move(name));
  return list;
}

// Hyper-V's enlightenments.
template <unsigned Bit>
PropertyInfo hyperv_property() {
  return {.name = hyperv_feature(static_cast<HypervFeature>(Bit)).name,
          .type = "bool",
          .description = "on/off",
          .get = [](const Object& o) -> Json {
            return static_cast<const X86Cpu&>(o).hyperv.has(static_cast<HypervFeature>(Bit));
          },
          .set = [](Object& o, std::string_view name, const Json& value, ValueForm form) -> Result<> {
            uint32_t& all = static_cast<X86Cpu&>(o).hyperv.features;
            all = TRY(property_bool(name, value, form)) ? all | 1u << Bit : all & ~(1u << Bit);
            return {};
          }};
}

template <class T, T HypervOptions::*Member>
PropertyInfo hyperv_value(const char* name) {
  return {.name = name,
          .type = detail::property_type_name<T>(),
          .get = [](const Object& o) -> Json {
            return detail::property_to_json<T>(static_cast<const X86Cpu&>(o).hyperv.*Member);
          },
          .set = [](Object& o, std::string_view n, const Json& value, ValueForm form) -> Result<> {
            static_cast<X86Cpu&>(o).hyperv.*Member = TRY(detail::property_from_json<T>(n, value, form));
            return {};
          }};
}

Result<> set_hyperv_vendor(Object& o, std::string_view name, const Json& value, ValueForm form) {
  constexpr size_t kLetters = 12;
  std::string text = TRY(property_str(name, value, form));
  if (text.size() > kLetters) warn_report("hv-vendor-id truncated to 12 characters");
  text.resize(std::min(text.size(), kLetters));
  static_cast<X86Cpu&>(o).hyperv.vendor_id = std::move(text);
  return {};
}

template <unsigned... Bit>
void add_hyperv_features(std::vector<PropertyInfo>& list, std::integer_sequence<unsigned, Bit...>) {
  (list.push_back(hyperv_property<Bit>()), ...);
}

void add_hyperv(std::vector<PropertyInfo>& list) {
  add_hyperv_features(list, std::make_integer_sequence<unsigned, kHypervFeatures>());
  PropertyInfo old = hyperv_property<static_cast<unsigned>(HypervFeature::kAvic)>();
  old.name = "hv-apicv";
  list.push_back(old);
  list.push_back(hyperv_value<uint32_t, &HypervOptions::spinlocks>("hv-spinlocks"));
  PropertyInfo vendor = hyperv_value<std::string, &HypervOptions::vendor_id>("hv-vendor-id");
  vendor.set = set_hyperv_vendor;
  vendor.has_default = false;
  list.push_back(vendor);
  list.push_back(hyperv_value<bool, &HypervOptions::passthrough>("hv-passthrough"));
  list.push_back(hyperv_value<bool, &HypervOptions::enforce_cpuid>("hv-enforce-cpuid"));
  list.push_back(hyperv_value<bool, &HypervOptions::synic_kvm_only>("x-hv-synic-kvm-only"));
  list.push_back(hyperv_value<int32_t, &HypervOptions::max_vps>("x-hv-max-vps"));
  PropertyInfo sharing =
      hyperv_value<OnOffAuto, &HypervOptions::no_nonarch_coresharing>("hv-no-nonarch-coresharing");
  sharing.description = "on/off/auto";
  list.push_back(sharing);
  list.push_back(hyperv_value<uint32_t, &HypervOptions::version_build>("hv-version-id-build"));
  list.push_back(hyperv_value<uint16_t, &HypervOptions::version_major>("hv-version-id-major"));
  list.push_back(hyperv_value<uint16_t, &HypervOptions::version_minor>("hv-version-id-minor"));
  list.push_back(hyperv_value<uint32_t, &HypervOptions::version_service_pack>("hv-version-id-spack"));
  list.push_back(hyperv_value<uint8_t, &HypervOptions::version_service_branch>("hv-version-id-sbranch"));
  list.push_back(hyperv_value<uint32_t, &HypervOptions::version_service_number>("hv-version-id-snumber"));
}

constexpr PropertyInfo kOtherProperties[] = {
    vendor_property(),
    model_id_property(),
    ranged_property<&X86Cpu::family, 270>("family"),
    ranged_property<&X86Cpu::model, 255>("model"),
    ranged_property<&X86Cpu::stepping, 15>("stepping"),
    ranged_property<&X86Cpu::tsc_frequency, INT64_MAX>("tsc-frequency"),
    prop<&X86Cpu::level>("level"),
    prop<&X86Cpu::level_func7>("level-func7"),
    prop<&X86Cpu::xlevel>("xlevel"),
    prop<&X86Cpu::xlevel2>("xlevel2"),
    prop<&X86Cpu::min_level>("min-level"),
    prop<&X86Cpu::min_xlevel>("min-xlevel"),
    prop<&X86Cpu::min_xlevel2>("min-xlevel2"),
    prop<&X86Cpu::full_auto_level>("full-cpuid-auto-level"),
    prop<&X86Cpu::intel_pt_auto_level>("x-intel-pt-auto-level"),
    prop<&X86Cpu::phys_bits>("phys-bits"),
    prop<&X86Cpu::host_phys_bits>("host-phys-bits"),
    prop<&X86Cpu::host_phys_bits_limit>("host-phys-bits-limit"),
    prop<&X86Cpu::kvm>("kvm"),
    prop<&X86Cpu::check>("check"),
    prop<&X86Cpu::enforce>("enforce"),
    prop<&X86Cpu::force_features>("x-force-features"),
    prop<&X86Cpu::legacy_cache>("legacy-cache"),
    prop<&X86Cpu::l3_cache>("l3-cache"),
    prop<&X86Cpu::cpuid_0xb>("cpuid-0xb"),
    prop<&X86Cpu::pmu>("pmu"),
    prop<&X86Cpu::lmce>("lmce"),
    prop<&X86Cpu::vmware_freq>("vmware-cpuid-freq"),
    prop<&X86Cpu::fill_mtrr_mask>("fill-mtrr-mask"),
    prop<&X86Cpu::tcg_cpuid>("tcg-cpuid"),
    prop<&X86Cpu::vendor_cpuid_only>("x-vendor-cpuid-only"),
    prop<&X86Cpu::migrate_smi_count>("x-migrate-smi-count"),
    prop<&X86Cpu::kvm_no_smi_migration>("kvm-no-smi-migration"),
    prop<&X86Cpu::kvm_pv_enforce_cpuid>("kvm-pv-enforce-cpuid"),
    prop<&X86Cpu::start_powered_off>("start-powered-off"),
    prop<&X86Cpu::ucode_rev>("ucode-rev"),
    lbr_property("lbr-fmt"),
    lbr_property("lbr_fmt"),
    prop<&X86Cpu::apic_id>("apic-id"),
    prop<&X86Cpu::node_id>("node-id"),
    prop<&X86Cpu::socket_id>("socket-id"),
    prop<&X86Cpu::die_id>("die-id"),
    prop<&X86Cpu::core_id>("core-id"),
    prop<&X86Cpu::thread_id>("thread-id"),
    {.name = "feature-words",
     .type = "X86CPUFeatureWordInfo",
     .get = [](const Object& o) { return word_list(static_cast<const X86Cpu&>(o).features()); },
     .has_default = false},
    {.name = "filtered-features",
     .type = "X86CPUFeatureWordInfo",
     .get = [](const Object& o) { return word_list(static_cast<const X86Cpu&>(o).filtered()); },
     .has_default = false},
    {.name = "unavailable-features", .type = "strList", .get = unavailable_features, .has_default = false}};

/// What only models max and host have.
constexpr PropertyInfo kMaxProperties[] = {prop<&X86Cpu::migratable>("migratable"),
                                           prop<&X86Cpu::host_cache_info>("host-cache-info")};

std::span<const PropertyInfo> properties() {
  static constexpr auto kGetters = feature_getters(std::make_index_sequence<std::size(kFeatureNames)>());
  static constexpr auto kAliasGetters = alias_getters(std::make_index_sequence<std::size(kFeatureAliases)>());
  static const std::vector<PropertyInfo> list = [] {
    std::vector<PropertyInfo> all(std::begin(kOtherProperties), std::end(kOtherProperties));
    add_hyperv(all);
    for (size_t i = 0; i < std::size(kFeatureNames); ++i)
      if (find_feature(kFeatureNames[i].name) ==
          &kFeatureNames[i])  // one property where two bits share a name
        all.push_back({.name = kFeatureNames[i].name,
                       .type = "bool",
                       .get = kGetters[i],
                       .set = set_feature_property,
                       .has_default = false});
    for (size_t i = 0; i < std::size(kFeatureAliases); ++i)
      all.push_back({.name = kFeatureAliases[i].old,
                     .type = "bool",
                     .get = kAliasGetters[i],
                     .set = set_feature_property,
                     .has_default = false});
    return all;
  }();
  return list;
}

const TypeInfo kCpuType{
    .name = "cpu", .parent = &Device::kType, .description = "a processor", .category = DeviceCategory::kCpu};

constexpr size_t kModelCount = 132;

template <size_t I>
std::shared_ptr<Object> create_model() {
  return std::make_shared<X86Cpu>(cpu_models()[I]);
}

template <size_t... I>
constexpr auto model_creators(std::index_sequence<I...>) {
  using Creator = std::shared_ptr<Object> (*)();
  return std::array<Creator, sizeof...(I)>{&create_model<I>...};
}

/// One type a model, in the order of cpu_models(); "host" derives from "max".
const std::vector<TypeInfo>& model_types() {
  static constexpr auto kCreators = model_creators(std::make_index_sequence<kModelCount>());
  static const std::vector<TypeInfo> types = [] {
    std::span<const X86CpuModel> models = cpu_models();
    assert(models.size() == kModelCount);
    std::vector<TypeInfo> list(models.size());
    for (size_t i = models.size(); i-- > 0;) {
      const X86CpuModel& m = models[i];
      const bool host = m.kind == CpuModelKind::kHost;
      list[i] = {.name = m.type_name.c_str(),
                 .parent = host ? &list.back() : &X86Cpu::kType,
                 .create = kCreators[i],
                 .properties = m.kind == CpuModelKind::kMax ? std::span<const PropertyInfo>(kMaxProperties)
                                                            : std::span<const PropertyInfo>(),
                 .user_creatable = true};
    }
    return list;
  }();
  return types;
}

}  // namespace

const TypeInfo X86Cpu::kType{.name = "x86_64-cpu", .parent = &kCpuType, .properties = properties()};

const TypeInfo& X86Cpu::type() const {
  return model_types()[static_cast<size_t>(&info_ - cpu_models().data())];
}

void register_x86_cpu_types() {
  TypeRegistry& registry = TypeRegistry::instance();
  if (registry.find(X86Cpu::kType.name) != nullptr) return;
  registry.add({&kCpuType, &X86Cpu::kType});
  for (const TypeInfo& type : model_types()) registry.add(type);
}

}  // namespace rhea
