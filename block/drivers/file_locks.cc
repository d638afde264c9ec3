#include "block/drivers/file_locks.h"

#include <fcntl.h>

#include <cerrno>

namespace rhea::image_lock {

namespace {

constexpr off_t kHeldBase = 100;
constexpr off_t kUnsharedBase = 200;

struct flock byte_lock(short type, off_t at) {
  struct flock fl {};
  fl.l_type = type;
  fl.l_whence = SEEK_SET;
  fl.l_start = at;
  fl.l_len = 1;
  return fl;
}

int set_lock(int fd, short type, off_t at) {
  struct flock fl = byte_lock(type, at);
  while (::fcntl(fd, F_OFD_SETLK, &fl) != 0)
    if (errno != EINTR) return errno;
  return 0;
}

/// True if another open file holds a lock on the byte.
bool is_locked(int fd, off_t at) {
  struct flock fl = byte_lock(F_WRLCK, at);
  return ::fcntl(fd, F_OFD_GETLK, &fl) != 0 || fl.l_type != F_UNLCK;
}

uint32_t unshared(PermPair p) {
  return ~p.shared & blk_perm::kAll;
}

Result<> lock_new(int fd, PermPair held, PermPair perms) {
  for (int bit = 0; bit < blk_perm::kCount; ++bit) {
    const uint32_t mask = 1u << bit;
    if ((perms.perm & ~held.perm & mask) != 0)
      if (const int err = set_lock(fd, F_RDLCK, kHeldBase + bit))
        return fail(err, "Failed to lock byte ", kHeldBase + bit);
    if ((unshared(perms) & ~unshared(held) & mask) != 0)
      if (const int err = set_lock(fd, F_RDLCK, kUnsharedBase + bit))
        return fail(err, "Failed to lock byte ", kUnsharedBase + bit);
  }
  return {};
}

/// Own locks are on the same description and do not count.
Result<> check_others(int fd, PermPair perms) {
  for (int bit = 0; bit < blk_perm::kCount; ++bit) {
    const uint32_t mask = 1u << bit;
    if ((perms.perm & mask) != 0 && is_locked(fd, kUnsharedBase + bit))
      return fail(EAGAIN, "Failed to get \"", perm_bit_name(bit), "\" lock");
    if ((unshared(perms) & mask) != 0 && is_locked(fd, kHeldBase + bit))
      return fail(EAGAIN, "Failed to get shared \"", perm_bit_name(bit), "\" lock");
  }
  return {};
}

}  // namespace

Result<> acquire(int fd, PermPair held, PermPair perms) {
  Result<> r = lock_new(fd, held, perms);
  if (r) r = check_others(fd, perms);
  if (!r) release(fd, {held.perm | perms.perm, held.shared & perms.shared}, held);
  return r;
}

Result<> take(int fd, PermPair perms) {
  return lock_new(fd, {}, perms);
}

void release(int fd, PermPair held, PermPair keep) {
  for (int bit = 0; bit < blk_perm::kCount; ++bit) {
    const uint32_t mask = 1u << bit;
    if ((held.perm & ~keep.perm & mask) != 0) set_lock(fd, F_UNLCK, kHeldBase + bit);
    if ((unshared(held) & ~unshared(keep) & mask) != 0) set_lock(fd, F_UNLCK, kUnsharedBase + bit);
  }
}

}  // namespace rhea::image_lock
