// Names of the MC146818's registers and bits (data sheet, "Registers"), for this folder.
#pragma once

#include <cstdint>

namespace rhea::rtc {

constexpr uint8_t kSeconds = 0, kSecondsAlarm = 1, kMinutes = 2, kMinutesAlarm = 3, kHours = 4,
                  kHoursAlarm = 5, kWeekday = 6, kDay = 7, kMonth = 8, kYear = 9, kA = 10, kB = 11, kC = 12,
                  kD = 13, kCentury = 0x32, kCenturyPs2 = 0x37;
constexpr uint8_t kUip = 0x80, kDivider = 0x70, kDividerRuns = 0x20, kDividerReset = 0x60, kRate = 0x0f;
constexpr uint8_t kSet = 0x80, kPie = 0x40, kAie = 0x20, kUie = 0x10, kSqwe = 0x08, kBinary = 0x04,
                  k24Hours = 0x02;
constexpr uint8_t kIrqf = 0x80, kPf = 0x40, kAf = 0x20, kUf = 0x10;
constexpr uint8_t kVrt = 0x80;
constexpr uint8_t kPm = 0x80;        // hours in 12-hour mode
constexpr uint8_t kDontCare = 0xc0;  // alarm bytes from here on match anything
constexpr int64_t kSecondNs = 1'000'000'000;
constexpr int64_t kOscillatorHz = 32768;

constexpr int64_t floor_seconds(int64_t ns) {
  return ns / kSecondNs - (ns % kSecondNs < 0 ? 1 : 0);
}

}  // namespace rhea::rtc
