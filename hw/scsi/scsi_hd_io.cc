// The disk's transfers. Spec: SBC-3 (T10/1799-D) 5.
#include <algorithm>

#include "hw/scsi/scsi_disk.h"
#include "util/byteorder.h"

namespace rhea {

using namespace scsi;

namespace {

constexpr uint64_t kScsiChunkBytes = 1 << 20;  ///< of one request at the backend where we need a buffer
constexpr uint8_t kUnmapBit = 0x08, kAnchorBit = 0x10, kNoDataBit = 0x01, kForceUnitAccess = 0x08;

/// `pattern` over and over.
std::vector<uint8_t> repeated(std::span<const uint8_t> pattern, uint64_t bytes) {
  std::vector<uint8_t> out(bytes);
  for (uint64_t at = 0; at < bytes; at += pattern.size())
    std::copy(pattern.begin(), pattern.end(), out.begin() + static_cast<ptrdiff_t>(at));
  return out;
}

bool is_write_verify(uint8_t opcode) {
  return opcode == kWriteVerify10 || opcode == kWriteVerify12 || opcode == kWriteVerify16;
}

}  // namespace

CoResult<> ScsiHd::co_read(ScsiCommand& command) {
  const ScsiExtent extent = scsi_extent(command.cdb);
  if (!check_extent(command, extent, false)) co_return Result<>();
  const ByteRange range(extent.lba * block_bytes(), extent.blocks * block_bytes());
  if (range.bytes != 0) {
    const IoVector data = command.in.slice(0, range.bytes);
    Result<> read = co_await blk().co_preadv(range, data);
    if (!read) {
      if (request_failed(command, true, read.error())) co_return Result<>();
      data.zero();
    }
  }
  command.good(range.bytes);
  co_return Result<>();
}

CoResult<> ScsiHd::co_write(ScsiCommand& command) {
  const ScsiExtent extent = scsi_extent(command.cdb);
  if (!check_extent(command, extent, true)) co_return Result<>();
  const ByteRange range(extent.lba * block_bytes(), extent.blocks * block_bytes());
  if (range.bytes != 0) {
    Result<> written = co_await blk().co_pwritev(range, command.out.slice(0, range.bytes));
    if (!written && request_failed(command, false, written.error())) co_return Result<>();
  }
  if (is_write_verify(command.cdb[0])) {
    Result<> verified = co_await co_verify(command, true);
    co_return verified;
  }
  const bool durable = (command.cdb[0] >> 5) != 0 && (command.cdb[1] & kForceUnitAccess) != 0;
  if (durable) {
    Result<> flushed = co_await blk().co_flush();
    if (!flushed && request_failed(command, false, flushed.error())) co_return Result<>();
  }
  command.good(range.bytes);
  co_return Result<>();
}

CoResult<> ScsiHd::co_flush(ScsiCommand& command) {
  if (!check_extent(command, {}, false)) co_return Result<>();
  Result<> flushed = co_await blk().co_flush();
  if (!flushed && request_failed(command, false, flushed.error())) co_return Result<>();
  command.good();
  co_return Result<>();
}

/// Reads what is there, and compares it with the initiator's data where that is asked for.
CoResult<> ScsiHd::co_verify(ScsiCommand& command, bool after_write) {
  const ScsiExtent extent = scsi_extent(command.cdb);
  const unsigned compare = command.cdb[1] >> 1 & 3;
  if (compare == 2) {
    command.check(sense::kInvalidField);
    co_return Result<>();
  }
  if (!check_extent(command, extent, false)) co_return Result<>();
  const uint64_t total = extent.blocks * block_bytes(), start = extent.lba * block_bytes();
  const uint64_t given = after_write || compare == 1 ? total : compare == 3 ? block_bytes() : 0;
  if ((after_write && compare == 0) || given == 0 || total == 0) {
    command.good(after_write ? total : 0);
    co_return Result<>();
  }
  std::vector<uint8_t> mine(std::min(total, kScsiChunkBytes));
  for (uint64_t at = 0; at < total && !command.given_up;) {
    const uint64_t n = std::min<uint64_t>(mine.size(), total - at);
    const ByteRange range(start + at, n);
    Result<> read = co_await blk().co_preadv(range, IoVector(mine.data(), n));
    if (!read && request_failed(command, true, read.error())) co_return Result<>();
    std::vector<uint8_t> theirs(given == total ? n : given);
    command.out.slice(given == total ? at : 0, theirs.size()).copy_to(theirs.data());
    if (given != total) theirs = repeated(theirs, n);
    if (!std::equal(theirs.begin(), theirs.end(), mine.begin())) {
      command.check(sense::kMiscompare);
      co_return Result<>();
    }
    at += n;
  }
  command.good(given);
  co_return Result<>();
}

CoResult<> ScsiHd::co_write_same(ScsiCommand& command) {
  const ScsiExtent extent = scsi_extent(command.cdb);
  const uint8_t flags = command.cdb[1];
  const bool no_data = command.cdb[0] == kWriteSame16 && (flags & kNoDataBit) != 0;
  if (extent.blocks == 0 || (flags & kAnchorBit) != 0) {
    command.check(sense::kInvalidField);
    co_return Result<>();
  }
  if (!check_extent(command, extent, true)) co_return Result<>();
  const ByteRange range(extent.lba * block_bytes(), extent.blocks * block_bytes());
  std::vector<uint8_t> block(no_data ? 0 : block_bytes());
  if (!no_data) command.out.slice(0, block.size()).copy_to(block.data());
  const bool zeroes = std::ranges::all_of(block, [](uint8_t b) { return b == 0; });
  const bool unmap = (flags & kUnmapBit) != 0;
  if (!zeroes && !unmap) {
    Result<> written = co_await co_write_pattern(command, range);
    co_return written;
  }
  Result<> done = co_await blk().co_pwrite_zeroes(range, unmap);
  if (!done && request_failed(command, false, done.error())) co_return Result<>();
  command.good(block.size());
  co_return Result<>();
}

CoResult<> ScsiHd::co_write_pattern(ScsiCommand& command, ByteRange range) {
  std::vector<uint8_t> block(block_bytes());
  command.out.slice(0, block.size()).copy_to(block.data());
  std::vector<uint8_t> data = repeated(block, std::min(range.bytes, kScsiChunkBytes));
  for (uint64_t at = 0; at < range.bytes && !command.given_up;) {
    const uint64_t n = std::min<uint64_t>(data.size(), range.bytes - at);
    const ByteRange part(range.offset + at, n);
    Result<> written = co_await blk().co_pwritev(part, IoVector(data.data(), n));
    if (!written && request_failed(command, false, written.error())) co_return Result<>();
    at += n;
  }
  command.good(block.size());
  co_return Result<>();
}

/// 5.28: a list of extents; all are checked before the first goes.
CoResult<> ScsiHd::co_unmap(ScsiCommand& command) {
  const size_t bytes = load_be<uint16_t>(&command.cdb[7]);
  if ((command.cdb[1] & 1) != 0) {  // anchored
    command.check(sense::kInvalidField);
    co_return Result<>();
  }
  if (!check_extent(command, {}, true)) co_return Result<>();
  if (bytes == 0) {
    command.good();
    co_return Result<>();
  }
  std::vector<uint8_t> list(bytes);
  command.out.slice(0, bytes).copy_to(list.data());
  const size_t described = bytes < 8 ? 0 : load_be<uint16_t>(&list[2]);
  if (bytes < 8 || load_be<uint16_t>(&list[0]) + size_t{2} > bytes || described + 8 > bytes ||
      described % 16 != 0) {
    command.check(sense::kListLength);
    co_return Result<>();
  }
  std::vector<ScsiExtent> extents;
  for (size_t at = 8; at < described + 8; at += 16) {
    const ScsiExtent extent{load_be<uint64_t>(&list[at]), load_be<uint32_t>(&list[at + 8])};
    if (!inside(extent)) {
      command.check(sense::kLbaOutOfRange);
      co_return Result<>();
    }
    extents.push_back(extent);
  }
  for (const ScsiExtent& extent : extents) {
    if (extent.blocks == 0) continue;
    const ByteRange range(extent.lba * block_bytes(), extent.blocks * block_bytes());
    Result<> done = co_await blk().co_pdiscard(range);
    if (!done && request_failed(command, false, done.error())) co_return Result<>();
  }
  command.good(bytes);
  co_return Result<>();
}

}  // namespace rhea
