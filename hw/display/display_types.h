// The device types of this folder.
#pragma once

namespace rhea {
class TypeRegistry;
void register_display_types(TypeRegistry& registry);
}  // namespace rhea
