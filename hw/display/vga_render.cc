#include "hw/display/vga_render.h"

#include <algorithm>
#include <cstring>

#include "util/byteorder.h"

namespace rhea {

VgaState VgaRenderer::look() const {
  VgaState s = core_.state;
  s.latch = 0;
  s.sr_index = s.gr_index = s.cr_index = 0;
  s.ar_index &= 0x20;
  s.ar_flip_flop = 0;
  s.st01 = s.dac_state = s.dac_sub_index = s.dac_read_index = s.dac_write_index = 0;
  s.dac_cache = {};
  s.bank_offset = 0;
  s.vbe_index = 0;
  s.vbe_regs[vbe::kBank] = 0;
  s.cr[0x0e] = s.cr[0x0f] = 0;  // the cursor's place
  s.sr[2] = 0;
  s.gr[0] = s.gr[1] = s.gr[2] = s.gr[3] = s.gr[4] = s.gr[8] = 0;
  return s;
}

/// Notes which pages changed and starts anew. True if any did.
bool VgaRenderer::take_dirty_pages(bool all) {
  RamBlock& ram = core_.vram();
  const bool known = ram.tracking(DirtyClient::kDisplay);
  pages_.assign(ram.size() / kPageSize, all || !known);
  if (!known) return true;
  bool any = all;
  for (size_t page = 0; page < pages_.size(); ++page) {
    if (!ram.test_and_clear(DirtyClient::kDisplay, page * kPageSize)) continue;
    pages_[page] = any = true;
  }
  return any;
}

bool VgaRenderer::dirty(uint32_t at, uint32_t bytes) const {
  if (bytes == 0) return false;
  const size_t first = at / kPageSize, count = (at % kPageSize + bytes - 1) / kPageSize + 1;
  for (size_t i = 0; i < count; ++i)
    if (pages_[(first + i) % pages_.size()]) return true;
  return false;
}

/// Memory wraps round at its end.
void VgaRenderer::copy_line(uint32_t at, uint32_t bytes) {
  line_.resize(bytes);
  const uint8_t* memory = core_.vram().host();
  const uint32_t size = core_.vram_mask() + 1;
  for (uint32_t done = 0; done < bytes;) {
    const uint32_t from = (at + done) & core_.vram_mask();
    const uint32_t n = std::min(bytes - done, size - from);
    std::memcpy(&line_[done], memory + from, n);
    done += n;
  }
}

void VgaRenderer::render(Console& console, bool all, int64_t now_ns) {
  const VgaState now = look();
  if (!drawn_ || !(now == seen_)) all = true;
  seen_ = now;
  mode_ = vga_mode(core_);
  if (mode_.format == VgaFormat::kBlank) {
    if (all) blank(console);
    drawn_ = true;
    return;
  }
  if (console.resize(mode_.width, mode_.height)) all = true;
  if (all) make_colours();
  const bool touched = take_dirty_pages(all);
  if (mode_.format == VgaFormat::kText)
    text(console, all, now_ns);
  else if (touched)
    graphics(console, all);
  drawn_ = true;
}

void VgaRenderer::blank(Console& console) {
  Surface& surface = console.surface();
  for (int y = 0; y < surface.height(); ++y) std::fill_n(surface.row(y), surface.width(), 0);
  console.changed({0, 0, surface.width(), surface.height()});
}

/// The colours of all pixel values of the mode: 16 through the attribute controller, or 256 of the DAC.
void VgaRenderer::make_colours() {
  const VgaState& s = core_.state;
  if (mode_.format == VgaFormat::kPacked8) {
    for (size_t i = 0; i < 256; ++i) colours_[i] = core_.dac_colour(static_cast<uint8_t>(i));
    return;
  }
  for (size_t i = 0; i < 16; ++i) {
    const uint8_t planes = mode_.format == VgaFormat::kText ? 0x0f : s.ar[0x12] & 0x0f;
    const uint8_t inner = s.ar[i & planes];
    const auto index = (s.ar[0x10] & 0x80) != 0
                           ? static_cast<uint8_t>((s.ar[0x14] & 0x0f) << 4 | (inner & 0x0f))
                           : static_cast<uint8_t>((s.ar[0x14] & 0x0c) << 4 | (inner & 0x3f));
    colours_[i] = core_.dac_colour(index);
  }
}

// --- graphics

/// Bytes of memory behind one line, the panned pixels with it.
uint32_t VgaRenderer::memory_bytes_of_line() const {
  const auto pixels = static_cast<uint32_t>(mode_.width / mode_.pixel_repeat + mode_.pan);
  switch (mode_.format) {
    case VgaFormat::kPacked15:
    case VgaFormat::kPacked16:
      return pixels * 2;
    case VgaFormat::kPacked24:
      return pixels * 3;
    case VgaFormat::kPacked32:
      return pixels * 4;
    case VgaFormat::kPacked8:
      return pixels;
    default:
      return (pixels + 7) / 8 * 4;
  }
}

/// A CGA keeps odd scan lines in another bank: the scan line takes the place of an address bit.
uint32_t VgaRenderer::line_address(uint32_t row_start, int scan_line) const {
  if (core_.vbe_on()) return row_start;
  const uint8_t control = core_.state.cr[0x17];
  const auto scan = static_cast<uint32_t>(scan_line);
  const unsigned byte_mode = control >> 6 & 1;
  if ((control & 1) == 0) {
    const unsigned bit = 14 + byte_mode;
    row_start = (row_start & ~(1u << bit)) | (scan & 1) << bit;
  }
  if ((control & 2) == 0) {
    const unsigned bit = 15 + byte_mode;
    row_start = (row_start & ~(1u << bit)) | (scan >> 1 & 1) << bit;
  }
  return row_start;
}

void VgaRenderer::graphics(Console& console, bool all) {
  Surface& surface = console.surface();
  const uint32_t bytes = memory_bytes_of_line();
  uint32_t row_start = mode_.start, drawn_at = 0;
  int scan = std::min(mode_.preset_row, mode_.scan_lines - 1), repeat = 0, pan = mode_.pan;
  const uint32_t* drawn = nullptr;  // the last line that was drawn, of memory at drawn_at
  PixelRect area;
  for (int y = 0; y < surface.height(); ++y) {
    const uint32_t at = line_address(row_start, scan) & core_.vram_mask();
    if (all || dirty(at, bytes)) {
      uint32_t* out = surface.row(y);
      if (drawn != nullptr && drawn_at == at)
        std::copy_n(drawn, surface.width(), out);
      else
        draw_line(out, at, pan);
      drawn = out;
      drawn_at = at;
      if (area.y + area.height != y) {
        console.changed(area);
        area = {};
      }
      area = unite(area, {0, y, surface.width(), 1});
    }
    if (y == mode_.split_line) {
      row_start = 0;
      scan = repeat = 0;
      if (!mode_.pan_split) pan = 0;
      drawn = nullptr;
      continue;
    }
    if (++repeat < mode_.line_repeat) continue;
    repeat = 0;
    if (++scan < mode_.scan_lines) continue;
    scan = 0;
    row_start += mode_.line_bytes;
  }
  console.changed(area);
}

void VgaRenderer::draw_line(uint32_t* out, uint32_t at, int pan) {
  copy_line(at, memory_bytes_of_line());
  const int wanted = mode_.width / mode_.pixel_repeat;
  expand(wanted + pan);
  const uint32_t* in = pixels_.data() + pan;
  if (mode_.pixel_repeat == 1) {
    std::copy_n(in, wanted, out);
    return;
  }
  for (int x = 0; x < wanted; ++x) out[2 * x] = out[2 * x + 1] = in[x];
}

namespace {

uint32_t widen5(uint32_t v) {
  return v << 3 | v >> 2;
}
uint32_t widen6(uint32_t v) {
  return v << 2 | v >> 4;
}

}  // namespace

/// pixels_ out of line_, at least `count` of them.
void VgaRenderer::expand(int count) {
  const auto n = static_cast<size_t>(count);
  pixels_.resize(n + 8);  // whole groups of eight
  const uint8_t* in = line_.data();
  const bool big = core_.big_endian;
  switch (mode_.format) {
    case VgaFormat::kPlanar:
      for (size_t x = 0; x < n; x += 8, in += 4)
        for (size_t bit = 0; bit < 8; ++bit) {
          const size_t shift = 7 - bit;
          const unsigned value = (in[0] >> shift & 1) | (in[1] >> shift & 1) << 1 |
                                 (in[2] >> shift & 1) << 2 | (in[3] >> shift & 1) << 3;
          pixels_[x + bit] = colours_[value];
        }
      break;
    case VgaFormat::kCga:  // planes 0 and 2 hold the first four pixels, 1 and 3 the next
      for (size_t x = 0; x < n; x += 8, in += 4)
        for (size_t i = 0; i < 8; ++i) {
          const size_t plane = i / 4, shift = 6 - 2 * (i % 4);
          const unsigned value = (in[plane] >> shift & 3) | (in[plane + 2] >> shift & 3) << 2;
          pixels_[x + i] = colours_[value];
        }
      break;
    case VgaFormat::kPacked8:
      for (size_t x = 0; x < n; ++x) pixels_[x] = colours_[in[x]];
      break;
    case VgaFormat::kPacked15:
      for (size_t x = 0; x < n; ++x) {
        const uint32_t v = big ? load_be<uint16_t>(in + 2 * x) : load_le<uint16_t>(in + 2 * x);
        pixels_[x] = widen5(v >> 10 & 31) << 16 | widen5(v >> 5 & 31) << 8 | widen5(v & 31);
      }
      break;
    case VgaFormat::kPacked16:
      for (size_t x = 0; x < n; ++x) {
        const uint32_t v = big ? load_be<uint16_t>(in + 2 * x) : load_le<uint16_t>(in + 2 * x);
        pixels_[x] = widen5(v >> 11) << 16 | widen6(v >> 5 & 63) << 8 | widen5(v & 31);
      }
      break;
    case VgaFormat::kPacked24:
      for (size_t x = 0; x < n; ++x, in += 3)
        pixels_[x] = static_cast<uint32_t>(in[big ? 2 : 0] | in[1] << 8 | in[big ? 0 : 2] << 16);
      break;
    default:
      for (size_t x = 0; x < n; ++x)
        pixels_[x] = (big ? load_be<uint32_t>(in + 4 * x) : load_le<uint32_t>(in + 4 * x)) & 0xffffff;
      break;
  }
}

}  // namespace rhea
