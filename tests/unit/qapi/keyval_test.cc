#include "util/keyval.h"

#include <gtest/gtest.h>

#include <random>

namespace rhea {
namespace {

std::string strict(std::string_view text, std::string_view implied = {}) {
  auto r = keyval_parse(text, implied);
  return r ? r->values.dump() + (r->help ? " help" : "") : r.error().message();
}

std::string lax(std::string_view text, std::string_view implied = {}) {
  auto r = keyval_parse_flat(text, implied);
  return r ? r->values.dump() + (r->help ? " help" : "") : r.error().message();
}

struct Case {
  const char* name;
  const char* text;
  const char* implied;
  const char* result;
};

class KeyvalStrict : public testing::TestWithParam<Case> {};
TEST_P(KeyvalStrict, Parses) {
  EXPECT_EQ(strict(GetParam().text, GetParam().implied), GetParam().result);
}
INSTANTIATE_TEST_SUITE_P(
    Keyval, KeyvalStrict,
    testing::ValuesIn(std::to_array<Case>({
        {"Empty", "", "", "{}"},
        {"Plain", "a=1,b=", "", R"({"a": "1", "b": ""})"},
        {"TrailingComma", "a=1,", "", R"({"a": "1"})"},
        {"DoubledComma", "a=x,,y,,,b=2", "", R"({"a": "x,y,", "b": "2"})"},
        {"EqualsInValue", "a=b=c", "", R"({"a": "b=c"})"},
        {"LaterWins", "a=1,a=2", "", R"({"a": "2"})"},
        {"Nested", "a.b-c.d=1,a.e=2", "", R"({"a": {"b-c": {"d": "1"}, "e": "2"}})"},
        {"List", "a.1=y,a.0=x", "", R"({"a": ["x", "y"]})"},
        {"ListOfObjects", "a.0.b=x,a.1.b=y,a.0.c=z", "", R"({"a": [{"b": "x", "c": "z"}, {"b": "y"}]})"},
        {"LeadingZeros", "a.00=x", "", R"({"a": ["x"]})"},
        {"Implied", "pc,usb=off", "type", R"({"type": "pc", "usb": "off"})"},
        {"ImpliedDoubledComma", "a,,b", "type", R"({"type": "a,b"})"},
        {"ImpliedGivenInFull", "usb=off,type=pc", "type", R"({"usb": "off", "type": "pc"})"},
        {"Help", "help", "type", "{} help"},
        {"HelpBehind", "pc,?,a=1", "type", R"({"type": "pc", "a": "1"} help)"},
        {"HelpWithValueIsAKey", "help=1", "type", R"({"help": "1"})"},
        {"NoValue", "a=1,flag", "", "Expected '=' after parameter 'flag'"},
        {"NoValueFirst", "flag,a=1", "", "Expected '=' after parameter 'flag'"},
        {"EmptyKey", "=1", "", "Invalid parameter ''"},
        {"LeadingComma", ",a=1", "", "Invalid parameter ''"},
        {"LeadingDot", ".a=1", "", "Invalid parameter '.a'"},
        {"TrailingDot", "a.=1", "", "Invalid parameter 'a.'"},
        {"DoubledDot", "a..b=1", "", "Invalid parameter 'a..b'"},
        {"DigitFirst", "1a=1", "", "Invalid parameter '1a'"},
        {"IndexFirst", "0=1", "", "Invalid parameter '0'"},
        {"OddCharacter", "a$=1", "", "Invalid parameter 'a$'"},
        {"HugeIndex", "a.99999999999=1", "", "Invalid parameter 'a.99999999999'"},
        {"LargeIndexTakesNoMemory", "a.999999999=1", "", "Parameter 'a.0' missing"},
        {"ScalarThenObject", "a=1,a.b=2", "", "Parameters 'a.*' used inconsistently"},
        {"ObjectThenScalar", "a.b=2,a=1", "", "Parameters 'a.*' used inconsistently"},
        {"DeepScalarThenObject", "x.a=1,x.a.b=2", "", "Parameters 'x.a.*' used inconsistently"},
        {"MixedList", "x.a.0=1,x.a.b=2", "", "Parameters 'x.a.*' used inconsistently"},
        {"Hole", "a.0=1,a.2=2", "", "Parameter 'a.1' missing"},
    })),
    [](const auto& test) { return test.param.name; });

class KeyvalLax : public testing::TestWithParam<Case> {};
TEST_P(KeyvalLax, Parses) {
  EXPECT_EQ(lax(GetParam().text, GetParam().implied), GetParam().result);
}
INSTANTIATE_TEST_SUITE_P(Keyval, KeyvalLax,
                         testing::ValuesIn(std::to_array<Case>({
                             {"Plain", "if=none,id=a", "", R"({"if": "none", "id": "a"})"},
                             {"DotsStay", "file.filename=x,,y,a.0=1", "",
                              R"({"file.filename": "x,y", "a.0": "1"})"},
                             {"Flag", "a=1,share", "", R"({"a": "1", "share": "on"})"},
                             {"NoFlag", "noshare", "", R"({"share": "off"})"},
                             {"No", "no", "", R"({"no": "on"})"},
                             {"Implied", "e1000,mac=x", "driver", R"({"driver": "e1000", "mac": "x"})"},
                             {"Help", "e1000,help", "driver", R"({"driver": "e1000"} help)"},
                             {"HelpAlone", "?", "driver", "{} help"},
                             {"EmptyKey", "a=1,=2", "", "Invalid parameter ''"},
                         })),
                         [](const auto& test) { return test.param.name; });

TEST(Keyval, FlagsAreWarnedAbout) {
  auto r = keyval_parse_flat("x,noy=1,noz");
  ASSERT_TRUE(r.has_value());
  ASSERT_EQ(r->warnings.size(), 2u);
  EXPECT_EQ(r->warnings[0].first, "short-form boolean option 'x' deprecated");
  EXPECT_EQ(r->warnings[1].second, "Please use z=off instead");
}

TEST(Keyval, KeysAreBounded) {
  std::string deep = "a";
  for (int i = 0; i < 100000; ++i) deep += ".a";
  EXPECT_TRUE(strict(deep + "=1").starts_with("Invalid parameter 'a.a"));
  EXPECT_TRUE(strict(std::string(128, 'a') + "=1").starts_with("Invalid parameter"));
  Json flat = Json::object();
  flat.set(deep, 1);
  EXPECT_FALSE(json_unflatten(flat).has_value());
}

TEST(Flatten, BothWays) {
  auto nested = Json::parse(R"({"a": {"b": [1, {"c": true}], "d": {}}, "e": null, "f": [], "g": "x"})");
  ASSERT_TRUE(nested.has_value());
  const Json flat = json_flatten(*nested);
  EXPECT_EQ(flat.dump(), R"({"a.b.0": 1, "a.b.1.c": true, "a.d": {}, "e": null, "f": [], "g": "x"})");
  auto back = json_unflatten(flat);
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(*back, *nested);
}

TEST(Flatten, RefusesWhatContradicts) {
  auto message = [](const char* text) {
    auto r = json_unflatten(*Json::parse(text));
    return r ? r->dump() : r.error().message();
  };
  EXPECT_EQ(message(R"({"a": 1, "a.b": 2})"), "Parameters 'a.*' used inconsistently");
  EXPECT_EQ(message(R"({"a.0": 1, "a.b": 2})"), "Parameters 'a.*' used inconsistently");
  EXPECT_EQ(message(R"({"a.1": 1})"), "Parameter 'a.0' missing");
  EXPECT_EQ(message(R"({"a..b": 1})"), "Invalid parameter 'a..b'");
  EXPECT_EQ(message(R"({"0": 1})"), R"({"0": 1})");
  EXPECT_EQ(message("[]"), "Invalid parameter type for '<anonymous>', expected: object");
}

TEST(Keyval, IdsAreChecked) {
  for (const char* good : {"a", "A-1._", "ide0-0-0"}) EXPECT_TRUE(id_wellformed(good)) << good;
  for (const char* bad : {"", "1a", "-a", "a b", "#block1", "a/b"}) EXPECT_FALSE(id_wellformed(bad)) << bad;
}

TEST(Keyval, RandomTextIsSurvived) {
  const uint32_t seed = std::random_device{}();
  RecordProperty("seed", std::to_string(seed));
  std::mt19937 random(seed);
  for (int i = 0; i < 20000; ++i) {
    static constexpr char kAlphabet[] = "ab01.,=?h-\n\0no";
    std::string text;
    for (auto n = random() % 24; n > 0; --n) text += kAlphabet[random() % (sizeof kAlphabet - 1)];
    auto r = keyval_parse(text, i % 2 != 0 ? "t" : "");
    auto flat = keyval_parse_flat(text, i % 2 != 0 ? "t" : "");
    if (!r) {
      EXPECT_FALSE(r.error().message().empty()) << "seed " << seed;
    }
    if (!r || !flat || !flat->warnings.empty()) continue;
    auto nested = json_unflatten(flat->values);  // the strict form is the lax one, made nested
    ASSERT_TRUE(nested.has_value()) << "seed " << seed << ": " << text;
    EXPECT_EQ(*nested, r->values) << "seed " << seed << ": " << text;
  }
}

}  // namespace
}  // namespace rhea
