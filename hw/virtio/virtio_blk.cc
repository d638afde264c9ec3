#include "hw/virtio/virtio_blk.h"

#include <linux/virtio_blk.h>

#include <bit>
#include <cstring>

#include "util/log.h"

namespace rhea {

namespace {

constexpr uint64_t kSector = 512;
constexpr uint64_t bit(unsigned n) {
  return uint64_t{1} << n;
}

/// What a disk of this size has when nobody says otherwise.
HdGeometry usual_geometry(uint64_t sectors) {
  constexpr uint32_t kHeads = 16, kSectors = 63, kMost = 16383;
  const auto cyls = static_cast<uint32_t>(std::clamp<uint64_t>(sectors / (kHeads * kSectors), 2, kMost));
  return {cyls, kHeads, kSectors};
}

/// The data of a descriptor chain without what stands before or behind it.
class Pieces {
 public:
  explicit Pieces(std::span<const iovec> all) : pieces_(all.begin(), all.end()) {}
  /// Moves `bytes` off the beginning into `out`; false if there are too few.
  bool take_front(void* out, size_t bytes) {
    auto* to = static_cast<uint8_t*>(out);
    while (bytes > 0 && first_ < pieces_.size()) {
      iovec& p = pieces_[first_];
      const size_t n = std::min(bytes, p.iov_len);
      std::memcpy(to, p.iov_base, n);
      to += n;
      bytes -= n;
      p.iov_base = static_cast<uint8_t*>(p.iov_base) + n;
      p.iov_len -= n;
      if (p.iov_len == 0) ++first_;
    }
    return bytes == 0;
  }
  /// Cuts the last byte off and tells where it is; null if there is none.
  uint8_t* take_last() {
    if (pieces_.empty()) return nullptr;
    iovec& p = pieces_.back();
    uint8_t* last = static_cast<uint8_t*>(p.iov_base) + --p.iov_len;
    if (p.iov_len == 0) pieces_.pop_back();
    return last;
  }
  IoVector view() const { return IoVector(std::span(pieces_).subspan(first_)); }

