// HMP commands that show or change what devices are given: memory, processors, a disk's size.
#include "qapi/hmp_registry.h"
#include "qapi/qapi_commands_block.h"
#include "qapi/qapi_commands_devices.h"
#include "qapi/qapi_commands_machine.h"
#include "system/hmp_machine.h"

namespace rhea {

namespace {

constexpr int64_t kMegabyte = 1 << 20;

Result<> hmp_balloon(HmpCall& call) {
  BalloonArgs args;
  args.value = call.number("value");
  return qmp_balloon(call.ctx, args);
}

Result<> info_balloon(HmpCall& call) {
  const BalloonInfo info = TRY(qmp_query_balloon(call.ctx));
  call.print("balloon: actual=", info.actual / kMegabyte, "\n");
  return {};
}

CoResult<> hmp_block_resize(HmpCall& call) {
  BlockResizeArgs args;
  args.device = std::string(call.str("device"));
  args.size = call.number("size");
  auto work = qmp_block_resize(call.ctx, std::move(args));
  Result<> done = co_await work;
  co_return done;
}

std::string_view true_or_false(bool on) {
  return on ? "true" : "false";
}

/// Node numbers as ranges: "0-2,5".
std::string ranges_text(const std::vector<uint16_t>& numbers) {
  std::string out;
  for (size_t i = 0; i < numbers.size();) {
    size_t end = i;
    while (end + 1 < numbers.size() && numbers[end + 1] == numbers[end] + 1) ++end;
    str_append(out, out.empty() ? "" : ",", numbers[i]);
    if (end != i) str_append(out, "-", numbers[end]);
    i = end + 1;
  }
  return out;
}

Result<> info_memdev(HmpCall& call) {
  for (const Memdev& m : TRY(qmp_query_memdev(call.ctx))) {
    call.print("memory backend: ", m.id.value_or(""), "\n  size:  ", m.size,
               "\n  merge: ", true_or_false(m.merge), "\n  dump: ", true_or_false(m.dump),
               "\n  prealloc: ", true_or_false(m.prealloc), "\n  share: ", true_or_false(m.share));
    if (m.reserve) call.print("\n  reserve: ", true_or_false(*m.reserve));
    call.print("\n  policy: ", to_string(m.policy), "\n  host nodes: ", ranges_text(m.host_nodes), "\n");
  }
  call.print("\n");
  return {};
}

Result<> info_memory_devices(HmpCall& call) {
  for (const MemoryDeviceInfo& device : TRY(qmp_query_memory_devices(call.ctx))) {
    const auto* dimm = std::get_if<MemoryDeviceInfoDimmWrapper>(&device.u);
    if (dimm == nullptr) continue;
    const PCDIMMDeviceInfo& d = dimm->data;
    call.print("Memory device [dimm]: \"", d.id.value_or(""), "\"\n  addr: 0x",
               hex(static_cast<uint64_t>(d.addr)), "\n  slot: ", d.slot, "\n  node: ", d.node,
               "\n  size: ", d.size, "\n  memdev: ", d.memdev,
               "\n  hotplugged: ", true_or_false(d.hotplugged),
               "\n  hotpluggable: ", true_or_false(d.hotpluggable), "\n");
  }
  return {};
}

Result<> info_hotpluggable_cpus(HmpCall& call) {
  call.print("Hotpluggable CPUs:\n");
  for (const HotpluggableCPU& cpu : TRY(qmp_query_hotpluggable_cpus(call.ctx))) {
    call.print("  type: \"", cpu.type, "\"\n  vcpus_count: \"", cpu.vcpus_count, "\"\n");
    if (cpu.qom_path) call.print("  qom_path: \"", *cpu.qom_path, "\"\n");
    call.print("  CPUInstance Properties:\n");
    const auto print = [&](std::string_view name, const std::optional<int64_t>& value) {
      if (value) call.print("    ", name, ": \"", *value, "\"\n");
    };
    print("node-id", cpu.props.node_id);
    print("socket-id", cpu.props.socket_id);
    print("die-id", cpu.props.die_id);
    print("cluster-id", cpu.props.cluster_id);
    print("core-id", cpu.props.core_id);
    print("thread-id", cpu.props.thread_id);
  }
  return {};
}

constexpr HmpCommand kHmpDeviceCommands[] = {
    {.name = "balloon",
     .args = "value:o",
     .params = "target",
     .help = "request VM to change its memory allocation (in MB)",
     .run = hmp_balloon},
    {.name = "block_resize",
     .args = "device:B,size:o",
     .params = "device size",
     .help = "resize a block image",
     .co_run = hmp_block_resize},
    {.name = "info balloon", .help = "show balloon information", .run = info_balloon},
    {.name = "info hotpluggable-cpus",
     .help = "Show information about hotpluggable CPUs",
     .run = info_hotpluggable_cpus},
    {.name = "info memdev", .help = "show memory backends", .run = info_memdev},
    {.name = "info memory-devices", .help = "show memory devices", .run = info_memory_devices},
};

}  // namespace

void register_device_hmp(HmpRegistry& registry) {
  for (const auto& command : kHmpDeviceCommands) registry.add(command);
}

}  // namespace rhea
