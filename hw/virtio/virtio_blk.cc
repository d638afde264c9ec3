#include "hw/virtio/virtio_blk.h"

#include <linux/virtio_blk.h>

#include <bit>
#include <cstring>

#include "accel/accel.h"
#include "block/graph/block_graph.h"
#include "block/qmp/io_error.h"
#include "util/log.h"

namespace rhea {

namespace {

constexpr uint64_t kSector = 512;
constexpr uint64_t bit(unsigned n) {
  return uint64_t{1} << n;
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
    prop<&VirtioBlk::report_discard_granularity>("report-discard-granularity"),
    prop<&VirtioBlk::wce_if_config_wce>("x-enable-wce-if-config-wce"),
    prop<&VirtioBlk::queue_size>("queue-size"),
    prop<&VirtioBlk::seg_max_adjust>("seg-max-adjust"),
    prop<&VirtioBlk::discard>("discard", "on/off"),
    prop<&VirtioBlk::write_zeroes>("write-zeroes", "on/off"),
    prop<&VirtioBlk::max_discard_sectors>("max-discard-sectors"),
    prop<&VirtioBlk::max_write_zeroes_sectors>("max-write-zeroes-sectors"),
};
constexpr auto kAllProperties = join_properties(block_conf_properties<&VirtioBlk::conf>,
                                                hd_conf_properties<&VirtioBlk::conf>, kOwnProperties);
constexpr VMState kVirtioBlkState{
    .name = "virtio-blk", .version = 2, .minimum_version = 2, .fields = kVirtioStateFields};

}  // namespace

constexpr TypeInfo VirtioBlk::kType{
    .name = "virtio-blk-device",
    .parent = &VirtioDevice::kType,
    .create = []() -> std::shared_ptr<Object> { return std::make_shared<VirtioBlk>(); },
    .properties = kAllProperties,
    .category = DeviceCategory::kStorage};

const VMState* VirtioBlk::vmstate() const {
  return &kVirtioBlkState;
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
  auto finding = hold_.co_find(context.block, conf,
                               {.type = "virtio-blk-device", .read_only_as_node = true, .resizable = true});
  Result<> found = co_await finding;
  co_await or_return(std::move(found));
  constexpr HdGeometryLimits kLimits{65535, 255, 255};
  Result<HdGeometry> chosen = co_await co_disk_geometry(conf, *hold_.get(), kLimits);
  geometry_ = co_await or_return(std::move(chosen));
  co_return Result<>();
}

Result<> VirtioBlk::check_properties() const {
  if (scsi) return fail(ENOTSUP, "scsi=on is not supported: pass SCSI devices through virtio-scsi");
  if (num_queues == 0) return fail(EINVAL, "num-queues property must be larger than 0");
  if (num_queues != kAutoQueues && num_queues > 1024)
    return fail(EINVAL, "num-queues property must be at most 1024");
  if (queue_size <= 2) return fail(EINVAL, "invalid queue-size property (", queue_size, "), must be > 2");
  if (!std::has_single_bit(queue_size) || queue_size > 1024)
    return fail(EINVAL, "invalid queue-size property (", queue_size, "), must be a power of 2 (max 1024)");
  auto check_most = [](const char* name, uint32_t sectors) -> Result<> {
    if (sectors != 0 && sectors <= kMaxSectors) return {};
    return fail(EINVAL, "invalid ", name, " property (", sectors, "), must be between 1 and ", kMaxSectors);
  };
  if (discard) TRY(check_most("max-discard-sectors", max_discard_sectors));
  if (write_zeroes) TRY(check_most("max-write-zeroes-sectors", max_write_zeroes_sectors));
  return {};
}

Result<> VirtioBlk::do_realize() {
  TRY(VirtioDevice::do_realize());
  if (hold_.get() == nullptr) return fail(EINVAL, "virtio-blk has not been given its drive");
  default_block_sizes(conf);
  TRY(hold_.get()->attach_device(this, id(), path()));
  hold_.get()->enable_iostatus();
  original_wce_ = hold_.get()->write_cache_enabled();
  if (num_queues == kAutoQueues) {  // one a processor
    const size_t cpus = machine_accelerator() != nullptr ? machine_accelerator()->vcpus().size() : 1;
    num_queues = static_cast<uint16_t>(std::clamp<size_t>(cpus, 1, virtio::kMaxQueues));
  }
  make_queues(num_queues, queue_size);
  return {};
}

void VirtioBlk::do_unrealize() {
  ++epoch_;
  VirtioDevice::do_unrealize();
  hold_.get()->detach_device();
  hold_.release();
}

CoResult<> VirtioBlk::co_stop() {
  stopped_ = true;
  if (hold_.get() == nullptr) co_return co_await gate_.co_close();
  const UndelayedRequests undelayed(*hold_.get());
  Result<> r = co_await gate_.co_close();
  co_return r;
}

// --- Features and configuration (5.2.3, 5.2.4).

uint64_t VirtioBlk::kind_features() const {
  uint64_t f = bit(VIRTIO_BLK_F_SEG_MAX) | bit(VIRTIO_BLK_F_GEOMETRY) | bit(VIRTIO_BLK_F_TOPOLOGY) |
               bit(VIRTIO_BLK_F_BLK_SIZE);
  if (config_wce) f |= bit(VIRTIO_BLK_F_CONFIG_WCE);
  if (discard) f |= bit(VIRTIO_BLK_F_DISCARD);
  if (write_zeroes) f |= bit(VIRTIO_BLK_F_WRITE_ZEROES);
  if (queue_count() > 1) f |= bit(VIRTIO_BLK_F_MQ);
  const BlockBackend* blk = hold_.get();
  if ((config_wce && wce_if_config_wce) || (blk != nullptr && blk->write_cache_enabled()))
    f |= bit(VIRTIO_BLK_F_FLUSH);
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
  c.geometry.cylinders = static_cast<uint16_t>(geometry_.cyls);
  c.geometry.heads = static_cast<uint8_t>(geometry_.heads);
  c.geometry.sectors = static_cast<uint8_t>(geometry_.secs);
  c.blk_size = static_cast<uint32_t>(conf.logical_block_size);
  c.physical_block_exp = static_cast<uint8_t>(std::countr_zero(conf.physical_block_size) -
                                              std::countr_zero(conf.logical_block_size));
  c.min_io_size = static_cast<uint16_t>(conf.min_io_size / conf.logical_block_size);
  c.opt_io_size = static_cast<uint32_t>(conf.opt_io_size / conf.logical_block_size);
  c.wce = hold_.get()->write_cache_enabled();
  c.num_queues = static_cast<uint16_t>(queue_count());
  const uint64_t reported = report_discard_granularity ? conf.discard_granularity : conf.logical_block_size;
  const auto granularity = static_cast<uint32_t>(std::max(reported, kSector));
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

/// S0.17: a driver that knows nothing of caches must find its writes durable.
void VirtioBlk::driver_ready() {
  if (!has_feature(bit(VIRTIO_BLK_F_CONFIG_WCE)))
    hold_.get()->set_write_cache_enabled(has_feature(bit(VIRTIO_BLK_F_FLUSH)));
}

void VirtioBlk::kind_reset() {
  hold_.get()->set_write_cache_enabled(original_wce_);
}

// --- Requests (5.2.6).

std::unique_ptr<VirtioBlk::Request> VirtioBlk::take_spare() {
  if (spare_.empty()) return std::make_unique<Request>();
  std::unique_ptr<Request> request = std::move(spare_.back());
  spare_.pop_back();
  return request;
}

void VirtioBlk::forget_requests() {
  ++epoch_;
  for (auto& request : waiting_) spare_.push_back(std::move(request));
  waiting_.clear();
  retry_ = false;
}

void VirtioBlk::machine_resumed() {
  retry_ = true;
  if (drained_ == 0) try_again();
}

void VirtioBlk::drained_end() {
  if (--drained_ == 0) try_again();
}

/// What failed and waited first, then what the driver has put into the queues meanwhile.
void VirtioBlk::try_again() {
  if (std::exchange(retry_, false) && !stopped_) {
    for (auto& request : std::exchange(waiting_, {})) start(std::move(request));
  }
  serve_all();
}

void VirtioBlk::serve(VirtioQueue& queue) {
  while (drained_ == 0 && !stopped_ && may_serve(queue)) {
    std::unique_ptr<Request> request = take_spare();
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
  switch (handle_io_error(*hold_.get(), is_read, error.errnum())) {
    case IoErrorAction::kIgnore:
      return VIRTIO_BLK_S_OK;
    case IoErrorAction::kStop:
      return kWaits;
    case IoErrorAction::kReport:
      break;
  }
  return VIRTIO_BLK_S_IOERR;
}

void VirtioBlk::finish(std::unique_ptr<Request> request, uint8_t status) {
  --in_flight_;
  Request& r = *request;
  const bool wanted = r.epoch == epoch_ && r.queue->ring != nullptr;
  if (wanted && status == kWaits) {
    waiting_.push_back(std::move(request));
    return;
  }
  if (wanted) {
    *r.status = status;
    const auto written = static_cast<uint32_t>(std::min<uint64_t>(r.element.in_bytes(), UINT32_MAX));
    complete(*r.queue, r.element, written);
  }
  spare_.push_back(std::move(request));
  if (in_flight_ == 0) became_quiet();
}

// --- Saved state: the requests that wait.

void VirtioBlk::save_kind(StateWriter& out) {
  for (const auto& request : waiting_) {
    out.put_u8(1);
    if (queue_count() > 1) out.put_be32(static_cast<uint32_t>(queue_number(*request->queue)));
    save_element(out, request->element);
  }
  out.put_u8(0);
}

Result<> VirtioBlk::load_kind(StateReader& in, int) {
  loaded_.clear();
  while (in.get_u8() != 0) {
    SavedRequest saved;
    if (queue_count() > 1) saved.queue = in.get_be32();
    if (saved.queue >= queue_count()) return fail(EINVAL, "a request waits in queue ", saved.queue);
    saved.element = TRY(load_element(in));
    if (!in.ok()) return fail(EINVAL, "the requests that wait end too early");
    loaded_.push_back(std::move(saved));
  }
  return {};
}

Result<> VirtioBlk::kind_loaded(std::span<const uint8_t> config) {
  std::vector<SavedRequest> loaded = std::exchange(loaded_, {});
  std::vector<uint32_t> slots(queue_count());
  for (const SavedRequest& saved : loaded) {
    VirtioQueue& from = *queue(saved.queue);
    auto request = take_spare();
    TRY(restore_element(request->element, saved.element, from));
    slots[saved.queue] += request->element.slots;
    if (slots[saved.queue] > from.ring->position().in_use)
      return fail(EINVAL, "more requests wait in queue ", saved.queue, " than were taken from it");
    request->queue = &from;
    request->epoch = epoch_;
    waiting_.push_back(std::move(request));
  }
  // The space was saved as the driver last saw or wrote it; one that nobody looked at has no capacity.
  constexpr size_t kWce = offsetof(virtio_blk_config, wce);
  const bool seen =
      config.size() > kWce && std::ranges::any_of(config.first(8), [](uint8_t b) { return b != 0; });
  if (seen && has_feature(bit(VIRTIO_BLK_F_CONFIG_WCE)))
    hold_.get()->set_write_cache_enabled(config[kWce] != 0);
  return {};
}

}  // namespace rhea
