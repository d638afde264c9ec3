// Processors and interrupt controllers of the board: the kernel's, ours, or some of each.
#include "hw/i386/pc_build.h"
#include "hw/intc/i8259.h"
#include "hw/intc/ioapic.h"
#include "hw/isa/piix3.h"
#include "target/i386/cpu_slots.h"
#include "target/i386/kvm_devices.h"
#include "target/i386/x86_cpu.h"
#include "util/log.h"

namespace rhea {

namespace {

/// Where functions send their message-signalled interrupts; a processor's own accesses end at its local APIC.
class MsiWindow final : public MmioHandler {
 public:
  static constexpr GuestAddr kBase = 0xfee00000;
  static constexpr uint64_t kBytes = 0x100000;
  explicit MsiWindow(Accelerator& accel) : accel_(accel) {}
  uint64_t mmio_read(uint64_t, unsigned) override { return 0; }
  void mmio_write(uint64_t offset, uint64_t value, unsigned) override {
    const MsiMessage message{.address = kBase + offset, .data = static_cast<uint32_t>(value)};
    Result<> sent;
    if (accel_.irqchip() != nullptr)
      sent = accel_.irqchip()->send_msi(message);
    else if (accel_.split_irqchip() != nullptr)
      sent = accel_.split_irqchip()->send_msi(message);
    if (!sent) log_guest_error("a message-signalled interrupt was lost: ", sent.error().message());
  }

 private:
  Accelerator& accel_;
};

/// The I/O APIC in user space, with local APICs in the kernel.
void connect_split(Ioapic& ioapic, SplitIrqchip& split) {
  ioapic.deliver = [&split](const MsiMessage& message) {
    constexpr uint32_t kMode = 0x700, kExtInt = 0x700;
    if ((message.data & kMode) == kExtInt) return;  // the PIC reaches the processor by its own line
    if (Result<> sent = split.send_msi(message); !sent) error_report(sent.error());
  };
  ioapic.on_table_change = [&ioapic, &split] {
    std::array<std::optional<MsiMessage>, SplitIrqchip::kIoapicPins> routes;
    for (unsigned pin = 0; pin < routes.size(); ++pin) routes[pin] = ioapic.route(pin);
    if (Result<> set = split.set_ioapic_routes(routes); !set) error_report(set.error());
  };
  split.on_end_of_interrupt = [&ioapic](uint8_t vector) { ioapic.end_of_interrupt(vector); };
}

}  // namespace

Result<> PcMachine::build_cpus(MachineContext& context) {
  if (context.accel.wants_irqchip()) TRY(context.accel.create_irqchip(pit));
  if (context.accel.irqchip() != nullptr || context.accel.split_irqchip() != nullptr) {
    msi_handler_ = std::make_unique<MsiWindow>(context.accel);
    msi_window_ = MemoryRegion::io("kvm-apic-msi", MsiWindow::kBytes, *msi_handler_, {.valid_max = 4});
    system_memory().add_subregion(MsiWindow::kBase, *msi_window_, 1);
  }
  const std::string model = context.config.cpu_model.empty() ? "qemu64" : context.config.cpu_model;
  Object& parent = qom_root().container("/machine/unattached");
  const X86CpuModel* named = TRY(apply_cpu_option(model));
  TRY(create_cpus(context.accel, context.config.smp, *named, parent, context.config.numa));
  X86Cpu::set_plug_handler([&accel = context.accel](X86Cpu& cpu) { return plug_cpu(cpu, accel); });
  return create_kernel_devices(context.accel, parent);
}

CoResult<> PcMachine::co_build_interrupt_controllers(MachineContext& context) {
  if (context.accel.irqchip() != nullptr) {
    for (int n = 0; n < 24; ++n) gsi_[static_cast<size_t>(n)] = context.accel.gsi(n);
    co_return Result<>();
  }
  SplitIrqchip* split = context.accel.split_irqchip();
  std::function<void(Ioapic&)> wire = [split](Ioapic& d) {
    d.memory = &system_memory();
    if (split != nullptr) connect_split(d, *split);
  };
  Ioapic* ioapic = co_await or_return(co_await co_add<Ioapic>(context, nullptr, wire, "ioapic"));
  router_ = std::make_unique<GsiRouter>(*ioapic);
  for (int n = 0; n < 24; ++n) gsi_[static_cast<size_t>(n)] = IrqLine(*router_, n);
  co_return Result<>();
}

/// The pair of 8259s that machines without the kernel's use.
CoResult<> PcMachine::co_build_pics(MachineContext& context) {
  if (router_ == nullptr) co_return Result<>();
  IsaBus* isa = &isa_bridge_->isa();
  if (SplitIrqchip* split = context.accel.split_irqchip()) pic_output_ = std::make_unique<PicOutput>(*split);
  std::function<void(I8259&)> wire_master = [this](I8259& d) {
    d.master = true;
    if (pic_output_ != nullptr) d.output = IrqLine(*pic_output_, 0);
  };
  I8259* master = co_await or_return(co_await co_add<I8259>(context, isa, wire_master));
  std::function<void(I8259&)> wire_slave = [master](I8259& d) { d.output = master->irq_in(2); };
  I8259* slave = co_await or_return(co_await co_add<I8259>(context, isa, wire_slave));
  master->slave = slave;
  if (SplitIrqchip* split = context.accel.split_irqchip())
    split->acknowledge_pic = [master] { return master->acknowledge(); };
  router_->set_pics(*master, *slave);
  co_return Result<>();
}

Result<> PcMachine::inject_nmi() {
  for (const auto& vcpu : context_->accel.vcpus()) TRY(inject_lint1_nmi(*vcpu));
  return {};
}

}  // namespace rhea
