// What network cards are connected to: back ends on the host's side, found by their ids.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "util/result.h"

namespace rhea {

class AioContext;
class NetBackend;
struct RxFilterInfo;

/// The card's side. Main thread, under the machine lock.
class NetDevice {
 public:
  virtual ~NetDevice();
  /// The id of the card, or the type with a number.
  virtual std::string net_name() const = 0;
  /// "model=virtio-net-pci,macaddr=52:54:00:12:34:56"
  virtual std::string net_description() const = 0;
  /// A frame from outside. False: no room for it now; net_ready() is called when there is.
  virtual bool receive_frame(std::span<const uint8_t> frame) = 0;
  virtual void link_changed(bool up) = 0;
  /// Null-like if it has no filter.
  virtual std::optional<RxFilterInfo> rx_filter() const;

  NetBackend* net_backend() const { return backend_; }
  bool link_up() const { return link_up_; }
  void set_link(bool up);

 protected:
  /// Makes it known, and takes hold of `backend` (may be null).
  void connect(NetBackend* backend);
  void disconnect();
  /// There is room for frames that were refused.
  void net_ready();

 private:
  friend class NetBackend;
  NetBackend* backend_ = nullptr;
  bool link_up_ = true;
};

/// One back end. Main thread, under the machine lock.
class NetBackend {
 public:
  NetBackend(std::string id, AioContext& loop) : id_(std::move(id)), loop_(loop) {}
  NetBackend(const NetBackend&) = delete;
  virtual ~NetBackend();
  const std::string& id() const { return id_; }
  virtual std::string_view kind() const = 0;    ///< "user"
  virtual std::string description() const = 0;  ///< what "info network" shows behind the kind
  /// The hub it is a port of.
  virtual std::optional<int32_t> hub() const { return std::nullopt; }
  NetDevice* device() const { return device_; }
  /// A frame of the guest's; one that cannot go out is lost, as on a wire.
  void send(std::span<const uint8_t> frame) {
    if (link_up_ && !frame.empty()) do_send(frame);
  }
  /// Gives the card what it had no room for.
  void flush();
  void set_link(bool up) { link_up_ = up; }

 protected:
  virtual void do_send(std::span<const uint8_t> frame) = 0;
  /// A frame for the card; kept while there is no room for it, up to kMostKept.
  void deliver(std::span<const uint8_t> frame);
  /// False: what comes from outside had better wait there.
  bool has_room() const { return kept_.size() < kMostKept; }
  /// Kept frames have gone to the card.
  virtual void room_again() {}
  AioContext& loop() const { return loop_; }

 private:
  friend class NetDevice;
  static constexpr size_t kMostKept = 256;
  const std::string id_;
  AioContext& loop_;
  NetDevice* device_ = nullptr;
  bool link_up_ = true;
  bool flushing_ = false;
  std::deque<std::vector<uint8_t>> kept_;
};

/// All back ends and cards of the process. Main thread.
class NetSet {
 public:
  /// "Duplicate ID 'n0'".
  Result<> add(std::unique_ptr<NetBackend> backend);
  /// False if there is none of that id. Its card goes on without.
  bool remove(std::string_view id);
  NetBackend* find(std::string_view id) const;
  const std::vector<std::unique_ptr<NetBackend>>& backends() const { return backends_; }
  const std::vector<NetDevice*>& devices() const { return devices_; }
  void clear() { backends_.clear(); }

 private:
  friend class NetDevice;
  std::vector<std::unique_ptr<NetBackend>> backends_;
  std::vector<NetDevice*> devices_;
};
NetSet& net_set();

/// The next address that no card of this process has had: 52:54:00:12:34:56 is the first.
std::array<uint8_t, 6> next_mac_address();
std::string mac_text(std::span<const uint8_t, 6> mac);
Result<std::array<uint8_t, 6>> parse_mac(std::string_view text);

}  // namespace rhea
