// What firmware finds in fw_cfg for a configuration.
#include "hw/i386/fw_cfg_setup.h"

#include <gtest/gtest.h>

#include "hw/i386/linuxboot_rom.h"
#include "tests/unit/fw/fake_firmware.h"

namespace rhea {
namespace {

using test::read_le;

FwCfgConfig basic() {
  FwCfgConfig c;
  c.ram_below_4g = c.smbios.ram_below_4g = 0x1000'0000;
  c.acpi = [] {
    AcpiConfig a;
    a.cpus = {{0, true}};
    a.ram_below_4g = 0x1000'0000;
    return a;
  };
  return c;
}

uint64_t number(const FwCfgStore& s, FwCfgKey key) {
  const Bytes* b = s.item(key);
  return b ? read_le(*b, 0, static_cast<unsigned>(b->size())) : ~uint64_t{0};
}

TEST(FwCfgSetup, ListsTheFilesFirmwareLooksFor) {
  FwCfgStore s;
  ASSERT_TRUE(setup_fw_cfg(s, basic()));
  EXPECT_EQ(s.file_names(),
            (std::vector<std::string>{"bootorder", "etc/acpi/rsdp", "etc/acpi/tables", "etc/boot-fail-wait",
                                      "etc/e820", "etc/smbios/smbios-anchor", "etc/smbios/smbios-tables",
                                      "etc/system-states", "etc/table-loader"}));
  EXPECT_EQ(number(s, FwCfgKey::kFeatures), 3u);
  EXPECT_EQ(number(s, FwCfgKey::kRamSize), 0x1000'0000u);
  EXPECT_EQ(*s.file("etc/boot-fail-wait"), Bytes(4, 0xff));
  EXPECT_EQ(*s.file("etc/system-states"), (Bytes{0x80, 0, 0, 0x01, 0x82, 0x80}));
}

TEST(FwCfgSetup, AcpiFilesAreBuiltWhenSelectedAndFitTogether) {
  FwCfgStore s;
  FwCfgConfig c = basic();
  int asked = 0;
  c.acpi = [&asked, inner = c.acpi] {
    asked++;
    return inner();
  };
  ASSERT_TRUE(setup_fw_cfg(s, std::move(c)));
  EXPECT_EQ(asked, 0);
  s.select(0x21);  // the second file by name, etc/acpi/rsdp
  EXPECT_EQ(asked, 1);
  AcpiFiles files{*s.file(kAcpiTablesFile), *s.file(kAcpiRsdpFile), *s.file(kAcpiLoaderFile)};
  test::LinkedTables linked = test::run_linker(files);
  EXPECT_EQ(linked.error, "");
  EXPECT_FALSE(test::walk_tables(linked).contains("error"));
}

TEST(FwCfgSetup, TheDirectoryHoldsRoundedAcpiSizes) {
  FwCfgStore s;
  ASSERT_TRUE(setup_fw_cfg(s, basic()));
  s.select(0x19);
  std::string d;
  for (int i = 0; i < 4 + 3 * 64; i++) d += static_cast<char>(s.read_byte());
  EXPECT_EQ(d.substr(68, 4), std::string("\0\0\0\x14", 4));  // rsdp, behind bootorder
  EXPECT_EQ(d.substr(132, 4), std::string("\0\2\0\0", 4));   // tables
}

TEST(FwCfgSetup, BootOrderPutsTheKernelFirst) {
  FwCfgStore s;
  FwCfgConfig c = basic();
  c.boot.order = {"/pci@i0cf8/ide@1,1/drive@1/disk@0"};
  c.boot.strict = true;
  c.linux_boot = LinuxBoot{.setup_address = 0x10000, .kernel_address = 0x100000, .kernel = {1, 2, 3}};
  ASSERT_TRUE(setup_fw_cfg(s, std::move(c)));
  EXPECT_EQ(std::string(s.file("bootorder")->begin(), s.file("bootorder")->end()),
            std::string("/rom@genroms/linuxboot_dma.bin\n/pci@i0cf8/ide@1,1/drive@1/disk@0\nHALT\0", 70));
  EXPECT_TRUE(s.has_file(kLinuxBootRomFile));
  EXPECT_EQ(number(s, FwCfgKey::kKernelSize), 3u);
  EXPECT_EQ(number(s, FwCfgKey::kSetupAddress), 0x10000u);
}

TEST(FwCfgSetup, OptionalFilesAppearWhenAsked) {
  FwCfgStore s;
  FwCfgConfig c = basic();
  c.graphics = false;
  c.serial_console_port = 0x3f8;
  c.boot.splash_time_ms = 500;
  c.msr_feature_control = 5;
  c.user_files = {{"opt/com.example", {'x'}}};
  ASSERT_TRUE(setup_fw_cfg(s, std::move(c)));
  EXPECT_EQ(*s.file("etc/sercon-port"), (Bytes{0xf8, 0x03}));
  EXPECT_EQ(*s.file("etc/boot-menu-wait"), (Bytes{0xf4, 0x01}));
  EXPECT_EQ(s.file("etc/msr_feature_control")->size(), 8u);
  EXPECT_EQ(number(s, FwCfgKey::kNoGraphic), 1u);
  EXPECT_TRUE(s.has_file("opt/com.example"));
}

TEST(FwCfgSetup, AUserFileCannotReplaceOurs) {
  FwCfgStore s;
  FwCfgConfig c = basic();
  c.user_files = {{"etc/e820", {}}};
  EXPECT_EQ(setup_fw_cfg(s, std::move(c)).error().message(), "duplicate fw_cfg file name: etc/e820");
}

}  // namespace
}  // namespace rhea
