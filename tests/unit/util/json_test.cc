#include "util/json.h"

#include <gtest/gtest.h>

namespace rhea {
namespace {

struct Round {
  const char* in;
  const char* out;
};
class JsonRound : public testing::TestWithParam<Round> {};
TEST_P(JsonRound, ParsesAndWrites) {
  auto v = Json::parse(GetParam().in);
  ASSERT_TRUE(v) << v.error().message();
  EXPECT_EQ(v->dump(), GetParam().out);
}
INSTANTIATE_TEST_SUITE_P(Json, JsonRound,
                         testing::Values(Round{"{'a': 'it\\'s \"x\"'}", R"({"a": "it's \"x\""})"},
                                         Round{" [1,-2,18446744073709551615,1.5,true,null] ",
                                               "[1, -2, 18446744073709551615, 1.5, true, null]"},
                                         Round{R"("\u00e4\n")", "\"\xc3\xa4\\n\""}, Round{"{}", "{}"}));

class JsonBad : public testing::TestWithParam<const char*> {};
TEST_P(JsonBad, IsAnError) {
  EXPECT_FALSE(Json::parse(GetParam()));
}
INSTANTIATE_TEST_SUITE_P(Json, JsonBad,
                         testing::Values("", "{", "{\"a\":1,\"a\":2}", "[1 2]", "{1:2}", "nul", "\"\\ud800\"",
                                         "1 2", "\"\xff\""));

TEST(JsonSplitter, CutsValuesWhateverThePieces) {
  JsonSplitter s;
  std::string_view text;
  const std::string_view in = "{\"a\": '}'}\r\n[1]true {";
  std::vector<std::string> out;
  for (char c : in) {
    s.feed({&c, 1});
    while (s.next(text) == JsonSplitter::Next::kValue) out.emplace_back(text);
  }
  EXPECT_EQ(out, (std::vector<std::string>{"{\"a\": '}'}", "[1]", "true"}));
  EXPECT_TRUE(s.in_value());
}

TEST(JsonSplitter, GoesOnBehindAnError) {
  JsonSplitter s;
  std::string_view text;
  s.feed("{\"a\": ]} {\"b\": 1}");
  EXPECT_EQ(s.next(text), JsonSplitter::Next::kError);
  EXPECT_EQ(s.next(text), JsonSplitter::Next::kError);  // the bracket that is left over
  ASSERT_EQ(s.next(text), JsonSplitter::Next::kValue);
  EXPECT_EQ(text, "{\"b\": 1}");
}

}  // namespace
}  // namespace rhea
