#include "hw/i386/linux_boot.h"

#include <algorithm>
#include <charconv>
#include <optional>

namespace rhea {
namespace {

// Offsets in the image ("The Real-Mode Kernel Header").
constexpr size_t kMagicA33f = 0x20, kOldCommandLineAt = 0x22;  // protocols before 2.02
constexpr size_t kSetupSects = 0x1f1, kVidMode = 0x1fa, kBootFlag = 0x1fe;
constexpr size_t kSignatureAt = 0x202, kVersionAt = 0x206, kTypeOfLoader = 0x210, kLoadFlags = 0x211;
constexpr size_t kRamdiskImage = 0x218, kRamdiskSize = 0x21c, kHeapEndPtr = 0x224, kCommandLinePtr = 0x228;
constexpr size_t kInitrdAddrMax = 0x22c, kCommandLineSize = 0x238;

constexpr uint32_t kSignature = 0x5372'6448;  // "HdrS"
constexpr uint8_t kLoaderId = 0xb0;           // assigned to this kind of loader
constexpr uint8_t kCanUseHeap = 0x80;
constexpr uint32_t kSector = 512;
constexpr uint32_t kHighSetup = 0x10000, kLowSetup = 0x90000;
constexpr uint32_t kHighKernel = 0x100000, kLowKernel = 0x10000;
constexpr uint32_t kHighCommandLine = 0x20000;  // right above the setup segment
constexpr uint32_t kRealModeEnd = 0x9a000;      // below the extended BIOS data area
constexpr uint32_t kOldInitrdMax = 0x37ff'ffff;
constexpr uint32_t kOldCommandLineMax = 255;
// In the setup segment code and data take the first 32 KiB; heap and stack follow, up to the command line.
constexpr uint32_t kSetupMax = 0x8000;
constexpr uint32_t kHeapAndStack = 0x600;

uint32_t number_at(std::span<const uint8_t> b, size_t at, unsigned width) {  // in range by the caller's check
  uint32_t v = 0;
  for (unsigned i = width; i-- > 0;) v = v << 8 | b[at + i];
  return v;
}

// A field that a newer protocol added; it must lie inside the header's bytes in the image.
std::optional<uint32_t> field_since(std::span<const uint8_t> image, uint16_t protocol, uint16_t since,
                                    size_t at) {
  if (protocol < since || image.size() < at + 4) return std::nullopt;
  return number_at(image, at, 4);
}

Result<uint32_t> place_initrd(const LinuxHeader& h, const LinuxBootRequest& r) {
  if (r.initrd.empty()) return uint32_t{0};
  uint64_t top = r.ram_below_4g > r.reserved_top ? r.ram_below_4g - r.reserved_top : 0;
  top = std::min({top, uint64_t{h.initrd_max} + 1, uint64_t{1} << 32});
  uint64_t kernel_end = uint64_t{kHighKernel} + r.kernel.size();
  if (top < kernel_end || r.initrd.size() > top - kernel_end) {
    return fail(E2BIG, "initrd is too large: ", r.initrd.size(), " bytes do not fit below ", top);
  }
  uint64_t address = (top - r.initrd.size()) & ~uint64_t{0xfff};
  if (address < kernel_end) return fail(E2BIG, "initrd overlaps the kernel");
  return static_cast<uint32_t>(address);
}

Result<> check_kernel_fits(const LinuxHeader& h, const LinuxBootRequest& r) {
  uint64_t bytes = r.kernel.size() - h.setup_bytes;
  uint64_t room = h.loads_high() ? (r.ram_below_4g > kHighKernel ? r.ram_below_4g - kHighKernel : 0)
                                 : kLowSetup - kLowKernel;
  if (bytes == 0) return fail(EINVAL, "kernel image ends after its setup code");
  if (bytes > room)
    return fail(E2BIG, "kernel of ", bytes, " bytes does not fit into ", room, " bytes of RAM");
  return {};
}

Bytes padded_command_line(const std::string& text) {
  ByteBuffer b;
  b.text(text).u8(0).align(16);
  return b.take();
}

void patch(Bytes& setup, size_t at, uint64_t value, unsigned width) {
  for (unsigned i = 0; i < width && at + i < setup.size(); i++) {
    setup[at + i] = static_cast<uint8_t>(value >> (8 * i));
  }
}

// "Details of Header Fields": those marked write or modify.
void patch_header(LinuxBoot& boot, const LinuxHeader& h, uint16_t video_mode) {
  Bytes& s = boot.setup;
  patch(s, kVidMode, video_mode, 2);
  patch(s, kTypeOfLoader, kLoaderId, 1);
  patch(s, kRamdiskImage, boot.initrd_address, 4);
  patch(s, kRamdiskSize, boot.initrd.size(), 4);
  uint32_t offset = boot.command_line_address - boot.setup_address;
  if (h.protocol >= 0x0201) {
    patch(s, kLoadFlags, h.load_flags | kCanUseHeap, 1);
    patch(s, kHeapEndPtr, offset - 0x200, 2);  // 16-bit segment offset, below the stack
  }
  if (h.protocol >= 0x0202) {
    patch(s, kCommandLinePtr, boot.command_line_address, 4);
  } else {
    patch(s, kMagicA33f, 0xa33f, 2);
    patch(s, kOldCommandLineAt, offset, 2);
  }
}

// A high kernel leaves the setup segment to code, heap and stack. Older ones have the command line at the
// end of their segment, below the extended BIOS data area.
Result<> place_command_line(LinuxBoot& boot, const LinuxHeader& h, const std::string& text) {
  uint32_t start = boot.setup_address + kSetupMax + kHeapAndStack;
  if (h.loads_high()) start = kHighCommandLine;
  uint32_t most = std::min(h.command_line_max, kRealModeEnd - start - 16);
  if (text.size() > most) {
    return fail(E2BIG, "kernel command line of ", text.size(), " characters is too long: at most ", most,
                " are possible");
  }
  boot.command_line = padded_command_line(text);
  boot.command_line_address =
      h.loads_high() ? start : kRealModeEnd - static_cast<uint32_t>(boot.command_line.size());
  return {};
}

std::optional<uint16_t> parse_mode(std::string_view text) {
  if (text == "normal") return uint16_t{0xffff};
  if (text == "ext") return uint16_t{0xfffe};
  if (text == "ask") return uint16_t{0xfffd};
  int base = 10;
  if (text.starts_with("0x") || text.starts_with("0X")) {
    base = 16;
    text.remove_prefix(2);
  }
  uint16_t mode = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), mode, base);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return mode;
}

}  // namespace

