#include "block/drivers/file.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "block/drivers/create_options.h"
#include "block/drivers/drivers.h"
#include "block/drivers/file_locks.h"
#include "block/graph/aligned_buffer.h"
#include "util/fdset.h"
#include "util/log.h"
#include "util/thread_pool.h"

namespace rhea {

// --- Opening.

Result<> FileNode::take_options(OptionTree& options) {
  path_ = TRY(options.take_string("filename")).value_or("");
  const auto aio = TRY(options.take_choice("aio", {"threads", "native", "io_uring"}))
                       .value_or(static_cast<size_t>(flags_.aio));
  aio_ = static_cast<AioKind>(aio);
  // Through the page cache the kernel would do such requests while they are submitted.
  if (aio_ == AioKind::kNative && !flags_.direct)
    return fail(EINVAL,
                "aio=native was specified, but it requires cache.direct=on, which was not specified.");
  const auto locking = TRY(options.take_choice("locking", {"auto", "on", "off"}));
  locking_ = static_cast<Locking>(locking.value_or(0));
  drop_cache_ = TRY(options.take_bool("drop-cache")).value_or(true);
  check_cache_dropped_ = TRY(options.take_bool("x-check-cache-dropped")).value_or(false);
  return {};
}

Result<UniqueFd> FileNode::open_path(bool writable) const {
  const int flags =
      (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | (flags_.direct ? O_DIRECT : 0) | open_flags();
  const int fd = open_file(path_, flags);
  if (fd < 0) return fail_errno(errno, "Could not open '", path_, "'");
  return UniqueFd(fd);
}

Result<> FileNode::check_type(const struct stat& st) const {
  if (!S_ISREG(st.st_mode)) return fail(EINVAL, "'file' driver requires '", path_, "' to be a regular file");
  return {};
}

/// Direct I/O asks for whole logical blocks of the storage; reading tells how large they are.
void FileNode::probe_direct_alignment() {
  constexpr uint32_t kPage = 4096;
  AlignedBuffer buffer;
  if (!buffer.allocate(kPage, kPage)) return;
  alignment_ = memory_alignment_ = kPage;
  for (uint32_t size = kSectorBytes; size < kPage; size *= 2) {
    if (::pread(fd_.get(), buffer.data(), size, 0) < 0) continue;
    alignment_ = size;
    break;
  }
  for (uint32_t size = kSectorBytes; size < kPage; size *= 2) {
    if (::pread(fd_.get(), buffer.data() + size, kPage - size < alignment_ ? 0 : alignment_, 0) < 0) continue;
    memory_alignment_ = size;
    break;
  }
}

/// On a pool thread.
Result<> FileNode::open_and_inspect() {
  writable_ = !flags_.read_only && !dynamic_access();
  direct_ = flags_.direct;
  fd_ = TRY(open_path(writable_));
  struct stat st {};
  if (::fstat(fd_.get(), &st) != 0) return fail_errno(errno, "Could not stat '", path_, "'");
  TRY(check_type(st));
  is_block_device_ = S_ISBLK(st.st_mode);
  if (flags_.direct) probe_direct_alignment();
  return {};
}

CoResult<> FileNode::co_open(OpenContext& ctx) {
  co_await or_return(take_options(ctx.options));
  if (aio_ != AioKind::kThreads) std::ignore = co_await or_return(engine());
  auto work = [this] { return open_and_inspect(); };
  co_return co_await thread_pool().co_run(work);
}

CoResult<> FileNode::co_close() {
  auto work = [this] {
    fd_.reset();  // gives back the locks
    return 0;
  };
  std::ignore = co_await thread_pool().co_run(work);
  co_return Result<>();
}

void FileNode::refresh_limits(BlockLimits& limits) const {
  limits.request_alignment = alignment_;
  limits.memory_alignment = memory_alignment_;
  constexpr uint64_t kMaxTransfer = 0x7ffff000;  // of one readv on Linux
  limits.max_transfer = kMaxTransfer;
}

// --- Permissions: image locks, and write access only while somebody writes.

CoResult<> FileNode::co_check_perm(PermPair perms) {
  const bool wants_write =
      (perms.perm & (blk_perm::kWrite | blk_perm::kWriteUnchanged | blk_perm::kResize)) != 0;
  next_perms_ = perms;
  next_writable_ = dynamic_access() ? wants_write : !flags_.read_only;
  const bool another = next_writable_ != writable_ || flags_.direct != direct_;
  if (perms == locked_ && !another) co_return Result<>();
  auto work = [&]() -> Result<> {
    if (another) next_fd_ = TRY(open_path(next_writable_));
    if (locking_ == Locking::kOff) return {};
    // Seen from a second descriptor, the locks of the first are another's: whether others allow it is asked
    // with the first, which keeps its locks until it is closed.
    Result<> locks = image_lock::acquire(fd_.get(), locked_, perms);
    if (locks && next_fd_) {
      locks = image_lock::take(next_fd_.get(), perms);
      if (!locks) image_lock::release(fd_.get(), perms, locked_);
    }
    if (locks) return {};
    next_fd_.reset();
    return Failure(
        std::move(locks).error().with_hint(str_cat("Is another process using the image [", path_, "]?")));
  };
  co_return co_await thread_pool().co_run(work);
}

CoResult<> FileNode::co_commit_perm() {
  if (!next_fd_ && next_perms_ == locked_) co_return Result<>();
  auto work = [&] {
    if (next_fd_) {
      fd_ = std::move(next_fd_);
      writable_ = next_writable_;
      if (std::exchange(direct_, flags_.direct) != flags_.direct) {
        alignment_ = memory_alignment_ = 1;
        if (direct_) probe_direct_alignment();
      }
    } else if (locking_ != Locking::kOff) {
      image_lock::release(fd_.get(), locked_, next_perms_);
    }
    locked_ = next_perms_;
    return 0;
  };
  std::ignore = co_await thread_pool().co_run(work);
  co_return Result<>();
}

CoResult<> FileNode::co_abort_perm() {
  if (!next_fd_ && next_perms_ == locked_) co_return Result<>();
  auto work = [&] {
    next_fd_.reset();
    if (locking_ != Locking::kOff) image_lock::release(fd_.get(), next_perms_, locked_);
    return 0;
  };
  std::ignore = co_await thread_pool().co_run(work);
  co_return Result<>();
}

// --- Requests.

CoResult<> FileNode::co_preadv(ByteRange range, IoVector iov) {
  AioEngine* e = co_await or_return(engine());
  co_return co_await e->co_preadv(fd_.get(), range, iov);
}

CoResult<> FileNode::co_pwritev(ByteRange range, IoVector iov) {
  AioEngine* e = co_await or_return(engine());
  co_return co_await e->co_pwritev(fd_.get(), range, iov);
}

CoResult<> FileNode::co_flush() {
  // After a failed flush the kernel may have dropped the dirty pages: a later success would be a lie.
  if (const int err = flush_error_.load()) co_return fail_errno(err, "Cannot flush '", path_, "'");
  AioEngine* e = co_await or_return(engine());
  Result<> r = co_await e->co_fdatasync(fd_.get());
  if (!r) flush_error_ = r.error().errnum();
  co_return r;
}

CoResult<> FileNode::co_pwrite_zeroes(ByteRange range, bool may_unmap) {
  const bool grows = range.end() > total_bytes();  // then the file has to become longer
  auto work = [&] {
    const auto at = static_cast<off_t>(range.offset), n = static_cast<off_t>(range.bytes);
    if (is_block_device_) {
      uint64_t r[2] = {range.offset, range.bytes};
      return ::ioctl(fd_.get(), BLKZEROOUT, r) == 0 ? 0 : errno;
    }
    if (may_unmap && can_punch_ && !grows) {
      if (::fallocate(fd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, n) == 0) return 0;
      if (errno != EOPNOTSUPP) return errno;
      can_punch_ = false;
    }
    if (!can_zero_range_) return ENOTSUP;
    if (::fallocate(fd_.get(), FALLOC_FL_ZERO_RANGE | (grows ? 0 : FALLOC_FL_KEEP_SIZE), at, n) == 0)
      return 0;
    if (errno == EOPNOTSUPP) can_zero_range_ = false;
    return errno;
  };
  const int err = co_await thread_pool().co_run(work);
  if (err != 0)
    co_return fail_errno(err == EOPNOTSUPP ? ENOTSUP : err, "Cannot write zeroes to '", path_, "'");
  co_return Result<>();
}

CoResult<> FileNode::co_pdiscard(ByteRange range) {
  auto work = [&] {
    if (is_block_device_) {
      uint64_t r[2] = {range.offset, range.bytes};
      return ::ioctl(fd_.get(), BLKDISCARD, r) == 0 ? 0 : errno;
    }
    const auto at = static_cast<off_t>(range.offset), n = static_cast<off_t>(range.bytes);
    return ::fallocate(fd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, n) == 0 ? 0 : errno;
  };
  const int err = co_await thread_pool().co_run(work);
  (err == 0 ? discards_done_ : discards_failed_).fetch_add(1, std::memory_order_relaxed);
  if (err == 0) discarded_bytes_.fetch_add(range.bytes, std::memory_order_relaxed);
  if (err != 0) co_return fail_errno(err, "Cannot discard in '", path_, "'");
  co_return Result<>();
}

CoResult<BlockStatus> FileNode::co_block_status(ByteRange range) {
  auto work = [&] {
    const auto at = static_cast<off_t>(range.offset);
    BlockStatus s{.bytes = range.bytes, .offset_valid = true, .host_offset = range.offset};
    const off_t data = ::lseek(fd_.get(), at, SEEK_DATA);
    if (data < 0 && errno != ENXIO) return s;  // the file system does not tell
    if (data != at) {
      s.data = false;
      s.zero = true;
      if (data > at) s.bytes = static_cast<uint64_t>(data - at);
      return s;
    }
    const off_t hole = ::lseek(fd_.get(), at, SEEK_HOLE);
    if (hole > at) s.bytes = static_cast<uint64_t>(hole - at);
    return s;
  };
  BlockStatus s = co_await thread_pool().co_run(work);
  s.bytes = std::min(s.bytes, range.bytes);
  co_return s;
}

CoResult<uint64_t> FileNode::co_getlength() {
  auto work = [&]() -> Result<uint64_t> {
    uint64_t bytes = 0;
    if (is_block_device_) {
      if (::ioctl(fd_.get(), BLKGETSIZE64, &bytes) != 0)
        return fail_errno(errno, "Cannot get the size of '", path_, "'");
      return bytes;
    }
    const off_t end = ::lseek(fd_.get(), 0, SEEK_END);
    if (end < 0) return fail_errno(errno, "Cannot get the size of '", path_, "'");
    return static_cast<uint64_t>(end);
  };
  co_return co_await thread_pool().co_run(work);
}

CoResult<> FileNode::co_truncate(uint64_t bytes, Preallocation how) {
  if (how == Preallocation::kMetadata) co_return fail(ENOTSUP, "Unsupported preallocation mode 'metadata'");
  auto work = [&]() -> Result<> {
    if (is_block_device_) return fail(ENOTSUP, "Cannot resize device files");
    const off_t now = ::lseek(fd_.get(), 0, SEEK_END);
    if (how != Preallocation::kOff && now >= 0 && static_cast<uint64_t>(now) < bytes) {
      const int error = ::posix_fallocate(fd_.get(), now, static_cast<off_t>(bytes) - now);
      if (error != 0) return fail_errno(error, "Could not preallocate data");
      return {};
    }
    if (::ftruncate(fd_.get(), static_cast<off_t>(bytes)) != 0)
      return fail_errno(errno, "Failed to resize file");
    return {};
  };
  co_return co_await thread_pool().co_run(work);
}

CoResult<uint64_t> FileNode::co_allocated_size() {
  auto work = [&]() -> Result<uint64_t> {
    struct stat st {};
    if (::fstat(fd_.get(), &st) != 0) return fail_errno(errno, "Could not stat '", path_, "'");
    constexpr uint64_t kStatBlockBytes = 512;
    return static_cast<uint64_t>(st.st_blocks) * kStatBlockBytes;
  };
  co_return co_await thread_pool().co_run(work);
}

/// True if any page of the file is in the page cache. Pool thread.
bool FileNode::is_cached() const {
  struct stat st {};
  if (::fstat(fd_.get(), &st) != 0 || st.st_size <= 0) return false;
  constexpr size_t kPage = 4096, kWindow = size_t{64} << 20;
  std::vector<unsigned char> resident(kWindow / kPage);
  const auto size = static_cast<size_t>(st.st_size);
  for (size_t at = 0; at < size; at += kWindow) {
    const size_t n = std::min(kWindow, size - at);
    void* map = ::mmap(nullptr, n, PROT_READ, MAP_SHARED, fd_.get(), static_cast<off_t>(at));
    if (map == MAP_FAILED) return false;
    const bool known = ::mincore(map, n, resident.data()) == 0;
    ::munmap(map, n);
    const auto end = resident.begin() + static_cast<std::ptrdiff_t>((n + kPage - 1) / kPage);
    if (known && std::any_of(resident.begin(), end, [](unsigned char c) { return (c & 1) != 0; }))
      return true;
  }
  return false;
}

CoResult<> FileNode::co_invalidate_cache() {
  if (!drop_cache_ || flags_.direct) co_return Result<>();
  auto work = [&]() -> Result<> {
    if (::fdatasync(fd_.get()) != 0) return fail_errno(errno, "Cannot flush '", path_, "'");
    if (const int err = ::posix_fadvise(fd_.get(), 0, 0, POSIX_FADV_DONTNEED))
      return fail_errno(err, "fadvise failed for '", path_, "'");
    if (check_cache_dropped_ && is_cached()) warn_report(str_cat("'", path_, "': page cache still in use"));
    return {};
  };
  co_return co_await thread_pool().co_run(work);
}

namespace {
Result<> parse_file_filename(const std::string& filename, OptionTree& options) {
  constexpr std::string_view kPrefix = "file:";
  if (filename.starts_with(kPrefix))
    options.set("filename", filename.substr(kPrefix.size()), OptionOrigin::kFilename);
  return {};
}
}  // namespace

const BlockDriver kFileDriver = {
    .name = "file",
    .is_protocol = true,
    .needs_filename = true,
    .any_loop = true,
    .protocol_name = "file",
    .parse_filename = parse_file_filename,
    .make = []() -> std::unique_ptr<BlockDriverState> { return std::make_unique<FileNode>(); },
    .create_options = kFileCreateOptions,
    .co_create = co_create_file,
    .co_blockdev_create = co_blockdev_create_file,
};

}  // namespace rhea
