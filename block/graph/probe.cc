// Which driver a file name or the first bytes of an image call for.
#include "block/graph/node_opener.h"

namespace rhea {

std::string_view protocol_prefix(std::string_view filename) {
  const size_t colon = filename.find(':');
  const size_t slash = filename.find('/');
  if (colon == std::string_view::npos || slash < colon) return {};
  return filename.substr(0, colon);
}

namespace {

/// Beginnings of image formats. An image that has one is no raw image, whether or not its driver is built in:
/// a guest must never see the inside of a container as its disk.
constexpr std::string_view kImageMagics[] = {
    std::string_view("QFI\xfb", 4),   // qcow, qcow2
    std::string_view("QED\0", 4),     // qed
    std::string_view("KDMV", 4),      // vmdk, sparse extent
    std::string_view("COWD", 4),      // vmdk, ESX sparse extent
    std::string_view("vhdxfile", 8),  // vhdx
    std::string_view("conectix", 8),  // vhd
    std::string_view("LUKS\xba\xbe", 6),
    std::string_view("WithoutFreeSpace", 16),  // parallels
    std::string_view("WithouFreSpacExt", 16),
};

bool has_image_magic(std::span<const uint8_t> head) {
  const std::string_view text(reinterpret_cast<const char*>(head.data()), head.size());
  for (std::string_view magic : kImageMagics)
    if (text.starts_with(magic)) return true;
  constexpr size_t kVdiMagicAt = 64;  // 0xbeda107f, little endian
  return text.size() > kVdiMagicAt + 4 &&
         text.substr(kVdiMagicAt, 4) == std::string_view("\x7f\x10\xda\xbe", 4);
}

}  // namespace

const BlockDriver* probe_format(const BlockGraph& graph, std::span<const uint8_t> head, bool* foreign) {
  const BlockDriver* best = nullptr;
  int best_score = 0;
  for (const BlockDriver* d : graph.drivers()) {
    const int score = d->probe != nullptr ? d->probe(head) : 0;
    if (score > best_score) {
      best = d;
      best_score = score;
    }
  }
  *foreign = has_image_magic(head) && (best == nullptr || best->name == "raw");
  return *foreign ? nullptr : best;
}

bool looks_formatted(const BlockGraph& graph, std::span<const uint8_t> head) {
  bool foreign = false;
  const BlockDriver* d = probe_format(graph, head, &foreign);
  return foreign || (d != nullptr && d->name != "raw");
}

}  // namespace rhea
