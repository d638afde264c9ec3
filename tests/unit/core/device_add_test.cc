#include "hw/core/device_add.h"

#include "block/graph/block_graph.h"
#include "chardev/chardev_set.h"
#include "core_fixture.h"

namespace rhea::test {
namespace {

class DeviceAdd : public CoreTest {
 protected:
  DeviceAdd() : loop(std::move(*AioContext::create("test"))) {
    loop->make_current();
    graph = std::make_unique<BlockGraph>(*loop);
    chardevs = std::make_unique<ChardevSet>(*loop);
    context = std::make_unique<DeviceContext>(*loop, clock, *graph, *chardevs);
  }
  PlugHub& add_hub(const char* name) {
    auto& hub = machine().add_child(name, std::make_shared<PlugHub>());
    EXPECT_TRUE(hub.realize());
    return hub;
  }
  /// The error, "" for success.
  std::string add(const char* json, bool hotplug = false, ValueForm form = ValueForm::kKeyval) {
    std::string out = "never ended";
    auto options = Json::parse(json);
    EXPECT_TRUE(options) << json;
    co_start<std::shared_ptr<Device>>(co_device_add(*context, std::move(*options), form, hotplug),
                                      [&](Result<std::shared_ptr<Device>> r) { out = message(r); });
    return out;
  }
  Object* peripheral(const char* id) { return qom_root().container("/machine/peripheral").child(id); }

  StepClock clock;
  std::unique_ptr<AioContext> loop;
  std::unique_ptr<BlockGraph> graph;
  std::unique_ptr<ChardevSet> chardevs;
  std::unique_ptr<DeviceContext> context;
};

TEST_F(DeviceAdd, PutsItWhereItsIdSays) {
  auto& hub = add_hub("hub");
  EXPECT_EQ(add(R"({"driver":"plug-device","id":"p0","word":"12","flag":true})"), "");
  auto* d = dynamic_cast<PlugDevice*>(peripheral("p0"));
  ASSERT_NE(d, nullptr);
  EXPECT_EQ(d->word, 12u);
  EXPECT_TRUE(d->flag);
  EXPECT_EQ(d->bus(), &hub.plugs());
  EXPECT_FALSE(d->hotplugged());
  EXPECT_EQ(add(R"({"driver":"plug"})", true), "");
  auto* anonymous = dynamic_cast<PlugDevice*>(qom_root().resolve("/machine/peripheral-anon/device[0]"));
  ASSERT_NE(anonymous, nullptr);
  EXPECT_TRUE(anonymous->hotplugged());
}

TEST_F(DeviceAdd, ChoosesTheFirstBusWithRoom) {
  auto& first = add_hub("first");
  for (const char* id : {"a", "b"})
    ASSERT_EQ(add(str_cat(R"({"driver":"plug","id":")", id, "\"}").c_str()), "");
  EXPECT_EQ(add(R"({"driver":"plug"})"), "Bus 'plug.0' is full");
  auto& second = add_hub("second");
  EXPECT_EQ(add(R"({"driver":"plug","id":"c"})"), "");
  EXPECT_EQ(first.plugs().devices().size(), 2u);
  EXPECT_EQ(second.plugs().devices().size(), 1u);
  EXPECT_EQ(add(R"({"driver":"plug","bus":"/machine/second/plug.0","id":"d"})"), "");
  EXPECT_EQ(add(R"({"driver":"plug","bus":"/machine/second/plug.0","id":"e"})"), "Bus 'plug.0' is full");
}

TEST_F(DeviceAdd, Errors) {
  EXPECT_EQ(add(R"({"driver":"plug-device"})"), "No 'plug' bus found for device 'plug-device'");
  auto& hub = add_hub("hub");
  ASSERT_EQ(add(R"({"driver":"plug-device","id":"used"})"), "");
  const std::pair<const char*, const char*> cases[] = {
      {R"({})", "Parameter 'driver' is missing"},
      {R"({"driver":"nope"})", "'nope' is not a valid device model name"},
      {R"({"driver":5})", "'5' is not a valid device model name"},
      {R"({"driver":null})", "Invalid parameter type for 'driver', expected: string"},
      {R"({"driver":"container"})", "'container' is not a valid device model name"},
      {R"({"driver":"device"})", "Parameter 'driver' expects a non-abstract device type"},
      {R"({"driver":"plug-hub"})", "Parameter 'driver' expects a pluggable device type"},
      {R"({"driver":"plug","id":"1bad"})", "Parameter 'id' expects an identifier"},
      {R"({"driver":"plug","id":""})", "Parameter 'id' expects an identifier"},
      {R"({"driver":"plug","id":"a/b"})", "Parameter 'id' expects an identifier"},
      {R"({"driver":"plug","id":"used"})", "Duplicate device ID 'used'"},
      {R"({"driver":"plug","id":"used","nope":1})", "Duplicate device ID 'used'"},
      {R"({"driver":"plug","bus":"nope"})", "Bus 'nope' not found"},
      {R"({"driver":"plug","bus":""})", "Bus '' not found"},
      {R"({"driver":"plug","bus":"used"})", "Bus 'used' not found"},
      {R"({"driver":"plug","nope":1})", "Property 'plug-device.nope' not found"},
      {R"({"driver":"plug","word":"x"})", "Parameter 'word' expects integer"},
      {R"({"driver":"plug","flag":1})", "Parameter 'flag' expects 'on' or 'off'"},
      {R"({"driver":"plug","text":"unprepared"})", "not prepared"},
      {R"({"driver":"plug","text":"unrealized","id":"x"})", "not realized"},
  };
  for (const auto& [json, error] : cases) EXPECT_EQ(add(json), error) << json;
  EXPECT_EQ(hub.plugs().devices().size(), 1u);
  EXPECT_EQ(peripheral("x"), nullptr);
}

TEST_F(DeviceAdd, HotplugAsksBusThenDeviceBeforeProperties) {
  auto& hub = add_hub("hub");
  PlugDevice::may_hotplug = false;
  EXPECT_EQ(add(R"({"driver":"plug","nope":1})", true), "Device 'plug-device' does not support hotplugging");
  hub.plugs().hotplug = false;
  EXPECT_EQ(add(R"({"driver":"plug","nope":1})", true), "Bus 'plug.0' does not support hotplugging");
  EXPECT_EQ(add(R"({"driver":"plug"})", false), "");
}

TEST_F(DeviceAdd, WhatChangesMeanwhileIsNoticed) {
  add_hub("hub");
  PlugDevice::before_prepared = [&] {
    PlugDevice::before_prepared = nullptr;
    EXPECT_EQ(add(R"({"driver":"plug","id":"same"})"), "");
  };
  EXPECT_EQ(add(R"({"driver":"plug","id":"same"})"), "Duplicate device ID 'same'");
  PlugDevice::before_prepared = [&] { machine().child("hub")->unparent(); };
  EXPECT_EQ(add(R"({"driver":"plug","id":"late"})"), "Bus 'plug.0' not found");
}

TEST_F(DeviceAdd, HelpNamesTypesAndProperties) {
  EXPECT_NE(
      device_help().find("name \"plug-device\", bus plug, alias \"plug\", desc \"A device for tests\"\n"),
      std::string::npos)
      << device_help();
  const auto help = device_type_help("plug");
  ASSERT_TRUE(help);
  EXPECT_NE(help->find("  word=<uint32>          - a word (default: 3)\n"), std::string::npos) << *help;
  EXPECT_EQ(message(device_type_help("nope")), "Device 'nope' not found");
}

}  // namespace
}  // namespace rhea::test
