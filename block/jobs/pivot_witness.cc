#include "block/jobs/pivot_witness.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "util/byteorder.h"
#include "util/sha256.h"
#include "util/thread_pool.h"

namespace rhea {

namespace {

constexpr std::string_view kPivotMagic = "RHEAPIVT";
constexpr uint32_t kPivotVersion = 1;
constexpr size_t kVersionAt = 8, kVerdictAt = 12, kGenerationAt = 16, kJobAt = 24, kFromAt = 152, kToAt = 216,
                 kTextsEnd = 280, kDigestAt = 448;

std::string pivot_digest(std::span<const uint8_t> record) {
  Sha256 hash;
  hash.add(record.first(kDigestAt));
  return hash.hex();
}

/// Zero-terminated within its field.
Result<> put_text(std::span<uint8_t> field, std::string_view text) {
  if (text.size() >= field.size())
    return fail(EINVAL, "'", text, "' is too long for a witness: at most ", field.size() - 1, " bytes");
  std::ranges::copy(text, field.begin());
  return {};
}

std::string get_text(std::span<const uint8_t> field) {
  const auto end = std::ranges::find(field, uint8_t{0});
  return {field.begin(), end};
}

Result<> pwrite_durably(int fd, std::span<const uint8_t> bytes) {
  const ssize_t n = ::pwrite(fd, bytes.data(), bytes.size(), 0);
  if (n < 0) return fail_errno(errno, "Could not write the witness of the pivot");
  if (static_cast<size_t>(n) != bytes.size()) return fail(EIO, "The witness of the pivot was cut off");
  if (::fdatasync(fd) != 0) return fail_errno(errno, "Could not write the witness of the pivot");
  return {};
}

}  // namespace

Result<std::array<uint8_t, kPivotRecordBytes>> serialize(const PivotRecord& record) {
  std::array<uint8_t, kPivotRecordBytes> out{};
  const std::span<uint8_t> all(out);
  std::ranges::copy(kPivotMagic, out.begin());
  store_be<uint32_t>(&out[kVersionAt], kPivotVersion);
  store_be<uint32_t>(&out[kVerdictAt], static_cast<uint32_t>(record.verdict));
  store_be<uint64_t>(&out[kGenerationAt], record.generation);
  TRY(put_text(all.subspan(kJobAt, kFromAt - kJobAt), record.job));
  TRY(put_text(all.subspan(kFromAt, kToAt - kFromAt), record.from_node));
  TRY(put_text(all.subspan(kToAt, kTextsEnd - kToAt), record.to_node));
  std::ranges::copy(pivot_digest(out), out.begin() + kDigestAt);
  return out;
}

Result<PivotRecord> parse_pivot_record(std::span<const uint8_t> bytes) {
  if (bytes.size() != kPivotRecordBytes ||
      std::memcmp(bytes.data(), kPivotMagic.data(), kPivotMagic.size()) != 0)
    return fail(EINVAL, "not the witness of a pivot");
  const std::string digest = pivot_digest(bytes);
  if (!std::ranges::equal(bytes.subspan(kDigestAt), digest)) return fail(EINVAL, "the witness is damaged");
  const uint32_t verdict = load_be<uint32_t>(&bytes[kVerdictAt]);
  if (load_be<uint32_t>(&bytes[kVersionAt]) != kPivotVersion || verdict < 1 || verdict > 3)
    return fail(EINVAL, "the witness is of another version");
  PivotRecord out;
  out.verdict = static_cast<PivotRecord::Verdict>(verdict);
  out.generation = load_be<uint64_t>(&bytes[kGenerationAt]);
  out.job = get_text(bytes.subspan(kJobAt, kFromAt - kJobAt));
  out.from_node = get_text(bytes.subspan(kFromAt, kToAt - kFromAt));
  out.to_node = get_text(bytes.subspan(kToAt, kTextsEnd - kToAt));
  return out;
}

CoResult<std::shared_ptr<PivotWitness>> PivotWitness::co_make(UniqueFd fd, PivotRecord record) {
  std::shared_ptr<PivotWitness> made(new PivotWitness(std::move(fd), std::move(record)));
  co_await or_return(co_await made->co_begin());
  co_return made;
}

CoResult<std::shared_ptr<PivotWitness>> PivotWitness::co_make(std::string path, PivotRecord record) {
  auto open = [&]() -> Result<UniqueFd> {
    constexpr mode_t kMode = 0600;
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, kMode));
    if (fd.get() < 0) return fail_errno(errno, "Could not open '", path, "'");
    // A new name has to be there after a crash too.
    const size_t slash = path.rfind('/');
    const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
    const UniqueFd parent(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (parent.get() < 0 || ::fsync(parent.get()) != 0)
      return fail_errno(errno, "Could not sync '", folder, "'");
    return fd;
  };
  Result<UniqueFd> fd = co_await thread_pool().co_run(open);
  if (!fd) co_return Failure(std::move(fd).error());
  co_return co_await co_make(std::move(*fd), std::move(record));
}

CoResult<> PivotWitness::co_begin() {
  auto read = [&]() -> Result<PivotRecord> {
    std::array<uint8_t, kPivotRecordBytes> bytes{};
    const ssize_t n = ::pread(fd_.get(), bytes.data(), bytes.size(), 0);
    if (n < 0) return fail_errno(errno, "Could not read the witness of the pivot");
    if (n == 0) return PivotRecord();
    if (std::memcmp(bytes.data(), kPivotMagic.data(), kPivotMagic.size()) != 0)
      return fail(EEXIST, "The file holds something that is no witness of a pivot");
    Result<PivotRecord> before = parse_pivot_record(std::span(bytes).first(static_cast<size_t>(n)));
    if (!before) return PivotRecord();  // one that a crash has cut off
    if (before->generation < UINT64_MAX) ++before->generation;
    return before;
  };
  const Result<PivotRecord> next = co_await thread_pool().co_run(read);
  if (!next) co_return Failure(Error(next.error()));
  record_.generation = next->generation;
  co_return co_await co_write(PivotRecord::Verdict::kPrepared);
}

CoResult<> PivotWitness::co_write(PivotRecord::Verdict verdict) {
  record_.verdict = verdict;
  const auto bytes = co_await or_return(serialize(record_));
  auto work = [&] { return pwrite_durably(fd_.get(), bytes); };
  co_return co_await thread_pool().co_run(work);
}

}  // namespace rhea
