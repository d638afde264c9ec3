// Image locks: open-file-description locks on bytes of the image by which processes exclude each other.
#pragma once

#include <cstdint>

#include "block/graph/types.h"
#include "util/result.h"

namespace rhea {

// Byte 100 + bit is read-locked while a permission is held, byte 200 + bit while it is not shared (bit:
// number of the permission in blk_perm). The calls may block on a network file system: call them on the
// thread pool.
namespace image_lock {

/// Takes locks for what `perms` has beyond `held`, then looks whether others' locks allow it. On failure the
/// locks beyond `held` are given back. "Failed to get "write" lock", "Failed to get shared "write" lock".
Result<> acquire(int fd, PermPair held, PermPair perms);
/// Takes locks for `perms` without looking at others': on a second descriptor of an image whose first has
/// them.
Result<> take(int fd, PermPair perms);
/// Gives back what `held` has beyond `keep`.
void release(int fd, PermPair held, PermPair keep);

}  // namespace image_lock
}  // namespace rhea
