#include "target/i386/x86_cpu.h"

#include <gtest/gtest.h>

#include "qapi/qapi_commands_machine.h"
#include "qom/globals.h"
#include "qom/object.h"

namespace rhea {
namespace {

class X86CpuTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    register_x86_cpu_types();
    testing::internal::CaptureStderr();
    auto made = create_accelerator(parse_accel_list(GetParam()));
    std::string said = testing::internal::GetCapturedStderr();
    if (!made) GTEST_SKIP() << "no usable " << GetParam() << " here: " << said;
    accel = std::move(*made);
    ASSERT_TRUE(accel->init({}));
    if (!accel->wants_irqchip()) return;
    ASSERT_TRUE(accel->create_irqchip(false));
  }
  void TearDown() override {
    for (const auto& cpu : std::vector(parent.children())) cpu->unparent();
    clear_global_properties();
    X86Cpu::set_overrides(nullptr, {}, {});
  }
  std::string create(std::string_view option, unsigned cpus = 1) {
    SmpTopology smp{.cpus = cpus, .max_cpus = cpus, .sockets = 1, .dies = 1, .cores = cpus, .threads = 1};
    testing::internal::CaptureStderr();
    clear_global_properties();
    Result<> made = make(option, smp);
    said = testing::internal::GetCapturedStderr();
    return made ? "" : made.error().message();
  }
  Result<> make(std::string_view option, const SmpTopology& smp) {
    const X86CpuModel* model = TRY(apply_cpu_option(option));
    return create_cpus(*accel, smp, *model, parent);
  }
  X86Cpu& cpu(size_t i = 0) { return static_cast<X86Cpu&>(*parent.children()[i]); }
  bool on(const char* feature) { return cpu().get_property(feature).value().as_bool(); }

  std::unique_ptr<Accelerator> accel;
  Container parent;
  std::string said;
};

using OnKvm = X86CpuTest;
INSTANTIATE_TEST_SUITE_P(Kvm, OnKvm, testing::Values("kvm"));
using OnQtest = X86CpuTest;
INSTANTIATE_TEST_SUITE_P(Qtest, OnQtest, testing::Values("qtest"));

TEST_P(OnQtest, FeaturesAreProperties) {
  EXPECT_EQ(create("qemu64,+avx,lahf-lm=off,vendor=GenuineIntel,family=6", 2), "");
  EXPECT_STREQ(cpu().type().name, "qemu64-x86_64-cpu");
  EXPECT_EQ(cpu(1).name(), "device[1]");
  EXPECT_TRUE(on("avx"));
  EXPECT_FALSE(on("lahf-lm"));
  EXPECT_TRUE(on("svm"));
  EXPECT_EQ(cpu().get_property("vendor").value().as_string(), "GenuineIntel");
  EXPECT_EQ(cpu(1).get_property("apic-id").value().as_int(), 1);
  EXPECT_EQ(cpu().get_property("level").value().as_int(), 0xd);
  EXPECT_EQ(find_cpuid(cpu().vcpu()->cpuid(), 0)->ebx, 0x756e6547u);
  EXPECT_EQ(X86Cpu::all().size(), 2u);
  EXPECT_FALSE(cpu().set_property("avx", false));
}

TEST_P(OnQtest, ErrorsNameWhatIsWrong) {
  EXPECT_EQ(create("qemu64,nosuch=1"),
            "can't apply global qemu64-x86_64-cpu.nosuch=1: Property 'qemu64-x86_64-cpu.nosuch' not found");
  EXPECT_EQ(create("qemu64,+nosuch"), "Property 'qemu64-x86_64-cpu.nosuch' not found");
  EXPECT_EQ(create("qemu64,vendor=Me"),
            "can't apply global qemu64-x86_64-cpu.vendor=Me: Property '.vendor' doesn't take value 'Me'");
  EXPECT_EQ(
      create("qemu64,family=300"),
      "can't apply global qemu64-x86_64-cpu.family=300: Property .family doesn't take value 300 (minimum: 0, "
      "maximum: 270)");
  EXPECT_EQ(create("kvm32,phys-bits=36"), "phys-bits is not user-configurable in 32 bit");
  EXPECT_EQ(create("host"), "CPU model 'host' requires KVM");
  EXPECT_EQ(create("qemu64,phys-bits=99"), "phys-bits should be between 32 and 52  (but is 99)");
  EXPECT_NE(create("qemu64,sse=maybe"), "");
  EXPECT_TRUE(X86Cpu::all().empty());
}

TEST_P(OnQtest, LevelsFollowTheFeatures) {
  struct Row {
    const char* option;
    uint32_t level, xlevel, xlevel2, func7;
  };
  constexpr Row kRows[] = {{"486", 1, 0, 0, 0},
                           {"486,+arat", 6, 0, 0, 0},
                           {"486,+avx512-bf16", 7, 0, 0, 1},
                           {"486,+spec-ctrl", 1, 0, 0, 0},
                           {"486,+intel-pt", 0x14, 0, 0, 0},
                           {"486,+invtsc,+xstore", 1, 0x80000007, 0xc0000001, 0},
                           {"486,+svm,+npt", 1, 0x8000000a, 0, 0},
                           {"486,level=0,xlevel=0x80000002,+sha-ni,+nx", 0, 0x80000002, 0, 0},
                           {"SandyBridge,+xsaveopt,+invpcid", 0xd, 0x80000008, 0, 0},
                           {"qemu64,full-cpuid-auto-level=off,-svm,+invtsc,+sha-ni", 0xd, 0x8000000a, 0, 0},
                           {"486,full-cpuid-auto-level=off,+invtsc,+svm", 1, 0, 0, 0}};
  for (const Row& row : kRows) {
    ASSERT_EQ(create(row.option), "") << row.option;
    EXPECT_EQ(cpu().level, row.level) << row.option;
    EXPECT_EQ(cpu().xlevel, row.xlevel) << row.option;
    EXPECT_EQ(cpu().xlevel2, row.xlevel2) << row.option;
    EXPECT_EQ(cpu().level_func7, row.func7) << row.option;
    cpu().unparent();
  }
}

