#include "hw/ide/smart.h"

#include <algorithm>
#include <numeric>

#include "util/byteorder.h"

namespace rhea {

namespace {

struct Attribute {
  uint8_t id;
  uint16_t flags;  ///< bit 0: pre-failure, bit 1: updated online
  uint8_t value, threshold;
  std::array<uint8_t, 6> raw;
};
constexpr Attribute kAttributes[] = {
    {0x01, 0x0003, 100, 6, {}},               // read error rate
    {0x03, 0x0003, 100, 0, {16}},             // spin-up time
    {0x04, 0x0002, 100, 20, {100}},           // starts and stops
    {0x05, 0x0003, 100, 36, {}},              // reallocated sectors
    {0x09, 0x0003, 100, 0, {1}},              // hours of power
    {0x0c, 0x0003, 100, 0, {}},               // power cycles
    {0xbe, 0x0003, 69, 50, {31, 0, 31, 31}},  // air flow temperature, degrees
};
constexpr uint16_t kHours = 1;

void seal(SmartSector& s) {
  s[511] = static_cast<uint8_t>(-std::accumulate(s.begin(), s.end() - 1, 0));
}

}  // namespace

SmartSector smart_data(const SmartState& state) {
  SmartSector s{};
  s[0] = 1;  // revision
  size_t at = 2;
  for (const Attribute& a : kAttributes) {
    s[at] = a.id;
    store_le<uint16_t>(&s[at + 1], a.flags);
    s[at + 3] = s[at + 4] = a.value;  // now, and worst ever
    std::ranges::copy(a.raw, &s[at + 5]);
    at += 12;
  }
  s[362] = state.self_tests != 0 ? 0x82 : 0x80;  // off-line collection enabled; completed or never started
  s[363] = 0;                                    // the last self-test completed without error
  store_le<uint16_t>(&s[364], 288);              // seconds an off-line collection takes
  s[367] = 0x19;                                 // executes off-line, tests itself, stops on commands
  store_le<uint16_t>(&s[368], 3);                // saves data before standby, and by itself
  s[370] = 1;                                    // logs errors
  s[372] = 2;                                    // minutes of tests: short,
  s[373] = 54;                                   // extended,
  s[374] = 1;                                    // after transport
  seal(s);
  return s;
}

SmartSector smart_thresholds() {
  SmartSector s{};
  s[0] = 1;
  size_t at = 2;
  for (const Attribute& a : kAttributes) {
    s[at] = a.id;
    s[at + 1] = a.threshold;
    at += 12;
  }
  seal(s);
  return s;
}

std::optional<SmartSector> smart_log(const SmartState& state, uint8_t address) {
  constexpr uint8_t kErrors = 1, kSelfTests = 6;
  SmartSector s{};
  s[0] = 1;  // version
  if (address == kErrors) {
    seal(s);
    return s;
  }
  if (address != kSelfTests) return std::nullopt;
  const unsigned used = std::min<unsigned>(state.self_tests, SmartState::kLogEntries);
  for (unsigned i = 0; i < used; ++i) {
    uint8_t* const entry = &s[2 + 24 * i];
    entry[0] = state.log[i];
    entry[1] = 0;  // completed without error
    store_le<uint16_t>(entry + 2, kHours);
  }
  s[508] = used == 0 ? 0 : static_cast<uint8_t>((state.self_tests - 1) % SmartState::kLogEntries + 1);
  seal(s);
  return s;
}

bool smart_execute(SmartState& state, uint8_t test) {
  constexpr uint8_t kOffline = 0, kShort = 1, kExtended = 2, kAbort = 127;
  switch (test) {
    case kOffline:
    case kAbort:
      return true;
    case kShort:
    case kExtended:
      break;
    default:
      return false;
  }
  // Counted so that the place of the newest entry stays right when the log has come round.
  if (state.self_tests == 2 * SmartState::kLogEntries) state.self_tests = SmartState::kLogEntries;
  state.log[state.self_tests % SmartState::kLogEntries] = test;
  ++state.self_tests;
  return true;
}

}  // namespace rhea
