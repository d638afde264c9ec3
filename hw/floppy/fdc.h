// The floppy disk controller of a PC, an 82078 (Intel 82078 data sheet, 290468-007), with two drives:
// registers, command and result phases, and the execution phase by DMA or by the FIFO. It has no bus;
// hw/floppy/isa_fdc puts it on one.
//
// A disk has no address marks of its own here: every sector of its format is there, 512 bytes long, none
// deleted.
#pragma once

#include <array>
#include <deque>

#include "hw/floppy/floppy_drive.h"
#include "hw/isa/isa_dma.h"
#include "migration/vmstate/vmstate.h"
#include "util/aio_context.h"
#include "util/co_sync.h"

namespace rhea {

/// Where a drive's head is. Travels as "fdrive".
struct FdcUnit {
  uint8_t head = 0;
  uint8_t track = 0;
  uint8_t sector = 1;         ///< the next one under the head
  uint8_t media_changed = 1;  ///< DSKCHG: since the last step with a disk in
  uint8_t media_rate = 0;     ///< on the wire only
  uint8_t perpendicular = 0;  ///< D, GAP, WGATE of PERPENDICULAR MODE
};

enum class FdcTransfer : uint8_t { kWrite, kRead, kScanEqual, kScanLow, kScanHigh, kVerify };
enum class FdcPhase : uint8_t { kCommand = 1, kExecution = 2, kResult = 3 };

struct FdcState {
  static constexpr size_t kFifoBytes = 512;
  uint8_t sra = 0;
  uint8_t srb = 0xc0;
  uint8_t dor = 0x0c;  ///< bits 1:0 follow the drive of the last command
  uint8_t tdr = 0;
  uint8_t dsr = 0;
  uint8_t msr = 0x80;
  uint8_t status0 = 0, status1 = 0, status2 = 0;
  std::array<uint8_t, kFifoBytes> fifo{};  ///< a command, a result, or the sector that moves
  uint32_t data_pos = 0;                   ///< bytes of command, result or transfer that have moved
  uint32_t data_len = 0;
  uint8_t data_state = 0;
  uint8_t data_dir = 0;  ///< FdcTransfer
  uint8_t eot = 0;
  uint8_t timer0 = 0, timer1 = 0;  ///< SPECIFY: step rate; head load time
  uint8_t precomp = 0;
  uint8_t config = 0x60;
  uint8_t lock = 0;
  uint8_t pwrd = 0;
  uint8_t num_floppies = FloppyBus::kDrives;
  std::array<FdcUnit, FloppyBus::kDrives> units;
  int32_t reset_sensei = 0;  ///< SENSE INTERRUPT STATUS answers due after a reset
  uint8_t phase = 1;         ///< on the wire only
  int64_t read_id_deadline_ns = -1;
  // What else a transfer needs to go on, sent only in the middle of one.
  uint8_t command = 0;  ///< its first byte
  uint8_t fill = 0;     ///< FORMAT TRACK: the data byte; SCAN: the sector step
  uint8_t full = 0;     ///< what the host sent for one sector is complete and not dealt with
  uint8_t last = 0;     ///< the DMA controller has reached terminal count
};

class Fdc {
 public:
  /// Part of `owner`.
  explicit Fdc(Device& owner) : owner_(owner) {}
  Fdc(const Fdc&) = delete;

  /// Wiring, before start(). `dma` null: no DMA.
  IrqLine irq;
  IsaDma* dma = nullptr;
  unsigned dma_channel = 2;

  /// `bus` is the owner's.
  void start(AioContext& loop, Clock& clock, FloppyBus& bus);
  void stop();
  /// Waits until nothing is at the disks.
  CoResult<> co_drain() { return gate_.co_close(); }
  /// Power on.
  void hard_reset();
  /// After reset or load: what the line shows.
  void update_irq() { irq.set((state.sra & kSraIntPending) != 0 ? 1 : 0); }

  // Ports, by offset from the base: 1..5 and 7.
  uint8_t read(unsigned offset);
  void write(unsigned offset, uint8_t value);

  static const VMState kVmState;  ///< of `state`; the owner calls these two around it
  void before_save();
  Result<> after_load();
  FdcState state;

 private:
  static constexpr uint8_t kSraIntPending = 0x80;
  static constexpr uint8_t kFormats = 0x02, kMultiTracks = 0x01;  // data_state
  using Handler = void (Fdc::*)();
  struct Command {
    uint8_t mask, value;
    const char* name;
    uint8_t parameters;
    Handler run;
  };
  static const Command kCommands[];
  static const Command& find_command(uint8_t first);

