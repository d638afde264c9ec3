// virtio-rng: a source of random numbers. Spec: VIRTIO 1.2, section 5.4.
#pragma once

#include <memory>

#include "backends/rng.h"
#include "hw/core/run_state_listener.h"
#include "hw/virtio/virtio_device.h"
#include "util/aio_context.h"

namespace rhea {

class VirtioRng final : public VirtioDevice, public RunStateListener {
 public:
  static const TypeInfo kType;  ///< "virtio-rng-device"
  const TypeInfo& type() const override { return kType; }
  VirtioRng();
  ~VirtioRng() override;

  CoResult<> co_prepare(DeviceContext& context) override;
  const VMState* vmstate() const override;
  void run_state_changed(bool running) override;

  // VirtioDevice
  uint16_t virtio_id() const override { return 4; }
  uint64_t kind_features() const override { return 0; }
  uint32_t config_bytes() const override { return 0; }
  void fill_config(std::span<uint8_t>) override {}

  RngBackend* backend() const { return backend_.get(); }
  /// Only before it is realized.
  void set_backend(std::shared_ptr<RngBackend> backend) { backend_ = std::move(backend); }

  // Properties: at most so many bytes in so many milliseconds.
  uint64_t max_bytes = INT64_MAX;
  uint32_t period_ms = 1 << 16;

 protected:
  Result<> do_realize() override;
  void do_unrealize() override;
  void serve(VirtioQueue& queue) override;
  void kind_reset() override;

 private:
  static constexpr uint64_t kMostAtOnce = 64 << 10;
  void period_begins();
  Result<uint64_t> fill(const RingElement& element, uint64_t most);
  void wait_for_backend();

  std::shared_ptr<RngBackend> backend_;
  DeviceContext* context_ = nullptr;
  bool running_ = true;
  uint64_t quota_ = 0;  ///< bytes left in this period
  std::unique_ptr<Timer> period_;
  std::unique_ptr<FdWatch> watch_;  ///< while the backend has nothing
  RingElement element_;
};

}  // namespace rhea
