#include "target/i386/cpu_model.h"

#include <gtest/gtest.h>

#include <sstream>

#include "target/i386/cpu_model_data.h"
#include "util/str.h"

namespace rhea {
namespace {

TEST(CpuOption, NamesModelAndProperties) {
  CpuOption option =
      parse_cpu_option("qemu64,lahf_lm=off,+sse4_1,-svm,vendor=GenuineIntel,level=4,check").value();
  EXPECT_EQ(option.model->name, "qemu64");
  std::vector<std::pair<std::string, std::string>> want = {
      {"lahf-lm", "off"}, {"vendor", "GenuineIntel"}, {"level", "4"}, {"check", "on"}};
  EXPECT_EQ(option.properties, want);
  EXPECT_EQ(option.plus, std::vector<std::string>{"sse4.1"});
  EXPECT_EQ(option.minus, std::vector<std::string>{"svm"});
  EXPECT_TRUE(option.ambiguous.empty());
}

TEST(CpuOption, UnknownModel) {
  EXPECT_EQ(parse_cpu_option("x,+sse").error().message(), "unable to find CPU model 'x'");
  EXPECT_EQ(parse_cpu_option("").error().message(), "-cpu option cannot be empty");
}

TEST(CpuModels, VersionsBuildOnEachOther) {
  const X86CpuModel* broadwell = find_cpu_model("Broadwell");
  ASSERT_NE(broadwell, nullptr);
  EXPECT_EQ(broadwell->alias_of, "Broadwell-v1");
  EXPECT_EQ(find_cpu_model("Broadwell-noTSX-IBRS")->alias_of, "Broadwell-v4");
  auto has = [](const char* model, const char* feature) {
    const FeatureName* f = find_feature(feature);
    return (find_cpu_model(model)->features()[static_cast<size_t>(f->word)] >> f->bit & 1) != 0;
  };
  EXPECT_TRUE(has("Broadwell", "rtm"));
  EXPECT_FALSE(has("Broadwell-v2", "rtm"));
  EXPECT_TRUE(has("Broadwell-IBRS", "rtm"));
  EXPECT_TRUE(has("Broadwell-IBRS", "spec-ctrl"));
  EXPECT_FALSE(has("Broadwell-v4", "hle"));
  EXPECT_TRUE(has("Broadwell", "aes")) << "from the models before it";
  EXPECT_EQ(find_cpu_model("Icelake-Server-v3")->model, 134u);
  EXPECT_EQ(find_cpu_model("Icelake-Server-v4")->model, 106u);
  EXPECT_EQ(find_cpu_model("Haswell-v2")->stepping, 1u);
  EXPECT_EQ(find_cpu_model("Haswell-v3")->stepping, 4u);
}

/// Every name in the tables is one that is known.
TEST(CpuModels, SpeakOfKnownFeatures) {
  for (const CpuModelData& d : cpu_model_data()) {
    if (d.base != nullptr) {
      EXPECT_NE(find_cpu_model(d.base), nullptr) << d.name;
    }
    std::istringstream words(d.features);
    for (std::string w; words >> w;)
      EXPECT_NE(find_feature(w.starts_with('-') ? w.substr(1) : w), nullptr) << d.name << " " << w;
  }
  for (const CpuVersionData& v : cpu_version_data()) {
    EXPECT_NE(find_cpu_model(v.model), nullptr) << v.model;
    std::istringstream words(v.changes);
    for (std::string w; words >> w;)
      EXPECT_TRUE(w.starts_with("model=") || find_feature(w.starts_with('-') ? w.substr(1) : w) != nullptr)
          << v.model << " " << w;
  }
}

TEST(CpuPlace, FieldsTakeTheBitsTheyNeed) {
  CpuTopology topology{.sockets = 2, .dies = 1, .cores = 3, .threads = 2};
  std::vector<uint32_t> ids;
  for (unsigned i = 0; i < 12; ++i) ids.push_back(cpu_place(topology, i).apic_id);
  EXPECT_EQ(ids, (std::vector<uint32_t>{0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13}));
  CpuPlace last = cpu_place(topology, 11);
  EXPECT_EQ(last.socket, 1u);
  EXPECT_EQ(last.core, 2u);
  EXPECT_EQ(last.thread, 1u);
}

CpuIdentity plain() {
  CpuIdentity id;
  id.vendor = "AuthenticAMD";
  id.model_id = "A name that is longer than forty-eight letters, far longer";
  id.family = 0x19;
  id.model = 0x21;
  id.stepping = 2;
  id.level = 0xd;
  id.xlevel = 0x8000001e;
  return id;
}

TEST(CpuidTable, IdentityFieldsGoWhereTheyBelong) {
  CpuidTable table = build_cpuid(plain());
  const CpuidLeaf* zero = find_cpuid(table, 0);
  EXPECT_EQ(zero->eax, 0xdu);
  EXPECT_EQ(zero->ebx, 0x68747541u);
  EXPECT_EQ(zero->edx, 0x69746e65u);
  EXPECT_EQ(zero->ecx, 0x444d4163u);
  EXPECT_EQ(find_cpuid(table, 1)->eax, 0x00a20f12u);
  EXPECT_EQ(find_cpuid(table, 0x80000002)->eax & 0xffff, uint32_t{'A' | ' ' << 8});
  EXPECT_EQ(find_cpuid(table, 0x40000000), nullptr);
  for (size_t i = 0; i < table.size(); ++i)
    for (size_t j = 0; j < i; ++j)
      EXPECT_FALSE(table[i].function == table[j].function && table[i].index == table[j].index)
          << hex(table[i].function);
}

TEST(CpuidTable, TopologyOfTwoByFour) {
  CpuIdentity id = plain();
  id.topology = {.sockets = 2, .dies = 1, .cores = 4, .threads = 2};
  id.place = cpu_place(id.topology, 9);
  CpuidTable table = build_cpuid(id);
  EXPECT_EQ(find_cpuid(table, 1)->ebx >> 24, 9u);
  EXPECT_EQ(find_cpuid(table, 1)->ebx >> 16 & 255, 8u);
  EXPECT_NE(find_cpuid(table, 1)->edx & 1u << 28, 0u);
  EXPECT_EQ(find_cpuid(table, 0xb, 0)->eax, 1u);
  EXPECT_EQ(find_cpuid(table, 0xb, 1)->eax, 3u);
  EXPECT_EQ(find_cpuid(table, 0xb, 1)->ebx, 8u);
  EXPECT_EQ(find_cpuid(table, 0xb, 1)->edx, 9u);
}

TEST(CpuidTable, LevelsCutTheTable) {
  CpuIdentity id = plain();
  id.level = 1;
  id.xlevel = 0;
  CpuidTable table = build_cpuid(id);
  EXPECT_EQ(table.size(), 2u);
}

TEST(Features, HaveOneNameEachAndTexts) {
  EXPECT_EQ(feature_text(FeatureWord::k80000001Ecx, 2), "CPUID.80000001H:ECX.svm [bit 2]");
  EXPECT_EQ(feature_text(FeatureWord::k1Ecx, 13), "CPUID.01H:ECX.cx16 [bit 13]");
  EXPECT_EQ(canonical_feature_name("sse4_2"), "sse4.2");
  EXPECT_NE(cpu_models_help().find("x86 qemu64"), std::string::npos);
}

}  // namespace
}  // namespace rhea
