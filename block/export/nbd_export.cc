#include "block/export/nbd_export.h"

#include "block/graph/status.h"

namespace rhea {

using namespace nbd;

uint16_t NbdExport::flags() const {
  uint16_t f = flag::kHasFlags | flag::kSendFlush | flag::kSendFua | flag::kSendCache;
  if (config_.multi_conn) f |= flag::kCanMultiConn;
  f |= config_.writable ? flag::kSendTrim | flag::kSendWriteZeroes | flag::kSendFastZero : flag::kReadOnly;
  return f;
}

uint32_t NbdExport::max_block() const {
  const uint64_t limit = backend_.node()->limits().max_transfer;
  return limit == 0 ? kMaxPayload : static_cast<uint32_t>(std::min<uint64_t>(limit, kMaxPayload));
}

std::string NbdExport::context_name(uint32_t context) const {
  if (context == nbd_context::kBaseAllocation) return "base:allocation";
  if (context == nbd_context::kAllocationDepth && config_.allocation_depth) return "qemu:allocation-depth";
  return {};
}

void NbdExport::watch_medium(BlockBackend& drive, std::function<void()> gone) {
  unwatch_medium();
  watched_ = &drive;
  drive.set_removal_listener(this, [this, gone = std::move(gone)] {
    watched_ = nullptr;
    gone();
  });
}

void NbdExport::unwatch_medium() {
  if (watched_ != nullptr) std::exchange(watched_, nullptr)->set_removal_listener(this, {});
}

CoResult<> NbdExport::co_open(BlockDriverState& node) {
  GraphWriteLock lock = co_await or_return(co_await backend_.graph().co_lock());
  co_await or_return(co_await backend_.co_insert(lock, node));
  bytes_ = node.total_bytes();
  co_return Result<>();
}

CoResult<> NbdExport::co_close() {
  if (backend_.node() == nullptr) co_return Result<>();
  if (config_.writable) std::ignore = co_await backend_.co_flush();  // nobody is left to be told
  GraphWriteLock lock = co_await or_return(co_await backend_.graph().co_lock());
  if (backend_.node() != nullptr) co_await or_return(co_await backend_.co_remove(lock));
  co_return co_await backend_.graph().co_reap(lock);
}

CoResult<std::vector<NbdExtent>> co_nbd_extents(NbdExport& exported, uint32_t context, ByteRange range,
                                                size_t most) {
  std::vector<NbdExtent> out;
  RequestGate::Pass pass = co_await exported.backend().gate().co_enter();
  BlockDriverState* node = exported.backend().node();
  if (node == nullptr) co_return fail(EIO, "The export has no medium");
  while (range.bytes != 0) {
    const ChainStatus s = co_await or_return(co_await co_status_above(*node, range));
    // Behind the end (the node became shorter) nothing is known.
    const uint64_t n = s.status.bytes != 0 ? s.status.bytes : range.bytes;
    uint32_t flags = (s.status.data ? 0 : kStateHole) | (s.status.zero ? kStateZero : 0);
    if (context == nbd_context::kAllocationDepth) flags = static_cast<uint32_t>(s.depth);
    if (!out.empty() && out.back().flags == flags) {
      out.back().bytes += static_cast<uint32_t>(n);
    } else {
      if (out.size() == most) break;
      out.push_back({static_cast<uint32_t>(n), flags});
    }
    range = ByteRange{range.offset + n, range.bytes - n};
  }
  co_return std::move(out);
}

}  // namespace rhea
