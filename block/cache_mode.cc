#include "block/cache_mode.h"

namespace rhea {

Result<CacheMode> parse_cache_mode(std::string_view name) {
  static constexpr struct {
    std::string_view name;
    CacheMode mode;
  } kModes[] = {{"none", {true, true, false}},        {"off", {true, true, false}},
                {"directsync", {false, true, false}}, {"writethrough", {false, false, false}},
                {"writeback", {true, false, false}},  {"unsafe", {true, false, true}}};
  for (const auto& m : kModes)
    if (m.name == name) return m.mode;
  return fail(EINVAL, "invalid cache option");
}

}  // namespace rhea
