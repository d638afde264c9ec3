// The commands about nodes, trays and media, with the texts and classes clients match.
#include "block/qmp/media.h"

#include "qapi/qapi_commands_block.h"
#include "qapi/visit.h"
#include "tests/unit/block/fake_cd.h"
#include "tests/unit/block/graph_fixture.h"

namespace rhea {
namespace {

constexpr PermPair kCdPerms{blk_perm::kConsistentRead, blk_perm::kConsistentRead | blk_perm::kWriteUnchanged};
alignas(16) char nobody[16];  // stands for the parts of the process these handlers do not touch

class Media : public GraphTest {
 protected:
  Media() {
    graph.device_resolver = [this](std::string_view id) -> BlockBackend* {
      if (id == "ide0-1-0" || id == "/machine/peripheral/ide0-1-0") return &cd;
      return id == "hd" ? &disk : nullptr;
    };
    EXPECT_TRUE(cd.attach_device(&ops, "ide0-1-0", "/machine/peripheral/ide0-1-0"));
    EXPECT_TRUE(disk.attach_device(&disk_ops, "hd", "/machine/peripheral/hd"));
    path = make_file("cd.iso", 4096);
  }
  ~Media() override {
    cd.detach_device();
    disk.detach_device();
  }
  /// "" or the error's text.
  template <class T>
  std::string text(CoResult<T> work) {
    Result<T> r = run(std::move(work));
    last_class = r ? ErrorClass::kGenericError : r.error().error_class();
    return r ? "" : r.error().message();
  }
  std::string add(const std::string& json) {
    Result<Json> parsed = Json::parse(json);
    Result<BlockdevOptions> options = from_json<BlockdevOptions>(std::move(*parsed));
    return options ? text(qmp_blockdev_add(ctx, std::move(*options))) : options.error().message();
  }
  std::string del(const std::string& name) {
    BlockdevDelArgs args;
    args.node_name = name;
    return text(qmp_blockdev_del(ctx, args));
  }
  std::string open_tray(const std::string& id, bool force = false) {
    BlockdevOpenTrayArgs args;
    args.id = id;
    args.force = force;
    Result<> r = qmp_blockdev_open_tray(ctx, args);
    return r ? "" : r.error().message();
  }
  std::string close_tray(const std::string& id) {
    BlockdevCloseTrayArgs args;
    args.id = id;
    return text(qmp_blockdev_close_tray(ctx, args));
  }
  std::string remove_medium(const std::string& id) {
    BlockdevRemoveMediumArgs args;
    args.id = id;
    return text(qmp_blockdev_remove_medium(ctx, args));
  }
  std::string insert_medium(const std::string& id, const std::string& node) {
    BlockdevInsertMediumArgs args;
    args.id = id;
    args.node_name = node;
    return text(qmp_blockdev_insert_medium(ctx, args));
  }
  std::string eject(std::optional<std::string> device, std::optional<std::string> id, bool force = false) {
    EjectArgs args;
    args.device = std::move(device);
    args.id = std::move(id);
    args.force = force;
    return text(qmp_eject(ctx, args));
  }
  std::string change(const std::string& id, const std::string& file,
                     std::optional<std::string> format = "raw") {
    BlockdevChangeMediumArgs args;
    args.id = id;
    args.filename = file;
    args.format = std::move(format);
    return text(qmp_blockdev_change_medium(ctx, args));
  }
  void add_medium() {
    ASSERT_EQ(add(R"({"driver": "file", "node-name": "libvirt-4-storage", "auto-read-only": true,
                      "discard": "unmap", "filename": ")" +
                  path + "\"}"),
              "");
    ASSERT_EQ(add(R"({"node-name": "libvirt-4-format", "read-only": true, "driver": "raw",
                      "file": "libvirt-4-storage"})"),
              "");
  }

