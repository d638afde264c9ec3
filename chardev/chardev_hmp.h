// The human monitor's commands about character devices.
#pragma once

namespace rhea {
class HmpRegistry;
/// Adds chardev-add, -change, -remove, -send-break, ringbuf_read and ringbuf_write.
void register_chardev_hmp(HmpRegistry& registry);
}  // namespace rhea
