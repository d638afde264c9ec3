#include "target/i386/kvm_devices.h"

#include <gtest/gtest.h>

#include "qom/object.h"

namespace rhea {
namespace {

class KvmDevices : public testing::Test {
 protected:
  void SetUp() override {
    testing::internal::CaptureStderr();
    auto made = create_accelerator(parse_accel_list("kvm"));
    std::string said = testing::internal::GetCapturedStderr();
    if (!made) GTEST_SKIP() << "no usable KVM here: " << said;
    accel = std::move(*made);
    ASSERT_TRUE(accel->init({}));
    ASSERT_TRUE(accel->create_irqchip(true));
    ASSERT_TRUE(accel->reset());
    ASSERT_TRUE(create_kernel_devices(*accel, parent));
  }
  void TearDown() override {
    for (const auto& device : std::vector(parent.children())) device->unparent();
  }
  Device& device(size_t i) { return static_cast<Device&>(*parent.children()[i]); }
  static std::vector<uint8_t> save(Device& d) {
    StateWriter out;
    vmstate_save(*d.vmstate(), d.vmstate_object(), out);
    return out.buffer();
  }
  static Result<> load(Device& d, std::span<const uint8_t> bytes) {
    StateReader in(bytes);
    return vmstate_load(*d.vmstate(), d.vmstate_object(), in, d.vmstate()->version);
  }
  std::unique_ptr<Accelerator> accel;
  Container parent;
};

TEST_F(KvmDevices, StatesTravel) {
  KernelIrqchip& chip = *accel->irqchip();
  KernelPicState pic = chip.get_pic(true).value();
  pic.irq_base = 0x70;
  pic.imr = 0x8e;
  ASSERT_TRUE(chip.set_pic(true, pic));
  KernelIoapicState ioapic = chip.get_ioapic().value();
  ioapic.redirection[4] = 0x1'0000'0031;
  ASSERT_TRUE(chip.set_ioapic(ioapic));
  KernelPitState pit = chip.get_pit().value();
  pit.channels[2].count = 1000;
  pit.channels[2].mode = 3;
  ASSERT_TRUE(chip.set_pit(pit));
  std::vector<std::vector<uint8_t>> streams;
  for (size_t i = 0; i < parent.children().size(); ++i) streams.push_back(save(device(i)));
  ASSERT_TRUE(accel->reset());
  for (size_t i = 0; i < streams.size(); ++i) {
    Result<> loaded = load(device(i), streams[i]);
    ASSERT_TRUE(loaded) << device(i).type().name << ": " << loaded.error().message();
  }
  EXPECT_EQ(chip.get_pic(true).value(), pic);
  EXPECT_EQ(chip.get_ioapic()->redirection, ioapic.redirection);
  EXPECT_EQ(chip.get_pit()->channels[2].count, 1000u);
}

TEST_F(KvmDevices, ForgedStreamsAreRefusedOrHarmless) {
  for (size_t i = 0; i < parent.children().size(); ++i) {
    std::vector<uint8_t> stream = save(device(i));
    for (size_t cut = 0; cut < stream.size(); ++cut)
      EXPECT_FALSE(load(device(i), std::span(stream).first(cut)));
    for (size_t at = 0; at < stream.size(); ++at) {
      std::vector<uint8_t> forged = stream;
      forged[at] = 0xff;
      std::ignore = load(device(i), forged);  // must not crash
    }
  }
}

}  // namespace
}  // namespace rhea
