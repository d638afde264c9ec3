// Files that come with the program: firmware, option ROMs.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "util/result.h"

namespace rhea {

/// How a name becomes a path: MachineConfig::find_data_file. Set by the machine's owner; null: names are
/// paths.
void set_data_file_finder(std::function<std::string(const std::string&)> finder);
/// The path of file `name`; empty if there is none.
std::string find_data_file(const std::string& name);
/// The whole file, 1 to `max_bytes` long.
Result<std::vector<uint8_t>> read_data_file(const std::string& path, uint64_t max_bytes);

}  // namespace rhea
