// qcow2: what is written is read, in every kind of image, across reopening.
#include "tests/unit/block/qcow2_fixture.h"

namespace rhea {
namespace {

struct Kind {
  const char* name;
  qcow2::CreateOptions options;
};

qcow2::CreateOptions with(uint64_t bytes, uint64_t cluster, uint32_t refcount_bits = 16) {
  qcow2::CreateOptions o;
  o.virtual_bytes = bytes;
  o.cluster_bytes = cluster;
  o.refcount_bits = refcount_bits;
  return o;
}

std::vector<Kind> kinds() {
  std::vector<Kind> all = {
      {"default", with(3 << 20, 65536)},          {"clusters_512", with(1 << 20, 512)},
      {"clusters_4k", with(1 << 20, 4096)},       {"clusters_2m", with(9 << 20, 2 << 20)},
      {"refcounts_1", with(1 << 20, 4096, 1)},    {"refcounts_2", with(1 << 20, 1024, 2)},
      {"refcounts_8", with(1 << 20, 512, 8)},     {"refcounts_64", with(1 << 20, 512, 64)},
      {"odd_size", with((1 << 20) + 1536, 65536)}};
  Kind v2{"version_2", with(2 << 20, 65536)};
  v2.options.version = 2;
  all.push_back(v2);
  Kind extended{"extended_l2", with(2 << 20, 65536)};
  extended.options.extended_l2 = true;
  all.push_back(extended);
  Kind small_extended{"extended_l2_16k", with(2 << 20, 16384)};
  small_extended.options.extended_l2 = true;
  all.push_back(small_extended);
  Kind lazy{"lazy_refcounts", with(1 << 20, 4096)};
  lazy.options.lazy_refcounts = true;
  all.push_back(lazy);
  return all;
}

class Qcow2Kinds : public Qcow2Test, public testing::WithParamInterface<Kind> {};

TEST_P(Qcow2Kinds, ReadsWhatWasWrittenAcrossReopening) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  const uint64_t size = GetParam().options.virtual_bytes;
  create("disk", GetParam().options);
  attach("disk", R"(, "discard": "unmap")");
  std::string expected(size, '\0');
  for (int i = 0; i < 160; ++i) {
    const uint64_t longest = i % 7 == 0 ? 300000 : 9000;
    const uint64_t offset = random() % size, n = 1 + random() % std::min(longest, size - offset);
    switch (random() % 8) {
      case 0: {
        Result<> r = run(backend().co_pwrite_zeroes({offset, n}, random() % 2 == 0));
        ASSERT_TRUE(r) << r.error().message();
        expected.replace(offset, n, n, '\0');
        break;
      }
      case 1: {  // whole clusters read as zeroes, the rest is as before or zero
        ASSERT_TRUE(run(backend().co_pdiscard({offset, n})));
        const std::string now = read(offset, n).value();
        for (uint64_t k = 0; k < n; ++k)
          ASSERT_TRUE(now[k] == expected[offset + k] || now[k] == 0) << i << " " << offset + k;
        expected.replace(offset, n, now);
        break;
      }
      default: {
        const std::string bytes(n, static_cast<char>('a' + i % 26));
        Result<> r = write(offset, bytes);
        ASSERT_TRUE(r) << r.error().message();
        expected.replace(offset, n, bytes);
      }
    }
    if (i % 50 == 49) {
      ASSERT_TRUE(run(backend().co_flush()));
    }
    if (i % 60 == 59) {
      detach();
      attach("disk", R"(, "discard": "unmap")");
    }
    const uint64_t from = random() % size, most = std::min<uint64_t>(size - from, 100000);
    ASSERT_EQ(read(from, most).value() == expected.substr(from, most), true) << i;
  }
  EXPECT_TRUE(read(0, size).value() == expected);
}

TEST_P(Qcow2Kinds, CompressedClustersCanBeReadAndOverwritten) {
  const uint64_t size = GetParam().options.virtual_bytes, cluster = GetParam().options.cluster_bytes;
  create("disk", GetParam().options);
  attach("disk");
  std::string expected;
  while (expected.size() < size) expected += str_cat("line ", expected.size() / 100, "\n");
  expected.resize(size);
  for (uint64_t at = 0; at < size; at += cluster) {
    std::string bytes = expected.substr(at, cluster);
    Result<> r =
        run(backend().co_pwrite_compressed({at, bytes.size()}, IoVector(bytes.data(), bytes.size())));
    ASSERT_TRUE(r) << r.error().message();
  }
  EXPECT_TRUE(read(0, size).value() == expected);
  ASSERT_TRUE(write(100, "in the middle"));
  expected.replace(100, 13, "in the middle");
  detach();
  attach("disk");
  EXPECT_TRUE(read(0, size).value() == expected);
}

INSTANTIATE_TEST_SUITE_P(All, Qcow2Kinds, testing::ValuesIn(kinds()),
                         [](const auto& kind) { return std::string(kind.param.name); });

TEST_F(Qcow2Test, ShowsTheBackingFileWhereItHasNothing) {
  create("base", with(1 << 20, 65536));
  attach("base");
  ASSERT_TRUE(write(0, std::string(200000, 'b')));
  detach();
  qcow2::CreateOptions o = with(2 << 20, 65536);
  o.backing_file = "base";  // relative to the overlay
  o.backing_format = "qcow2";
  create("top", o);
  attach("top");
  ASSERT_TRUE(write(70000, "top"));
  std::string expected(2 << 20, '\0');
  expected.replace(0, 200000, 200000, 'b');
  expected.replace(70000, 3, "top");
  EXPECT_TRUE(read(0, expected.size()).value() == expected);
  ASSERT_TRUE(run(backend().co_pwrite_zeroes({65536, 65536}, true)));
  expected.replace(65536, 65536, 65536, '\0');
  EXPECT_TRUE(read(0, expected.size()).value() == expected);
}

TEST_F(Qcow2Test, GrowsAndShrinks) {
  create("disk", with(1 << 20, 4096));
  attach("disk");
  ASSERT_TRUE(write((1 << 20) - 5, "ended"));
  Result<> grown = run(backend().co_truncate(64 << 20));
  ASSERT_TRUE(grown) << grown.error().message();
  ASSERT_TRUE(write((64 << 20) - 5, "again"));
  detach();
  attach("disk");
  EXPECT_EQ(backend().getlength().value(), 64u << 20);
  EXPECT_EQ(read((1 << 20) - 5, 5).value(), "ended");
  EXPECT_EQ(read((64 << 20) - 5, 5).value(), "again");
  ASSERT_TRUE(run(backend().co_truncate(8192)));
  ASSERT_TRUE(run(backend().co_truncate(2 << 20)));
  EXPECT_EQ(read((1 << 20) - 5, 5).value(), std::string(5, '\0'));
}

TEST_P(Qcow2Kinds, SnapshotsKeepWhatWas) {
  const uint64_t size = GetParam().options.virtual_bytes;
  if (GetParam().options.refcount_bits < 2)
    GTEST_SKIP() << "a cluster cannot be shared with refcounts of one bit";
  create("disk", GetParam().options);
  attach("disk");
  std::mt19937 random(7);
  std::string now(size, '\0');
  auto scribble = [&](char c) {
    for (int i = 0; i < 20; ++i) {
      const uint64_t offset = random() % size, n = 1 + random() % std::min<uint64_t>(40000, size - offset);
      ASSERT_TRUE(write(offset, std::string(n, c)));
      now.replace(offset, n, n, c);
    }
  };
  std::vector<std::string> states;
  for (char c : std::string(GetParam().options.refcount_bits < 4 ? "a" : "abc")) {
    scribble(c);
    qcow2::Snapshot s;
    s.name = std::string("snap-") + c;
    Result<> made = run(qcow2::co_create_snapshot(image(), s));
    ASSERT_TRUE(made) << made.error().message();
    states.push_back(now);
    expect_clean();
  }
  scribble('z');
  EXPECT_TRUE(read(0, size).value() == now);
  expect_clean();
  std::vector<qcow2::Snapshot> all = run(qcow2::co_read_snapshots(image())).value();
  ASSERT_EQ(all.size(), states.size());
  EXPECT_EQ(all[0].id, "1");
  EXPECT_EQ(all[0].name, "snap-a");
  for (size_t i = 0; i < all.size(); ++i) {
    Result<> applied = run(qcow2::co_apply_snapshot(image(), all[i]));
    ASSERT_TRUE(applied) << applied.error().message();
    EXPECT_TRUE(read(0, size).value() == states[i]) << i;
    expect_clean();
    ASSERT_TRUE(write(0, "changed"));
  }
  now = read(0, size).value();
  for (const qcow2::Snapshot& s : all) {
    Result<> gone = run(qcow2::co_delete_snapshot(image(), s.id));
    ASSERT_TRUE(gone) << gone.error().message();
    expect_clean();
  }
  detach();
  attach("disk");
  EXPECT_TRUE(read(0, size).value() == now);
  expect_clean();
}

TEST_F(Qcow2Test, WritesGoInParallel) {
  create("disk", with(8 << 20, 65536));
  attach("disk");
  std::string expected(8 << 20, '\0');
  std::vector<std::string> pieces;
  for (int i = 0; i < 500; ++i) pieces.emplace_back(5000, static_cast<char>('a' + i % 26));
  Gate gate;
  for (int i = 0; i < 500; ++i) {
    const uint64_t at = static_cast<uint64_t>(i) * 16000;
    gate.spawn<void>(backend().co_pwritev({at, 5000}, IoVector(pieces[i].data(), 5000)),
                     [](Result<> r) { EXPECT_TRUE(r); });
    expected.replace(at, 5000, pieces[i]);
  }
  ASSERT_TRUE(run(gate.co_close()));
  EXPECT_TRUE(read(0, expected.size()).value() == expected);
  detach();
  attach("disk");
  EXPECT_TRUE(read(0, expected.size()).value() == expected);
}

}  // namespace
}  // namespace rhea
