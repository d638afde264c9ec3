#include "core_fixture.h"

namespace rhea::test {
namespace {

class Devices : public CoreTest {
 protected:
  Devices() : hub(machine().add_child("hub", std::make_shared<PlugHub>())) { EXPECT_TRUE(hub.realize()); }
  std::shared_ptr<PlugDevice> made(const char* text = "") {
    auto d = std::make_shared<PlugDevice>();
    d->text = text;
    return d;
  }
  PlugHub& hub;
};

TEST_F(Devices, AddPlugsNamesAndRealizes) {
  auto d = made();
  ASSERT_EQ(message(add_device(d, &hub.plugs(), machine(), "d")), "");
  EXPECT_EQ(d->log, "realize ");
  EXPECT_EQ(d->path(), "/machine/d");
  EXPECT_EQ(d->bus(), &hub.plugs());
  EXPECT_EQ(d->get_property("parent_bus")->as_string(), "/machine/hub/plug.0");
  EXPECT_EQ(d->display_name(), "/machine/d");
  remove_device(*d);
  EXPECT_EQ(d->log, "realize unrealize ");
  EXPECT_EQ(d->bus(), nullptr);
  EXPECT_EQ(d->parent(), nullptr);
  EXPECT_TRUE(hub.plugs().devices().empty());
}

TEST_F(Devices, FailedRealizeLeavesNothing) {
  auto d = made("unrealized");
  EXPECT_EQ(message(add_device(d, &hub.plugs(), machine(), "d")), "not realized");
  EXPECT_FALSE(d->realized());
  EXPECT_EQ(d->bus(), nullptr);
  EXPECT_EQ(d->parent(), nullptr);
  EXPECT_TRUE(hub.plugs().devices().empty());
  EXPECT_EQ(machine().child("d"), nullptr);
  d.reset();
  EXPECT_EQ(PlugDevice::destroyed, 1);
}

TEST_F(Devices, BusesTellWhatTheyTake) {
  for (const char* name : {"a", "b"})
    ASSERT_EQ(message(add_device(made(), &hub.plugs(), machine(), name)), "");
  EXPECT_EQ(message(add_device(made(), &hub.plugs(), machine(), "c")), "Bus 'plug.0' is full");
  EXPECT_EQ(message(add_device(std::make_shared<PlugHub>(), &hub.plugs(), machine(), "c")),
            "Device 'plug-hub' can't go on plug bus");
  EXPECT_EQ(machine().child("c"), nullptr);
}

TEST_F(Devices, ResetComesInTwoRounds) {
  auto a = made(), b = made(), idle = made();
  ASSERT_TRUE(add_device(a, &hub.plugs(), machine(), "a"));
  ASSERT_TRUE(add_device(b, &hub.plugs(), *a, "b"));
  machine().add_child("idle", std::static_pointer_cast<Object>(idle));
  std::string order;
  for_each_device(machine(), [&](Device& d) { str_append(order, d.name(), " "); });
  EXPECT_EQ(order, "hub a b idle ");
  reset_devices(machine());
  EXPECT_EQ(a->log, "realize reset exit ");
  EXPECT_EQ(b->log, "realize reset exit ");
  EXPECT_EQ(idle->log, "");
}

TEST_F(Devices, AHubTakesItsDevicesAlong) {
  auto d = made();
  ASSERT_TRUE(add_device(d, &hub.plugs(), machine(), "d"));
  remove_device(hub);
  EXPECT_EQ(d->log, "realize unrealize ");
  EXPECT_EQ(machine().child("d"), nullptr);
}

TEST_F(Devices, ADeviceMayDieOnItsBus) {
  auto d = made();
  ASSERT_TRUE(hub.plugs().plug(*d));
  d.reset();
  EXPECT_TRUE(hub.plugs().devices().empty());
}

TEST_F(Devices, ABusMayDieUnderItsDevices) {
  auto d = made();
  auto bus = std::make_shared<PlugBus>("other.0");
  ASSERT_TRUE(bus->plug(*d));
  bus.reset();
  EXPECT_EQ(d->bus(), nullptr);
}

TEST_F(Devices, BusesAreFoundByName) {
  EXPECT_EQ(find_bus(machine(), "plug.0"), &hub.plugs());
  EXPECT_EQ(find_bus(machine(), "plug.1"), nullptr);
}

TEST_F(Devices, MakeDeviceRefusesWhatIsNone) {
  EXPECT_EQ(message(make_device("nope")), "'nope' is not a valid device model name");
  EXPECT_EQ(message(make_device("device")), "'device' is not a valid device model name");
  EXPECT_EQ(message(make_device("container")), "'container' is not a valid device model name");
  Json properties = Json::object();
  properties.set("word", Json("12"));
  EXPECT_EQ(message(make_device("plug-device", properties, ValueForm::kKeyval)), "");
  properties.set("nope", Json("12"));
  EXPECT_EQ(message(make_device("plug-device", properties, ValueForm::kKeyval)),
            "Property 'plug-device.nope' not found");
}

TEST_F(Devices, TapsSeeChangesOnly) {
  std::string seen;
  PlugDevice d;
  d.tap_inputs("", [&](int n, int level) { str_append(seen, n, level != 0 ? "+" : "-"); });
  const IrqLine pin = d.irq_in(3);
  pin.raise();
  pin.raise();
  pin.lower();
  d.irq_in(0).pulse();
  EXPECT_EQ(seen, "3+3-0+0-");
  d.tap_inputs("extra", [&](int n, int level) { str_append(seen, " extra", n, level != 0 ? "+" : "-"); });
  d.irq_in(5).pulse();
  EXPECT_EQ(seen, "3+3-0+0- extra1+ extra1-");
}

TEST_F(Devices, QtreeShowsBusesAndProperties) {
  auto d = made("hi");
  d->set_id("p0");
  ASSERT_TRUE(add_device(d, &hub.plugs(), machine(), "d"));
  const std::string text = qtree_text(machine());
  EXPECT_EQ(text.substr(0, text.find("    flag")),
            "bus: main-system-bus\n  type System\n  dev: plug-hub, id \"\"\n    bus: plug.0\n"
            "      type plug-bus\n      dev: plug-device, id \"p0\"\n        gpio-in \"\" 4\n        gpio-in "
            "\"extra\" 2\n    ");
  EXPECT_NE(text.find("        word = 3 (0x3)\n"), std::string::npos) << text;
  EXPECT_NE(text.find("        number = -5 (0xfffffffffffffffb)\n"), std::string::npos) << text;
  EXPECT_NE(text.find("        text = \"hi\"\n"), std::string::npos) << text;
  EXPECT_NE(text.find("        flag = false\n"), std::string::npos) << text;
}

}  // namespace
}  // namespace rhea::test
