#include "monitor/hmp_expr.h"

#include <gtest/gtest.h>

namespace rhea {
namespace {

Result<uint64_t> lookup(std::string_view name) {
  if (name == "eip") return uint64_t{0xfff0};
  if (name == "cs.base") return uint64_t{0xffff0000};
  return fail(ENOENT, "unknown register");
}

struct ExprCase {
  const char* text;
  int64_t value;
  const char* rest = "";
};

class Expr : public testing::TestWithParam<ExprCase> {};

TEST_P(Expr, HasItsValue) {
  std::string_view text = GetParam().text;
  auto value = hmp_expression(text, lookup);
  ASSERT_TRUE(value) << value.error().message();
  EXPECT_EQ(*value, GetParam().value);
  EXPECT_EQ(text, GetParam().rest);
}

INSTANTIATE_TEST_SUITE_P(Hmp, Expr,
                         testing::Values(ExprCase{"1+2*3", 7}, ExprCase{"(1 + 2) * 3", 9},
                                         ExprCase{"3&1|4^1", 4}, ExprCase{"-1", -1}, ExprCase{"~0", -1},
                                         ExprCase{"--5", 5}, ExprCase{"0x10", 16}, ExprCase{"010", 8},
                                         ExprCase{"'a'", 97}, ExprCase{"$eip+1", 0xfff1},
                                         ExprCase{"$cs.base + $eip", 0xfffffff0}, ExprCase{"5%3 7", 2, "7"},
                                         ExprCase{"16 \"file\"", 16, "\"file\""}, ExprCase{"09", 0, "9"},
                                         ExprCase{"-9223372036854775807-1", INT64_MIN},
                                         ExprCase{"(-9223372036854775807-1)/-1", INT64_MIN},
                                         ExprCase{"(-9223372036854775807-1)%-1", 0},
                                         ExprCase{"0xffffffffffffffff", -1}));

struct BadCase {
  const char* text;
  const char* message;
};

class BadExpr : public testing::TestWithParam<BadCase> {};

TEST_P(BadExpr, SaysWhy) {
  std::string_view text = GetParam().text;
  auto value = hmp_expression(text, lookup);
  ASSERT_FALSE(value);
  EXPECT_EQ(value.error().message(), GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(Hmp, BadExpr,
                         testing::Values(BadCase{"", "unexpected end of expression"},
                                         BadCase{"1+", "unexpected end of expression"},
                                         BadCase{"(1+2", "')' expected"}, BadCase{"1/0", "division by zero"},
                                         BadCase{"1%0", "division by zero"},
                                         BadCase{"$nosuch", "unknown register"},
                                         BadCase{"$", "unknown register"},
                                         BadCase{"'a", "missing terminating ' character"},
                                         BadCase{"1+a", "invalid char 'a' in expression"},
                                         BadCase{"0x1ffffffffffffffff", "number too large"}));

TEST(ExprLimits, NestingIsBounded) {
  const std::string deep(100'000, '(');
  std::string_view text = deep;
  EXPECT_FALSE(hmp_expression(text, lookup));
  const std::string signs(100'000, '-');
  text = signs;
  EXPECT_FALSE(hmp_expression(text, lookup));
}

TEST(Format, IsTakenApart) {
  std::string_view text = "/4xw 0x10";
  auto f = hmp_format(text);
  ASSERT_TRUE(f);
  EXPECT_EQ(f->count, 4u);
  EXPECT_EQ(f->format, 'x');
  EXPECT_EQ(f->size, 4);
  EXPECT_EQ(text, "0x10");
  text = "0x10";
  f = hmp_format(text);
  ASSERT_TRUE(f);
  EXPECT_EQ(f->count, 1u);
  EXPECT_EQ(f->format, 0);
  text = "/q 0";
  f = hmp_format(text);
  ASSERT_FALSE(f);
  EXPECT_EQ(f.error().message(), "invalid char in format: 'q'");
  text = "/99999999999x 0";
  EXPECT_FALSE(hmp_format(text));
}

}  // namespace
}  // namespace rhea
