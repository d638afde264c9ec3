// The drive as a device: properties, backend, commands outside the PACKET protocol (ide_cd_packet.cc).
#include "hw/ide/ide_cd.h"

#include <algorithm>

#include "block/graph/block_graph.h"
#include "hw/ide/drive_events.h"
#include "hw/ide/ide_bus.h"
#include "hw/ide/ide_dma.h"

namespace rhea {

using namespace ata;

namespace {

std::shared_ptr<Object> make() {
  return std::make_shared<IdeCd>();
}

Result<> check_size(const char* name, uint64_t value) {
  constexpr uint64_t kMin = 512, kMax = 2 << 20;
  if (value == 0) return {};
  if (value < kMin || value > kMax)
    return fail(EINVAL, "Property .", name, " doesn't take value ", value, " (minimum: ", kMin,
                ", maximum: ", kMax, ")");
  if ((value & (value - 1)) != 0)
    return fail(EINVAL, "Property .", name, " doesn't take value '", value, "', it's not a power of 2");
  return {};
}

/// Block sizes are refused where they are set, before anything else can be wrong.
template <auto Member>
constexpr PropertyInfo prop_block_size(const char* name) {
  using C = decltype(detail::class_of_member(Member));
  PropertyInfo info = prop_size<Member>(name, "A power of two between 512 B and 2 MiB");
  info.set = [](Object& o, std::string_view n, const Json& value, ValueForm form) -> Result<> {
    const uint64_t size = TRY(property_size(n, value, form));
    TRY(check_size(std::string(n).c_str(), size));
    static_cast<C&>(o).*Member = size;
    return {};
  };
  return info;
}

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

constexpr PropertyInfo IdeCd::kProperties[] = {
    prop<&IdeCd::drive_>("drive", "Node name or ID of a block device to use as a backend"),
    prop<&IdeCd::backend_defaults_>("backend_defaults", "on/off/auto"),
    prop_block_size<&IdeCd::logical_block_size_>("logical_block_size"),
    prop_block_size<&IdeCd::physical_block_size_>("physical_block_size"),
    prop_size<&IdeCd::min_io_size_>("min_io_size"),
    prop_size<&IdeCd::opt_io_size_>("opt_io_size"),
    prop_size<&IdeCd::discard_granularity_>("discard_granularity"),
    prop<&IdeCd::write_cache_>("write-cache", "on/off/auto"),
    prop<&IdeCd::share_rw_>("share-rw"),
    prop<&IdeCd::account_invalid_>("account-invalid", "on/off/auto"),
    prop<&IdeCd::account_failed_>("account-failed", "on/off/auto"),
    prop<&IdeCd::rerror_>("rerror", "Error handling policy, report/ignore/enospc/stop/auto"),
    prop<&IdeCd::werror_>("werror", "Error handling policy, report/ignore/enospc/stop/auto"),
    prop<&IdeCd::version_>("ver"),
    prop<&IdeCd::wwn_>("wwn"),
    prop<&IdeCd::serial_>("serial"),
    prop<&IdeCd::model_>("model"),
    prop<&IdeCd::bootindex_>("bootindex"),
};
constexpr TypeInfo IdeCd::kType{.name = "ide-cd",
                                .parent = &IdeDrive::kType,
                                .create = make,
                                .properties = IdeCd::kProperties,
                                .description = "virtual IDE CD-ROM",
                                .user_creatable = true};

IdeCd::~IdeCd() {
  if (blk_ != nullptr && blk_->device() == this) blk_->detach_device();
}

CoResult<> IdeCd::co_prepare(DeviceContext& context) {
  Result<> sizes = check_block_sizes();
  co_await or_return(std::move(sizes));
  Result<> found = co_await co_find_backend(context);
  co_await or_return(std::move(found));
  // The machine's run state is out of a drive's reach: a policy that needs it is refused, not ignored.
  blk_->set_error_policy(policy_of(rerror_, blk_->on_read_error()),
                         policy_of(werror_, blk_->on_write_error()));
  if (blk_->on_read_error() == BlockErrorPolicy::kStop)
    co_return fail(ENOTSUP, "rerror=stop is not supported by ide-cd");
  if (write_cache_ != OnOffAuto::kAuto) blk_->set_write_cache_enabled(write_cache_ == OnOffAuto::kOn);
  co_return Result<>();
}

CoResult<> IdeCd::co_find_backend(DeviceContext& context) {
  PermPair perms;
  perms.perm = blk_perm::kConsistentRead;
  perms.shared = blk_perm::kConsistentRead | blk_perm::kWriteUnchanged | (share_rw_ ? blk_perm::kWrite : 0u);
  BlockGraph& graph = context.block;
  if (drive_.empty()) {
    own_ = std::make_unique<BlockBackend>(graph, "", perms);
    blk_ = own_.get();
    co_return Result<>();
  }
  if (BlockBackend* named = graph.find_backend(drive_)) {
    if (named->has_device())
      co_return fail(EBUSY, "Drive '", drive_, "' is already in use by another device");
    Result<GraphWriteLock> locked = co_await graph.co_lock();
    GraphWriteLock lock = co_await or_return(std::move(locked));
    Result<> allowed = co_await named->co_set_perm(lock, perms);
    co_await or_return(std::move(allowed));
    blk_ = named;
    co_return Result<>();
  }
  Result<GraphWriteLock> locked = co_await graph.co_lock();
  GraphWriteLock lock = co_await or_return(std::move(locked));
  BlockDriverState* node = graph.find_node(drive_);
  if (node == nullptr) co_return fail(ENODEV, "Property 'ide-cd.drive' can't find value '", drive_, "'");
  auto backend = std::make_unique<BlockBackend>(graph, "", perms);
  Result<> inserted = co_await backend->co_insert(lock, *node);
  co_await or_return(std::move(inserted));
  own_ = std::move(backend);
  blk_ = own_.get();
  co_return Result<>();
}

Result<> IdeCd::check_block_sizes() const {
  const uint64_t logical = logical_block_size_ != 0 ? logical_block_size_ : 512;
  const uint64_t physical = physical_block_size_ != 0 ? physical_block_size_ : 512;
  if (logical > physical) return fail(EINVAL, "logical_block_size > physical_block_size not supported");
  if (min_io_size_ % logical != 0)
    return fail(EINVAL, "min_io_size must be a multiple of logical_block_size");
  if (opt_io_size_ % logical != 0)
    return fail(EINVAL, "opt_io_size must be a multiple of logical_block_size");
  if (logical != 512) return fail(EINVAL, "logical_block_size must be 512 for IDE");
  if (discard_granularity_ != UINT32_MAX && discard_granularity_ != 512 && discard_granularity_ != 0)
    return fail(EINVAL, "discard_granularity must be 512 for ide");
  return {};
}

Result<> IdeCd::do_realize() {
  if (blk_ == nullptr) return fail(EINVAL, "ide-cd has not been given its drive");
  // Serial numbers count the places of a machine: its guests know their drives by them.
  if (serial_.empty()) {
    std::string number = str_cat(1 + 2 * ide_bus()->number() + static_cast<int>(unit()));
    serial_ = str_cat("QM", std::string(5 - number.size(), '0'), number);
  }
  if (version_.empty()) version_ = "2.5+";
  atapi_.identity.serial = serial_.substr(0, 20);
  atapi_.identity.version = version_.substr(0, 8);
  atapi_.identity.model = model_.empty() ? "QEMU DVD-ROM" : model_.substr(0, 40);
  atapi_.identity.wwn = wwn_;
  if (logical_block_size_ == 0) logical_block_size_ = 512;
  if (physical_block_size_ == 0) physical_block_size_ = 512;
  if (discard_granularity_ == UINT32_MAX) discard_granularity_ = 512;
  TRY(blk_->attach_device(this, id(), path()));
  blk_->enable_iostatus();
  atapi_.tray.on_moved = [this](bool open) { send_tray_moved(*blk_, open); };
  set_signature();
  return {};
}

void IdeCd::do_unrealize() {
  cancel();
  atapi_.tray.on_moved = nullptr;
  blk_->detach_device();
}

CdMedium IdeCd::medium() const {
  if (!blk_->is_inserted()) return {};
  const Result<uint64_t> bytes = blk_->getlength();
  const uint64_t sectors = bytes ? *bytes / kCdSectorBytes : 0;
  // READ CAPACITY tells the last sector in 32 bits.
  return {.present = sectors != 0, .sectors = static_cast<uint32_t>(std::min<uint64_t>(sectors, UINT32_MAX))};
}

Result<> IdeCd::change_media_cb(bool load) {
  if (load)
    atapi_.tray.host_load();
  else
    atapi_.tray.host_unload();
  return {};
}

void IdeCd::eject_request_cb(bool force) {
  atapi_.tray.host_eject_request(force);
}

// --- commands

void IdeCd::set_signature() {
  TaskFile& r = slot().regs;
  r.sector_count = 1;
  r.lba_low = 1;
  r.lba_mid = 0x14;
  r.lba_high = 0xeb;
  r.error = 1;   // diagnostic passed
  r.status = 0;  // a packet device is not "ready" before its first command, 9.12
}

void IdeCd::bus_reset() {
  mode = TransferMode();
  atapi_.reset();
}

bool IdeCd::execute(uint8_t command) {
  TaskFile& r = slot().regs;
  switch (command) {
    case kPacket:
      return packet();
    case kIdentifyPacket:
      return identify();
    case kIdentify:
    case kReadSectors:  // 8.15, 8.27: aborted, with the signature that says why
      set_signature();
      return false;
    case kSetFeatures:
      return set_features();
    case kCheckPowerMode:
      r.sector_count = 0xff;  // active
      break;
    case kIdleImmediate:
    case kStandbyImmediate:
    case kSleep:
      break;
    default:
      return false;  // NOP too: 8.18
  }
  channel().raise_interrupt();
  return true;
}

bool IdeCd::identify() {
  PioTransfer& pio = slot().pio;
  const IdentifyData d = identify_packet_device(atapi_.identity, mode);
  pio.clear();
  pio.data.assign(d.begin(), d.end());
  pio.end = pio.data.size();
  channel().start_pio(slot(), true);
  return true;
}

bool IdeCd::set_features() {  // 8.46
  const TaskFile& r = slot().regs;
  switch (r.feature) {
    case 0x03:
      if (!mode.set(r.sector_count)) return false;
      break;
    case 0x66:  // keep or restore settings at a software reset
    case 0xcc:
      break;
    default:
      return false;
  }
  channel().raise_interrupt();
  return true;
}

}  // namespace rhea
