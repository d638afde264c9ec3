// The PACKET protocol: the CDB comes by PIO, data goes by PIO in blocks the guest sized, or by the bus master
// straight into guest memory. Spec: ATA/ATAPI-6 (T13/1410D) 8.23, 9.8 (PIO), 9.9 (DMA).
#include <algorithm>
#include <cstring>

#include "hw/block/drive_events.h"
#include "hw/ide/ide_bus.h"
#include "hw/ide/ide_cd.h"
#include "hw/ide/ide_dma.h"
#include "util/log.h"

namespace rhea {

using namespace ata;

namespace {
constexpr uint32_t kPioChunk = 65536;                  // bytes read ahead for PIO
constexpr uint64_t kIdeCdPacketDmaChunk = 256 * 1024;  // bytes of one request
constexpr uint8_t kFeatureDma = 1, kFeatureOverlap = 2;

/// Cuts up to `max_bytes` worth of sectors (one at least) from the front of `plan`.
ReadPlan take_sectors(ReadPlan& plan, uint64_t max_bytes) {
  ReadPlan out = plan;
  out.sectors = static_cast<uint32_t>(
      std::min<uint64_t>(plan.sectors, std::max<uint64_t>(1, max_bytes / plan.sector_bytes)));
  plan.lba += out.sectors;
  plan.sectors -= out.sectors;
  return out;
}

/// The byte count limit as blocks will obey it (9.8: even, at most FFFEh); 0 if it cannot be obeyed.
uint32_t block_limit(const TaskFile& r, uint64_t total) {
  uint32_t limit = r.lba_high << 8 | r.lba_mid;
  if (limit == 0xffff) limit = 0xfffe;
  if (limit < total) limit &= ~1u;
  return limit;
}
}  // namespace

bool IdeCd::packet() {
  const TaskFile& r = slot().regs;
  if ((r.feature & kFeatureOverlap) != 0) return false;
  if ((r.feature & kFeatureDma) != 0 && channel().dma == nullptr) return false;
  PioTransfer& pio = slot().pio;
  pio.clear();
  pio.data.resize(kCdbBytes);
  pio.end = kCdbBytes;
  pio.from_host = true;
  pio.then = PioTransfer::Then::kPacket;
  slot().regs.sector_count = kCommandPhase;
  channel().start_pio(slot(), false);  // IDENTIFY word 0: no interrupt for the packet
  return true;
}

void IdeCd::pio_done(PioTransfer::Then then) {
  switch (then) {
    case PioTransfer::Then::kPacket:
      return run_packet();
    case PioTransfer::Then::kReply:
      return present_block();
    default:
      slot().pio.clear();
      slot().regs.status = kReady;
      return;
  }
}

void IdeCd::run_packet() {
  Cdb cdb;
  std::copy_n(slot().pio.data.begin(), kCdbBytes, cdb.begin());
  slot().pio.clear();
  slot().regs.status = kBsy;
  AtapiReply reply = atapi_.execute(cdb, medium());
  switch (reply.kind) {
    case AtapiReply::Kind::kGood:
      return complete();
    case AtapiReply::Kind::kCheck:
      return check_condition();
    case AtapiReply::Kind::kData:
    case AtapiReply::Kind::kRead:
      return start_data(std::move(reply), (slot().regs.feature & kFeatureDma) != 0);
  }
}

void IdeCd::complete() {
  transfer_.reset();
  slot().pio.clear();
  TaskFile& r = slot().regs;
  r.sector_count = kCommandPhase | kToHost;
  r.error = 0;
  r.status = kReady;
  channel().raise_interrupt();
}

void IdeCd::check_condition() {
  transfer_.reset();
  slot().pio.clear();
  slot().regs.sector_count = kCommandPhase | kToHost;
  channel().fail_command(slot(), atapi_.sense.error_register());
}

void IdeCd::start_data(AtapiReply reply, bool dma) {
  TaskFile& r = slot().regs;
  auto t = std::make_shared<PacketTransfer>();
  t->dma = dma;
  t->plan = t->whole = reply.read;
  if (dma) {
    t->buffered = std::move(reply.data);
    transfer_ = std::move(t);
    r.sector_count = kToHost;
    r.status = kReady | kDrq;
    return channel().dma->request(*this);
  }
  t->limit = block_limit(r, reply.data.size() + reply.read.bytes());
  if (t->limit == 0) return channel().fail_command(slot(), kAbort);
  slot().pio.data = std::move(reply.data);
  transfer_ = std::move(t);
  present_block();
}

void IdeCd::resume_transfer(std::shared_ptr<PacketTransfer> transfer) {
  transfer_ = std::move(transfer);
  if (transfer_ != nullptr && transfer_->dma && !is_waiting()) channel().dma->request(*this);
}

// --- PIO

void IdeCd::present_block() {
  PioTransfer& pio = slot().pio;
  const size_t buffered = pio.data.size() - pio.pos;
  const uint64_t left = buffered + transfer_->plan.bytes();
  if (left == 0) return complete();
  const uint64_t block = std::min<uint64_t>(left, transfer_->limit);
  if (buffered < block) return read_for_pio();
  pio.end = pio.pos + block;
  pio.then = PioTransfer::Then::kReply;
  TaskFile& r = slot().regs;
  r.sector_count = kToHost;
  r.lba_mid = static_cast<uint8_t>(block);
  r.lba_high = static_cast<uint8_t>(block >> 8);
  channel().start_pio(slot(), true);
}

void IdeCd::read_for_pio() {
  slot().regs.status = kBsy;
  const ReadPlan part = take_sectors(transfer_->plan, kPioChunk);
  auto self = std::static_pointer_cast<IdeCd>(shared_from_this());
  auto data = std::make_shared<std::vector<uint8_t>>(part.bytes());
  start<void>(co_pio(self, part, data), [this, part, data, t = transfer_](Result<> result) {
    if (!t->cancelled) pio_data_arrived(*t, part, *data, result);
  });
}

void IdeCd::pio_data_arrived(PacketTransfer& t, ReadPlan part, const std::vector<uint8_t>& data,
                             const Result<>& result) {
  if (!result && is_waiting()) {
    t.plan.lba = part.lba;
    t.plan.sectors += part.sectors;
    return;
  }
  if (!result) return check_condition();
  PioTransfer& pio = slot().pio;
  pio.data.erase(pio.data.begin(), pio.data.begin() + static_cast<ptrdiff_t>(pio.pos));
  pio.pos = pio.end = 0;
  pio.data.insert(pio.data.end(), data.begin(), data.end());
  present_block();
}

CoResult<> IdeCd::co_pio(std::shared_ptr<IdeCd> self, ReadPlan plan,
                         std::shared_ptr<std::vector<uint8_t>> data) {
  Result<> r = co_await co_read_sectors(*self, plan, data->data());
  co_return r;
}

/// Fills `out` with plan.bytes() bytes. A failure has set the sense data.
CoResult<> IdeCd::co_read_sectors(IdeCd& self, ReadPlan plan, uint8_t* out) {
  const bool raw = plan.sector_bytes == kCdRawSectorBytes;
  const uint64_t bytes = uint64_t{plan.sectors} * kCdSectorBytes;
  std::vector<uint8_t> user(raw ? bytes : 0);
  uint8_t* const to = raw ? user.data() : out;
  const ByteRange range(uint64_t{plan.lba} * kCdSectorBytes, bytes);
  Result<> r = co_await self.blk().co_preadv(range, IoVector(to, bytes));
  if (!r) {
    Result<> goes_on = self.read_failed(r.error());
    co_await or_return(std::move(goes_on));
    std::memset(to, 0, bytes);
  }
  for (uint32_t i = 0; raw && i < plan.sectors; ++i) {
    const std::span<uint8_t, kCdRawSectorBytes> sector(out + uint64_t{i} * kCdRawSectorBytes,
                                                       kCdRawSectorBytes);
    std::memcpy(&sector[16], to + uint64_t{i} * kCdSectorBytes, kCdSectorBytes);
    make_raw_sector(sector, plan.lba + i);
  }
  co_return Result<>();
}

Result<> IdeCd::read_failed(const Error& error) {
  if (transfer_ == nullptr) return Failure(error);  // given up meanwhile: nobody is to be told
  if (error.errnum() == ENOMEDIUM) {
    atapi_.sense = sense::kNoMedium;
    return Failure(error);
  }
  const IoErrorAction action = request_failed(true, error);
  if (action == IoErrorAction::kIgnore) return {};
  if (action == IoErrorAction::kReport) atapi_.fail_read();
  return Failure(error);
}

void IdeCd::try_again() {
  if (transfer_ == nullptr) return;
  if (!transfer_->dma) return read_for_pio();
  transfer_->plan = transfer_->whole;
  transfer_->buffered.clear();
  slot().regs.status = kReady | kDrq;
  channel().dma->restart(*this);
}

// --- DMA

void IdeCd::dma_run(IdeDma& dma) {
  slot().regs.status = kBsy;
  auto self = std::static_pointer_cast<IdeCd>(shared_from_this());
  start<bool>(co_dma(self, transfer_, &dma), [this, t = transfer_, &dma](Result<bool> all_moved) {
    if (!t->cancelled) dma_ended(*t, dma, all_moved);
  });
}

void IdeCd::dma_ended(PacketTransfer&, IdeDma& dma, const Result<bool>& all_moved) {
  if (!all_moved && is_waiting()) return dma.suspended();
  if (!all_moved) {
    dma.finished();
    return check_condition();
  }
  // Data without a place to go: the drive waits with it until the guest resets it.
  if (!*all_moved) return dma.overrun();
  dma.finished();
  complete();
}

void IdeCd::dma_stop(IdeDma& dma) {
  if (transfer_ != nullptr) std::exchange(transfer_, nullptr)->cancelled = true;
  tell_when_quiet(dma);
}

void IdeCd::cancel() {
  forget_waiting();
  if (transfer_ != nullptr) {
    std::exchange(transfer_, nullptr)->cancelled = true;
    if (channel().dma != nullptr) channel().dma->withdraw(*this);
  }
}

/// Moves what is in the buffer; false if the table has no room for it.
bool IdeCd::dma_buffered(PacketTransfer& t, IdeDma& dma) {
  size_t done = 0;
  while (done < t.buffered.size()) {
    GuestScatter memory;
    const uint64_t n = dma.collect(memory, t.buffered.size() - done);
    if (n == 0) return false;
    memory.iov().copy_from(&t.buffered[done]);
    memory.commit();
    done += n;
  }
  t.buffered.clear();
  return true;
}

CoResult<bool> IdeCd::co_dma_in_place(IdeCd& self, PacketTransfer& t, IdeDma& dma) {
  uint64_t at = uint64_t{t.plan.lba} * kCdSectorBytes, left = t.plan.bytes();
  while (left > 0) {
    GuestScatter memory;
    const uint64_t n = dma.collect(memory, std::min(left, kIdeCdPacketDmaChunk));
    if (n == 0) co_return false;
    const ByteRange range(at, n);
    Result<> r = co_await self.blk().co_preadv(range, memory.iov());
    if (t.cancelled) co_return false;
    if (!r) {
      Result<> goes_on = self.read_failed(r.error());
      co_await or_return(std::move(goes_on));
      memory.iov().zero();
    }
    memory.commit();
    at += n;
    left -= n;
  }
  t.plan.sectors = 0;
  co_return true;
}

/// True when all is in memory, false when the table ended first. A failure has set the sense data.
CoResult<bool> IdeCd::co_dma(std::shared_ptr<IdeCd> self, std::shared_ptr<PacketTransfer> t, IdeDma* dma) {
  if (t->plan.sector_bytes == kCdSectorBytes && t->plan.sectors > 0) {
    Result<bool> r = co_await co_dma_in_place(*self, *t, *dma);
    co_return r;
  }
  for (;;) {
    if (!dma_buffered(*t, *dma)) co_return false;
    if (t->plan.sectors == 0) co_return true;
    const ReadPlan part = take_sectors(t->plan, kPioChunk);
    t->buffered.resize(part.bytes());
    Result<> r = co_await co_read_sectors(*self, part, t->buffered.data());
    co_await or_return(std::move(r));
    if (t->cancelled) co_return false;
  }
}

}  // namespace rhea