Result<LinuxHeader> parse_linux_header(std::span<const uint8_t> image) {
  if (image.size() < kCommandLinePtr)
    return fail(EINVAL, "kernel image of ", image.size(), " bytes is cut short");
  if (number_at(image, kBootFlag, 2) != 0xaa55 || number_at(image, kSignatureAt, 4) != kSignature) {
    return fail(EINVAL, "not a Linux bzImage");
  }
  LinuxHeader h;
  h.protocol = static_cast<uint16_t>(number_at(image, kVersionAt, 2));
  if (h.protocol < 0x0200) return fail(EINVAL, "Linux boot protocol older than 2.00");
  uint32_t sectors = image[kSetupSects] == 0 ? 4 : image[kSetupSects];
  h.setup_bytes = (sectors + 1) * kSector;
  if (h.setup_bytes > kSetupMax)
    return fail(EINVAL, "kernel setup code of ", h.setup_bytes, " bytes is too large");
  if (h.setup_bytes >= image.size()) return fail(EINVAL, "kernel image ends inside its setup code");
  h.load_flags = image[kLoadFlags];
  h.initrd_max = field_since(image, h.protocol, 0x0203, kInitrdAddrMax).value_or(kOldInitrdMax);
  h.command_line_max = field_since(image, h.protocol, 0x0206, kCommandLineSize).value_or(kOldCommandLineMax);
  return h;
}

Result<uint16_t> linux_video_mode(std::string_view line) {
  uint16_t mode = 0xffff;
  while (!line.empty()) {
    std::string_view word = line.substr(0, line.find(' '));
    line.remove_prefix(std::min(line.size(), word.size() + 1));
    if (!word.starts_with("vga=")) continue;
    std::optional<uint16_t> parsed = parse_mode(word.substr(4));
    if (!parsed) return fail(EINVAL, "invalid vga= parameter '", word.substr(4), "'");
    mode = *parsed;
  }
  return mode;
}

Result<LinuxBoot> prepare_linux_boot(LinuxBootRequest r) {
  LinuxHeader h = TRY(parse_linux_header(r.kernel));
  TRY(check_kernel_fits(h, r));
  uint16_t video_mode = TRY(linux_video_mode(r.command_line));
  if (r.command_line.find('\0') != std::string::npos) return fail(EINVAL, "kernel command line holds a NUL");
  LinuxBoot boot;
  boot.setup_address = h.loads_high() ? kHighSetup : kLowSetup;
  boot.kernel_address = h.loads_high() ? kHighKernel : kLowKernel;
  TRY(place_command_line(boot, h, r.command_line));
  boot.initrd_address = TRY(place_initrd(h, r));
  auto split = r.kernel.begin() + h.setup_bytes;
  boot.setup.assign(r.kernel.begin(), split);
  r.kernel.erase(r.kernel.begin(), split);
  boot.kernel = std::move(r.kernel);
  boot.initrd = std::move(r.initrd);
  patch_header(boot, h, video_mode);
  return boot;
}

}  // namespace rhea
