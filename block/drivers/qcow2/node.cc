#include "block/drivers/qcow2/node.h"

#include <algorithm>

#include "block/drivers/drivers.h"
#include "block/drivers/qcow2/compress.h"
#include "block/graph/block_graph.h"
#include "block/graph/io.h"
#include "util/byteorder.h"
#include "util/thread_pool.h"

namespace rhea::qcow2 {

uint32_t Qcow2Node::file_role(const OptionTree& options) const {
  if (options.has("data-file") || options.has_below("data-file"))
    return child_role::kMetadata | child_role::kPrimary;
  return child_role::kImage;
}

void Qcow2Node::refresh_limits(BlockLimits& limits) const {
  limits.request_alignment = 1;
  limits.max_transfer = 0;
  limits.max_pdiscard = 0;
  limits.max_pwrite_zeroes = 0;
  limits.pwrite_zeroes_alignment = static_cast<uint32_t>(image_.header().subcluster_bytes());
}

// --- Reading.

CoResult<> Qcow2Node::co_preadv(ByteRange range, IoVector iov) {
  if (!image_.hears_events()) [[likely]] {
    std::lock_guard lock(image_.mutex());
    const Step<Mapping> m = image_.map(range);
    if (m && m->kind == ClusterKind::kData && m->bytes == range.bytes) [[likely]]
      return image_.data_child().co_preadv(ByteRange(m->host, range.bytes), iov);
  }
  return co_read_general(range, iov);
}

CoResult<> Qcow2Node::co_read_general(ByteRange range, IoVector iov) {
  for (uint64_t done = 0; done < range.bytes;) {
    const ByteRange rest(range.offset + done, range.bytes - done);
    auto look = [&] { return image_.map(rest); };
    const Mapping m = co_await or_return(co_await image_.co_step<Mapping>(look));
    const ByteRange run(rest.offset, m.bytes);
    co_await or_return(co_await co_read_run(m, run, iov.slice(done, m.bytes)));
    done += m.bytes;
  }
  co_return Result<>();
}

CoResult<> Qcow2Node::co_read_run(const Mapping& m, ByteRange range, IoVector iov) {
  switch (m.kind) {
    case ClusterKind::kData:
      if (image_.hears_events()) co_await or_return(co_await image_.co_event("read_aio"));
      co_return co_await image_.data_child().co_preadv(ByteRange(m.host, range.bytes), iov);
    case ClusterKind::kCompressed:
      co_return co_await co_read_compressed(m.entry, range, iov);
    case ClusterKind::kUnallocated:
      // Behind the disk's end lies machine state, which nothing shows through.
      if (backing_ && range.offset < image_.header().virtual_bytes) {
        if (image_.hears_events()) co_await or_return(co_await image_.co_event("read_backing_aio"));
        co_return co_await backing_.co_preadv(range, iov);
      }
      break;
    case ClusterKind::kZero:
      break;
  }
  iov.zero();
  co_return Result<>();
}

CoResult<> Qcow2Node::co_read_compressed(uint64_t entry, ByteRange range, IoVector iov) {
  const CompressedExtent extent = compressed_extent(entry, image_.header().cluster_bits);
  std::vector<uint8_t> packed(extent.bytes), cluster(image_.cluster_bytes());
  const IoVector view(packed.data(), packed.size());
  co_await or_return(co_await file_.co_preadv(ByteRange(extent.offset, extent.bytes), view));
  const Compression how = image_.header().compression;
  auto unpack = [&]() -> Result<> { return decompress(how, packed, cluster); };
  Result<> unpacked = co_await thread_pool().co_run(unpack);
  co_await or_return(std::move(unpacked));
  iov.copy_from(cluster.data() + image_.into_cluster(range.offset));
  co_return Result<>();
}

// --- Writing.

CoResult<> Qcow2Node::co_before_allocating() {
  if (image_.corrupt()) co_return fail(EIO, "Image '", name(), "' is corrupt");
  if (bitmaps_unmarked_) [[unlikely]]
    co_return co_await co_mark_bitmaps();
  co_return Result<>();
}

CoResult<> Qcow2Node::co_pwritev(ByteRange range, IoVector iov) {
  for (uint64_t done = 0; done < range.bytes;) {
    co_await or_return(co_await co_before_allocating());
    const ByteRange rest(range.offset + done, range.bytes - done);
    WritePlan plan;
    auto settle = [&] { return image_.plan_write(rest, plan); };
    co_await or_return(co_await image_.co_step<void>(settle));
    const uint64_t n = plan.guest.bytes;
    Result<> written = co_await co_write_plan(plan, iov.slice(done, n));
    {
      std::lock_guard lock(image_.mutex());
      image_.end_plan(plan, !written.has_value());
    }
    co_await or_return(std::move(written));
    if (plan.allocates) co_await or_return(co_await image_.co_relieve());
    done += n;
  }
  co_return Result<>();
}

CoResult<> Qcow2Node::co_write_plan(WritePlan& plan, IoVector iov) {
  if (!plan.allocates && !image_.hears_events()) [[likely]]
    return image_.data_child().co_pwritev(
        ByteRange(plan.host + (plan.guest.offset - plan.clusters.offset), plan.guest.bytes), iov);
  return plan.allocates ? co_write_with_surroundings(plan, iov) : co_write_after_event(plan, iov);
}

CoResult<> Qcow2Node::co_write_after_event(const WritePlan& plan, IoVector iov) {
  if (image_.hears_events()) co_await or_return(co_await image_.co_event("write_aio"));
  co_return co_await image_.data_child().co_pwritev(
      ByteRange(plan.host + (plan.guest.offset - plan.clusters.offset), plan.guest.bytes), iov);
}

CoResult<> Qcow2Node::co_write_with_surroundings(const WritePlan& plan, IoVector iov) {
  const uint64_t head = plan.guest.offset - plan.copied.offset, tail = plan.copied.end() - plan.guest.end();
  const uint64_t host = plan.host + (plan.copied.offset - plan.clusters.offset);
  AlignedBuffer around;
  bool head_zero = head == 0, tail_zero = tail == 0;
  if (head + tail != 0) {
    // What is around reads as zeroes more often than not; where the file is empty nothing has to be written
    // then.
    auto look_head = [&] { return image_.map(ByteRange(plan.copied.offset, std::max<uint64_t>(head, 1))); };
    auto look_tail = [&] { return image_.map(ByteRange(plan.guest.end(), std::max<uint64_t>(tail, 1))); };
    const auto is_zero = [&](const Mapping& m, uint64_t bytes) {
      return m.bytes >= bytes &&
             (m.kind == ClusterKind::kZero || (m.kind == ClusterKind::kUnallocated && !backing_));
    };
    if (!head_zero)
      head_zero = is_zero(co_await or_return(co_await image_.co_step<Mapping>(look_head)), head);
    if (!tail_zero)
      tail_zero = is_zero(co_await or_return(co_await image_.co_step<Mapping>(look_tail)), tail);
  }
  const bool skip = plan.fresh && head_zero && tail_zero;
  if (image_.hears_events()) co_await or_return(co_await image_.co_event("write_aio"));
  if (skip || head + tail == 0) {
    co_await or_return(
        co_await image_.data_child().co_pwritev(ByteRange(host + head, plan.guest.bytes), iov));
  } else {
    if (image_.hears_events()) co_await or_return(co_await image_.co_event("cow_read"));
    co_await or_return(around.allocate(4096, head + tail));
    const IoVector all = around.iov(head + tail);
    if (head_zero)
      all.slice(0, head).zero();
    else
      co_await or_return(co_await co_read_general(ByteRange(plan.copied.offset, head), all.slice(0, head)));
    if (tail_zero)
      all.slice(head, tail).zero();
    else
      co_await or_return(co_await co_read_general(ByteRange(plan.guest.end(), tail), all.slice(head, tail)));
    std::vector<iovec> pieces;
    if (head != 0) pieces.push_back({around.data(), head});
    iov.for_each([&](void* data, size_t n) { pieces.push_back({data, n}); });
    if (tail != 0) pieces.push_back({around.data() + head, tail});
    const std::span<const iovec> view(pieces);
    co_await or_return(
        co_await image_.data_child().co_pwritev(ByteRange(host, plan.copied.bytes), IoVector(view)));
  }
  co_await or_return(co_await image_.co_before_linking());
  WritePlan& mine = const_cast<WritePlan&>(plan);
  auto enter = [&] { return image_.link(mine); };
  co_return co_await image_.co_step<void>(enter);
}

CoResult<> Qcow2Node::co_pwrite_zeroes(ByteRange range, bool may_unmap) {
  const Header& h = image_.header();
  if (h.version < 3) {  // there is no zero flag: only what nothing shows through can become empty
    if (backing_ || !may_unmap) co_return fail(ENOTSUP, "Version 2 images have no zero clusters");
    const uint64_t first = image_.cluster_ceil(range.offset);
    if (first != range.offset || image_.into_cluster(range.bytes) != 0)
      co_return fail(ENOTSUP, "not whole clusters");
    co_return co_await co_pdiscard(range);
  }
  co_await or_return(co_await image_.co_before_linking());
  for (uint64_t at = range.offset; at < range.end();) {
    co_await or_return(co_await co_before_allocating());
    const ByteRange rest(at, range.end() - at);
    auto clear = [&] { return image_.zero(rest, may_unmap); };
    at += co_await or_return(co_await image_.co_step<uint64_t>(clear));
    co_await or_return(co_await image_.co_relieve());
  }
  co_return Result<>();
}

/// Whether what shows through where this image has nothing is known to be zero.
CoResult<bool> Qcow2Node::co_reads_zero_below(ByteRange range) {
  for (const BdrvChild* below = &backing_; *below; below = &below->node().backing()) {
    BlockDriverState& node = below->node();
    if (range.offset >= node.total_bytes()) co_return true;
    const uint64_t n = std::min(range.bytes, node.total_bytes() - range.offset);
    const BlockStatus s = co_await or_return(co_await co_node_block_status(node, ByteRange(range.offset, n)));
    if (s.zero && s.bytes >= n) co_return true;
    if (s.allocated || s.bytes < n || !node.backing()) co_return false;
  }
  co_return true;
}

/// A part of a subcluster that reads as zeroes anyway: the whole of it can say so.
CoResult<bool> Qcow2Node::co_pwrite_zeroes_part(ByteRange range) {
  const Header& h = image_.header();
  if (h.version < 3) co_return false;
  const uint64_t unit = h.subcluster_bytes(), first = range.offset / unit * unit;
  if (range.end() > first + unit) co_return false;
  const uint64_t seen = std::min(unit, h.virtual_bytes - first);
  co_await or_return(co_await co_before_allocating());
  co_await or_return(co_await image_.co_before_linking());
  const bool below = co_await or_return(co_await co_reads_zero_below(ByteRange(first, seen)));
  auto clear = [&]() -> Step<bool> {
    const Mapping m = STEP(image_.map(ByteRange(first, seen)));
    const bool reads_zero = m.kind == ClusterKind::kZero || (m.kind == ClusterKind::kUnallocated && below);
    if (!reads_zero || m.bytes < seen) return false;
    std::ignore = STEP(image_.zero(ByteRange(first, unit), false));
    return true;
  };
  co_return co_await image_.co_step<bool>(clear);
}

CoResult<> Qcow2Node::co_pdiscard(ByteRange range) {
  const uint64_t first = image_.cluster_ceil(range.offset);
  // The last cluster may be cut off by the image's end.
  const uint64_t end =
      range.end() >= total_bytes() ? image_.cluster_ceil(range.end()) : image_.cluster_floor(range.end());
  if (image_.header().version < 3 && backing_) co_return fail(ENOTSUP, "What lies below would show through");
  for (uint64_t at = first; at < end;) {
    co_await or_return(co_await co_before_allocating());
    const ByteRange rest(at, end - at);
    const bool backing = static_cast<bool>(backing_);
    auto drop = [&] { return image_.discard(rest, false, backing, FreeReason::kRequest); };
    at += co_await or_return(co_await image_.co_step<uint64_t>(drop));
    co_await or_return(co_await image_.co_relieve());
  }
  co_return Result<>();
}

CoResult<> Qcow2Node::co_pwrite_compressed(ByteRange range, IoVector iov) {
  const uint64_t size = image_.cluster_bytes();
  if (data_) co_return fail(ENOTSUP, "Images with an external data file cannot hold compressed clusters");
  if (range.bytes == 0) co_return Result<>();
  if (image_.into_cluster(range.offset) != 0 ||
      (range.bytes % size != 0 && range.end() != image_.header().virtual_bytes))
    co_return fail(EINVAL, "Compressed writes must be whole clusters");
  std::vector<uint8_t> plain(size), packed(size);
  for (uint64_t done = 0; done < range.bytes; done += size) {
    const uint64_t n = std::min(size, range.bytes - done);
    std::fill(plain.begin() + static_cast<ptrdiff_t>(n), plain.end(), uint8_t{0});
    const IoVector piece = iov.slice(done, n);
    piece.copy_to(plain.data());
    const Compression how = image_.header().compression;
    const std::span<uint8_t> room(packed.data(), size - 1);  // else it is not worth it
    auto pack = [&] { return compress(how, plain, room); };
    Result<size_t> packed_bytes = co_await thread_pool().co_run(pack);
    const uint64_t bytes = co_await or_return(std::move(packed_bytes));
    const uint64_t guest = range.offset + done;
    if (bytes == 0) {
      co_await or_return(co_await co_pwritev(ByteRange(guest, n), piece));
      continue;
    }
    co_await or_return(co_await co_before_allocating());
    co_await or_return(co_await image_.co_before_linking());
    auto claim = [&] { return image_.allocate_bytes(bytes); };
    const uint64_t host = co_await or_return(co_await image_.co_step<uint64_t>(claim));
    const IoVector data(packed.data(), bytes);
    Result<> written = co_await file_.co_pwritev(ByteRange(host, bytes), data);
    const uint64_t entry = compressed_entry(host, bytes, image_.header().cluster_bits);
    auto enter = [&] { return image_.link_compressed(guest, entry); };
    if (written) written = co_await image_.co_step<void>(enter);
    if (!written) {
      std::lock_guard lock(image_.mutex());
      image_.free_later(host, bytes, FreeReason::kNever);
    }
    co_await or_return(std::move(written));
    co_await or_return(co_await image_.co_relieve());
  }
  co_return Result<>();
}

CoResult<> Qcow2Node::co_flush() {
  if (!image_.writable() || image_.corrupt()) return image_.co_flush_children();
  return image_.co_checkpoint(true);
}

CoResult<BlockStatus> Qcow2Node::co_block_status(ByteRange range) {
  auto look = [&] { return image_.map(range); };
  const Mapping m = co_await or_return(co_await image_.co_step<Mapping>(look));
  BlockStatus s;
  s.bytes = m.bytes;
  s.data = m.kind == ClusterKind::kData || m.kind == ClusterKind::kCompressed;
  s.zero = m.kind == ClusterKind::kZero || (m.kind == ClusterKind::kUnallocated && !backing_);
  s.allocated = m.kind != ClusterKind::kUnallocated;
  s.compressed = m.kind == ClusterKind::kCompressed;
  s.offset_valid = m.allocated && m.kind != ClusterKind::kCompressed;
  if (s.offset_valid) {
    s.host_offset = m.host;
    s.host_node = &image_.data_child().node();
    s.may_be_hole = s.data && co_await or_return(co_await co_metadata_preallocated());
  }
  co_return s;
}

/// Whether clusters have a place in the file without being written (preallocation=metadata): then many more
/// are counted than the file has space for. Asking the file about each would be slow for all other images.
CoResult<bool> Qcow2Node::co_metadata_preallocated() {
  constexpr int kUnknown = -1;
  if (const int known = metadata_preallocated_.load(); known != kUnknown) co_return known != 0;
  const uint64_t cluster = image_.header().cluster_bytes();
  const uint64_t clusters = (file_.node().total_bytes() + cluster - 1) / cluster;
  const Result<uint64_t> allocated = co_await file_.node().co_allocated_size();
  bool found = false;
  if (allocated) {
    const uint64_t with_space = *allocated / cluster;
    const uint64_t many = std::max(with_space * 10 / 9, with_space + 2);
    uint64_t counted = 0;
    for (uint64_t i = 0; i < clusters && counted < many && clusters - i >= many - counted; ++i) {
      auto look = [&] { return image_.refcount(i); };
      if (co_await or_return(co_await image_.co_step<uint64_t>(look)) != 0) ++counted;
    }
    found = counted >= many;
  }
  metadata_preallocated_.store(found);
  co_return found;
}

// --- Size.

CoResult<> Qcow2Node::co_preallocate(uint64_t from, uint64_t to, Preallocation how) {
  for (uint64_t at = image_.cluster_floor(from); at < to;) {
    WritePlan plan;
    const ByteRange rest(at, image_.cluster_ceil(to) - at);
    auto settle = [&] { return image_.plan_write(rest, plan); };
    co_await or_return(co_await image_.co_step<void>(settle));
    Result<> done;
    if (plan.allocates) {
      const ByteRange host(plan.host, plan.clusters.bytes);
      if (how != Preallocation::kMetadata || !plan.fresh) {
        done = co_await image_.data_child().co_pwrite_zeroes(host, false);
      } else {  // the file only has to be that long
        uint8_t last[512] = {};
        const IoVector view(last, sizeof last);
        done =
            co_await image_.data_child().co_pwritev(ByteRange(host.end() - sizeof last, sizeof last), view);
      }
      auto enter = [&] { return image_.link(plan); };
      if (done) done = co_await image_.co_step<void>(enter);
    }
    {
      std::lock_guard lock(image_.mutex());
      image_.end_plan(plan, !done.has_value());
    }
    co_await or_return(std::move(done));
    co_await or_return(co_await image_.co_relieve());
    at = plan.clusters.end();
  }
  co_return co_await image_.co_checkpoint(true);
}

CoResult<> Qcow2Node::co_make_empty() {
  write_ended(ByteRange(0, total_bytes()));
  co_await or_return(co_await co_before_allocating());
  if (image_.hears_events()) co_await or_return(co_await image_.co_event("empty_image_prepare"));
  co_await or_return(co_await co_shrink(0));
  co_return co_await image_.co_checkpoint(true);
}

CoResult<> Qcow2Node::co_shrink(uint64_t bytes) {
  const uint64_t first = image_.cluster_ceil(bytes), end = image_.cluster_ceil(image_.header().virtual_bytes);
  for (uint64_t at = first; at < end;) {
    const ByteRange rest(at, end - at);
    auto drop = [&] { return image_.discard(rest, true, true, FreeReason::kOther); };
    at += co_await or_return(co_await image_.co_step<uint64_t>(drop));
    co_await or_return(co_await image_.co_relieve());
  }
  co_return Result<>();
}

CoResult<> Qcow2Node::co_truncate(uint64_t bytes, Preallocation how) {
  Header& h = image_.header();
  if (bytes % kSectorBytes != 0) co_return fail(EINVAL, "The new size must be a multiple of ", kSectorBytes);
  if (h.snapshots != 0 && h.version < 3)
    co_return fail(ENOTSUP, "Can't resize a v2 image which has snapshots");
  if (bytes < h.virtual_bytes && h.snapshots != 0)
    co_return fail(ENOTSUP, "Can't shrink an image which has snapshots");
  const uint64_t entries = (bytes + h.l2_span() - 1) / h.l2_span();
  co_await or_return(co_await co_before_allocating());
  for (const auto& b : persistent_bitmaps()) {
    if (b->inconsistent())
      co_return fail(ENOTSUP, "Cannot resize an image with the inconsistent bitmap '", b->name(), "'");
    co_await or_return(b->resize(std::max(bytes, b->bytes())));  // what is too long is cut when all went well
  }
  if (bytes < h.virtual_bytes) co_await or_return(co_await co_shrink(bytes));
  co_await or_return(co_await image_.co_grow_l1(entries));
  co_await or_return(co_await image_.co_checkpoint(true));
  const uint64_t before = h.virtual_bytes;
  h.virtual_bytes = bytes;
  Result<> written = co_await image_.co_write_header();
  if (!written) {
    h.virtual_bytes = before;
    co_return Failure(std::move(written).error().prepend("Failed to update the image size: "));
  }
  if (bytes > before && backing_ && backing_.node().total_bytes() > before) {  // it must not show through
    co_await or_return(co_await co_refresh_length());
    const ByteRange fresh(before, std::min(bytes, backing_.node().total_bytes()) - before);
    co_await or_return(co_await co_node_pwrite_zeroes(*this, fresh, false));
  }
  if (bytes > before && how != Preallocation::kOff)
    co_await or_return(co_await co_preallocate(before, bytes, how));
  co_return co_await image_.co_flush_children();
}

}  // namespace rhea::qcow2
