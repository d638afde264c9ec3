// The command line's form of options (strings) and the typed form give the same values.
#include <gtest/gtest.h>

#include <random>

#include "qapi/option.h"
#include "qapi/qapi_types_block.h"
#include "tests/unit/qapi/qapi_types_sample.h"
#include "util/keyval.h"

namespace rhea {
namespace {

template <class T>
std::string from_keyval(std::string_view text) {
  auto parsed = keyval_parse(text);
  if (!parsed) return parsed.error().message();
  auto r = from_json<T>(std::move(parsed->values), ValueForm::kKeyval);
  return r ? to_json(*r).dump() : r.error().message();
}

TEST(QapiForm, StringsBecomeScalars) {
  EXPECT_EQ(
      from_keyval<Scalars>(
          "id=a,,b,b=yes,i=-0x10,i8=-1,u8=0377,u64=18446744073709551615,n=2.5,bytes=1.5M,raw=7"),
      R"({"id": "a,b", "b": true, "i": -16, "i8": -1, "u8": 255, "u64": 18446744073709551615, "n": 2.5, )"
      R"("bytes": 1572864, "raw": "7"})");
}

TEST(QapiForm, NestedOptionsOfADisk) {
  EXPECT_EQ(
      from_keyval<BlockdevOptions>("driver=raw,node-name=r,offset=512,file.driver=file,file.filename=/x,"
                                   "file.cache.direct=on,file.locking=auto,read-only=on"),
      R"({"driver": "raw", "node-name": "r", "read-only": true, "file": {"driver": "file", "cache": )"
      R"({"direct": true}, "filename": "/x", "locking": "auto"}, "offset": 512})");
  EXPECT_EQ(from_keyval<BlockdevOptions>("driver=raw,file=node"), R"({"driver": "raw", "file": "node"})");
}

TEST(QapiForm, ListsAndAlternates) {
  EXPECT_EQ(from_keyval<Chain>("colors.0=red,colors.1=x_2,count=3"),
            R"({"colors": ["red", "x_2"], "count": 3})");
  EXPECT_EQ(from_keyval<Chain>("colors.0=red,count.0=3,count.1=4"),
            R"({"colors": ["red"], "count": [3, 4]})");
}

struct FormRefusal {
  const char* name;
  const char* text;
  const char* error;
};
class QapiFormRefusal : public testing::TestWithParam<FormRefusal> {};
TEST_P(QapiFormRefusal, SaysWhatIsWrong) {
  EXPECT_EQ(from_keyval<Scalars>(GetParam().text), GetParam().error);
}
INSTANTIATE_TEST_SUITE_P(Keyval, QapiFormRefusal,
                         testing::ValuesIn(std::to_array<FormRefusal>({
                             {"Bool", "id=x,b=maybe", "Parameter 'b' expects 'on' or 'off'"},
                             {"BoolCase", "id=x,b=ON", "Parameter 'b' expects 'on' or 'off'"},
                             {"Int", "id=x,i=1k", "Parameter 'i' expects integer"},
                             {"IntTooLarge", "id=x,i=9223372036854775808", "Parameter 'i' expects integer"},
                             {"IntEmpty", "id=x,i=", "Parameter 'i' expects integer"},
                             {"Uint64TooLarge", "id=x,u64=18446744073709551616",
                              "Parameter 'u64' expects integer"},
                             {"Uint8", "id=x,u8=256", "Parameter 'u8' expects uint8_t"},
                             {"Size", "id=x,bytes=1z", "Parameter 'bytes' expects a size value"},
                             {"SizeNegative", "id=x,bytes=-1", "Parameter 'bytes' expects a size value"},
                             {"Number", "id=x,n=nan", "Invalid parameter type for 'n', expected: number"},
                             {"Nested", "id.x=1", "Invalid parameter type for 'id', expected: string"},
                             {"NestedInt", "id=x,i.x=1", "Invalid parameter type for 'i', expected: integer"},
                             {"Unexpected", "id=x,zz.y=1", "Parameter 'zz' is unexpected"},
                         })),
                         [](const auto& test) { return test.param.name; });

TEST(QapiForm, ListElementsAreNamedWithDots) {
  EXPECT_EQ(from_keyval<Chain>("colors.0=red,count.0=1,count.1=z"), "Parameter 'count.1' expects integer");
}

/// The disk an option's text describes, or the error.
std::string disk_option(std::string_view text, OptionSyntax syntax) {
  auto option = parse_option(text, "driver", syntax);
  if (!option) return option.error().message();
  auto r = from_json<BlockdevOptions>(std::move(option->values), option->form);
  return r ? to_json(*r).dump() : r.error().message();
}

TEST(QapiForm, OptionsInJsonAndInKeyvalSyntax) {
  const char* node = R"({"driver": "raw", "read-only": true, "file": "n", "size": 512})";
  EXPECT_EQ(disk_option(node, OptionSyntax::kStrict), node);
  EXPECT_EQ(disk_option("raw,size=512,file=n,read-only=on", OptionSyntax::kStrict), node);
  EXPECT_EQ(disk_option("raw,size=512,file=n,read-only", OptionSyntax::kLax), node);
  EXPECT_EQ(disk_option("raw,file=n,read-only", OptionSyntax::kStrict),
            "Expected '=' after parameter 'read-only'");
  EXPECT_EQ(disk_option("raw,file=n,file.x=1", OptionSyntax::kLax),
            "Parameters 'file.*' used inconsistently");
  EXPECT_EQ(disk_option("raw,file=n,size=1k", OptionSyntax::kStrict), "Parameter 'size' expects integer");
  EXPECT_EQ(disk_option("{", OptionSyntax::kStrict).substr(0, 16), "JSON parse error");
}

TEST(QapiForm, DeepNestingIsSurvived) {
  std::string text = "\"n\"";
  for (int i = 0; i < JsonSplitter::kMaxNesting - 1; ++i) text = R"({"driver": "raw", "file": )" + text + "}";
  auto r = from_json<BlockdevOptions>(*Json::parse(text));
  ASSERT_TRUE(r.has_value());
  const BlockdevOptions copy = *r;
  EXPECT_EQ(to_json(copy).dump(), text);
}

/// Random disks: written as text, as a tree, as keyval strings; all must read back as the same.
class Generator {
 public:
  explicit Generator(uint32_t seed) : random_(seed) {}
  BlockdevOptions disk(int depth) {
    BlockdevOptions o;
    if (coin()) o.node_name = word();
    if (coin()) o.read_only = coin();
    if (coin()) o.detect_zeroes = static_cast<BlockdevDetectZeroesOptions>(random_() % 3);
    if (coin()) {
      o.cache.emplace().direct = coin();
      if (coin()) o.cache->no_flush = coin();
    }
    const auto kind = random_() % (depth > 0 ? 3 : 2);
    if (kind == 0) {
      o.driver = BlockdevDriver::kFile;
      auto& file = o.u.emplace<BlockdevOptionsFile>();
      file.filename = word();
      if (coin()) file.locking = OnOffAuto::kOff;
    } else if (kind == 1) {
      o.driver = BlockdevDriver::kNullCo;
      auto& null = o.u.emplace<BlockdevOptionsNull>();
      if (coin()) null.size = static_cast<int64_t>((uint64_t{random_()} << 32) | random_());
      if (coin()) null.latency_ns = (uint64_t{random_()} << 32) | random_();
    } else {
      o.driver = BlockdevDriver::kRaw;
      auto& raw = o.u.emplace<BlockdevOptionsRaw>();
      if (coin())
        raw.file.value = word();
      else
        raw.file.value = disk(depth - 1);
    }
    return o;
  }

