#include "qapi/command.h"

#include <algorithm>

namespace rhea {

const QmpCommand* qmp_find_command(std::span<const QmpCommand> commands, std::string_view name) {
  auto it = std::ranges::lower_bound(commands, name, {}, &QmpCommand::name);
  return it != commands.end() && it->name == name ? &*it : nullptr;
}

}  // namespace rhea
