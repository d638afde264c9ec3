#include "hw/virtio/virtio_input.h"

#include <linux/input-event-codes.h>

#include <algorithm>
#include <cstring>

#include "ui/keycodes.h"
#include "util/byteorder.h"

namespace rhea {

namespace {

// 5.8.4: what the driver asks for.
enum InputSelect : uint8_t {
  kIdName = 0x01,
  kIdSerial = 0x02,
  kIdDevice = 0x03,
  kPropertyBits = 0x10,
  kEventBits = 0x11,
  kAxis = 0x12
};
constexpr size_t kAnswerAt = 8, kMostAnswer = 128;
constexpr uint16_t kBusVirtual = 6, kVendor = 0x0627;

/// Linux's codes of keys whose number in scan code set 1 (plus 0x80 for a prefix) is another.
struct KeyRow {
  uint8_t number;
  uint16_t code;
};
constexpr KeyRow kInputKeyRows[] = {{0x59, KEY_KPEQUAL},      {0x70, KEY_KATAKANAHIRAGANA},
                                    {0x71, KEY_HANJA},        {0x72, KEY_HANGEUL},
                                    {0x73, KEY_RO},           {0x77, KEY_HIRAGANA},
                                    {0x79, KEY_HENKAN},       {0x7b, KEY_MUHENKAN},
                                    {0x7d, KEY_YEN},          {0x7e, KEY_KPCOMMA},
                                    {0x90, KEY_PREVIOUSSONG}, {0x99, KEY_NEXTSONG},
                                    {0x9c, KEY_KPENTER},      {0x9d, KEY_RIGHTCTRL},
                                    {0x9e, KEY_MENU},         {0xa0, KEY_MUTE},
                                    {0xa1, KEY_CALC},         {0xa2, KEY_PLAYPAUSE},
                                    {0xa4, KEY_STOPCD},       {0xae, KEY_VOLUMEDOWN},
                                    {0xb0, KEY_VOLUMEUP},     {0xb2, KEY_HOMEPAGE},
                                    {0xb5, KEY_KPSLASH},      {0xb7, KEY_SYSRQ},
                                    {0xb8, KEY_RIGHTALT},     {0xc6, KEY_PAUSE},
                                    {0xc7, KEY_HOME},         {0xc8, KEY_UP},
                                    {0xc9, KEY_PAGEUP},       {0xcb, KEY_LEFT},
                                    {0xcd, KEY_RIGHT},        {0xcf, KEY_END},
                                    {0xd0, KEY_DOWN},         {0xd1, KEY_PAGEDOWN},
                                    {0xd2, KEY_INSERT},       {0xd3, KEY_DELETE},
                                    {0xdb, KEY_LEFTMETA},     {0xdc, KEY_RIGHTMETA},
                                    {0xdd, KEY_COMPOSE},      {0xde, KEY_POWER},
                                    {0xdf, KEY_SLEEP},        {0xe3, KEY_WAKEUP}};

/// 0: there is none.
uint16_t linux_key(uint8_t number) {
  if (number <= KEY_KPDOT || (number >= KEY_102ND && number <= KEY_F12)) return number;
  for (const KeyRow& row : kInputKeyRows)
    if (row.number == number) return row.code;
  return 0;
}

/// 0: there is none.
uint16_t linux_button(InputButton button, bool wheel_axis) {
  switch (button) {
    case InputButton::kLeft:
      return BTN_LEFT;
    case InputButton::kRight:
      return BTN_RIGHT;
    case InputButton::kMiddle:
      return BTN_MIDDLE;
    case InputButton::kSide:
      return BTN_SIDE;
    case InputButton::kExtra:
      return BTN_EXTRA;
    case InputButton::kWheelUp:
      return wheel_axis ? uint16_t{0} : uint16_t{BTN_GEAR_UP};
    case InputButton::kWheelDown:
      return wheel_axis ? uint16_t{0} : uint16_t{BTN_GEAR_DOWN};
    default:
      return 0;
  }
}

constexpr PropertyInfo kVirtioInputProperties[] = {prop<&VirtioInput::serial>("serial")};
constexpr PropertyInfo kVirtioPointerProperties[] = {prop<&VirtioInput::wheel_axis>("wheel-axis")};
constexpr VMState kVirtioInputState{
    .name = "virtio-input", .version = 1, .minimum_version = 1, .fields = kVirtioStateFields};

}  // namespace

constexpr TypeInfo VirtioInput::kType{.name = "virtio-input-device",
                                      .parent = &VirtioDevice::kType,
                                      .properties = kVirtioInputProperties,
                                      .category = DeviceCategory::kInput};
static constexpr TypeInfo kInputHidType{.name = "virtio-input-hid-device", .parent = &VirtioInput::kType};
constexpr TypeInfo VirtioKeyboard::kType{
    .name = "virtio-keyboard-device", .parent = &kInputHidType, .create = []() -> std::shared_ptr<Object> {
      return std::make_shared<VirtioKeyboard>();
    }};
constexpr TypeInfo VirtioMouse::kType{
    .name = "virtio-mouse-device",
    .parent = &kInputHidType,
    .create = []() -> std::shared_ptr<Object> { return std::make_shared<VirtioMouse>(); },
    .properties = kVirtioPointerProperties};
constexpr TypeInfo VirtioTablet::kType{
    .name = "virtio-tablet-device",
    .parent = &kInputHidType,
    .create = []() -> std::shared_ptr<Object> { return std::make_shared<VirtioTablet>(); },
    .properties = kVirtioPointerProperties};

VirtioKeyboard::VirtioKeyboard()
    : VirtioInput([]() -> const Model& {
        static constexpr Model kModel{"QEMU Virtio Keyboard", 1, kInputKeys};
        return kModel;
      }()) {}
VirtioMouse::VirtioMouse()
    : VirtioInput([]() -> const Model& {
        static constexpr Model kModel{"QEMU Virtio Mouse", 2, kInputButtons | kInputRelative};
        return kModel;
      }()) {}
VirtioTablet::VirtioTablet()
    : VirtioInput([]() -> const Model& {
        static constexpr Model kModel{"QEMU Virtio Tablet", 3, kInputButtons | kInputAbsolute};
        return kModel;
      }()) {}

const VMState* VirtioInput::vmstate() const {
  return &kVirtioInputState;
}

Result<> VirtioInput::do_realize() {
  TRY(VirtioDevice::do_realize());
  if (serial.size() > kMostAnswer) return fail(EINVAL, "serial is longer than ", kMostAnswer, " characters");
  make_queues(2, 64);
  enlist();
  return {};
}

/// Behind all others: a device without a driver takes nothing from them.
void VirtioInput::enlist() {
  registration_.reset();
  registration_.emplace(InputHandlerInfo{.name = model_.name, .accepts = model_.accepts}, *this);
}

void VirtioInput::driver_ready() {
  std::ignore = input_hub().activate(registration_->index());
}

void VirtioInput::do_unrealize() {
  registration_.reset();
  VirtioDevice::do_unrealize();
}

void VirtioInput::kind_reset() {
  select_ = subselect_ = 0;
  report_.clear();
  if (registration_) enlist();
}

// --- Configuration (5.8.5).

/// Codes of events of `type` that it can send or take.
std::bitset<0x300> VirtioInput::codes(uint8_t type) const {
  std::bitset<0x300> bits;
  if (type == EV_KEY && takes(kInputKeys))
    for (unsigned number = 1; number < 0x100; ++number)
      if (key_of_number(number) != QKeyCode::kUnmapped)
        if (const uint16_t code = linux_key(static_cast<uint8_t>(number)); code != 0) bits.set(code);
  if (type == EV_KEY && takes(kInputButtons))
    for (const InputButton b :
         {InputButton::kLeft, InputButton::kRight, InputButton::kMiddle, InputButton::kSide,
          InputButton::kExtra, InputButton::kWheelUp, InputButton::kWheelDown})
      if (const uint16_t code = linux_button(b, wheel_axis); code != 0) bits.set(code);
  if (type == EV_REL && takes(kInputRelative)) bits.set(REL_X).set(REL_Y);
  if (type == EV_REL && takes(kInputButtons) && wheel_axis) bits.set(REL_WHEEL);
  if (type == EV_ABS && takes(kInputAbsolute)) bits.set(ABS_X).set(ABS_Y);
  if (type == EV_LED && takes(kInputKeys)) bits.set(LED_NUML).set(LED_CAPSL).set(LED_SCROLLL);
  return bits;
}

/// What is selected, into `out`; how many bytes.
size_t VirtioInput::answer(std::span<uint8_t> out) const {
  const auto text = [out](std::string_view t) {
    std::copy_n(t.begin(), std::min(t.size(), out.size()), out.begin());
    return std::min(t.size(), out.size());
  };
  if (select_ == kIdName && subselect_ == 0) return text(model_.name);
  if (select_ == kIdSerial && subselect_ == 0) return text(serial);
  if (select_ == kIdDevice && subselect_ == 0) {
    store_le<uint16_t>(&out[0], kBusVirtual);
    store_le<uint16_t>(&out[2], kVendor);
    store_le<uint16_t>(&out[4], model_.product);
    store_le<uint16_t>(&out[6], takes(kInputButtons) && wheel_axis ? 2 : 1);
    return 8;
  }
  if (select_ == kEventBits) {
    if (subselect_ == EV_REP && takes(kInputKeys))
      return 1;  // the driver repeats keys; there is nothing to say of it
    const std::bitset<0x300> bits = codes(subselect_);
    size_t bytes = 0;
    for (size_t i = 0; i < bits.size(); ++i) {
      if (!bits[i]) continue;
      out[i / 8] = static_cast<uint8_t>(out[i / 8] | 1u << i % 8);
      bytes = i / 8 + 1;
    }
    return bytes;
  }
  if (select_ == kAxis && takes(kInputAbsolute) && subselect_ <= ABS_Y) {
    store_le<uint32_t>(&out[4], kInputAbsoluteMax);
    return 20;
  }
  return 0;
}

void VirtioInput::fill_config(std::span<uint8_t> config) {
  std::fill_n(config.begin(), kAnswerAt + kMostAnswer, uint8_t{0});
  config[0] = select_;
  config[1] = subselect_;
  config[2] = static_cast<uint8_t>(answer(config.subspan(kAnswerAt, kMostAnswer)));
}

void VirtioInput::config_written(std::span<const uint8_t> config) {
  select_ = config[0];
  subselect_ = config[1];
}

// --- Events (5.8.6).

void VirtioInput::add(uint16_t type, uint16_t code, int32_t value) {
  if (report_.size() < kMostWaiting) report_.push_back({type, code, static_cast<uint32_t>(value)});
}

void VirtioInput::input_event(const InputStroke& e) {
  switch (e.kind) {
    case InputEventKind::kKey:
      if (const uint16_t code = linux_key(key_number(e.key)); code != 0) add(EV_KEY, code, e.down ? 1 : 0);
      return;
    case InputEventKind::kBtn: {
      const bool up = e.button == InputButton::kWheelUp, down = e.button == InputButton::kWheelDown;
      if (wheel_axis && (up || down)) {
        if (e.down) add(EV_REL, REL_WHEEL, up ? 1 : -1);
        return;
      }
      if (const uint16_t code = linux_button(e.button, wheel_axis); code != 0)
        add(EV_KEY, code, e.down ? 1 : 0);
      return;
    }
    case InputEventKind::kRel:
      return add(EV_REL, e.axis == InputAxis::kX ? REL_X : REL_Y, e.value);
    case InputEventKind::kAbs:
      return add(EV_ABS, e.axis == InputAxis::kX ? ABS_X : ABS_Y, e.value);
    default:
      return;
  }
}

/// A report goes out whole, or is lost where the driver has no room for it.
void VirtioInput::input_sync() {
  add(EV_SYN, SYN_REPORT, 0);
  const std::vector<Event> events = std::exchange(report_, {});
  VirtioQueue* const q = queue(0);
  if (q == nullptr || !may_serve(*q)) return;
  elements_.resize(std::max(elements_.size(), events.size()));
  for (size_t i = 0; i < events.size(); ++i) {
    Result<bool> popped = q->ring->pop(elements_[i]);
    if (!popped) return broken(popped.error());
    if (*popped) continue;
    while (i > 0) q->ring->unpop(elements_[--i]);
    return;
  }
  for (size_t i = 0; i < events.size(); ++i) {
    uint8_t wire[8];
    store_le<uint16_t>(&wire[0], events[i].type);
    store_le<uint16_t>(&wire[2], events[i].code);
    store_le<uint32_t>(&wire[4], events[i].value);
    size_t done = 0;
    for (const iovec& piece : elements_[i].in()) {
      const size_t n = std::min(piece.iov_len, sizeof wire - done);
      std::memcpy(piece.iov_base, wire + done, n);
      done += n;
    }
    push(*q, elements_[i], static_cast<uint32_t>(done));
  }
  interrupt(*q);
}

/// Buffers for events wait in their ring; what the driver says (lights) is taken and has no one to look at
/// it.
void VirtioInput::serve(VirtioQueue& q) {
  if (queue_number(q) == 0) return;
  while (may_serve(q)) {
    Result<bool> popped = q.ring->pop(element_);
    if (!popped) return broken(popped.error());
    if (!*popped) return;
    complete(q, element_, 0);
  }
}

}  // namespace rhea
