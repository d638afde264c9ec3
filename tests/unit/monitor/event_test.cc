#include <gmock/gmock.h>

#include <regex>
#include <thread>

#include "qapi/event.h"
#include "tests/unit/monitor/monitor_fixture.h"

namespace rhea {
namespace {

using test::MonitorTest;

/// The events in `text`, by name, with the answers as "reply".
std::string names(const std::string& text) {
  std::string out;
  size_t at = 0;
  while (at < text.size()) {
    const size_t end = text.find("\r\n", at);
    auto message = Json::parse(std::string_view(text).substr(at, end - at));
    EXPECT_TRUE(message) << text.substr(at, end - at);
    const Json* event = message ? message->find("event") : nullptr;
    out += (event != nullptr ? event->as_string() : "reply") + " ";
    at = end + 2;
  }
  return out;
}

class EventTest : public MonitorTest {
 protected:
  void emit(std::string_view name, Json data = {}) { qapi_event_sink()->emit(name, std::move(data)); }
};

TEST_F(EventTest, HasStampNameAndData) {
  UniqueFd c = make_qmp();
  emit("STOP");
  emit("DEVICE_DELETED", Json::object({{"path", "/x"}}));
  EXPECT_THAT(
      receive(c),
      testing::MatchesRegex(
          "\\{\"timestamp\": \\{\"seconds\": [0-9]+, \"microseconds\": [0-9]+\\}, \"event\": \"STOP\"\\}\r\n"
          "\\{\"timestamp\": \\{\"seconds\": [0-9]+, \"microseconds\": [0-9]+\\}, \"event\": "
          "\"DEVICE_DELETED\", \"data\": \\{\"path\": \"/x\"\\}\\}\r\n"));
}

TEST_F(EventTest, ReachesAllWhoHaveNegotiated) {
  UniqueFd one = make_qmp(), two = make_qmp(), late = make(MonitorMode::kControl);
  receive(late);
  emit("STOP");
  EXPECT_EQ(names(receive(one)), "STOP ");
  EXPECT_EQ(names(receive(two)), "STOP ");
  EXPECT_EQ(receive(late), "");
}

TEST_F(EventTest, ComesBeforeTheAnswerOfItsCommand) {
  UniqueFd c = make_qmp(), other = make_qmp();
  EXPECT_EQ(names(ask(c, "{\"execute\": \"announce\"}{\"execute\": \"echo\"}")), "STOP TEST reply reply ");
  EXPECT_EQ(names(receive(other)), "STOP TEST ");
}

TEST_F(EventTest, PrettyToo) {
  UniqueFd c = make_qmp(true);
  emit("STOP");
  EXPECT_THAT(receive(c), testing::EndsWith("},\r\n    \"event\": \"STOP\"\r\n}\r\n"));
}

TEST_F(EventTest, KeepsTheOrderOfThreads) {
  UniqueFd c = make_qmp();
  std::thread other([&] {
    emit("A");
    emit("B");
  });
  other.join();
  emit("C");
  EXPECT_EQ(names(receive(c)), "A B C ");
}

TEST_F(EventTest, SomeComeOnceASecondTheLastOneLast) {
  UniqueFd c = make_qmp();
  for (int i = 0; i < 5; ++i) emit("RTC_CHANGE", Json::object({{"offset", i}}));
  emit("STOP");
  std::string got = receive(c);
  EXPECT_EQ(names(got), "RTC_CHANGE STOP ");
  EXPECT_THAT(got, testing::HasSubstr("{\"offset\": 0}"));
  got.clear();
  run_until(
      [&] {
        got += receive(c);
        return !got.empty();
      },
      "the last of the limited events");
  EXPECT_EQ(names(got), "RTC_CHANGE ");
  EXPECT_THAT(got, testing::HasSubstr("{\"offset\": 4}"));
}

TEST_F(EventTest, SourcesAreLimitedApart) {
  UniqueFd c = make_qmp();
  for (const char* id : {"a", "b", "a", "b"})
    emit("VSERPORT_CHANGE", Json::object({{"id", id}, {"open", true}}));
  for (int i = 0; i < 3; ++i) emit("STOP");
  EXPECT_EQ(names(receive(c)), "VSERPORT_CHANGE VSERPORT_CHANGE STOP STOP STOP ");
}

}  // namespace
}  // namespace rhea
