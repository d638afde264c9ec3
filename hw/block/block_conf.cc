#include "hw/block/block_conf.h"

#include "block/graph/block_graph.h"

namespace rhea {

namespace {

constexpr uint64_t kSector = 512;

BlockErrorPolicy policy_of(BlockdevOnError p, BlockErrorPolicy otherwise) {
  switch (p) {
    case BlockdevOnError::kReport:
      return BlockErrorPolicy::kReport;
    case BlockdevOnError::kIgnore:
      return BlockErrorPolicy::kIgnore;
    case BlockdevOnError::kEnospc:
      return BlockErrorPolicy::kEnospc;
    case BlockdevOnError::kStop:
      return BlockErrorPolicy::kStop;
    case BlockdevOnError::kAuto:
      break;
  }
  return otherwise;
}

}  // namespace

Result<uint64_t> detail::block_size_from_json(std::string_view name, const Json& value, ValueForm form,
                                              bool power_of_two) {
  constexpr uint64_t kMin = 512, kMax = 2 << 20;
  const uint64_t size = TRY(property_size(name, value, form));
  if (!power_of_two || size == 0) return size;
  // Refused where it is set, before anything else can be wrong.
  if (size < kMin || size > kMax)
    return fail(EINVAL, "Property .", name, " doesn't take value ", size, " (minimum: ", kMin,
                ", maximum: ", kMax, ")");
  if ((size & (size - 1)) != 0)
    return fail(EINVAL, "Property .", name, " doesn't take value '", size, "', it's not a power of 2");
  return size;
}

Result<> check_block_sizes(const BlockConf& conf) {
  const uint64_t logical = conf.logical_block_size != 0 ? conf.logical_block_size : kSector;
  const uint64_t physical = conf.physical_block_size != 0 ? conf.physical_block_size : kSector;
  if (logical > physical) return fail(EINVAL, "logical_block_size > physical_block_size not supported");
  if (conf.min_io_size % logical != 0)
    return fail(EINVAL, "min_io_size must be a multiple of logical_block_size");
  if (conf.opt_io_size % logical != 0)
    return fail(EINVAL, "opt_io_size must be a multiple of logical_block_size");
  if (conf.discard_granularity != BlockConf::kUnsetGranularity && conf.discard_granularity % logical != 0)
    return fail(EINVAL, "discard_granularity must be a multiple of logical_block_size");
  return {};
}

void default_block_sizes(BlockConf& conf) {
  if (conf.logical_block_size == 0) conf.logical_block_size = kSector;
  if (conf.physical_block_size == 0) conf.physical_block_size = kSector;
  if (conf.discard_granularity == BlockConf::kUnsetGranularity)
    conf.discard_granularity = conf.logical_block_size;
}

CoResult<> BlockHold::co_find(BlockGraph& graph, const BlockConf& conf, BlockNeeds needs) {
  if (needs.read_only_as_node) {
    const BlockBackend* named = graph.find_backend(conf.drive);
    const BlockDriverState* node = named != nullptr ? named->node() : graph.find_node(conf.drive);
    needs.read_only = node != nullptr && node->read_only();
  }
  PermPair perms;
  perms.perm = blk_perm::kConsistentRead | (needs.read_only ? 0u : blk_perm::kWrite);
  perms.shared = blk_perm::kConsistentRead | blk_perm::kWriteUnchanged |
                 (needs.resizable ? blk_perm::kResize : 0u) | (conf.share_rw ? blk_perm::kWrite : 0u);
  Result<> taken = co_await co_take(graph, conf, needs, perms);
  co_await or_return(std::move(taken));
  blk_->set_error_policy(policy_of(conf.rerror, blk_->on_read_error()),
                         policy_of(conf.werror, blk_->on_write_error()));
  if (conf.write_cache != OnOffAuto::kAuto) blk_->set_write_cache_enabled(conf.write_cache == OnOffAuto::kOn);
  co_return Result<>();
}

CoResult<> BlockHold::co_take(BlockGraph& graph, const BlockConf& conf, BlockNeeds needs, PermPair perms) {
  const std::string& drive = conf.drive;
  if (drive.empty()) {
    if (!needs.may_be_absent) co_return fail(ENODEV, "No drive specified");
    own_ = std::make_unique<BlockBackend>(graph, "", perms);
    blk_ = own_.get();
    co_return Result<>();
  }
  if (BlockBackend* named = graph.find_backend(drive)) {
    if (named->has_device()) co_return fail(EBUSY, "Drive '", drive, "' is already in use by another device");
    if (!needs.may_be_absent && named->node() == nullptr)
      co_return fail(ENOMEDIUM, "Device needs media, but drive is empty");
    Result<GraphWriteLock> locked = co_await graph.co_lock();
    GraphWriteLock lock = co_await or_return(std::move(locked));
    Result<> allowed = co_await named->co_set_perm(lock, perms);
    co_await or_return(std::move(allowed));
    blk_ = named;
    co_return Result<>();
  }
  Result<GraphWriteLock> locked = co_await graph.co_lock();
  GraphWriteLock lock = co_await or_return(std::move(locked));
  BlockDriverState* node = graph.find_node(drive);
  if (node == nullptr)
    co_return fail(ENODEV, "Property '", needs.type, ".drive' can't find value '", drive, "'");
  auto backend = std::make_unique<BlockBackend>(graph, "", perms);
  Result<> inserted = co_await backend->co_insert(lock, *node);
  co_await or_return(std::move(inserted));
  own_ = std::move(backend);
  blk_ = own_.get();
  co_return Result<>();
}

CoResult<HdGeometry> co_disk_geometry(const BlockConf& conf, BlockBackend& blk, HdGeometryLimits limits) {
  const HdGeometry given = conf.geometry();
  if (given.given()) {
    Result<> checked = check_geometry(given, limits);
    co_await or_return(std::move(checked));
    co_return given;
  }
  Result<uint64_t> length = blk.getlength();
  const uint64_t bytes = co_await or_return(std::move(length));
  std::array<uint8_t, kSector> first{};
  if (bytes >= first.size()) {
    const ByteRange range(0, first.size());
    Result<> read = co_await blk.co_peek(range, IoVector(first.data(), first.size()));
    if (!read) first.fill(0);  // a disk that cannot be read has no history
  }
  co_return guess_geometry(first, bytes / kSector).geometry;
}

}  // namespace rhea
