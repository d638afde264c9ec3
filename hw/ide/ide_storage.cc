#include "hw/ide/ide_storage.h"

#include <optional>

#include "block/graph/block_graph.h"
#include "block/qmp/io_error.h"
#include "hw/ide/ide_bus.h"
#include "hw/ide/ide_dma.h"

namespace rhea {

IdeStorage::~IdeStorage() {
  BlockBackend* const blk = hold_.get();
  if (blk != nullptr && blk->device() == this) blk->detach_device();
}

CoResult<> IdeStorage::co_prepare_drive(DeviceContext& context, BlockNeeds needs) {
  co_await or_return(check_sizes());
  Result<> found = co_await hold_.co_find(context.block, conf_, needs);
  co_return found;
}

Result<> IdeStorage::check_sizes() const {
  TRY(check_block_sizes(conf_));
  if (conf_.logical_block_size > 512) return fail(EINVAL, "logical_block_size must be 512 for IDE");
  const uint64_t discard = conf_.discard_granularity;
  if (discard != BlockConf::kUnsetGranularity && discard != 512 && discard != 0)
    return fail(EINVAL, "discard_granularity must be 512 for ide");
  return {};
}

Result<> IdeStorage::do_realize() {
  if (hold_.get() == nullptr) return fail(EINVAL, type().name, " has not been given its drive");
  // Serial numbers count the places of a machine: its guests know their drives by them.
  if (serial_.empty()) {
    const std::string number = str_cat(1 + 2 * ide_bus()->number() + static_cast<int>(unit()));
    serial_ = str_cat("QM", std::string(5 - number.size(), '0'), number);
  }
  if (version_.empty()) version_ = "2.5+";
  identity_.serial = serial_.substr(0, 20);
  identity_.version = version_.substr(0, 8);
  if (!model_.empty()) identity_.model = model_.substr(0, 40);
  identity_.wwn = wwn_;
  default_block_sizes(conf_);
  TRY(blk().attach_device(this, id(), path()));
  blk().enable_iostatus();
  return {};
}

void IdeStorage::do_unrealize() {
  cancel();
  blk().detach_device();
}

CoResult<> IdeStorage::co_stop() {
  if (ide_bus() != nullptr) cancel();
  std::optional<UndelayedRequests> undelayed;
  if (hold_.get() != nullptr) undelayed.emplace(blk());
  Result<> r = co_await gate_.co_close();
  co_return r;
}

// --- requests

void IdeStorage::tell_when_quiet(IdeDma& dma) {
  if (in_flight_ != 0)
    stopping_dma_ = &dma;
  else
    dma.stopped();
}

void IdeStorage::request_ended() {
  if (--in_flight_ != 0 || ide_bus() == nullptr) return;
  if (IdeDma* dma = std::exchange(stopping_dma_, nullptr)) dma->stopped();
  channel().drive_quiet(slot());
}

IoErrorAction IdeStorage::request_failed(bool is_read, const Error& error) {
  const IoErrorAction action = handle_io_error(blk(), is_read, error.errnum());
  waiting_ = action == IoErrorAction::kStop;
  return action;
}

void IdeStorage::machine_resumed() {
  if (std::exchange(waiting_, false)) try_again();
}

// --- commands

void IdeStorage::present_sector(const IdentifyData& data) {
  PioTransfer& pio = slot().pio;
  pio.clear();
  pio.data.assign(data.begin(), data.end());
  pio.end = pio.data.size();
  channel().start_pio(slot(), true);
}

bool IdeStorage::set_common_feature() {  // ATA/ATAPI-6 8.46
  const TaskFile& r = slot().regs;
  switch (r.feature) {
    case 0x03:
      return mode.set(r.sector_count);
    case 0x66:  // keep or restore settings at a software reset
    case 0xcc:
      return true;
    default:
      return false;
  }
}

namespace {
constexpr const char* kTranslationText = "Logical CHS translation algorithm, auto/none/lba/large/rechs";
}

constexpr std::array<PropertyInfo, 18> IdeStorage::kCdProperties =
    join_properties(block_conf_properties<&IdeStorage::conf_>,
                    std::array{prop<&IdeStorage::version_>("ver"), prop<&IdeStorage::wwn_>("wwn"),
                               prop<&IdeStorage::serial_>("serial"), prop<&IdeStorage::model_>("model")});
constexpr std::array<PropertyInfo, 26> IdeStorage::kHdProperties =
    join_properties(kCdProperties, hd_conf_properties<&IdeStorage::conf_>,
                    std::array{prop<&IdeStorage::translation_>("bios-chs-trans", kTranslationText),
                               prop<&IdeStorage::rotation_rate_>("rotation_rate")});

}  // namespace rhea
