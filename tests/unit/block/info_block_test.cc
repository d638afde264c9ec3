// The text of `info block`, byte for byte.
#include "block/qmp/info_block.h"

#include "block/qmp/query_block.h"
#include "tests/unit/block/fake_cd.h"
#include "tests/unit/block/graph_fixture.h"

namespace rhea {
namespace {

constexpr PermPair kInfoBlockReader{blk_perm::kConsistentRead, blk_perm::kAll};

class InfoBlock : public GraphTest {
 protected:
  std::string info(const InfoBlockRequest& request = {}) {
    Result<std::vector<BlockInfo>> drives = run(co_query_block(graph));
    Result<std::vector<BlockDeviceInfo>> nodes = run(co_query_nodes(graph));
    return info_block_text(request, *drives, *nodes);
  }
  NodeRef must_open(const std::string& json) {
    Result<NodeRef> r = open(json);
    EXPECT_TRUE(r) << r.error().message();
    return *r;
  }
};

TEST_F(InfoBlock, DrivesOfAManagersMachine) {
  const std::string img = make_file("disk.img", 1 << 20);
  BlockBackend first(graph, "", kInfoBlockReader), second(graph, "", kInfoBlockReader),
      disk(graph, "", kInfoBlockReader);
  FakeCd a, b;
  BlockDevOps virtio;
  ASSERT_TRUE(first.attach_device(&a, "ide0-0-0", "/machine/peripheral/ide0-0-0"));
  ASSERT_TRUE(second.attach_device(&b, "ide0-1-0", "/machine/peripheral/ide0-1-0"));
  ASSERT_TRUE(disk.attach_device(&virtio, "", "/machine/peripheral/virtio-disk0/virtio-backend"));
  NodeRef node = must_open(R"({"driver": "raw", "node-name": "libvirt-3-format", "read-only": true,
      "cache": {"direct": true}, "file": {"driver": "null-co", "node-name": "libvirt-3-storage"}})");
  NodeRef writable =
      must_open(R"({"driver": "raw", "node-name": "libvirt-2-format", "file": {"driver": "file",
      "filename": ")" +
                img + "\"}}");
  ASSERT_TRUE(insert(first, *node));
  ASSERT_TRUE(insert(disk, *writable));
  disk.set_write_cache_enabled(false);
  EXPECT_EQ(info(),
            "libvirt-3-format: null-co:// (raw, read-only)\n"
            "    Attached to:      ide0-0-0\n"
            "    Removable device: not locked, tray closed\n"
            "    Cache mode:       writeback, direct\n"
            "\n"
            "ide0-1-0: [not inserted]\n"
            "    Attached to:      ide0-1-0\n"
            "    Removable device: not locked, tray closed\n"
            "\n"
            "libvirt-2-format: " +
                img +
                " (raw)\n"
                "    Attached to:      /machine/peripheral/virtio-disk0/virtio-backend\n"
                "    Cache mode:       writethrough\n");
  b.locked = b.open = true;
  first.detach_device();
  disk.detach_device();
  EXPECT_EQ(info(),
            "ide0-1-0: [not inserted]\n"
            "    Attached to:      ide0-1-0\n"
            "    Removable device: locked, tray open\n");
  second.detach_device();
}

TEST_F(InfoBlock, NamedDrives) {
  BlockBackend nn(graph, "nn", kInfoBlockReader), empty(graph, "emptyone", kInfoBlockReader);
  NodeRef node = must_open(R"({"driver": "null-co", "node-name": "n0", "size": 393216, "read-only": true,
      "cache": {"no-flush": true}, "detect-zeroes": "on"})");
  ASSERT_TRUE(insert(nn, *node));
  const std::string entry =
      "nn (n0): null-co:// (null-co, read-only)\n"
      "    Removable device: not locked, tray closed\n"
      "    Cache mode:       writeback, ignore flushes\n"
      "    Detect zeroes:    on\n";
  const std::string image =
      "\nImages:\nimage: null-co://\nfile format: null-co\nvirtual size: 384 KiB (393216 bytes)\ndisk size: "
      "0 B\n";
  EXPECT_EQ(info(), entry + "\nemptyone: [not inserted]\n    Removable device: not locked, tray closed\n");
  EXPECT_EQ(info({.name = "nn", .verbose = true}), entry + image);
  EXPECT_EQ(info({.name = "emptyone"}),
            "\nemptyone: [not inserted]\n    Removable device: not locked, tray closed\n");
  EXPECT_EQ(info({.name = "nobody"}), "");
  const std::string as_node =
      "n0: null-co:// (null-co, read-only)\n    Cache mode:       writeback, ignore flushes\n"
      "    Detect zeroes:    on\n";
  EXPECT_EQ(info({.name = "n0"}), as_node);
  EXPECT_EQ(info({.nodes = true}), as_node);
  EXPECT_EQ(info({.name = "nn", .nodes = true}), "");
  EXPECT_EQ(info({.verbose = true, .nodes = true}), as_node + image);
}

TEST_F(InfoBlock, FailedDriveSaysSo) {
  BlockBackend cd(graph, "cd", kInfoBlockReader);
  FakeCd ops;
  ASSERT_TRUE(cd.attach_device(&ops, "d", "/d"));
  cd.enable_iostatus();
  cd.set_iostatus_error(ENOSPC);
  EXPECT_EQ(info(),
            "cd: [not inserted]\n    Attached to:      d\n    I/O status:       nospace\n"
            "    Removable device: not locked, tray closed\n");
  cd.detach_device();
}

/// What a manager's CD drive looks like to the printer, with or without the disc.
BlockInfo cd_info(const char* id, const char* node, const char* file) {
  BlockInfo drive;
  drive.qdev = id;
  drive.removable = true;
  drive.tray_open = false;
  drive.io_status = BlockDeviceIoStatus::kOk;
  if (node == nullptr) return drive;
  BlockDeviceInfo& medium = drive.inserted.emplace();
  medium.node_name = node;
  medium.file = file;
  medium.drv = "raw";
  medium.ro = true;
  medium.cache.writeback = true;
  medium.cache.direct = true;
  return drive;
}

TEST(InfoBlockGolden, EmptyDrive) {  // S0.14
  EXPECT_EQ(info_block_text({}, {cd_info("ide0-1-0", nullptr, nullptr)}, {}),
            "ide0-1-0: [not inserted]\n"
            "    Attached to:      ide0-1-0\n"
            "    Removable device: not locked, tray closed\n");
}

TEST(InfoBlockGolden, DriveWithMedium) {  // S0.15
  EXPECT_EQ(info_block_text({}, {cd_info("ide0-1-0", "libvirt-3-format", "/images/cdrom.iso")}, {}),
            "libvirt-3-format: /images/cdrom.iso (raw, read-only)\n"
            "    Attached to:      ide0-1-0\n"
            "    Removable device: not locked, tray closed\n"
            "    Cache mode:       writeback, direct\n");
}

TEST(SizeText, HasThreeDigits) {
  EXPECT_EQ(size_text(0), "0 B");
  EXPECT_EQ(size_text(999), "999 B");
  EXPECT_EQ(size_text(1000), "0.977 KiB");
  EXPECT_EQ(size_text(331776), "324 KiB");
  EXPECT_EQ(size_text(1 << 20), "1 MiB");
  EXPECT_EQ(size_text(uint64_t{3} << 29), "1.5 GiB");
}

}  // namespace
}  // namespace rhea
