// The witness of a pivot: a record on storage that says, without this process, whether a copy has taken the
// place of its source. Its layout is in docs/qmp-extensions.md.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <string>

#include "util/coroutine.h"
#include "util/result.h"
#include "util/unique_fd.h"

namespace rhea {

struct PivotRecord {
  PivotRecord() = default;
  enum class Verdict : uint8_t {
    kPrepared = 1,  ///< it has not happened: the source is the disk
    kPivoted = 2,   ///< it has: the copy is the disk
    kRefused = 3,   ///< it could not be done: the source is the disk
  };
  Verdict verdict = Verdict::kPrepared;
  uint64_t generation = 1;  ///< rises with each pivot that the same witness sees
  std::string job, from_node, to_node;
};

inline constexpr size_t kPivotRecordBytes = 512;

/// EINVAL for a name that does not fit.
Result<std::array<uint8_t, kPivotRecordBytes>> serialize(const PivotRecord& record);
/// EINVAL if it is no such record or was cut off. Hostile input.
Result<PivotRecord> parse_pivot_record(std::span<const uint8_t> bytes);

/// The file it is in. What may wait is done on pool threads; called from the main loop.
class PivotWitness {
 public:
  /// `fd`: open for reading and writing. Begins with the next generation, and makes kPrepared durable. "The
  /// file holds something that is no witness of a pivot" if so.
  static CoResult<std::shared_ptr<PivotWitness>> co_make(UniqueFd fd, PivotRecord record);
  /// The same for a file, which is made if it is not there. "Could not open '%s'".
  static CoResult<std::shared_ptr<PivotWitness>> co_make(std::string path, PivotRecord record);
  /// Durable when it returns. After a failure nobody knows what the file says.
  CoResult<> co_write(PivotRecord::Verdict verdict);
  const PivotRecord& record() const { return record_; }

 private:
  PivotWitness(UniqueFd fd, PivotRecord record) : fd_(std::move(fd)), record_(std::move(record)) {}
  CoResult<> co_begin();
  UniqueFd fd_;
  PivotRecord record_;
};

}  // namespace rhea
