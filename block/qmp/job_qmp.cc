// The QMP commands about jobs: job-*, their older forms block-job-*, and both queries.
#include "block/jobs/block_job.h"
#include "block/jobs/create_job.h"
#include "qapi/monitor_session.h"
#include "qapi/qapi_commands_job.h"
#include "qapi/qmp_context.h"
#include "qapi/visit.h"
#include "qapi/vm_control.h"

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

JobPivot describe_pivot(const PivotOutcome& outcome) {
  JobPivot out;
  switch (outcome.record.verdict) {
    case PivotRecord::Verdict::kPrepared:
      out.verdict = JobPivotVerdict::kPrepared;
      break;
    case PivotRecord::Verdict::kPivoted:
      out.verdict = JobPivotVerdict::kPivoted;
      break;
    case PivotRecord::Verdict::kRefused:
      out.verdict = JobPivotVerdict::kRefused;
      break;
  }
  out.from_node = outcome.record.from_node;
  out.to_node = outcome.record.to_node;
  out.generation = outcome.record.generation;
  if (outcome.paused_ns >= 0) out.paused_ns = outcome.paused_ns;
  return out;
}

std::optional<std::string> error_of(const Job& job) {
  if (job.result()) return std::nullopt;
  return job.result().error().message();
}

/// Returns whether the virtual CPUs ran before.
CoResult<bool> co_pause_machine(VmControl& vm) {
  if (!vm.running()) co_return false;
  co_await or_return(co_await vm.co_stop());
  co_return true;
}

CoResult<std::shared_ptr<PivotWitness>> co_open_witness(QmpContext& ctx, std::string where,
                                                        PivotRecord plan) {
  constexpr std::string_view kDescriptor = "fd:";
  if (where.starts_with('/')) co_return co_await PivotWitness::co_make(std::move(where), std::move(plan));
  if (!where.starts_with(kDescriptor))
    co_return fail(EINVAL, "Parameter 'witness' expects an absolute path or 'fd:' and a descriptor's name");
  if (ctx.session == nullptr) co_return fail(EINVAL, "There is no monitor that could hold descriptors");
  UniqueFd fd = co_await or_return(ctx.session->take_fd(where.substr(kDescriptor.size())));
  co_return co_await PivotWitness::co_make(std::move(fd), std::move(plan));
}

CoResult<> co_complete_as_arranged(QmpContext& ctx, Job& job, std::optional<std::string> witness,
                                   bool pause_around) {
  const std::shared_ptr<Job> keep = job.shared_from_this();
  auto* on_disk = dynamic_cast<BlockJob*>(&job);
  if (on_disk == nullptr)
    co_return fail(ENOTSUP, "The active block job '", job.id(), "' cannot be completed");
  co_await or_return(job.apply_verb(JobVerb::kComplete));
  PivotRecord plan = co_await or_return(on_disk->pivot_plan());
  PivotArrangement arrangement;
  if (witness)
    arrangement.witness =
        co_await or_return(co_await co_open_witness(ctx, std::move(*witness), std::move(plan)));
  if (pause_around) {
    VmControl& vm = ctx.vm;
    arrangement.pause = [&vm] { return co_pause_machine(vm); };
    arrangement.resume = [&vm] { return vm.cont(); };
  }
  co_await or_return(job.apply_verb(JobVerb::kComplete));  // it may have ended meanwhile
  co_await or_return(on_disk->arrange_pivot(std::move(arrangement)));
  co_return job.user_complete();
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
CoResult<> qmp_job_complete(QmpContext& ctx, JobCompleteArgs args) {
  Job* job = co_await or_return(find_job(ctx, args.id));
  const bool arranged = args.witness || args.pause_around.value_or(false);
  if (!arranged) co_return job->user_complete();
  co_return co_await co_complete_as_arranged(ctx, *job, args.witness, args.pause_around.value_or(false));
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
    const auto* on_disk = dynamic_cast<const BlockJob*>(job.get());
    if (const PivotOutcome* pivot = on_disk != nullptr ? on_disk->pivot_outcome() : nullptr)
      info.pivot = describe_pivot(*pivot);
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
