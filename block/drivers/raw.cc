// raw: shows bytes [offset, offset + size) of its child, by default all of them, as a whole disk.
#include <array>

#include "block/drivers/create_options.h"
#include "block/drivers/drivers.h"
#include "block/graph/node_opener.h"

namespace rhea {

namespace {

class RawNode final : public BlockDriverState {
 public:
  uint32_t file_role(const OptionTree& options) const override {
    const bool whole = !options.has("offset") && !options.has("size");
    return child_role::kPrimary | (whole ? child_role::kFiltered : child_role::kData);
  }

  std::string exact_filename() const override {
    return offset_ != 0 || has_size_ ? std::string() : BlockDriverState::exact_filename();
  }

  CoResult<> co_open(OpenContext& ctx) override {
    const Window window = co_await or_return(take_window(ctx.options));
    show(window);
    co_return Result<>();
  }
  CoResult<> co_reopen_prepare(OptionTree& options, const OpenFlags&) override {
    next_window_ = co_await or_return(take_window(options));
    co_return Result<>();
  }
  void reopen_commit() override {
    show(next_window_);
    set_length(length());
  }

  PermPair child_perms(const BlockEdge& child, PermPair cumulative) const override {
    PermPair p = cumulative;
    // A window does not move with the file's end, so nobody may move that.
    if ((child.role & child_role::kFiltered) == 0) p.shared &= ~blk_perm::kResize;
    return p;
  }

  bool hears_debug_events() const override { return file_ && file_.node().hears_debug_events(); }
  CoResult<> co_debug_event(std::string_view event) override { return file_.node().co_debug_event(event); }

  CoResult<> co_preadv(ByteRange range, IoVector iov) override {
    if (hears_debug_events()) [[unlikely]]
      return co_read_after_event(range, iov);
    return file_.co_preadv(ByteRange{range.offset + offset_, range.bytes}, iov);
  }
  CoResult<> co_pwritev(ByteRange range, IoVector iov) override {
    if (hears_debug_events()) [[unlikely]]
      return co_write_after_event(range, iov);
    return co_write(range, iov);
  }
  CoResult<> co_pwrite_zeroes(ByteRange range, bool may_unmap) override {
    return file_.co_pwrite_zeroes(ByteRange{range.offset + offset_, range.bytes}, may_unmap);
  }
  bool zeroes_fast(ByteRange range) const override {
    return file_.node().zeroes_fast(ByteRange{range.offset + offset_, range.bytes});
  }
  CoResult<> co_pdiscard(ByteRange range) override {
    return file_.co_pdiscard(ByteRange{range.offset + offset_, range.bytes});
  }
  CoResult<> co_flush() override { return file_.co_flush(); }
  CoResult<BlockStatus> co_block_status(ByteRange range) override {
    const ByteRange host{range.offset + offset_, range.bytes};
    BlockStatus s = co_await or_return(co_await file_.co_block_status(host));
    if (s.offset_valid) s.host_offset = host.offset;
    co_return s;
  }
  bool grows_by_writing() const override { return !has_size_ && file_.node().grows_by_writing(); }
  CoResult<uint64_t> co_getlength() override { co_return length(); }
  CoResult<> co_truncate(uint64_t bytes, Preallocation how) override {
    if (has_size_) co_return fail(ENOTSUP, "Cannot resize fixed-size raw disks");
    if (bytes > kMaxNodeBytes - offset_) co_return fail(EINVAL, "Disk size too large for the chosen offset");
    BlockDriverState& file = file_.node();
    co_await or_return(co_await file.co_truncate(bytes + offset_, how));
    co_return co_await file.co_refresh_length();
  }

 private:
  static constexpr uint64_t kProbeBytes = 512;

  /// Which bytes of the child are shown.
  struct Window {
    uint64_t offset = 0;
    std::optional<uint64_t> bytes;  ///< absent: up to the child's end
  };

  Result<Window> take_window(OptionTree& options) const {
    Window w;
    w.offset = TRY(options.take_size("offset")).value_or(0);
    w.bytes = TRY(options.take_size("size"));
    const uint64_t whole = file_.node().total_bytes();
    if (w.offset > whole)
      return fail(EINVAL, "Offset (", w.offset, ") cannot be greater than size of the containing file (",
                  whole, ")");
    if (!w.bytes) return w;
    if (*w.bytes > whole - w.offset)
      return fail(EINVAL, "The sum of offset (", w.offset, ") and size (", *w.bytes,
                  ") has to be smaller or equal to the  actual size of the containing file (", whole, ")");
    if (*w.bytes % kSectorBytes != 0) return fail(EINVAL, "Specified size is not multiple of ", kSectorBytes);
    return w;
  }
  void show(const Window& w) {
    offset_ = w.offset;
    has_size_ = w.bytes.has_value();
    size_ = w.bytes.value_or(0);
  }
  uint64_t length() const {
    if (has_size_) return size_;
    const uint64_t whole = file_.node().total_bytes();
    return whole > offset_ ? whole - offset_ : 0;
  }

  CoResult<> co_write(ByteRange range, IoVector iov) {
    const ByteRange host{range.offset + offset_, range.bytes};
    if (flags_.probed && range.offset < kProbeBytes) return co_write_probed(range, host, iov);
    return file_.co_pwritev(host, iov);
  }
  CoResult<> co_read_after_event(ByteRange range, IoVector iov) {
    co_await or_return(co_await file_.node().co_debug_event("read_aio"));
    const ByteRange host(range.offset + offset_, range.bytes);
    co_return co_await file_.co_preadv(host, iov);
  }
  CoResult<> co_write_after_event(ByteRange range, IoVector iov) {
    co_await or_return(co_await file_.node().co_debug_event("write_aio"));
    co_return co_await co_write(range, iov);
  }

  /// The format was guessed: a guest must not be able to make its disk look like another format next time.
  CoResult<> co_write_probed(ByteRange range, ByteRange host, IoVector iov) {
    std::array<uint8_t, kProbeBytes> head;
    const IoVector view(head.data(), head.size());
    co_await or_return(co_await file_.co_preadv(ByteRange(offset_, kProbeBytes), view));
    const size_t n = std::min<uint64_t>(kProbeBytes - range.offset, range.bytes);
    iov.slice(0, n).copy_to(head.data() + range.offset);
    if (looks_formatted(graph(), head))
      co_return fail(EPERM, "Node '", name(),
                     "': the guest may not write an image header to a probed raw image");
    co_return co_await file_.co_pwritev(host, iov);
  }

  uint64_t offset_ = 0;
  uint64_t size_ = 0;
  bool has_size_ = false;
  Window next_window_;  ///< between co_reopen_prepare() and commit
};

}  // namespace

const BlockDriver kRawDriver = {
    .name = "raw",
    .any_loop = true,
    // Anything can be a raw image, so anything else that is recognised goes first.
    .probe = [](std::span<const uint8_t>) { return 1; },
    .make = []() -> std::unique_ptr<BlockDriverState> { return std::make_unique<RawNode>(); },
    .create_options = kRawCreateOptions,
    .co_create = co_create_raw,
};

}  // namespace rhea
