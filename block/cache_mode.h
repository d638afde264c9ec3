// The cache modes people name ("none", "writeback", …) and what each stands for.
#pragma once

#include <string_view>

#include "util/result.h"

namespace rhea {

struct CacheMode {
  bool writeback = true;  ///< a write completes before it is durable
  bool direct = false;    ///< past the host's page cache
  bool no_flush = false;  ///< flushes are ignored
};

/// "none", "off", "directsync", "writethrough", "writeback" or "unsafe".
Result<CacheMode> parse_cache_mode(std::string_view name);

}  // namespace rhea
