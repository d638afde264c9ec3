// What the tests of the device model share: an emptied tree, a plain device type, a clock that is moved by
// hand.
#pragma once

#include <gtest/gtest.h>

#include "hw/core/device.h"
#include "util/aio_context.h"

namespace rhea::test {

/// The message of a failed result; "" for success.
template <class T>
std::string message(const Result<T>& result) {
  return result ? std::string() : result.error().message();
}

/// An interrupt controller that writes down what it is told: "3+ 3- ".
struct IrqLog final : IrqSink {
  std::string log;
  std::array<int, 32> level{};
  void set_irq(int n, int l) override {
    level.at(static_cast<size_t>(n)) = l;
    str_append(log, n, l != 0 ? "+ " : "- ");
  }
  std::string take() { return std::exchange(log, {}); }
};

/// Time that stands where it is put.
class StepClock final : public Clock {
 public:
  int64_t now_ns() const override { return now; }
  int64_t now = 0;
};

enum class Colour : uint8_t { kRed, kGreen };

/// A bus that takes two of them.
class PlugBus final : public Bus {
 public:
  static const TypeInfo kType;
  const TypeInfo& type() const override { return kType; }
  using Bus::Bus;
  const char* bus_kind() const override { return "plug"; }
  bool hotplug_allowed() const override { return hotplug; }
  int max_devices() const override { return 2; }
  bool hotplug = true;
};

/// A device on a PlugBus with one property of each kind, and a log of its life.
class PlugDevice : public Device {
 public:
  static const TypeInfo kType;
  const TypeInfo& type() const override { return kType; }
  const char* bus_type() const override { return "plug"; }
  bool hotpluggable() const override { return may_hotplug; }
  CoResult<> co_prepare(DeviceContext&) override {
    if (before_prepared) before_prepared();
    if (text == "unprepared") co_return fail(EINVAL, "not prepared");
    co_return Result<>();
  }
  int irq_input_count() const override { return 4; }
  std::vector<IrqInputs> irq_inputs() const override {
    return {{.count = 4}, {.name = "extra", .first = 4, .count = 2}};
  }
  void reset() override { log += "reset "; }
  void reset_exit() override { log += "exit "; }
  ~PlugDevice() override { ++destroyed; }

  bool flag = false;
  uint8_t byte = 1;
  uint16_t half = 2;
  uint32_t word = 3;
  uint64_t quad = 4;
  int32_t number = -5;
  int64_t big = -6;
  std::string text;
  Colour colour = Colour::kGreen;
  OnOffAuto choice = OnOffAuto::kAuto;
  uint64_t bytes = 4096;
  uint32_t free = 0;
  std::string log;
  static inline bool may_hotplug = true;
  static inline int destroyed = 0;
  static inline std::function<void()> before_prepared;

 protected:
  Result<> do_realize() override {
    if (text == "unrealized") return fail(EIO, "not realized");
    log += "realize ";
    return {};
  }
  void do_unrealize() override { log += "unrealize "; }

 private:
  static const PropertyInfo kProperties[];
};

/// One that holds a bus, and sits on none.
class PlugHub final : public Device {
 public:
  static const TypeInfo kType;
  const TypeInfo& type() const override { return kType; }
  PlugHub() { add_bus(std::make_shared<PlugBus>("plug.0")); }
  PlugBus& plugs() { return static_cast<PlugBus&>(*child_buses()[0]); }
};

/// Makes the types above known, and leaves an empty /machine.
class CoreTest : public testing::Test {
 protected:
  CoreTest();
  ~CoreTest() override;
  Object& machine() { return qom_root().container("/machine"); }
};

}  // namespace rhea::test

template <>
struct rhea::EnumTraits<rhea::test::Colour> {
  static constexpr const char* kTypeName = "Colour";
  static constexpr EnumName<test::Colour> kNames[] = {{test::Colour::kRed, "red"},
                                                      {test::Colour::kGreen, "green"}};
};
