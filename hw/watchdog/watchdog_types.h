// The device types of this folder.
#pragma once

namespace rhea {
class TypeRegistry;
void register_watchdog_types(TypeRegistry& registry);
}  // namespace rhea
