// The registers of a channel: signatures, selection, resets, what a packet device does with ATA commands.
#include "tests/unit/ide/ide_rig.h"

namespace rhea {
namespace {

using namespace ata;

class Channel : public IdeRig {
 protected:
  std::string signature(uint16_t base = 0x1f0) {
    return str_cat(hex(in(base + 2), 2), hex(in(base + 3), 2), hex(in(base + 4), 2), hex(in(base + 5), 2));
  }
  void command(uint8_t opcode) { out(0x1f7, opcode); }
  std::vector<uint8_t> read_block(unsigned bytes) {
    std::vector<uint8_t> d;
    for (unsigned i = 0; i < bytes; i += 2) {
      const auto w = static_cast<uint16_t>(io_space().load(0x1f0, 2));
      d.push_back(static_cast<uint8_t>(w));
      d.push_back(static_cast<uint8_t>(w >> 8));
    }
    return d;
  }
};

TEST_F(Channel, AnEmptyChannelReadsZero) {
  for (uint16_t reg = 0x171; reg < 0x178; ++reg) EXPECT_EQ(in(reg), 0) << hex(reg);
  EXPECT_EQ(in(0x376), 0);
  out(0x172, 0x55);
  EXPECT_EQ(in(0x172), 0) << "probing by writing finds nothing";
}

TEST_F(Channel, PacketDeviceShowsItsSignature) {
  plug();
  EXPECT_EQ(signature(), "010114eb");
  EXPECT_EQ(in(0x1f1), 0x01);
  EXPECT_EQ(in(0x1f7), 0x00) << "not ready before the first command";
}

TEST_F(Channel, UnitOneAloneLeavesUnitZeroAbsent) {
  plug(0, R"({"unit": 1})");
  EXPECT_EQ(in(0x1f7), 0);
  EXPECT_EQ(in(0x1f4), 0);
  out(0x1f6, 0xb0);
  EXPECT_EQ(signature(), "010114eb");
  EXPECT_EQ(in(0x1f6), 0xb0);
}

TEST_F(Channel, IdentifyDeviceAbortsWithTheSignature) {
  plug();
  out(0x1f4, 0x33);
  command(kIdentify);
  EXPECT_EQ(in(0x1f7), kFailed);
  EXPECT_EQ(in(0x1f1), kAbort);
  EXPECT_EQ(signature(), "010114eb");
}

TEST_F(Channel, IdentifyPacketDevice) {
  plug(0, R"({"serial": "S123", "ver": "7.7", "model": "A DRIVE", "wwn": 1311768467463790320})");
  command(kIdentifyPacket);
  EXPECT_EQ(irqs.now[0], 1);
  EXPECT_EQ(in(0x1f7), kReady | kDrq);
  EXPECT_EQ(irqs.now[0], 0) << "reading Status takes the interrupt";
  const auto d = read_block(512);
  const auto word = [&](unsigned n) { return load_le<uint16_t>(&d[2 * n]); };
  EXPECT_EQ(word(0), 0x85c0);
  EXPECT_EQ(word(10), 'S' << 8 | '1');
  EXPECT_EQ(word(23), '7' << 8 | '.');
  EXPECT_EQ(word(27), 'A' << 8 | ' ');
  EXPECT_EQ(word(49), 0x0300);
  EXPECT_EQ(word(63), 0x0007);
  EXPECT_EQ(word(88), 0x203f);
  EXPECT_EQ(word(108), 0x1234);
  EXPECT_EQ(in(0x1f7), kReady);
}

TEST_F(Channel, TransferModes) {
  plug();
  struct {
    uint8_t count;
    bool ok;
    uint16_t w63, w88;
  } cases[] = {{0x08, true, 0x0007, 0x003f}, {0x22, true, 0x0407, 0x003f}, {0x45, true, 0x0007, 0x203f},
               {0x40, true, 0x0007, 0x013f}, {0x23, false, 0, 0},          {0x46, false, 0, 0},
               {0x77, false, 0, 0},          {0x10, true, 0x0007, 0x003f}, {0x13, false, 0, 0}};
  for (const auto& c : cases) {
    out(0x1f1, 3);
    out(0x1f2, c.count);
    command(kSetFeatures);
    EXPECT_EQ((in(0x1f7) & kErr) == 0, c.ok) << hex(c.count);
    if (!c.ok) continue;
    command(kIdentifyPacket);
    const auto d = read_block(512);
    EXPECT_EQ(load_le<uint16_t>(&d[126]), c.w63) << hex(c.count);
    EXPECT_EQ(load_le<uint16_t>(&d[176]), c.w88) << hex(c.count);
  }
}

TEST_F(Channel, OtherCommands) {
  plug();
  for (uint8_t op : {kIdleImmediate, kStandbyImmediate, kSleep, kCheckPowerMode}) {
    command(op);
    EXPECT_EQ(irqs.now[0], 1);
    EXPECT_EQ(in(0x1f7), kReady) << hex(op);
  }
  EXPECT_EQ(in(0x1f2), 0xff) << "power mode: active";
  for (int op : {0x00, 0x20, 0x25, 0x30, 0x91, 0xc6, 0xc8, 0xca, 0xe7, 0xf8}) {
    command(static_cast<uint8_t>(op));
    EXPECT_EQ(in(0x1f7), kFailed) << hex(static_cast<unsigned>(op));
    EXPECT_EQ(in(0x1f1), kAbort);
  }
}

TEST_F(Channel, SoftwareResetHoldsBusyThenSigns) {
  IdeCd& cd = plug();
  cd.atapi().tray.guest_set_locked(true);
  cd.atapi().sense = {SenseKey::kIllegalRequest, asc::kInvalidField};
  command(kIdentifyPacket);
  out(0x3f6, kSoftReset);
  EXPECT_EQ(in(0x3f6), kBsy);
  EXPECT_EQ(irqs.now[0], 0);
  command(kIdentifyPacket);
  EXPECT_EQ(in(0x3f6), kBsy) << "no command is taken in reset";
  out(0x3f6, 0);
  EXPECT_EQ(in(0x3f6), 0x00);
  EXPECT_EQ(signature(), "010114eb");
  EXPECT_FALSE(cd.is_medium_locked());
  EXPECT_EQ(request_sense(), 0u);
}

TEST_F(Channel, DeviceResetWorksInTheMiddleOfData) {
  plug();
  command(kIdentifyPacket);
  EXPECT_EQ(in(0x3f6), kReady | kDrq);
  command(kDeviceReset);
  EXPECT_EQ(in(0x3f6), 0x00);
  EXPECT_EQ(signature(), "010114eb");
}

TEST_F(Channel, DiagnosticSelectsUnitZeroAndInterrupts) {
  plug();
  plug(0, R"({"unit": 1})", "b");
  out(0x1f6, 0xb0);
  command(kExecuteDiagnostic);
  EXPECT_EQ(in(0x1f6), 0xa0);
  EXPECT_EQ(irqs.now[0], 1);
  EXPECT_EQ(in(0x1f1), 1);
  EXPECT_EQ(signature(), "010114eb");
}

TEST_F(Channel, InterruptsWaitWhileDisabled) {
  plug();
  out(0x3f6, kNoInterrupt);
  command(kIdentifyPacket);
  EXPECT_EQ(irqs.now[0], 0);
  out(0x3f6, 0);
  EXPECT_EQ(irqs.now[0], 1);
  in(0x3f6);
  EXPECT_EQ(irqs.now[0], 1) << "the alternate status leaves it";
  in(0x1f7);
  EXPECT_EQ(irqs.now[0], 0);
}

TEST_F(Channel, RegistersStandStillDuringData) {
  plug();
  out(0x1f2, 0x11);
  command(kIdentifyPacket);
  out(0x1f2, 0x22);
  command(kIdentify);
  EXPECT_EQ(in(0x1f2), 0x11);
  EXPECT_EQ(in(0x3f6), kReady | kDrq) << "a command in the middle of data is not taken";
}

TEST_F(Channel, HighOrderBitShowsEarlierContent) {
  plug();
  out(0x1f3, 0xaa);
  out(0x1f3, 0xbb);
  EXPECT_EQ(in(0x1f3), 0xbb);
  out(0x3f6, kHighOrder);
  EXPECT_EQ(in(0x1f3), 0xaa);
  out(0x1f4, 0);
  EXPECT_EQ(in(0x1f3), 0xbb) << "a write ends it";
}

TEST_F(Channel, DataWithoutARequestIsHarmless) {
  plug();
  EXPECT_EQ(io_space().load(0x1f0, 2), 0u);
  io_space().store(0x1f0, 0xffff, 2);
  io_space().store(0x1f0, 0xffffffff, 4);
  EXPECT_EQ(in(0x3f6), 0);
}

TEST_F(Channel, WideAndNarrowDataAccesses) {
  plug();
  command(kIdentifyPacket);
  EXPECT_EQ(io_space().load(0x1f0, 4), 0x000085c0u);
  for (int i = 0; i < 127; ++i) io_space().load(0x1f0, 4);
  EXPECT_EQ(in(0x3f6), kReady);
}

TEST_F(Channel, UnitsAreGivenOutAndRefusedAsUsersKnowIt) {
  plug();
  EXPECT_EQ(plug(0, "{}", "b").unit(), 1u);
  EXPECT_EQ(try_plug(0, "{}").error().message(), "IDE unit 1 is in use");
  EXPECT_EQ(try_plug(0, R"({"unit": 0})").error().message(), "IDE unit 0 is in use");
  EXPECT_EQ(try_plug(1, R"({"unit": 2})").error().message(),
            "Can't create IDE unit 2, bus supports only 2 units");
  EXPECT_TRUE(ide->bus(1).devices().empty());
}

TEST_F(Channel, PropertiesAreCheckedAsUsersKnowIt) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"drive": "nope"})", "Property 'ide-cd.drive' can't find value 'nope'"},
      {R"({"logical_block_size": 3})",
       "Property .logical_block_size doesn't take value 3 (minimum: 512, maximum: 2097152)"},
      {R"({"logical_block_size": 4096})", "logical_block_size > physical_block_size not supported"},
      {R"({"min_io_size": 7})", "min_io_size must be a multiple of logical_block_size"},
      {R"({"opt_io_size": 7})", "opt_io_size must be a multiple of logical_block_size"},
      {R"({"discard_granularity": 7})", "discard_granularity must be a multiple of logical_block_size"},
      {R"({"discard_granularity": 4096})", "discard_granularity must be 512 for ide"},
  };
  for (const auto& [properties, message] : cases) {
    auto r = try_plug(0, properties);
    ASSERT_FALSE(r) << properties;
    EXPECT_EQ(r.error().message(), message);
  }
}

TEST_F(Channel, S0_2_SerialAndFirmwareNameFollowThePlace) {
  IdeCd& cd = plug(1, "{}", "ide0-1-0");
  EXPECT_EQ(cd.get_property("serial")->as_string(), "QM00003");
  EXPECT_EQ(cd.fw_name(), "drive@1/disk@0");
  EXPECT_EQ(ide->fw_name(), "ide@1,1");
  EXPECT_EQ(cd.bus()->bus_name(), "ide.1");
}

TEST_F(Channel, FunctionIdentifiesItself) {
  EXPECT_EQ(ide->config_read(0, 4), 0x70108086u);
  EXPECT_EQ(ide->config_read(8, 4), 0x01018000u);
  ide->config_write(0x40, 0xffffffff, 4);
  EXPECT_EQ(ide->config_read(0x40, 4), 0xffffffffu);
  ide->reset();
  EXPECT_EQ(ide->config_read(0x40, 4), 0u);
}

}  // namespace
}  // namespace rhea
