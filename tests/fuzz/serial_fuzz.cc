// A serial port: registers in any order, bytes and breaks from the line, a line that stops taking.
#include "chardev/chardev.h"
#include "hw/char/serial.h"
#include "tests/fuzz/isa_guest.h"

namespace rhea {
namespace {

class FuzzLine final : public Chardev {
 public:
  FuzzLine() : Chardev("line") { set_open(true); }
  std::string_view backend() const override { return "test"; }
  using Chardev::deliver;
  using Chardev::emit;
  using Chardev::flush_backlog;
  size_t push(std::span<const uint8_t> bytes) override { return taking ? bytes.size() : 0; }
  void send_break() override {}
  bool taking = true;
};

}  // namespace
}  // namespace rhea

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace rhea;
  FuzzLine line;
  IsaGuest guest{FuzzInput(data, size)};
  auto serial = std::make_shared<IsaSerial>();
  serial->connect(*guest.loop, guest.clock);
  if (!serial->uart.chardev.attach(line)) abort();
  guest.add(serial);
  guest.run(*serial, 0x3f8, 8, [&](uint8_t what) {
    const uint8_t bytes[2] = {guest.input.u8(), what};
    line.taking = (what & 1) != 0;
    if (line.taking) line.flush_backlog();
    if ((what & 2) != 0) line.deliver(std::span(bytes, 1 + (what >> 2 & 1)));
    if ((what & 8) != 0) line.emit(CharEvent::kBreak);
  });
  serial->unrealize();
  return 0;
}
