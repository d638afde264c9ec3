#include "block/graph/block_driver_state.h"

#include <algorithm>
#include <cassert>

#include "block/graph/block_backend.h"
#include "block/graph/block_graph.h"
#include "block/graph/io.h"

namespace rhea {

std::string_view perm_bit_name(int bit) {
  static constexpr std::string_view kNames[] = {"consistent read", "write", "write unchanged", "resize"};
  return kNames[bit & 3];
}

std::string perm_names(uint32_t perm) {
  std::string out;
  for (int bit = 0; bit < blk_perm::kCount; ++bit) {
    if ((perm & (1u << bit)) == 0) continue;
    if (!out.empty()) out += ", ";
    out += perm_bit_name(bit);
  }
  return out;
}

std::string_view detect_zeroes_name(DetectZeroes d) {
  static constexpr std::string_view kNames[] = {"off", "on", "unmap"};
  return kNames[static_cast<size_t>(d)];
}

std::string BlockEdge::parent_description() const {
  if (parent_node != nullptr) return str_cat("node '", parent_node->name(), "'");
  if (parent_backend == nullptr) return "a block device that is gone";
  const std::string& id =
      parent_backend->name().empty() ? parent_backend->device_id_or_path() : parent_backend->name();
  return id.empty() ? "an unnamed block device" : str_cat("block device '", id, "'");
}

void BdrvChild::reset() {
  if (edge_ == nullptr) return;
  std::shared_ptr<BlockEdge> edge = std::move(edge_);
  BlockDriverState& child = *std::exchange(edge->child, nullptr);
  std::erase(child.parents_, edge.get());
  child.graph_->edge_removed(child);
  NodeRef last(child);  // the reference this edge held
  --child.refs_;
}

CoResult<> BdrvChild::co_preadv(ByteRange range, IoVector iov) const {
  return co_node_preadv(node(), range, iov);
}
CoResult<> BdrvChild::co_pwritev(ByteRange range, IoVector iov) const {
  return co_node_pwritev(node(), range, iov, edge_->may_grow());
}
CoResult<> BdrvChild::co_pwrite_zeroes(ByteRange range, bool may_unmap) const {
  return co_node_pwrite_zeroes(node(), range, may_unmap, edge_->may_grow());
}
CoResult<> BdrvChild::co_pdiscard(ByteRange range) const {
  return co_node_pdiscard(node(), range);
}
CoResult<> BdrvChild::co_flush() const {
  return co_node_flush(node());
}
CoResult<BlockStatus> BdrvChild::co_block_status(ByteRange range) const {
  return co_node_block_status(node(), range);
}

BlockDriverState::~BlockDriverState() {
  assert(parents_.empty());
}

std::vector<const BdrvChild*> BlockDriverState::children() const {
  std::vector<const BdrvChild*> out;
  if (file_) out.push_back(&file_);
  if (backing_) out.push_back(&backing_);
  for (const BdrvChild& c : other_children_) out.push_back(&c);
  return out;
}

PermPair BlockDriverState::cumulative_perms() const {
  PermPair sum;
  for (const BlockEdge* e : parents_) {
    sum.perm |= e->perms.perm;
    sum.shared &= e->perms.shared;
  }
  return sum;
}

bool BlockDriverState::has_backend() const {
  return std::ranges::any_of(parents_, [](const BlockEdge* e) { return e->parent_node == nullptr; });
}

std::string BlockDriverState::exact_filename() const {
  if (!file_ || file_.node().filename().starts_with("json:")) return {};
  return file_.node().filename();
}

Json BlockDriverState::full_options() const {
  Json out = Json::object();
  out.set("driver", driver().name);
  for (const OptionTree::Entry& e : explicit_options_.entries()) {
    const bool generic = e.key == "node-name" || e.key == "driver" || e.key == "read-only" ||
                         e.key == "auto-read-only" || e.key == "discard" || e.key == "detect-zeroes" ||
                         e.key == "force-share" || e.key.starts_with("cache.");
    if (!generic && e.key.find('.') == std::string::npos && e.key != "file" && e.key != "backing")
      out.set(e.key, e.value);
  }
  if (!out.find("filename") && !file_ && !filename_.empty()) out.set("filename", filename_);
  for (const BdrvChild* c : children()) out.set(c->name(), c->node().full_options());
  return out;
}

PermPair BlockDriverState::child_perms(const BlockEdge& child, PermPair cumulative) const {
  using namespace blk_perm;
  if ((child.role & child_role::kFiltered) != 0) return cumulative;
  if ((child.role & child_role::kCow) != 0) {  // a backing file must stay as it is
    const uint32_t shared = (cumulative.shared & kWrite) != 0 ? kWrite | kResize : 0;
    return {cumulative.perm & kConsistentRead, shared | kConsistentRead | kWriteUnchanged};
  }
  PermPair p = cumulative;
  if ((child.role & child_role::kMetadata) != 0) {
    // Tables may be written and the file may grow as long as the image is writable, used or not: what is in
    // memory is written at close. Nobody else may do so.
    if (!read_only()) p.perm |= kWrite | kResize;
    p.perm |= kConsistentRead;
    p.shared &= ~(kWrite | kResize);
  }
  return p;
}

CoResult<> BlockDriverState::co_close() {
  co_return Result<>();
}
CoResult<> BlockDriverState::co_check_perm(PermPair) {
  co_return Result<>();
}

CoResult<> BlockDriverState::co_commit_perm() {
  co_return Result<>();
}
CoResult<> BlockDriverState::co_abort_perm() {
  co_return Result<>();
}

CoResult<> BlockDriverState::co_reopen_prepare(OptionTree&, const OpenFlags&) {
  co_return Result<>();
}

CoResult<> BlockDriverState::co_pwritev(ByteRange, IoVector) {
  co_return fail(ENOTSUP, "Driver '", driver().name, "' cannot write");
}
CoResult<> BlockDriverState::co_pwrite_zeroes(ByteRange, bool) {
  co_return fail(ENOTSUP, "Driver '", driver().name, "' cannot write zeroes");
}
bool BlockDriverState::zeroes_fast(ByteRange range) const {
  if (!driver().is_filter) return false;
  const std::vector<const BdrvChild*> all = children();
  return !all.empty() && all.front()->node().zeroes_fast(range);
}
CoResult<> BlockDriverState::co_pdiscard(ByteRange) {
  co_return fail(ENOTSUP, "Driver '", driver().name, "' cannot discard");
}
CoResult<> BlockDriverState::co_pwrite_compressed(ByteRange, IoVector) {
  co_return fail(ENOTSUP, "Driver '", driver().name, "' cannot write compressed data");
}
CoResult<> BlockDriverState::co_flush() {
  if (!file_) co_return Result<>();
  co_return co_await file_.co_flush();
}
CoResult<BlockStatus> BlockDriverState::co_block_status(ByteRange range) {
  co_return BlockStatus{.bytes = range.bytes};
}
CoResult<> BlockDriverState::co_truncate(uint64_t, Preallocation) {
  co_return fail(ENOTSUP, "Image format driver does not support resize");
}
CoResult<uint64_t> BlockDriverState::co_allocated_size() {
  if (!file_) co_return fail(ENOTSUP, "Driver '", driver().name, "' does not know its allocated size");
  co_return co_await file_.node().co_allocated_size();
}

CoResult<ImageDetails> BlockDriverState::co_details() {
  co_return ImageDetails{};
}
CoResult<CheckResult> BlockDriverState::co_check(CheckOptions) {
  co_return fail(ENOTSUP, "This image format does not support checks");
}
CoResult<> BlockDriverState::co_snapshot_create(ImageSnapshot) {
  co_return fail(ENOTSUP, "Block format '", driver().name, "' does not support internal snapshots");
}
CoResult<> BlockDriverState::co_snapshot_apply(const std::string&) {
  co_return fail(ENOTSUP, "Block format '", driver().name, "' does not support internal snapshots");
}
CoResult<> BlockDriverState::co_snapshot_load(const std::string&) {
  co_return fail(ENOTSUP, "Block format '", driver().name, "' does not support internal snapshots");
}
CoResult<> BlockDriverState::co_snapshot_delete(const std::string&) {
  co_return fail(ENOTSUP, "Block format '", driver().name, "' used by device '", name(),
                 "' does not support internal snapshot deletion");
}
CoResult<> BlockDriverState::co_load_vmstate(uint64_t at, IoVector iov) {
  if (!file_ || driver().is_protocol)
    co_return fail(ENOTSUP, "Driver '", driver().name, "' keeps no machine state");
  co_return co_await file_.node().co_load_vmstate(at, iov);
}
CoResult<> BlockDriverState::co_save_vmstate(uint64_t at, IoVector iov) {
  if (!file_ || driver().is_protocol)
    co_return fail(ENOTSUP, "Driver '", driver().name, "' keeps no machine state");
  co_return co_await file_.node().co_save_vmstate(at, iov);
}
CoResult<> BlockDriverState::co_make_empty() {
  co_return fail(ENOTSUP, "Driver '", driver().name, "' cannot empty an image");
}
CoResult<bool> BlockDriverState::co_pwrite_zeroes_part(ByteRange) {
  co_return false;
}
CoResult<> BlockDriverState::co_amend(OptionTree&) {
  co_return fail(ENOTSUP, "Format driver '", driver().name, "' does not support option amendment");
}
CoResult<> BlockDriverState::co_change_backing_name(BackingName) {
  co_return fail(ENOTSUP, "Block format '", driver().name, "' knows no backing files");
}

CoResult<> BlockDriverState::co_check_new_bitmap(const std::string&, uint64_t) {
  co_return fail_errno(ENOTSUP, "Can't store persistent bitmaps to ", name());
}
CoResult<> BlockDriverState::co_remove_stored_bitmap(const std::string&) {
  co_return fail_errno(ENOTSUP, "Can't remove persistent bitmaps from ", name());
}

CoResult<> BlockDriverState::co_invalidate_cache() {
  co_return Result<>();
}

CoResult<> BlockDriverState::co_refresh_length() {
  const uint64_t bytes = co_await or_return(co_await co_getlength());
  if (bytes > kMaxNodeBytes) co_return fail(EFBIG, "Node '", name_, "' is too large");
  total_bytes_.store((bytes + kSectorBytes - 1) / kSectorBytes * kSectorBytes, std::memory_order_relaxed);
  bitmaps_.resize(total_bytes());
  co_return Result<>();
}

void BlockDriverState::update_watched() {
  watched_.store(!bitmaps_.empty() || write_threshold_ != 0, std::memory_order_release);
}

void BlockDriverState::add_bitmap(std::shared_ptr<DirtyBitmap> bitmap) {
  bitmaps_.add(std::move(bitmap));
  update_watched();
}

void BlockDriverState::remove_bitmap(const DirtyBitmap& bitmap) {
  bitmaps_.remove(bitmap);
  update_watched();
}

void BlockDriverState::set_write_threshold(uint64_t bytes) {
  write_threshold_.store(bytes, std::memory_order_release);
  update_watched();
}

void BlockDriverState::tell_of_write(ByteRange range) {
  bitmaps_.mark(range);
  uint64_t threshold = write_threshold_.load(std::memory_order_acquire);
  if (threshold == 0 || range.end() <= threshold) return;
  // Told once, by whoever takes it away.
  if (!write_threshold_.compare_exchange_strong(threshold, 0)) return;
  if (graph_->write_threshold_exceeded)
    graph_->write_threshold_exceeded(*this, range.end() - threshold, threshold);
}

void BlockDriverState::raise_length(uint64_t bytes) {
  uint64_t now = total_bytes_.load(std::memory_order_relaxed);
  if (bytes <= now) return;
  const uint64_t wanted = (bytes + kSectorBytes - 1) / kSectorBytes * kSectorBytes;
  while (now < wanted && !total_bytes_.compare_exchange_weak(now, wanted, std::memory_order_relaxed))
    continue;
}

void NodeRef::reset() {
  if (node_ == nullptr) return;
  BlockDriverState& node = *std::exchange(node_, nullptr);
  if (--node.refs_ == 0) node.graph_->node_unreferenced(node);
}

CoResult<> BlockDriverState::co_debug_event(std::string_view) {
  co_return Result<>();
}

Result<> BlockDriverState::debug_break(std::string_view event, std::string_view tag) {
  if (file_) return file_.node().debug_break(event, tag);
  return fail_errno(ENOTSUP, "Could not set breakpoint");
}

Result<> BlockDriverState::debug_remove_break(std::string_view tag) {
  if (file_) return file_.node().debug_remove_break(tag);
  return fail_errno(ENOTSUP, "Could not remove breakpoint ", tag);
}

Result<> BlockDriverState::debug_resume(std::string_view tag) {
  if (file_) return file_.node().debug_resume(tag);
  return fail_errno(ENOTSUP, "Could not resume request");
}

bool BlockDriverState::debug_is_suspended(std::string_view tag) {
  return file_ && file_.node().debug_is_suspended(tag);
}

}  // namespace rhea
