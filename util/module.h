// Modules: parts of the program that need large libraries, loaded when first named.
//
// A module is a shared object "rhea-KIND-NAME.so" that shows one symbol, `rhea_module`. It gets all it needs
// of the program through the interface it implements (pure virtual classes and plain data), and so uses no
// symbol of it: the program exports none, and pays nothing for modules it does not load.
#pragma once

#include <cstdint>
#include <string_view>

#include "util/result.h"

namespace rhea {

/// What a module shows. Both sides are of one build.
struct ModuleHeader {
  uint32_t magic;         ///< kModuleMagic
  const char* build;      ///< kModuleBuild of the module
  const void* interface;  ///< what the kind of module says
};
inline constexpr uint32_t kModuleMagic = 0x52484d31;
inline constexpr const char* kModuleBuild = "1";  ///< changes with any interface

/// The interface of module NAME of KIND ("ui", "vnc"); loaded at the first call, for good. Looked for beside
/// the program, in the build tree's "modules", and where it is installed. Main thread; reads from disk.
Result<const void*> load_module(std::string_view kind, std::string_view name);

}  // namespace rhea
