// Hard disk on an IDE channel ("ide-hd"): the general feature set with 28-bit, 48-bit and CHS addresses, by
// PIO and by the bus master. Spec: ATA/ATAPI-6 (T13/1410D) chapter 8; TRIM ACS-2 (T13/2015-D) 7.5; what is
// older, ATA-3.
#pragma once

#include <memory>
#include <vector>

#include "hw/ide/ide_storage.h"
#include "hw/ide/smart.h"

namespace rhea {

class GuestScatter;

/// A command that takes time.
struct AtaTransfer {
  enum class Kind : uint8_t { kPioRead, kPioWrite, kDmaRead, kDmaWrite, kTrim, kFlush, kVerify };
  Kind kind = Kind::kFlush;
  bool lba48 = false;
  uint32_t block = 1;         ///< sectors of a PIO block
  uint64_t lba = 0;           ///< of the next sector
  uint32_t left = 0;          ///< sectors not moved yet; of ranges, for kTrim
  std::vector<uint8_t> data;  ///< a PIO block on its way to or from the backend
  bool cancelled = false;
  bool is_pio() const { return kind == Kind::kPioRead || kind == Kind::kPioWrite; }
  bool is_dma() const { return kind == Kind::kDmaRead || kind == Kind::kDmaWrite || kind == Kind::kTrim; }
};

/// What commands have set, beside transfer mode and write cache.
struct AtaSettings {
  static constexpr uint8_t kMaxMultiple = 16;
  uint8_t multiple = kMaxMultiple;
  HdGeometry translation;    ///< INITIALIZE DEVICE PARAMETERS
  uint64_t max_sectors = 0;  ///< SET MAX ADDRESS; 0: all
};

class IdeHd final : public IdeStorage, public LegacyGeometrySource {
 public:
  static const TypeInfo kType;  ///< "ide-hd"
  const TypeInfo& type() const override { return kType; }
  IdeHd();

  CoResult<> co_prepare(DeviceContext& context) override;
  const HdGeometry& geometry() const { return geometry_; }
  BiosAtaTranslation translation() const { return translation_; }
  HdGeometry legacy_geometry() const override { return conf_.legacy_geometry(); }

  // IdeDrive
  bool execute(uint8_t command) override;
  bool is_packet_device() const override { return false; }
  void set_signature() override;
  void cancel() override;
  void bus_reset() override;
  void pio_done(PioTransfer::Then then) override;
  void dma_run(IdeDma& dma) override;
  void dma_stop(IdeDma& dma) override;

  // BlockDevOps
  void resize_cb() override;

  // What travels, beside the unit's registers (ide_vmstate).
  AtaSettings settings;
  SmartState smart;
  IdentifyData identify() const;
  void set_write_cache(bool on) { blk().set_write_cache_enabled(on); }
  uint64_t native_sectors() const { return native_sectors_; }
  const std::shared_ptr<AtaTransfer>& transfer() const { return transfer_; }
  /// Goes on with a transfer that was loaded: with the guest's next access, the bus master, or, is_waiting(),
  /// when the machine goes on.
  void resume_transfer(std::shared_ptr<AtaTransfer> transfer);
  /// The address the registers hold, if it is one.
  uint64_t address(bool lba48) const;

 protected:
  Result<> do_realize() override;
  void try_again() override;

 private:
  /// What comes of a command at once.
  enum class Outcome : uint8_t { kDone, kStarted, kAbort };
  struct Command;
  static const Command* find(uint8_t opcode);

  Outcome read_pio(bool lba48);
  Outcome write_pio(bool lba48);
  Outcome read_multiple(bool lba48);
  Outcome write_multiple(bool lba48);
  Outcome read_dma(bool lba48);
  Outcome write_dma(bool lba48);
  Outcome data_set_management(bool);
  Outcome verify(bool lba48);
  Outcome flush(bool);
  Outcome seek(bool lba48);
  Outcome nothing(bool);
  Outcome power(bool);
  Outcome check_power(bool);
  Outcome initialize_parameters(bool);
  Outcome set_multiple(bool);
  Outcome set_features(bool);
  Outcome identify_command(bool);
  Outcome read_native_max(bool lba48);
  Outcome set_max(bool lba48);
  Outcome smart_command(bool);
  Outcome present_smart(const SmartSector& sector);

  uint64_t sectors() const { return settings.max_sectors != 0 ? settings.max_sectors : native_sectors_; }
  bool in_range(uint64_t lba, uint64_t n) const;
  void set_address(uint64_t lba, bool lba48);
  void set_count(uint32_t left, bool lba48);
  AtaTransfer& begin(AtaTransfer::Kind kind, bool lba48);
  void sectors_moved(AtaTransfer& t, uint32_t n);
  void complete();
  void abort();

  void read_block();
  void write_block();
  void await_block();
  void block_read(AtaTransfer& t, uint32_t n, const Result<>& result);
  void block_written(AtaTransfer& t, uint32_t n, const Result<>& result);
  void run_flush();
  void run_verify();
  Outcome start_dma(AtaTransfer::Kind kind, bool lba48);
  void dma_ended(AtaTransfer& t, IdeDma& dma, const Result<bool>& all_moved);
  /// After a failure: true if the command goes on as if nothing had happened.
  bool goes_on(bool is_read, const Error& error);

  static CoResult<> co_pio(IdeHd& self, std::shared_ptr<AtaTransfer> t, uint32_t n);
  static CoResult<> co_verify(IdeHd& self, std::shared_ptr<AtaTransfer> t);
  static CoResult<bool> co_dma(IdeHd& self, std::shared_ptr<AtaTransfer> t, IdeDma& dma);
  static CoResult<> co_dma_chunk(IdeHd& self, AtaTransfer& t, ByteRange range, GuestScatter& memory);
  static CoResult<bool> co_trim(IdeHd& self, std::shared_ptr<AtaTransfer> t, IdeDma& dma);
  static CoResult<> co_trim_ranges(IdeHd& self, AtaTransfer& t, const std::vector<uint8_t>& list);
  CoResult<> co_choose_geometry();

  HdGeometry geometry_;
  uint64_t native_sectors_ = 0;
  bool native_max_read_ = false;  ///< the last command was READ NATIVE MAX ADDRESS
  std::shared_ptr<AtaTransfer> transfer_;
};

}  // namespace rhea
