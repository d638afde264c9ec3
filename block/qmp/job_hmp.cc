// HMP: info block-jobs and the commands that start and steer jobs on disks, and those that make snapshots.
// Each is the QMP command of its name.
#include "block/qmp/block_hmp.h"
#include "qapi/qapi_commands_job.h"
#include "qapi/qapi_commands_transaction.h"
#include "qapi/qmp_context.h"

namespace rhea {

namespace {

Result<> hmp_info_block_jobs(HmpCall& call) {
  const std::vector<BlockJobInfo> jobs = TRY(qmp_query_block_jobs(call.ctx));
  if (jobs.empty()) call.print("No active jobs\n");
  for (const BlockJobInfo& j : jobs) {
    if (j.type == "stream")
      call.print("Streaming device ", j.device);
    else
      call.print("Type ", j.type, ", device ", j.device);
    call.print(": Completed ", j.offset, " of ", j.len, " bytes, speed limit ", j.speed, " bytes/s\n");
  }
  return {};
}

std::optional<std::string> optional_word(const HmpCall& call, std::string_view name) {
  const std::string word(call.str(name));
  return word.empty() ? std::nullopt : std::optional(word);
}

CoResult<> hmp_block_stream(HmpCall& call) {
  BlockStreamArgs args;
  args.device = call.str("device");
  args.job_id = args.device;
  args.base = optional_word(call, "base");
  args.speed = call.number("speed");
  auto work = qmp_block_stream(call.ctx, std::move(args));
  co_return co_await std::move(work);
}

Result<> hmp_block_job_set_speed(HmpCall& call) {
  BlockJobSetSpeedArgs args;
  args.device = call.str("device");
  args.speed = call.number("speed");
  return qmp_block_job_set_speed(call.ctx, std::move(args));
}

Result<> hmp_block_job_cancel(HmpCall& call) {
  BlockJobCancelArgs args;
  args.device = call.str("device");
  args.force = call.flag("force");
  return qmp_block_job_cancel(call.ctx, std::move(args));
}

template <class Args, Result<> (*kCommand)(QmpContext&, Args)>
Result<> hmp_job_command(HmpCall& call) {
  Args args;
  args.device = call.str("device");
  return kCommand(call.ctx, std::move(args));
}

CoResult<> hmp_drive_mirror(HmpCall& call) {
  DriveMirror args;
  args.device = call.str("device");
  args.target = call.str("target");
  args.format = optional_word(call, "format");
  args.sync = call.flag("full") ? MirrorSyncMode::kFull : MirrorSyncMode::kTop;
  args.mode = call.flag("reuse") ? NewImageMode::kExisting : NewImageMode::kAbsolutePaths;
  args.unmap = true;
  auto work = qmp_drive_mirror(call.ctx, std::move(args));
  co_return co_await std::move(work);
}

CoResult<> hmp_drive_backup(HmpCall& call) {
  DriveBackup args;
  args.device = call.str("device");
  args.target = call.str("target");
  args.format = optional_word(call, "format");
  args.sync = call.flag("full") ? MirrorSyncMode::kFull : MirrorSyncMode::kTop;
  args.mode = call.flag("reuse") ? NewImageMode::kExisting : NewImageMode::kAbsolutePaths;
  auto work = qmp_drive_backup(call.ctx, std::move(args));
  co_return co_await std::move(work);
}

CoResult<> hmp_snapshot_blkdev(HmpCall& call) {
  const auto file = optional_word(call, "snapshot-file");
  // Where the overlay would be named by itself nobody would find it again.
  if (!file) co_return fail(EINVAL, "Parameter 'snapshot-file' is missing");
  BlockdevSnapshotSync args;
  args.device = std::string(call.str("device"));
  args.snapshot_file = *file;
  args.format = optional_word(call, "format");
  args.mode = call.flag("reuse") ? NewImageMode::kExisting : NewImageMode::kAbsolutePaths;
  auto work = qmp_blockdev_snapshot_sync(call.ctx, std::move(args));
  co_return co_await std::move(work);
}

CoResult<> hmp_snapshot_blkdev_internal(HmpCall& call) {
  BlockdevSnapshotInternal args;
  args.device = call.str("device");
  args.name = call.str("name");
  auto work = qmp_blockdev_snapshot_internal_sync(call.ctx, std::move(args));
  co_return co_await std::move(work);
}

CoResult<> hmp_snapshot_delete_blkdev_internal(HmpCall& call) {
  BlockdevSnapshotDeleteInternalSyncArgs args;
  args.device = call.str("device");
  args.name = optional_word(call, "name");
  args.id = optional_word(call, "id");
  auto work = qmp_blockdev_snapshot_delete_internal_sync(call.ctx, std::move(args));
  Result<SnapshotInfo> gone = co_await std::move(work);
  if (!gone) co_return Failure(std::move(gone).error());
  co_return Result<>();
}

constexpr HmpCommand kJobHmpCommands[] = {
    {.name = "info block-jobs",
     .args = "",
     .params = "",
     .help = "show progress of ongoing block device operations",
     .run = hmp_info_block_jobs},
    {.name = "block_stream",
     .args = "device:B,speed:o?,base:s?",
     .params = "device [speed [base]]",
     .help = "copy data from a backing file into a block device",
     .co_run = hmp_block_stream},
    {.name = "block_job_set_speed",
     .args = "device:B,speed:o",
     .params = "device speed",
     .help = "set maximum speed for a background block operation",
     .run = hmp_block_job_set_speed},
    {.name = "block_job_cancel",
     .args = "force:-f,device:B",
     .params = "[-f] device",
     .help = "stop an active background block operation (use -f to abort it at once, even if it is in sync)",
     .run = hmp_block_job_cancel},
    {.name = "block_job_complete",
     .args = "device:B",
     .params = "device",
     .help = "stop an active background block operation",
     .run = hmp_job_command<BlockJobCompleteArgs, qmp_block_job_complete>},
    {.name = "block_job_pause",
     .args = "device:B",
     .params = "device",
     .help = "pause an active background block operation",
     .run = hmp_job_command<BlockJobPauseArgs, qmp_block_job_pause>},
    {.name = "block_job_resume",
     .args = "device:B",
     .params = "device",
     .help = "resume a paused background block operation",
     .run = hmp_job_command<BlockJobResumeArgs, qmp_block_job_resume>},
    {.name = "drive_mirror",
     .args = "reuse:-n,full:-f,device:B,target:s,format:s?",
     .params = "[-n] [-f] device target [format]",
     .help =
         "copy a device to a new image and follow its writes (-n: the image is there already; -f: copy what "
         "lies below it too)",
     .co_run = hmp_drive_mirror},
    {.name = "drive_backup",
     .args = "reuse:-n,full:-f,device:B,target:s,format:s?",
     .params = "[-n] [-f] device target [format]",
     .help = "copy a device as it is now to a new image (-n: the image is there already; -f: copy what lies "
             "below "
             "it too)",
     .co_run = hmp_drive_backup},
    {.name = "snapshot_blkdev",
     .args = "reuse:-n,device:B,snapshot-file:s?,format:s?",
     .params = "[-n] device [new-image-file] [format]",
     .help = "put a new image, qcow2 unless another format is given, on a device (-n: the image is there "
             "already)",
     .co_run = hmp_snapshot_blkdev},
    {.name = "snapshot_blkdev_internal",
     .args = "device:B,name:s",
     .params = "device name",
     .help = "take an internal snapshot of a device",
     .co_run = hmp_snapshot_blkdev_internal},
    {.name = "snapshot_delete_blkdev_internal",
     .args = "device:B,name:s,id:s?",
     .params = "device name [id]",
     .help = "delete an internal snapshot of a device, by its name and id",
     .co_run = hmp_snapshot_delete_blkdev_internal},
};

}  // namespace

void register_job_hmp(HmpRegistry& registry) {
  for (const HmpCommand& command : kJobHmpCommands) registry.add(command);
}

}  // namespace rhea
