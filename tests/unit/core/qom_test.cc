#include "core_fixture.h"

namespace rhea::test {
namespace {

using Qom = CoreTest;

TEST_F(Qom, PathsNameTheWayFromTheRoot) {
  auto& a = qom_root().container("/machine/peripheral");
  auto& d = a.add_child("cd0", std::make_shared<PlugDevice>());
  EXPECT_EQ(d.path(), "/machine/peripheral/cd0");
  EXPECT_EQ(qom_root().path(), "/");
  EXPECT_EQ(PlugDevice().path(), "<plug-device>");
  EXPECT_EQ(qom_root().resolve("/machine/peripheral/cd0"), &d);
  EXPECT_EQ(qom_root().resolve("//machine///peripheral/cd0/"), &d);
  EXPECT_EQ(qom_root().resolve("/"), &qom_root());
  EXPECT_EQ(qom_root().resolve("/machine/nope"), nullptr);
  EXPECT_EQ(&qom_root().container("/machine/peripheral"), &a);
}

TEST_F(Qom, PartialPathsMustBeUnique) {
  bool ambiguous = true;
  auto& a = qom_root().container("/machine/a");
  auto& b = qom_root().container("/machine/b");
  auto& one = a.add_child("one", std::make_shared<PlugDevice>());
  a.add_child("both", std::make_shared<PlugDevice>());
  auto& both_b = b.add_child("both", std::make_shared<PlugDevice>());
  EXPECT_EQ(qom_root().resolve("one", &ambiguous), &one);
  EXPECT_FALSE(ambiguous);
  EXPECT_EQ(qom_root().resolve("both", &ambiguous), nullptr);
  EXPECT_TRUE(ambiguous);
  EXPECT_EQ(qom_root().resolve("b/both", &ambiguous), &both_b);
  EXPECT_FALSE(ambiguous);
  EXPECT_EQ(qom_root().resolve("nope", &ambiguous), nullptr);
  EXPECT_FALSE(ambiguous);
  EXPECT_EQ(qom_root().resolve("", &ambiguous), nullptr);
  EXPECT_TRUE(ambiguous);
}

TEST_F(Qom, AnObjectSeenThroughALinkIsNotAmbiguous) {
  auto& a = qom_root().container("/machine/a");
  auto& target = a.add_child("t", std::make_shared<PlugDevice>());
  qom_root().container("/machine/b").add_link("t", "plug-device", [&] {
    return static_cast<Object*>(&target);
  });
  EXPECT_EQ(qom_root().resolve("t"), &target);
  EXPECT_EQ(qom_root().resolve("/machine/b/t"), &target);
  EXPECT_EQ(qom_root().container("/machine/b").get_property("t")->as_string(), "/machine/a/t");
}

TEST_F(Qom, IndexedNamesTakeTheFirstFreePlace) {
  auto& m = machine();
  EXPECT_EQ(m.add_child("device[*]", std::make_shared<PlugDevice>()).name(), "device[0]");
  EXPECT_EQ(m.add_child("device[*]", std::make_shared<PlugDevice>()).name(), "device[1]");
  m.child("device[0]")->unparent();
  EXPECT_EQ(m.add_child("device[*]", std::make_shared<PlugDevice>()).name(), "device[0]");
}

TEST_F(Qom, ChildrenOutliveTheirParentOnlyWhileUsed) {
  auto box = std::make_shared<Container>();
  auto kept = std::make_shared<PlugDevice>();
  box->add_child("kept", std::static_pointer_cast<Object>(kept));
  box->add_child("lost", std::make_shared<PlugDevice>());
  box.reset();
  EXPECT_EQ(PlugDevice::destroyed, 1);
  EXPECT_EQ(kept->parent(), nullptr);
}

struct FormCase {
  const char* property;
  Json typed;
  const char* text;
  const char* shown;  ///< the value read back
};

TEST_F(Qom, BothFormsOfAPropertyMeanTheSame) {
  const FormCase cases[] = {
      {"flag", true, "on", "true"},
      {"byte", int64_t{255}, "255", "255"},
      {"half", int64_t{65535}, "0xffff", "65535"},
      {"word", int64_t{4294967295}, "0xffffffff", "4294967295"},
      {"quad", uint64_t{UINT64_MAX}, "0xffffffffffffffff", "18446744073709551615"},
      {"number", int64_t{-7}, "-7", "-7"},
      {"big", INT64_MIN, "-9223372036854775808", "-9223372036854775808"},
      {"text", Json("a"), "a", "\"a\""},
      {"colour", Json("red"), "red", "\"red\""},
      {"choice", Json("off"), "off", "\"off\""},
      {"bytes", int64_t{67108864}, "64M", "67108864"},
  };
  for (const auto& c : cases) {
    PlugDevice typed, keyval;
    EXPECT_EQ(message(typed.set_property(c.property, c.typed)), "") << c.property;
    EXPECT_EQ(message(keyval.set_property(c.property, Json(c.text), ValueForm::kKeyval)), "") << c.property;
    EXPECT_EQ(typed.get_property(c.property)->dump(), c.shown);
    EXPECT_EQ(keyval.get_property(c.property)->dump(), c.shown);
  }
}

TEST_F(Qom, KeyvalFormTakesJsonScalarsToo) {
  PlugDevice d;
  for (const auto& [name, value] :
       std::initializer_list<std::pair<const char*, Json>>{{"flag", true},
                                                           {"word", int64_t{9}},
                                                           {"text", int64_t{5}},
                                                           {"choice", true},
                                                           {"bytes", int64_t{512}}})
    EXPECT_EQ(message(d.set_property(name, value, ValueForm::kKeyval)), "") << name;
  EXPECT_EQ(d.text, "5");
  EXPECT_EQ(d.choice, OnOffAuto::kOn);
  EXPECT_EQ(d.bytes, 512u);
}

struct ErrorCase {
  const char* property;
  Json value;
  ValueForm form;
  const char* error;
};

TEST_F(Qom, WrongValuesAreToldAsManagersKnowIt) {
  constexpr auto kText = ValueForm::kKeyval, kJson = ValueForm::kTyped;
  const ErrorCase cases[] = {
      {"nope", true, kJson, "Property 'plug-device.nope' not found"},
      {"type", Json("x"), kJson, "Property 'plug-device.type' is not writable"},
      {"realized", true, kJson, "Property 'plug-device.realized' is not writable"},
      {"flag", int64_t{1}, kJson, "Invalid parameter type for 'flag', expected: boolean"},
      {"flag", Json("on"), kJson, "Invalid parameter type for 'flag', expected: boolean"},
      {"flag", Json("maybe"), kText, "Parameter 'flag' expects 'on' or 'off'"},
      {"flag", int64_t{1}, kText, "Parameter 'flag' expects 'on' or 'off'"},
      {"byte", int64_t{256}, kJson, "Parameter 'byte' expects uint8_t"},
      {"half", Json("65536"), kText, "Parameter 'half' expects uint16_t"},
      {"word", Json("a"), kText, "Parameter 'word' expects integer"},
      {"word", Json(""), kText, "Parameter 'word' expects integer"},
      {"word", Json("-1"), kText, "Parameter 'word' expects uint32_t"},
      {"word", int64_t{-1}, kJson, "Parameter 'word' expects uint32_t"},
      {"word", int64_t{1} << 33, kJson, "Parameter 'word' expects uint32_t"},
      {"word", Json("a"), kJson, "Parameter 'word' expects uint64"},
      {"word", 1.5, kJson, "Parameter 'word' expects uint64"},
      {"quad", true, kJson, "Parameter 'quad' expects uint64"},
      {"quad", Json("18446744073709551616"), kText, "Parameter 'quad' expects integer"},
      {"number", int64_t{1} << 40, kJson, "Parameter 'number' expects int32_t"},
      {"number", Json("x"), kText, "Parameter 'number' expects integer"},
      {"big", Json("x"), kJson, "Invalid parameter type for 'big', expected: integer"},
      {"big", uint64_t{UINT64_MAX}, kJson, "Invalid parameter type for 'big', expected: integer"},
      {"text", int64_t{5}, kJson, "Invalid parameter type for 'text', expected: string"},
      {"colour", Json("blue"), kJson, "Parameter 'colour' does not accept value 'blue'"},
      {"choice", Json("maybe"), kText, "Parameter 'choice' does not accept value 'maybe'"},
      {"bytes", Json("x"), kText, "Parameter 'bytes' expects a size value"},
      {"bytes", Json("1M"), kJson, "Parameter 'bytes' expects uint64"},
  };
  for (const auto& c : cases) {
    PlugDevice d;
    EXPECT_EQ(message(d.set_property(c.property, c.value, c.form)), c.error) << c.property << c.value.dump();
  }
  EXPECT_EQ(message(PlugDevice().get_property("nope")), "Property 'plug-device.nope' not found");
}

TEST_F(Qom, RealizedDevicesKeepTheirProperties) {
  PlugDevice d;
  ASSERT_TRUE(d.realize());
  EXPECT_EQ(message(d.set_property("word", int64_t{1})),
            "Attempt to set property 'word' on anonymous device (type 'plug-device') after it was realized");
  d.set_id("p0");
  EXPECT_EQ(message(d.set_property("word", Json("a"))),
            "Attempt to set property 'word' on device 'p0' (type 'plug-device') after it was realized");
  EXPECT_EQ(message(d.set_property("free", int64_t{8})), "");
  EXPECT_EQ(d.free, 8u);
  EXPECT_EQ(d.get_property("realized")->dump(), "true");
  d.unrealize();
  EXPECT_EQ(message(d.set_property("word", int64_t{1})), "");
}

TEST_F(Qom, AliasesFollowTheirTarget) {
  auto target = std::make_shared<PlugDevice>();
  Container box;
  box.add_alias("w", *target, "word");
  EXPECT_EQ(box.get_property("w")->dump(), "3");
  EXPECT_TRUE(box.set_property("w", int64_t{11}));
  EXPECT_EQ(target->word, 11u);
  target.reset();
  EXPECT_TRUE(box.get_property("w")->is_null());
  EXPECT_EQ(message(box.set_property("w", int64_t{1})), "Property 'word' has lost its object");
}

TEST_F(Qom, ListsShowValuesLinksAndChildren) {
  auto& hub = machine().add_child("hub", std::make_shared<PlugHub>());
  std::string text;
  for (const auto& p : hub.list_properties()) str_append(text, p.name, ":", p.type, " ");
  EXPECT_EQ(text,
            "type:string parent_bus:link<bus> realized:bool hotplugged:bool hotpluggable:bool "
            "plug.0:child<plug-bus> ");
}

TEST_F(Qom, TypesKnowTheirAncestors) {
  EXPECT_TRUE(PlugDevice::kType.is_a("device"));
  EXPECT_TRUE(PlugDevice::kType.is_a("object"));
  EXPECT_FALSE(PlugDevice::kType.is_a("bus"));
  EXPECT_TRUE(Device::kType.abstract());
  EXPECT_EQ(TypeRegistry::instance().find("plug-device"), &PlugDevice::kType);
  EXPECT_EQ(TypeRegistry::instance().find("plug"), nullptr);
}

}  // namespace
}  // namespace rhea::test
