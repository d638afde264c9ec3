#include "hw/i2c/smbus_host.h"

#include <algorithm>

namespace rhea {

namespace {
constexpr uint64_t kStatus = 0, kControl = 2, kCommand = 3, kAddress = 4, kData0 = 5, kData1 = 6, kBlock = 7;
constexpr uint8_t kBusy = 0x01, kDone = 0x02, kDeviceError = 0x04, kFailed = 0x10;
constexpr uint8_t kClearable = 0x1e;
constexpr uint8_t kKill = 0x02, kStart = 0x40;
constexpr unsigned kProtocolShift = 2;
enum class Protocol : uint8_t { kQuick = 0, kByte = 1, kByteData = 2, kWordData = 3, kBlock = 5 };
}  // namespace

uint64_t SmbusHost::read(uint64_t offset, unsigned) {
  switch (offset) {
    case kStatus: {
      const uint8_t seen = state.status;
      if (state.started) {
        state.started = false;
        state.status = static_cast<uint8_t>((state.status & ~kBusy) | (transfer() ? kDone : kDeviceError));
      }
      return seen;
    }
    case kControl:
      state.index = 0;
      return state.control;
    case kCommand:
      return state.command;
    case kAddress:
      return state.address;
    case kData0:
      return state.data0;
    case kData1:
      return state.data1;
    case kBlock:
      return next_block_byte();
    default:
      return 0;  // it is no device on the bus itself
  }
}

void SmbusHost::write(uint64_t offset, uint64_t value, unsigned) {
  const auto byte = static_cast<uint8_t>(value);
  switch (offset) {
    case kStatus:
      state.status &= static_cast<uint8_t>(~(byte & kClearable));
      return;
    case kControl:
      state.control = byte & static_cast<uint8_t>(~kStart);
      if ((byte & kKill) != 0) {
        if (state.started) state.status = static_cast<uint8_t>((state.status & ~kBusy) | kFailed);
        state.started = false;
      } else if ((byte & kStart) != 0 && !state.started) {
        state.status = kBusy;
        state.index = 0;
        state.started = true;
      }
      return;
    case kCommand:
      state.command = byte;
      return;
    case kAddress:
      state.address = byte;
      return;
    case kData0:
      state.data0 = byte;
      return;
    case kData1:
      state.data1 = byte;
      return;
    case kBlock:
      state.block[state.index] = byte;
      state.index = (state.index + 1) % SmbusHostState::kBlockBytes;
      return;
    default:
      return;
  }
}

uint8_t SmbusHost::next_block_byte() {
  const uint8_t byte = state.block[state.index];
  state.index = (state.index + 1) % SmbusHostState::kBlockBytes;
  return byte;
}

/// False: nobody answers, or the protocol is none.
bool SmbusHost::transfer() {
  I2cDevice* device = bus_.find(state.address >> 1);
  if (device == nullptr) return false;
  const bool reads = (state.address & 1) != 0;
  const uint8_t bytes[] = {state.command, state.data0, state.data1};
  switch (static_cast<Protocol>(state.control >> kProtocolShift & 7)) {
    case Protocol::kQuick:
      device->message({});
      return true;
    case Protocol::kByte:
      if (reads)
        state.data0 = device->next_byte();
      else
        device->message(std::span(bytes).first(1));
      return true;
    case Protocol::kByteData:
      device->message(std::span(bytes).first(reads ? 1 : 2));
      if (reads) state.data0 = device->next_byte();
      return true;
    case Protocol::kWordData:
      device->message(std::span(bytes).first(reads ? 1 : 3));
      if (reads) state.data0 = device->next_byte();
      if (reads) state.data1 = device->next_byte();
      return true;
    case Protocol::kBlock:
      return transfer_block(*device, reads);
  }
  return false;
}

/// SMBus 5.5.7: the count goes before the bytes.
bool SmbusHost::transfer_block(I2cDevice& device, bool reads) {
  if (reads) {
    device.message(std::span(&state.command, 1));
    const uint8_t count = device.next_byte();
    if (count > state.block.size()) return false;
    state.data0 = count;
    for (uint8_t n = 0; n < count; ++n) state.block[n] = device.next_byte();
    return true;
  }
  const uint8_t count = state.data0;
  if (count == 0 || count > state.block.size()) return false;
  std::array<uint8_t, 2 + SmbusHostState::kBlockBytes> bytes;
  bytes[0] = state.command;
  bytes[1] = count;
  std::ranges::copy(std::span(state.block).first(count), bytes.begin() + 2);
  device.message(std::span(bytes).first(2u + count));
  return true;
}

namespace {
using S = SmbusHostState;
constexpr VMStateField kSmbusHostFields[] = {field<&S::status>("smb_stat"),
                                             field<&S::control>("smb_ctl"),
                                             field<&S::command>("smb_cmd"),
                                             field<&S::address>("smb_addr"),
                                             field<&S::data0>("smb_data0"),
                                             field<&S::data1>("smb_data1"),
                                             field<&S::index>("smb_index"),
                                             field<&S::block>("smb_data"),
                                             field<&S::aux_control>("smb_auxctl"),
                                             field<&S::block_byte>("smb_blkdata"),
                                             field<&S::i2c_enable>("i2c_enable"),
                                             field<&S::byte_done>("op_done"),
                                             field<&S::reads_i2c_block>("in_i2c_block_read"),
                                             field<&S::started>("start_transaction_on_status_read")};
}  // namespace

constexpr VMState SmbusHost::kVmState{
    .name = "pmsmb", .version = 1, .fields = kSmbusHostFields, .post_load = [](void* o, int) -> Result<> {
      const auto& s = *static_cast<S*>(o);
      if (s.index < S::kBlockBytes) return {};
      return fail(EINVAL, "place ", s.index, " is outside an SMBus block");
    }};

}  // namespace rhea
