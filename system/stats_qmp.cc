// query-stats, query-stats-schemas: the accelerator's counters; info stats.
#include <algorithm>

#include "accel/accel.h"
#include "accel/counters.h"
#include "qapi/hmp_registry.h"
#include "qapi/qapi_commands_stats.h"
#include "system/hmp_machine.h"
#include "target/i386/x86_cpu.h"

namespace rhea {

namespace {

CounterSource* counter_source() {
  return dynamic_cast<CounterSource*>(machine_accelerator());
}

bool is_histogram(const AccelCounter& c) {
  return c.type == CounterType::kLinearHistogram || c.type == CounterType::kLogHistogram;
}

StatsValue stats_value(const AccelCounter& c) {
  if (is_histogram(c)) return StatsValue(c.values);
  if (c.unit == CounterUnit::kBoolean) return StatsValue(c.values[0] != 0);
  return StatsValue(c.values[0]);
}

/// Which counters a client asked for.
struct Wanted {
  bool any = true;
  const std::vector<std::string>* names = nullptr;
  bool operator()(const AccelCounter& c) const {
    return any && (names == nullptr || std::ranges::find(*names, c.name) != names->end());
  }
};

Wanted wanted_of(const std::optional<std::vector<StatsRequest>>& providers) {
  Wanted wanted;
  if (!providers) return wanted;
  wanted.any = !providers->empty();
  for (const StatsRequest& request : *providers)
    if (request.names) wanted.names = &*request.names;
  return wanted;
}

StatsResult stats_result(const std::vector<AccelCounter>& counters, const Wanted& wanted) {
  StatsResult result;
  result.provider = StatsProvider::kKvm;
  for (const AccelCounter& c : counters) {
    if (!wanted(c)) continue;
    Stats one;
    one.name = c.name;
    one.value = stats_value(c);
    result.stats.push_back(std::move(one));
  }
  return result;
}

StatsSchemaValue schema_value(const AccelCounter& c) {
  StatsSchemaValue value;
  value.name = c.name;
  value.type = static_cast<StatsType>(c.type);
  if (c.unit != CounterUnit::kNone) value.unit = static_cast<StatsUnit>(static_cast<int>(c.unit) - 1);
  value.exponent = c.exponent;
  if (c.exponent != 0) value.base = c.base == CounterBase::kTwo ? 2 : 10;
  if (c.type == CounterType::kLinearHistogram) value.bucket_size = c.bucket_size;
  return value;
}

}  // namespace

Result<std::vector<StatsResult>> qmp_query_stats(QmpContext&, StatsFilter filter) {
  std::vector<StatsResult> out;
  const Wanted wanted = wanted_of(filter.providers);
  CounterSource* const source = counter_source();
  if (source == nullptr || !wanted.any) return out;
  if (filter.target == StatsTarget::kVm) {
    const auto counters = TRY(source->counters(nullptr));
    if (!counters.empty()) out.push_back(stats_result(counters, wanted));
    return out;
  }
  const auto* only = std::get_if<StatsVCPUFilter>(&filter.u);
  for (const X86Cpu* cpu : X86Cpu::all()) {
    const std::string path = cpu->path();
    if (only != nullptr && only->vcpus && std::ranges::find(*only->vcpus, path) == only->vcpus->end())
      continue;
    const auto counters = TRY(source->counters(cpu->vcpu()));
    if (counters.empty()) continue;
    out.push_back(stats_result(counters, wanted));
    out.back().qom_path = path;
  }
  return out;
}

Result<std::vector<StatsSchema>> qmp_query_stats_schemas(QmpContext&, QueryStatsSchemasArgs) {
  std::vector<StatsSchema> out;
  CounterSource* const source = counter_source();
  if (source == nullptr) return out;
  for (const StatsTarget target : {StatsTarget::kVcpu, StatsTarget::kVm}) {
    const bool of_cpu = target == StatsTarget::kVcpu;
    if (of_cpu && X86Cpu::all().empty()) continue;
    const auto counters = TRY(source->counters(of_cpu ? X86Cpu::all()[0]->vcpu() : nullptr));
    if (counters.empty()) continue;
    StatsSchema schema;
    schema.provider = StatsProvider::kKvm;
    schema.target = target;
    for (const AccelCounter& c : counters) schema.stats.push_back(schema_value(c));
    out.push_back(std::move(schema));
  }
  return out;
}

namespace {

std::vector<std::string> split_names(std::string_view text) {
  std::vector<std::string> out;
  for (size_t comma = 0; comma != std::string_view::npos; text.remove_prefix(comma + 1)) {
    comma = text.find(',');
    out.emplace_back(text.substr(0, comma));
    if (comma == std::string_view::npos) break;
  }
  return out;
}

Result<> hmp_info_stats(HmpCall& call) {
  const std::optional<StatsTarget> target = from_string<StatsTarget>(call.str("target"));
  if (!target) return fail(EINVAL, "invalid stats target ", call.str("target"));
  StatsFilter filter;
  filter.target = *target;
  if (const std::string_view names = call.str("names"); !names.empty() && names != "*") {
    StatsRequest request;
    request.provider = StatsProvider::kKvm;
    request.names = split_names(names);
    filter.providers = std::vector<StatsRequest>{std::move(request)};
  }
  for (const StatsResult& result : TRY(qmp_query_stats(call.ctx, std::move(filter)))) {
    call.print("provider: ", to_string(result.provider), "\n");
    for (const Stats& one : result.stats) {
      call.print("    ", one.name, ":");
      if (const uint64_t* number = one.value.scalar()) call.print(" ", *number);
      if (const bool* yes = one.value.boolean()) call.print(*yes ? " yes" : " no");
      if (const auto* list = one.value.list())
        for (size_t i = 0; i < list->size(); ++i) call.print(" [", i, "]=", (*list)[i]);
      call.print("\n");
    }
  }
  return {};
}

constexpr HmpCommand kHmpStatsCommand{.name = "info stats",
                                      .args = "target:s,names:s?,provider:s?",
                                      .params = "target [names] [provider]",
                                      .help = "show statistics for the given target (vm or vcpu)",
                                      .run = hmp_info_stats};

}  // namespace

void register_stats_hmp(HmpRegistry& registry) {
  registry.add(kHmpStatsCommand);
}

}  // namespace rhea
