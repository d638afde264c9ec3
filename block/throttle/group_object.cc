#include "block/throttle/group_object.h"

#include "qapi/qapi_types_qom.h"
#include "qapi/visit.h"

namespace rhea {

namespace {

using R = ThrottleRate;
using Field = int64_t ThrottleLimit::*;

ThrottleGroupObject& self(Object& o) {
  return static_cast<ThrottleGroupObject&>(o);
}
const ThrottleGroupObject& self(const Object& o) {
  return static_cast<const ThrottleGroupObject&>(o);
}

/// A single value, as it was given before there was "limits".
template <R Rate, Field Member>
constexpr PropertyInfo limit_value(const char* name) {
  return {.name = name,
          .type = "int",
          .get = [](const Object& o) -> Json { return self(o).limits()[Rate].*Member; },
          .set = [](Object& o, std::string_view n, const Json& value, ValueForm form) -> Result<> {
            const int64_t v = TRY(property_int(n, value, form, INT64_MIN, INT64_MAX));
            TRY(self(o).check_new_value(v));
            ThrottleConfig limits = self(o).limits();
            limits[Rate].*Member = v;
            self(o).set_first_limits(limits);
            return {};
          },
          .has_default = false};
}

template <class T>
void copy_limits(T& names, ThrottleConfig& l, auto&& copy) {
  copy(names.iops_total, l[R::kIopsTotal].avg);
  copy(names.iops_total_max, l[R::kIopsTotal].max);
  copy(names.iops_total_max_length, l[R::kIopsTotal].burst_s);
  copy(names.iops_read, l[R::kIopsRead].avg);
  copy(names.iops_read_max, l[R::kIopsRead].max);
  copy(names.iops_read_max_length, l[R::kIopsRead].burst_s);
  copy(names.iops_write, l[R::kIopsWrite].avg);
  copy(names.iops_write_max, l[R::kIopsWrite].max);
  copy(names.iops_write_max_length, l[R::kIopsWrite].burst_s);
  copy(names.bps_total, l[R::kBpsTotal].avg);
  copy(names.bps_total_max, l[R::kBpsTotal].max);
  copy(names.bps_total_max_length, l[R::kBpsTotal].burst_s);
  copy(names.bps_read, l[R::kBpsRead].avg);
  copy(names.bps_read_max, l[R::kBpsRead].max);
  copy(names.bps_read_max_length, l[R::kBpsRead].burst_s);
  copy(names.bps_write, l[R::kBpsWrite].avg);
  copy(names.bps_write_max, l[R::kBpsWrite].max);
  copy(names.bps_write_max_length, l[R::kBpsWrite].burst_s);
  copy(names.iops_size, l.op_bytes);
}

/// What is not named stays as it is.
constexpr PropertyInfo kLimits = {
    .name = "limits",
    .type = "ThrottleLimits",
    .get = [](const Object& o) -> Json {
      ThrottleConfig l = self(o).limits();
      ThrottleLimits info;
      copy_limits(info, l, [](std::optional<int64_t>& name, int64_t value) { name = value; });
      return to_json(info);
    },
    .set = [](Object& o, std::string_view name, const Json& value, ValueForm form) -> Result<> {
      Json whole = Json::object();
      whole.set(std::string(name), value);
      const auto given_ones = TRY(from_json<ThrottleGroupProperties>(std::move(whole), form));
      ThrottleConfig l = self(o).limits();
      copy_limits(*given_ones.limits, l, [](const std::optional<int64_t>& given, int64_t& current) {
        if (given) current = *given;
      });
      return self(o).set_limits(l);
    },
    .has_default = false};

}  // namespace

constexpr PropertyInfo ThrottleGroupObject::kProperties[] = {
    limit_value<R::kIopsTotal, &ThrottleLimit::avg>("x-iops-total"),
    limit_value<R::kIopsTotal, &ThrottleLimit::max>("x-iops-total-max"),
    limit_value<R::kIopsTotal, &ThrottleLimit::burst_s>("x-iops-total-max-length"),
    limit_value<R::kIopsRead, &ThrottleLimit::avg>("x-iops-read"),
    limit_value<R::kIopsRead, &ThrottleLimit::max>("x-iops-read-max"),
    limit_value<R::kIopsRead, &ThrottleLimit::burst_s>("x-iops-read-max-length"),
    limit_value<R::kIopsWrite, &ThrottleLimit::avg>("x-iops-write"),
    limit_value<R::kIopsWrite, &ThrottleLimit::max>("x-iops-write-max"),
    limit_value<R::kIopsWrite, &ThrottleLimit::burst_s>("x-iops-write-max-length"),
    limit_value<R::kBpsTotal, &ThrottleLimit::avg>("x-bps-total"),
    limit_value<R::kBpsTotal, &ThrottleLimit::max>("x-bps-total-max"),
    limit_value<R::kBpsTotal, &ThrottleLimit::burst_s>("x-bps-total-max-length"),
    limit_value<R::kBpsRead, &ThrottleLimit::avg>("x-bps-read"),
    limit_value<R::kBpsRead, &ThrottleLimit::max>("x-bps-read-max"),
    limit_value<R::kBpsRead, &ThrottleLimit::burst_s>("x-bps-read-max-length"),
    limit_value<R::kBpsWrite, &ThrottleLimit::avg>("x-bps-write"),
    limit_value<R::kBpsWrite, &ThrottleLimit::max>("x-bps-write-max"),
    limit_value<R::kBpsWrite, &ThrottleLimit::burst_s>("x-bps-write-max-length"),
    {.name = "x-iops-size",
     .type = "int",
     .get = [](const Object& o) -> Json { return self(o).limits().op_bytes; },
     .set = [](Object& o, std::string_view n, const Json& value, ValueForm form) -> Result<> {
       const int64_t v = TRY(property_int(n, value, form, INT64_MIN, INT64_MAX));
       TRY(self(o).check_new_value(v));
       ThrottleConfig limits = self(o).limits();
       limits.op_bytes = v;
       self(o).set_first_limits(limits);
       return {};
     },
     .has_default = false},
    kLimits};
constexpr TypeInfo ThrottleGroupObject::kType{
    .name = "throttle-group",
    .parent = &Object::kType,
    .create = []() -> std::shared_ptr<Object> { return std::make_shared<ThrottleGroupObject>(); },
    .properties = ThrottleGroupObject::kProperties,
    .user_creatable = true,
    .interfaces = UserCreatable::kInterfaces};

Result<> ThrottleGroupObject::complete() {
  const std::string id(path().substr(path().rfind('/') + 1));
  if (find_throttle_group(id) != nullptr) return fail(EEXIST, "A group with this name already exists");
  TRY(limits_.check());
  group_ = get_throttle_group(id);
  group_->set_limits(limits_);
  return {};
}

Result<> ThrottleGroupObject::set_limits(const ThrottleConfig& limits) {
  TRY(limits.check());
  if (group_ != nullptr)
    group_->set_limits(limits);
  else
    limits_ = limits;
  return {};
}

Result<> ThrottleGroupObject::check_new_value(int64_t value) const {
  if (group_ != nullptr) return fail(EINVAL, "Property cannot be set after initialization");
  if (value < 0) return fail(EINVAL, "Property values cannot be negative");
  return {};
}

void register_throttle_types(TypeRegistry& registry) {
  registry.add({&ThrottleGroupObject::kType});
}

}  // namespace rhea
