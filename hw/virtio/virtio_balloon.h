// virtio-balloon: the guest gives memory back. Spec: VIRTIO 1.2, section 5.5.
#pragma once

#include <array>
#include <memory>

#include "hw/core/run_state_listener.h"
#include "hw/virtio/virtio_device.h"
#include "util/aio_context.h"

namespace rhea {

class VirtioBalloon final : public VirtioDevice, public RunStateListener {
 public:
  static const TypeInfo kType;  ///< "virtio-balloon-device"
  const TypeInfo& type() const override { return kType; }
  VirtioBalloon();
  ~VirtioBalloon() override;
  /// The machine's one balloon, null if it has none.
  static VirtioBalloon* find();

  CoResult<> co_prepare(DeviceContext& context) override;
  const VMState* vmstate() const override;

  void run_state_changed(bool running) override;

  // VirtioDevice
  uint16_t virtio_id() const override { return 5; }
  uint64_t kind_features() const override;
  uint32_t config_bytes() const override;
  void fill_config(std::span<uint8_t> config) override;
  void config_written(std::span<const uint8_t> config) override;
  uint32_t wanted_vectors() const override { return 0; }

  /// Asks the guest to keep `bytes` of its memory, at most all.
  void set_target(uint64_t bytes);
  /// What it has now, in bytes.
  uint64_t actual_bytes() const { return ram_bytes() - uint64_t{state.actual} * kPage; }

  Json guest_stats() const;
  int64_t polling_interval_s() const { return interval_s_; }
  Result<> set_polling_interval_s(int64_t seconds);

  struct State {             // all of it is visible to the guest
    uint32_t num_pages = 0;  ///< how many the host wants
    uint32_t actual = 0;     ///< how many the guest says it has given
    uint32_t poison = 0;     ///< what the guest fills free pages with
    uint32_t hint_id = 0, hint_status = 0;
  };
  State state;

  // Properties.
  bool deflate_on_oom = false, free_page_hint = false, page_poison = true, free_page_reporting = false,
       old_config_size = false;

 protected:
  Result<> do_realize() override;
  void do_unrealize() override;
  void serve(VirtioQueue& queue) override;
  void forget_requests() override;
  void kind_reset() override;
  void save_kind(StateWriter& out) override;
  Result<> load_kind(StateReader& in, int version) override;

 private:
  static constexpr uint64_t kPage = 4096;
  static constexpr size_t kStats = 10;
  enum Queue : uint8_t { kInflate, kDeflate, kStatistics, kReporting };
  uint64_t ram_bytes() const;
  void give_pages(const RingElement& element);
  void take_stats(VirtioQueue& queue);
  void ask_for_stats();
  void arm_poll();

  DeviceContext* context_ = nullptr;
  RingElement element_;
  RingElement stats_element_;  ///< the driver's buffer, which it gets back when new numbers are wanted
  bool have_stats_element_ = false;
  std::array<uint64_t, kStats> stats_{};
  int64_t stats_time_s_ = 0;
  int64_t interval_s_ = 0;
  std::unique_ptr<Timer> poll_;
};

}  // namespace rhea
