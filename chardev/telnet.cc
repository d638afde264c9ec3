#include "chardev/telnet.h"

namespace rhea {

namespace {
constexpr uint8_t kEndOfSub = 240, kBreak = 243, kSub = 250, kWill = 251, kDont = 254;
}

bool TelnetFilter::take(uint8_t byte, bool& breaks) {
  switch (state_) {
    case State::kData:
      if (byte != kIac) return true;
      state_ = State::kCommand;
      return false;
    case State::kCommand:
      state_ = byte >= kWill && byte <= kDont ? State::kOption : byte == kSub ? State::kSub : State::kData;
      if (byte == kBreak) breaks = true;
      return byte == kIac;  // doubled: the byte itself
    case State::kOption:
      state_ = State::kData;
      return false;
    case State::kSub:
      if (byte == kIac) state_ = State::kSubCommand;
      return false;
    case State::kSubCommand:
      state_ = byte == kEndOfSub ? State::kData : State::kSub;
      return false;
  }
  return false;
}

TelnetFilter::Decoded TelnetFilter::decode(std::span<uint8_t> buffer) {
  Decoded out{0, false};
  for (const uint8_t byte : buffer)
    if (take(byte, out.breaks)) buffer[out.bytes++] = byte;
  return out;
}

}  // namespace rhea
