// The object model: types, typed properties, the composition tree.
#pragma once

#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "qapi/qapi_types_common.h"
#include "util/json.h"
#include "util/result.h"
#include "util/value_form.h"

namespace rhea {

class Object;

/// One property of a type. Values pass as Json; `type` is what QMP shows ("bool", "uint32", "str", "link<…>"
/// …).
struct PropertyInfo {
  const char* name;
  const char* type;
  const char* description = nullptr;
  Json (*get)(const Object&) = nullptr;  ///< null: write only
  /// null: read only. The second argument is the property's name, for messages.
  Result<> (*set)(Object&, std::string_view, const Json&, ValueForm) = nullptr;
  bool has_default = true;   ///< a fresh object's value is the default that introspection shows
  bool at_run_time = false;  ///< may be set on a realized device
  /// How "info qtree" shows it, where that is not the value itself.
  std::string (*print)(const Object&) = nullptr;
};

/// Where `-device help` lists a type of device; derived types are listed where their parent is.
enum class DeviceCategory : uint8_t {
  kNone,
  kBridge,
  kUsb,
  kStorage,
  kNetwork,
  kInput,
  kDisplay,
  kSound,
  kMisc,
  kCpu,
  kWatchdog
};

/// A type. Static; types form a tree by `parent`. Registered once with TypeRegistry by the folder that
/// defines it.
struct TypeInfo {
  const char* name;
  const TypeInfo* parent = nullptr;
  std::shared_ptr<Object> (*create)() = nullptr;  ///< null: abstract, or see made_by_owner
  std::span<const PropertyInfo> properties = {};
  const char* description = nullptr;
  bool user_creatable = false;  ///< by -device/device_add or -object/object-add, as its base type says
  std::span<const char* const> interfaces = {};  ///< names listed by qom-list-types "implements"
  DeviceCategory category = DeviceCategory::kNone;
  bool made_by_owner = false;  ///< concrete, though only the code that needs one can make it: no create()

  bool is_a(std::string_view ancestor) const;
  bool abstract() const { return create == nullptr && !made_by_owner; }
  /// Its own, or the nearest ancestor's.
  DeviceCategory device_category() const;
  /// The property `name` of this type or its ancestors; null if none.
  const PropertyInfo* find_property(std::string_view property) const;
};

/// All known types by name. Filled at start-up, read-only afterwards.
class TypeRegistry {
 public:
  static TypeRegistry& instance();
  /// With its ancestors, and the interfaces of all of them, which are abstract types below "interface".
  void add(const TypeInfo& type);
  void add(std::initializer_list<const TypeInfo*> types);
  /// Another name for a type, as -device accepts.
  void add_alias(std::string alias, const TypeInfo& type);
  const TypeInfo* find(std::string_view name) const;
  const std::map<std::string, const TypeInfo*, std::less<>>& all() const { return types_; }
  const std::map<std::string, const TypeInfo*, std::less<>>& aliases() const { return aliases_; }

 private:
  std::map<std::string, const TypeInfo*, std::less<>> types_;
  std::map<std::string, const TypeInfo*, std::less<>> aliases_;
  std::map<std::string, TypeInfo, std::less<>> interfaces_;
};

/// A property that objects of a type have, for introspection and help.
struct TypeProperty {
  std::string name, type, description;
  std::optional<Json> default_value;
};
/// What objects of `type` have, "type" excepted: the properties of the type and its ancestors, and if one can
/// be made, what a new object has besides.
std::vector<TypeProperty> type_properties(const TypeInfo& type);
/// The same without what a user of device_add cannot set ("realized", "parent_bus" …).
std::vector<TypeProperty> device_type_properties(const TypeInfo& type);
/// "NAME options:" and a line for each, sorted, as `-device NAME,help` prints them.
std::string properties_help(std::string_view title, const std::vector<TypeProperty>& properties);

/// What stands at one place of the tree for qom-list: a child, a link or a value.
struct PropertyListing {
  std::string name;
  std::string type;
  std::string description;
};

/// The base of everything with a place in the tree. A parent owns its children; others hold a shared_ptr only
/// while they use one. Machine lock.
class Object : public std::enable_shared_from_this<Object> {
 public:
  static const TypeInfo kType;  ///< "object"
  Object() = default;
  virtual ~Object();
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;

