#include "hw/display/edid.h"

#include <algorithm>
#include <string_view>

namespace rhea {

namespace {

constexpr unsigned kDefaultRefreshMhz = 75'000;
constexpr size_t kStandardTimings = 38, kDescriptors = 54, kDescriptorBytes = 18;

void put16(uint8_t* at, unsigned value) {
  at[0] = static_cast<uint8_t>(value);
  at[1] = static_cast<uint8_t>(value >> 8);
}

/// Millimetres of so many pixels at 100 dots an inch.
unsigned millimetres(unsigned pixels) {
  return pixels * 254 / 1000;
}

/// 3.10.2: blanking is a third of a line's pixels and a thirtieth of the lines.
void detailed_timing(uint8_t* d, unsigned width, unsigned height, unsigned refresh_mhz) {
  const unsigned x_front = width * 25 / 100, x_sync = width * 3 / 100, x_blank = width * 35 / 100;
  const unsigned y_front = height * 5 / 1000, y_sync = height * 5 / 1000, y_blank = height * 35 / 1000;
  const uint64_t clock_10khz = uint64_t{width + x_blank} * (height + y_blank) * refresh_mhz / 1000 / 10'000;
  put16(d, static_cast<unsigned>(std::min<uint64_t>(clock_10khz, UINT16_MAX)));
  auto low = [](unsigned v) { return static_cast<uint8_t>(v); };
  auto high = [](unsigned v, unsigned w) { return static_cast<uint8_t>((v >> 8 & 15) << 4 | (w >> 8 & 15)); };
  d[2] = low(width);
  d[3] = low(x_blank);
  d[4] = high(width, x_blank);
  d[5] = low(height);
  d[6] = low(y_blank);
  d[7] = high(height, y_blank);
  d[8] = low(x_front);
  d[9] = low(x_sync);
  d[10] = static_cast<uint8_t>((y_front & 15) << 4 | (y_sync & 15));
  d[11] = static_cast<uint8_t>((x_front >> 8 & 3) << 6 | (x_sync >> 8 & 3) << 4 | (y_front >> 4 & 3) << 2 |
                               (y_sync >> 4 & 3));
  const unsigned mm_x = millimetres(width), mm_y = millimetres(height);
  d[12] = low(mm_x);
  d[13] = low(mm_y);
  d[14] = high(mm_x, mm_y);
  d[17] = 0x18;  // digital, separate sync
}

/// 3.10.3: a descriptor with a tag and text, ended by a line feed and padded with spaces.
void text_descriptor(uint8_t* d, uint8_t tag, std::string_view text) {
  d[3] = tag;
  std::fill_n(d + 5, 13, uint8_t{' '});
  const size_t n = std::min<size_t>(text.size(), 13);
  std::copy_n(text.begin(), n, d + 5);
  if (n < 13) d[5 + n] = '\n';
}

/// 3.10.3.3: 50 to 125 Hz, 30 to 160 kHz, up to 2550 MHz, nothing secondary.
void range_descriptor(uint8_t* d) {
  constexpr uint8_t kRange[] = {0, 0, 0, 0xfd, 0, 50, 125, 30, 160, 255, 0x01, '\n'};
  std::fill_n(d, kDescriptorBytes, uint8_t{' '});
  std::copy(std::begin(kRange), std::end(kRange), d);
}

/// 3.9: eight of the usual sizes at 60 Hz; 0x01 0x01 is none.
void standard_timings(EdidBlock& e, unsigned width) {
  struct Size {
    unsigned width;
    uint8_t aspect;  ///< 0: 16:10, 1: 4:3, 2: 5:4, 3: 16:9
  };
  constexpr Size kSizes[] = {{2048, 1}, {1920, 3}, {1920, 0}, {1600, 1},
                             {1680, 0}, {1400, 1}, {1280, 2}, {1024, 1}};
  size_t at = kStandardTimings;
  for (const Size& s : kSizes) {
    if (s.width == width) continue;
    e[at++] = static_cast<uint8_t>(s.width / 8 - 31);
    e[at++] = static_cast<uint8_t>(s.aspect << 6);
  }
  while (at < kDescriptors) e[at++] = 0x01;
}

}  // namespace

EdidBlock make_edid(unsigned width, unsigned height, unsigned refresh_mhz) {
  if (refresh_mhz == 0) refresh_mhz = kDefaultRefreshMhz;
  EdidBlock e{0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x49, 0x14,  // "RHT"
              0x34, 0x12};                                                 // product
  e[16] = 42;                                                              // week
  e[17] = 2014 - 1990;                                                     // year
  e[18] = 1;
  e[19] = 4;     // structure 1.4
  e[20] = 0xa5;  // digital, 8 bits a colour, DisplayPort
  e[21] = static_cast<uint8_t>(std::min(millimetres(width) / 10, 255u));
  e[22] = static_cast<uint8_t>(std::min(millimetres(height) / 10, 255u));
  e[23] = 220 - 100;  // gamma 2.2
  e[24] = 0x06;       // sRGB, the first timing is preferred
  constexpr uint8_t kSrgb[] = {0xee, 0x91, 0xa3, 0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54};
  std::copy(std::begin(kSrgb), std::end(kSrgb), e.begin() + 25);
  e[35] = 0x21;  // 640x480 and 800x600 at 60 Hz
  e[36] = 0x08;  // 1024x768 at 60 Hz
  standard_timings(e, width);
  uint8_t* d = e.data() + kDescriptors;
  detailed_timing(d, width, height, refresh_mhz);
  range_descriptor(d + kDescriptorBytes);
  text_descriptor(d + 2 * kDescriptorBytes, 0xfc, "QEMU Monitor");  // by this name drivers know the machine
  d[3 * kDescriptorBytes + 3] = 0x10;                               // an unused descriptor
  unsigned sum = 0;
  for (size_t i = 0; i < 127; ++i) sum += e[i];
  e[127] = static_cast<uint8_t>(256 - sum % 256);
  return e;
}

}  // namespace rhea
