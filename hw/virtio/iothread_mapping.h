// Which I/O thread serves which queue: the property "iothread-vq-mapping".
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backends/iothread.h"
#include "util/json.h"
#include "util/result.h"

namespace rhea {

/// As the user wrote it.
struct IoThreadMapping {
  struct Entry {
    std::string iothread;                      ///< its id
    std::optional<std::vector<uint16_t>> vqs;  ///< none: a share of all queues
  };
  std::vector<Entry> entries;

  /// A list of {"iothread": ID, "vqs": [N, …]}; errors name the property `name`.
  static Result<IoThreadMapping> parse(std::string_view name, const Json& value);
  Json to_json() const;
};

/// What it comes to for a device.
struct AppliedMapping {
  std::vector<std::shared_ptr<IoThread>> threads;
  std::vector<size_t> thread_of;  ///< by queue: an index of `threads`
};
/// Threads that do not exist or come twice, queues the device has not, that are mapped twice or not at all,
/// are errors.
Result<AppliedMapping> apply_mapping(const IoThreadMapping& mapping, uint16_t queues);

}  // namespace rhea
