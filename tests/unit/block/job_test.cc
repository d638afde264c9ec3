// The life of jobs: states in their order, verbs where they belong, transactions (C.2).
#include "block/jobs/job.h"

#include "block/jobs/block_job.h"
#include "qapi/event.h"
#include "tests/unit/block/graph_fixture.h"

namespace rhea {

namespace {

/// Works until it is told how to end.
class FakeJob final : public Job {
 public:
  FakeJob(JobSet& jobs, JobOptions options) : Job(jobs, JobType::kCreate, std::move(options)) {}
  void end(Result<> how) {
    how_ = std::move(how);
    ended_ = true;
    wake();
  }
  void get_ready() { ready_ = true, wake(); }
  Result<> prepare_with;
  std::string log;

 private:
  CoResult<> co_run() override {
    while (!ended_ && !is_cancelled()) {
      if (ready_ && !is_ready()) become_ready();
      co_await or_return(co_await co_wait_for_wake());
    }
    co_return how_;
  }
  CoResult<> co_prepare() override {
    log += 'p';
    co_return prepare_with;
  }
  CoResult<> co_commit() override {
    log += 'c';
    co_return Result<>();
  }
  CoResult<> co_abort() override {
    log += 'a';
    co_return Result<>();
  }
  CoResult<> co_clean() override {
    log += '.';
    co_return Result<>();
  }
  Result<> how_;
  bool ended_ = false, ready_ = false;
};

class JobLife : public GraphTest, private EventSink {
 protected:
  JobLife() { set_qapi_event_sink(this); }
  ~JobLife() override {
    EXPECT_TRUE(run(jobs.co_stop()));
    set_qapi_event_sink(nullptr);
  }
  std::shared_ptr<FakeJob> make(const std::string& id, std::shared_ptr<JobTransaction> group = nullptr,
                                bool auto_finalize = true) {
    JobOptions options;
    options.id = id;
    options.auto_dismiss = false;
    options.auto_finalize = auto_finalize;
    options.transaction = std::move(group);
    auto job = std::make_shared<FakeJob>(jobs, std::move(options));
    jobs.add(job);
    return job;
  }
  void settle() {
    while (loop->run_once(false)) continue;
  }
  static std::string text(const Result<>& r) { return r ? "" : r.error().message(); }
  void emit(std::string_view, Json data) override {
    if (const Json* status = data.find("status")) seen += status->as_string() + " ";
  }

  JobSet jobs{graph};
  std::string seen;
};

TEST_F(JobLife, SuccessGoesThroughAllStates) {
  loop->make_current();
  auto job = make("j");
  jobs.start(*job);
  settle();
  EXPECT_EQ(text(job->user_complete()), "Job 'j' in state 'running' cannot accept command verb 'complete'");
  job->end({});
  settle();
  EXPECT_EQ(seen, "created running waiting pending concluded ");
  EXPECT_EQ(job->log, "pc.");
  EXPECT_EQ(text(job->user_cancel(true)), "Job 'j' in state 'concluded' cannot accept command verb 'cancel'");
  EXPECT_EQ(text(job->user_dismiss()), "");
  EXPECT_EQ(jobs.find("j"), nullptr);
}

TEST_F(JobLife, FailureKeepsItsError) {
  loop->make_current();
  auto job = make("j");
  jobs.start(*job);
  job->end(fail(EIO, "it broke"));
  settle();
  EXPECT_EQ(seen, "created running aborting concluded ");
  EXPECT_EQ(job->log, "a.");
  EXPECT_EQ(text(job->result()), "it broke");
}

TEST_F(JobLife, RestsWhereItIs) {
  loop->make_current();
  auto job = make("j");
  jobs.start(*job);
  settle();
  EXPECT_EQ(text(job->user_pause()), "");
  EXPECT_EQ(text(job->user_pause()), "Job is already paused");
  settle();
  EXPECT_EQ(text(job->user_resume()), "");
  settle();
  job->get_ready();
  settle();
  EXPECT_EQ(text(job->user_pause()), "");
  settle();
  EXPECT_EQ(text(job->user_resume()), "");
  settle();
  EXPECT_EQ(text(job->user_resume()), "Can't resume a job that was not paused");
  EXPECT_EQ(seen, "created running paused running ready standby ready ");
  EXPECT_EQ(text(job->user_complete()), "The active block job 'j' cannot be completed");
}

TEST_F(JobLife, WaitsForFinalize) {
  loop->make_current();
  auto job = make("j", nullptr, false);
  jobs.start(*job);
  job->end({});
  settle();
  EXPECT_EQ(job->status(), JobStatus::kPending);
  EXPECT_EQ(text(job->user_dismiss()), "Job 'j' in state 'pending' cannot accept command verb 'dismiss'");
  EXPECT_EQ(text(job->user_finalize()), "");
  settle();
  EXPECT_EQ(job->log, "pc.");
}

TEST_F(JobLife, OneFailureIsEverybodysInATransaction) {
  loop->make_current();
  auto group = std::make_shared<JobTransaction>(jobs);
  auto a = make("a", group), b = make("b", group);
  jobs.start(*a);
  jobs.start(*b);
  a->end({});
  settle();
  EXPECT_EQ(a->status(), JobStatus::kWaiting);
  b->end(fail(EIO, "it broke"));
  settle();
  EXPECT_EQ(a->log, "a.");
  EXPECT_EQ(b->log, "a.");
  EXPECT_EQ(a->result().error().errnum(), ECANCELED);
}

TEST_F(JobLife, AFailingPivotUndoesAll) {
  loop->make_current();
  auto group = std::make_shared<JobTransaction>(jobs);
  auto a = make("a", group), b = make("b", group);
  b->prepare_with = fail(EPERM, "no");
  jobs.start(*a);
  jobs.start(*b);
  a->end({});
  b->end({});
  settle();
  EXPECT_EQ(a->log, "pa.");
  EXPECT_EQ(b->log, "pa.");
  EXPECT_EQ(text(b->result()), "no");
}

TEST_F(JobLife, IdsAreWellFormedAndUnique) {
  auto job = make("j");
  EXPECT_EQ(text(jobs.check_id("j")), "Job ID 'j' already in use");
  EXPECT_EQ(text(jobs.check_id("0")), "Invalid job ID '0'");
  EXPECT_EQ(text(jobs.check_id("k")), "");
}

TEST(RateLimit, LetsThroughWhatTheSpeedAllows) {
  RateLimit limit;
  EXPECT_EQ(limit.delay_ns(1u << 30, 0), 0);
  limit.set_speed(1000);  // 100 a slice
  EXPECT_EQ(limit.delay_ns(50, 1), 0);
  EXPECT_EQ(limit.delay_ns(50, 2), 100'000'000 - 1);
  EXPECT_EQ(limit.delay_ns(1000, 100'000'001), 1'000'000'000);
}

}  // namespace

}  // namespace rhea
