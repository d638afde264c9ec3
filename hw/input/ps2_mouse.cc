#include "hw/input/ps2_mouse.h"

#include <algorithm>

#include "util/log.h"

namespace rhea {

namespace {
constexpr uint8_t kScale11 = 0xe6, kScale21 = 0xe7, kSetResolution = 0xe8, kGetStatus = 0xe9,
                  kSetStream = 0xea, kPoll = 0xeb, kResetWrap = 0xec, kSetWrap = 0xee, kSetRemote = 0xf0,
                  kGetId = 0xf2, kPs2MouseSetRate = 0xf3, kPs2MouseEnable = 0xf4, kPs2MouseDisable = 0xf5,
                  kPs2MouseDefaults = 0xf6, kPs2MouseReset = 0xff;
constexpr int32_t kMaxCount = 1 << 20;  // movements that nobody fetches stop adding up
}  // namespace

constexpr TypeInfo Ps2Mouse::kType{
    .name = "ps2-mouse", .parent = &Ps2Device::kType, .create = []() -> std::shared_ptr<Object> {
      return std::make_shared<Ps2Mouse>();
    }};

void Ps2Mouse::reset() {
  Ps2Device::reset();
  state = {};
}

void Ps2Mouse::set_defaults() {
  state.sample_rate = 100;
  state.resolution = 2;
  state.status = 0;
  clear_queue();
}

// --- movements

void Ps2Mouse::move(int dx, int dy, int dz, uint8_t buttons) {
  if ((state.status & kReporting) == 0) return;
  auto add = [](int32_t& sum, int by) {
    sum = std::clamp(sum + std::clamp(by, -kMaxCount, kMaxCount), -kMaxCount, kMaxCount);
  };
  add(state.dx, dx);
  add(state.dy, dy);
  add(state.dz, dz);
  const bool changed = (state.buttons ^ buttons) != 0;
  state.buttons = buttons & 0x1f;
  if ((state.status & kRemote) != 0) return;
  if (changed || state.dx != 0 || state.dy != 0 || state.dz != 0) send_packets();
}

bool Ps2Mouse::packet(std::array<uint8_t, 4>& out, size_t& count) {
  count = state.id == 0 ? 3 : 4;
  if (!room_for(count)) return false;
  const int dx = std::clamp(state.dx, -255, 255), dy = std::clamp(state.dy, -255, 255);
  const int dz = std::clamp(state.dz, state.id == 4 ? -8 : -127, state.id == 4 ? 7 : 127);
  out[0] = static_cast<uint8_t>(0x08 | (dx < 0 ? 0x10 : 0) | (dy < 0 ? 0x20 : 0) | (state.buttons & 0x07));
  out[1] = static_cast<uint8_t>(dx);
  out[2] = static_cast<uint8_t>(dy);
  out[3] = static_cast<uint8_t>(state.id == 4 ? (dz & 0x0f) | (state.buttons & 0x18) << 1 : dz);
  state.dx -= dx;
  state.dy -= dy;
  state.dz = state.id == 0 ? 0 : state.dz - dz;
  return true;
}

void Ps2Mouse::send_packets() {
  std::array<uint8_t, 4> bytes{};
  size_t count = 0;
  do {
    if (!packet(bytes, count)) return;
    enqueue({bytes.data(), count});
  } while (state.dx != 0 || state.dy != 0 || state.dz != 0);
}

// --- commands

void Ps2Mouse::command(uint8_t byte) {
  if (state.wrap != 0 && byte != kResetWrap && byte != kPs2MouseReset) {
    reply({byte});
    return;
  }
  const int32_t waiting = common.write_cmd;
  common.write_cmd = Ps2State::kNoCommand;
  if (waiting != Ps2State::kNoCommand)
    parameter(static_cast<uint8_t>(waiting), byte);
  else
    plain_command(byte);
}

void Ps2Mouse::plain_command(uint8_t byte) {
  switch (byte) {
    case kScale11:
      state.status &= static_cast<uint8_t>(~kScale2);
      break;
    case kScale21:
      state.status |= kScale2;
      break;
    case kSetStream:
      state.status &= static_cast<uint8_t>(~kRemote);
      break;
    case kResetWrap:
      state.wrap = 0;
      break;
    case kSetWrap:
      state.wrap = 1;
      break;
    case kSetRemote:
      state.status |= kRemote;
      break;
    case kPs2MouseEnable:
      state.status |= kReporting;
      break;
    case kPs2MouseDisable:
      state.status &= static_cast<uint8_t>(~kReporting);
      break;
    case kPs2MouseDefaults:
      set_defaults();
      break;
    case kPs2MouseSetRate:
    case kSetResolution:
      common.write_cmd = byte;
      break;
    case kGetId:
      reply({kAck, state.id});
      return;
    case kGetStatus:
      reply({kAck,
             static_cast<uint8_t>(state.status | (state.buttons & 1) << 2 | (state.buttons & 4) >> 1 |
                                  (state.buttons & 2) >> 1),
             state.resolution, state.sample_rate});
      return;
    case kPoll: {
      std::array<uint8_t, 4> p{};
      size_t count = 0;
      if (!packet(p, count))
        reply({kAck});
      else if (count == 3)
        reply({kAck, p[0], p[1], p[2]});
      else
        reply({kAck, p[0], p[1], p[2], p[3]});
      return;
    }
    case kPs2MouseReset:
      set_defaults();
      state = {};
      reply({kAck, kSelfTestPassed, state.id});
      return;
    default:
      log_guest_error("ps2-mouse: command ", int(byte), " is not known");
      reply({kResend});
      return;
  }
  reply({kAck});
}

void Ps2Mouse::parameter(uint8_t of_command, uint8_t byte) {
  if (of_command == kPs2MouseSetRate)
    rate_set(byte);
  else if (byte <= 3)
    state.resolution = byte;
  reply({kAck});
}

void Ps2Mouse::rate_set(uint8_t rate) {
  // The rates 200, 100, 80 in turn turn the wheel on, 200, 200, 80 the further buttons.
  state.sample_rate = rate;
  const uint8_t seen = state.detect_state;
  state.detect_state = 0;
  if (seen == 0 && rate == 200) state.detect_state = 1;
  if (seen == 1 && rate == 100) state.detect_state = 2;
  if (seen == 1 && rate == 200) state.detect_state = 3;
  if (seen == 3 && rate == 200) state.detect_state = 3;
  if (seen == 2 && rate == 80) state.id = 3;
  if (seen == 3 && rate == 80) state.id = 4;
}

// --- saved state

namespace {
Result<> check_mouse(void* object, int) {
  auto& m = static_cast<Ps2Mouse*>(object)->state;
  if (m.id != 0 && m.id != 3 && m.id != 4) return fail(EINVAL, "mouse type ", int(m.id), " is not known");
  for (int32_t* sum : {&m.dx, &m.dy, &m.dz}) *sum = std::clamp(*sum, -kMaxCount, kMaxCount);
  m.resolution &= 3;
  m.buttons &= 0x1f;
  return {};
}

using M = Ps2MouseState;
constexpr VMStateField kMouseFields[] = {field<&M::status>("mouse_status"),
                                         field<&M::resolution>("mouse_resolution"),
                                         field<&M::sample_rate>("mouse_sample_rate"),
                                         field<&M::wrap>("mouse_wrap"),
                                         field<&M::id>("mouse_type"),
                                         field<&M::detect_state>("mouse_detect_state"),
                                         field<&M::dx>("mouse_dx"),
                                         field<&M::dy>("mouse_dy"),
                                         field<&M::dz>("mouse_dz"),
                                         field<&M::buttons>("mouse_buttons")};
constexpr VMState kMouse{.name = "ps2mouse", .version = 2, .fields = kMouseFields};
constexpr VMStateField kPs2MouseFields[] = {
    {.name = "parent_obj",
     .save =
         [](const void* o, StateWriter& out, const VMStateField&) {
           vmstate_save(kPs2StateVmState, const_cast<Ps2State*>(&static_cast<const Ps2Mouse*>(o)->common),
                        out);
         },
     .load =
         [](void* o, StateReader& in, const VMStateField&, int) {
           static_cast<Ps2Mouse*>(o)->common.cwptr = -1;
           return vmstate_load(kPs2StateVmState, &static_cast<Ps2Mouse*>(o)->common, in, 3);
         },
     .nested = &kPs2StateVmState},
    struct_field<&Ps2Mouse::state>("state", kMouse)};
constexpr VMState kPs2MouseVmState{
    .name = "ps2mouse", .version = 2, .fields = kPs2MouseFields, .post_load = check_mouse};
}  // namespace

const VMState* Ps2Mouse::vmstate() const {
  return &kPs2MouseVmState;
}

}  // namespace rhea
