#include "hw/virtio/virtio_balloon.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <chrono>
#include <cstring>

#include "hw/core/machine.h"
#include "qapi/qapi_events_devices.h"
#include "util/byteorder.h"
#include "util/clock.h"

namespace rhea {

namespace {

// Features, 5.5.3.
constexpr uint64_t kStatsQueue = 1 << 1, kDeflateOnOom = 1 << 2, kPagePoison = 1 << 4,
                   kReportingQueue = 1 << 5;

constexpr const char* kStatNames[] = {"stat-swap-in",          "stat-swap-out",    "stat-major-faults",
                                      "stat-minor-faults",     "stat-free-memory", "stat-total-memory",
                                      "stat-available-memory", "stat-disk-caches", "stat-htlb-pgalloc",
                                      "stat-htlb-pgfail"};
/// The order in which users have always seen them.
constexpr uint64_t kUnknown = UINT64_MAX;

VirtioBalloon* the_balloon = nullptr;

constexpr PropertyInfo kVirtioBalloonProperties[] = {
    prop<&VirtioBalloon::deflate_on_oom>("deflate-on-oom", "on/off"),
    prop<&VirtioBalloon::free_page_hint>("free-page-hint", "on/off"),
    prop<&VirtioBalloon::page_poison>("page-poison", "on/off"),
    prop<&VirtioBalloon::free_page_reporting>("free-page-reporting", "on/off"),
    prop<&VirtioBalloon::old_config_size>("qemu-4-0-config-size"),
    {.name = "guest-stats",
     .type = "guest statistics",
     .get = [](const Object& o) -> Json { return static_cast<const VirtioBalloon&>(o).guest_stats(); },
     .has_default = false},
    {.name = "guest-stats-polling-interval",
     .type = "int",
     .get = [](const Object& o) -> Json { return static_cast<const VirtioBalloon&>(o).polling_interval_s(); },
     .set = [](Object& o, std::string_view name, const Json& value, ValueForm form) -> Result<> {
       const int64_t v = TRY(property_int(name, value, form, INT64_MIN, INT64_MAX));
       return static_cast<VirtioBalloon&>(o).set_polling_interval_s(v);
     },
     .has_default = false,
     .at_run_time = true},
};

using S = VirtioBalloon::State;
constexpr VMStateField kBalloonPoisonFields[] = {field<&S::poison>("poison_val")};
constexpr VMStateField kBalloonFields[] = {field<&S::num_pages>("num_pages"), field<&S::actual>("actual")};
constexpr VMState kBalloonPoison{.name = "virtio-balloon-device/page-poison", .fields = kBalloonPoisonFields};
constexpr const VMState* kBalloonParts[] = {&kBalloonPoison};
constexpr VMState kBalloonDeviceState{.name = "virtio-balloon-device",
                                      .version = 1,
                                      .minimum_version = 1,
                                      .fields = kBalloonFields,
                                      .subsections = kBalloonParts};
constexpr VMState kBalloonDeviceStateWithoutPoison{
    .name = "virtio-balloon-device", .version = 1, .minimum_version = 1, .fields = kBalloonFields};
constexpr VMState kVirtioBalloonState{
    .name = "virtio-balloon", .version = 1, .minimum_version = 1, .fields = kVirtioStateFields};

/// Gives the host's memory behind [host, host + bytes) back; it reads as zeros afterwards.
void discard(const GuestPlace& place) {
  const RamBlock& block = *place.block;
  const uint64_t page = block.page_bytes();
  if (place.offset % page != 0 || place.bytes % page != 0) return;
  if (block.fd() >= 0 && block.shared()) {
    std::ignore = ::fallocate(block.fd(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                              static_cast<off_t>(place.offset), static_cast<off_t>(place.bytes));
    return;
  }
  std::ignore =
      ::madvise(place.host, place.bytes, MADV_DONTNEED);  // the guest has not lost anything if it fails
}

int64_t now_s() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace

constexpr TypeInfo VirtioBalloon::kType{
    .name = "virtio-balloon-device",
    .parent = &VirtioDevice::kType,
    .create = []() -> std::shared_ptr<Object> { return std::make_shared<VirtioBalloon>(); },
    .properties = kVirtioBalloonProperties,
    .category = DeviceCategory::kMisc};

VirtioBalloon::VirtioBalloon() {
  stats_.fill(kUnknown);
}

VirtioBalloon::~VirtioBalloon() = default;

VirtioBalloon* VirtioBalloon::find() {
  return the_balloon;
}

const VMState* VirtioBalloon::vmstate() const {
  return &kVirtioBalloonState;
}

uint64_t VirtioBalloon::ram_bytes() const {
  const auto* const machine = dynamic_cast<const Machine*>(qom_root().resolve("/machine"));
  return machine != nullptr && machine->config != nullptr ? machine->config->ram_bytes : 0;
}

CoResult<> VirtioBalloon::co_prepare(DeviceContext& context) {
  context_ = &context;
  co_return Result<>();
}

Result<> VirtioBalloon::do_realize() {
  TRY(VirtioDevice::do_realize());
  if (the_balloon != nullptr) return fail(EEXIST, "Only one balloon device is supported");
  if (free_page_hint) return fail(ENOTSUP, "'free-page-hint' requires 'iothread' to be set");
  if (context_ == nullptr) return fail(EINVAL, "virtio-balloon has not been given its loop");
  the_balloon = this;
  poll_ = std::make_unique<Timer>(context_->main_loop, context_->clock, [this] { ask_for_stats(); });
  make_queues(free_page_reporting ? 4 : 3, 128);
  if (free_page_reporting) queue(kReporting)->max_size = queue(kReporting)->size = 32;
  arm_poll();
  return {};
}

void VirtioBalloon::do_unrealize() {
  the_balloon = nullptr;
  poll_.reset();
  VirtioDevice::do_unrealize();
}

uint64_t VirtioBalloon::kind_features() const {
  uint64_t f = kStatsQueue;
  if (deflate_on_oom) f |= kDeflateOnOom;
  if (page_poison) f |= kPagePoison;
  if (free_page_reporting) f |= kReportingQueue;
  return f;
}

uint32_t VirtioBalloon::config_bytes() const {
  return old_config_size || page_poison ? 16 : 8;
}

void VirtioBalloon::fill_config(std::span<uint8_t> config) {
  std::array<uint8_t, 16> c{};
  store_le<uint32_t>(&c[0], state.num_pages);
  store_le<uint32_t>(&c[4], state.actual);
  store_le<uint32_t>(&c[8], state.hint_id);
  store_le<uint32_t>(&c[12], state.poison);
  std::memcpy(config.data(), c.data(), config_bytes());
}

void VirtioBalloon::config_written(std::span<const uint8_t> config) {
  const uint32_t before = state.actual;
  const auto most = static_cast<uint32_t>(std::min<uint64_t>(ram_bytes() / kPage, UINT32_MAX));
  state.actual = std::min(load_le<uint32_t>(&config[4]), most);
  if (has_feature(kPagePoison) && config.size() >= 16) state.poison = load_le<uint32_t>(&config[12]);
  if (state.actual != before) qapi_event_send_balloon_change(static_cast<int64_t>(actual_bytes()));
}

void VirtioBalloon::set_target(uint64_t bytes) {
  const uint64_t all = ram_bytes();
  bytes = std::min(bytes, all);
  if (bytes == 0) return;
  state.num_pages = static_cast<uint32_t>((all - bytes) / kPage);
  config_changed();
}

void VirtioBalloon::forget_requests() {
  have_stats_element_ = false;
}

void VirtioBalloon::kind_reset() {
  have_stats_element_ = false;
  state.poison = 0;
}

/// The driver's buffer does not travel: it goes back into the ring, and is taken once more.
void VirtioBalloon::run_state_changed(bool running) {
  VirtioQueue* const q = queue(kStatistics);
  if (q == nullptr || q->ring == nullptr) return;
  if (!running && have_stats_element_) q->ring->unpop(stats_element_);
  if (!running) have_stats_element_ = false;
  if (!running) return;
  if (!have_stats_element_ && q->ring->position().in_use != 0) q->ring->unpop(RingElement());
  serve_all();
}

// --- Queues.

void VirtioBalloon::serve(VirtioQueue& q) {
  const size_t n = queue_number(q);
  if (n == kStatistics) return take_stats(q);
  while (may_serve(q)) {
    Result<bool> popped = q.ring->pop(element_);
    if (!popped) return broken(popped.error());
    if (!*popped) return;
    if (n == kInflate) give_pages(element_);
    if (n == kReporting && state.poison == 0) {
      const GuestView view(memory_space().view());
      for (size_t i = element_.out_pieces(); i < element_.piece_count(); ++i) {
        const RingElement::GuestPiece piece = element_.guest_piece(i);
        const GuestPlace place = view.find_whole(piece.addr, piece.bytes, true);
        if (place.host != nullptr) discard(place);
      }
    }
    complete(q, element_, 0);
  }
}

/// A list of page numbers; what is no memory is passed over.
void VirtioBalloon::give_pages(const RingElement& element) {
  const GuestView view(memory_space().view());
  std::array<uint8_t, 4> number;
  size_t have = 0;
  for (const iovec& piece : element.out()) {
    const auto* bytes = static_cast<const uint8_t*>(piece.iov_base);
    for (size_t i = 0; i < piece.iov_len; ++i) {
      number[have++] = bytes[i];
      if (have < number.size()) continue;
      have = 0;
      const GuestAddr at = GuestAddr{load_le<uint32_t>(number.data())} * kPage;
      const GuestPlace page = view.find_whole(at, kPage, true);
      if (page.host != nullptr) discard(page);
    }
  }
}

/// 5.5.6.3: tag and value, ten bytes each. The driver gets the buffer back when it is asked again.
void VirtioBalloon::take_stats(VirtioQueue& q) {
  while (may_serve(q)) {
    Result<bool> popped = q.ring->pop(element_);
    if (!popped) return broken(popped.error());
    if (!*popped) return;
    if (have_stats_element_) complete(q, stats_element_, 0);  // it has put in another without being asked
    std::swap(element_, stats_element_);
    have_stats_element_ = true;
    stats_.fill(kUnknown);
    std::array<uint8_t, 10 * 64> list{};
    size_t bytes = 0;
    for (const iovec& piece : stats_element_.out()) {
      const size_t take = std::min(piece.iov_len, list.size() - bytes);
      std::memcpy(list.data() + bytes, piece.iov_base, take);
      bytes += take;
    }
    for (size_t at = 0; at + 10 <= bytes; at += 10)
      if (const auto tag = load_le<uint16_t>(&list[at]); tag < kStats)
        stats_[tag] = load_le<uint64_t>(&list[at + 2]);
    stats_time_s_ = now_s();
    arm_poll();
  }
}

void VirtioBalloon::arm_poll() {
  if (poll_ == nullptr) return;
  if (interval_s_ > 0)
    poll_->arm_in(interval_s_ * 1'000'000'000);
  else
    poll_->cancel();
}

void VirtioBalloon::ask_for_stats() {
  VirtioQueue* const q = queue(kStatistics);
  if (!have_stats_element_ || q == nullptr || !may_serve(*q)) return arm_poll();
  have_stats_element_ = false;
  complete(*q, stats_element_, 0);
}

Json VirtioBalloon::guest_stats() const {
  Json stats = Json::object({});
  for (size_t i = 0; i < kStats; ++i) stats.set(kStatNames[i], stats_[i]);
  Json out = Json::object({});
  out.set("stats", std::move(stats));
  out.set("last-update", stats_time_s_);
  return out;
}

Result<> VirtioBalloon::set_polling_interval_s(int64_t seconds) {
  if (seconds < 0) return fail(EINVAL, "timer value must be greater than zero");
  if (seconds > UINT32_MAX) return fail(EINVAL, "timer value is too big");
  interval_s_ = seconds;
  if (seconds == 0 || poll_ == nullptr) {
    arm_poll();
    return {};
  }
  ask_for_stats();
  arm_poll();
  return {};
}

// --- Saved state.

void VirtioBalloon::save_kind(StateWriter& out) {
  vmstate_save(page_poison ? kBalloonDeviceState : kBalloonDeviceStateWithoutPoison, &state, out);
}

Result<> VirtioBalloon::load_kind(StateReader& in, int) {
  TRY(vmstate_load(kBalloonDeviceState, &state, in, kBalloonDeviceState.version));
  const uint64_t most = ram_bytes() / kPage;
  if (state.actual > most || state.num_pages > most)
    return fail(EINVAL, "the balloon has ", state.actual, " of ", state.num_pages, " pages, the machine ",
                most);
  return {};
}

}  // namespace rhea