  FakeCd ops, disk_ops;
  BlockBackend cd{graph, "", kCdPerms}, disk{graph, "drive-hd", kCdPerms}, plain{graph, "plain", kCdPerms};
  QmpContext ctx{graph, reinterpret_cast<ObjectRoot&>(nobody), reinterpret_cast<VmControl&>(nobody),
                 reinterpret_cast<ChardevSet&>(nobody)};
  ErrorClass last_class = ErrorClass::kGenericError;
  std::string path;
};

TEST_F(Media, InsertIsFiveMessages) {
  EXPECT_EQ(open_tray("ide0-1-0"), "");
  EXPECT_EQ(remove_medium("ide0-1-0"), "");
  add_medium();
  EXPECT_EQ(insert_medium("ide0-1-0", "libvirt-4-format"), "");
  EXPECT_EQ(close_tray("ide0-1-0"), "");
  EXPECT_EQ(ops.log, (std::vector<std::string>{"unload", "load"}));
  EXPECT_EQ(cd.node(), graph.find_node("libvirt-4-format"));
  EXPECT_EQ(cd.getlength().value(), 4096u);
}

TEST_F(Media, EjectLeavesAnEmptyClosedDriveAndFreeNodes) {
  add_medium();
  ops.open = true;
  ASSERT_EQ(insert_medium("ide0-1-0", "libvirt-4-format"), "");
  ASSERT_EQ(close_tray("ide0-1-0"), "");
  EXPECT_EQ(del("libvirt-4-format"), "Node libvirt-4-format is in use");
  EXPECT_EQ(open_tray("ide0-1-0"), "");
  EXPECT_EQ(remove_medium("ide0-1-0"), "");
  EXPECT_EQ(del("libvirt-4-storage"), "Block device libvirt-4-storage is in use");
  EXPECT_EQ(del("libvirt-4-format"), "");
  EXPECT_EQ(del("libvirt-4-storage"), "");
  EXPECT_EQ(close_tray("ide0-1-0"), "");
  EXPECT_FALSE(ops.open);
  EXPECT_EQ(cd.node(), nullptr);
  EXPECT_TRUE(graph.nodes().empty());
}

TEST_F(Media, TextsAndClasses) {
  add_medium();
  ASSERT_EQ(add(R"({"driver": "null-co", "node-name": "other"})"), "");
  EXPECT_EQ(remove_medium("ide0-1-0"), "Tray of device 'ide0-1-0' is not open");
  EXPECT_EQ(insert_medium("ide0-1-0", "libvirt-4-format"), "Tray of the device is not open");
  EXPECT_EQ(insert_medium("ide0-1-0", "nono"), "Node 'nono' not found");
  EXPECT_EQ(eject("x", "y"), "Need exactly one of 'device' and 'id'");
  EXPECT_EQ(eject({}, {}), "Need exactly one of 'device' and 'id'");
  for (auto& work : {remove_medium("nope"), insert_medium("nope", "nono"), eject("nope", {}),
                     close_tray("nope"), change("nope", path)}) {
    EXPECT_EQ(work, "Device 'nope' not found");
    EXPECT_EQ(last_class, ErrorClass::kDeviceNotFound);
  }
  EXPECT_EQ(open_tray("nope"), "Device 'nope' not found");

  disk_ops.removable = false;
  EXPECT_EQ(eject("drive-hd", {}), "Device 'drive-hd' is not removable");
  EXPECT_EQ(open_tray("hd"), "Device 'hd' is not removable");
  EXPECT_EQ(close_tray("hd"), "Device 'hd' is not removable");
  EXPECT_EQ(remove_medium("hd"), "Device 'hd' is not removable");
  EXPECT_EQ(insert_medium("hd", "other"), "Device is not removable");

  ops.open = true;
  EXPECT_EQ(insert_medium("ide0-1-0", "libvirt-4-format"), "");
  EXPECT_EQ(insert_medium("ide0-1-0", "libvirt-4-format"), "Node 'libvirt-4-format' is already in use");
  EXPECT_EQ(insert_medium("ide0-1-0", "other"), "There already is a medium in the device");
  EXPECT_EQ(last_class, ErrorClass::kGenericError);
}

TEST_F(Media, LockedTrayAsksTheGuest) {
  ops.locked = true;
  EXPECT_EQ(eject({}, "ide0-1-0"),
            "Device 'ide0-1-0' is locked and force was not specified, wait for tray to open and try again");
  EXPECT_EQ(open_tray("ide0-1-0"), "");  // a success although the tray is closed
  EXPECT_FALSE(ops.open);
  Result<std::vector<BlockInfo>> drives = run(qmp_query_block(ctx));
  ASSERT_TRUE(drives);
  EXPECT_EQ(drives->at(0).eject_requested, true);
  EXPECT_EQ(open_tray("ide0-1-0", true), "");
  EXPECT_TRUE(ops.open);
  EXPECT_EQ(ops.log, (std::vector<std::string>{"eject?", "eject?", "eject!", "unload"}));
  EXPECT_EQ(open_tray("ide0-1-0"), "");  // open already: nothing happens
  EXPECT_EQ(ops.log.size(), 4u);
}

TEST_F(Media, TraylessDrivesLoadAndUnloadWithTheMedium) {
  add_medium();
  ops.tray = false;
  EXPECT_EQ(open_tray("ide0-1-0"), "");
  EXPECT_EQ(close_tray("ide0-1-0"), "");
  EXPECT_TRUE(ops.log.empty());
  EXPECT_EQ(insert_medium("ide0-1-0", "libvirt-4-format"), "");
  EXPECT_EQ(remove_medium("ide0-1-0"), "");
  EXPECT_EQ(ops.log, (std::vector<std::string>{"load", "unload"}));
  ops.refuse = true;
  EXPECT_EQ(insert_medium("ide0-1-0", "libvirt-4-format"), "cannot load");
  EXPECT_EQ(cd.node(), nullptr);
}

TEST_F(Media, DriveWithoutADeviceTakesMediaAnyTime) {
  add_medium();
  NodeRef node(*graph.find_node("libvirt-4-format"));
  EXPECT_EQ(eject("plain", {}), "");
  DriveRef ref("plain", {});
  EXPECT_EQ(text(co_insert_medium(graph, ref, node)), "");
  EXPECT_EQ(eject("plain", {}), "");
}

TEST_F(Media, ChangeOpensTheTrayAndClosesIt) {
  EXPECT_EQ(change("ide0-1-0", path), "");
  ASSERT_NE(cd.node(), nullptr);
  EXPECT_TRUE(cd.node()->read_only());
  EXPECT_EQ(ops.log, (std::vector<std::string>{"unload", "load"}));
  const std::string first = cd.node()->name();
  EXPECT_EQ(change("/machine/peripheral/ide0-1-0", make_file("b.iso", 8192)), "");
  EXPECT_EQ(cd.getlength().value(), 8192u);
  EXPECT_EQ(graph.find_node(first), nullptr);
}

TEST_F(Media, FailedChangeLeavesTheMediumIn) {
  ASSERT_EQ(change("ide0-1-0", path), "");
  ops.log.clear();
  EXPECT_EQ(change("ide0-1-0", "/nonexistent"), "Could not open '/nonexistent': No such file or directory");
  EXPECT_EQ(change("ide0-1-0", path, "bogus"), "Unknown driver 'bogus'");
  ops.locked = true;
  EXPECT_EQ(change("ide0-1-0", path),
            "Device 'ide0-1-0' is locked and force was not specified, wait for tray to open and try again");
  EXPECT_EQ(cd.getlength().value(), 4096u);
  EXPECT_FALSE(ops.open);
  reap();
  EXPECT_EQ(graph.nodes().size(), 2u);
}

TEST_F(Media, BlockdevAddAndDelErrors) {
  EXPECT_EQ(add(R"({"driver": "null-co"})"), "'node-name' must be specified for the root node");
  EXPECT_EQ(add(R"({"driver": "nodriver", "node-name": "x"})"),
            "Parameter 'driver' does not accept value 'nodriver'");
  EXPECT_EQ(add(R"({"driver": "raw", "node-name": "x"})"), "Parameter 'file' is missing");
  EXPECT_EQ(add(R"({"driver": "null-co", "node-name": "x", "foo": 1})"), "Parameter 'foo' is unexpected");
  EXPECT_EQ(del("zz"), "Failed to find node with node-name='zz'");
  ASSERT_EQ(
      add(R"({"driver": "raw", "node-name": "x", "file": {"driver": "null-co", "node-name": "inner"}})"), "");
  EXPECT_EQ(del("inner"), "Node inner is not owned by the monitor");
  EXPECT_EQ(del("x"), "");
  EXPECT_TRUE(graph.nodes().empty());
}

TEST_F(Media, QueriesShowWhatManagersRead) {
  add_medium();
  ops.open = true;
  ASSERT_EQ(insert_medium("ide0-1-0", "libvirt-4-format"), "");
  cd.enable_iostatus();
  Result<std::vector<BlockInfo>> drives = run(qmp_query_block(ctx));
  ASSERT_TRUE(drives);
  const Json actual_size = drives->at(0).inserted->image.actual_size.value();
  EXPECT_EQ(
      to_json(drives->at(0)).dump(),
      R"({"device": "", "qdev": "ide0-1-0", "type": "unknown", "removable": true, "locked": false, )"
      R"("inserted": {"file": ")" +
          path +
          R"(", "node-name": "libvirt-4-format", "ro": true, "drv": "raw", )"
          R"("backing_file_depth": 0, "encrypted": false, "detect_zeroes": "off", "bps": 0, "bps_rd": 0, )"
          R"("bps_wr": 0, "iops": 0, "iops_rd": 0, "iops_wr": 0, "image": {"filename": ")" +
          path + R"(", "format": "raw", "dirty-flag": false, "actual-size": )" + actual_size.dump() +
          R"(, "virtual-size": 4096}, "cache": {"writeback": true, "direct": false, "no-flush": false}, )"
          R"("write_threshold": 0}, "tray_open": true, "io-status": "ok"})");
  Result<std::vector<BlockDeviceInfo>> nodes = run(qmp_query_named_block_nodes(ctx, {}));
  ASSERT_TRUE(nodes);
  ASSERT_EQ(nodes->size(), 2u);
  EXPECT_EQ(nodes->at(0).node_name, "libvirt-4-format");
  EXPECT_EQ(nodes->at(1).node_name, "libvirt-4-storage");
  EXPECT_FALSE(nodes->at(1).ro);  // it may still become writable
}

}  // namespace
}  // namespace rhea
