// What the controller does at the disks.
#include <algorithm>
#include <cstring>

#include "hw/floppy/fdc.h"
#include "hw/floppy/fdc_bits.h"

namespace rhea {

using namespace fdc;

namespace {
constexpr size_t kReadAheadSectors = 64;  // more than two tracks of the usual kind
}

uint64_t Fdc::sector_number(const FdcUnit& u) const {
  const FloppyFormat* f = disk();
  return (uint64_t{u.track} * f->heads + u.head) * f->sectors + u.sector - 1u;
}

/// Puts the sector under the head where the transfer wants it, if it has been read.
bool Fdc::take_read_ahead() {
  const uint64_t lba = sector_number(unit());
  if (!read_ahead_.empty() && read_ahead_.front().first != lba) read_ahead_.clear();
  if (read_ahead_.empty()) return false;
  const auto& sector = read_ahead_.front().second;
  std::ranges::copy(sector, scans() ? scan_sector_.begin() : state.fifo.begin());
  read_ahead_.pop_front();
  return true;
}

/// Reads the sector under the head, and those the transfer will come to.
void Fdc::start_reading() {
  auto ahead = std::make_shared<ReadAhead>();
  FdcUnit at = unit();
  uint8_t ignored = 0;
  uint32_t bytes = state.data_len - state.data_pos;
  if (uses_dma() && direction() == FdcTransfer::kRead)
    bytes = std::clamp(dma->bytes_left(dma_channel), uint32_t{1}, bytes);
  const size_t most = std::min<size_t>(kReadAheadSectors, bytes / kFloppySectorBytes + 1);
  do ahead->sectors.push_back(sector_number(at));
  while (ahead->sectors.size() < most && next_sector(at, ignored));
  ++in_flight_;
  gate_.spawn<void>(co_read(owner_.shared_from_this(), drive()->backend(), ahead),
                    [this, ahead, mine = generation_](const Result<>& r) {
                      --in_flight_;
                      if (mine == generation_ && !r && ahead->data.empty()) fail_transfer();
                      for (size_t i = 0; mine == generation_ && i < ahead->data.size() / kFloppySectorBytes;
                           ++i) {
                        auto& [lba, data] = read_ahead_.emplace_back();
                        lba = ahead->sectors[i];
                        std::memcpy(data.data(), &ahead->data[i * kFloppySectorBytes], kFloppySectorBytes);
                      }
                      run();
                    });
}

/// A disk shorter than its format ends in zeroes.
CoResult<> Fdc::co_read(std::shared_ptr<Object>, BlockBackend& disk, std::shared_ptr<ReadAhead> ahead) {
  const uint64_t disk_bytes = co_await or_return(disk.getlength());
  const auto& sectors = ahead->sectors;
  std::vector<uint8_t> run;
  for (size_t i = 0; i < sectors.size();) {
    size_t n = 1;
    while (i + n < sectors.size() && sectors[i + n] == sectors[i] + n) ++n;
    run.assign(n * kFloppySectorBytes, 0);
    const uint64_t offset = sectors[i] * kFloppySectorBytes;
    const uint64_t bytes = offset < disk_bytes ? std::min<uint64_t>(run.size(), disk_bytes - offset) : 0;
    if (bytes != 0) {
      const ByteRange range(offset, bytes);
      Result<> r = co_await disk.co_preadv(range, IoVector(run.data(), bytes));
      co_await or_return(std::move(r));
    }
    ahead->data.insert(ahead->data.end(), run.begin(), run.end());
    i += n;
  }
  co_return Result<>();
}

void Fdc::start_writing(uint64_t lba, std::span<const uint8_t> sector) {
  auto data = std::make_shared<std::vector<uint8_t>>(sector.begin(), sector.end());
  read_ahead_.clear();
  ++in_flight_;
  gate_.spawn<void>(co_write(owner_.shared_from_this(), drive()->backend(), lba, data),
                    [this, mine = generation_](const Result<>& r) {
                      --in_flight_;
                      if (mine == generation_) {
                        state.full = 0;
                        if (!r || disk() == nullptr)
                          fail_transfer();
                        else
                          next_after(!formats() && state.data_pos % kFloppySectorBytes == 0, state.last != 0);
                      }
                      run();
                    });
}

CoResult<> Fdc::co_write(std::shared_ptr<Object>, BlockBackend& disk, uint64_t lba, SharedBytes sector) {
  const ByteRange range(lba * kFloppySectorBytes, sector->size());
  Result<> r = co_await disk.co_pwritev(range, IoVector(sector->data(), sector->size()));
  co_return r;
}

/// To the guest it is a bad spot.
void Fdc::fail_transfer() {
  if (disk() == nullptr) return end_transfer(kSt0Abnormal, kSt1MissingMark, 0);
  end_transfer(state.status0 | kSt0Abnormal, kSt1DataError, kSt2DataError);
}

}  // namespace rhea
