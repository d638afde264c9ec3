// The little of telnet (RFC 854) that a serial line needs: commands are taken out of what comes in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace rhea {

/// One connection's incoming side.
class TelnetFilter {
 public:
  /// What a server says first: it echoes, goes ahead, and wants binary both ways (RFC 856-858).
  static constexpr std::string_view kGreeting{"\xff\xfb\x01\xff\xfb\x03\xff\xfb\x00\xff\xfd\x00", 12};
  static constexpr uint8_t kIac = 255;

  struct Decoded {
    size_t bytes;  ///< of data, at the buffer's beginning
    bool breaks;   ///< a break came among them
  };
  /// Removes commands from `buffer`, in place. A command may begin in one call and end in the next.
  Decoded decode(std::span<uint8_t> buffer);

 private:
  enum class State : uint8_t { kData, kCommand, kOption, kSub, kSubCommand };
  /// True if `byte` is data.
  bool take(uint8_t byte, bool& breaks);
  State state_ = State::kData;
};

}  // namespace rhea
