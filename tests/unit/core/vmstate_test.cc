#include "migration/vmstate/vmstate.h"

#include <gtest/gtest.h>

namespace rhea {
namespace {

struct Inner {
  uint8_t a = 0;
  uint16_t b = 0;
};
constexpr VMStateField kInnerFields[] = {field<&Inner::a>("a"), field<&Inner::b>("b")};
constexpr VMState kInner{.name = "inner", .version = 1, .fields = kInnerFields};

enum class Mode : uint8_t { kIdle, kBusy };

struct Sample {
  bool flag = false;
  int8_t small = 0;
  uint16_t half = 0;
  uint32_t word = 0;
  int64_t quad = 0;
  Mode mode = Mode::kIdle;
  uint32_t narrow = 0;
  std::array<uint16_t, 3> list{};
  Inner inner;
  std::array<Inner, 2> inners;
  uint32_t late = 7;
  uint8_t extra = 0;
};

Result<> check_mode(void* o, int) {
  if (static_cast<Sample*>(o)->mode > Mode::kBusy) return fail(EINVAL, "no such mode");
  return {};
}
constexpr VMStateField kExtraFields[] = {field<&Sample::extra>("extra")};
constexpr VMState kExtra{
    .name = "sample/extra", .version = 2, .fields = kExtraFields, .needed = [](const void* o) {
      return static_cast<const Sample*>(o)->extra != 0;
    }};
constexpr const VMState* kSubsections[] = {&kExtra};
constexpr VMStateField kFields[] = {
    field<&Sample::flag>("flag"),
    field<&Sample::small>("small"),
    field<&Sample::half>("half"),
    field<&Sample::word>("word"),
    field<&Sample::quad>("quad"),
    field<&Sample::mode>("mode"),
    field_as<&Sample::narrow, uint8_t>("narrow"),
    field<&Sample::list>("list"),
    struct_field<&Sample::inner>("inner", kInner),
    struct_field<&Sample::inners>("inners", kInner),
    padding(2),
    field<&Sample::late>("late", 3),
};
constexpr VMState kSample{.name = "sample",
                          .version = 3,
                          .minimum_version = 2,
                          .fields = kFields,
                          .subsections = kSubsections,
                          .post_load = check_mode};

Sample filled() {
  return {.flag = true,
          .small = -2,
          .half = 0x1234,
          .word = 0x89abcdef,
          .quad = -3,
          .mode = Mode::kBusy,
          .narrow = 200,
          .list = {1, 2, 3},
          .inner = {4, 5},
          .inners = {{{6, 7}, {8, 9}}},
          .late = 10,
          .extra = 11};
}

std::vector<uint8_t> save(Sample s) {
  StateWriter out;
  vmstate_save(kSample, &s, out);
  return out.buffer();
}

std::string load(std::span<const uint8_t> bytes, Sample& s, int version = 3) {
  StateReader in(bytes);
  const Result<> r = vmstate_load(kSample, &s, in, version);
  return r ? "" : r.error().message();
}

std::string hex_of(std::span<const uint8_t> bytes) {
  std::string out;
  for (uint8_t b : bytes) out += hex(b, 2);
  return out;
}

TEST(VMState, WireIsBigEndianAndInOrder) {
  EXPECT_EQ(hex_of(save(filled())),
            "01fe123489abcdeffffffffffffffffd01c8000100020003"
            "0400050600070800090000"
            "0000000a"
            "050c73616d706c652f6578747261000000020b");
}

TEST(VMState, RoundTripKeepsEverything) {
  Sample back;
  EXPECT_EQ(load(save(filled()), back), "");
  EXPECT_EQ(save(back), save(filled()));
  EXPECT_EQ(back.small, -2);
  EXPECT_EQ(back.quad, -3);
}

TEST(VMState, UnneededSubsectionsAreNotSent) {
  Sample s = filled();
  s.extra = 0;
  EXPECT_EQ(save(s).size() + 19, save(filled()).size());
  Sample back;
  EXPECT_EQ(load(save(s), back), "");
  EXPECT_EQ(back.extra, 0);
}

TEST(VMState, OlderVersionsLackLaterFields) {
  Sample s = filled();
  s.extra = 0;
  auto bytes = save(s);
  bytes.resize(bytes.size() - 4);
  Sample back;
  EXPECT_EQ(load(bytes, back, 2), "");
  EXPECT_EQ(back.late, 7u);
  EXPECT_EQ(load(bytes, back, 1), "sample: incoming version 1 is too old for local minimum version 2");
  EXPECT_EQ(load(bytes, back, 4), "sample: incoming version 4 is too new for local version 3");
  EXPECT_EQ(load(bytes, back, -1), "sample: incoming version -1 is too old for local minimum version 2");
}

TEST(VMState, TruncationAtEveryByteIsAnErrorOrEndsBeforeTheSubsection) {
  const auto bytes = save(filled());
  const size_t fields = bytes.size() - 19;
  for (size_t n = 0; n < bytes.size(); ++n) {
    Sample s;
    const std::string error = load(std::span(bytes).first(n), s);
    if (n < fields)
      EXPECT_NE(error.find("stream ends in field"), std::string::npos) << n << ": " << error;
    else if (n < fields + 14)  // the name is cut: not a subsection, the caller finds bytes left over
      EXPECT_EQ(error, "") << n;
    else
      EXPECT_NE(error, "") << n;
  }
}

TEST(VMState, ArbitraryBytesNeverDoHarm) {
  const auto good = save(filled());
  for (size_t at = 0; at < good.size(); ++at)
    for (int value : {0x00, 0x05, 0x7f, 0xff}) {
      auto bytes = good;
      bytes[at] = static_cast<uint8_t>(value);
      Sample s;
      std::ignore = load(bytes, s);
      EXPECT_LE(static_cast<int>(s.mode), 255);
    }
}

TEST(VMState, UnknownSubsectionOfTheSameOwnerIsNamed) {
  auto bytes = save(filled());
  bytes[bytes.size() - 6] = 'b';  // sample/extrb
  Sample s;
  EXPECT_EQ(load(bytes, s), "sample: unknown subsection 'sample/extrb'");
}

TEST(VMState, SubsectionsOfOthersAreLeftToThem) {
  Sample s = filled();
  s.extra = 0;
  auto bytes = save(s);
  const std::string_view other = "other/x";
  bytes.push_back(5);
  bytes.push_back(static_cast<uint8_t>(other.size()));
  bytes.insert(bytes.end(), other.begin(), other.end());
  StateReader in(bytes);
  Sample back;
  EXPECT_TRUE(vmstate_load(kSample, &back, in, 3));
  EXPECT_EQ(in.left(), 9u);
}

TEST(VMState, SubsectionVersionsAreChecked) {
  auto bytes = save(filled());
  bytes[bytes.size() - 2] = 3;
  Sample s;
  EXPECT_EQ(load(bytes, s), "sample/extra: incoming version 3 is too new for local version 2");
  bytes[bytes.size() - 5] = 0x80;
  EXPECT_EQ(load(bytes, s), "sample/extra: bad version 2147483651");
}

TEST(VMState, ValuesOutOfRangeAreNamed) {
  auto bytes = save(filled());
  bytes[16] = 9;
  Sample s;
  EXPECT_EQ(load(bytes, s), "sample: no such mode");
}

TEST(VMState, ErrorsInNestedStructsNameTheWay) {
  const auto bytes = save(filled());
  Sample s;
  const std::string error = load(std::span(bytes).first(25), s);
  EXPECT_NE(error.find("inner"), std::string::npos) << error;
}

TEST(StateReader, PastTheEndReadsZeroAndSaysSo) {
  const uint8_t bytes[] = {1, 2, 3};
  StateReader in(bytes);
  EXPECT_EQ(in.get_be16(), 0x0102);
  EXPECT_EQ(in.peek(), 3);
  EXPECT_EQ(in.peek(1), -1);
  EXPECT_EQ(in.peek_text(0, SIZE_MAX / 2), "");
  EXPECT_EQ(in.get_be32(), 0u);
  EXPECT_FALSE(in.ok());
  EXPECT_EQ(in.left(), 0u);
  uint8_t out[2] = {9, 9};
  in.get_bytes(out);
  EXPECT_EQ(out[0] + out[1], 0);
}

}  // namespace
}  // namespace rhea
