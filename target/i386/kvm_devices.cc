// The layouts are those of the devices' models in user space, so that a stream fits either.
#include "target/i386/kvm_devices.h"

#include <algorithm>

#include "hw/core/lost_tick_policy.h"
#include "qom/globals.h"
#include "util/clock.h"

namespace rhea {

namespace {

/// What all of them share: made by the machine alone, reset by the accelerator.
class KernelDevice : public Device {
 public:
  explicit KernelDevice(Accelerator& accel) : accel_(accel) {}
  bool hotpluggable() const override { return false; }
  KernelIrqchip& chip() { return *accel_.irqchip(); }
  Accelerator& accel() { return accel_; }

 private:
  Accelerator& accel_;
};

/// Reads into `saved`, keeping what was there if the kernel refuses.
template <class State>
void fetch(State& saved, Result<State> state) {
  if (state) saved = std::move(*state);
}

class KvmPic final : public KernelDevice {
 public:
  static const TypeInfo kType;
  const TypeInfo& type() const override { return kType; }
  KvmPic(Accelerator& accel, bool is_slave) : KernelDevice(accel), slave(is_slave) {}
  const VMState* vmstate() const override;

  const bool slave;
  KernelPicState saved;
};
const TypeInfo KvmPic::kType{
    .name = "kvm-i8259", .parent = &Device::kType, .description = "KVM's 8259A", .made_by_owner = true};

using P = KernelPicState;
constexpr VMStateField kPicFields[] = {field<&P::last_irr>("last_irr"),
                                       field<&P::irr>("irr"),
                                       field<&P::imr>("imr"),
                                       field<&P::isr>("isr"),
                                       field<&P::priority_add>("priority_add"),
                                       field<&P::irq_base>("irq_base"),
                                       field<&P::read_reg_select>("read_reg_select"),
                                       field<&P::poll>("poll"),
                                       field<&P::special_mask>("special_mask"),
                                       field<&P::init_state>("init_state"),
                                       field<&P::auto_eoi>("auto_eoi"),
                                       field<&P::rotate_on_auto_eoi>("rotate_on_auto_eoi"),
                                       field<&P::special_fully_nested_mode>("special_fully_nested_mode"),
                                       field<&P::init4>("init4"),
                                       padding(1),  // single mode: the kernel has none
                                       field<&P::elcr>("elcr")};
constexpr VMState kPicState{.name = "i8259", .version = 1, .fields = kPicFields};
constexpr VMStateField kPicDevice[] = {struct_field<&KvmPic::saved>("state", kPicState)};
constexpr VMState kPicVmState{.name = "i8259",
                              .version = 1,
                              .fields = kPicDevice,
                              .pre_save =
                                  [](void* o) {
                                    auto& d = *static_cast<KvmPic*>(o);
                                    fetch(d.saved, d.chip().get_pic(d.slave));
                                  },
                              .post_load = [](void* o, int) -> Result<> {
                                auto& d = *static_cast<KvmPic*>(o);
                                if (d.saved.priority_add > 7 || d.saved.init_state > 3)
                                  return fail(EINVAL,
                                              "i8259: priority or initialisation step is out of range");
                                d.saved.elcr_mask = d.slave ? 0xde : 0xf8;
                                d.saved.elcr &= d.saved.elcr_mask;
                                return d.chip().set_pic(d.slave, d.saved);
                              }};
const VMState* KvmPic::vmstate() const {
  return &kPicVmState;
}

class KvmIoapic final : public KernelDevice {
 public:
  static const TypeInfo kType;
  const TypeInfo& type() const override { return kType; }
  using KernelDevice::KernelDevice;
  const VMState* vmstate() const override;
  KernelIoapicState saved;
};
const TypeInfo KvmIoapic::kType{
    .name = "kvm-ioapic", .parent = &Device::kType, .description = "KVM's I/O APIC", .made_by_owner = true};

using I = KernelIoapicState;
constexpr VMStateField kIoapicFields[] = {field_as<&I::id, uint8_t>("id"),
                                          field_as<&I::ioregsel, uint8_t>("ioregsel"), padding(8, 2),
                                          field<&I::irr>("irr", 2), field<&I::redirection>("ioredtbl")};
constexpr VMState kIoapicState{.name = "ioapic", .version = 3, .fields = kIoapicFields};
constexpr VMStateField kIoapicDevice[] = {struct_field<&KvmIoapic::saved>("state", kIoapicState)};
constexpr VMState kIoapicVmState{.name = "ioapic",
                                 .version = 3,
                                 .fields = kIoapicDevice,
                                 .pre_save =
                                     [](void* o) {
                                       auto& d = *static_cast<KvmIoapic*>(o);
                                       fetch(d.saved, d.chip().get_ioapic());
                                     },
                                 .post_load = [](void* o, int) -> Result<> {
                                   auto& d = *static_cast<KvmIoapic*>(o);
                                   return d.chip().set_ioapic(d.saved);
                                 }};
const VMState* KvmIoapic::vmstate() const {
  return &kIoapicVmState;
}

class KvmPit final : public KernelDevice {
 public:
  static const TypeInfo kType;
  const TypeInfo& type() const override { return kType; }
  using KernelDevice::KernelDevice;
  const VMState* vmstate() const override;

  /// The kernel counts from the host's monotonic clock, a stream from the guest's.
  static int64_t clock_offset_ns() { return virtual_clock().now_ns() - realtime_clock().now_ns(); }
  KernelPitState saved;
  uint32_t irq_disabled = 0;
  LostTickPolicy lost_tick_policy = LostTickPolicy::kDelay;  // a property

