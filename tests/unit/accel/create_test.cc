#include <gtest/gtest.h>

#include "accel/accel.h"
#include "util/clock.h"

namespace rhea {
namespace {

std::string said_by(std::vector<AccelRequest> requests, std::string* chosen) {
  testing::internal::CaptureStderr();
  auto made = create_accelerator(requests);
  std::string said = testing::internal::GetCapturedStderr();
  *chosen = made ? std::string((*made)->name()) : made.error().message();
  return said;
}

TEST(CreateAccelerator, FallsBackInOrder) {
  std::string chosen;
  std::string said = said_by(parse_accel_list("xyz:qtest:kvm"), &chosen);
  EXPECT_EQ(chosen, "qtest");
  EXPECT_NE(said.find("invalid accelerator xyz\n"), std::string::npos) << said;
  said_by(parse_accel_list("xyz"), &chosen);
  EXPECT_EQ(chosen, "invalid accelerator xyz");
  said_by({}, &chosen);
  EXPECT_EQ(chosen, "no accelerator found");
}

TEST(CreateAccelerator, IdlesForWhoAsksTcgOfAMachineWithoutProcessors) {
  const auto made = create_accelerator(parse_accel_list("tcg"), false, true);
  ASSERT_TRUE(made);
  EXPECT_EQ((*made)->name(), "none");
  EXPECT_FALSE(create_accelerator(parse_accel_list("tcg"), false, false));
  EXPECT_FALSE(create_accelerator(parse_accel_list("xyz"), false, true));
}

TEST(CreateAccelerator, RefusesUnknownOptions) {
  std::string chosen;
  said_by({{"qtest", Json::object({{"x", "1"}})}, {"qtest", {}}}, &chosen);
  EXPECT_EQ(chosen, "Property 'qtest-accel.x' not found");
  said_by({{"kvm", Json::object({{"kernel-irqchip", "off"}})}}, &chosen);
  EXPECT_EQ(chosen, "kernel-irqchip=off is not supported: the local APIC is the kernel's");
  said_by({{"kvm", Json::object({{"y", "1"}})}}, &chosen);
  EXPECT_EQ(chosen, "Property 'kvm-accel.y' not found");
}

TEST(CreateAccelerator, QtestKeepsStatesAndRunsNothing) {
  std::string chosen;
  auto accel = create_accelerator(parse_accel_list("qtest")).value();
  ASSERT_TRUE(accel->init({}));
  EXPECT_EQ(machine_accelerator(), accel.get());
  Vcpu* vcpu = accel->create_vcpu({.index = 0, .apic_id = 0, .cpuid = {}}).value();
  EXPECT_EQ(vcpu->get_state()->rip, 0xfff0u);
  EXPECT_FALSE(accel->gsi(3));
  EXPECT_TRUE(virtual_clock().manual());
  accel.reset();
  EXPECT_EQ(machine_accelerator(), nullptr);
}

}  // namespace
}  // namespace rhea