  // Registers and phases (fdc.cc).
  void reset(bool interrupt);
  void write_dor(uint8_t value);
  void write_dsr(uint8_t value);
  uint8_t read_fifo();
  void write_fifo(uint8_t value);
  uint8_t read_dir() const;
  void raise_irq();
  void lower_irq();
  FdcPhase phase() const;
  void begin_command_phase();
  void begin_result(size_t bytes);
  void end_transfer(uint8_t st0, uint8_t st1, uint8_t st2);
  void command_byte(uint8_t value);
  bool wants_more_parameters() const;

  unsigned current() const { return state.dor & 1u; }
  FdcUnit& unit() { return state.units[current()]; }
  FloppyDrive* drive() const { return bus_->drive(current()); }
  /// The disk in the current drive; null: none.
  const FloppyFormat* disk() const { return drive() != nullptr ? drive()->format() : nullptr; }
  void select_drive();
  void move_head_to(uint8_t track);
  void seek_ended();

  // Commands (fdc_commands.cc).
  void invalid();
  void specify();
  void sense_drive();
  void sense_interrupt();
  void recalibrate();
  void seek();
  void relative_seek();
  void read_id();
  void read_id_done();
  void dump_registers();
  void version();
  void part_id();
  void configure();
  void lock();
  void perpendicular();
  void powerdown_mode();
  void option();
  void drive_specification();
  void save();
  void restore();
  void read_data();
  void write_data();
  void deleted_data();
  void read_track();
  void verify();
  void scan();
  void format_track();

  // The execution phase (fdc_transfer.cc, fdc_disk.cc).
  enum class SeekResult : uint8_t { kThere, kMoved, kNoTrack, kNoSector, kNoImpliedSeek, kNoDisk };
  SeekResult seek_to(uint8_t head, uint8_t track, uint8_t sector);
  void start_transfer(FdcTransfer direction, uint8_t first_sector);
  bool reach_first_sector(uint8_t head, uint8_t track, uint8_t sector);
  bool disk_accepts(bool writing);
  uint32_t transfer_bytes(uint8_t first_sector) const;
  void begin_execution(FdcTransfer direction, uint32_t bytes);
  void cancel();
  bool transferring() const;
  FdcTransfer direction() const { return static_cast<FdcTransfer>(state.data_dir); }
  bool formats() const { return (state.data_state & kFormats) != 0; }
  bool scans() const;
  bool host_sends() const;
  bool uses_dma() const;
  void run();
  bool step();
  bool step_read();
  bool step_verify();
  bool step_from_host();
  bool host_bytes_complete();
  bool next_after(bool whole_sector, bool terminal_count);
  bool next_sector(FdcUnit& u, uint8_t& st0) const;
  void transfer_done();
  bool compare();
  bool format_sector();
  uint64_t sector_number(const FdcUnit& u) const;
  bool take_read_ahead();
  void start_reading();
  void start_writing(uint64_t lba, std::span<const uint8_t> sector);
  void fail_transfer();

  /// Sectors on their way from the disk; `data` has those that came before an error.
  struct ReadAhead {
    std::vector<uint64_t> sectors;
    std::vector<uint8_t> data;
  };
  using SharedBytes = std::shared_ptr<std::vector<uint8_t>>;
  static CoResult<> co_read(std::shared_ptr<Object> owner, BlockBackend& disk,
                            std::shared_ptr<ReadAhead> ahead);
  static CoResult<> co_write(std::shared_ptr<Object> owner, BlockBackend& disk, uint64_t lba,
                             SharedBytes sector);

  Result<> check_phase() const;

  Device& owner_;
  FloppyBus* bus_ = nullptr;
  AioContext* loop_ = nullptr;
  std::unique_ptr<Timer> read_id_timer_;
  Gate gate_;
  std::deque<std::pair<uint64_t, std::array<uint8_t, kFloppySectorBytes>>> read_ahead_;
  uint64_t generation_ = 0;    ///< of transfers: what belongs to an earlier one is not heard
  int in_flight_ = 0;          ///< requests at the disks
  bool sector_there_ = false;  ///< `fifo`, or for a scan `scan_sector_`, holds the sector under the head
  bool running_ = false;
  std::array<uint8_t, kFloppySectorBytes> scan_sector_{};
};

}  // namespace rhea
