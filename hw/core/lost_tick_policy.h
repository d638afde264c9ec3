// What timers do about interrupts that a guest was too slow for.
#pragma once

#include "qom/object.h"

namespace rhea {

/// What becomes of periodic interrupts that the guest was too slow for.
enum class LostTickPolicy : uint8_t { kDiscard, kDelay, kSlew };
template <>
struct EnumTraits<LostTickPolicy> {
  static constexpr const char* kTypeName = "LostTickPolicy";
  static constexpr EnumName<LostTickPolicy> kNames[] = {{LostTickPolicy::kDiscard, "discard"},
                                                        {LostTickPolicy::kDelay, "delay"},
                                                        {LostTickPolicy::kSlew, "slew"}};
};

}  // namespace rhea
