// virtio-net: a network card. Spec: VIRTIO 1.2, section 5.1.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "hw/core/run_state_listener.h"
#include "hw/virtio/virtio_device.h"
#include "net/net.h"

namespace rhea {

/// What the card lets through. All of it is guest-controlled, and travels.
struct NetFilter {
  static constexpr size_t kMostAddresses = 64, kVlans = 4096;
  using Mac = std::array<uint8_t, 6>;
  bool promiscuous = true, all_multicast = false, all_unicast = false;
  bool no_multicast = false, no_unicast = false, no_broadcast = false;
  bool unicast_overflow = false, multicast_overflow = false;
  std::vector<Mac> unicast, multicast;
  std::array<uint8_t, kVlans / 8> vlans{};

  bool vlan(unsigned id) const { return (vlans[id / 8] >> id % 8 & 1) != 0; }
  /// Whether a frame for `own` comes through.
  bool passes(std::span<const uint8_t> frame, const Mac& own) const;
};

class VirtioNet final : public VirtioDevice, public NetDevice, public RunStateListener {
 public:
  static const TypeInfo kType;  ///< "virtio-net-device"
  const TypeInfo& type() const override { return kType; }
  VirtioNet();
  ~VirtioNet() override;

  CoResult<> co_prepare(DeviceContext& context) override;
  int32_t boot_index() const override { return bootindex; }
  const VMState* vmstate() const override;
  void run_state_changed(bool running) override;

  // VirtioDevice
  uint16_t virtio_id() const override { return 1; }
  uint64_t kind_features() const override;
  uint32_t config_bytes() const override;
  void fill_config(std::span<uint8_t> config) override;
  void config_written(std::span<const uint8_t> config) override;

  // NetDevice
  std::string net_name() const override { return name_; }
  std::string net_description() const override;
  bool receive_frame(std::span<const uint8_t> frame) override;
  void link_changed(bool up) override;
  std::optional<RxFilterInfo> rx_filter() const override;

  // Properties.
  std::string netdev, mac, tx, duplex;
  bool csum = true, guest_csum = true, gso = true, guest_tso4 = true, guest_tso6 = true, guest_ecn = true,
       guest_ufo = true, guest_announce = true, host_tso4 = true, host_tso6 = true, host_ecn = true,
       host_ufo = true, mrg_rxbuf = true, status_bit = true, ctrl_vq = true, ctrl_rx = true, ctrl_vlan = true,
       ctrl_rx_extra = true, ctrl_mac_addr = true, ctrl_guest_offloads = true, mq = false, rss = false,
       hash = false, guest_rsc_ext = false, failover = false, mtu_bypass = true;
  uint32_t rsc_interval = 300000, tx_timer = 150000;
  int32_t tx_burst = 256, speed = -1, bootindex = -1;
  uint16_t rx_queue_size = 256, tx_queue_size = 256, host_mtu = 0;

 protected:
  Result<> do_realize() override;
  void do_unrealize() override;
  void serve(VirtioQueue& queue) override;
  void kind_reset() override;
  void driver_ready() override;
  void save_kind(StateWriter& out) override;
  Result<> load_kind(StateReader& in, int version) override;

 private:
  enum Queue : uint8_t { kReceive, kTransmit, kControl };
  Result<> check_properties();
  size_t header_bytes() const;
  bool take_in(size_t bytes);
  void give_frame(size_t pieces);
  void transmit(VirtioQueue& queue);
  void control(VirtioQueue& queue);
  uint8_t execute(std::span<const uint8_t> command);
  uint8_t set_mode(uint8_t command, std::span<const uint8_t> data);
  uint8_t set_addresses(uint8_t command, std::span<const uint8_t> data);
  uint8_t set_vlan(uint8_t command, std::span<const uint8_t> data);
  void filter_changed();

  DeviceContext* context_ = nullptr;
  std::string name_;
  NetFilter::Mac own_mac_{};  ///< what the guest uses
  NetFilter::Mac mac_{};      ///< what it has after a reset
  NetFilter filter_;
  bool running_ = true;
  mutable bool told_of_filter_ = false;  ///< NIC_RX_FILTER_CHANGED was sent and nobody has asked since
  std::shared_ptr<bool> alive_;          ///< of what was posted
  bool posted_ = false;
  std::vector<RingElement> receive_elements_;
  RingElement element_;
  std::vector<uint8_t> frame_;
};

}  // namespace rhea
