// The generated command table and events, over sample.json.
#include "qapi/command.h"

#include <gtest/gtest.h>

#include "tests/unit/qapi/qapi_commands_sample.h"
#include "tests/unit/qapi/qapi_events_sample.h"

namespace rhea {

Result<std::vector<int64_t>> qmp_sample_sync(QmpContext&, SampleSyncArgs args) {
  if (args.a < 0) return fail_class(ErrorClass::kDeviceNotFound, ENOENT, "no ", args.a);
  return std::vector<int64_t>{args.a, static_cast<int64_t>(args.b.value_or("").size())};
}
CoResult<Shape> qmp_sample_co(QmpContext&, Shape args) {
  if (args.name == "bad") co_return fail(EINVAL, "bad shape");
  args.name = "seen";
  co_return args;
}
Result<> qmp_sample_nothing(QmpContext&) {
  return {};
}
Result<Json> qmp_sample_raw(QmpContext&, Json args) {
  return args;
}

namespace {

/// Runs a command as a dispatcher would; the reply's text or the error's.
std::string execute(std::string_view name, std::string_view arguments) {
  // The handlers above never look at the context.
  alignas(QmpContext) unsigned char none[sizeof(QmpContext)] = {};
  auto& ctx = reinterpret_cast<QmpContext&>(none);
  const QmpCommand* command = qmp_find_command(qmp_commands(), name);
  if (command == nullptr) return "unknown";
  std::string reply;
  Result<> result;
  if (command->run != nullptr) {
    result = command->run(ctx, *Json::parse(arguments), reply);
  } else {
    co_start<void>(command->co_run(ctx, *Json::parse(arguments), reply),
                   [&](Result<> r) { result = std::move(r); });
  }
  if (result) return reply;
  EXPECT_EQ(reply, "");
  return str_cat(error_class_name(result.error().error_class()), ": ", result.error().message());
}

TEST(QmpCommandTable, SyncCommand) {
  EXPECT_EQ(execute("sample-sync", R"({"a": 1, "b": "xy"})"), "[1, 2]");
  EXPECT_EQ(execute("sample-sync", R"({"a": -1})"), "DeviceNotFound: no -1");
  EXPECT_EQ(execute("sample-sync", "{}"), "GenericError: Parameter 'a' is missing");
}

TEST(QmpCommandTable, Coroutine) {
  EXPECT_EQ(execute("sample-co", R"({"color": "red", "radius": 1})"),
            R"({"color": "red", "name": "seen", "radius": 1})");
  EXPECT_EQ(execute("sample-co", R"({"color": "red", "radius": 1, "name": "bad"})"),
            "GenericError: bad shape");
  EXPECT_EQ(execute("sample-co", R"({"color": "red"})"), "GenericError: Parameter 'radius' is missing");
}

TEST(QmpCommandTable, WithoutArguments) {
  EXPECT_EQ(execute("sample-nothing", "{}"), "{}");
  EXPECT_EQ(execute("sample-nothing", R"({"a": 1})"), "GenericError: Parameter 'a' is unexpected");
}

TEST(QmpCommandTable, RawArgumentsPassUnchecked) {
  EXPECT_EQ(execute("sample-raw", R"({"x": 1, "y": [null]})"), R"({"x": 1, "y": [null]})");
}

TEST(QmpCommandTable, FindsByName) {
  EXPECT_EQ(qmp_find_command(qmp_commands(), ""), nullptr);
  EXPECT_EQ(qmp_find_command(qmp_commands(), "sample"), nullptr);
  EXPECT_EQ(qmp_find_command(qmp_commands(), "zz"), nullptr);
  for (const auto& command : qmp_commands()) {
    EXPECT_EQ(qmp_find_command(qmp_commands(), command.name), &command);
    EXPECT_NE(command.run == nullptr, command.co_run == nullptr);
  }
  EXPECT_TRUE(qmp_find_command(qmp_commands(), "sample-sync")->allow_oob);
  EXPECT_TRUE(qmp_find_command(qmp_commands(), "sample-co")->allow_preconfig);
}

class Recorder : public EventSink {
 public:
  Recorder() { set_qapi_event_sink(this); }
  ~Recorder() override { set_qapi_event_sink(nullptr); }
  void emit(std::string_view name, Json data) override { str_append(log, name, " ", data.dump(), "\n"); }
  std::string log;
};

TEST(QapiEvents, ReachTheSink) {
  qapi_event_send_sample_bare();  // nobody listens: dropped
  Recorder recorder;
  ShapeRef ref;
  ref.value = "other";
  qapi_event_send_sample_event("x", Color::kRed, ref);
  qapi_event_send_sample_event("y", std::nullopt, ref);
  qapi_event_send_sample_bare();
  EXPECT_EQ(recorder.log,
            "SAMPLE_EVENT {\"what\": \"x\", \"color\": \"red\", \"shape\": \"other\"}\n"
            "SAMPLE_EVENT {\"what\": \"y\", \"shape\": \"other\"}\n"
            "SAMPLE_BARE null\n");
}

}  // namespace
}  // namespace rhea