  virtual const TypeInfo& type() const { return kType; }
  Object* parent() const { return parent_; }
  /// The name under which the parent knows it; empty for a root or an orphan.
  const std::string& name() const { return name_; }
  /// "/machine/peripheral/cd0"; an orphan's path is its type's name in angle brackets.
  std::string path() const;

  /// Takes `child` under `name`; a name ending in "[*]" gets the first free index. Returns the child.
  Object& add_child(std::string name, std::shared_ptr<Object> child);
  template <class T>
  T& add_child(std::string child_name, std::shared_ptr<T> child) {
    T& ref = *child;
    add_child(std::move(child_name), std::static_pointer_cast<Object>(std::move(child)));
    return ref;
  }
  /// Lets go of it; it dies when the last user does.
  std::shared_ptr<Object> remove_child(std::string_view name);
  void unparent();
  Object* child(std::string_view name) const;
  const std::vector<std::shared_ptr<Object>>& children() const { return children_; }

  /// A link shown in the tree: `target` gives the object pointed to now, null if none.
  void add_link(std::string name, std::string target_type, std::function<Object*()> target);
  /// A read-only value of this object alone.
  void add_value(std::string name, std::string type, std::function<Json()> get);
  /// A property that stands for another object's.
  void add_alias(std::string name, Object& target, std::string target_property);

  /// Reads a property. Unknown: `Property 'TYPE.NAME' not found`.
  Result<Json> get_property(std::string_view name) const;
  /// Sets a property. Unknown: the same text; read-only: `Property 'TYPE.NAME' is read-only`.
  Result<> set_property(std::string_view name, const Json& value, ValueForm form = ValueForm::kTyped);
  /// Everything qom-list shows: values, links, children.
  std::vector<PropertyListing> list_properties() const;

  /// Called before a property of the type is set; a device refuses most once it is realized.
  virtual Result<> check_settable(const PropertyInfo&) const { return {}; }

  /// Follows one path component: child or link.
  Object* resolve_component(std::string_view component) const;

