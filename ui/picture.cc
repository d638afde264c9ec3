#include "ui/picture.h"

#include <zlib.h>

#include <string_view>

namespace rhea {

namespace {

void put_be32(std::vector<uint8_t>& out, uint32_t v) {
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<uint8_t>(v >> shift));
}

void put_row(std::vector<uint8_t>& out, const uint32_t* row, int width) {
  for (int x = 0; x < width; ++x) {
    out.push_back(static_cast<uint8_t>(row[x] >> 16));
    out.push_back(static_cast<uint8_t>(row[x] >> 8));
    out.push_back(static_cast<uint8_t>(row[x]));
  }
}

void put_text(std::vector<uint8_t>& out, std::string_view text) {
  out.insert(out.end(), text.begin(), text.end());
}

/// 5.3: length, type, data, and a CRC of type and data.
void put_chunk(std::vector<uint8_t>& out, std::string_view type, const std::vector<uint8_t>& data) {
  put_be32(out, static_cast<uint32_t>(data.size()));
  const size_t start = out.size();
  put_text(out, type);
  out.insert(out.end(), data.begin(), data.end());
  const uLong crc = crc32_z(0, &out[start], out.size() - start);
  put_be32(out, static_cast<uint32_t>(crc));
}

size_t picture_bytes(const Surface& s) {
  return static_cast<size_t>(s.width()) * static_cast<size_t>(s.height()) * 3;
}

}  // namespace

std::vector<uint8_t> encode_ppm(const Surface& surface) {
  std::vector<uint8_t> out;
  out.reserve(32 + picture_bytes(surface));
  put_text(out, str_cat("P6\n", surface.width(), " ", surface.height(), "\n255\n"));
  for (int y = 0; y < surface.height(); ++y) put_row(out, surface.row(y), surface.width());
  return out;
}

Result<std::vector<uint8_t>> encode_png(const Surface& surface) {
  std::vector<uint8_t> rows;
  rows.reserve(picture_bytes(surface) + static_cast<size_t>(surface.height()));
  for (int y = 0; y < surface.height(); ++y) {
    rows.push_back(0);  // filter type "none"
    put_row(rows, surface.row(y), surface.width());
  }
  uLongf bytes = compressBound(rows.size());
  std::vector<uint8_t> packed(bytes);
  if (compress2(packed.data(), &bytes, rows.data(), rows.size(), Z_BEST_SPEED) != Z_OK)
    return fail(ENOMEM, "the picture cannot be compressed");
  packed.resize(bytes);
  std::vector<uint8_t> header;
  put_be32(header, static_cast<uint32_t>(surface.width()));
  put_be32(header, static_cast<uint32_t>(surface.height()));
  for (const uint8_t byte : {8, 2, 0, 0, 0}) header.push_back(byte);  // depth, truecolour, the only methods
  std::vector<uint8_t> out{0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  out.reserve(packed.size() + 64);
  put_chunk(out, "IHDR", header);
  put_chunk(out, "IDAT", packed);
  put_chunk(out, "IEND", {});
  return out;
}

}  // namespace rhea
