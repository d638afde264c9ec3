// The ACPI file set: firmware links it without complaint, the fields hold what the machine has, and
// iasl (package acpica-tools) reads and recompiles every table.
#include "hw/i386/acpi_tables.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tests/unit/fw/fake_firmware.h"

namespace rhea {
namespace {

using test::read_le;

AcpiConfig two_cpus() {
  AcpiConfig c;
  c.cpus = {{0, true}, {1, true}};
  c.ram_below_4g = 0x1000'0000;
  c.serial_ports = {true, true};
  return c;
}

std::map<std::string, Bytes> tables_of(const AcpiConfig& config) {
  test::LinkedTables linked = test::run_linker(build_acpi_files(config));
  EXPECT_EQ(linked.error, "");
  return test::walk_tables(linked);
}

TEST(AcpiTables, FirmwareFindsEveryTable) {
  auto tables = tables_of(two_cpus());
  EXPECT_FALSE(tables.contains("error"));
  for (const char* s : {"FACS", "DSDT", "FACP", "APIC", "WAET", "RSDT"}) EXPECT_TRUE(tables.contains(s)) << s;
  EXPECT_FALSE(tables.contains("HPET"));
}

TEST(AcpiTables, TheLargestMachineFitsOneUnit) {
  AcpiConfig big = two_cpus();
  for (uint32_t i = 2; i < 1024; i++) big.cpus.push_back({i, true});
  AcpiFiles files = build_acpi_files(big);
  EXPECT_LE(files.tables.size(), kAcpiTablesUnit);
  EXPECT_LE(files.loader.size(), kAcpiLoaderUnit);
  EXPECT_EQ(files.rsdp.size(), 20u);
}

TEST(AcpiTables, HeadersNameTheFamiliarMaker) {
  for (auto& [signature, bytes] : tables_of(two_cpus())) {
    if (signature == "FACS") continue;
    EXPECT_EQ(std::string(bytes.begin() + 10, bytes.begin() + 24), "BOCHS BXPC    ") << signature;
  }
}

TEST(AcpiTables, FadtDescribesThePiix4) {
  Bytes f = tables_of(two_cpus())["FACP"];
  ASSERT_EQ(f.size(), 244u);
  EXPECT_EQ(f[8], 3);
  EXPECT_EQ(read_le(f, 46, 2), 9u);       // SCI_INT
  EXPECT_EQ(read_le(f, 48, 4), 0xb2u);    // SMI_CMD
  EXPECT_EQ(read_le(f, 52, 2), 0xf0f1u);  // ACPI_ENABLE, ACPI_DISABLE
  EXPECT_EQ(read_le(f, 56, 4), 0x600u);
  EXPECT_EQ(read_le(f, 64, 4), 0x604u);
  EXPECT_EQ(read_le(f, 76, 4), 0x608u);
  EXPECT_EQ(read_le(f, 80, 4), 0xafe0u);
  EXPECT_EQ(f[92], 4);
  EXPECT_EQ(read_le(f, 120, 8), 0xcf9u);
  EXPECT_EQ(f[128], 0x0f);
  EXPECT_EQ(read_le(f, 140, 8), read_le(f, 40, 4));  // X_DSDT and DSDT agree
  EXPECT_EQ(read_le(f, 152, 8), 0x600u);             // X_PM1a_EVT_BLK
  EXPECT_EQ(read_le(f, 112, 4) & (1u << 4), 0u);     // the power button is a fixed feature
}

TEST(AcpiTables, MadtListsCpusAndOverrides) {
  AcpiConfig c = two_cpus();
  c.cpus.push_back({2, false});
  Bytes m = tables_of(c)["APIC"];
  EXPECT_EQ(read_le(m, 36, 4), kLocalApicBase);
  EXPECT_EQ(read_le(m, 44, 8), 0x0000'0001'0000'0800u);  // CPU 0
  EXPECT_EQ(read_le(m, 52, 8), 0x0000'0001'0101'0800u);  // CPU 1
  EXPECT_EQ(read_le(m, 60, 8), 0x0000'0000'0202'0800u);  // CPU 2, disabled
  EXPECT_EQ(read_le(m, 72, 4), kIoApicBase);
  EXPECT_EQ(read_le(m, 80, 8), 0x0000'0002'0000'0a02u);  // IRQ 0 is GSI 2
}

TEST(AcpiTables, LargeApicIdsUseX2apicEntries) {
  AcpiConfig c = two_cpus();
  c.cpus.push_back({0x1000, true});
  Bytes m = tables_of(c)["APIC"];
  EXPECT_EQ(m[60], 9);
  EXPECT_EQ(read_le(m, 64, 4), 0x1000u);
  EXPECT_EQ(read_le(m, 72, 4), 2u);
}

TEST(AcpiTables, EqualConfigurationsGiveEqualBytes) {
  EXPECT_EQ(build_acpi_files(two_cpus()).tables, build_acpi_files(two_cpus()).tables);
}

// --- iasl --------------------------------------------------------------------------------------

bool have_iasl() {
  return std::system("command -v iasl >/dev/null 2>&1") == 0;
}

std::string run(const std::string& command) {
  std::string out;
  FILE* p = popen((command + " 2>&1").c_str(), "r");
  if (!p) return "popen failed";
  std::array<char, 512> line{};
  while (fgets(line.data(), line.size(), p)) out += line.data();
  int status = pclose(p);
  return out + "\nstatus " + std::to_string(status);
}

Bytes read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return Bytes(std::istreambuf_iterator<char>(in), {});
}

class Iasl : public testing::Test {
 protected:
  void SetUp() override {
    if (!have_iasl()) GTEST_SKIP() << "iasl (package acpica-tools) is not installed";
    std::string pattern = (std::filesystem::temp_directory_path() / "rhea-iasl-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    dir_ = pattern;
  }
  void TearDown() override {
    if (!dir_.empty()) std::filesystem::remove_all(dir_);
  }
  // Disassembles and recompiles one table; the AML must come back byte for byte.
  void round_trip(const std::string& signature, const Bytes& table) {
    std::string base = (dir_ / signature).string();
    std::ofstream(base + ".dat", std::ios::binary)
        .write(reinterpret_cast<const char*>(table.data()), static_cast<long>(table.size()));
    std::string decompiled = run("iasl -d " + base + ".dat");
    EXPECT_NE(decompiled.find("status 0"), std::string::npos) << decompiled;
    EXPECT_EQ(decompiled.find("Error"), std::string::npos) << decompiled;
    EXPECT_EQ(decompiled.find("Warning"), std::string::npos) << decompiled;
    std::string compiled = run("iasl -oa -we -p " + base + "_new " + base + ".dsl");
    EXPECT_NE(compiled.find("status 0"), std::string::npos) << compiled;
    EXPECT_EQ(compiled.find("Error "), std::string::npos) << compiled;
    Bytes again = read_file(base + "_new.aml");
    ASSERT_EQ(again.size(), table.size()) << signature;
    if (signature == "FACS") return;
    EXPECT_TRUE(std::equal(table.begin() + 36, table.end(), again.begin() + 36)) << signature;
  }
  std::filesystem::path dir_;
};

TEST_F(Iasl, EveryTableDisassemblesAndRecompiles) {
  AcpiConfig c = two_cpus();
  c.hpet_id = 0x8086'a201;
  c.s3 = true;
  c.cpu_hotplug_base = 0xaf00;
  c.cpus.push_back({.apic_id = 2, .present = false});
  c.pci_hole64 = AcpiConfig::Range{0x1'0000'0000, 0x1'7fff'ffff};
  for (auto& [signature, bytes] : tables_of(c)) round_trip(signature, bytes);
}

TEST_F(Iasl, SlotsOnTwoBusesDoToo) {
  AcpiConfig c = two_cpus();
  c.pci_hotplug_base = 0xae00;
  c.pci_root.number = 0;
  AcpiPciBus inner;
  inner.number = 1;
  for (int slot = 0; slot < 32; ++slot) {
    c.pci_root.functions.push_back({.devfn = slot << 3, .ejectable = slot > 1 && slot != 5, .behind = {}});
    inner.functions.push_back({.devfn = slot << 3, .ejectable = true, .behind = {}});
  }
  c.pci_root.functions[5].behind.push_back(inner);
  auto tables = tables_of(c);
  round_trip("DSDT", tables["DSDT"]);
  std::ifstream in(dir_ / "DSDT.dsl");
  const std::string text(std::istreambuf_iterator<char>(in), {});
  for (const char* part :
       {"_GPE._E01, 0, NotSerialized)", "Name (BSEL, One)", "^S28.PCNT ()", "PCEJ (^^BSEL, 0x1F)",
        "Name (_SUN, 0x1F)", "PDSM (Arg0, Arg1, Arg2, ^^BSEL, 0x1F)", "Notify (SF8, Arg1)"})
    EXPECT_NE(text.find(part), std::string::npos) << part;
  EXPECT_EQ(text.find("Device (S08)"), text.find("Device (S08)", text.find("Name (BSEL, One)")))
      << "the ISA bridge's slot has a device already";
}

TEST_F(Iasl, MemorySlotsDoToo) {
  AcpiConfig c = two_cpus();
  c.memory_slots = 17;
  c.module_range = AcpiConfig::Range{0x1'0000'0000, 0x5'7fff'ffff};
  c.numa.nodes.push_back({.present = true, .bytes = c.ram_below_4g});
  c.numa.distances = {{10}};
  auto tables = tables_of(c);
  round_trip("DSDT", tables["DSDT"]);
  round_trip("SRAT", tables["SRAT"]);
  std::ifstream in(dir_ / "DSDT.dsl");
  const std::string text(std::istreambuf_iterator<char>(in), {});
  for (const char* part : {"_GPE._E03, 0, NotSerialized)", "Device (M010)", "PNP0C80", "MCRS (0x10)",
                           "Notify (M010, Arg1)", "MEJ0 (0x10)"})
    EXPECT_NE(text.find(part), std::string::npos) << part;
}

TEST_F(Iasl, TheBarestMachineDoesToo) {
  AcpiConfig c;
  c.cpus = {{0, true}};
  c.ram_below_4g = 0xc000'0000;
  c.rtc = c.keyboard = c.fw_cfg = c.s4 = false;
  for (auto& [signature, bytes] : tables_of(c)) round_trip(signature, bytes);
}

}  // namespace
}  // namespace rhea
