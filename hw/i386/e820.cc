#include "hw/i386/e820.h"

namespace rhea {

std::vector<E820Entry> ram_map(uint64_t ram_below_4g, uint64_t ram_above_4g) {
  std::vector<E820Entry> map;
  if (ram_below_4g != 0) map.push_back({0, ram_below_4g, E820Type::kRam});
  if (ram_above_4g != 0) map.push_back({uint64_t{1} << 32, ram_above_4g, E820Type::kRam});
  return map;
}

Bytes encode_e820(std::span<const E820Entry> entries) {
  ByteBuffer b;
  for (const E820Entry& e : entries) b.u64(e.address).u64(e.bytes).u32(static_cast<uint32_t>(e.type));
  return b.take();
}

}  // namespace rhea
