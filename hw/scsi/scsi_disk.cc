#include "hw/scsi/scsi_disk.h"

#include "block/graph/block_graph.h"
#include "block/qmp/io_error.h"

namespace rhea {

constexpr std::array<PropertyInfo, 24> ScsiDisk::kCdProperties = join_properties(
    block_conf_properties<&ScsiDisk::conf>,
    std::array{prop<&ScsiDisk::version>("ver"), prop<&ScsiDisk::serial>("serial"),
               prop<&ScsiDisk::vendor>("vendor"), prop<&ScsiDisk::product>("product"),
               prop<&ScsiDisk::device_id>("device_id"), prop<&ScsiDisk::wwn>("wwn"),
               prop<&ScsiDisk::port_wwn>("port_wwn"), prop<&ScsiDisk::port_index>("port_index"),
               prop<&ScsiDisk::max_io_size>("max_io_size"), prop<&ScsiDisk::scsi_version>("scsi_version")});
constexpr std::array<PropertyInfo, 34> ScsiDisk::kHdProperties = join_properties(
    kCdProperties, hd_conf_properties<&ScsiDisk::conf>,
    std::array{prop<&ScsiDisk::removable>("removable", "on/off"), prop<&ScsiDisk::dpofua>("dpofua", "on/off"),
               prop<&ScsiDisk::max_unmap_size>("max_unmap_size"),
               prop<&ScsiDisk::rotation_rate>("rotation_rate")});

constexpr TypeInfo ScsiDisk::kType{.name = "scsi-disk-base", .parent = &ScsiDevice::kType};

ScsiDisk::~ScsiDisk() {
  if (hold_.get() != nullptr && hold_.get()->device() == this) hold_.get()->detach_device();
}

std::string ScsiDisk::fw_name() const {
  return str_cat("channel@", channel, "/disk@", target, ",", lun);
}

CoResult<> ScsiDisk::co_prepare_disk(DeviceContext& context, BlockNeeds needs) {
  Result<> sizes = check_block_sizes(conf);
  co_await or_return(std::move(sizes));
  Result<> found = co_await hold_.co_find(context.block, conf, needs);
  co_return found;
}

Result<> ScsiDisk::do_realize() {
  if (conf.discard_granularity == BlockConf::kUnsetGranularity)
    conf.discard_granularity = std::max<uint64_t>(conf.logical_block_size, 4096);
  default_block_sizes(conf);
  if (version.empty()) version = "2.5+";
  if (vendor.empty()) vendor = "QEMU";
  if (product.empty()) product = peripheral_type() == 0 ? "QEMU HARDDISK" : "QEMU CD-ROM";
  if (device_id.empty()) device_id = serial.empty() ? blk().name() : serial.substr(0, 20);
  TRY(blk().attach_device(this, id(), path()));
  blk().enable_iostatus();
  return ScsiDevice::do_realize();
}

CoResult<> ScsiDisk::co_stop() {
  if (hold_.get() == nullptr) co_return co_await ScsiDevice::co_stop();
  const UndelayedRequests undelayed(blk());
  Result<> r = co_await ScsiDevice::co_stop();
  co_return r;
}

void ScsiDisk::do_unrealize() {
  ScsiDevice::do_unrealize();
  blk().detach_device();
  hold_.release();
}

bool ScsiDisk::request_failed(ScsiCommand& command, bool is_read, const Error& error) {
  if (command.given_up) return true;
  if (error.errnum() == ENOMEDIUM) {
    command.check(sense::kNoMedium);
    return true;
  }
  switch (handle_io_error(blk(), is_read, error.errnum())) {
    case IoErrorAction::kIgnore:
      return false;
    case IoErrorAction::kStop:
      command.waits = true;
      return true;
    case IoErrorAction::kReport:
      break;
  }
  switch (error.errnum()) {
    case ENOSPC:
      command.check(sense::kNoSpace);
      break;
    case EINVAL:
      command.check(sense::kInvalidField);
      break;
    case ENOMEM:
      command.check(sense::kInternalFailure);
      break;
    default:
      command.check(sense::kIoFailed);
      break;
  }
  return true;
}

}  // namespace rhea
