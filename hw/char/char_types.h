// The device types of this folder.
#pragma once

namespace rhea {
class TypeRegistry;
void register_char_types(TypeRegistry& registry);
}  // namespace rhea
