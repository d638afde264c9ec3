#include "hw/floppy/floppy_drive.h"

#include "block/graph/block_graph.h"

namespace rhea {

namespace {

std::shared_ptr<Object> make_floppy_drive() {
  return std::make_shared<FloppyDrive>();
}

// No rerror, werror and bootindex: errors are the guest's, and the controller has the boot order.
constexpr std::array kFloppyDriveProperties = {
    prop<&FloppyDrive::unit>("unit"),
    prop<&FloppyDrive::drive_type>("drive-type", "FDC drive type, 144/288/120/none/auto"),
    detail::conf_prop<&FloppyDrive::conf, &BlockConf::drive>(
        "drive", "Node name or ID of a block device to use as a backend"),
    detail::conf_prop<&FloppyDrive::conf, &BlockConf::backend_defaults>("backend_defaults", "on/off/auto"),
    detail::conf_size<&FloppyDrive::conf, &BlockConf::logical_block_size, true>(
        "logical_block_size", "A power of two between 512 B and 2 MiB"),
    detail::conf_size<&FloppyDrive::conf, &BlockConf::physical_block_size, true>(
        "physical_block_size", "A power of two between 512 B and 2 MiB"),
    detail::conf_size<&FloppyDrive::conf, &BlockConf::min_io_size>("min_io_size"),
    detail::conf_size<&FloppyDrive::conf, &BlockConf::opt_io_size>("opt_io_size"),
    detail::conf_size<&FloppyDrive::conf, &BlockConf::discard_granularity>("discard_granularity"),
    detail::conf_prop<&FloppyDrive::conf, &BlockConf::write_cache>("write-cache", "on/off/auto"),
    detail::conf_prop<&FloppyDrive::conf, &BlockConf::share_rw>("share-rw"),
    detail::conf_prop<&FloppyDrive::conf, &BlockConf::account_invalid>("account-invalid", "on/off/auto"),
    detail::conf_prop<&FloppyDrive::conf, &BlockConf::account_failed>("account-failed", "on/off/auto"),
};

/// What `drive` names now; null: nothing, or an empty drive.
const BlockDriverState* named_node(const BlockGraph& graph, const std::string& drive) {
  if (const BlockBackend* backend = graph.find_backend(drive)) return backend->node();
  return graph.find_node(drive);
}

}  // namespace

constexpr TypeInfo FloppyDrive::kType{.name = "floppy",
                                      .parent = &Device::kType,
                                      .create = make_floppy_drive,
                                      .properties = kFloppyDriveProperties,
                                      .description = "virtual floppy drive",
                                      .user_creatable = true,
                                      .category = DeviceCategory::kStorage};
constexpr TypeInfo FloppyBus::kType{.name = "floppy-bus", .parent = &Bus::kType, .made_by_owner = true};

FloppyDrive::~FloppyDrive() {
  if (hold_.get() != nullptr && hold_.get()->device() == this) hold_.get()->detach_device();
}

FloppyBus& FloppyDrive::floppy_bus() const {
  return *static_cast<FloppyBus*>(bus());
}

std::string FloppyDrive::fw_name() const {
  return str_cat("floppy@", hex(unit));
}

int32_t FloppyDrive::boot_index() const {
  return bus() != nullptr && unit < FloppyBus::kDrives ? floppy_bus().bootindex[unit] : -1;
}

PermPair FloppyDrive::perms(bool writes) const {
  PermPair p;
  p.perm = blk_perm::kConsistentRead | (writes ? blk_perm::kWrite : 0u);
  p.shared = blk_perm::kConsistentRead | blk_perm::kWriteUnchanged | (conf.share_rw ? blk_perm::kWrite : 0u);
  return p;
}

std::optional<PermPair> FloppyDrive::medium_perms(const BlockDriverState& medium) const {
  return perms(!medium.read_only());
}

CoResult<> FloppyDrive::co_prepare(DeviceContext& context) {
  Result<> sizes = check_block_sizes(conf);
  co_await or_return(std::move(sizes));
  const auto is_512 = [](uint64_t size) { return size == 0 || size == kFloppySectorBytes; };
  if (!is_512(conf.logical_block_size) || !is_512(conf.physical_block_size))
    co_return fail(EINVAL, "Physical and logical block size must be 512 for floppy");
  const BlockDriverState* node = named_node(context.block, conf.drive);
  BlockNeeds needs{
      .type = "floppy", .may_be_absent = true, .read_only = node == nullptr || node->read_only()};
  Result<> found = co_await hold_.co_find(context.block, conf, needs);
  co_await or_return(std::move(found));
  if (backend().on_write_error() != BlockErrorPolicy::kReport &&
      backend().on_write_error() != BlockErrorPolicy::kEnospc)
    co_return fail(ENOTSUP, "fdc doesn't support drive option werror");
  if (backend().on_read_error() != BlockErrorPolicy::kReport)
    co_return fail(ENOTSUP, "fdc doesn't support drive option rerror");
  co_return Result<>();
}

Result<> FloppyDrive::do_realize() {
  if (hold_.get() == nullptr) return fail(EINVAL, "floppy has not been given its drive");
  if (conf.logical_block_size == 0) conf.logical_block_size = kFloppySectorBytes;
  if (conf.physical_block_size == 0) conf.physical_block_size = kFloppySectorBytes;
  if (drive_type == FloppyDriveType::kAuto) {
    const Result<uint64_t> bytes = backend().getlength();
    const FloppyFormat* f = bytes ? find_floppy_format(*bytes / kFloppySectorBytes) : nullptr;
    drive_type = f != nullptr ? f->drive : floppy_bus().fallback;
  }
  TRY(backend().attach_device(this, id(), path()));
  look_at_disk();
  return {};
}

void FloppyDrive::do_unrealize() {
  backend().detach_device();
}

void FloppyDrive::look_at_disk() {
  format_ = nullptr;
  read_only_ = true;
  const Result<uint64_t> bytes = hold_.get()->getlength();
  if (!bytes || drive_type == FloppyDriveType::kNone) return;
  format_ = &floppy_format(drive_type, *bytes / kFloppySectorBytes);
  read_only_ = backend().node()->read_only();
}

Result<> FloppyDrive::change_media_cb(bool) {
  look_at_disk();
  if (floppy_bus().on_disk_changed) floppy_bus().on_disk_changed(unit);
  return {};
}

Result<> FloppyBus::check_address(Device& device) {
  auto& drive = static_cast<FloppyDrive&>(device);
  uint32_t unit = drive.unit;
  if (unit == FloppyDrive::kAnyUnit)
    for (unit = 0; unit < kDrives && drives_[unit] != nullptr;) ++unit;
  if (unit >= kDrives)
    return fail(EINVAL, "Can't create floppy unit ", unit, ", bus supports only ", kDrives, " units");
  if (drives_[unit] != nullptr) return fail(EBUSY, "Floppy unit ", unit, " is in use");
  drive.unit = unit;
  drives_[unit] = &drive;
  return {};
}

void FloppyBus::device_left(const Device* device) {
  for (auto& d : drives_)
    if (d == device) d = nullptr;
}

}  // namespace rhea
