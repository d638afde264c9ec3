// The option ROM that boots a kernel given on the command line (hw/i386/linuxboot.S), built and checksummed.
#pragma once

#include <cstdint>
#include <span>

namespace rhea {

// The fw_cfg file under which firmware finds it, and its name in "bootorder".
inline constexpr const char* kLinuxBootRomFile = "genroms/linuxboot_dma.bin";
inline constexpr const char* kLinuxBootRomBootPath = "/rom@genroms/linuxboot_dma.bin";

// A multiple of 512 bytes that sum to zero. Static storage.
std::span<const uint8_t> linuxboot_rom();

}  // namespace rhea
