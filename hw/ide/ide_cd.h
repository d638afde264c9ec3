// CD/DVD drive on an IDE channel ("ide-cd"): the PACKET protocol by PIO and DMA around an AtapiUnit, and what
// the block layer asks of a drive with a tray. Spec: ATA/ATAPI-6 (T13/1410D) 8.23 (PACKET), 9.8, 9.9;
// SFF-8020i.
#pragma once

#include <memory>
#include <string>

#include "hw/ide/ide_storage.h"
#include "hw/scsi/atapi.h"

namespace rhea {

/// The data phase of a packet command.
struct PacketTransfer {
  bool dma = false;
  bool from_medium = false;       ///< else what is in `buffered` is all
  ReadPlan plan;                  ///< sectors not read from the medium yet
  ReadPlan whole;                 ///< all of the command's sectors
  std::vector<uint8_t> buffered;  ///< DMA: bytes that wait for the bus master
  uint32_t limit = 0;             ///< PIO: bytes in a block at most (byte count limit, made even)
  bool cancelled = false;
};

class IdeCd final : public IdeStorage {
 public:
  static const TypeInfo kType;  ///< "ide-cd"
  const TypeInfo& type() const override { return kType; }
  IdeCd() : IdeStorage(DriveIdentity()) {}

  CoResult<> co_prepare(DeviceContext& context) override;
  AtapiUnit& atapi() { return atapi_; }
  CdMedium medium() const;

  // IdeDrive
  bool execute(uint8_t command) override;
  bool is_packet_device() const override { return true; }
  void set_signature() override;
  void cancel() override;
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
  const std::shared_ptr<PacketTransfer>& transfer() const { return transfer_; }
  /// Goes on with a data phase that was loaded; its PIO block, if any, is in the unit's PioTransfer.
  void resume_transfer(std::shared_ptr<PacketTransfer> transfer);

 protected:
  Result<> do_realize() override;
  void do_unrealize() override;
  void try_again() override;

 private:
  bool packet();
  void run_packet();
  void complete();
  void check_condition();
  void start_data(AtapiReply reply, bool dma);
  void present_block();
  void read_for_pio();
  void pio_data_arrived(PacketTransfer& t, ReadPlan part, const std::vector<uint8_t>& data,
                        const Result<>& result);
  void dma_ended(PacketTransfer& t, IdeDma& dma, const Result<bool>& all_moved);
  /// Sets the sense data of a failed read; success: the drive's policy is to go on with zeroes.
  Result<> read_failed(const Error& error);
  static CoResult<> co_read_sectors(IdeCd& self, ReadPlan plan, uint8_t* out);
  static CoResult<> co_pio(std::shared_ptr<IdeCd> self, ReadPlan plan,
                           std::shared_ptr<std::vector<uint8_t>> data);
  static CoResult<bool> co_dma(std::shared_ptr<IdeCd> self, std::shared_ptr<PacketTransfer> t, IdeDma* dma);
  static CoResult<bool> co_dma_in_place(IdeCd& self, PacketTransfer& t, IdeDma& dma);
  static bool dma_buffered(PacketTransfer& t, IdeDma& dma);

  AtapiUnit atapi_;
  std::shared_ptr<PacketTransfer> transfer_;
};

}  // namespace rhea
