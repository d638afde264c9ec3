// What a device on the ISA bus sees of a DMA controller.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

namespace rhea {

/// One controller of four channels. `n` is the channel within it, 0..3. Machine lock.
class IsaDma {
 public:
  virtual ~IsaDma() = default;
  /// True if the guest has programmed and unmasked it.
  virtual bool ready(unsigned n) const = 0;
  /// Bytes until terminal count.
  virtual uint32_t bytes_left(unsigned n) const = 0;
  /// Moves bytes out of (into) guest memory, at most until terminal count; returns how many. 0 if the channel
  /// is not ready or goes the other way.
  virtual size_t read_memory(unsigned n, std::span<uint8_t> out) = 0;
  virtual size_t write_memory(unsigned n, std::span<const uint8_t> data) = 0;
  /// The device's request line, shown in the status register.
  virtual void set_request(unsigned n, bool on) = 0;
  /// Who hears that channel `n` may have become ready for a device that waits; empty: nobody.
  virtual void set_on_ready(unsigned n, std::function<void()> heard) = 0;
};

}  // namespace rhea
