// dump-guest-memory, calc-dirty-rate: what is read out of the guest's memory; their QMP and HMP.
#include <fcntl.h>
#include <fmt/format.h>

#include "qapi/hmp_registry.h"
#include "qapi/monitor_session.h"
#include "qapi/qapi_commands_dump.h"
#include "qapi/qapi_commands_migration.h"
#include "qapi/qapi_events_dump.h"
#include "system/guest_dump.h"
#include "system/hmp_machine.h"
#include "system/vm.h"
#include "util/fdset.h"
#include "util/thread_pool.h"

namespace rhea {

namespace {

Result<Vm*> dump_vm(QmpContext& ctx) {
  auto* vm = dynamic_cast<Vm*>(&ctx.vm);
  if (vm == nullptr) return fail(ENOTSUP, "There is no machine to look at");
  return vm;
}

Result<std::optional<DumpFilter>> dump_filter(const DumpGuestMemoryArgs& args) {
  if (!args.begin && !args.length) return std::optional<DumpFilter>();
  if (!args.length) return fail(EINVAL, "Parameter 'length' is missing");
  if (!args.begin) return fail(EINVAL, "Parameter 'begin' is missing");
  if (*args.length <= 0) return fail(EINVAL, "Invalid parameter 'length'");
  if (*args.begin < 0) return fail(EINVAL, "Invalid parameter 'begin'");
  return std::optional<DumpFilter>(
      DumpFilter{.begin = static_cast<uint64_t>(*args.begin), .bytes = static_cast<uint64_t>(*args.length)});
}

Result<> check_dump_format(const DumpGuestMemoryArgs& args) {
  const DumpGuestMemoryFormat format = args.format.value_or(DumpGuestMemoryFormat::kElf);
  if (format == DumpGuestMemoryFormat::kElf) return {};
  if (args.paging || args.begin || args.length)
    return fail(EINVAL, "kdump-compressed format doesn't support paging or filter");
  return fail(ENOTSUP, to_string(format), " is not available now");
}

Result<UniqueFd> open_dump_file(const std::string& protocol, MonitorSession* session) {
  constexpr std::string_view kFd = "fd:", kFile = "file:";
  if (protocol.starts_with(kFd)) {
    const std::string name = protocol.substr(kFd.size());
    if (session == nullptr) return fail(ENOENT, "File descriptor named '", name, "' has not been found");
    return session->take_fd(name);
  }
  if (!protocol.starts_with(kFile)) return fail(EINVAL, "Invalid parameter 'protocol'");
  const std::string path = protocol.substr(kFile.size());
  UniqueFd fd(open_file(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0400));
  if (!fd) return fail_errno(errno, "Could not open '", path, "'");
  return fd;
}

}  // namespace

CoResult<> Vm::co_dump(DumpGuestMemoryArgs args, MonitorSession* session) {
  if (dump_status_ == DumpStatus::kActive) co_return fail(EBUSY, "There is a dump in process, please wait.");
  co_await or_return(check_dump_format(args));
  const std::optional<DumpFilter> filter = co_await or_return(dump_filter(args));
  UniqueFd file = co_await or_return(open_dump_file(args.protocol, session));
  const bool resume = running();
  dump_status_ = DumpStatus::kActive;
  dump_.reset();
  Result<> prepared = co_await co_prepare_dump(std::move(file), args.paging, filter);
  if (!prepared) {
    dump_status_ = DumpStatus::kFailed;
    if (resume && state_ == RunState::kSaveVm) std::ignore = cont();  // it ran a moment ago
    co_return prepared;
  }
  if (!args.detach.value_or(false)) co_return co_await co_write_dump(resume);
  background_.spawn(co_write_dump(resume), {});
  co_return Result<>();
}

CoResult<> Vm::co_prepare_dump(UniqueFd file, bool paging, std::optional<DumpFilter> filter) {
  if (running()) stop_as(RunState::kSaveVm);
  co_await or_return(co_await co_drain_disks());
  std::vector<X86State> cpus;
  for (const auto& vcpu : accel_->vcpus()) cpus.push_back(co_await or_return(vcpu->get_state()));
  dump_ = co_await or_return(GuestDump::create(std::move(file), std::move(cpus), paging, filter));
  co_return Result<>();
}

CoResult<> Vm::co_write_dump(bool resume) {
  const std::shared_ptr<GuestDump> dump = dump_;
  auto work = [dump] { return dump->write(); };
  Result<> written = co_await thread_pool().co_run(work);
  dump_status_ = written ? DumpStatus::kCompleted : DumpStatus::kFailed;
  std::optional<std::string> error;
  if (!written) error = written.error().message();
  qapi_event_send_dump_completed(dump_result(), std::move(error));
  if (resume && state_ == RunState::kSaveVm && !ending_) std::ignore = cont();  // nothing forbids it since
  co_return written;
}

DumpQueryResult Vm::dump_result() const {
  DumpQueryResult result;
  result.status = dump_status_;
  result.completed = dump_ != nullptr ? static_cast<int64_t>(dump_->completed()) : 0;
  result.total = dump_ != nullptr ? static_cast<int64_t>(dump_->total()) : 0;
  return result;
}

CoResult<> qmp_dump_guest_memory(QmpContext& ctx, DumpGuestMemoryArgs args) {
  Vm* const vm = co_await or_return(dump_vm(ctx));
  co_return co_await vm->co_dump(std::move(args), ctx.session);
}

Result<DumpQueryResult> qmp_query_dump(QmpContext& ctx) {
  return TRY(dump_vm(ctx))->dump_result();
}

Result<DumpGuestMemoryCapability> qmp_query_dump_guest_memory_capability(QmpContext&) {
  DumpGuestMemoryCapability capability;
  capability.formats.push_back(DumpGuestMemoryFormat::kElf);
  return capability;
}

Result<> qmp_calc_dirty_rate(QmpContext& ctx, CalcDirtyRateArgs args) {
  const DirtyRateMeasureMode mode = args.mode.value_or(DirtyRateMeasureMode::kPageSampling);
  if (mode != DirtyRateMeasureMode::kPageSampling)
    return fail(ENOTSUP, "mode ", to_string(mode), " is not enabled, use other method instead.");
  return TRY(dump_vm(ctx))
      ->dirty_rate()
      .start(args.calc_time, args.sample_pages.value_or(DirtyRateMeter::kDefaultPages));
}

Result<DirtyRateInfo> qmp_query_dirty_rate(QmpContext& ctx) {
  return TRY(dump_vm(ctx))->dirty_rate().info();
}

// --- For people.

namespace {

CoResult<> hmp_dump_guest_memory(HmpCall& call) {
  DumpGuestMemoryArgs args;
  args.paging = call.flag("paging");
  args.detach = call.flag("detach");
  args.protocol = str_cat("file:", call.str("filename"));
  const std::pair<const char*, DumpGuestMemoryFormat> kFlags[] = {
      {"zlib", DumpGuestMemoryFormat::kKdumpZlib},
      {"lzo", DumpGuestMemoryFormat::kKdumpLzo},
      {"snappy", DumpGuestMemoryFormat::kKdumpSnappy},
      {"windmp", DumpGuestMemoryFormat::kWinDmp}};
  for (const auto& [flag, format] : kFlags)
    if (call.flag(flag)) args.format = format;
  if (const Json* begin = call.args.find("begin")) args.begin = begin->as_int();
  if (const Json* length = call.args.find("length")) args.length = length->as_int();
  co_return co_await qmp_dump_guest_memory(call.ctx, std::move(args));
}

Result<> hmp_info_dump(HmpCall& call) {
  const DumpQueryResult result = TRY(qmp_query_dump(call.ctx));
  call.print("Status: ", to_string(result.status), "\n");
  if (result.status == DumpStatus::kActive && result.total != 0)
    call.print(fmt::format("Finished: {:.2f} %\n", 100.0 * static_cast<double>(result.completed) /
                                                       static_cast<double>(result.total)));
  return {};
}

Result<> hmp_calc_dirty_rate(HmpCall& call) {
  CalcDirtyRateArgs args;
  args.calc_time = call.args.find("second")->as_int();
  if (const Json* pages = call.args.find("sample_pages_per_GB")) args.sample_pages = pages->as_int();
  if (call.flag("dirty_ring")) args.mode = DirtyRateMeasureMode::kDirtyRing;
  if (call.flag("dirty_bitmap")) args.mode = DirtyRateMeasureMode::kDirtyBitmap;
  TRY(qmp_calc_dirty_rate(call.ctx, std::move(args)));
  call.print("Starting dirty rate measurement with period ", call.args.find("second")->as_int(),
             " seconds\n[Please use 'info dirty_rate' to check results]\n");
  return {};
}

Result<> hmp_info_dirty_rate(HmpCall& call) {
  const DirtyRateInfo info = TRY(qmp_query_dirty_rate(call.ctx));
  call.print("Status: ", to_string(info.status), "\nStart Time: ", info.start_time,
             " (ms)\nSample Pages: ", info.sample_pages, " (per GB)\nPeriod: ", info.calc_time,
             " (sec)\nMode: ", to_string(info.mode), "\nDirty rate: ");
  if (info.dirty_rate)
    call.print(*info.dirty_rate, " (MB/s)\n");
  else
    call.print("(not ready)\n");
  return {};
}

constexpr HmpCommand kHmpDumpCommands[] = {
    {.name = "dump-guest-memory",
     .args = "paging:-p,detach:-d,windmp:-w,zlib:-z,lzo:-l,snappy:-s,filename:F,begin:l?,length:l?",
     .params = "[-p] [-d] [-z|-l|-s|-w] filename [begin length]",
     .help = "dump guest memory into file 'filename'",
     .co_run = hmp_dump_guest_memory},
    {.name = "calc_dirty_rate",
     .args = "dirty_ring:-r,dirty_bitmap:-b,second:l,sample_pages_per_GB:l?",
     .params = "[-r] [-b] second [sample_pages_per_GB]",
     .help = "start a round of guest dirty rate measurement",
     .run = hmp_calc_dirty_rate},
    {.name = "info dump", .help = "Display the latest dump status", .run = hmp_info_dump},
    {.name = "info dirty_rate", .help = "show dirty rate information", .run = hmp_info_dirty_rate},
};

}  // namespace

void register_dump_hmp(HmpRegistry& registry) {
  for (const auto& command : kHmpDumpCommands) registry.add(command);
}

}  // namespace rhea
