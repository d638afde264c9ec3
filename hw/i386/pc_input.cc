// Keyboard and mouse of the board, and the port and pointer of VMware's machines.
#include <chrono>

#include "hw/i386/pc_build.h"
#include "hw/input/i8042.h"
#include "hw/input/vmmouse.h"
#include "hw/isa/piix3.h"

namespace rhea {

CoResult<> PcMachine::co_build_input(MachineContext& context) {
  VmControl& vm = context.vm;
  IsaBus* isa = &isa_bridge_->isa();
  std::function<void(I8042&)> wire_keyboard = [&vm](I8042& d) {
    d.on_reset_request = [&vm] { vm.request_reset(ShutdownCause::kGuestReset); };
  };
  I8042* const keyboard = co_await or_return(co_await co_add<I8042>(context, isa, wire_keyboard));
  if (vmport == OnOffAuto::kOff) co_return Result<>();
  std::function<void(Vmport&)> wire_port = [&context](Vmport& d) {
    d.current_vcpu = [&accel = context.accel] { return accel.current_vcpu(); };
    d.ram_bytes = context.config.ram_bytes;
    d.uuid = context.config.uuid;
    d.host_time_us = [] {
      const auto now = std::chrono::system_clock::now().time_since_epoch();
      return std::chrono::duration_cast<std::chrono::microseconds>(now).count();
    };
  };
  Vmport* const port = co_await or_return(co_await co_add<Vmport>(context, isa, wire_port));
  std::function<void(Vmmouse&)> wire_mouse = [keyboard, port](Vmmouse& d) {
    d.i8042 = keyboard;
    d.port = port;
  };
  co_await or_return(co_await co_add<Vmmouse>(context, isa, wire_mouse));
  co_return Result<>();
}

}  // namespace rhea
