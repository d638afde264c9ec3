#include "util/coroutine.h"

#include <array>
#include <new>

namespace rhea::detail {

namespace {

constexpr size_t kGranule = 64;
constexpr size_t kClasses = 32;  // frames up to 2 KiB
constexpr int kKeepPerClass = 64;

/// Free frames of one thread, by size class, as linked lists through their first word.
struct FrameCache {
  struct Free {
    Free* next;
  };
  std::array<Free*, kClasses> lists{};
  std::array<int, kClasses> counts{};
  ~FrameCache() {
    for (auto* list : lists) {
      while (list != nullptr) ::operator delete(std::exchange(list, list->next));
    }
    alive = false;
  }
  static thread_local bool alive;
};
thread_local bool FrameCache::alive = true;
thread_local FrameCache cache;

constexpr size_t class_of(size_t bytes) {
  return (bytes + kGranule - 1) / kGranule;
}

}  // namespace

void* frame_allocate(size_t bytes) {
  const size_t c = class_of(bytes);
  if (c >= kClasses || !FrameCache::alive) return ::operator new(bytes);
  if (auto* p = cache.lists[c]; p != nullptr) {
    cache.lists[c] = p->next;
    --cache.counts[c];
    return p;
  }
  return ::operator new(c* kGranule);
}

void frame_free(void* p, size_t bytes) {
  const size_t c = class_of(bytes);
  if (c >= kClasses || !FrameCache::alive || cache.counts[c] >= kKeepPerClass) return ::operator delete(p);
  auto* f = static_cast<FrameCache::Free*>(p);
  f->next = cache.lists[c];
  cache.lists[c] = f;
  ++cache.counts[c];
}

}  // namespace rhea::detail
