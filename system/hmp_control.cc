// HMP commands that act on the machine from outside: boot_set, memsave, pmemsave, getfd, closefd; and info
// memory_size_summary, ramblock, roms.
#include <fmt/format.h>

#include <algorithm>

#include "hw/core/machine.h"
#include "memory/memory.h"
#include "qapi/hmp_registry.h"
#include "qapi/qapi_commands_machine.h"
#include "qapi/qapi_commands_misc.h"
#include "qapi/qmp_context.h"
#include "system/hmp_machine.h"

namespace rhea {

namespace {

Result<> hmp_boot_set(HmpCall& call) {
  auto* machine = dynamic_cast<Machine*>(call.ctx.qom.resolve("/machine"));
  if (machine == nullptr)
    return fail(ENODEV, "no function defined to set boot device list for this architecture");
  const std::string_view order = call.str("bootdevice");
  if (Result<> done = machine->set_boot_order(order); !done)
    call.print(done.error().message(), "\n");
  else
    call.print("boot device list now set to ", order, "\n");
  return {};
}

Result<> hmp_memsave(HmpCall& call) {
  MemsaveArgs args;
  args.val = call.number("val");
  args.size = call.number("size");
  args.filename = std::string(call.str("filename"));
  args.cpu_index = call.cpu_index;
  return qmp_memsave(call.ctx, std::move(args));
}

Result<> hmp_pmemsave(HmpCall& call) {
  PmemsaveArgs args;
  args.val = call.number("val");
  args.size = call.number("size");
  args.filename = std::string(call.str("filename"));
  return qmp_pmemsave(call.ctx, std::move(args));
}

Result<> hmp_getfd(HmpCall& call) {
  GetfdArgs args;
  args.fdname = std::string(call.str("fdname"));
  return qmp_getfd(call.ctx, std::move(args));
}

Result<> hmp_closefd(HmpCall& call) {
  ClosefdArgs args;
  args.fdname = std::string(call.str("fdname"));
  return qmp_closefd(call.ctx, std::move(args));
}

Result<> info_memory_size_summary(HmpCall& call) {
  const MemoryInfo info = TRY(qmp_query_memory_size_summary(call.ctx));
  call.print("base memory: ", info.base_memory, "\n");
  if (info.plugged_memory) call.print("plugged memory: ", *info.plugged_memory, "\n");
  return {};
}

/// The blocks that some address space shows, in the order of their first appearance.
std::vector<const RamBlock*> shown_blocks() {
  std::vector<const RamBlock*> out;
  for (const AddressSpace* space : AddressSpace::all())
    for (const auto& block : space->view()->blocks)
      if (std::ranges::find(out, block.get()) == out.end()) out.push_back(block.get());
  return out;
}

Result<> info_ramblock(HmpCall& call) {
  call.print(
      fmt::format("{:>24} {:>8}  {:>18} {:>18} {:>18}\n", "Block Name", "PSize", "Offset", "Used", "Total"));
  uint64_t offset = 0;
  for (const RamBlock* block : shown_blocks()) {
    call.print(fmt::format("{:>24} {:>8}  0x{:016x} 0x{:016x} 0x{:016x}\n", block->id(), "4 KiB", offset,
                           block->size(), block->size()));
    offset += block->size();
  }
  return {};
}

Result<> info_roms(HmpCall& call) {
  if (const auto* machine = dynamic_cast<const Machine*>(call.ctx.qom.resolve("/machine")))
    for (const MachineRom& rom : machine->roms())
      call.print(rom.address
                     ? fmt::format("addr={:016x} size=0x{:06x} mem=rom name=\"{}\"\n", *rom.address,
                                   rom.bytes, rom.name)
                     : fmt::format("fw={} size=0x{:06x} name=\"{}\"\n", rom.file, rom.bytes, rom.name));
  return {};
}

constexpr HmpCommand kHmpControlCommands[] = {
    {.name = "boot_set",
     .args = "bootdevice:s",
     .params = "bootdevice",
     .help = "define new values for the boot device list",
     .run = hmp_boot_set},
    {.name = "memsave",
     .args = "val:l,size:i,filename:s",
     .params = "addr size file",
     .help = "save to disk virtual memory dump starting at 'addr' of size 'size'",
     .run = hmp_memsave},
    {.name = "pmemsave",
     .args = "val:l,size:i,filename:s",
     .params = "addr size file",
     .help = "save to disk physical memory dump starting at 'addr' of size 'size'",
     .run = hmp_pmemsave},
    {.name = "getfd",
     .args = "fdname:s",
     .params = "getfd name",
     .help = "receive a file descriptor via SCM rights and assign it a name",
     .run = hmp_getfd},
    {.name = "closefd",
     .args = "fdname:s",
     .params = "closefd name",
     .help = "close a file descriptor previously passed via SCM rights",
     .run = hmp_closefd},
    {.name = "info memory_size_summary",
     .help = "show the amount of initially allocated and present hotpluggable (if enabled) memory in bytes.",
     .run = info_memory_size_summary},
    {.name = "info ramblock", .help = "Display system ramblock information", .run = info_ramblock},
    {.name = "info roms", .help = "show roms", .run = info_roms},
};

}  // namespace

void register_control_hmp(HmpRegistry& registry) {
  for (const auto& command : kHmpControlCommands) registry.add(command);
}

}  // namespace rhea
