#include "qom/object.h"

#include <algorithm>
#include <cassert>
#include <set>

namespace rhea {

constexpr TypeInfo Object::kType{.name = "object"};

static std::shared_ptr<Object> make_container() {
  return std::make_shared<Container>();
}
constexpr TypeInfo Container::kType{.name = "container", .parent = &Object::kType, .create = make_container};
constexpr TypeInfo ObjectRoot::kType{.name = "container", .parent = &Object::kType, .create = make_container};

bool TypeInfo::is_a(std::string_view ancestor) const {
  for (const TypeInfo* t = this; t != nullptr; t = t->parent) {
    if (t->name == ancestor) return true;
    for (const char* interface : t->interfaces)
      if (interface == ancestor) return true;
  }
  return false;
}

const PropertyInfo* TypeInfo::find_property(std::string_view property) const {
  for (const TypeInfo* t = this; t != nullptr; t = t->parent)
    for (const auto& p : t->properties)
      if (p.name == property) return &p;
  return nullptr;
}

TypeRegistry& TypeRegistry::instance() {
  static TypeRegistry registry;
  return registry;
}

DeviceCategory TypeInfo::device_category() const {
  for (const TypeInfo* t = this; t != nullptr; t = t->parent)
    if (t->category != DeviceCategory::kNone) return t->category;
  return DeviceCategory::kNone;
}

void TypeRegistry::add(const TypeInfo& type) {
  static constexpr TypeInfo kInterface{.name = "interface"};
  for (const TypeInfo* t = &type; t != nullptr; t = t->parent) {
    types_.emplace(t->name, t);
    for (const char* name : t->interfaces) {
      const auto [at, made] = interfaces_.emplace(name, TypeInfo{.name = name, .parent = &kInterface});
      if (made) types_.emplace(name, &at->second);
      types_.emplace(kInterface.name, &kInterface);
    }
  }
}

void TypeRegistry::add(std::initializer_list<const TypeInfo*> types) {
  for (const TypeInfo* t : types) add(*t);
}

void TypeRegistry::add_alias(std::string alias, const TypeInfo& type) {
  aliases_.emplace(std::move(alias), &type);
}

const TypeInfo* TypeRegistry::find(std::string_view name) const {
  auto it = types_.find(name);
  return it == types_.end() ? nullptr : it->second;
}

Object::~Object() {
  for (auto& c : children_) c->parent_ = nullptr;
}

std::string Object::path() const {
  if (parent_ == nullptr)
    return dynamic_cast<const ObjectRoot*>(this) != nullptr ? "/" : str_cat("<", type().name, ">");
  std::string out;
  for (const Object* o = this; o->parent_ != nullptr; o = o->parent_) out.insert(0, str_cat("/", o->name_));
  return out;
}

Object& Object::add_child(std::string name, std::shared_ptr<Object> child) {
  assert(child->parent_ == nullptr);
  if (name.ends_with("[*]")) {
    const std::string stem = name.substr(0, name.size() - 2);
    int index = 0;
    while (this->child(name = str_cat(stem, index, "]")) != nullptr) ++index;
  }
  assert(this->child(name) == nullptr);
  child->parent_ = this;
  child->name_ = std::move(name);
  return *children_.emplace_back(std::move(child));
}

std::shared_ptr<Object> Object::remove_child(std::string_view name) {
  auto it = std::ranges::find_if(children_, [&](const auto& c) { return c->name_ == name; });
  if (it == children_.end()) return nullptr;
  std::shared_ptr<Object> child = std::move(*it);
  children_.erase(it);
  child->parent_ = nullptr;
  return child;
}

void Object::unparent() {
  if (parent_ != nullptr) std::ignore = parent_->remove_child(name_);
}

Object* Object::child(std::string_view name) const {
  for (const auto& c : children_)
    if (c->name_ == name) return c.get();
  return nullptr;
}

void Object::add_link(std::string name, std::string target_type, std::function<Object*()> target) {
  auto get = [target]() -> Json {
    Object* o = target();
    return o != nullptr ? o->path() : std::string();
  };
  extras_.push_back(
      {std::move(name), str_cat("link<", target_type, ">"), std::move(get), std::move(target), {}});
}

void Object::add_value(std::string name, std::string type, std::function<Json()> get) {
  extras_.push_back({std::move(name), std::move(type), std::move(get), {}, {}});
}

void Object::add_alias(std::string name, Object& target, std::string target_property) {
  const PropertyInfo* info = target.type().find_property(target_property);
  std::weak_ptr<Object> weak = target.weak_from_this();
  auto get = [weak, target_property]() -> Json {
    auto o = weak.lock();
    if (o == nullptr) return {};
    auto r = o->get_property(target_property);
    return r ? std::move(*r) : Json();
  };
  auto set = [weak, target_property](const Json& value, ValueForm form) -> Result<> {
    auto o = weak.lock();
    if (o == nullptr) return fail(ENODEV, "Property '", target_property, "' has lost its object");
    return o->set_property(target_property, value, form);
  };
  extras_.push_back(
      {std::move(name), info != nullptr ? info->type : "any", std::move(get), {}, std::move(set)});
}

const Object::Extra* Object::find_extra(std::string_view name) const {
  for (const auto& e : extras_)
    if (e.name == name) return &e;
  return nullptr;
}

Result<Json> Object::get_property(std::string_view name) const {
  if (name == "type") return Json(type().name);
  if (const Object* c = child(name)) return Json(c->path());
  if (const Extra* e = find_extra(name)) return e->get();
  const PropertyInfo* p = type().find_property(name);
  if (p == nullptr) return fail(ENOENT, "Property '", type().name, ".", name, "' not found");
  if (p->get == nullptr) return fail(EPERM, "Property '", type().name, ".", name, "' is not readable");
  return p->get(*this);
}

Result<> Object::set_property(std::string_view name, const Json& value, ValueForm form) {
  if (const Extra* e = find_extra(name); e != nullptr && e->set) return e->set(value, form);
  const PropertyInfo* p = type().find_property(name);
  const bool known = p != nullptr || name == "type" || child(name) != nullptr || find_extra(name) != nullptr;
  if (!known) return fail(ENOENT, "Property '", type().name, ".", name, "' not found");
  if (p == nullptr || p->set == nullptr)
    return fail(EPERM, "Property '", type().name, ".", name, "' is not writable");
  TRY(check_settable(*p));
  return p->set(*this, name, value, form);
}

std::vector<PropertyListing> Object::list_properties() const {
  std::vector<PropertyListing> out{{"type", "string", ""}};
  std::set<std::string_view> of_type;
  for (const TypeInfo* t = &type(); t != nullptr; t = t->parent)
    for (const auto& p : t->properties)
      if (of_type.insert(p.name).second)
        out.push_back({p.name, p.type, p.description != nullptr ? p.description : ""});
  for (const auto& e : extras_)
    if (!of_type.contains(e.name)) out.push_back({e.name, e.type, ""});
  for (const auto& c : children_) out.push_back({c->name_, str_cat("child<", c->type().name, ">"), ""});
  return out;
}

Object* Object::resolve_component(std::string_view component) const {
  if (Object* c = child(component)) return c;
  const Extra* e = find_extra(component);
  return e != nullptr && e->link ? e->link() : nullptr;
}

ObjectRoot& qom_root() {
  static auto root = std::make_shared<ObjectRoot>();
  return *root;
}

namespace {

std::vector<std::string_view> split_path(std::string_view path) {
  std::vector<std::string_view> parts;
  while (!path.empty()) {
    const size_t slash = path.find('/');
    if (slash != 0) parts.push_back(path.substr(0, slash));
    path = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
  }
  return parts;
}

Object* walk(Object& from, std::span<const std::string_view> parts) {
  Object* o = &from;
  for (auto part : parts) {
    o = o->resolve_component(part);
    if (o == nullptr) return nullptr;
  }
  return o;
}

void find_partial(Object& at, std::span<const std::string_view> parts, Object*& found, bool& ambiguous) {
  if (Object* o = walk(at, parts); o != nullptr && o != found) {
    ambiguous |= found != nullptr;
    found = o;
  }
  for (const auto& c : at.children()) find_partial(*c, parts, found, ambiguous);
}

}  // namespace

Object* ObjectRoot::resolve(std::string_view path, bool* ambiguous) {
  bool several = false;
  if (ambiguous != nullptr) *ambiguous = false;
  const auto parts = split_path(path);
  if (path.starts_with('/')) return walk(*this, parts);
  if (parts.empty()) {  // every object matches
    if (ambiguous != nullptr) *ambiguous = true;
    return nullptr;
  }
  Object* found = nullptr;
  find_partial(*this, parts, found, several);
  if (ambiguous != nullptr) *ambiguous = several;
  return several ? nullptr : found;
}

Object& ObjectRoot::container(std::string_view path) {
  Object* o = this;
  for (auto part : split_path(path)) {
    Object* next = o->child(part);
    o = next != nullptr ? next
                        : &o->add_child(std::string(part),
                                        std::static_pointer_cast<Object>(std::make_shared<Container>()));
  }
  return *o;
}

// --- typed properties
// -------------------------------------------------------------------------------------------------

namespace {
Failure bad_type(std::string_view name, std::string_view expected) {
  return fail(EINVAL, "Invalid parameter type for '", name, "', expected: ", expected);
}
/// What a value out of range should have been.
const char* int_name(int64_t max) {
  return max == INT8_MAX ? "int8_t" : max == INT16_MAX ? "int16_t" : max == INT32_MAX ? "int32_t" : "int64";
}
const char* uint_name(uint64_t max) {
  return max == UINT8_MAX    ? "uint8_t"
         : max == UINT16_MAX ? "uint16_t"
         : max == UINT32_MAX ? "uint32_t"
                             : "uint64";
}
}  // namespace

Result<bool> property_bool(std::string_view name, const Json& value, ValueForm form) {
  if (value.is_bool()) return value.as_bool();
  if (form == ValueForm::kKeyval) {
    const std::string_view s = value.is_string() ? std::string_view(value.as_string()) : std::string_view();
    if (s == "on" || s == "yes" || s == "true" || s == "y") return true;
    if (s == "off" || s == "no" || s == "false" || s == "n") return false;
    return fail(EINVAL, "Parameter '", name, "' expects 'on' or 'off'");
  }
  return bad_type(name, "boolean");
}

Result<uint64_t> property_uint(std::string_view name, const Json& value, ValueForm form, uint64_t max) {
  uint64_t v = 0;
  if (value.is_uint()) {
    v = value.as_uint();
  } else if (value.is_int()) {  // below zero
    return fail(ERANGE, "Parameter '", name, "' expects ", uint_name(max));
  } else if (value.is_string() && form == ValueForm::kKeyval) {
    int64_t negative = 0;
    if (parse_i64(value.as_string(), negative) && negative < 0)
      return fail(ERANGE, "Parameter '", name, "' expects ", uint_name(max));
    if (!parse_u64(value.as_string(), v)) return fail(EINVAL, "Parameter '", name, "' expects integer");
  } else {
    return fail(EINVAL, "Parameter '", name, "' expects uint64");
  }
  if (v > max) return fail(ERANGE, "Parameter '", name, "' expects ", uint_name(max));
  return v;
}

Result<int64_t> property_int(std::string_view name, const Json& value, ValueForm form, int64_t min,
                             int64_t max) {
  int64_t v = 0;
  if (value.is_int()) {
    v = value.as_int();
  } else if (value.is_string() && form == ValueForm::kKeyval) {
    if (!parse_i64(value.as_string(), v)) return fail(EINVAL, "Parameter '", name, "' expects integer");
  } else {
    return bad_type(name, "integer");
  }
  if (v < min || v > max) return fail(ERANGE, "Parameter '", name, "' expects ", int_name(max));
  return v;
}

Result<uint64_t> property_size(std::string_view name, const Json& value, ValueForm form) {
  if (form == ValueForm::kTyped || !value.is_string()) return property_uint(name, value, form, UINT64_MAX);
  uint64_t v = 0;
  if (!parse_size(value.as_string(), v)) return fail(EINVAL, "Parameter '", name, "' expects a size value");
  return v;
}

Result<std::string> property_str(std::string_view name, const Json& value, ValueForm form) {
  if (value.is_string()) return value.as_string();
  // On a command line everything is text, so this is what the writer of a bare 5 or on means there.
  if (form == ValueForm::kKeyval && value.is_bool()) return std::string(value.as_bool() ? "on" : "off");
  if (form == ValueForm::kKeyval && (value.is_int() || value.is_uint())) return value.dump();
  return bad_type(name, "string");
}

Failure property_bad_enum(std::string_view name, std::string_view value) {
  return fail(EINVAL, "Parameter '", name, "' does not accept value '", value, "'");
}

}  // namespace rhea