 private:
  bool coin() { return random_() % 2 != 0; }
  std::string word() {
    static constexpr char kAlphabet[] = "ab,=.\"\\'\n 0\xc3\xa9";
    std::string out = "w";
    for (auto n = random_() % 6; n > 0; --n) {
      const char c = kAlphabet[random_() % (sizeof kAlphabet - 1)];
      out += static_cast<unsigned char>(c) < 0x80 ? std::string(1, c) : "\xc3\xa9";
    }
    return out;
  }
  std::mt19937 random_;
};

std::string keyval_text(const Json& flat) {
  std::string out;
  for (const auto& [key, value] : flat.as_object()) {
    std::string text = value.is_string() ? value.as_string()
                       : value.is_bool() ? (value.as_bool() ? "on" : "off")
                                         : value.dump();
    for (size_t at = 0; (at = text.find(',', at)) != text.npos; at += 2) text.insert(at, ",");
    str_append(out, out.empty() ? "" : ",", key, "=", text);
  }
  return out;
}

TEST(QapiForm, RandomDisksAreTheSameInEachForm) {
  const uint32_t seed = std::random_device{}();
  RecordProperty("seed", std::to_string(seed));
  Generator generator(seed);
  for (int i = 0; i < 500; ++i) {
    const BlockdevOptions disk = generator.disk(3);
    const Json tree = to_json(disk);
    SCOPED_TRACE(str_cat("seed ", seed, ", disk ", i, ": ", tree.dump()));
    auto typed = from_json<BlockdevOptions>(*Json::parse(tree.dump()));
    ASSERT_TRUE(typed.has_value()) << typed.error().message();
    EXPECT_EQ(to_json(*typed), tree);
    auto back = json_unflatten(json_flatten(tree));
    ASSERT_TRUE(back.has_value());
    if (!disk.cache || !tree.find("cache")->as_object().empty()) {
      EXPECT_EQ(*back, tree);
    }
    EXPECT_EQ(from_keyval<BlockdevOptions>(keyval_text(json_flatten(tree))), tree.dump());
  }
}

/// Damaged values are refused or read, never crash, and an error always names something.
TEST(QapiForm, RandomDamageIsSurvived) {
  const uint32_t seed = std::random_device{}();
  RecordProperty("seed", std::to_string(seed));
  std::mt19937 random(seed);
  Generator generator(seed);
  for (int i = 0; i < 2000; ++i) {
    std::string text = to_json(generator.disk(3)).dump();
    for (auto n = random() % 3 + 1; n > 0; --n) {
      static constexpr char kDamage[] = "{}[]\"':,01-.eatnu";
      text[random() % text.size()] = kDamage[random() % (sizeof kDamage - 1)];
    }
    auto json = Json::parse(text);
    if (!json) continue;
    for (auto form : {ValueForm::kTyped, ValueForm::kKeyval}) {
      auto r = from_json<BlockdevOptions>(*json, form);
      if (!r) {
        EXPECT_NE(r.error().message().find('\''), std::string::npos) << "seed " << seed << ": " << text;
      }
    }
  }
}

}  // namespace
}  // namespace rhea
