// Reading typed values out of JSON, and writing them, over sample.json.
#include <gtest/gtest.h>

#include "tests/unit/qapi/qapi_types_sample.h"

namespace rhea {
namespace {

Json parse(std::string_view text) {
  auto json = Json::parse(text);
  EXPECT_TRUE(json.has_value()) << text;
  return json ? *json : Json();
}

/// Reads a T and returns the error's text, or what was read, written out.
template <class T>
std::string read(std::string_view text, ValueForm form = ValueForm::kTyped) {
  auto r = from_json<T>(parse(text), form);
  if (!r) return r.error().message();
  std::string out;
  write_json(out, *r);
  EXPECT_EQ(out, to_json(*r).dump()) << "the two writers differ";
  return out;
}

TEST(QapiReader, ScalarsKeepTheirValues) {
  const char* text =
      R"({"id": "s", "b": true, "i": -9223372036854775808, "i8": -128, "u8": 255, "u32": 4294967295,)"
      R"( "u64": 18446744073709551615, "n": 1.5, "bytes": 1024, "int": -1, "raw": [1, {"x": null}]})";
  EXPECT_EQ(read<Scalars>(text), text);
}

TEST(QapiReader, AbsentOptionalMembersStayAbsent) {
  auto r = from_json<Scalars>(parse(R"({"id": ""})"));
  ASSERT_TRUE(r.has_value());
  EXPECT_FALSE(r->b.has_value());
  EXPECT_FALSE(r->int_.has_value());
  EXPECT_EQ(to_json(*r).dump(), R"({"id": ""})");
}

TEST(QapiReader, AnIntegerWillDoForANumber) {
  auto r = from_json<Scalars>(parse(R"({"id": "", "n": 3})"));
  ASSERT_TRUE(r.has_value());
  EXPECT_EQ(r->n, 3.0);
}

TEST(QapiReader, NegativeUnsignedWrapsAround) {
  EXPECT_EQ(read<Scalars>(R"({"id": "", "u64": -1})"), R"({"id": "", "u64": 18446744073709551615})");
}

TEST(QapiReader, UnionTakesTheBranchOfItsTag) {
  auto r = from_json<Shape>(parse(R"({"radius": 7, "color": "red"})"));
  ASSERT_TRUE(r.has_value());
  EXPECT_EQ(r->color, Color::kRed);
  EXPECT_EQ(std::get<Circle>(r->u).radius, 7);
  EXPECT_EQ(read<Shape>(R"({"color": "x_2", "name": "n"})"), R"({"color": "x_2", "name": "n"})");
}

TEST(QapiReader, SimpleUnionWrapsItsBranches) {
  EXPECT_EQ(read<Simple>(R"({"type": "color", "data": "red"})"), R"({"type": "color", "data": "red"})");
  EXPECT_EQ(read<Simple>(R"({"type": "circle", "data": {"radius": 1}})"),
            R"({"type": "circle", "data": {"radius": 1}})");
  EXPECT_EQ(read<Simple>(R"({"type": "circle", "data": {}})"), "Parameter 'data.radius' is missing");
}

TEST(QapiReader, AlternateTakesEachOfItsTypes) {
  auto name = from_json<ShapeRef>(parse(R"("other")"));
  ASSERT_TRUE(name.has_value());
  EXPECT_EQ(*name->reference(), "other");
  EXPECT_EQ(name->definition(), nullptr);
  auto shape = from_json<ShapeRef>(parse(R"({"color": "red", "radius": 2})"));
  ASSERT_TRUE(shape.has_value());
  EXPECT_EQ(shape->definition()->color, Color::kRed);
  auto none = from_json<ShapeRef>(parse("null"));
  ASSERT_TRUE(none.has_value());
  EXPECT_NE(none->none(), nullptr);
}

TEST(QapiReader, RecursiveValuesCopyDeeply) {
  const char* text =
      R"({"next": {"next": {"colors": []}, "colors": ["red", "red"], "count": [1, 2]}, "colors": []})";
  EXPECT_EQ(read<Chain>(text), text);
  auto a = from_json<Chain>(parse(text));
  ASSERT_TRUE(a.has_value());
  Chain b = *a;
  (*b.next)->colors.clear();
  EXPECT_EQ((*a->next)->colors.size(), 2u);
}

struct ReaderRefusal {
  const char* name;
  std::string (*read)(std::string_view, ValueForm);
  const char* text;
  const char* error;
};

class QapiRefusal : public testing::TestWithParam<ReaderRefusal> {};

TEST_P(QapiRefusal, SaysWhatIsWrong) {
  EXPECT_EQ(GetParam().read(GetParam().text, ValueForm::kTyped), GetParam().error);
}

INSTANTIATE_TEST_SUITE_P(
    Typed, QapiRefusal,
    testing::ValuesIn(std::to_array<ReaderRefusal>({
        {"Missing", read<Scalars>, R"({"b": true})", "Parameter 'id' is missing"},
        {"Unexpected", read<Scalars>, R"({"id": "", "zz": 1})", "Parameter 'zz' is unexpected"},
        {"NotString", read<Scalars>, R"({"id": 1})", "Invalid parameter type for 'id', expected: string"},
        {"NotBool", read<Scalars>, R"({"id": "", "b": "on"})",
         "Invalid parameter type for 'b', expected: boolean"},
        {"NotInt", read<Scalars>, R"({"id": "", "i": 1.5})",
         "Invalid parameter type for 'i', expected: integer"},
        {"IntTooLarge", read<Scalars>, R"({"id": "", "i": 18446744073709551615})",
         "Invalid parameter type for 'i', expected: integer"},
        {"Int8", read<Scalars>, R"({"id": "", "i8": 128})", "Parameter 'i8' expects int8_t"},
        {"Uint8", read<Scalars>, R"({"id": "", "u8": -1})", "Parameter 'u8' expects uint8_t"},
        {"Uint32", read<Scalars>, R"({"id": "", "u32": 18446744073709551615})",
         "Parameter 'u32' expects uint32_t"},
        {"NotNumber", read<Scalars>, R"({"id": "", "n": "1"})",
         "Invalid parameter type for 'n', expected: number"},
        {"SizeIsNoString", read<Scalars>, R"({"id": "", "bytes": "1k"})", "Parameter 'bytes' expects uint64"},
        {"NotObject", read<Scalars>, "[]", "Invalid parameter type for '<anonymous>', expected: object"},
        {"NotArray", read<Chain>, R"({"colors": {}})",
         "Invalid parameter type for 'colors', expected: array"},
        {"EnumValue", read<Shape>, R"({"color": "blue"})", "Parameter 'color' does not accept value 'blue'"},
        {"EnumType", read<Shape>, R"({"color": 1})", "Invalid parameter type for 'color', expected: string"},
        {"EnumInList", read<Chain>, R"({"colors": ["red", "blue"]})",
         "Parameter 'colors[1]' does not accept value 'blue'"},
        {"OtherBranch", read<Shape>, R"({"color": "red", "radius": 1, "parts": []})",
         "Parameter 'parts' is unexpected"},
        {"NestedMissing", read<Group>, R"({"parts": [{"color": "red", "radius": 1}, {"color": "red"}]})",
         "Parameter 'parts[1].radius' is missing"},
        {"NestedUnexpected", read<Group>, R"({"parts": [], "main": {"color": "red", "radius": 1, "q": 1}})",
         "Parameter 'main.q' is unexpected"},
        {"NestedEnum", read<Group>, R"({"parts": [], "main": {"color": "blue"}})",
         "Parameter 'color' does not accept value 'blue'"},
        {"Alternate", read<Group>, R"({"parts": [], "main": 3})",
         "Invalid parameter type for 'main', expected: ShapeRef"},
        {"FirstErrorWins", read<Scalars>, R"({"id": 1, "b": 1, "zz": 1})",
         "Invalid parameter type for 'id', expected: string"},
    })),
    [](const auto& test) { return test.param.name; });

TEST(QapiEnum, NamesBothWays) {
  EXPECT_EQ(to_string(Color::kDarkGreen), "dark-green");
  EXPECT_EQ(from_string<Color>("x_2"), Color::kX2);
  EXPECT_EQ(from_string<Color>("k"), std::nullopt);
}

}  // namespace
}  // namespace rhea
