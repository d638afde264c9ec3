// The disk's transfers: PIO in blocks, the bus master straight between guest memory and the backend, TRIM,
// flush. Spec: ATA/ATAPI-6 (T13/1410D) 9.5 to 9.7; ACS-2 (T13/2015-D) 7.5.3.6 (TRIM ranges).
#include <algorithm>

#include "hw/ide/ide_bus.h"
#include "hw/ide/ide_dma.h"
#include "hw/ide/ide_hd.h"
#include "util/byteorder.h"

namespace rhea {

using namespace ata;

namespace {
constexpr uint64_t kSector = 512;
constexpr uint64_t kIdeHdIoDmaChunk = 1 << 20;  // bytes of one request
constexpr uint64_t kVerifyChunk = 1 << 16;      // bytes read to see whether they can be
constexpr uint8_t kBusy = kBsy | kDrdy;

/// 0 means the most that can be said.
uint32_t count_of(const TaskFile& r, bool lba48) {
  const uint32_t n = lba48 ? uint32_t{r.hob_sector_count} << 8 | r.sector_count : r.sector_count;
  return n != 0 ? n : lba48 ? 65536 : 256;
}
}  // namespace

AtaTransfer& IdeHd::begin(AtaTransfer::Kind kind, bool lba48) {
  auto t = std::make_shared<AtaTransfer>();
  t->kind = kind;
  t->lba48 = lba48;
  t->lba = address(lba48);
  t->left = count_of(slot().regs, lba48);
  transfer_ = std::move(t);
  return *transfer_;
}

void IdeHd::sectors_moved(AtaTransfer& t, uint32_t n) {
  t.lba += n;
  t.left -= n;
  set_address(t.lba, t.lba48);
  set_count(t.left, t.lba48);
}

void IdeHd::complete() {
  transfer_.reset();
  slot().pio.clear();
  slot().regs.status = kReady;
  channel().raise_interrupt();
}

void IdeHd::abort() {
  transfer_.reset();
  slot().pio.clear();
  channel().fail_command(slot(), kAbort);
}

bool IdeHd::goes_on(bool is_read, const Error& error) {
  switch (request_failed(is_read, error)) {
    case IoErrorAction::kIgnore:
      return true;
    case IoErrorAction::kReport:
      abort();
      return false;
    case IoErrorAction::kStop:
      break;
  }
  return false;
}

void IdeHd::cancel() {
  forget_waiting();
  native_max_read_ = false;
  if (transfer_ == nullptr) return;
  std::exchange(transfer_, nullptr)->cancelled = true;
  if (channel().dma != nullptr) channel().dma->withdraw(*this);
}

void IdeHd::try_again() {
  if (transfer_ == nullptr) return;
  switch (transfer_->kind) {
    case AtaTransfer::Kind::kPioRead:
      return read_block();
    case AtaTransfer::Kind::kPioWrite:
      return write_block();
    case AtaTransfer::Kind::kFlush:
      return run_flush();
    case AtaTransfer::Kind::kVerify:
      return run_verify();
    case AtaTransfer::Kind::kDmaRead:
    case AtaTransfer::Kind::kDmaWrite:
    case AtaTransfer::Kind::kTrim:
      return channel().dma->restart(*this);
  }
}

void IdeHd::resume_transfer(std::shared_ptr<AtaTransfer> transfer) {
  transfer_ = std::move(transfer);
  if (transfer_ != nullptr && transfer_->is_dma() && !is_waiting()) channel().dma->request(*this);
}

// --- PIO

IdeHd::Outcome IdeHd::read_pio(bool lba48) {
  begin(AtaTransfer::Kind::kPioRead, lba48);
  read_block();
  return Outcome::kStarted;
}

IdeHd::Outcome IdeHd::read_multiple(bool lba48) {
  if (settings.multiple == 0) return Outcome::kAbort;
  begin(AtaTransfer::Kind::kPioRead, lba48).block = settings.multiple;
  read_block();
  return Outcome::kStarted;
}

IdeHd::Outcome IdeHd::write_pio(bool lba48) {
  begin(AtaTransfer::Kind::kPioWrite, lba48);
  await_block();
  return Outcome::kStarted;
}

IdeHd::Outcome IdeHd::write_multiple(bool lba48) {
  if (settings.multiple == 0) return Outcome::kAbort;
  begin(AtaTransfer::Kind::kPioWrite, lba48).block = settings.multiple;
  await_block();
  return Outcome::kStarted;
}

void IdeHd::read_block() {
  AtaTransfer& t = *transfer_;
  const uint32_t n = std::min(t.left, t.block);
  if (!in_range(t.lba, n)) return abort();
  slot().regs.status = kBusy;
  t.data.assign(n * kSector, 0);
  start<void>(co_pio(*this, transfer_, n), [this, n, t = transfer_](const Result<>& r) {
    if (!t->cancelled) block_read(*t, n, r);
  });
}

void IdeHd::block_read(AtaTransfer& t, uint32_t n, const Result<>& result) {
  if (!result) {
    if (!goes_on(true, result.error())) return;
    t.data.assign(n * kSector, 0);
  }
  PioTransfer& pio = slot().pio;
  pio.clear();
  pio.data = std::move(t.data);
  pio.end = pio.data.size();
  pio.then = PioTransfer::Then::kSectorsRead;
  sectors_moved(t, n);
  channel().start_pio(slot(), true);
}

/// Lets the guest write the next block.
void IdeHd::await_block() {
  AtaTransfer& t = *transfer_;
  const uint32_t n = std::min(t.left, t.block);
  if (!in_range(t.lba, n)) return abort();
  const bool first = t.data.empty();  // the guest asks for it without being told
  PioTransfer& pio = slot().pio;
  pio.clear();
  pio.data.assign(n * kSector, 0);
  pio.end = pio.data.size();
  pio.from_host = true;
  pio.then = PioTransfer::Then::kSectorsWritten;
  channel().start_pio(slot(), !first);
}

void IdeHd::write_block() {
  AtaTransfer& t = *transfer_;
  slot().regs.status = kBusy;
  const auto n = static_cast<uint32_t>(t.data.size() / kSector);
  if (!in_range(t.lba, n)) return abort();
  start<void>(co_pio(*this, transfer_, n), [this, n, t = transfer_](const Result<>& r) {
    if (!t->cancelled) block_written(*t, n, r);
  });
}

void IdeHd::block_written(AtaTransfer& t, uint32_t n, const Result<>& result) {
  if (!result && !goes_on(false, result.error())) return;
  sectors_moved(t, n);
  if (t.left == 0) return complete();
  await_block();
}

void IdeHd::pio_done(PioTransfer::Then then) {
  PioTransfer& pio = slot().pio;
  const bool moving = transfer_ != nullptr && transfer_->is_pio();
  if (then == PioTransfer::Then::kSectorsWritten && moving) {
    transfer_->data = std::move(pio.data);
    pio.clear();
    return write_block();
  }
  pio.clear();
  if (then == PioTransfer::Then::kSectorsRead && moving && transfer_->left != 0) return read_block();
  transfer_.reset();
  slot().regs.status = kReady;
}

CoResult<> IdeHd::co_pio(IdeHd& self, std::shared_ptr<AtaTransfer> t, uint32_t n) {
  const ByteRange range(t->lba * kSector, n * kSector);
  const IoVector iov(t->data.data(), range.bytes);
  if (t->kind == AtaTransfer::Kind::kPioRead) {
    Result<> r = co_await self.blk().co_preadv(range, iov);
    co_return r;
  }
  Result<> r = co_await self.blk().co_pwritev(range, iov);
  co_return r;
}

// --- the bus master

IdeHd::Outcome IdeHd::start_dma(AtaTransfer::Kind kind, bool lba48) {
  if (channel().dma == nullptr) return Outcome::kAbort;
  const AtaTransfer& t = begin(kind, lba48);
  if (kind != AtaTransfer::Kind::kTrim && !in_range(t.lba, t.left)) {
    transfer_.reset();
    return Outcome::kAbort;
  }
  slot().regs.status = kReady | kDrq;
  channel().dma->request(*this);
  return Outcome::kStarted;
}

IdeHd::Outcome IdeHd::read_dma(bool lba48) {
  return start_dma(AtaTransfer::Kind::kDmaRead, lba48);
}
IdeHd::Outcome IdeHd::write_dma(bool lba48) {
  return start_dma(AtaTransfer::Kind::kDmaWrite, lba48);
}
IdeHd::Outcome IdeHd::data_set_management(bool) {
  constexpr uint8_t kTrim = 1;
  if ((slot().regs.feature & kTrim) == 0) return Outcome::kAbort;
  return start_dma(AtaTransfer::Kind::kTrim, false);
}

void IdeHd::dma_run(IdeDma& dma) {
  auto work = transfer_->kind == AtaTransfer::Kind::kTrim ? co_trim(*this, transfer_, dma)
                                                          : co_dma(*this, transfer_, dma);
  start<bool>(std::move(work), [this, t = transfer_, &dma](const Result<bool>& all_moved) {
    if (!t->cancelled) dma_ended(*t, dma, all_moved);
  });
}

void IdeHd::dma_ended(AtaTransfer& t, IdeDma& dma, const Result<bool>& all_moved) {
  if (!all_moved && is_waiting()) return dma.suspended();
  if (!all_moved) {
    dma.overrun();
    return abort();
  }
  if (!*all_moved) {  // the table ended first: SFF-8038i 3.1 has no interrupt for that
    dma.overrun();
    transfer_.reset();
    slot().regs.status = kReady;
    return;
  }
  if (t.kind != AtaTransfer::Kind::kTrim) sectors_moved(t, t.left);
  dma.finished();
  complete();
}

/// What has been started is carried to its end.
void IdeHd::dma_stop(IdeDma& dma) {
  tell_when_quiet(dma);
}

/// One request; a failure that the policy ignores is none.
CoResult<> IdeHd::co_dma_chunk(IdeHd& self, AtaTransfer& t, ByteRange range, GuestScatter& memory) {
  const bool is_read = t.kind == AtaTransfer::Kind::kDmaRead;
  const IoVector iov = memory.iov().slice(0, range.bytes);
  Result<> r;
  if (is_read)
    r = co_await self.blk().co_preadv(range, iov);
  else
    r = co_await self.blk().co_pwritev(range, iov);
  if (t.cancelled) co_return r;
  if (!r) {
    if (self.request_failed(is_read, r.error()) != IoErrorAction::kIgnore) co_return r;
    if (is_read) iov.zero();
  }
  if (is_read) memory.commit();
  co_return Result<>();
}

/// True when all has been moved, false when the table ended first.
CoResult<bool> IdeHd::co_dma(IdeHd& self, std::shared_ptr<AtaTransfer> t, IdeDma& dma) {
  const bool is_read = t->kind == AtaTransfer::Kind::kDmaRead;
  const auto direction = is_read ? IdeDma::Direction::kToMemory : IdeDma::Direction::kFromMemory;
  uint64_t at = t->lba * kSector, left = t->left * kSector;
  while (left > 0) {
    GuestScatter memory;
    uint64_t n = dma.collect(memory, std::min(left, kIdeHdIoDmaChunk), direction);
    if (!is_read) n -= n % kSector;  // a table that ends inside a sector: that one is not written
    if (n == 0) co_return false;
    const ByteRange range(at, n);
    Result<> r = co_await co_dma_chunk(self, *t, range, memory);
    co_await or_return(std::move(r));
    if (t->cancelled) co_return false;
    at += n;
    left -= n;
  }
  co_return true;
}

/// The ranges are copied out of guest memory first, so that they cannot change any more.
CoResult<bool> IdeHd::co_trim(IdeHd& self, std::shared_ptr<AtaTransfer> t, IdeDma& dma) {
  uint64_t left = t->left * kSector;
  while (left > 0) {
    GuestScatter memory;
    const uint64_t n = dma.collect(memory, std::min(left, kIdeHdIoDmaChunk), IdeDma::Direction::kFromMemory);
    if (n == 0) co_return false;
    std::vector<uint8_t> list(n);
    memory.iov().copy_to(list.data());
    Result<> r = co_await co_trim_ranges(self, *t, list);
    co_await or_return(std::move(r));
    if (t->cancelled) co_return false;
    left -= n;
  }
  co_return true;
}

CoResult<> IdeHd::co_trim_ranges(IdeHd& self, AtaTransfer& t, const std::vector<uint8_t>& list) {
  constexpr uint64_t kLba = (uint64_t{1} << 48) - 1;
  for (size_t i = 0; i + 8 <= list.size(); i += 8) {
    const auto entry = load_le<uint64_t>(&list[i]);
    const uint64_t lba = entry & kLba, count = entry >> 48;
    if (count == 0) continue;
    if (!self.in_range(lba, count)) co_return fail(EINVAL, "range past the end");
    const ByteRange range(lba * kSector, count * kSector);
    Result<> r = co_await self.blk().co_pdiscard(range);
    if (t.cancelled) co_return Result<>();
    if (!r && self.request_failed(false, r.error()) != IoErrorAction::kIgnore) co_return r;
  }
  co_return Result<>();
}

// --- without data

IdeHd::Outcome IdeHd::flush(bool) {
  begin(AtaTransfer::Kind::kFlush, false);
  run_flush();
  return Outcome::kStarted;
}

void IdeHd::run_flush() {
  slot().regs.status = kBusy;
  start<void>(blk().co_flush(), [this, t = transfer_](const Result<>& r) {
    if (t->cancelled || (!r && !goes_on(false, r.error()))) return;
    complete();
  });
}

IdeHd::Outcome IdeHd::verify(bool lba48) {
  const AtaTransfer& t = begin(AtaTransfer::Kind::kVerify, lba48);
  if (!in_range(t.lba, t.left)) {
    transfer_.reset();
    return Outcome::kAbort;
  }
  run_verify();
  return Outcome::kStarted;
}

void IdeHd::run_verify() {
  slot().regs.status = kBusy;
  start<void>(co_verify(*this, transfer_), [this, t = transfer_](const Result<>& r) {
    if (t->cancelled || (!r && !goes_on(true, r.error()))) return;
    complete();
  });
}

CoResult<> IdeHd::co_verify(IdeHd& self, std::shared_ptr<AtaTransfer> t) {
  std::vector<uint8_t> scratch(std::min(t->left * kSector, kVerifyChunk));
  const uint64_t end = (t->lba + t->left) * kSector;
  for (uint64_t at = t->lba * kSector; at < end && !t->cancelled;) {
    const ByteRange range(at, std::min<uint64_t>(end - at, scratch.size()));
    const IoVector iov(scratch.data(), range.bytes);
    Result<> r = co_await self.blk().co_preadv(range, iov);
    co_await or_return(std::move(r));
    at += range.bytes;
  }
  co_return Result<>();
}

}  // namespace rhea
