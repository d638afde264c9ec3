// The clock: registers in any order, alarms, rates, time that jumps.
#include "hw/rtc/mc146818.h"
#include "tests/fuzz/isa_guest.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace rhea;
  IsaGuest guest{FuzzInput(data, size)};
  auto rtc = std::make_shared<Mc146818>();
  rtc->options.clock = RtcOptions::Source::kVirtual;
  rtc->options.base = RtcOptions::Base::kDate;
  rtc->options.date_unix_s = guest.input.u32();
  rtc->connect(*guest.loop, guest.clock);
  guest.add(rtc);
  guest.run(*rtc, 0x70, 2, [&](uint8_t reg) {  // the way guests do it
    guest.ports.store(0x70, reg, 1);
    guest.ports.store(0x71, guest.input.u8(), 1);
  });
  rtc->unrealize();
  return 0;
}
