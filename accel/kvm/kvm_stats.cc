#include "accel/kvm/kvm_stats.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "accel/kvm/kvm_uapi.h"

namespace rhea {

namespace {

constexpr uint32_t kMaxCounters = 4096, kMaxCounterName = 256;  // more than any kernel has
constexpr uint64_t kMaxBuckets = 1024;

Result<> read_at(int fd, void* to, size_t bytes, uint64_t at) {
  const ssize_t n = ::pread(fd, to, bytes, static_cast<off_t>(at));
  if (n < 0) return fail_errno(errno, "KVM: reading counters failed");
  if (static_cast<size_t>(n) != bytes) return fail(EIO, "KVM: counters end too soon");
  return {};
}

}  // namespace

Result<std::vector<AccelCounter>> kvm_read_counters(int fd) {
  kvm_stats_header header{};
  TRY(read_at(fd, &header, sizeof header, 0));
  if (header.num_desc > kMaxCounters || header.name_size == 0 || header.name_size > kMaxCounterName)
    return fail(EINVAL, "KVM: ", header.num_desc, " counters with names of ", header.name_size,
                " bytes are not understood");
  const size_t each = sizeof(kvm_stats_desc) + header.name_size;
  std::vector<uint8_t> raw(each * header.num_desc);
  TRY(read_at(fd, raw.data(), raw.size(), header.desc_offset));
  std::vector<AccelCounter> out;
  for (uint32_t i = 0; i < header.num_desc; ++i) {
    kvm_stats_desc desc{};
    std::memcpy(&desc, &raw[i * each], sizeof desc);
    const auto* text = reinterpret_cast<const char*>(&raw[i * each + sizeof desc]);
    const uint32_t type = desc.flags & 0xf, unit = desc.flags >> 4 & 0xf, base = desc.flags >> 8 & 0xf;
    if (type > static_cast<uint32_t>(CounterType::kLogHistogram) ||
        unit > static_cast<uint32_t>(CounterUnit::kBoolean) || base > 1 || desc.size == 0 ||
        desc.size > kMaxBuckets)
      continue;  // of a kind that a later kernel brings
    AccelCounter counter{.name = std::string(text, strnlen(text, header.name_size)),
                         .type = static_cast<CounterType>(type),
                         .unit = static_cast<CounterUnit>(unit),
                         .base = static_cast<CounterBase>(base),
                         .exponent = desc.exponent,
                         .bucket_size = desc.bucket_size,
                         .values = std::vector<uint64_t>(desc.size)};
    TRY(read_at(fd, counter.values.data(), desc.size * sizeof(uint64_t),
                uint64_t{header.data_offset} + desc.offset));
    out.push_back(std::move(counter));
  }
  return out;
}

}  // namespace rhea
