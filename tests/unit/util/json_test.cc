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
                                         Round{R"("\u00e4\n\u007f\ud83d\ude00")",
                                               R"("\u00E4\n\u007F\uD83D\uDE00")"},
                                         Round{"{}", "{}"}));

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

/// What a stream of JSON text comes apart into: values, and errors with a "!" before them.
std::vector<std::string> pieces(std::string_view in) {
  JsonSplitter s;
  std::vector<std::string> out;
  std::string_view text;
  for (char c : in) {  // in the smallest pieces it can come in
    s.feed({&c, 1});
    for (auto next = s.next(text); next != JsonSplitter::Next::kNeedMore; next = s.next(text))
      out.push_back(next == JsonSplitter::Next::kValue ? std::string(text) : str_cat("!", text));
  }
  return out;
}

struct Stream {
  const char* in;
  std::vector<std::string> out;
};
class JsonStream : public testing::TestWithParam<Stream> {};
TEST_P(JsonStream, ComesApart) {
  EXPECT_EQ(pieces(GetParam().in), GetParam().out);
}
INSTANTIATE_TEST_SUITE_P(
    Json, JsonStream,
    testing::Values(Stream{"{\"a\": ]} {\"b\": 1}",
                           {"{\"a\": ]", "}", "{\"b\": 1}"}},  // the parser refuses the first two
                    Stream{"{\xff{}", {"!JSON parse error, stray '\xff'", "{}"}},
                    Stream{"{\"a\": \"b\xff{}", {"!JSON parse error, stray '\"b\xff'", "{}"}},
                    Stream{"{\x01{}", {"!JSON parse error, stray '\x01'", "{}"}},
                    Stream{"{\"a\": \"b\n{}", {"!JSON parse error, stray '\"b\n'", "{}"}},
                    Stream{"%d x\tz\n1\n", {"!JSON parse error, stray '%'", "1"}},
                    Stream{"%a,\"b\" ", {"!JSON parse error, stray '%'", ",", "\"b\""}},
                    Stream{"[1,%]", {"!JSON parse error, stray '%'", "]"}},
                    Stream{"01 2\n3 ", {"!JSON parse error, stray '01'", "3"}},
                    Stream{"-{}", {"!JSON parse error, stray '-{'", "}"}},
                    Stream{"1.e5\n", {"!JSON parse error, stray '1.e'"}},
                    Stream{"-1.5e+10true'x'", {"-1.5e+10", "true", "'x'"}},
                    Stream{"{\"a\": [1\n{\"b\": 2}",
                           {"!JSON parse error, expected separator in list", "{\"b\": 2}"}}));

struct Wrong {
  const char* in;
  const char* why;
};
class JsonWrong : public testing::TestWithParam<Wrong> {};
TEST_P(JsonWrong, IsSaid) {
  auto parsed = Json::parse(GetParam().in);
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().message(), GetParam().why);
}
INSTANTIATE_TEST_SUITE_P(
    Json, JsonWrong,
    testing::Values(
        Wrong{"", "Expecting a JSON value"}, Wrong{"{} x", "Expecting at most one JSON value"},
        Wrong{"{", "JSON parse error, premature EOI"}, Wrong{"{\"a\":\"b", "JSON parse error, stray '\"b'"},
        Wrong{"{]", "JSON parse error, expecting value"}, Wrong{"{,}", "JSON parse error, expecting value"},
        Wrong{"{1:2}", "JSON parse error, key is not a string in object"},
        Wrong{"{\"a\" 1}", "JSON parse error, missing : in object pair"},
        Wrong{"{\"a\":1 \"b\":2}", "JSON parse error, expected separator in dict"},
        Wrong{"[1 2]", "JSON parse error, expected separator in list"},
        Wrong{"{\"a\":1,\"a\":2}", "JSON parse error, duplicate key"},
        Wrong{"nope", "JSON parse error, invalid keyword 'nope'"},
        Wrong{"\"\\x\"", "JSON parse error, invalid escape sequence in string"},
        Wrong{"\"\\u12\"", "JSON parse error, \\u12\" is not a valid Unicode character"},
        Wrong{"\"\\ud800\\u0041\"", "JSON parse error, \\ud800 is not a valid Unicode character"},
        Wrong{"\"\\udc00\"", "JSON parse error, \\udc00 is not a valid Unicode character"},
        Wrong{"\"\\ud83f\\udffe\"", "JSON parse error, \\ud83f\\udffe is not a valid Unicode character"},
        Wrong{"\"\xed\xa0\x80\"", "JSON parse error, invalid UTF-8 sequence in string"},
        Wrong{"[%]", "JSON parse error, stray '%'"}, Wrong{"1e999", "JSON parse error, number too big"}));

TEST(Json, ZeroByteIsNotTheEnd) {
  constexpr std::string_view kText("1\0 x", 4);
  EXPECT_FALSE(Json::parse(kText));
}

TEST(JsonSplitter, LimitsNesting) {
  std::string deep(JsonSplitter::kMaxNesting, '[');
  EXPECT_TRUE(pieces(deep).empty());
  EXPECT_EQ(pieces(deep + "["), std::vector<std::string>{"!JSON nesting depth limit exceeded"});
  deep.append(deep.size(), ']');
  EXPECT_TRUE(Json::parse(deep));
}

}  // namespace
}  // namespace rhea
