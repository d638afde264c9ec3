// SMART of a hard disk that never ages. Spec: ATA/ATAPI-6 8.54 (SMART); layouts of data and logs SFF-8035i,
// ATA/ATAPI-6 8.54.6 and 8.54.7.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

namespace rhea {

/// What SMART keeps; the guest sees all of it.
struct SmartState {
  bool enabled = true;
  bool autosave = true;
  uint8_t self_tests = 0;  ///< done so far; the log holds the last kLogEntries
  static constexpr unsigned kLogEntries = 21;
  std::array<uint8_t, kLogEntries> log{};  ///< which test each was
  friend bool operator==(const SmartState&, const SmartState&) = default;
};

using SmartSector = std::array<uint8_t, 512>;

SmartSector smart_data(const SmartState& state);
SmartSector smart_thresholds();
/// Log 1 (errors) or 6 (self-tests); none of another address.
std::optional<SmartSector> smart_log(const SmartState& state, uint8_t address);
/// EXECUTE OFF-LINE IMMEDIATE; false: no such test.
bool smart_execute(SmartState& state, uint8_t test);

}  // namespace rhea
