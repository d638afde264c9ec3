#include "hw/virtio/virtio_net.h"
#include "hw/virtio/virtio_net_numbers.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "hw/virtio/virtio_pci.h"
#include "qapi/vm_control.h"
#include "util/aio_context.h"
#include "util/byteorder.h"

namespace rhea {

namespace {

constexpr uint64_t net_bit(unsigned n) {
  return uint64_t{1} << n;
}
constexpr size_t kMaxNetFrame = 64 << 10;  ///< what the driver may send
constexpr int kTransmitBurst = 256;        ///< frames, then others have their turn

Result<> set_mac(Object& o, std::string_view name, const Json& value, ValueForm form) {
  const std::string text = TRY(property_str(name, value, form));
  if (!parse_mac(text))
    return fail(EINVAL, "Property '", o.type().name, ".", name, "' doesn't take value '", text, "'");
  static_cast<VirtioNet&>(o).mac = text;
  return {};
}

constexpr PropertyInfo net_mac_property() {
  PropertyInfo info = prop<&VirtioNet::mac>("mac", "Ethernet 6-byte MAC Address, example: 52:54:00:12:34:56");
  info.set = set_mac;
  info.has_default = false;
  return info;
}
constexpr PropertyInfo net_without_default(PropertyInfo info) {
  info.has_default = false;
  return info;
}

using N = VirtioNet;
constexpr PropertyInfo kVirtioNetProperties[] = {
    prop<&N::csum>("csum", "on/off"),
    prop<&N::guest_csum>("guest_csum", "on/off"),
    prop<&N::gso>("gso", "on/off"),
    prop<&N::guest_tso4>("guest_tso4", "on/off"),
    prop<&N::guest_tso6>("guest_tso6", "on/off"),
    prop<&N::guest_ecn>("guest_ecn", "on/off"),
    prop<&N::guest_ufo>("guest_ufo", "on/off"),
    prop<&N::guest_announce>("guest_announce", "on/off"),
    prop<&N::host_tso4>("host_tso4", "on/off"),
    prop<&N::host_tso6>("host_tso6", "on/off"),
    prop<&N::host_ecn>("host_ecn", "on/off"),
    prop<&N::host_ufo>("host_ufo", "on/off"),
    prop<&N::mrg_rxbuf>("mrg_rxbuf", "on/off"),
    prop<&N::status_bit>("status", "on/off"),
    prop<&N::ctrl_vq>("ctrl_vq", "on/off"),
    prop<&N::ctrl_rx>("ctrl_rx", "on/off"),
    prop<&N::ctrl_vlan>("ctrl_vlan", "on/off"),
    prop<&N::ctrl_rx_extra>("ctrl_rx_extra", "on/off"),
    prop<&N::ctrl_mac_addr>("ctrl_mac_addr", "on/off"),
    prop<&N::ctrl_guest_offloads>("ctrl_guest_offloads", "on/off"),
    prop<&N::mq>("mq", "on/off"),
    prop<&N::rss>("rss", "on/off"),
    prop<&N::hash>("hash", "on/off"),
    prop<&N::guest_rsc_ext>("guest_rsc_ext", "on/off"),
    prop<&N::rsc_interval>("rsc_interval"),
    net_mac_property(),
    net_without_default(prop<&N::netdev>("netdev", "ID of a netdev to use as a backend")),
    net_without_default(prop<&N::bootindex>("bootindex")),
    prop<&N::tx_timer>("x-txtimer"),
    prop<&N::tx_burst>("x-txburst"),
    net_without_default(prop<&N::tx>("tx")),
    prop<&N::rx_queue_size>("rx_queue_size"),
    prop<&N::tx_queue_size>("tx_queue_size"),
    prop<&N::host_mtu>("host_mtu"),
    prop<&N::mtu_bypass>("x-mtu-bypass-backend"),
    prop<&N::speed>("speed"),
    net_without_default(prop<&N::duplex>("duplex")),
    prop<&N::failover>("failover"),
};
constexpr VMState kVirtioNetState{
    .name = "virtio-net", .version = 11, .minimum_version = 11, .fields = kVirtioStateFields};

/// "virtio-net-pci.0": the name of a card without an id counts those of its type.
std::string net_name_of(const Device& function) {
  if (!function.id().empty()) return function.id();
  static unsigned next = 0;
  return str_cat(function.type().name, ".", next++);
}

}  // namespace

constexpr TypeInfo VirtioNet::kType{
    .name = "virtio-net-device",
    .parent = &VirtioDevice::kType,
    .create = []() -> std::shared_ptr<Object> { return std::make_shared<VirtioNet>(); },
    .properties = kVirtioNetProperties,
    .category = DeviceCategory::kNetwork};

VirtioNet::VirtioNet() : alive_(std::make_shared<bool>(true)) {}

VirtioNet::~VirtioNet() {
  *alive_ = false;
}

const VMState* VirtioNet::vmstate() const {
  return &kVirtioNetState;
}

CoResult<> VirtioNet::co_prepare(DeviceContext& context) {
  context_ = &context;
  co_return Result<>();
}

Result<> VirtioNet::check_properties() {
  if (rss || hash || guest_rsc_ext)
    return fail(ENOTSUP, "rss, hash and guest_rsc_ext are not supported by virtio-net");
  if (failover) return fail(ENOTSUP, "failover is not supported by virtio-net");
  if (!duplex.empty() && duplex != "half" && duplex != "full")
    return fail(EINVAL, "'duplex' must be 'half' or 'full'");
  if (speed < -1) return fail(EINVAL, "'speed' must be between 0 and INT_MAX");
  constexpr uint16_t kLeast = 256, kMost = 1024;
  if (rx_queue_size < kLeast || rx_queue_size > kMost || !std::has_single_bit(rx_queue_size))
    return fail(EINVAL, "Invalid rx_queue_size (= ", rx_queue_size, "), must be a power of 2 between ",
                kLeast, " and ", kMost, ".");
  if (tx_queue_size < kLeast || tx_queue_size > kMost || !std::has_single_bit(tx_queue_size))
    return fail(EINVAL, "Invalid tx_queue_size (= ", tx_queue_size, "), must be a power of 2 between ",
                kLeast, " and ", kMost);
  if (!tx.empty() && tx != "timer" && tx != "bh")
    return fail(EINVAL, "virtio-net: Unknown option tx=", tx, ", valid options: timer|bh");
  return {};
}

Result<> VirtioNet::do_realize() {
  TRY(VirtioDevice::do_realize());
  TRY(check_properties());
  if (context_ == nullptr) return fail(EINVAL, "virtio-net has not been given its loop");
  NetBackend* backend = nullptr;
  if (!netdev.empty()) {
    backend = net_set().find(netdev);
    if (backend == nullptr)
      return fail(ENODEV, "Property 'virtio-net-device.netdev' can't find value '", netdev, "'");
    if (backend->device() != nullptr)
      return fail(EBUSY, "Property 'virtio-net-device.netdev' can't take value '", netdev, "', it's in use");
  }
  mac_ = mac.empty() ? next_mac_address() : TRY(parse_mac(mac));
  mac = mac_text(mac_);
  name_ = bus() != nullptr && bus()->owner() != nullptr ? net_name_of(*bus()->owner())
                                                        : std::string("virtio-net");
  running_ = context_->vm == nullptr || context_->vm->running();
  make_queues(3, 64);
  queue(kReceive)->max_size = queue(kReceive)->size = rx_queue_size;
  queue(kTransmit)->max_size = queue(kTransmit)->size = std::min<uint16_t>(tx_queue_size, 256);
  connect(backend);
  kind_reset();
  return {};
}

void VirtioNet::do_unrealize() {
  disconnect();
  *alive_ = false;
  alive_ = std::make_shared<bool>(true);
  VirtioDevice::do_unrealize();
}

/// Offloads need a back end that takes headers: none does.
uint64_t VirtioNet::kind_features() const {
  uint64_t f = net_bit(VIRTIO_NET_F_MAC);
  const std::pair<bool, unsigned> given[] = {{gso, VIRTIO_NET_F_GSO},
                                             {mrg_rxbuf, VIRTIO_NET_F_MRG_RXBUF},
                                             {status_bit, VIRTIO_NET_F_STATUS},
                                             {ctrl_vq, VIRTIO_NET_F_CTRL_VQ},
                                             {ctrl_rx, VIRTIO_NET_F_CTRL_RX},
                                             {ctrl_vlan, VIRTIO_NET_F_CTRL_VLAN},
                                             {ctrl_rx_extra, VIRTIO_NET_F_CTRL_RX_EXTRA},
                                             {ctrl_mac_addr, VIRTIO_NET_F_CTRL_MAC_ADDR},
                                             {ctrl_guest_offloads, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS},
                                             {guest_announce, VIRTIO_NET_F_GUEST_ANNOUNCE},
                                             {mq, VIRTIO_NET_F_MQ},
                                             {host_mtu != 0, VIRTIO_NET_F_MTU},
                                             {speed >= 0 || !duplex.empty(), VIRTIO_NET_F_SPEED_DUPLEX}};
  for (const auto& [on, number] : given)
    if (on) f |= net_bit(number);
  return f;
}

/// As far as the features offered reach.
uint32_t VirtioNet::config_bytes() const {
  const uint64_t f = kind_features();
  if ((f & net_bit(VIRTIO_NET_F_SPEED_DUPLEX)) != 0) return 17;
  if ((f & net_bit(VIRTIO_NET_F_MTU)) != 0) return 12;
  if ((f & net_bit(VIRTIO_NET_F_MQ)) != 0) return 10;
  return (f & net_bit(VIRTIO_NET_F_STATUS)) != 0 ? 8 : 6;
}

void VirtioNet::fill_config(std::span<uint8_t> config) {
  std::array<uint8_t, 17> c{};
  std::copy(own_mac_.begin(), own_mac_.end(), c.begin());
  store_le<uint16_t>(&c[6], link_up() ? VIRTIO_NET_S_LINK_UP : 0);
  store_le<uint16_t>(&c[8], 1);
  store_le<uint16_t>(&c[10], host_mtu);
  store_le<uint32_t>(&c[12], static_cast<uint32_t>(speed));
  c[16] = duplex == "half" ? 0 : duplex == "full" ? 1 : 0xff;
  std::memcpy(config.data(), c.data(), config_bytes());
}

/// Old drivers, which have no command for it, write the address.
void VirtioNet::config_written(std::span<const uint8_t> config) {
  if (has_feature(net_bit(VIRTIO_NET_F_CTRL_MAC_ADDR)) || has_feature(virtio::kVersion1)) return;
  std::copy_n(config.begin(), own_mac_.size(), own_mac_.begin());
}

std::string VirtioNet::net_description() const {
  const Device* const function = bus() != nullptr ? bus()->owner() : nullptr;
  return str_cat("model=", function != nullptr ? function->type().name : type().name,
                 ",macaddr=", mac_text(own_mac_));
}

void VirtioNet::link_changed(bool) {
  if (has_feature(net_bit(VIRTIO_NET_F_STATUS))) config_changed();
}

void VirtioNet::kind_reset() {
  filter_ = NetFilter();
  own_mac_ = mac_;
}

void VirtioNet::driver_ready() {
  if (!has_feature(net_bit(VIRTIO_NET_F_CTRL_VLAN))) filter_.vlans.fill(0xff);
}

void VirtioNet::run_state_changed(bool running) {
  running_ = running;
  if (!running) return;
  serve_all();
  net_ready();
}

size_t VirtioNet::header_bytes() const {
  return has_feature(virtio::kVersion1) || has_feature(net_bit(VIRTIO_NET_F_MRG_RXBUF)) ? 12 : 10;
}

void VirtioNet::serve(VirtioQueue& q) {
  if (!running_) return;
  switch (queue_number(q)) {
    case kReceive:
      return net_ready();
    case kTransmit:
      return transmit(q);
    default:
      return control(q);
  }
}

// --- To the guest (5.1.6.3).

bool NetFilter::passes(std::span<const uint8_t> frame, const Mac& own) const {
  constexpr Mac kBroadcast{0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
  if (promiscuous) return true;
  if (frame.size() < 14) return false;
  if (frame.size() >= 16 && frame[12] == 0x81 && frame[13] == 0 &&
      !vlan((frame[14] << 8 | frame[15]) & 0xfff))
    return false;
  Mac to;
  std::copy_n(frame.begin(), to.size(), to.begin());
  if (to == kBroadcast) return !no_broadcast;
  if ((to[0] & 1) != 0) {
    if (no_multicast) return false;
    return all_multicast || multicast_overflow || std::ranges::find(multicast, to) != multicast.end();
  }
  if (no_unicast) return false;
  return all_unicast || unicast_overflow || to == own || std::ranges::find(unicast, to) != unicast.end();
}

/// Takes as many buffers as the `bytes` of frame_ need and fills them; false, and none is taken, if there are
/// too few.
bool VirtioNet::take_in(size_t bytes) {
  VirtioQueue& q = *queue(kReceive);
  if (!running_ || !may_serve(q)) return false;
  const bool mergeable = has_feature(net_bit(VIRTIO_NET_F_MRG_RXBUF));
  uint64_t room = 0;
  size_t taken = 0;
  while (taken == 0 || (mergeable && room < bytes)) {
    if (receive_elements_.size() <= taken) receive_elements_.emplace_back();
    Result<bool> popped = q.ring->pop(receive_elements_[taken]);
    if (!popped) {
      broken(popped.error());
      return false;
    }
    if (!*popped) {
      while (taken > 0) q.ring->unpop(receive_elements_[--taken]);
      return false;
    }
    room += receive_elements_[taken++].in_bytes();
  }
  if (receive_elements_[0].in_bytes() < header_bytes()) {
    broken(Error(EINVAL, "virtio-net: no room for the header"));
    return false;
  }
  if (room < bytes) {  // one that does not fit is lost
    while (taken > 0) q.ring->unpop(receive_elements_[--taken]);
    return true;
  }
  give_frame(taken);
  return true;
}

/// frame_, which begins with the header, in the buffers taken.
void VirtioNet::give_frame(size_t pieces) {
  VirtioQueue& q = *queue(kReceive);
  size_t done = 0;
  if (header_bytes() == 12) store_le<uint16_t>(&frame_[10], static_cast<uint16_t>(pieces));
  for (size_t i = 0; i < pieces; ++i) {
    const size_t before = done;
    for (const iovec& piece : receive_elements_[i].in()) {
      const size_t n = std::min(piece.iov_len, frame_.size() - done);
      std::memcpy(piece.iov_base, frame_.data() + done, n);
      done += n;
    }
    push(q, receive_elements_[i], static_cast<uint32_t>(done - before));
  }
  interrupt(q);
}

bool VirtioNet::receive_frame(std::span<const uint8_t> frame) {
  if (!running_ || !may_serve(*queue(kReceive))) return false;
  if (!link_up() || !filter_.passes(frame, own_mac_)) return true;
  frame_.assign(header_bytes(), 0);
  frame_.insert(frame_.end(), frame.begin(), frame.end());
  return take_in(frame_.size());
}

// --- From the guest (5.1.6.2).

void VirtioNet::transmit(VirtioQueue& q) {
  for (int burst = 0; running_ && may_serve(q); ++burst) {
    if (burst == kTransmitBurst) {
      if (std::exchange(posted_, true)) return;
      context_->main_loop.post([this, alive = alive_] {
        if (!*alive) return;
        posted_ = false;
        if (VirtioQueue* const again = queue(kTransmit)) transmit(*again);
      });
      return;
    }
    Result<bool> popped = q.ring->pop(element_);
    if (!popped) return broken(popped.error());
    if (!*popped) return;
    const size_t header = header_bytes();
    if (element_.out_bytes() < header || element_.in_bytes() != 0)
      return broken(Error(EINVAL, "virtio-net header not in first element"));
    const uint64_t bytes = element_.out_bytes() - header;
    if (bytes <= kMaxNetFrame && link_up() && net_backend() != nullptr) {
      frame_.clear();
      for (const iovec& piece : element_.out()) {
        const auto* from = static_cast<const uint8_t*>(piece.iov_base);
        frame_.insert(frame_.end(), from, from + piece.iov_len);
      }
      net_backend()->send(std::span(frame_).subspan(header));
    }
    complete(q, element_, 0);
  }
}

// --- The control queue (5.1.6.5).

void VirtioNet::control(VirtioQueue& q) {
  constexpr size_t kMostCommand = 64 << 10;
  while (running_ && may_serve(q)) {
    Result<bool> popped = q.ring->pop(element_);
    if (!popped) return broken(popped.error());
    if (!*popped) return;
    if (element_.in_bytes() < 1 || element_.out_bytes() < 2)
      return broken(Error(EINVAL, "virtio-net ctrl missing headers"));
    std::vector<uint8_t> command;
    for (const iovec& piece : element_.out()) {
      const auto* from = static_cast<const uint8_t*>(piece.iov_base);
      command.insert(command.end(), from, from + std::min(piece.iov_len, kMostCommand - command.size()));
    }
    *static_cast<uint8_t*>(element_.in()[0].iov_base) = execute(command);
    complete(q, element_, 1);
  }
}

uint8_t VirtioNet::execute(std::span<const uint8_t> command) {
  const uint8_t kind = command[0], what = command[1];
  const std::span<const uint8_t> data = command.subspan(2);
  switch (kind) {
    case VIRTIO_NET_CTRL_RX:
      return set_mode(what, data);
    case VIRTIO_NET_CTRL_MAC:
      return set_addresses(what, data);
    case VIRTIO_NET_CTRL_VLAN:
      return set_vlan(what, data);
    case VIRTIO_NET_CTRL_MQ:
      return mq && what == VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET && data.size() == 2 &&
                     load_le<uint16_t>(&data[0]) == 1
                 ? VIRTIO_NET_OK
                 : VIRTIO_NET_ERR;
    case VIRTIO_NET_CTRL_GUEST_OFFLOADS:
      // None was offered, so that none can be asked for.
      return has_feature(net_bit(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS)) &&
                     what == VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET && data.size() == 8 &&
                     load_le<uint64_t>(&data[0]) == 0
                 ? VIRTIO_NET_OK
                 : VIRTIO_NET_ERR;
    default:  // nothing was announced that could be acknowledged
      return VIRTIO_NET_ERR;
  }
}

uint8_t VirtioNet::set_mode(uint8_t command, std::span<const uint8_t> data) {
  bool* const modes[] = {&filter_.promiscuous,  &filter_.all_multicast, &filter_.all_unicast,
                         &filter_.no_multicast, &filter_.no_unicast,    &filter_.no_broadcast};
  if (command >= std::size(modes) || data.size() != 1) return VIRTIO_NET_ERR;
  *modes[command] = data[0] != 0;
  filter_changed();
  return VIRTIO_NET_OK;
}

uint8_t VirtioNet::set_addresses(uint8_t command, std::span<const uint8_t> data) {
  if (command == VIRTIO_NET_CTRL_MAC_ADDR_SET) {
    if (data.size() != own_mac_.size()) return VIRTIO_NET_ERR;
    std::copy_n(data.begin(), own_mac_.size(), own_mac_.begin());
    filter_changed();
    return VIRTIO_NET_OK;
  }
  if (command != VIRTIO_NET_CTRL_MAC_TABLE_SET) return VIRTIO_NET_ERR;
  struct Table {
    std::vector<NetFilter::Mac> addresses;
    bool overflow = false;
  } tables[2];
  size_t room = NetFilter::kMostAddresses;
  for (Table& t : tables) {
    if (data.size() < 4) return VIRTIO_NET_ERR;
    const uint64_t count = load_le<uint32_t>(&data[0]), bytes = count * sizeof(NetFilter::Mac);
    data = data.subspan(4);
    if (data.size() < bytes) return VIRTIO_NET_ERR;
    t.overflow = count > room;
    for (uint64_t i = 0; i < count && !t.overflow; ++i) {
      NetFilter::Mac& one = t.addresses.emplace_back();
      std::copy_n(data.begin() + static_cast<ptrdiff_t>(i * one.size()), one.size(), one.begin());
    }
    room -= t.addresses.size();
    data = data.subspan(bytes);
  }
  if (!data.empty()) return VIRTIO_NET_ERR;
  filter_.unicast = std::move(tables[0].addresses);
  filter_.unicast_overflow = tables[0].overflow;
  filter_.multicast = std::move(tables[1].addresses);
  filter_.multicast_overflow = tables[1].overflow;
  filter_changed();
  return VIRTIO_NET_OK;
}

uint8_t VirtioNet::set_vlan(uint8_t command, std::span<const uint8_t> data) {
  if (data.size() != 2) return VIRTIO_NET_ERR;
  const auto id = load_le<uint16_t>(&data[0]);
  if (id >= NetFilter::kVlans || command > VIRTIO_NET_CTRL_VLAN_DEL) return VIRTIO_NET_ERR;
  const auto mask = static_cast<uint8_t>(1u << id % 8);
  uint8_t& byte = filter_.vlans[id / 8u];
  byte = static_cast<uint8_t>(command == VIRTIO_NET_CTRL_VLAN_ADD ? byte | mask : byte & ~mask);
  filter_changed();
  return VIRTIO_NET_OK;
}

}  // namespace rhea
