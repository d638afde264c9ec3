#include "hw/input/ps2_keyboard.h"

#include <cstddef>

#include "util/log.h"

namespace rhea {

namespace {

constexpr uint8_t kSetLeds = 0xed, kEcho = 0xee, kScanCodeSet = 0xf0, kReadId = 0xf2,
                  kPs2KeyboardSetRate = 0xf3, kPs2KeyboardEnable = 0xf4, kPs2KeyboardDisable = 0xf5,
                  kPs2KeyboardDefaults = 0xf6, kResendLast = 0xfe, kPs2KeyboardReset = 0xff;

/// Make codes of set 2 by make code of set 1; the keys with prefix 0xe0 use the same rows. 0: no such key.
constexpr uint8_t kSet2[128] = {
    0,    0x76, 0x16, 0x1e, 0x26, 0x25, 0x2e, 0x36, 0x3d, 0x3e, 0x46, 0x45, 0x4e, 0x55, 0x66, 0x0d,  // 00
    0x15, 0x1d, 0x24, 0x2d, 0x2c, 0x35, 0x3c, 0x43, 0x44, 0x4d, 0x54, 0x5b, 0x5a, 0x14, 0x1c, 0x1b,  // 10
    0x23, 0x2b, 0x34, 0x33, 0x3b, 0x42, 0x4b, 0x4c, 0x52, 0x0e, 0x12, 0x5d, 0x1a, 0x22, 0x21, 0x2a,  // 20
    0x32, 0x31, 0x3a, 0x41, 0x49, 0x4a, 0x59, 0x7c, 0x11, 0x29, 0x58, 0x05, 0x06, 0x04, 0x0c, 0x03,  // 30
    0x0b, 0x83, 0x0a, 0x01, 0x09, 0x77, 0x7e, 0x6c, 0x75, 0x7d, 0x7b, 0x6b, 0x73, 0x74, 0x79, 0x69,  // 40
    0x72, 0x7a, 0x70, 0x71, 0x84, 0,    0x61, 0x78, 0x07, 0x0f, 0x17, 0x1f, 0x27, 0x2f, 0x37, 0x3f,  // 50
    0x47, 0x4f, 0x56, 0x5e, 0x08, 0x10, 0x18, 0x20, 0x28, 0x30, 0x38, 0x40, 0x48, 0x50, 0x57, 0x6f,  // 60
    0x13, 0x19, 0x39, 0x51, 0x53, 0x5c, 0x5f, 0x62, 0x63, 0x64, 0x65, 0x67, 0x68, 0x6a, 0x6d, 0x6e,  // 70
};

/// The bytes of one key event.
struct ScanCode {
  std::array<uint8_t, 8> bytes{};
  size_t count = 0;
  void add(uint8_t byte) { bytes[count++] = byte; }
};

ScanCode pause_code(bool set_1) {
  if (set_1) return {{0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5}, 6};
  return {{0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77}, 8};
}

ScanCode scan_code(uint16_t key, bool down, bool set_1) {
  ScanCode code;
  if ((key >> 8) == 0xe0) code.add(0xe0);
  const auto make = static_cast<uint8_t>(key & 0x7f);
  if (set_1) {
    code.add(static_cast<uint8_t>(make | (down ? 0 : 0x80)));
  } else {
    if (!down) code.add(0xf0);
    code.add(kSet2[make]);
  }
  return code;
}

}  // namespace

constexpr TypeInfo Ps2Keyboard::kType{
    .name = "ps2-kbd", .parent = &Ps2Device::kType, .create = []() -> std::shared_ptr<Object> {
      return std::make_shared<Ps2Keyboard>();
    }};

void Ps2Keyboard::reset() {
  Ps2Device::reset();
  state = {};
}

void Ps2Keyboard::key_event(uint16_t key, bool down) {
  if (state.scan_enabled == 0) return;
  ScanCode code;
  if (key == kPause) {
    if (!down) return;  // a key without a break code
    code = pause_code(set_1_on_the_wire());
  } else {
    const uint8_t prefix = static_cast<uint8_t>(key >> 8);
    if ((prefix != 0 && prefix != 0xe0) || kSet2[key & 0x7f] == 0) return;
    code = scan_code(key, down, set_1_on_the_wire());
  }
  enqueue({code.bytes.data(), code.count});
}

void Ps2Keyboard::set_defaults() {
  state.scan_enabled = 1;
  state.scancode_set = 2;
  clear_queue();
}

void Ps2Keyboard::command(uint8_t byte) {
  const int32_t waiting = common.write_cmd;
  common.write_cmd = Ps2State::kNoCommand;
  if (waiting != Ps2State::kNoCommand && byte < kSetLeds) {
    parameter(static_cast<uint8_t>(waiting), byte);
    return;
  }
  switch (byte) {
    case kSetLeds:
    case kScanCodeSet:
    case kPs2KeyboardSetRate:
      common.write_cmd = byte;
      reply({kAck});
      break;
    case kEcho:
      reply({kEcho});
      break;
    case kReadId:
      // 0xab 0x83, of which the controller's translation makes 0xab 0x41.
      reply({kAck, 0xab, static_cast<uint8_t>(state.translate != 0 ? 0x41 : 0x83)});
      break;
    case kPs2KeyboardEnable:
      state.scan_enabled = 1;
      reply({kAck});
      break;
    case kPs2KeyboardDisable:
      set_defaults();
      state.scan_enabled = 0;
      reply({kAck});
      break;
    case kPs2KeyboardDefaults:
      set_defaults();
      reply({kAck});
      break;
    case 0xf7:  // typematic and make/break of set 3 only: accepted, without effect on set 1 and 2
    case 0xf8:
    case 0xf9:
    case 0xfa:
      reply({kAck});
      break;
    case kPs2KeyboardReset:
      set_defaults();
      state.leds = 0;
      reply({kAck, kSelfTestPassed});
      break;
    case kResendLast:
    default:
      log_guest_error("ps2-kbd: command ", int(byte), " is not known");
      reply({kResend});
      break;
  }
}

void Ps2Keyboard::parameter(uint8_t of_command, uint8_t byte) {
  if (of_command == kSetLeds) {
    state.leds = byte & 0x07;
  } else if (of_command == kScanCodeSet) {
    if (byte == 0) {
      constexpr uint8_t kTranslated[] = {0x43, 0x41};  // of 1 and 2
      const auto set = static_cast<uint8_t>(state.scancode_set);
      reply({kAck, state.translate != 0 ? kTranslated[set - 1] : set});
      return;
    }
    if (byte > 2) {
      reply({kResend});
      return;
    }
    state.scancode_set = byte;
  }
  reply({kAck});
}

namespace {
Result<> check_keyboard(void* object, int version) {
  auto& kbd = *static_cast<Ps2Keyboard*>(object);
  if (version < 3) kbd.state.scancode_set = 2;
  if (kbd.state.scancode_set < 1 || kbd.state.scancode_set > 2)
    return fail(EINVAL, "scan code set ", kbd.state.scancode_set, " is not known");
  kbd.state.leds &= 0x07;
  // The end of a reply must lie within the queue.
  const int32_t reply = (kbd.common.cwptr - kbd.common.rptr) & 0xff;
  if (kbd.common.cwptr < 0 || kbd.common.cwptr > 0xff || reply == 0 || reply > kbd.common.count)
    kbd.common.cwptr = -1;
  return {};
}

Ps2Keyboard& ps2_keyboard_cast(void* o) {
  return *static_cast<Ps2Keyboard*>(o);
}
const Ps2Keyboard& ps2_keyboard_cast(const void* o) {
  return *static_cast<const Ps2Keyboard*>(o);
}
/// A field of the keyboard's own state or of the common one.
template <auto Part, auto Member>
constexpr VMStateField part(const char* name, int since = 0) {
  return {.name = name,
          .save = [](const void* o, StateWriter& out,
                     const VMStateField&) { detail::vm_save_value(ps2_keyboard_cast(o).*Part.*Member, out); },
          .load = [](void* o, StateReader& in, const VMStateField&, int) -> Result<> {
            detail::vm_load_value(ps2_keyboard_cast(o).*Part.*Member, in);
            return {};
          },
          .since_version = since};
}
using K = Ps2KeyboardState;
constexpr VMStateField kLedFields[] = {part<&Ps2Keyboard::state, &K::leds>("ledstate")};
constexpr VMState kLeds{.name = "ps2kbd/ledstate",
                        .version = 3,
                        .minimum_version = 2,
                        .fields = kLedFields,
                        .needed = [](const void* o) { return ps2_keyboard_cast(o).state.leds != 0; }};
constexpr VMStateField kHighBitFields[] = {part<&Ps2Keyboard::state, &K::need_high_bit>("need_high_bit")};
constexpr VMState kHighBit{
    .name = "ps2kbd/need_high_bit", .version = 1, .fields = kHighBitFields, .needed = [](const void* o) {
      return ps2_keyboard_cast(o).state.need_high_bit != 0;
    }};
constexpr VMStateField kReplyFields[] = {
    part<&Ps2Device::common, &Ps2State::cwptr>("parent_obj.queue.cwptr")};
constexpr VMState kReply{
    .name = "ps2kbd/command_reply_queue", .version = 0, .fields = kReplyFields, .needed = [](const void* o) {
      return ps2_keyboard_cast(o).common.cwptr >= 0;
    }};
constexpr const VMState* kPs2KeyboardSubsections[] = {&kLeds, &kHighBit, &kReply};
constexpr VMStateField kPs2KeyboardFields[] = {
    {.name = "parent_obj",
     .save =
         [](const void* o, StateWriter& out, const VMStateField&) {
           vmstate_save(kPs2StateVmState, const_cast<Ps2State*>(&ps2_keyboard_cast(o).common), out);
         },
     .load = [](void* o, StateReader& in, const VMStateField&,
                int) { return vmstate_load(kPs2StateVmState, &ps2_keyboard_cast(o).common, in, 3); },
     .nested = &kPs2StateVmState},
    part<&Ps2Keyboard::state, &K::scan_enabled>("scan_enabled"),
    part<&Ps2Keyboard::state, &K::translate>("translate"),
    part<&Ps2Keyboard::state, &K::scancode_set>("scancode_set", 3)};
constexpr VMState kPs2KeyboardVmState{.name = "ps2kbd",
                                      .version = 3,
                                      .minimum_version = 2,
                                      .fields = kPs2KeyboardFields,
                                      .subsections = kPs2KeyboardSubsections,
                                      .pre_load = [](void* o) -> Result<> {
                                        ps2_keyboard_cast(o).common.cwptr = -1;
                                        ps2_keyboard_cast(o).state = {};
                                        return {};
                                      },
                                      .post_load = check_keyboard};
}  // namespace

const VMState* Ps2Keyboard::vmstate() const {
  return &kPs2KeyboardVmState;
}

}  // namespace rhea
