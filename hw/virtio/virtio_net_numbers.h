// Numbers of VIRTIO 1.2, section 5.1, under its names: Linux's header of them is not for C++.
#pragma once

#include <cstdint>

namespace rhea {

// Feature bits (5.1.3).
inline constexpr unsigned VIRTIO_NET_F_CTRL_GUEST_OFFLOADS = 2, VIRTIO_NET_F_MTU = 3, VIRTIO_NET_F_MAC = 5,
                          VIRTIO_NET_F_GSO = 6, VIRTIO_NET_F_MRG_RXBUF = 15, VIRTIO_NET_F_STATUS = 16,
                          VIRTIO_NET_F_CTRL_VQ = 17, VIRTIO_NET_F_CTRL_RX = 18, VIRTIO_NET_F_CTRL_VLAN = 19,
                          VIRTIO_NET_F_CTRL_RX_EXTRA = 20, VIRTIO_NET_F_GUEST_ANNOUNCE = 21,
                          VIRTIO_NET_F_MQ = 22, VIRTIO_NET_F_CTRL_MAC_ADDR = 23,
                          VIRTIO_NET_F_SPEED_DUPLEX = 63;
inline constexpr uint16_t VIRTIO_NET_S_LINK_UP = 1;
// Commands (5.1.6.5): classes, and those of each.
inline constexpr uint8_t VIRTIO_NET_OK = 0, VIRTIO_NET_ERR = 1;
inline constexpr uint8_t VIRTIO_NET_CTRL_RX = 0, VIRTIO_NET_CTRL_MAC = 1, VIRTIO_NET_CTRL_VLAN = 2,
                         VIRTIO_NET_CTRL_MQ = 4, VIRTIO_NET_CTRL_GUEST_OFFLOADS = 5;
inline constexpr uint8_t VIRTIO_NET_CTRL_MAC_TABLE_SET = 0, VIRTIO_NET_CTRL_MAC_ADDR_SET = 1,
                         VIRTIO_NET_CTRL_VLAN_ADD = 0, VIRTIO_NET_CTRL_VLAN_DEL = 1,
                         VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET = 0, VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET = 0;

}  // namespace rhea
