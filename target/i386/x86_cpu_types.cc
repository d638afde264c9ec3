// The types of processors and their properties.
#include <utility>

#include "target/i386/x86_cpu.h"

namespace rhea {

namespace {

constexpr FeatureBit bit_at(size_t i) {
  return {static_cast<FeatureWord>(i / 32), static_cast<uint8_t>(i % 32)};
}

bool find_bit(std::string_view name, FeatureBit& out) {
  for (size_t i = 0; i < kMaxNamedFeatures; ++i) {
    FeatureBit bit = bit_at(i);
    const char* known = feature_word(bit.word).names[bit.bit];
    if (known == nullptr || name != known) continue;
    out = bit;
    return true;
  }
  return false;
}

Result<> set_feature_property(Object& o, std::string_view name, const Json& value, ValueForm form) {
  FeatureBit bit{};
  bool on = TRY(property_bool(name, value, form));
  if (find_bit(name, bit)) static_cast<X86Cpu&>(o).set_feature(bit, on);
  return {};
}

template <size_t I>
Json get_feature_property(const Object& o) {
  return static_cast<const X86Cpu&>(o).feature(bit_at(I));
}

template <size_t... I>
constexpr auto feature_getters(std::index_sequence<I...>) {
  using Getter = Json (*)(const Object&);
  return std::array<Getter, sizeof...(I)>{&get_feature_property<I>...};
}

Result<> set_vendor(Object& o, std::string_view name, const Json& value, ValueForm form) {
  std::string text = TRY(property_str(name, value, form));
  if (text.size() != 12) return fail(EINVAL, "Property '.vendor' doesn't take value '", text, "'");
  static_cast<X86Cpu&>(o).vendor = std::move(text);
  return {};
}

constexpr PropertyInfo vendor_property() {
  PropertyInfo info = prop<&X86Cpu::vendor>("vendor");
  info.set = set_vendor;
  return info;
}

/// feature-words and filtered-features: the registers, as libvirt reads them.
Json word_list(const FeatureBits& bits) {
  static constexpr const char* kRegisters[] = {"EAX", "EBX", "ECX", "EDX"};
  Json list = Json::array();
  for (size_t w = 0; w < kFeatureWords; ++w) {
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
  const FeatureBits& missing = static_cast<const X86Cpu&>(o).filtered();
  for (size_t i = 0; i < kMaxNamedFeatures; ++i) {
    FeatureBit bit = bit_at(i);
    const char* name = feature_word(bit.word).names[bit.bit];
    if (name != nullptr && (missing[static_cast<size_t>(bit.word)] >> bit.bit & 1)) list.push_back(name);
  }
  return list;
}

constexpr PropertyInfo kOtherProperties[] = {
    vendor_property(),
    prop<&X86Cpu::model_id>("model-id"),
    prop<&X86Cpu::family>("family"),
    prop<&X86Cpu::model>("model"),
    prop<&X86Cpu::stepping>("stepping"),
    prop<&X86Cpu::level>("level"),
    prop<&X86Cpu::xlevel>("xlevel"),
    prop<&X86Cpu::phys_bits>("phys-bits"),
    prop<&X86Cpu::host_phys_bits>("host-phys-bits"),
    prop<&X86Cpu::migratable>("migratable"),
    prop<&X86Cpu::kvm>("kvm"),
    prop<&X86Cpu::check>("check"),
    prop<&X86Cpu::enforce>("enforce"),
    prop<&X86Cpu::apic_id>("apic-id"),
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

std::span<const PropertyInfo> properties() {
  static constexpr auto kGetters = feature_getters(std::make_index_sequence<kMaxNamedFeatures>());
  static const std::vector<PropertyInfo> list = [] {
    std::vector<PropertyInfo> all(std::begin(kOtherProperties), std::end(kOtherProperties));
    for (size_t i = 0; i < kMaxNamedFeatures; ++i)
      if (const char* name = feature_word(bit_at(i).word).names[i % 32])
        all.push_back({.name = name, .type = "bool", .get = kGetters[i], .set = set_feature_property});
    return all;
  }();
  return list;
}

const TypeInfo kCpuType{
    .name = "cpu", .parent = &Device::kType, .description = "a processor", .category = DeviceCategory::kCpu};

constexpr size_t kModelCount = 6;

template <size_t I>
std::shared_ptr<Object> create_model() {
  return std::make_shared<X86Cpu>(*cpu_models()[I]);
}

template <size_t... I>
constexpr auto model_creators(std::index_sequence<I...>) {
  using Creator = std::shared_ptr<Object> (*)();
  return std::array<Creator, sizeof...(I)>{&create_model<I>...};
}

/// One type a model, in the order of cpu_models().
const std::vector<TypeInfo>& model_types() {
  static constexpr auto kCreators = model_creators(std::make_index_sequence<kModelCount>());
  static std::vector<std::string> names;
  static const std::vector<TypeInfo> types = [] {
    std::vector<const CpuModelInfo*> models = cpu_models();
    for (const CpuModelInfo* m : models) names.push_back(str_cat(m->name, "-x86_64-cpu"));
    std::vector<TypeInfo> list;
    for (size_t i = 0; i < models.size() && i < kModelCount; ++i)
      list.push_back({.name = names[i].c_str(),
                      .parent = &X86Cpu::kType,
                      .create = kCreators[i],
                      .description = models[i]->description});
    return list;
  }();
  return types;
}

}  // namespace

const TypeInfo X86Cpu::kType{.name = "x86_64-cpu", .parent = &kCpuType, .properties = properties()};

const TypeInfo& X86Cpu::type() const {
  std::vector<const CpuModelInfo*> models = cpu_models();
  for (size_t i = 0; i < models.size(); ++i)
    if (models[i] == &info_) return model_types()[i];
  return kType;
}

void register_x86_cpu_types() {
  TypeRegistry& registry = TypeRegistry::instance();
  if (registry.find(X86Cpu::kType.name) != nullptr) return;
  registry.add({&kCpuType, &X86Cpu::kType});
  for (const TypeInfo& type : model_types()) registry.add(type);
}

}  // namespace rhea
