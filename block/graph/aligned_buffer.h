// AlignedBuffer: memory for one request, aligned as storage asks for.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>

#include "util/iov.h"
#include "util/result.h"

namespace rhea {

class AlignedBuffer {
 public:
  /// `alignment`: a power of two. ENOMEM is an error, not an end.
  Result<> allocate(size_t alignment, size_t bytes) {
    if (alignment < sizeof(void*)) alignment = sizeof(void*);
    void* p = nullptr;
    if (posix_memalign(&p, alignment, bytes != 0 ? bytes : 1) != 0)
      return fail(ENOMEM, "Cannot allocate a buffer of ", bytes, " bytes");
    memory_.reset(static_cast<uint8_t*>(p));
    return {};
  }
  uint8_t* data() const { return memory_.get(); }
  IoVector iov(size_t bytes) const { return IoVector(memory_.get(), bytes); }

 private:
  struct Free {
    void operator()(uint8_t* p) const { std::free(p); }
  };
  std::unique_ptr<uint8_t, Free> memory_;
};

}  // namespace rhea