 protected:
  Result<> do_realize() override;
};
constexpr PropertyInfo kPitProperties[] = {prop<&KvmPit::lost_tick_policy>("lost_tick_policy")};
const TypeInfo KvmPit::kType{.name = "kvm-pit",
                             .parent = &Device::kType,
                             .properties = kPitProperties,
                             .description = "KVM's 8254",
                             .made_by_owner = true};

Result<> KvmPit::do_realize() {
  if (lost_tick_policy == LostTickPolicy::kSlew)
    return fail(EINVAL, "Lost tick policy not supported by kvm-pit");
  if (lost_tick_policy == LostTickPolicy::kDiscard) TRY(chip().set_pit_reinjection(false));
  return {};
}

using C = KernelPitState::Channel;
constexpr VMStateField kChannelFields[] = {field<&C::count>("count"),
                                           field<&C::latched_count>("latched_count"),
                                           field<&C::count_latched>("count_latched"),
                                           field<&C::status_latched>("status_latched"),
                                           field<&C::status>("status"),
                                           field<&C::read_state>("read_state"),
                                           field<&C::write_state>("write_state"),
                                           field<&C::write_latch>("write_latch"),
                                           field<&C::rw_mode>("rw_mode"),
                                           field<&C::mode>("mode"),
                                           field<&C::bcd>("bcd"),
                                           field<&C::gate>("gate"),
                                           field<&C::count_load_time>("count_load_time"),
                                           padding(8)};  // the next transition: the kernel finds it itself
constexpr VMState kChannelState{.name = "pit channel", .version = 2, .fields = kChannelFields};
constexpr VMStateField kPitFields[] = {
    field<&KvmPit::irq_disabled>("channels[0].irq_disabled", 3),
    {.name = "channels",
     .save =
         [](const void* o, StateWriter& out, const VMStateField&) {
           for (const C& c : static_cast<const KvmPit*>(o)->saved.channels)
             vmstate_save(kChannelState, const_cast<C*>(&c), out);
         },
     .load = [](void* o, StateReader& in, const VMStateField&, int) -> Result<> {
       for (C& c : static_cast<KvmPit*>(o)->saved.channels) TRY(vmstate_load(kChannelState, &c, in, 2));
       return {};
     },
     .nested = &kChannelState},
    padding(8)};

/// The kernel's mark of a channel whose mode was never set is no mode in a stream.
constexpr uint8_t kNotProgrammed = 0xff, kModeFirmwareSets = 3;

void fetch_pit(void* o) {
  auto& d = *static_cast<KvmPit*>(o);
  fetch(d.saved, d.chip().get_pit());
  d.irq_disabled = d.saved.flags & 1;
  for (C& c : d.saved.channels) {
    c.count_load_time += KvmPit::clock_offset_ns();
    if (c.mode == kNotProgrammed) c.mode = kModeFirmwareSets;
  }
}

Result<> put_pit(void* o, int) {
  auto& d = *static_cast<KvmPit*>(o);
  constexpr int64_t kFarNs = int64_t{1} << 61;
  for (C& c : d.saved.channels) {
    if (c.count > 0x10000 || c.mode > 5 || c.rw_mode > 3 || c.read_state > 4 || c.write_state > 4)
      return fail(EINVAL, "i8254: a channel's state is out of range");
    if (c.count_load_time < -kFarNs || c.count_load_time > kFarNs)
      return fail(EINVAL, "i8254: counting began at ", c.count_load_time, " ns");
    c.count_load_time -= KvmPit::clock_offset_ns();
  }
  d.saved.flags = d.irq_disabled != 0 ? 1 : 0;
  return d.chip().set_pit(d.saved);
}

constexpr VMState kPitVmState{
    .name = "i8254", .version = 3, .fields = kPitFields, .pre_save = fetch_pit, .post_load = put_pit};
const VMState* KvmPit::vmstate() const {
  return &kPitVmState;
}

class KvmClock final : public KernelDevice {
 public:
  static const TypeInfo kType;
  const TypeInfo& type() const override { return kType; }
  using KernelDevice::KernelDevice;
  const VMState* vmstate() const override;
  uint64_t clock_ns = 0;
};
const TypeInfo KvmClock::kType{
    .name = "kvmclock", .parent = &Device::kType, .description = "KVM's clock", .made_by_owner = true};

constexpr VMStateField kClockFields[] = {field<&KvmClock::clock_ns>("clock")};
constexpr VMState kClockVmState{.name = "kvmclock",
                                .version = 1,
                                .fields = kClockFields,
                                .pre_save =
                                    [](void* o) {
                                      auto& d = *static_cast<KvmClock*>(o);
                                      d.clock_ns = d.accel().kvmclock_ns();
                                    },
                                .post_load = [](void* o, int) -> Result<> {
                                  auto& d = *static_cast<KvmClock*>(o);
                                  d.accel().set_kvmclock_ns(d.clock_ns);
                                  return {};
                                }};
const VMState* KvmClock::vmstate() const {
  return &kClockVmState;
}

}  // namespace

Result<> create_kernel_devices(Accelerator& accel, Object& parent) {
  if (accel.irqchip() == nullptr) return {};
  std::vector<std::shared_ptr<Device>> devices = {
      std::make_shared<KvmPic>(accel, false), std::make_shared<KvmPic>(accel, true),
      std::make_shared<KvmIoapic>(accel), std::make_shared<KvmClock>(accel)};
  if (accel.irqchip()->has_pit()) devices.push_back(std::make_shared<KvmPit>(accel));
  for (auto& device : devices) {
    TRY(apply_global_properties(*device));
    parent.add_child("device[*]", device);
    TRY(device->realize());
  }
  return {};
}

void register_kernel_device_types(TypeRegistry& registry) {
  registry.add({&KvmPic::kType, &KvmIoapic::kType, &KvmClock::kType, &KvmPit::kType});
}

}  // namespace rhea
