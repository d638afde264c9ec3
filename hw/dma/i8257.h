// One DMA controller of a PC: four channels with page registers.
// Spec: Intel 8237A data sheet (231466-005); IBM PC AT Technical Reference, "System Board", DMA.
#pragma once

#include <functional>
#include <span>

#include "hw/isa/isa_bus.h"
#include "hw/isa/isa_dma.h"

namespace rhea {

struct DmaChannelState {
  static constexpr unsigned kAddress = 0, kCount = 1;
  static constexpr uint8_t kModeDown = 0x20;  ///< of mode: the address counts down
  std::array<int32_t, 2> now{};               ///< address where the transfer began (bytes), bytes moved since
  std::array<uint16_t, 2> base{};             ///< as programmed: units of 1 << dshift; the count is one less
  uint8_t mode = 0;
  uint8_t page = 0;   ///< address bits 16..23
  uint8_t pageh = 0;  ///< address bits 24..30
  uint8_t dack = 0;
  uint8_t eop = 0;
};
struct DmaState {
  uint8_t command = 0;
  uint8_t mask = 0x0f;
  uint8_t flip_flop = 0;  ///< 1: the next byte of a 16-bit register is its high one
  int32_t dshift = 0;     ///< on the wire only: the property
  std::array<DmaChannelState, 4> regs{};
};

class I8257 final : public IsaDevice, public IsaDma {
 public:
  I8257();
  static const TypeInfo kType;  ///< "i8257"
  static constexpr unsigned kChannels = 4;
  const TypeInfo& type() const override { return kType; }
  void reset() override;
  const VMState* vmstate() const override;
  void* vmstate_object() override { return this; }
  /// Makes it the second controller of an AT: channels 5..7, 16 bits wide. Before realize.
  void set_up_as_second();

  /// Wiring, before realize: the memory that transfers touch, and who hears that channel `n` may have become
  /// ready for a device that waits.
  AddressSpace* memory = nullptr;
  std::array<std::function<void()>, kChannels> on_ready;

  // IsaDma
  bool ready(unsigned n) const override;
  uint32_t bytes_left(unsigned n) const override;
  size_t read_memory(unsigned n, std::span<uint8_t> out) override;
  size_t write_memory(unsigned n, std::span<const uint8_t> data) override;
  void set_request(unsigned n, bool on) override;
  void set_on_ready(unsigned n, std::function<void()> heard) override { on_ready[n] = std::move(heard); }

  // Properties; a port number of -1: no such ports.
  int32_t base = 0x00;
  int32_t page_base = 0x80;
  int32_t pageh_base = -1;
  int32_t dshift = 0;
  DmaState state;

 protected:
  Result<> do_realize() override;

 private:
  uint64_t channel_read(uint64_t offset, unsigned size);
  void channel_write(uint64_t offset, uint64_t value, unsigned size);
  uint64_t control_read(uint64_t offset, unsigned size);
  void control_write(uint64_t offset, uint64_t value, unsigned size);
  void rewind(unsigned n);
  void unmasked(uint8_t old_mask);
  bool next_flip() { return (state.flip_flop ^= 1) == 0; }
  template <class Move>
  size_t transfer(unsigned n, size_t bytes, Move move);

  /// A port that holds address bits of one channel.
  class PageRegister final : public MmioHandler {
   public:
    void show(uint8_t& value, uint8_t defined) { value_ = &value, defined_ = defined; }
    uint64_t mmio_read(uint64_t, unsigned) override { return *value_; }
    void mmio_write(uint64_t, uint64_t v, unsigned) override { *value_ = static_cast<uint8_t>(v) & defined_; }

   private:
    uint8_t* value_ = nullptr;
    uint8_t defined_ = 0;
  };

  uint8_t status_ = 0;  ///< terminal counts reached 3:0, requests 7:4
  MmioOf<I8257, &I8257::channel_read, &I8257::channel_write> channel_{*this};
  MmioOf<I8257, &I8257::control_read, &I8257::control_write> control_{*this};
  std::array<PageRegister, kChannels> page_;
  std::array<PageRegister, kChannels> pageh_;
};

}  // namespace rhea