 private:
  std::vector<iovec> pieces_;
  size_t first_ = 0;
};

}  // namespace

struct VirtioBlk::Request {
  RingElement element;
  VirtioQueue* queue = nullptr;
  uint64_t epoch = 0;
  virtio_blk_outhdr header{};
  std::optional<Pieces> out, in;
  uint8_t* status = nullptr;
};

namespace {

constexpr std::array kOwnProperties = {
    prop<&VirtioBlk::serial>("serial"),
    prop<&VirtioBlk::config_wce>("config-wce", "on/off"),
    prop<&VirtioBlk::scsi>("scsi", "on/off"),
    prop<&VirtioBlk::request_merging>("request-merging", "on/off"),
    prop<&VirtioBlk::num_queues>("num-queues"),
    prop<&VirtioBlk::queue_size>("queue-size"),
    prop<&VirtioBlk::seg_max_adjust>("seg-max-adjust"),
    prop<&VirtioBlk::discard>("discard", "on/off"),
    prop<&VirtioBlk::write_zeroes>("write-zeroes", "on/off"),
    prop<&VirtioBlk::max_discard_sectors>("max-discard-sectors"),
    prop<&VirtioBlk::max_write_zeroes_sectors>("max-write-zeroes-sectors"),
};
constexpr std::array kGeometry = {
    detail::conf_prop<&VirtioBlk::conf, &BlockConf::cyls>("cyls"),
    detail::conf_prop<&VirtioBlk::conf, &BlockConf::heads>("heads"),
    detail::conf_prop<&VirtioBlk::conf, &BlockConf::secs>("secs"),
};
constexpr auto kAllProperties =
    join_properties(block_conf_properties<&VirtioBlk::conf>, kGeometry, kOwnProperties);

}  // namespace

constexpr TypeInfo VirtioBlk::kType{
    .name = "virtio-blk-device",
    .parent = &VirtioDevice::kType,
    .create = []() -> std::shared_ptr<Object> { return std::make_shared<VirtioBlk>(); },
    .properties = kAllProperties};

std::span<const PropertyInfo> VirtioBlk::properties() {
  return kAllProperties;
}

VirtioBlk::VirtioBlk() = default;

VirtioBlk::~VirtioBlk() {
  if (hold_.get() != nullptr && hold_.get()->device() == this) hold_.get()->detach_device();
}

CoResult<> VirtioBlk::co_prepare(DeviceContext& context) {
  Result<> sizes = check_block_sizes(conf);
  co_await or_return(std::move(sizes));
  Result<> checked = check_properties();
  co_await or_return(std::move(checked));
  if (conf.rerror == BlockdevOnError::kStop || conf.werror == BlockdevOnError::kStop ||
      conf.werror == BlockdevOnError::kEnospc)
    co_return fail(ENOTSUP, "stopping the machine at an error is not supported by virtio-blk");
  auto finding = hold_.co_find(context.block, conf, {.type = "virtio-blk-pci", .resizable = true});
  co_return co_await finding;
}

Result<> VirtioBlk::check_properties() const {
  if (scsi) return fail(ENOTSUP, "scsi=on is not supported: pass SCSI devices through virtio-scsi");
  if (num_queues == 0) return fail(EINVAL, "num-queues property must be larger than 0");
  if (num_queues != kAutoQueues && num_queues > 1024)
    return fail(EINVAL, "num-queues property must be at most 1024");
  if (queue_size <= 2) return fail(EINVAL, "invalid queue-size property (", queue_size, "), must be > 2");
  if (!std::has_single_bit(queue_size) || queue_size > 1024)
    return fail(EINVAL, "invalid queue-size property (", queue_size, "), must be a power of 2 (max 1024)");
  for (const uint32_t sectors : {max_discard_sectors, max_write_zeroes_sectors})
    if (sectors == 0 || sectors > kMaxSectors)
      return fail(EINVAL, "invalid max sectors (", sectors, "), must be between 1 and ", kMaxSectors);
  return {};
}

Result<> VirtioBlk::do_realize() {
  if (hold_.get() == nullptr) return fail(EINVAL, "virtio-blk has not been given its drive");
  default_block_sizes(conf);
  TRY(hold_.get()->attach_device(this, id(), path()));
  hold_.get()->enable_iostatus();
  make_queues(num_queues == kAutoQueues ? 1 : num_queues, queue_size);
  return {};
}

void VirtioBlk::do_unrealize() {
  ++epoch_;
  VirtioDevice::do_unrealize();
  hold_.get()->detach_device();
}

CoResult<> VirtioBlk::co_stop() {
  stopped_ = true;
  co_return co_await gate_.co_close();
}

// --- Features and configuration (5.2.3, 5.2.4).

uint64_t VirtioBlk::kind_features() const {
  uint64_t f = bit(VIRTIO_BLK_F_SEG_MAX) | bit(VIRTIO_BLK_F_GEOMETRY) | bit(VIRTIO_BLK_F_TOPOLOGY) |
               bit(VIRTIO_BLK_F_BLK_SIZE) | bit(VIRTIO_BLK_F_FLUSH);
  if (config_wce) f |= bit(VIRTIO_BLK_F_CONFIG_WCE);
  if (discard) f |= bit(VIRTIO_BLK_F_DISCARD);
  if (write_zeroes) f |= bit(VIRTIO_BLK_F_WRITE_ZEROES);
  if (queue_count() > 1) f |= bit(VIRTIO_BLK_F_MQ);
  const BlockBackend* blk = hold_.get();
  if (blk != nullptr && blk->node() != nullptr && blk->node()->read_only()) f |= bit(VIRTIO_BLK_F_RO);
  return f;
}

uint64_t VirtioBlk::capacity_sectors() const {
  const Result<uint64_t> bytes = hold_.get()->getlength();
  return bytes ? *bytes / kSector : 0;
}

void VirtioBlk::fill_config(std::span<uint8_t> config) {
  virtio_blk_config c{};
  c.capacity = capacity_sectors();
  c.seg_max = seg_max_adjust ? queue_size - 2u : 126;
  const HdGeometry g = conf.cyls != 0 ? conf.geometry() : usual_geometry(c.capacity);
  c.geometry.cylinders = static_cast<uint16_t>(g.cyls);
  c.geometry.heads = static_cast<uint8_t>(g.heads);
  c.geometry.sectors = static_cast<uint8_t>(g.secs);
  c.blk_size = static_cast<uint32_t>(conf.logical_block_size);
  c.physical_block_exp = static_cast<uint8_t>(std::countr_zero(conf.physical_block_size) -
                                              std::countr_zero(conf.logical_block_size));
  c.min_io_size = static_cast<uint16_t>(conf.min_io_size / conf.logical_block_size);
  c.opt_io_size = static_cast<uint32_t>(conf.opt_io_size / conf.logical_block_size);
  c.wce = hold_.get()->write_cache_enabled();
  c.num_queues = static_cast<uint16_t>(queue_count());
  const auto granularity = static_cast<uint32_t>(std::max<uint64_t>(conf.discard_granularity, kSector));
  c.discard_sector_alignment = granularity / kSector;
  c.max_discard_sectors = max_discard_sectors;
  c.max_discard_seg = 1;
  c.max_write_zeroes_sectors = max_write_zeroes_sectors;
  c.max_write_zeroes_seg = 1;
  c.write_zeroes_may_unmap = 1;
  std::memcpy(config.data(), &c, std::min<size_t>(sizeof c, config_bytes()));
}

void VirtioBlk::config_written(std::span<const uint8_t> config) {
  if (has_feature(bit(VIRTIO_BLK_F_CONFIG_WCE)))
    hold_.get()->set_write_cache_enabled(config[offsetof(virtio_blk_config, wce)] != 0);
}

// --- Requests (5.2.6).

void VirtioBlk::serve(VirtioQueue& queue) {
  while (drained_ == 0 && !stopped_ && may_serve(queue)) {
    std::unique_ptr<Request> request;
    if (spare_.empty()) {
      request = std::make_unique<Request>();
    } else {
      request = std::move(spare_.back());
      spare_.pop_back();
    }
    Result<bool> popped = queue.ring->pop(request->element);
    if (!popped) return broken(popped.error());
    if (!*popped) {
      spare_.push_back(std::move(request));
      return;
    }
    request->queue = &queue;
    start(std::move(request));
  }
}

void VirtioBlk::start(std::unique_ptr<Request> request) {
  Request& r = *request;
  r.epoch = epoch_;
  r.out.emplace(r.element.out());
  r.in.emplace(r.element.in());
  r.status = r.in->take_last();
  if (r.status == nullptr || !r.out->take_front(&r.header, sizeof r.header))
    return broken(Error(EINVAL, "virtio-blk: missing headers"));
  ++in_flight_;
  auto work = co_execute(r);
  gate_.spawn<uint8_t>(std::move(work), [this, request = std::move(request)](Result<uint8_t> status) mutable {
    finish(std::move(request), status ? *status : uint8_t{VIRTIO_BLK_S_IOERR});
  });
}

CoResult<uint8_t> VirtioBlk::co_execute(Request& request) {
  switch (request.header.type & ~uint32_t{VIRTIO_BLK_T_BARRIER}) {
    case VIRTIO_BLK_T_IN:
      return co_transfer(request, false);
    case VIRTIO_BLK_T_OUT:
      return co_transfer(request, true);
    case VIRTIO_BLK_T_DISCARD:
    case VIRTIO_BLK_T_WRITE_ZEROES:
      return co_ranges(request, request.header.type == VIRTIO_BLK_T_WRITE_ZEROES);
    default:
      break;
  }
  return [](VirtioBlk& self, Request& r) -> CoResult<uint8_t> {
    if (r.header.type == VIRTIO_BLK_T_GET_ID) co_return self.give_id(r);
    if (r.header.type != VIRTIO_BLK_T_FLUSH) co_return uint8_t{VIRTIO_BLK_S_UNSUPP};
    Result<> flushed = co_await self.hold_.get()->co_flush();
    co_return flushed ? uint8_t{VIRTIO_BLK_S_OK} : self.failed(false, flushed.error());
  }(*this, request);
}

uint8_t VirtioBlk::give_id(Request& request) const {
  char id[VIRTIO_BLK_ID_BYTES] = {};
  std::memcpy(id, serial.data(), std::min(serial.size(), sizeof id));
  const IoVector to = request.in->view();
  to.slice(0, std::min(to.size(), sizeof id)).copy_from(id);
  return VIRTIO_BLK_S_OK;
}

CoResult<uint8_t> VirtioBlk::co_transfer(Request& request, bool is_write) {
  const IoVector data = is_write ? request.out->view() : request.in->view();
  const uint64_t sector = request.header.sector, total = capacity_sectors();
  const uint64_t block = conf.logical_block_size / kSector;
  const bool inside = data.size() % kSector == 0 && sector <= total &&
                      data.size() / kSector <= total - sector && sector % block == 0 &&
                      data.size() % conf.logical_block_size == 0;
  if (!inside || (is_write && (kind_features() & bit(VIRTIO_BLK_F_RO)) != 0))
    co_return uint8_t{VIRTIO_BLK_S_IOERR};
  const ByteRange range{sector * kSector, data.size()};
  auto work = is_write ? hold_.get()->co_pwritev(range, data) : hold_.get()->co_preadv(range, data);
  Result<> done = co_await work;
  if (!done) co_return failed(!is_write, done.error());
  co_return uint8_t{VIRTIO_BLK_S_OK};
}

CoResult<uint8_t> VirtioBlk::co_ranges(Request& request, bool zeroes) {
  virtio_blk_discard_write_zeroes range{};
  const uint64_t feature = bit(zeroes ? VIRTIO_BLK_F_WRITE_ZEROES : VIRTIO_BLK_F_DISCARD);
  const uint32_t most = zeroes ? max_write_zeroes_sectors : max_discard_sectors;
  if ((kind_features() & feature) == 0) co_return uint8_t{VIRTIO_BLK_S_UNSUPP};
  // One range, as the configuration says.
  if (request.out->view().size() != sizeof range || !request.out->take_front(&range, sizeof range))
    co_return uint8_t{VIRTIO_BLK_S_UNSUPP};
  const bool unmap = (range.flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP) != 0;
  if ((range.flags & ~uint32_t{VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP}) != 0 || (unmap && !zeroes))
    co_return uint8_t{VIRTIO_BLK_S_UNSUPP};
  const uint64_t total = capacity_sectors();
  if (range.num_sectors > most || range.sector > total || range.num_sectors > total - range.sector ||
      (kind_features() & bit(VIRTIO_BLK_F_RO)) != 0)
    co_return uint8_t{VIRTIO_BLK_S_IOERR};
  const ByteRange bytes{range.sector * kSector, uint64_t{range.num_sectors} * kSector};
  auto work = zeroes ? hold_.get()->co_pwrite_zeroes(bytes, unmap) : hold_.get()->co_pdiscard(bytes);
  Result<> done = co_await work;
  if (!done) co_return failed(false, done.error());
  co_return uint8_t{VIRTIO_BLK_S_OK};
}

uint8_t VirtioBlk::failed(bool is_read, const Error& error) {
  const IoErrorAction action = hold_.get()->error_action(is_read, error.errnum());
  if (action == IoErrorAction::kIgnore) return VIRTIO_BLK_S_OK;
  hold_.get()->set_iostatus_error(error.errnum());
  return VIRTIO_BLK_S_IOERR;
}

void VirtioBlk::finish(std::unique_ptr<Request> request, uint8_t status) {
  --in_flight_;
  Request& r = *request;
  if (r.epoch == epoch_ && r.queue->ring != nullptr) {
    *r.status = status;
    const auto written = static_cast<uint32_t>(std::min<uint64_t>(r.element.in_bytes(), UINT32_MAX));
    complete(*r.queue, r.element, written);
  }
  spare_.push_back(std::move(request));
  if (in_flight_ == 0) became_quiet();
}

}  // namespace rhea
