#include "hw/timer/i8254.h"

#include <algorithm>

namespace rhea {

namespace {
// Faster interrupts than this only keep the host busy: a guest cannot serve them.
constexpr int64_t kMinIntervalNs = 50'000;
// Ticks that were missed by more than this are not made up for.
constexpr int64_t kMaxLateNs = 1'000'000'000;

constexpr PropertyInfo kI8254Properties[] = {prop<&I8254::iobase>("iobase")};
}  // namespace

constexpr TypeInfo PitCommon::kType{.name = "pit-common", .parent = &IsaDevice::kType};
constexpr TypeInfo I8254::kType{
    .name = "isa-pit",
    .parent = &PitCommon::kType,
    .create = []() -> std::shared_ptr<Object> { return std::make_shared<I8254>(); },
    .properties = kI8254Properties,
    .description = "interval timer"};

CoResult<> I8254::co_prepare(DeviceContext& context) {
  connect(context.main_loop, context.clock);
  co_return Result<>();
}

Result<> I8254::do_realize() {
  if (iobase == kUnset) iobase = 0x40;
  if (iobase > 0xfffc) return fail(EINVAL, "isa-pit: iobase ", iobase, " leaves no room for 4 ports");
  if (!irq_line) irq_line = isa_bus().irq(0);
  add_irq_output(irq_line);
  timer_ = std::make_unique<Timer>(*loop_, *clock_, [this] { struck(); });
  channels[2].state.gate = 0;
  add_ports(static_cast<uint16_t>(iobase), 4, io_, "pit", {.impl_max = 1});
  return {};
}

void I8254::do_unrealize() {
  IsaDevice::do_unrealize();
  timer_.reset();
}

void I8254::reset() {
  if (!timer_) return;
  const int64_t now_ns = clock_->now_ns();
  for (size_t i = 0; i < channels.size(); ++i) {
    channels[i] = {};
    channels[i].state.count_load_time_ns = now_ns;
    channels[i].state.gate = i == 2 ? 0 : 1;
  }
  irq_disabled = 0;
  timer_->cancel();
  irq_line.lower();
}

void I8254::set_channel_gate(unsigned channel, bool on) {
  const int64_t now_ns = clock_->now_ns();
  channels[channel].set_gate(on, now_ns);
  changed(channel, now_ns);
}

// --- channel 0's interrupt

void I8254::changed(unsigned channel, int64_t now_ns) {
  if (channel == 0) drive(now_ns);
}

void I8254::drive(int64_t at_ns) {
  PitChannelState& s = channels[0].state;
  s.next_transition_ns = -1;
  if (irq_disabled != 0) {
    timer_->cancel();
    return;
  }
  irq_line.set(channels[0].output(at_ns) ? 1 : 0);
  const int64_t next_ns = channels[0].next_transition(at_ns);
  if (next_ns < 0) {
    timer_->cancel();
    return;
  }
  // A pulse may be short, a period may not.
  const bool short_period = int64_t{s.count} * 1'000'000'000 / kPitHz < kMinIntervalNs;
  s.next_transition_ns = short_period ? std::max(next_ns, at_ns + kMinIntervalNs) : next_ns;
  timer_->arm(s.next_transition_ns);
}

void I8254::struck() {
  // As of when it should have struck, so that each tick makes its edge however late it is.
  const int64_t due_ns = channels[0].state.next_transition_ns;
  const int64_t now_ns = clock_->now_ns();
  drive(due_ns < 0 || now_ns - due_ns > kMaxLateNs ? now_ns : due_ns);
}

// --- ports

uint64_t I8254::io_read(uint64_t offset, unsigned) {
  if (offset == 3) return 0xff;  // the control word cannot be read
  return channels[offset].read(clock_->now_ns());
}

void I8254::io_write(uint64_t offset, uint64_t value, unsigned) {
  const int64_t now_ns = clock_->now_ns();
  const auto byte = static_cast<uint8_t>(value);
  unsigned channel = static_cast<unsigned>(offset);
  if (offset != 3) {
    channels[channel].write(byte, now_ns);
  } else if (byte >> 6 == 3) {
    read_back(byte, now_ns);
    return;
  } else {
    channel = byte >> 6;
    channels[channel].control(byte, now_ns);
    if ((byte & 0x30) == 0) return;  // only latched
  }
  changed(channel, now_ns);
}

void I8254::read_back(uint8_t command, int64_t now_ns) {
  for (unsigned i = 0; i < channels.size(); ++i) {
    if ((command >> (i + 1) & 1) == 0) continue;
    if ((command & 0x20) == 0) channels[i].latch_count(now_ns);
    if ((command & 0x10) == 0) channels[i].latch_status(now_ns);
  }
}

// --- saved state: section "i8254", version 3

namespace {
using C = PitChannelState;
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
                                           field<&C::count_load_time_ns>("count_load_time"),
                                           field<&C::next_transition_ns>("next_transition_time")};
constexpr VMState kI8254Channel{
    .name = "pit channel", .version = 2, .fields = kChannelFields, .post_load = [](void* o, int) -> Result<> {
      const auto& c = *static_cast<const C*>(o);
      // 0 is what a counter has that no mode was set for.
      if (c.count > 0x10000) return fail(EINVAL, "a count of ", c.count, " ticks does not fit 16 bits");
      if (c.mode > 5) return fail(EINVAL, "mode ", int(c.mode), " does not exist");
      if (c.rw_mode > 3 || c.read_state > 4 || c.write_state > 4 || c.count_latched > 4)
        return fail(EINVAL, "access mode is out of range");
      return {};
    }};
constexpr VMStateField kI8254Fields[] = {
    field<&I8254::irq_disabled>("channels[0].irq_disabled", 3),
    {.name = "channels",
     .save =
         [](const void* o, StateWriter& out, const VMStateField&) {
           for (const PitChannel& c : static_cast<const I8254*>(o)->channels)
             vmstate_save(kI8254Channel, const_cast<C*>(&c.state), out);
         },
     .load = [](void* o, StateReader& in, const VMStateField&, int) -> Result<> {
       for (PitChannel& c : static_cast<I8254*>(o)->channels)
         TRY(vmstate_load(kI8254Channel, &c.state, in, 2));
       return {};
     },
     .nested = &kI8254Channel,
     .since_version = 2},
    {.name = "channels[0].next_transition_time",
     .save =
         [](const void* o, StateWriter& out, const VMStateField&) {
           out.put_be64(
               static_cast<uint64_t>(static_cast<const I8254*>(o)->channels[0].state.next_transition_ns));
         },
     .load = [](void* o, StateReader& in, const VMStateField&, int) -> Result<> {
       static_cast<I8254*>(o)->channels[0].state.next_transition_ns = static_cast<int64_t>(in.get_be64());
       return {};
     }}};
}  // namespace

