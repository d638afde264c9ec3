// Days and seconds of the proleptic Gregorian calendar, without the C library's time zones.
#pragma once

#include <cstdint>

namespace rhea {

struct CivilTime {
  int year = 1970;
  int month = 1;    ///< 1..12
  int day = 1;      ///< 1..31
  int hour = 0;     ///< 0..23
  int minute = 0;   ///< 0..59
  int second = 0;   ///< 0..59
  int weekday = 4;  ///< 0 is Sunday
  friend bool operator==(const CivilTime&, const CivilTime&) = default;
};

/// `unix_s`: seconds since 1970, within some ten thousand years of it.
CivilTime civil_from_unix(int64_t unix_s);
/// The reverse; fields out of range carry over, weekday is not looked at.
int64_t unix_from_civil(const CivilTime& t);

}  // namespace rhea
