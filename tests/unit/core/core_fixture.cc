#include "core_fixture.h"

namespace rhea::test {

constexpr PropertyInfo PlugDevice::kProperties[] = {
    prop<&PlugDevice::flag>("flag"),
    prop<&PlugDevice::byte>("byte"),
    prop<&PlugDevice::half>("half"),
    prop<&PlugDevice::word>("word", "a word"),
    prop<&PlugDevice::quad>("quad"),
    prop<&PlugDevice::number>("number"),
    prop<&PlugDevice::big>("big"),
    prop<&PlugDevice::text>("text"),
    prop<&PlugDevice::colour>("colour"),
    prop<&PlugDevice::choice>("choice"),
    prop_size<&PlugDevice::bytes>("bytes"),
    {.name = "free",
     .type = "uint32",
     .get = [](const Object& o) -> Json { return uint64_t{static_cast<const PlugDevice&>(o).free}; },
     .set = [](Object& o, std::string_view name, const Json& value, ValueForm form) -> Result<> {
       static_cast<PlugDevice&>(o).free =
           static_cast<uint32_t>(TRY(property_uint(name, value, form, UINT32_MAX)));
       return {};
     },
     .at_run_time = true},
};
constexpr TypeInfo PlugDevice::kType{
    .name = "plug-device",
    .parent = &Device::kType,
    .create = []() -> std::shared_ptr<Object> { return std::make_shared<PlugDevice>(); },
    .properties = PlugDevice::kProperties,
    .description = "A device for tests",
    .user_creatable = true};
constexpr TypeInfo PlugHub::kType{
    .name = "plug-hub", .parent = &Device::kSysBusType, .create = []() -> std::shared_ptr<Object> {
      return std::make_shared<PlugHub>();
    }};
constexpr TypeInfo PlugBus::kType{.name = "plug-bus", .parent = &Bus::kType};

CoreTest::CoreTest() {
  TypeRegistry::instance().add({&PlugDevice::kType, &PlugHub::kType, &PlugBus::kType});
  TypeRegistry::instance().add_alias("plug", PlugDevice::kType);
  PlugDevice::may_hotplug = true;
  PlugDevice::destroyed = 0;
  PlugDevice::before_prepared = nullptr;
}

CoreTest::~CoreTest() {
  while (!qom_root().children().empty()) qom_root().children().back()->unparent();
}

}  // namespace rhea::test