constexpr VMState I8254::kVmState{.name = "i8254",
                                  .version = 3,
                                  .minimum_version = 2,
                                  .fields = kI8254Fields,
                                  .pre_save = before_save,
                                  .post_load = after_load};

void I8254::before_save(void* object) {
  auto& pit = *static_cast<I8254*>(object);
  for (PitChannel& c : pit.channels) c.before_save(pit.clock_->now_ns());
}

Result<> I8254::after_load(void* object, int version) {
  auto& pit = *static_cast<I8254*>(object);
  if (version < 3) pit.irq_disabled = 0;
  const int64_t now_ns = pit.clock_->now_ns();
  // Further away than any clock gets, so that differences of times cannot overflow.
  constexpr int64_t kFarNs = int64_t{1} << 61;
  for (PitChannel& c : pit.channels) {
    C& s = c.state;
    if (s.count == 0) s.count = 0x10000;
    if (s.count_load_time_ns < -kFarNs || s.count_load_time_ns > kFarNs)
      return fail(EINVAL, "counting began at ", s.count_load_time_ns, " ns");
    s.gate = s.gate != 0;
    s.bcd = s.bcd != 0;
    c.after_load(now_ns);
  }
  C& first = pit.channels[0].state;
  if (pit.irq_disabled != 0 || first.next_transition_ns < 0) {
    pit.timer_->cancel();
  } else {
    first.next_transition_ns = std::min(first.next_transition_ns, kFarNs);
    pit.timer_->arm(first.next_transition_ns);
  }
  return {};
}

const VMState* I8254::vmstate() const {
  return &kVmState;
}

}  // namespace rhea
