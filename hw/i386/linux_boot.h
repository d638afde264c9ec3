// Direct boot of a Linux bzImage: parses the image, patches its setup header and plans where the
// option ROM has to put things.
// Spec: Linux Documentation/arch/x86/boot.rst, boot protocol 2.00 to 2.15.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "util/byte_buffer.h"
#include "util/result.h"

namespace rhea {

// The fields of the setup header that matter to a loader, defaults filled in for older protocols.
struct LinuxHeader {
  uint16_t protocol = 0;          // 0x020f is 2.15
  uint32_t setup_bytes = 0;       // boot sector and setup code
  uint8_t load_flags = 0;         // bit 0: the kernel proper loads at 1 MiB
  uint32_t initrd_max = 0;        // highest address an initrd byte may have
  uint32_t command_line_max = 0;  // characters, without the NUL
  bool loads_high() const { return load_flags & 1; }
};

// Checks that `image` is a bzImage (or zImage) of protocol 2.00 or later and reads its header.
// The image is untrusted: every length is checked.
Result<LinuxHeader> parse_linux_header(std::span<const uint8_t> image);

struct LinuxBootRequest {
  Bytes kernel;  // the whole file
  Bytes initrd;  // may be empty
  std::string command_line;
  uint64_t ram_below_4g = 0;        // bytes
  uint64_t reserved_top = 0x28000;  // bytes at the top of that RAM which firmware takes for tables
};

// What the option ROM copies, and the guest-physical addresses it copies to.
struct LinuxBoot {
  uint32_t setup_address = 0, kernel_address = 0, command_line_address = 0, initrd_address = 0;
  Bytes setup;         // patched
  Bytes kernel;        // protected-mode part
  Bytes command_line;  // NUL-terminated, padded to 16 bytes
  Bytes initrd;
};

// Error: not a bzImage, the command line is too long, or kernel or initrd do not fit into RAM.
Result<LinuxBoot> prepare_linux_boot(LinuxBootRequest request);

// The same with kernel and initrd read from files; an empty initrd path means none. Blocks on the files, so
// it belongs to start-up. Errors: `could not load kernel 'PATH': REASON`, `could not load initrd 'PATH':
// REASON`.
Result<LinuxBoot> load_linux_boot(const std::string& kernel_path, const std::string& initrd_path,
                                  std::string command_line, uint64_t ram_below_4g);

// The "vid_mode" that a "vga=" option in `command_line` asks for: normal, ext, ask, or a number.
// 0xffff (normal) without the option; the last one wins. Error: not a mode.
Result<uint16_t> linux_video_mode(std::string_view command_line);

}  // namespace rhea
