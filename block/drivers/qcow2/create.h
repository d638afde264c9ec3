// Making new qcow2 images.
#pragma once

#include "block/drivers/qcow2/format.h"
#include "block/graph/block_backend.h"

namespace rhea::qcow2 {

struct CreateOptions {
  uint64_t virtual_bytes = 0;
  uint32_t version = 3;
  uint64_t cluster_bytes = 65536;
  uint32_t refcount_bits = 16;
  bool lazy_refcounts = false;
  bool extended_l2 = false;
  Compression compression = Compression::kDeflate;
  std::string backing_file;
  std::string backing_format;
  bool has_data_file = false;
  bool data_file_raw = false;
  std::string data_file;  ///< the name the image remembers
};

/// What is wrong with the options, in the words a user sees.
Result<> check_create_options(const CreateOptions& options);

/// Writes an empty image over whatever `file` holds; `file` must be allowed to write and resize. What it held
/// is lost also on failure.
CoResult<> co_create_image(BlockBackend& file, CreateOptions options);

}  // namespace rhea::qcow2
