// AioLimits: what an I/O thread's owner says to the engines of its loop.
#pragma once

#include <atomic>
#include <cstdint>

namespace rhea {

/// Attached to the loop (AioContext::attach) under kKey; a loop without it has no wishes. Any thread.
struct AioLimits {
  static constexpr char kKey = 0;
  std::atomic<int64_t> max_batch{0};  ///< requests submitted together at most; 0: the engine's choice
};

}  // namespace rhea
