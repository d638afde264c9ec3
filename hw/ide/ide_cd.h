// CD/DVD drive on an IDE channel ("ide-cd"): the PACKET protocol by PIO and DMA around an AtapiUnit, and what
// the block layer asks of a drive with a tray. Spec: ATA/ATAPI-6 (T13/1410D) 8.23 (PACKET), 9.8, 9.9;
// SFF-8020i.
#pragma once

#include <memory>
#include <string>

#include "block/graph/block_backend.h"
#include "hw/ide/atapi.h"
#include "hw/ide/ide_channel.h"
#include "hw/ide/identify.h"
#include "util/co_sync.h"

namespace rhea {

enum class BlockdevOnError : uint8_t { kAuto, kReport, kIgnore, kEnospc, kStop };
template <>
struct EnumTraits<BlockdevOnError> {
  static constexpr const char* kTypeName = "BlockdevOnError";
  static constexpr EnumName<BlockdevOnError> kNames[] = {{BlockdevOnError::kAuto, "auto"},
                                                         {BlockdevOnError::kReport, "report"},
                                                         {BlockdevOnError::kIgnore, "ignore"},
                                                         {BlockdevOnError::kEnospc, "enospc"},
                                                         {BlockdevOnError::kStop, "stop"}};
};

/// The data phase of a packet command.
struct PacketTransfer {
  bool dma = false;
  bool from_medium = false;       ///< else what is in `buffered` is all
  ReadPlan plan;                  ///< sectors not read from the medium yet
  std::vector<uint8_t> buffered;  ///< DMA: bytes that wait for the bus master
  uint32_t limit = 0;             ///< PIO: bytes in a block at most (byte count limit, made even)
  bool cancelled = false;
};

class IdeCd final : public IdeDrive, public BlockDevOps {
 public:
  static const TypeInfo kType;  ///< "ide-cd"
  const TypeInfo& type() const override { return kType; }
  ~IdeCd() override;

  CoResult<> co_prepare(DeviceContext& context) override;
  BlockBackend* block_backend() override { return blk_; }
  AtapiUnit& atapi() { return atapi_; }
  CdMedium medium() const;
  /// Gives up what is under way and waits until no request of this drive is at the backend.
  CoResult<> co_stop() override;
  int32_t boot_index() const override { return bootindex_; }

  // IdeDrive
  bool execute(uint8_t command) override;
  bool is_packet_device() const override { return true; }
  void set_signature() override;
  void cancel() override;
  bool is_quiet() const override { return in_flight_ == 0; }
  void bus_reset() override;
  void pio_done(PioTransfer::Then then) override;
  void dma_run(IdeDma& dma) override;
  void dma_stop(IdeDma& dma) override;

  // BlockDevOps
  bool has_removable_media() const override { return true; }
  bool has_tray() const override { return true; }
  Result<> change_media_cb(bool load) override;
  void eject_request_cb(bool force) override;
  bool is_tray_open() const override { return atapi_.tray.open(); }
  bool is_medium_locked() const override { return atapi_.tray.locked(); }
  bool eject_request_pending() const override { return atapi_.tray.state().eject_pending; }

  // What travels, beside the unit's registers (ide_vmstate).
  TransferMode mode;
  const std::shared_ptr<PacketTransfer>& transfer() const { return transfer_; }
  /// Goes on with a data phase that was loaded; its PIO block, if any, is in the unit's PioTransfer.
  void resume_transfer(std::shared_ptr<PacketTransfer> transfer);

 protected:
  Result<> do_realize() override;
  void do_unrealize() override;

 private:
  bool identify();
  bool set_features();
  bool packet();
  void run_packet();
  void complete();
  void check_condition();
  void start_data(AtapiReply reply, bool dma);
  void present_block();
  void read_for_pio();
  void pio_data_arrived(PacketTransfer& t, const std::vector<uint8_t>& data, const Result<>& result);
  void dma_ended(PacketTransfer& t, IdeDma& dma, const Result<bool>& all_moved);
  void request_ended();
  /// Sets the sense data of a failed read; success: the drive's policy is to go on with zeroes.
  Result<> read_failed(const Error& error);
  static CoResult<> co_read_sectors(IdeCd& self, ReadPlan plan, uint8_t* out);
  static CoResult<> co_pio(std::shared_ptr<IdeCd> self, ReadPlan plan,
                           std::shared_ptr<std::vector<uint8_t>> data);
  static CoResult<bool> co_dma(std::shared_ptr<IdeCd> self, std::shared_ptr<PacketTransfer> t, IdeDma* dma);
  static CoResult<bool> co_dma_in_place(IdeCd& self, PacketTransfer& t, IdeDma& dma);
  static bool dma_buffered(PacketTransfer& t, IdeDma& dma);
  Result<> check_block_sizes() const;
  CoResult<> co_find_backend(DeviceContext& context);
  static const PropertyInfo kProperties[];

  AtapiUnit atapi_;
  std::shared_ptr<PacketTransfer> transfer_;
  int in_flight_ = 0;               ///< requests at the backend
  IdeDma* stopping_dma_ = nullptr;  ///< awaits word that nothing is on its way
  Gate gate_;

  BlockBackend* blk_ = nullptr;
  std::unique_ptr<BlockBackend> own_;  ///< where no -drive made it

  // Properties.
  std::string drive_, serial_, version_, model_;
  uint64_t wwn_ = 0;
  OnOffAuto write_cache_ = OnOffAuto::kAuto, backend_defaults_ = OnOffAuto::kAuto;
  OnOffAuto account_invalid_ = OnOffAuto::kAuto, account_failed_ = OnOffAuto::kAuto;
  BlockdevOnError rerror_ = BlockdevOnError::kAuto, werror_ = BlockdevOnError::kAuto;
  bool share_rw_ = false;
  int32_t bootindex_ = -1;
  uint64_t logical_block_size_ = 0, physical_block_size_ = 0, min_io_size_ = 0, opt_io_size_ = 0;
  uint64_t discard_granularity_ = UINT32_MAX;
};

}  // namespace rhea
