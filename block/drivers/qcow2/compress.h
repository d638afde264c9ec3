// Compressed clusters: deflate without header in a window of 4 KiB, or zstd.
#pragma once

#include <span>

#include "block/drivers/qcow2/format.h"

namespace rhea::qcow2 {

/// Bytes written to `out`; 0 if the input does not become smaller than `out` is.
Result<size_t> compress(Compression how, std::span<const uint8_t> in, std::span<uint8_t> out);
/// Fills all of `out`. `in` may be longer than the compressed data. EIO if there is less in it.
Result<> decompress(Compression how, std::span<const uint8_t> in, std::span<uint8_t> out);

}  // namespace rhea::qcow2
