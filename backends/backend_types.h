// The types of this folder.
#pragma once

namespace rhea {
class TypeRegistry;
void register_backend_types(TypeRegistry& registry);
}  // namespace rhea
