// What the filter of a virtio-net card tells the host, and its saved state in QEMU 7.2's layout.

#include <algorithm>

#include "hw/virtio/virtio_net.h"
#include "hw/virtio/virtio_net_numbers.h"
#include "qapi/qapi_events_net.h"
#include "qapi/qapi_types_devices.h"

namespace rhea {

void VirtioNet::filter_changed() {
  if (std::exchange(told_of_filter_, true)) return;
  const Device* const function = bus() != nullptr ? bus()->owner() : nullptr;
  if (function == nullptr) return;
  qapi_event_send_nic_rx_filter_changed(name_, path());
}

std::optional<RxFilterInfo> VirtioNet::rx_filter() const {
  RxFilterInfo info;
  const auto state = [](bool none, bool all) {
    return none ? RxState::kNone : all ? RxState::kAll : RxState::kNormal;
  };
  info.name = name_;
  info.promiscuous = filter_.promiscuous;
  info.multicast = state(filter_.no_multicast, filter_.all_multicast);
  info.unicast = state(filter_.no_unicast, filter_.all_unicast);
  info.vlan = has_feature(uint64_t{1} << VIRTIO_NET_F_CTRL_VLAN) ? RxState::kNormal : RxState::kAll;
  info.broadcast_allowed = filter_.no_broadcast;
  info.multicast_overflow = filter_.multicast_overflow;
  info.unicast_overflow = filter_.unicast_overflow;
  info.main_mac = mac_text(own_mac_);
  for (unsigned id = NetFilter::kVlans; id-- > 0;)
    if (filter_.vlan(id)) info.vlan_table.push_back(id);
  for (const auto& mac : filter_.unicast) info.unicast_table.push_back(mac_text(mac));
  for (const auto& mac : filter_.multicast) info.multicast_table.push_back(mac_text(mac));
  told_of_filter_ = false;
  return info;
}

/// One table of addresses: unicast ones first. Numbers of a queue pair follow for the first pair alone.
void VirtioNet::save_kind(StateWriter& out) {
  out.put_bytes(own_mac_);
  out.put_be32(0);  // tx_waiting: frames that wait are still in the ring
  out.put_be32(has_feature(uint64_t{1} << VIRTIO_NET_F_MRG_RXBUF) ? 1 : 0);
  out.put_be16(link_up() ? VIRTIO_NET_S_LINK_UP : 0);
  out.put_u8(filter_.promiscuous ? 1 : 0);
  out.put_u8(filter_.all_multicast ? 1 : 0);
  out.put_be32(static_cast<uint32_t>(filter_.unicast.size() + filter_.multicast.size()));
  for (const auto& mac : filter_.unicast) out.put_bytes(mac);
  for (const auto& mac : filter_.multicast) out.put_bytes(mac);
  out.put_bytes(filter_.vlans);
  out.put_be32(0);  // has_vnet_hdr
  out.put_u8(filter_.multicast_overflow ? 1 : 0);
  out.put_u8(filter_.unicast_overflow ? 1 : 0);
  out.put_u8(filter_.all_unicast ? 1 : 0);
  out.put_u8(filter_.no_multicast ? 1 : 0);
  out.put_u8(filter_.no_unicast ? 1 : 0);
  out.put_u8(filter_.no_broadcast ? 1 : 0);
  out.put_u8(0);  // has_ufo
  if (has_feature(uint64_t{1} << VIRTIO_NET_F_CTRL_GUEST_OFFLOADS)) out.put_be64(0);
}

Result<> VirtioNet::load_kind(StateReader& in, int) {
  filter_ = NetFilter();
  in.get_bytes(own_mac_);
  in.get_be32();
  in.get_be32();
  in.get_be16();  // the link is the host's
  filter_.promiscuous = in.get_u8() != 0;
  filter_.all_multicast = in.get_u8() != 0;
  const uint32_t count = in.get_be32();
  bool fits = count <= NetFilter::kMostAddresses;
  for (uint32_t i = 0; i < count && in.ok(); ++i) {
    NetFilter::Mac mac;
    in.get_bytes(mac);
    if (fits) ((mac[0] & 1) != 0 ? filter_.multicast : filter_.unicast).push_back(mac);
  }
  in.get_bytes(filter_.vlans);
  if (in.get_be32() != 0)
    return fail(ENOTSUP, "its frames have headers of offloads, which need a back end for them");
  filter_.multicast_overflow = in.get_u8() != 0 || !fits;
  filter_.unicast_overflow = in.get_u8() != 0 || !fits;
  filter_.all_unicast = in.get_u8() != 0;
  filter_.no_multicast = in.get_u8() != 0;
  filter_.no_unicast = in.get_u8() != 0;
  filter_.no_broadcast = in.get_u8() != 0;
  if (in.get_u8() != 0) return fail(ENOTSUP, "its guest segments UDP, which needs a back end for it");
  if (has_feature(uint64_t{1} << VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) && in.get_be64() != 0)
    return fail(ENOTSUP, "its guest takes offloads, which need a back end for them");
  return {};
}

}  // namespace rhea
