// The QMP commands about jobs: job-*, their older forms block-job-*, and both queries.
#include "block/jobs/block_job.h"
#include "block/jobs/create_job.h"
#include "qapi/qapi_commands_job.h"
#include "qapi/qmp_context.h"
#include "qapi/visit.h"

namespace rhea {

namespace {

Result<Job*> find_job(QmpContext& ctx, const std::string& id) {
  Job* job = ctx.jobs != nullptr ? ctx.jobs->find(id) : nullptr;
  if (job == nullptr) return fail(ENOENT, "Job not found");
  return job;
}

Result<BlockJob*> find_block_job(QmpContext& ctx, const std::string& id) {
  auto* job = ctx.jobs != nullptr ? dynamic_cast<BlockJob*>(ctx.jobs->find(id)) : nullptr;
  if (job == nullptr)
    return fail_class(ErrorClass::kDeviceNotActive, ENOENT, "Block job '", id, "' not found");
  return job;
}

std::optional<std::string> error_of(const Job& job) {
  if (job.result()) return std::nullopt;
  return job.result().error().message();
}

/// Answers when it has ended: clients count on the job's nodes being gone then.
CoResult<> co_finalize(Job& job) {
  co_await or_return(job.user_finalize());
  co_return co_await job.co_settled();
}

}  // namespace

Result<> qmp_job_pause(QmpContext& ctx, JobPauseArgs args) {
  return TRY(find_job(ctx, args.id))->user_pause();
}
Result<> qmp_job_resume(QmpContext& ctx, JobResumeArgs args) {
  return TRY(find_job(ctx, args.id))->user_resume();
}
Result<> qmp_job_cancel(QmpContext& ctx, JobCancelArgs args) {
  return TRY(find_job(ctx, args.id))->user_cancel(true);
}
Result<> qmp_job_complete(QmpContext& ctx, JobCompleteArgs args) {
  return TRY(find_job(ctx, args.id))->user_complete();
}
Result<> qmp_job_dismiss(QmpContext& ctx, JobDismissArgs args) {
  return TRY(find_job(ctx, args.id))->user_dismiss();
}
CoResult<> qmp_job_finalize(QmpContext& ctx, JobFinalizeArgs args) {
  Job* job = co_await or_return(find_job(ctx, args.id));
  co_return co_await co_finalize(*job);
}

Result<std::vector<JobInfo>> qmp_query_jobs(QmpContext& ctx) {
  std::vector<JobInfo> out;
  if (ctx.jobs == nullptr) return out;
  for (const auto& job : ctx.jobs->all()) {
    JobInfo info;
    info.id = job->id();
    info.type = job->type();
    info.status = job->status();
    info.current_progress = static_cast<int64_t>(job->progress());
    info.total_progress = static_cast<int64_t>(job->total());
    info.error = error_of(*job);
    out.push_back(std::move(info));
  }
  return out;
}

Result<> qmp_block_job_pause(QmpContext& ctx, BlockJobPauseArgs args) {
  return TRY(find_block_job(ctx, args.device))->user_pause();
}
Result<> qmp_block_job_resume(QmpContext& ctx, BlockJobResumeArgs args) {
  return TRY(find_block_job(ctx, args.device))->user_resume();
}
Result<> qmp_block_job_cancel(QmpContext& ctx, BlockJobCancelArgs args) {
  BlockJob* job = TRY(find_block_job(ctx, args.device));
  const bool force = args.force.value_or(false);
  if (job->user_paused() && !force)
    return fail(EBUSY, "The block job for device '", args.device,
                "' is currently paused and cannot be cancelled");
  return job->user_cancel(force);
}
Result<> qmp_block_job_complete(QmpContext& ctx, BlockJobCompleteArgs args) {
  return TRY(find_block_job(ctx, args.device))->user_complete();
}
Result<> qmp_block_job_set_speed(QmpContext& ctx, BlockJobSetSpeedArgs args) {
  return TRY(find_block_job(ctx, args.device))->set_speed(args.speed);
}
Result<> qmp_block_job_dismiss(QmpContext& ctx, BlockJobDismissArgs args) {
  return TRY(find_block_job(ctx, args.id))->user_dismiss();
}
CoResult<> qmp_block_job_finalize(QmpContext& ctx, BlockJobFinalizeArgs args) {
  BlockJob* job = co_await or_return(find_block_job(ctx, args.id));
  co_return co_await co_finalize(*job);
}

Result<std::vector<BlockJobInfo>> qmp_query_block_jobs(QmpContext& ctx) {
  std::vector<BlockJobInfo> out;
  if (ctx.jobs == nullptr) return out;
  for (const auto& any : ctx.jobs->all()) {
    const auto* job = dynamic_cast<const BlockJob*>(any.get());
    if (job == nullptr) continue;
    BlockJobInfo info;
    info.type = to_string(job->type());
    info.device = job->id();
    info.len = static_cast<int64_t>(job->total());
    info.offset = static_cast<int64_t>(job->progress());
    info.busy = job->busy();
    info.paused = job->paused();
    info.speed = static_cast<int64_t>(job->speed());
    info.io_status = *from_string<BlockDeviceIoStatus>(io_status_name(job->io_status()));
    info.ready = job->is_ready();
    info.status = job->status();
    info.auto_finalize = job->auto_finalize();
    info.auto_dismiss = job->auto_dismiss();
    info.error = error_of(*job);
    out.push_back(std::move(info));
  }
  return out;
}

Result<> qmp_blockdev_create(QmpContext& ctx, BlockdevCreateArgs args) {
  if (ctx.jobs == nullptr) return fail(ENODEV, "This program has no jobs");
  return start_create_job(*ctx.jobs, std::move(args.job_id), std::move(args.options));
}

}  // namespace rhea
