#include "hw/rtc/civil_time.h"

namespace rhea {

namespace {

constexpr int64_t kDaySeconds = 86400;
constexpr int64_t kDaysPer400Years = 146097;

constexpr int64_t floor_div(int64_t a, int64_t b) {
  return a / b - (a % b < 0 ? 1 : 0);
}

/// Days before January 1st of `year` (1..), counted from year 1.
constexpr int64_t days_before_year(int64_t year) {
  const int64_t y = year - 1;
  return 365 * y + floor_div(y, 4) - floor_div(y, 100) + floor_div(y, 400);
}
constexpr int64_t kDaysBefore1970 = days_before_year(1970);

constexpr bool is_leap(int64_t y) {
  return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

constexpr int kDaysBeforeMonth[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365};
constexpr int64_t days_before_month(int64_t year, int month) {
  return kDaysBeforeMonth[month - 1] + (month > 2 && is_leap(year) ? 1 : 0);
}

}  // namespace

CivilTime civil_from_unix(int64_t unix_s) {
  CivilTime t;
  const int64_t days = floor_div(unix_s, kDaySeconds);
  const int64_t in_day = unix_s - days * kDaySeconds;
  t.hour = static_cast<int>(in_day / 3600);
  t.minute = static_cast<int>(in_day / 60 % 60);
  t.second = static_cast<int>(in_day % 60);
  t.weekday = static_cast<int>(((days + 4) % 7 + 7) % 7);

  const int64_t from_year_1 = days + kDaysBefore1970;
  int64_t year = floor_div(from_year_1 * 400, kDaysPer400Years) + 1;  // right or one off
  while (days_before_year(year + 1) <= from_year_1) ++year;
  while (days_before_year(year) > from_year_1) --year;
  const int64_t in_year = from_year_1 - days_before_year(year);
  int month = 12;
  while (days_before_month(year, month) > in_year) --month;
  t.year = static_cast<int>(year);
  t.month = month;
  t.day = static_cast<int>(in_year - days_before_month(year, month)) + 1;
  return t;
}

int64_t unix_from_civil(const CivilTime& t) {
  const int64_t months = t.month - 1;
  const int64_t year = t.year + floor_div(months, 12);
  const int month = static_cast<int>(months - floor_div(months, 12) * 12) + 1;
  const int64_t days = days_before_year(year) + days_before_month(year, month) + t.day - 1 - kDaysBefore1970;
  return ((days * 24 + t.hour) * 60 + t.minute) * 60 + t.second;
}

}  // namespace rhea
