// Guest memory and the processors' state as an ELF core file, for debuggers and crash.
// Spec: System V ABI, chapters 4 and 5; the AMD64 supplement; Linux's struct elf_prstatus.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <vector>

#include "accel/x86_state.h"
#include "memory/memory.h"
#include "util/byte_buffer.h"
#include "util/result.h"
#include "util/unique_fd.h"

namespace rhea {

/// Only this part of guest-physical memory.
struct DumpFilter {
  uint64_t begin = 0, bytes = 0;
};

class GuestDump {
 public:
  /// Settles what is to be written. `cpus` are the states, in order; `paging`: by the linear addresses of
  /// their page tables. The guest must stand from now on until write() has returned.
  static Result<std::unique_ptr<GuestDump>> create(UniqueFd file, std::vector<X86State> cpus, bool paging,
                                                   std::optional<DumpFilter> filter);
  /// Writes it all. Blocks: on a pool thread.
  Result<> write();
  /// Makes write() fail soon. Any thread.
  void cancel() { cancelled_ = true; }
  /// Bytes of memory. Any thread.
  uint64_t total() const { return total_; }
  uint64_t completed() const { return completed_; }

 private:
  /// Guest-physical memory that lies together, and where the file has it, counted from its first memory byte.
  struct Stretch {
    uint64_t start, bytes;
    const uint8_t* host;
    uint64_t file_offset;
  };
  struct Segment {
    uint64_t linear, physical, bytes, file_offset;
  };
  GuestDump(UniqueFd file, std::vector<X86State> cpus) : file_(std::move(file)), cpus_(std::move(cpus)) {}
  void collect(std::optional<DumpFilter> filter);
  Result<> map_by_page_tables();
  void add_page(uint64_t linear, uint64_t physical, uint64_t bytes);
  Bytes headers() const;
  Bytes notes() const;
  Result<> put(const uint8_t* data, uint64_t bytes);
  Result<> wait_for_room() const;

  UniqueFd file_;
  std::vector<X86State> cpus_;
  std::shared_ptr<const FlatView> view_;  ///< keeps the memory
  std::vector<Stretch> stretches_;
  std::vector<Segment> segments_;
  bool paging_ = false;
  uint64_t total_ = 0;
  std::atomic<uint64_t> completed_ = 0;
  std::atomic<bool> cancelled_ = false;
};

}  // namespace rhea
