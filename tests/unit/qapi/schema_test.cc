// Introspection: query-qmp-schema's text describes sample.json, with structure and without names.
#include <gtest/gtest.h>

#include <algorithm>

#include "qapi/introspect.h"
#include "util/json.h"

namespace rhea {
namespace {

class QapiSchema : public testing::Test {
 protected:
  QapiSchema() : all_(*Json::parse(qapi_schema_text())) {}
  const Json& entry(std::string_view name) {
    for (const Json& e : all_.as_array())
      if (e.find("name")->as_string() == name) return e;
    ADD_FAILURE() << "no entry " << name;
    return all_;
  }
  const Json& follow(const Json& from, std::string_view key) { return entry(from.find(key)->as_string()); }
  const Json& member(const Json& object, std::string_view name) {
    for (const Json& m : object.find("members")->as_array())
      if (m.find("name")->as_string() == name) return m;
    ADD_FAILURE() << "no member " << name;
    return object;
  }
  Json all_;
};

TEST_F(QapiSchema, EveryNameIsDefinedOnce) {
  std::vector<std::string> names;
  for (const Json& e : all_.as_array()) names.push_back(e.find("name")->as_string());
  std::ranges::sort(names);
  EXPECT_EQ(std::ranges::adjacent_find(names), names.end());
  EXPECT_EQ(std::ranges::count(names, "Shape"), 0) << "type names are masked";
}

TEST_F(QapiSchema, Command) {
  const Json& command = entry("sample-sync");
  EXPECT_EQ(*command.find("meta-type"), Json("command"));
  EXPECT_EQ(*command.find("allow-oob"), Json(true));
  EXPECT_EQ(*command.find("ret-type"), Json("[int]"));
  const Json& args = follow(command, "arg-type");
  EXPECT_EQ(member(args, "a").find("default"), nullptr);
  EXPECT_TRUE(member(args, "b").find("default")->is_null());
  EXPECT_EQ(member(args, "b").find("type")->as_string(), "str");
  EXPECT_EQ(entry("sample-raw").find("features")->dump(), R"(["json-cli"])");
  EXPECT_EQ(follow(entry("sample-nothing"), "ret-type").find("members")->as_array().size(), 0u);
}

TEST_F(QapiSchema, UnionListsEveryTagValue) {
  const Json& shape = follow(entry("sample-co"), "arg-type");
  EXPECT_EQ(*shape.find("tag"), Json("color"));
  const auto& variants = shape.find("variants")->as_array();
  ASSERT_EQ(variants.size(), 3u);
  EXPECT_EQ(*variants[2].find("case"), Json("x_2"));
  EXPECT_TRUE(follow(variants[2], "type").find("members")->as_array().empty());
  const Json& color = follow(member(shape, "color"), "type");
  EXPECT_EQ(color.find("values")->dump(), R"(["red", "dark-green", "x_2"])");
  EXPECT_EQ(color.find("members")->as_array()[2].find("features")->dump(), R"(["unstable"])");
}

TEST_F(QapiSchema, AlternateOfAnEvent) {
  const Json& args = follow(entry("SAMPLE_EVENT"), "arg-type");
  const Json& ref = follow(member(args, "shape"), "type");
  EXPECT_EQ(*ref.find("meta-type"), Json("alternate"));
  EXPECT_EQ(ref.find("members")->as_array().size(), 3u);
}

TEST_F(QapiSchema, CommandsAreListed) {
  EXPECT_EQ(
      qapi_commands_text(),
      R"([{"name": "sample-co"}, {"name": "sample-nothing"}, {"name": "sample-raw"}, {"name": "sample-sync"}])");
}

}  // namespace
}  // namespace rhea
