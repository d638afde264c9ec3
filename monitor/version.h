// What the monitors say this program is.
#pragma once

#include <string>
#include <string_view>

namespace rhea {

/// The QEMU release whose interface is offered.
inline constexpr int kQemuMajor = 7;
inline constexpr int kQemuMinor = 2;
inline constexpr int kQemuMicro = 0;

/// This program's own version, "0.1.0".
std::string_view rhea_version();
/// "rhea 0.1.0".
std::string package_version();

}  // namespace rhea
