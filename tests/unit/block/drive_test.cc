// -drive: places, names, cache modes and the text of what is refused.
#include "block/drive.h"

#include "tests/unit/block/graph_fixture.h"

namespace rhea {
namespace {

class Drive : public GraphTest {
 protected:
  Drive() { path = make_file("a.iso", 4096); }
  ~Drive() override { drives.clear(); }
  Result<DriveInfo*> add(const std::string& json) {
    Result<Json> parsed = Json::parse(json);
    EXPECT_TRUE(parsed) << json;
    return run(drives.co_add(std::move(*parsed), DriveInterface::kIde));
  }
  /// `more` follows a file that opens.
  Result<DriveInfo*> add_file(const std::string& more) {
    return add(R"({"file": ")" + path + R"(", "format": "raw")" + (more.empty() ? "" : ", " + more) + "}");
  }
  std::string error(const std::string& json) {
    Result<DriveInfo*> r = add(json);
    return r ? "(success)" : r.error().message();
  }
  DriveSet drives{graph};
  std::string path;
};

TEST_F(Drive, NamesAndPlacesAreGivenOut) {
  struct Case {
    const char *options, *name;
    int bus, unit;
  };
  const Case cases[] = {{R"({})", "ide0-hd0", 0, 0},
                        {R"({"media": "cdrom"})", "ide0-cd1", 0, 1},
                        {R"({"media": "cdrom"})", "ide1-cd0", 1, 0},
                        {R"({"index": "3"})", "ide1-hd1", 1, 1},
                        {R"({"if": "none"})", "none0", 0, 0},
                        {R"({"if": "none", "media": "cdrom"})", "none1", 0, 1},
                        {R"({"if": "none", "id": "mine"})", "mine", 0, 2},
                        {R"({"if": "virtio"})", "virtio0", 0, 0},
                        {R"({"if": "scsi", "media": "cdrom"})", "scsi0-cd0", 0, 0}};
  for (const Case& c : cases) {
    Result<DriveInfo*> d = add(c.options);
    ASSERT_TRUE(d) << c.options << d.error().message();
    EXPECT_EQ((*d)->backend->name(), c.name);
    EXPECT_EQ((*d)->bus, c.bus);
    EXPECT_EQ((*d)->unit, c.unit);
    EXPECT_EQ((*d)->backend->node(), nullptr);
    EXPECT_EQ(drives.find((*d)->interface, c.bus, c.unit), *d);
    EXPECT_EQ(drives.find(*(*d)->backend), *d);
  }
}

TEST_F(Drive, SnapshotPutsATemporaryImageOnTop) {  // S4.15
  Result<DriveInfo*> d = add_file(R"("snapshot": "on", "if": "none")");
  ASSERT_TRUE(d) << d.error().message();
  BlockBackend& disk = *(*d)->backend;
  EXPECT_EQ(disk.node()->driver().name, "qcow2");
  EXPECT_FALSE(disk.node()->read_only());
  ASSERT_TRUE(disk.node()->backing());
  EXPECT_TRUE(disk.node()->backing().node().read_only());
  EXPECT_FALSE(disk.node()->flags().direct);
  EXPECT_TRUE(disk.node()->flags().no_flush);
  std::string bytes(512, 'x');
  ASSERT_TRUE(run(disk.co_pwritev({0, 512}, IoVector(bytes.data(), bytes.size()))));
  std::ifstream below(path, std::ios::binary);
  std::string first(512, '?');
  below.read(first.data(), 512);
  EXPECT_EQ(first, std::string(512, '\0'));
}

TEST_F(Drive, CdIsReadOnlyWhateverIsSaid) {
  Result<DriveInfo*> d = add_file(R"("media": "cdrom", "read-only": "off")");
  ASSERT_TRUE(d) << d.error().message();
  EXPECT_TRUE((*d)->backend->node()->read_only());
  EXPECT_TRUE((*d)->is_cdrom);
}

TEST_F(Drive, CacheModes) {
  struct Case {
    const char* mode;
    bool writeback, direct, no_flush;
  };
  const Case cases[] = {{"none", true, true, false},
                        {"writethrough", false, false, false},
                        {"directsync", false, true, false},
                        {"unsafe", true, false, true},
                        {"writeback", true, false, false}};
  for (const Case& c : cases) {
    Result<DriveInfo*> d = add(R"({"if": "none", "file": "null-co://", "format": "raw", "cache": ")" +
                               std::string(c.mode) + "\"}");
    ASSERT_TRUE(d) << d.error().message();
    const BlockBackend& b = *(*d)->backend;
    EXPECT_EQ(b.write_cache_enabled(), c.writeback) << c.mode;
    EXPECT_EQ(b.node()->flags().direct, c.direct) << c.mode;
    EXPECT_EQ(b.node()->file().node().flags().no_flush, c.no_flush) << c.mode;
  }
}

TEST_F(Drive, EveryErrorHasItsText) {
  ASSERT_TRUE(add_file(R"("id": "x", "if": "none")"));
  ASSERT_TRUE(add("{}"));
  reap();
  const std::string before = graph.dump();
  const std::string f = R"("if": "none", "file": ")" + path + "\"";
  const std::pair<std::string, std::string> cases[] = {
      {R"({"if": "bogus"})", "unsupported bus type 'bogus'"},
      {R"({"media": "bogus"})", "'bogus' invalid media"},
      {R"({"bus": "0", "unit": "0", "index": "1"})", "index cannot be used with bus and unit"},
      {R"({"unit": "7"})", "unit 7 too big (max is 1)"},
      {R"({"index": "0"})", "drive with bus=0, unit=0 (index=0) exists"},
      {R"({"if": "none", "id": "1x"})", "Parameter 'id' expects an identifier"},
      {R"({"if": "none", "id": "x"})", "Duplicate ID 'x' for drive"},
      {"{" + f + R"(, "cache": "bogus"})", "invalid cache option"},
      {"{" + f + R"(, "aio": "bogus"})", "invalid aio option"},
      {"{" + f + R"(, "discard": "bogus"})", "Invalid discard option"},
      {"{" + f + R"(, "werror": "bogus"})", "'bogus' invalid write error action"},
      {"{" + f + R"(, "rerror": "enospc"})", "'enospc' invalid read error action"},
      {"{" + f + R"(, "read-only": "bogus"})", "Parameter 'read-only' expects 'on' or 'off'"},
      {"{" + f + R"(, "format": "raw", "driver": "raw"})", "Cannot specify both 'driver' and 'format'"},
      {"{" + f + R"(, "format": "bogus"})", "Unknown driver 'bogus'"},
      {"{" + f + R"(, "format": "raw", "foo": "bar"})",
       "Block format 'raw' does not support the option 'foo'"},
      {"{" + f + R"(, "format": "raw", "file.foo": "bar"})",
       "Block protocol 'file' doesn't support the option 'foo'"},
      {"{" + f + R"(, "format": "raw", "id": "y", "node-name": "y"})",
       "Device name 'y' conflicts with an existing node name"},
      {R"({"if": "none", "foo": "1"})", "Must specify either driver or file"},
      {R"({"if": "none", "format": "raw"})", "A block device must be specified for \"file\""},
      {R"({"if": "none", "driver": "file"})", "The 'file' block driver requires a file name"},
  };
  for (const auto& [options, message] : cases) {
    EXPECT_EQ(error(options), message) << options;
    EXPECT_EQ(graph.dump(), before) << options;
  }
}

TEST_F(Drive, FileIsOpenedForWritingOnlyWhereItMayBe) {
  Result<DriveInfo*> d = add_file(R"("if": "none", "readonly": "on", "aio": "threads")");
  ASSERT_TRUE(d) << d.error().message();
  EXPECT_TRUE((*d)->backend->node()->read_only());
  d = add_file(R"("if": "none")");
  ASSERT_TRUE(d) << d.error().message();
  EXPECT_EQ((*d)->backend->node()->cumulative_perms().perm, blk_perm::kConsistentRead | blk_perm::kWrite);
}

// S1.7
TEST_F(Drive, DeletingLetsGoOfTheMedium) {
  ASSERT_TRUE(add_file(R"("if": "none", "id": "d0")"));
  EXPECT_EQ(run(drives.co_delete("nosuch")).error().message(), "Device 'nosuch' not found");
  ASSERT_TRUE(run(drives.co_delete("d0")));
  EXPECT_TRUE(drives.drives().empty());
  EXPECT_EQ(graph.find_backend("d0"), nullptr);
  EXPECT_EQ(run(drives.co_delete("d0")).error().error_class(), ErrorClass::kDeviceNotFound);
  ASSERT_TRUE(add_file(R"("if": "none", "id": "d0")"));  // name and place are free
}

TEST_F(Drive, ADeviceKeepsADeletedDriveWithoutAName) {
  struct Disk final : BlockDevOps {
  } disk;
  Result<DriveInfo*> d = add_file(R"("if": "none", "id": "d0", "werror": "stop")");
  ASSERT_TRUE(d);
  BlockBackend& backend = *(*d)->backend;
  ASSERT_TRUE(backend.attach_device(&disk, "disk0", "/machine/disk0"));
  ASSERT_TRUE(run(drives.co_delete("d0")));
  EXPECT_EQ(backend.name(), "");
  EXPECT_EQ(backend.node(), nullptr);
  EXPECT_EQ(backend.on_write_error(), BlockErrorPolicy::kReport);
  EXPECT_EQ(graph.find_backend(""), nullptr);
  ASSERT_TRUE(add_file(R"("if": "none", "id": "d0")"));
  backend.detach_device();
  ASSERT_TRUE(run(drives.co_delete("d0")));  // takes the orphan along
  EXPECT_TRUE(drives.drives().empty());
}

TEST_F(Drive, WhatNobodyTookIsForgotten) {
  Result<DriveInfo*> d = add_file(R"("if": "ide")");
  ASSERT_TRUE(d);
  ASSERT_TRUE(run(drives.co_forget(**d)));
  EXPECT_TRUE(drives.drives().empty());
}

}  // namespace
}  // namespace rhea
