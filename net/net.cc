#include "net/net.h"

#include <algorithm>
#include <array>

#include "qapi/qapi_types_devices.h"

namespace rhea {

// --- cards

NetDevice::~NetDevice() {
  disconnect();
}

std::optional<RxFilterInfo> NetDevice::rx_filter() const {
  return std::nullopt;
}

void NetDevice::connect(NetBackend* backend) {
  net_set().devices_.push_back(this);
  backend_ = backend;
  if (backend != nullptr) backend->device_ = this;
}

void NetDevice::disconnect() {
  std::erase(net_set().devices_, this);
  if (backend_ == nullptr) return;
  backend_->device_ = nullptr;
  backend_->kept_.clear();
  backend_ = nullptr;
}

void NetDevice::set_link(bool up) {
  if (backend_ != nullptr) backend_->set_link(up);
  if (std::exchange(link_up_, up) != up) link_changed(up);
}

void NetDevice::net_ready() {
  if (backend_ != nullptr) backend_->flush();
}

// --- back ends

NetBackend::~NetBackend() {
  if (device_ != nullptr) device_->backend_ = nullptr;
}

void NetBackend::deliver(std::span<const uint8_t> frame) {
  if (device_ == nullptr || !link_up_ || !device_->link_up()) return;
  if (kept_.empty() && !flushing_ && device_->receive_frame(frame)) return;
  if (has_room()) kept_.emplace_back(frame.begin(), frame.end());
}

void NetBackend::flush() {
  if (flushing_) return;
  flushing_ = true;
  bool some = false;
  while (!kept_.empty() && device_ != nullptr && device_->receive_frame(kept_.front())) {
    kept_.pop_front();
    some = true;
  }
  flushing_ = false;
  if (some) room_again();
}

// --- all of them

NetSet& net_set() {
  static NetSet set;
  return set;
}

Result<> NetSet::add(std::unique_ptr<NetBackend> backend) {
  if (find(backend->id()) != nullptr) return fail(EEXIST, "Duplicate ID '", backend->id(), "'");
  backends_.push_back(std::move(backend));
  return {};
}

bool NetSet::remove(std::string_view id) {
  return std::erase_if(backends_, [&](const auto& b) { return b->id() == id; }) != 0;
}

NetBackend* NetSet::find(std::string_view id) const {
  const auto at = std::ranges::find_if(backends_, [&](const auto& b) { return b->id() == id; });
  return at != backends_.end() ? at->get() : nullptr;
}

// --- addresses

std::array<uint8_t, 6> next_mac_address() {
  static uint8_t next = 0x56;
  return {0x52, 0x54, 0x00, 0x12, 0x34, next++};
}

std::string mac_text(std::span<const uint8_t, 6> mac) {
  std::string out;
  for (const uint8_t byte : mac) {
    constexpr char kDigits[] = "0123456789abcdef";
    if (!out.empty()) out += ':';
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
  return out;
}

Result<std::array<uint8_t, 6>> parse_mac(std::string_view text) {
  std::array<uint8_t, 6> mac{};
  auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
  };
  if (text.size() != 17) return fail(EINVAL, "'", text, "' is no address");
  for (size_t i = 0; i < mac.size(); ++i) {
    const int high = digit(text[3 * i]), low = digit(text[3 * i + 1]);
    const bool separated = i + 1 == mac.size() || text[3 * i + 2] == ':' || text[3 * i + 2] == '-';
    if (high < 0 || low < 0 || !separated) return fail(EINVAL, "'", text, "' is no address");
    mac[i] = static_cast<uint8_t>(high << 4 | low);
  }
  return mac;
}

}  // namespace rhea
