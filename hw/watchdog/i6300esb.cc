#include "hw/watchdog/i6300esb.h"

#include "qapi/vm_control.h"

namespace rhea {

namespace {
// Configuration space, 16.1.
constexpr unsigned kConfig = 0x60, kLock = 0x68;
constexpr uint32_t kIntTypeMask = 0x03, kPrescaler = 0x04, kOutputOff = 0x20;
constexpr uint8_t kLocked = 0x01, kI6300esbEnable = 0x02, kFreeRun = 0x04;
// Memory space, 16.2.
constexpr uint64_t kPreload1 = 0x0, kPreload2 = 0x4, kReload = 0xc;
constexpr uint64_t kUnlock1 = 0x80, kUnlock2 = 0x86;
constexpr uint64_t kReloadNow = 0x100, kTimeout = 0x200;
constexpr uint64_t kTimeoutOfLinux = 0x1000;  // what Linux's driver takes for that bit
constexpr uint32_t kPreloadMask = 0xfffff;
constexpr int64_t kPciHz = 33'000'000, kI6300esbSecondNs = 1'000'000'000;

using S = I6300EsbState;
constexpr VMStateField kStateFields[] = {field<&S::reboot_enabled>("reboot_enabled"),
                                         field<&S::fast_clock>("clock_scale"),
                                         field<&S::interrupt_type>("int_type"),
                                         field<&S::free_run>("free_run"),
                                         field<&S::locked>("locked"),
                                         field<&S::enabled>("enabled"),
                                         field<&S::deadline_ns>("timer"),
                                         field<&S::preload1>("timer1_preload"),
                                         field<&S::preload2>("timer2_preload"),
                                         field<&S::stage>("stage"),
                                         field<&S::unlock>("unlock_state"),
                                         field<&S::timed_out>("previous_reboot_flag")};
constexpr VMState kState{.name = "state", .fields = kStateFields};
constexpr VMStateField kI6300esbFields[] = {pci_device_field<I6300Esb>("dev"),
                                            struct_field<&I6300Esb::state>("state", kState)};
}  // namespace

constexpr VMState I6300Esb::kVmState{.name = "i6300esb_wdt",
                                     .version = 10000,
                                     .minimum_version = 1,
                                     .fields = kI6300esbFields,
                                     .pre_save =
                                         [](void* o) {
                                           auto& wdt = *static_cast<I6300Esb*>(o);
                                           wdt.state.deadline_ns =
                                               wdt.timer_ ? wdt.timer_->deadline_ns() : -1;
                                         },
                                     .post_load = [](void* o, int) -> Result<> {
                                       auto& wdt = *static_cast<I6300Esb*>(o);
                                       S& s = wdt.state;
                                       if (s.stage != 1 && s.stage != 2)
                                         return fail(EINVAL, "there is no stage ", s.stage);
                                       s.preload1 &= kPreloadMask;
                                       s.preload2 &= kPreloadMask;
                                       s.interrupt_type &= kIntTypeMask;
                                       wdt.timer_->cancel();
                                       if (s.deadline_ns >= 0) wdt.timer_->arm(s.deadline_ns);
                                       return {};
                                     }};

constexpr TypeInfo I6300Esb::kType{
    .name = "i6300esb",
    .parent = &PciDevice::kType,
    .create = []() -> std::shared_ptr<Object> { return std::make_shared<I6300Esb>(); },
    .description = "Intel 6300ESB",
    .user_creatable = true,
    .category = DeviceCategory::kWatchdog};

PciIds I6300Esb::pci_ids() const {
  return {.vendor = 0x8086, .device = 0x25ab, .revision = 0, .class_id = 0x0880};
}

CoResult<> I6300Esb::co_prepare(DeviceContext& context) {
  connect(context.main_loop, context.clock, context.vm);
  co_return Result<>();
}

Result<> I6300Esb::do_realize() {
  TRY(PciDevice::do_realize());
  timer_ = std::make_unique<Timer>(*loop_, *clock_, [this] { fired(); });
  register_bar(0, false, MemoryRegion::io("i6300esb", 0x10, mem_, {.valid_max = 4, .impl_max = 4}));
  return {};
}

void I6300Esb::do_unrealize() {
  PciDevice::do_unrealize();
  timer_.reset();
}

void I6300Esb::reset() {
  PciDevice::reset();
  reset_watchdog();
}

void I6300Esb::reset_watchdog() {
  stop();
  const uint32_t timed_out = state.timed_out;  // 16.2.4: survives the reset it tells of
  state = {};
  state.timed_out = timed_out;
}

// --- registers

uint32_t I6300Esb::config_read(unsigned offset, unsigned size) {
  if (offset == kConfig && size == 2)
    return (state.reboot_enabled != 0 ? 0 : kOutputOff) | (state.fast_clock != 0 ? kPrescaler : 0) |
           state.interrupt_type;
  if (offset == kLock && size == 1)
    return (state.free_run != 0 ? kFreeRun : 0u) | (state.locked != 0 ? kLocked : 0u) |
           (state.enabled != 0 ? kI6300esbEnable : 0u);
  return PciDevice::config_read(offset, size);
}

void I6300Esb::config_write(unsigned offset, uint32_t value, unsigned size) {
  if (offset == kConfig && size == 2) {
    state.reboot_enabled = (value & kOutputOff) == 0;
    state.fast_clock = (value & kPrescaler) != 0;
    state.interrupt_type = value & kIntTypeMask;
  } else if (offset == kLock && size == 1) {
    lock_written(static_cast<uint8_t>(value));
  } else {
    PciDevice::config_write(offset, value, size);
  }
}

void I6300Esb::lock_written(uint8_t value) {
  if (state.locked != 0) return;
  state.locked = (value & kLocked) != 0;
  state.free_run = (value & kFreeRun) != 0;
  const bool was_enabled = std::exchange(state.enabled, (value & kI6300esbEnable) != 0) != 0;
  if (state.enabled == 0)
    stop();
  else if (!was_enabled)
    start_stage(1);
}

uint64_t I6300Esb::mem_read(uint64_t offset, unsigned size) {
  return offset == kReload && size == 2 && state.timed_out != 0 ? kTimeout | kTimeoutOfLinux : 0;
}

/// 16.2.4: 80h, then 86h at the reload register allow one write to a register. True if `value` was part of
/// that.
bool I6300Esb::take_unlock(uint64_t value) {
  if (value == kUnlock1)
    state.unlock = 1;
  else if (value == kUnlock2 && state.unlock == 1)
    state.unlock = 2;
  else
    return false;
  return true;
}

void I6300Esb::mem_write(uint64_t offset, uint64_t value, unsigned size) {
  if (offset == kReload && take_unlock(value)) return;
  if (size == 1 || state.unlock != 2) return;
  if (size == 4 && offset == kPreload1) state.preload1 = value & kPreloadMask;
  if (size == 4 && offset == kPreload2) state.preload2 = value & kPreloadMask;
  if (size == 2 && offset == kReload) write_reload(value);
  state.unlock = 0;
}

void I6300Esb::write_reload(uint64_t value) {
  if ((value & kReloadNow) != 0) start_stage(1);
  if ((value & (kTimeout | kTimeoutOfLinux)) != 0) state.timed_out = 0;
}

// --- counting

void I6300Esb::stop() {
  if (timer_ != nullptr) timer_->cancel();
}

void I6300Esb::start_stage(uint32_t stage) {
  if (state.enabled == 0) return;
  state.stage = stage;
  // 16.2.1: the counter's low bits are those of the prescaler, in PCI clocks.
  const int64_t clocks = int64_t{stage == 1 ? state.preload1 : state.preload2}
                         << (state.fast_clock != 0 ? 5 : 15);
  timer_->arm_in(static_cast<int64_t>(static_cast<__int128>(clocks) * kI6300esbSecondNs / kPciHz));
}

/// Stage 1's interrupt has no line on this board.
void I6300Esb::fired() {
  if (state.stage == 1) return start_stage(2);
  if (state.reboot_enabled != 0) {
    state.timed_out = 1;
    if (vm_ != nullptr) vm_->watchdog_fired();
    reset_watchdog();
  }
  if (state.free_run != 0) start_stage(1);
}

const VMState* I6300Esb::vmstate() const {
  return &kVmState;
}

}  // namespace rhea
