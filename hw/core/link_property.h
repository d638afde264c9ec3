// A property that links to an object made before: its id, or its path.
#pragma once

#include "hw/core/device.h"

namespace rhea {

/// A property of `D` by which `(device.*kSet)(object)` gets a `T`; errors read "Device 'x' not found". `type`
/// is "link<T's type>".
template <class D, class T, T* (D::*kGet)() const, void (D::*kSet)(std::shared_ptr<T>)>
constexpr PropertyInfo link_property(const char* name, const char* type) {
  return {.name = name,
          .type = type,
          .get = [](const Object& o) -> Json {
            const T* const target = (static_cast<const D&>(o).*kGet)();
            return target != nullptr ? target->path() : std::string();
          },
          .set = [](Object& o, std::string_view n, const Json& value, ValueForm form) -> Result<> {
            const std::string wanted = TRY(property_str(n, value, form));
            if (wanted.empty()) {
              (static_cast<D&>(o).*kSet)(nullptr);
              return {};
            }
            bool ambiguous = false;
            Object* const found = qom_root().resolve(wanted, &ambiguous);
            if (found == nullptr && ambiguous)
              return fail(EINVAL, "Path '", wanted, "' does not uniquely identify an object");
            if (found == nullptr)
              return fail_class(ErrorClass::kDeviceNotFound, ENODEV, "Device '", wanted, "' not found");
            auto target = std::dynamic_pointer_cast<T>(found->shared_from_this());
            if (target == nullptr)
              return fail(EINVAL, "Invalid parameter type for '", n, "', expected: ", T::kType.name);
            (static_cast<D&>(o).*kSet)(std::move(target));
            return {};
          },
          .has_default = false};
}

}  // namespace rhea
