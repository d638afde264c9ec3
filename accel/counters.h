// Counters that an accelerator keeps of the machine and of its processors.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "util/result.h"

namespace rhea {

class Vcpu;

/// How a counter changes, what it counts, and in powers of what.
enum class CounterType : uint8_t { kCumulative, kInstant, kPeak, kLinearHistogram, kLogHistogram };
enum class CounterUnit : uint8_t { kNone, kBytes, kSeconds, kCycles, kBoolean };
enum class CounterBase : uint8_t { kTen, kTwo };

struct AccelCounter {
  std::string name;
  CounterType type = CounterType::kCumulative;
  CounterUnit unit = CounterUnit::kNone;
  CounterBase base = CounterBase::kTen;
  int16_t exponent = 0;
  uint32_t bucket_size = 0;      ///< of a linear histogram
  std::vector<uint64_t> values;  ///< one, or a histogram's buckets
};

/// An accelerator that counts. Main thread.
class CounterSource {
 public:
  virtual ~CounterSource() = default;
  /// Of a processor, or of the machine where `vcpu` is null. Empty where the host counts nothing.
  virtual Result<std::vector<AccelCounter>> counters(const Vcpu* vcpu) = 0;
};

}  // namespace rhea
