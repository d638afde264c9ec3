#include "block/drivers/qcow2/compress.h"

#include <zlib.h>
#include <zstd.h>

#include <memory>

namespace rhea::qcow2 {

namespace {

constexpr int kWindowBits = -12;  // raw deflate, 4 KiB

Result<size_t> deflate_cluster(std::span<const uint8_t> in, std::span<uint8_t> out) {
  constexpr int kMemoryLevel = 9;
  z_stream z = {};
  if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, kWindowBits, kMemoryLevel, Z_DEFAULT_STRATEGY) !=
      Z_OK)
    return fail(ENOMEM, "Cannot compress a cluster");
  z.next_in = const_cast<Bytef*>(in.data());
  z.avail_in = static_cast<uInt>(in.size());
  z.next_out = out.data();
  z.avail_out = static_cast<uInt>(out.size());
  const int done = deflate(&z, Z_FINISH);
  const size_t bytes = out.size() - z.avail_out;
  deflateEnd(&z);
  if (done == Z_STREAM_END) return bytes;
  if (done == Z_OK || done == Z_BUF_ERROR) return size_t{0};
  return fail(EIO, "Cannot compress a cluster");
}

Result<> inflate_cluster(std::span<const uint8_t> in, std::span<uint8_t> out) {
  z_stream z = {};
  if (inflateInit2(&z, kWindowBits) != Z_OK) return fail(ENOMEM, "Cannot decompress a cluster");
  z.next_in = const_cast<Bytef*>(in.data());
  z.avail_in = static_cast<uInt>(in.size());
  z.next_out = out.data();
  z.avail_out = static_cast<uInt>(out.size());
  const int done = inflate(&z, Z_FINISH);
  const bool full = z.avail_out == 0;
  inflateEnd(&z);
  // The data may go on behind what a cluster holds; that is not an error.
  if ((done == Z_STREAM_END || done == Z_BUF_ERROR || done == Z_OK) && full) return {};
  return fail(EIO, "A compressed cluster is damaged");
}

Result<> unzstd_cluster(std::span<const uint8_t> in, std::span<uint8_t> out) {
  struct Free {
    void operator()(ZSTD_DCtx* d) const { ZSTD_freeDCtx(d); }
  };
  const std::unique_ptr<ZSTD_DCtx, Free> stream(ZSTD_createDCtx());
  if (!stream) return fail(ENOMEM, "Cannot decompress a cluster");
  ZSTD_inBuffer input{in.data(), in.size(), 0};
  ZSTD_outBuffer output{out.data(), out.size(), 0};
  // What follows the frame in its last sector is not part of it, so the data is taken as a stream.
  while (output.pos < output.size) {
    const size_t in_before = input.pos, out_before = output.pos;
    const size_t r = ZSTD_decompressStream(stream.get(), &output, &input);
    if (ZSTD_isError(r) != 0 || (input.pos == in_before && output.pos == out_before)) break;
  }
  if (output.pos == output.size) return {};
  return fail(EIO, "A compressed cluster is damaged");
}

}  // namespace

Result<size_t> compress(Compression how, std::span<const uint8_t> in, std::span<uint8_t> out) {
  if (how == Compression::kDeflate) return deflate_cluster(in, out);
  const size_t bytes = ZSTD_compress(out.data(), out.size(), in.data(), in.size(), ZSTD_CLEVEL_DEFAULT);
  return ZSTD_isError(bytes) != 0 ? size_t{0} : bytes;
}

Result<> decompress(Compression how, std::span<const uint8_t> in, std::span<uint8_t> out) {
  return how == Compression::kDeflate ? inflate_cluster(in, out) : unzstd_cluster(in, out);
}

}  // namespace rhea::qcow2
