// The types of hw/virtio.
#pragma once

namespace rhea {
class TypeRegistry;
void register_virtio_types(TypeRegistry& registry);
}  // namespace rhea
