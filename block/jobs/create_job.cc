#include "block/jobs/create_job.h"

#include "qapi/visit.h"

namespace rhea {

namespace {

class CreateJob final : public Job {
 public:
  CreateJob(JobSet& jobs, JobOptions options, const BlockDriver& driver, OptionTree image)
      : Job(jobs, JobType::kCreate, std::move(options)), driver_(driver), image_(std::move(image)) {
    set_total(0);
  }

 private:
  CoResult<> co_run() override {
    set_total(1);
    co_await or_return(co_await driver_.co_blockdev_create(jobs().graph(), image_));
    add_progress(1);
    co_return Result<>();
  }
  const BlockDriver& driver_;
  OptionTree image_;
};

}  // namespace

Result<> start_create_job(JobSet& jobs, std::string id, BlockdevCreateOptions options) {
  const BlockDriver* driver = jobs.graph().find_driver(to_string(options.driver));
  if (driver == nullptr)
    return fail(ENOENT, "Block driver '", to_string(options.driver), "' not found or not supported");
  if (driver->co_blockdev_create == nullptr) return fail(ENOTSUP, "Driver does not support blockdev-create");
  TRY(jobs.check_id(id));
  OptionTree image = OptionTree::from_json(to_json(options));
  image.erase("driver");
  JobOptions made;
  made.id = std::move(id);
  made.auto_dismiss = false;
  auto job = std::make_shared<CreateJob>(jobs, std::move(made), *driver, std::move(image));
  jobs.add(job);
  jobs.start(*job);
  return {};
}

}  // namespace rhea
