// What a drive sees of the bus master of its channel.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "memory/memory.h"
#include "util/iov.h"

namespace rhea {

class IdeDrive;

/// Guest memory that a request reads into or writes from: RAM in place, anything else through a buffer.
class GuestScatter {
 public:
  GuestScatter() : view_(memory_space().view()) {}
  /// Appends guest memory [addr, addr + bytes) that will be written to.
  void add(GuestAddr addr, uint64_t bytes);
  /// Appends guest memory that will be read from; what is no RAM is read now.
  void add_source(GuestAddr addr, uint64_t bytes);
  /// Appends `bytes` zeroes that no guest memory is behind.
  void add_nowhere(uint64_t bytes);
  IoVector iov() const { return IoVector(std::span<const iovec>(pieces_)); }
  uint64_t bytes() const { return bytes_; }
  size_t piece_count() const { return pieces_.size(); }
  /// The data is there: tells who tracks RAM, and passes on what was buffered.
  void commit();

 private:
  struct Ram {
    RamBlock* block;
    uint64_t offset, bytes;
  };
  struct Buffered {
    std::optional<GuestAddr> addr;  ///< where it goes in the end
    std::unique_ptr<uint8_t[]> data;
    uint64_t bytes;
  };
  uint8_t* add_buffer(std::optional<GuestAddr> addr, uint64_t bytes);
  std::shared_ptr<const FlatView> view_;  ///< keeps the mappings
  std::vector<iovec> pieces_;
  std::vector<Ram> ram_;
  std::vector<Buffered> buffered_;
  uint64_t bytes_ = 0;
};

/// Machine lock.
class IdeDma {
 public:
  virtual ~IdeDma() = default;
  /// The drive has data for memory, or wants some. IdeDrive::dma_run() follows as soon as the host has
  /// started the bus master, maybe at once.
  virtual void request(IdeDrive& drive) = 0;
  /// The drive gives up.
  virtual void withdraw(IdeDrive& drive) = 0;
  enum class Direction : uint8_t { kToMemory, kFromMemory };
  /// Takes up to `max` bytes of the table's memory into `out`; 0: the table is at its end, or bad.
  virtual uint64_t collect(GuestScatter& out, uint64_t max, Direction direction = Direction::kToMemory) = 0;
  /// The drive's request failed and is to be tried again from the table's start: restart() follows.
  virtual void suspended() = 0;
  /// Goes back to the start of the table; then as request().
  virtual void restart(IdeDrive& drive) = 0;
  /// The drive has moved all it had; the interrupt follows.
  virtual void finished() = 0;
  /// The drive has more data than the table has memory, or the table is bad.
  virtual void overrun() = 0;
  /// Nothing of a transfer the host stopped is on its way any more.
  virtual void stopped() = 0;
};

}  // namespace rhea
