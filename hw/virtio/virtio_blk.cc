#include "hw/virtio/virtio_blk.h"

#include <linux/virtio_blk.h>

#include <bit>
#include <cstring>

#include "accel/accel.h"
#include "block/graph/block_graph.h"
#include "hw/core/link_property.h"
#include "hw/virtio/virtio_blk_lane.h"

namespace rhea {

namespace {

constexpr uint64_t kSector = 512;
constexpr uint64_t bit(unsigned n) {
  return uint64_t{1} << n;
}

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
    link_property<VirtioBlk, IoThread, &VirtioBlk::iothread, &VirtioBlk::set_iothread>("iothread",
                                                                                       "link<iothread>"),
    PropertyInfo{
        .name = "iothread-vq-mapping",
        .type = "IOThreadVirtQueueMappingList",
        .description = "[{\"iothread\": ID, \"vqs\": [NUMBER, ...]}, ...]",
        .get = [](const Object& o) { return static_cast<const VirtioBlk&>(o).iothread_mapping.to_json(); },
        .set = [](Object& o, std::string_view name, const Json& value, ValueForm) -> Result<> {
          static_cast<VirtioBlk&>(o).iothread_mapping = TRY(IoThreadMapping::parse(name, value));
          return {};
        }},
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
  drop_lanes();
  if (hold_.get() != nullptr && hold_.get()->device() == this) hold_.get()->detach_device();
}

CoResult<> VirtioBlk::co_prepare(DeviceContext& context) {
  context_ = &context;
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
  if (num_queues == kAutoQueues) {  // one a processor
    const size_t cpus = machine_accelerator() != nullptr ? machine_accelerator()->vcpus().size() : 1;
    num_queues = static_cast<uint16_t>(std::clamp<size_t>(cpus, 1, virtio::kMaxQueues));
  }
  TRY(make_lanes());
  if (Result<> attached = hold_.get()->attach_device(this, id(), path()); !attached) {
    drop_lanes();
    return attached;
  }
  hold_.get()->enable_iostatus();
  original_wce_ = hold_.get()->write_cache_enabled();
  make_queues(num_queues, queue_size);
  return {};
}

void VirtioBlk::do_unrealize() {
  forget_requests();
  VirtioDevice::do_unrealize();
  drop_lanes();
  hold_.get()->detach_device();
  hold_.release();
}

CoResult<> VirtioBlk::co_stop() {
  if (hold_.get() == nullptr) co_return Result<>();
  const UndelayedRequests undelayed(*hold_.get());
  for (size_t i = 0; i < lanes_.size(); ++i) co_await lanes_[i]->co_stop();
  co_return Result<>();
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

// --- Where requests are served.

Result<> VirtioBlk::make_lanes() {
  const bool mapped = !iothread_mapping.entries.empty();
  if (iothread_ != nullptr && mapped)
    return fail(EINVAL, "iothread and iothread-vq-mapping properties cannot be set at the same time");
  if ((iothread_ != nullptr || mapped) && !transport().has_doorbells())
    return fail(EINVAL, "ioeventfd is required for ", mapped ? "iothread-vq-mapping" : "iothread");
  threads_ = AppliedMapping{.threads = {}, .thread_of = std::vector<size_t>(num_queues)};
  if (mapped) threads_ = TRY(apply_mapping(iothread_mapping, num_queues));
  if (iothread_ != nullptr) threads_.threads.push_back(iothread_);
  for (const auto& thread : threads_.threads)
    lanes_.push_back(std::make_unique<VirtioBlkLane>(*this, thread->loop()));
  if (!lanes_.empty()) return {};
  AioContext* loop = nullptr;
  if (transport().has_doorbells() && context_->io_loop) loop = TRY(context_->io_loop());
  lanes_.push_back(std::make_unique<VirtioBlkLane>(*this, loop));
  return {};
}

void VirtioBlk::drop_lanes() {
  lanes_.clear();
  threads_ = {};
}

void VirtioBlk::post_main(std::move_only_function<void(VirtioBlk&)> fn) {
  context_->main_loop.post([weak = weak_from_this(), fn = std::move(fn)]() mutable {
    const std::shared_ptr<Object> alive = weak.lock();
    auto* const self = static_cast<VirtioBlk*>(alive.get());
    if (self != nullptr && self->realized()) fn(*self);
  });
}

AioContext* VirtioBlk::queue_loop(size_t n) const {
  return lanes_.empty() ? nullptr : lane_of(n).loop();
}

void VirtioBlk::doorbell(size_t n) {
  lane_of(n).serve(*queue(n));
}

void VirtioBlk::kind_serving_changed(bool on) {
  for (auto& lane : lanes_) lane->at_home([&] { lane->set_serving(on); });
}

void VirtioBlk::forget_requests() {
  ++epoch_;
  for (auto& lane : lanes_) lane->at_home([&] { lane->forget(epoch_); });
}

bool VirtioBlk::is_quiet() const {
  bool busy = false;
  for (const auto& lane : lanes_) lane->at_home([&] { busy |= lane->is_busy(); });
  return !busy;
}

bool VirtioBlk::is_busy() const {
  return std::ranges::any_of(lanes_, [](const auto& lane) { return lane->is_busy(); });
}

void VirtioBlk::machine_resumed() {
  for (auto& lane : lanes_) lane->at_home([&] { lane->retry(); });
}

void VirtioBlk::drained_begin() {
  for (auto& lane : lanes_) lane->at_home([&] { lane->drained_begin(); });
}

void VirtioBlk::drained_end() {
  for (auto& lane : lanes_) lane->at_home([&] { lane->drained_end(); });
}

void VirtioBlk::requests_ended() {
  for (auto& lane : lanes_) lane->at_home([] {});
  transport().deliver_signals();
}

// --- Saved state: the requests that wait.

void VirtioBlk::save_kind(StateWriter& out) {
  auto save = [&](size_t from, const RingElement& element) {
    out.put_u8(1);
    if (queue_count() > 1) out.put_be32(static_cast<uint32_t>(from));
    save_element(out, element);
  };
  for (auto& lane : lanes_) lane->at_home([&] { lane->for_each_waiting(save); });
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
    VirtioBlkLane& lane = lane_of(saved.queue);
    Result<> restored;
    lane.at_home([&] {
      restored = lane.add_waiting(from, [&](RingElement& element) -> Result<> {
        TRY(restore_element(element, saved.element, from));
        slots[saved.queue] += element.slots;
        if (slots[saved.queue] > from.ring->position().in_use)
          return fail(EINVAL, "more requests wait in queue ", saved.queue, " than were taken from it");
        return {};
      });
    });
    TRY(std::move(restored));
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
