// query-kvm and query-cpus-fast.
#include <unistd.h>

#include "qapi/qapi_commands_machine.h"
#include "target/i386/x86_cpu.h"

namespace rhea {

Result<KvmInfo> qmp_query_kvm(QmpContext&) {
  KvmInfo info;
  info.enabled = machine_accelerator() != nullptr && machine_accelerator()->name() == "kvm";
  info.present = info.enabled || access("/dev/kvm", F_OK) == 0;
  return info;
}

Result<std::vector<CpuInfoFast>> qmp_query_cpus_fast(QmpContext&) {
  std::vector<CpuInfoFast> list;
  for (const X86Cpu* cpu : X86Cpu::all()) {
    CpuInfoFast info;
    info.cpu_index = cpu->index();
    info.qom_path = cpu->path();
    info.thread_id = cpu->vcpu()->thread_id();
    CpuInstanceProperties props;
    props.socket_id = cpu->socket_id;
    if (cpu->die_id > 0) props.die_id = cpu->die_id;
    props.core_id = cpu->core_id;
    props.thread_id = cpu->thread_id;
    info.props = props;
    info.target = SysEmuTarget::kX8664;
    list.push_back(std::move(info));
  }
  return list;
}

}  // namespace rhea
