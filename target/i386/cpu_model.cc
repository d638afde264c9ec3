#include "target/i386/cpu_model.h"

#include <algorithm>
#include <bit>

#include "target/i386/cpu_model_data.h"
#include "util/str.h"

namespace rhea {

namespace {

constexpr const char* kCpuModelAmd = "AuthenticAMD";
constexpr const char* kMaxModelId = "QEMU TCG CPU version 2.5+";
constexpr const char* kByMachine = "(alias configured by machine type)";

unsigned cpu_model_width(unsigned count) {
  return static_cast<unsigned>(std::bit_width(count - 1));
}

template <class F>
void for_each_word(std::string_view text, F use) {
  while (!text.empty()) {
    size_t space = std::min(text.find(' '), text.size());
    if (space != 0) use(text.substr(0, space));
    text.remove_prefix(std::min(space + 1, text.size()));
  }
}

/// Applies "fpu -vme": every bit of a name.
void apply_features(FeatureBits& bits, std::string_view text) {
  for_each_word(text, [&](std::string_view word) {
    const bool on = !word.starts_with('-');
    if (!on) word.remove_prefix(1);
    const FeatureName* first = find_feature(word);
    if (first == nullptr) return;  // "model=…"
    for (const FeatureName& f : feature_names()) {
      if (f.word != first->word || std::string_view(f.name) != word) continue;
      uint64_t& reg = bits[static_cast<size_t>(f.word)];
      reg = on ? reg | uint64_t{1} << f.bit : reg & ~(uint64_t{1} << f.bit);
    }
  });
}

const CpuModelData* find_data(std::string_view name) {
  for (const CpuModelData& d : cpu_model_data())
    if (name == d.name) return &d;
  return nullptr;
}

FeatureBits first_version(const CpuModelData& data) {
  FeatureBits bits{};
  if (data.base != nullptr)
    if (const CpuModelData* base = find_data(data.base)) bits = first_version(*base);
  apply_features(bits, data.features);
  return bits;
}

CpuCaches caches_of(std::string_view model) {
  if (model == "EPYC" || model == "Dhyana") return CpuCaches::kEpyc;
  if (model == "EPYC-Rome") return CpuCaches::kEpycRome;
  if (model == "EPYC-Milan") return CpuCaches::kEpycMilan;
  return CpuCaches::kCommon;
}

std::string type_name_of(std::string_view model) {
  return str_cat(model, "-x86_64-cpu");
}

void apply_version(X86CpuModel& info, const CpuVersionData& v) {
  if (v.model_id != nullptr) info.model_id = v.model_id;
  if (v.stepping >= 0) info.stepping = static_cast<uint32_t>(v.stepping);
  for_each_word(v.changes, [&](std::string_view word) {
    uint64_t number = 0;
    if (word.starts_with("model=") && parse_u64(word.substr(6), number))
      info.model = static_cast<uint32_t>(number);
  });
}

/// The model by its plain name, by its versions' names, and by the other names these have.
void add_models(std::vector<X86CpuModel>& list, const CpuModelData& d) {
  X86CpuModel info;
  info.vendor = d.vendor;
  info.family = d.family;
  info.model = d.model;
  info.stepping = d.stepping;
  info.level = d.level;
  info.xlevel = d.xlevel;
  info.xlevel2 = d.xlevel2;
  info.model_id = d.model_id;
  info.caches = caches_of(d.name);
  info.data = &d;
  auto add = [&](std::string name, std::string alias_of, std::string description) {
    X86CpuModel& made = list.emplace_back(info);
    made.versioned = alias_of.empty();
    made.type_name = type_name_of(name);
    made.name = std::move(name);
    made.alias_of = std::move(alias_of);
    made.description = std::move(description);
  };
  const std::string first = str_cat(d.name, "-v1");
  add(d.name, first, kByMachine);
  add(first, "", info.model_id);
  for (const CpuVersionData& v : cpu_version_data()) {
    if (std::string_view(v.model) != d.name) continue;
    apply_version(info, v);
    info.version = v.version;
    const std::string name = str_cat(d.name, "-v", v.version);
    add(name, "", v.note != nullptr ? str_cat(info.model_id, " [", v.note, "]") : info.model_id);
    if (v.other_name != nullptr) add(v.other_name, name, str_cat("(alias of ", name, ")"));
  }
}

X86CpuModel special_model(const char* name, CpuModelKind kind, const char* description) {
  X86CpuModel info;
  info.name = name;
  info.type_name = type_name_of(name);
  info.description = description;
  info.kind = kind;
  if (kind == CpuModelKind::kBase) return info;
  info.vendor = kCpuModelAmd;
  info.family = 15;
  info.model = 107;
  info.stepping = 1;
  info.model_id = kMaxModelId;
  return info;
}

std::vector<X86CpuModel> make_models() {
  std::vector<X86CpuModel> list;
  for (const CpuModelData& d : cpu_model_data()) add_models(list, d);
  std::ranges::sort(list, {}, &X86CpuModel::name);
  list.push_back(special_model("base", CpuModelKind::kBase, "base CPU model type with no features enabled"));
  list.push_back(special_model("host", CpuModelKind::kHost, "processor with all supported host features "));
  list.push_back(special_model("max", CpuModelKind::kMax,
                               "Enables all features supported by the accelerator in the current host"));
  return list;
}

}  // namespace

FeatureBits X86CpuModel::features() const {
  FeatureBits bits{};
  if (data == nullptr) return bits;
  bits = first_version(*data);
  for (const CpuVersionData& v : cpu_version_data())
    if (std::string_view(v.model) == data->name && v.version <= version) apply_features(bits, v.changes);
  apply_features(bits, "hypervisor");
  return bits;
}

std::span<const X86CpuModel> cpu_models() {
  static const auto& list = *new std::vector<X86CpuModel>(make_models());
  return list;
}

const X86CpuModel* find_cpu_model(std::string_view name) {
  for (const X86CpuModel& m : cpu_models())
    if (name == m.name) return &m;
  return nullptr;
}

std::string cpu_models_help() {
  std::string text = "Available CPUs:\n";
  for (const X86CpuModel& m : cpu_models()) {
    std::string name = m.name;
    name.resize(std::max<size_t>(name.size(), 20), ' ');
    str_append(text, "x86 ", name, "  ", m.description, "\n");
  }
  text += "\nRecognized CPUID flags:\n";
  std::vector<std::string> names;
  for (const FeatureName& f : feature_names()) names.emplace_back(f.name);
  std::ranges::sort(names);
  std::string line;
  for (const std::string& name : names) {
    if (line.size() + name.size() > 75) {
      str_append(text, " ", line, "\n");
      line.clear();
    }
    str_append(line, " ", name);
  }
  str_append(text, " ", line, "\n");
  return text;
}

Result<CpuOption> parse_cpu_option(std::string_view text) {
  if (text.empty()) return fail(EINVAL, "-cpu option cannot be empty");
  CpuOption option;
  size_t comma = std::min(text.find(','), text.size());
  std::string_view name = text.substr(0, comma);
  option.model = find_cpu_model(name);
  if (option.model == nullptr) return fail(ENOENT, "unable to find CPU model '", name, "'");
  while (comma < text.size()) {
    text.remove_prefix(comma + 1);
    comma = std::min(text.find(','), text.size());
    std::string_view item = text.substr(0, comma);
    if (item.starts_with('+') || item.starts_with('-')) {
      (item[0] == '+' ? option.plus : option.minus).push_back(canonical_feature_name(item.substr(1)));
      continue;
    }
    size_t equals = item.find('=');
    std::string value(equals == std::string_view::npos ? "on" : item.substr(equals + 1));
    std::string key = canonical_feature_name(item.substr(0, equals));
    if (key.empty()) continue;
    option.properties.emplace_back(std::move(key), std::move(value));
  }
  for (const auto& [key, value] : option.properties)
    for (const auto* list : {&option.plus, &option.minus})
      if (std::ranges::find(*list, key) != list->end())
        option.ambiguous.push_back(str_cat("Ambiguous CPU model string. Don't mix both \"",
                                           list == &option.plus ? "+" : "-", key, "\" and \"", key, "=",
                                           value, "\""));
  return option;
}

CpuPlace cpu_place(const CpuTopology& t, unsigned index) {
  CpuPlace place{};
  place.thread = index % t.threads;
  place.core = index / t.threads % t.cores;
  place.die = index / (t.threads * t.cores) % t.dies;
  place.socket = index / (t.threads * t.cores * t.dies);
  uint32_t id = place.socket;
  id = id << cpu_model_width(t.dies) | place.die;
  id = id << cpu_model_width(t.cores) | place.core;
  place.apic_id = id << cpu_model_width(t.threads) | place.thread;
  return place;
}

}  // namespace rhea
