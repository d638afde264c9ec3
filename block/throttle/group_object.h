// "throttle-group": a throttle group that a user makes, for drives and throttle nodes to join.
#pragma once

#include "block/throttle/group.h"
#include "qom/user_creatable.h"

namespace rhea {

/// Machine lock.
class ThrottleGroupObject final : public UserCreatable {
 public:
  static const TypeInfo kType;
  const TypeInfo& type() const override { return kType; }
  Result<> complete() override;
  bool can_be_deleted() const override { return group_ == nullptr || group_->member_count() == 0; }

  /// Those of the group, or what it will begin with.
  ThrottleConfig limits() const { return group_ != nullptr ? group_->limits() : limits_; }
  Result<> set_limits(const ThrottleConfig& limits);
  /// Whether one of them may be set alone, which is so before the group is there.
  Result<> check_new_value(int64_t value) const;
  void set_first_limits(const ThrottleConfig& limits) { limits_ = limits; }

 private:
  static const PropertyInfo kProperties[];
  ThrottleConfig limits_;
  std::shared_ptr<ThrottleGroup> group_;  ///< since complete()
};

void register_throttle_types(TypeRegistry& registry);

}  // namespace rhea
