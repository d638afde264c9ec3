#include "block/graph/options.h"

#include <gtest/gtest.h>

namespace rhea {
namespace {

OptionTree tree(const char* json) {
  return OptionTree::from_json(Json::parse(json).value());
}

TEST(OptionTree, NestedMembersBecomeDottedKeysAndBack) {
  OptionTree t = tree(R"({"driver": "raw", "file": {"driver": "file", "cache": {"direct": true}}})");
  ASSERT_NE(t.get("file.cache.direct"), nullptr);
  EXPECT_TRUE(t.get("file.cache.direct")->as_bool());
  EXPECT_EQ(t.to_json().dump(),
            R"({"driver": "raw", "file": {"driver": "file", "cache": {"direct": true}}})");
}

TEST(OptionTree, ExtractTakesWhatIsBelowAPrefix) {
  OptionTree t = tree(R"({"file": "ref", "file.driver": "file", "filex": 1})");
  OptionTree below = t.extract("file");
  EXPECT_EQ(below.entries().size(), 1u);
  EXPECT_TRUE(below.has("driver"));
  EXPECT_TRUE(t.has("file"));
  EXPECT_TRUE(t.has("filex"));
}

TEST(OptionTree, StringsAndTypedValuesReadTheSame) {
  OptionTree typed = tree(R"({"a": true, "b": 4096, "c": false})");
  OptionTree text = tree(R"({"a": "on", "b": "4k", "c": "off"})");
  for (OptionTree* t : {&typed, &text}) {
    EXPECT_EQ(t->take_bool("a").value(), true);
    EXPECT_EQ(t->take_size("b").value(), 4096u);
    EXPECT_EQ(t->take_bool("c").value(), false);
    EXPECT_TRUE(t->leftover().empty());
  }
}

TEST(OptionTree, LeftoverNamesWhatNobodyRead) {
  OptionTree t = tree(R"({"x": 1, "y": 2, "z": 3})");
  std::ignore = t.take_number("y");
  EXPECT_EQ(t.leftover(), (std::vector<std::string>{"x", "z"}));
}

TEST(OptionTree, ErrorsNameTheKey) {
  OptionTree t = tree(R"({"b": "maybe", "s": "big", "n": -1, "i": "x", "t": 5})");
  EXPECT_EQ(t.take_bool("b").error().message(), "Parameter 'b' expects 'on' or 'off'");
  EXPECT_EQ(t.take_size("s").error().message(), "Parameter 's' expects a size");
  EXPECT_EQ(t.take_size("n").error().message(), "Parameter 'n' expects a non-negative number below 2^64");
  EXPECT_EQ(t.take_number("i").error().message(), "Parameter 'i' expects a number");
  EXPECT_EQ(t.take_string("t").error().message(), "Invalid parameter type for 't', expected: string");
}

TEST(OptionTree, MergeBelowKeepsWhatIsThere) {
  OptionTree t = tree(R"({"a": 1})");
  OptionTree other;
  other.set("a", 2, OptionOrigin::kJsonFilename);
  other.set("b", 3, OptionOrigin::kJsonFilename);
  t.merge_below(other);
  EXPECT_EQ(t.get("a")->as_int(), 1);
  EXPECT_EQ(t.origin("a"), OptionOrigin::kExplicit);
  EXPECT_EQ(t.origin("b"), OptionOrigin::kJsonFilename);
}

}  // namespace
}  // namespace rhea