 private:
  struct Extra {
    std::string name, type;
    std::function<Json()> get;
    std::function<Object*()> link;
    std::function<Result<>(const Json&, ValueForm)> set;
  };
  const Extra* find_extra(std::string_view name) const;
  Object* parent_ = nullptr;
  std::string name_;
  std::vector<std::shared_ptr<Object>> children_;
  std::vector<Extra> extras_;
};

/// The tree: "/" with /machine, /objects, /chardevs.
class ObjectRoot final : public Object {
 public:
  static const TypeInfo kType;  ///< "container"
  const TypeInfo& type() const override { return kType; }
  /// The object at `path`: absolute, or a partial path that must be unique ("ide0-1-0"). `ambiguous` tells
  /// the latter's failure.
  Object* resolve(std::string_view path, bool* ambiguous = nullptr);
  /// The container at an absolute path, made with what lacks on the way.
  Object& container(std::string_view path);
};

/// A plain container ("/objects", "/machine/peripheral").
class Container final : public Object {
 public:
  static const TypeInfo kType;  ///< "container"
  const TypeInfo& type() const override { return kType; }
};

/// The process's tree.
ObjectRoot& qom_root();

// --- typed properties
// -------------------------------------------------------------------------------------------------

/// Reads a scalar out of Json in either form; errors read `Invalid parameter type for 'NAME', expected: …` or
/// `Parameter 'NAME' expects …`. In keyval form JSON scalars are taken too: who sends device_add may write
/// either.
Result<bool> property_bool(std::string_view name, const Json& value, ValueForm form);
Result<uint64_t> property_uint(std::string_view name, const Json& value, ValueForm form, uint64_t max);
Result<int64_t> property_int(std::string_view name, const Json& value, ValueForm form, int64_t min,
                             int64_t max);
Result<uint64_t> property_size(std::string_view name, const Json& value, ValueForm form);
Result<std::string> property_str(std::string_view name, const Json& value, ValueForm form);

/// One value of an enumeration property.
template <class E>
struct EnumName {
  E value;
  const char* name;
};
/// Specialise with `static constexpr const char* kTypeName` and `static constexpr EnumName<E> kNames[]`.
template <class E>
struct EnumTraits;
template <>
struct EnumTraits<OnOffAuto> {
  static constexpr const char* kTypeName = "OnOffAuto";
  static constexpr EnumName<OnOffAuto> kNames[] = {
      {OnOffAuto::kAuto, "auto"}, {OnOffAuto::kOn, "on"}, {OnOffAuto::kOff, "off"}};
};
Failure property_bad_enum(std::string_view name, std::string_view value);

namespace detail {

template <class C, class T>
C* class_of_member(T C::*);  // a pointer: the class may be abstract
template <class C, class T>
T type_of_member(T C::*);

template <class T>
constexpr const char* property_type_name() {
  if constexpr (std::is_same_v<T, bool>)
    return "bool";
  else if constexpr (std::is_same_v<T, std::string>)
    return "str";
  else if constexpr (std::is_enum_v<T>)
    return EnumTraits<T>::kTypeName;
  else if constexpr (std::is_signed_v<T>)
    return sizeof(T) == 8 ? "int64" : sizeof(T) == 4 ? "int32" : "int16";
  else
    return sizeof(T) == 8 ? "uint64" : sizeof(T) == 4 ? "uint32" : sizeof(T) == 2 ? "uint16" : "uint8";
}

template <class T>
Result<T> property_from_json(std::string_view name, const Json& value, ValueForm form) {
  if constexpr (std::is_same_v<T, bool>)
    return property_bool(name, value, form);
  else if constexpr (std::is_same_v<T, std::string>)
    return property_str(name, value, form);
  else if constexpr (std::is_enum_v<T>) {
    std::string text = TRY(property_str(name, value, form));
    for (const auto& e : EnumTraits<T>::kNames)
      if (text == e.name) return e.value;
    return property_bad_enum(name, text);
  } else if constexpr (std::is_signed_v<T>) {
    return static_cast<T>(
        TRY(property_int(name, value, form, std::numeric_limits<T>::min(), std::numeric_limits<T>::max())));
  } else {
    return static_cast<T>(TRY(property_uint(name, value, form, std::numeric_limits<T>::max())));
  }
}

template <class T>
Json property_to_json(const T& v) {
  if constexpr (std::is_enum_v<T>) {
    for (const auto& e : EnumTraits<T>::kNames)
      if (v == e.value) return e.name;
    return {};
  } else {
    return v;
  }
}

}  // namespace detail

/// A property that is a member of the object: bool, integer, std::string or an enum with EnumTraits.
template <auto Member>
constexpr PropertyInfo prop(const char* name, const char* description = nullptr) {
  using C = std::remove_pointer_t<decltype(detail::class_of_member(Member))>;
  using T = decltype(detail::type_of_member(Member));
  return {.name = name,
          .type = detail::property_type_name<T>(),
          .description = description,
          .get = [](const Object& o) -> Json {
            return detail::property_to_json<T>(static_cast<const C&>(o).*Member);
          },
          .set = [](Object& o, std::string_view n, const Json& value, ValueForm form) -> Result<> {
            static_cast<C&>(o).*Member = TRY(detail::property_from_json<T>(n, value, form));
            return {};
          }};
}

/// The same for a size in bytes, which may carry a suffix in keyval form ("64M"); shown as type "size".
template <auto Member>
constexpr PropertyInfo prop_size(const char* name, const char* description = nullptr) {
  using C = std::remove_pointer_t<decltype(detail::class_of_member(Member))>;
  PropertyInfo info = prop<Member>(name, description);
  info.type = "size";
  info.set = [](Object& o, std::string_view n, const Json& value, ValueForm form) -> Result<> {
    static_cast<C&>(o).*Member = TRY(property_size(n, value, form));
    return {};
  };
  return info;
}

}  // namespace rhea
