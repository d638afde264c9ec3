// The witness of a pivot: what is written is read again, and nothing else is believed (S2.1, F2).
#include "block/jobs/pivot_witness.h"

#include <gtest/gtest.h>

namespace rhea {
namespace {

PivotRecord record() {
  PivotRecord r;
  r.verdict = PivotRecord::Verdict::kPivoted;
  r.generation = 0x1122334455667788;
  r.job = "job";
  r.from_node = std::string(63, 'f');
  r.to_node = "to";
  return r;
}

TEST(PivotWitness, S2_1_WhatIsWrittenIsReadAgain) {
  const auto bytes = serialize(record());
  ASSERT_TRUE(bytes);
  const Result<PivotRecord> read = parse_pivot_record(*bytes);
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(read->verdict, PivotRecord::Verdict::kPivoted);
  EXPECT_EQ(read->generation, record().generation);
  EXPECT_EQ(read->job + read->from_node + read->to_node, "job" + std::string(63, 'f') + "to");
}

TEST(PivotWitness, S2_1_OneWrongByteIsNotBelieved) {
  const auto good = serialize(record());
  ASSERT_TRUE(good);
  for (size_t at = 0; at < good->size(); ++at) {
    auto bent = *good;
    bent[at] ^= 1;
    EXPECT_FALSE(parse_pivot_record(bent)) << at;
  }
  for (const size_t n : {size_t{0}, size_t{8}, size_t{511}})
    EXPECT_FALSE(parse_pivot_record(std::span(*good).first(n))) << n;
}

TEST(PivotWitness, NamesThatDoNotFitAreRefused) {
  PivotRecord r = record();
  r.from_node += 'f';
  EXPECT_FALSE(serialize(r));
  r = record();
  r.job = std::string(128, 'j');
  EXPECT_FALSE(serialize(r));
}

}  // namespace
}  // namespace rhea
