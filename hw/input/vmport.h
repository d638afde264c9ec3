// The "backdoor" port of VMware's virtual machines: a command in the processor's registers, its answer there
// too. Spec: open-vm-tools, lib/include/backdoor_def.h (commands and magic number).
#pragma once

#include <array>
#include <functional>

#include "accel/accel.h"
#include "hw/isa/isa_bus.h"

namespace rhea {

class Vmport final : public IsaDevice {
 public:
  static const TypeInfo kType;  ///< "vmport"
  const TypeInfo& type() const override { return kType; }

  using Registers = Vcpu::GeneralRegisters;
  /// Answers a command, in the registers; the value is EAX's afterwards.
  using Command = std::function<uint32_t(Registers&)>;
  static constexpr unsigned kCommands = 80;  ///< numbers below this
  /// Answers command `number` from now on. Nothing, if there is no such number.
  void set_command(unsigned number, Command command);

  /// Wiring, before realize.
  std::function<Vcpu*()> current_vcpu;  ///< the one whose access is handled
  uint64_t ram_bytes = 0;
  std::array<uint8_t, 16> uuid{};
  std::function<int64_t()> host_time_us;  ///< since 1970

  // Properties. The first four are off in old machines.
  bool read_set_eax = true;        ///< the port's value is EAX, whatever the width of the access
  bool signal_unsupported = true;  ///< a command that is not known answers all ones
  bool report_vmx_type = true;
  bool commands_v2 = true;
  uint32_t vmx_version = 6;
  uint8_t vmx_type = 2;

  static const PropertyInfo kProperties[];

 protected:
  Result<> do_realize() override;

 private:
  uint64_t io_read(uint64_t offset, unsigned) { return offset == 0 ? run(false) : UINT64_MAX; }
  void io_write(uint64_t offset, uint64_t, unsigned) {
    if (offset == 0) run(true);
  }
  uint64_t run(bool is_write);
  uint32_t answer(Registers& r);
  void add_plain_commands();
  void add_later_commands();
  std::array<Command, kCommands> commands_;
  MmioOf<Vmport, &Vmport::io_read, &Vmport::io_write> io_{*this};
};

}  // namespace rhea