TEST_P(OnQtest, WhatLacksItsBaseGoes) {
  ASSERT_EQ(create("qemu64,-svm,+npt,+vmx-ept,+rdctl-no"), "");
  EXPECT_NE(said.find("warning: This feature depends on other features that were not requested: "
                      "CPUID.8000000AH:EDX.npt [bit 0]\n"),
            std::string::npos)
      << said;
  EXPECT_NE(said.find(": MSR(48BH).vmx-ept [bit 1]\n"), std::string::npos) << said;
  EXPECT_NE(said.find(": MSR(10AH).rdctl-no [bit 0]\n"), std::string::npos) << said;
  EXPECT_FALSE(on("npt"));
}

TEST_P(OnQtest, FormsOfOneFeatureHaveAnOrder) {
  ASSERT_EQ(create("pentium,-fpu,+fpu,-mce,mce=on,+cx8,-cx8,+aes,aes=off"), "");
  EXPECT_NE(said.find("warning: Ambiguous CPU model string. Don't mix both \"-mce\" and \"mce=on\"\n"),
            std::string::npos)
      << said;
  EXPECT_NE(said.find("Don't mix both \"+aes\" and \"aes=off\"\n"), std::string::npos) << said;
  EXPECT_FALSE(on("fpu"));
  EXPECT_FALSE(on("mce"));
  EXPECT_FALSE(on("cx8"));
  EXPECT_TRUE(on("aes"));
}

TEST_P(OnQtest, EveryModelAnswersEveryProperty) {
  for (const X86CpuModel& model : cpu_models()) {
    if (model.kind == CpuModelKind::kHost) continue;
    ASSERT_EQ(create(model.name), "") << model.name;
    for (const PropertyListing& p : cpu().list_properties())
      EXPECT_TRUE(cpu().get_property(p.name)) << p.name;
    cpu().unparent();
  }
}

TEST_P(OnKvm, EveryModelIsTakenByTheKernel) {
  unsigned index = 0;
  for (const X86CpuModel& model : cpu_models()) {
    if (model.alias_of.empty() && model.versioned) continue;  // seen under its plain name
    X86Cpu made(model);
    made.attach(*accel, index++, {});
    testing::internal::CaptureStderr();
    Result<> realized = made.realize();
    std::string warned = testing::internal::GetCapturedStderr();
    EXPECT_TRUE(realized) << model.name << ": " << realized.error().message();
    if (model.all_features()) {
      EXPECT_EQ(warned, "") << model.name;
    }
    if (model.kind == CpuModelKind::kHost) {
      EXPECT_FALSE(made.model_id.empty());
      EXPECT_TRUE(made.feature({FeatureWord::k1Ecx, 31}));
    }
  }
}

TEST_P(OnKvm, MissingFeaturesAreNamedOnce) {
  EXPECT_EQ(create("qemu64,+3dnow", 2), "");
  EXPECT_NE(
      said.find("warning: host doesn't support requested feature: CPUID.80000001H:EDX.3dnow [bit 31]\n"),
      std::string::npos)
      << said;
  EXPECT_EQ(said.find("3dnow"), said.rfind("3dnow"));
  EXPECT_FALSE(on("3dnow"));
  // The host may lack more.
  EXPECT_NE(cpu().get_property("unavailable-features").value().dump().find("\"3dnow\""), std::string::npos);
  EXPECT_TRUE(on("kvmclock"));
  EXPECT_NE(find_cpuid(cpu().vcpu()->cpuid(), 0x40000000), nullptr);
}

TEST_P(OnKvm, EnforceRefuses) {
  EXPECT_EQ(create("qemu64,+3dnow,enforce=on"), "Host doesn't support requested features");
}

TEST_P(OnKvm, KvmOffHidesTheLeaves) {
  EXPECT_EQ(create("max,kvm=off,-hypervisor,-kvmclock"), "");
  EXPECT_EQ(find_cpuid(cpu().vcpu()->cpuid(), 0x40000000), nullptr);
  EXPECT_EQ(find_cpuid(cpu().vcpu()->cpuid(), 1)->ecx >> 31, 0u);
}

TEST_P(OnKvm, TheStateTravels) {
  ASSERT_EQ(create("qemu64"), "");
  X86State state = cpu().vcpu()->get_state().value();
  state.gpr[kRbx] = 0x1234;
  ASSERT_TRUE(cpu().vcpu()->set_state(state));
  StateWriter out;
  vmstate_save(*cpu().vmstate(), cpu().vmstate_object(), out);
  state.gpr[kRbx] = 0;
  ASSERT_TRUE(cpu().vcpu()->set_state(state));
  StateReader in(out.buffer());
  Result<> loaded = vmstate_load(*cpu().vmstate(), cpu().vmstate_object(), in, cpu().vmstate()->version);
  ASSERT_TRUE(loaded) << loaded.error().message();
  EXPECT_EQ(cpu().vcpu()->get_state()->gpr[kRbx], 0x1234u);
}

}  // namespace
}  // namespace rhea
