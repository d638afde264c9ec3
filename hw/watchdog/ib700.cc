#include "hw/watchdog/ib700.h"

#include "qapi/vm_control.h"

namespace rhea {

namespace {
constexpr uint16_t kDisablePort = 0x441;
constexpr uint64_t kIb700Enable = 2;  // port 0x443
constexpr int64_t kIb700SecondNs = 1'000'000'000;

/// "Watchdog Timer Configuration": each value less than 15 adds two seconds.
constexpr int64_t timeout_ns(uint64_t value) {
  return static_cast<int64_t>(15 - (value & 0x0f)) * 2 * kIb700SecondNs;
}

constexpr VMStateField kIb700Fields[] = {field<&Ib700::deadline_ns>("timer")};
}  // namespace

constexpr VMState Ib700::kVmState{.name = "ib700_wdt",
                                  .version = 0,
                                  .fields = kIb700Fields,
                                  .pre_save =
                                      [](void* o) {
                                        auto& wdt = *static_cast<Ib700*>(o);
                                        wdt.deadline_ns = wdt.timer_ ? wdt.timer_->deadline_ns() : -1;
                                      },
                                  .post_load = [](void* o, int) -> Result<> {
                                    auto& wdt = *static_cast<Ib700*>(o);
                                    wdt.timer_->cancel();
                                    if (wdt.deadline_ns >= 0) wdt.timer_->arm(wdt.deadline_ns);
                                    return {};
                                  }};

constexpr TypeInfo Ib700::kType{
    .name = "ib700",
    .parent = &IsaDevice::kType,
    .create = []() -> std::shared_ptr<Object> { return std::make_shared<Ib700>(); },
    .description = "iBASE 700",
    .user_creatable = true,
    .category = DeviceCategory::kWatchdog};

CoResult<> Ib700::co_prepare(DeviceContext& context) {
  connect(context.main_loop, context.clock, context.vm);
  co_return Result<>();
}

Result<> Ib700::do_realize() {
  timer_ = std::make_unique<Timer>(*loop_, *clock_, [this] { fired(); });
  add_ports(kDisablePort, 3, io_, "ib700", {.valid_max = 1, .impl_max = 1});
  return {};
}

void Ib700::do_unrealize() {
  IsaDevice::do_unrealize();
  timer_.reset();
}

void Ib700::reset() {
  if (timer_ != nullptr) timer_->cancel();
}

void Ib700::io_write(uint64_t offset, uint64_t value, unsigned) {
  if (offset == 0)
    timer_->cancel();
  else if (offset == kIb700Enable)
    timer_->arm_in(timeout_ns(value));
}

void Ib700::fired() {
  timer_->cancel();
  if (vm_ != nullptr) vm_->watchdog_fired();
}

const VMState* Ib700::vmstate() const {
  return &kVmState;
}

}  // namespace rhea
