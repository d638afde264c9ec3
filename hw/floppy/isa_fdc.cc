#include "hw/floppy/isa_fdc.h"

namespace rhea {

namespace {

std::shared_ptr<Object> make_isa_fdc() {
  return std::make_shared<IsaFdc>();
}

/// "ID.0", or the first free of "floppy-bus.0", "floppy-bus.1" …
std::string bus_name(const std::string& id) {
  if (!id.empty()) return id + ".0";
  for (int n = 0;; ++n) {
    std::string name = str_cat("floppy-bus.", n);
    if (find_bus(qom_root(), name) == nullptr) return name;
  }
}

constexpr uint32_t kNoDma = UINT32_MAX;

constexpr PropertyInfo kIsaFdcProperties[] = {
    prop<&IsaFdc::iobase>("iobase"),
    prop<&IsaFdc::irq>("irq"),
    prop<&IsaFdc::dma>("dma"),
    prop<&IsaFdc::fdtype_a>("fdtypeA", "FDC drive type, 144/288/120/none/auto"),
    prop<&IsaFdc::fdtype_b>("fdtypeB", "FDC drive type, 144/288/120/none/auto"),
    prop<&IsaFdc::fallback>("fallback", "FDC drive type, 144/288/120/none/auto"),
    prop<&IsaFdc::bootindex_a>("bootindexA"),
    prop<&IsaFdc::bootindex_b>("bootindexB"),
};

FdcState& fdc_state(void* object) {
  return static_cast<IsaFdc*>(object)->fdc.state;
}
constexpr VMStateField kIsaFdcFields[] = {
    {.name = "state",
     .save = [](const void* o, StateWriter& out,
                const VMStateField&) { vmstate_save(Fdc::kVmState, &fdc_state(const_cast<void*>(o)), out); },
     .load = [](void* o, StateReader& in, const VMStateField&,
                int version) { return vmstate_load(Fdc::kVmState, &fdc_state(o), in, version); },
     .nested = &Fdc::kVmState}};
constexpr VMState kVmState{
    .name = "fdc",
    .version = 2,
    .fields = kIsaFdcFields,
    .pre_save = [](void* o) { static_cast<IsaFdc*>(o)->fdc.before_save(); },
    .post_load = [](void* o, int) { return static_cast<IsaFdc*>(o)->fdc.after_load(); }};

}  // namespace

constexpr TypeInfo IsaFdc::kType{.name = "isa-fdc",
                                 .parent = &IsaDevice::kType,
                                 .create = make_isa_fdc,
                                 .properties = kIsaFdcProperties,
                                 .description = "virtual floppy controller",
                                 .user_creatable = true,
                                 .category = DeviceCategory::kStorage};

CoResult<> IsaFdc::co_prepare(DeviceContext& context) {
  connect(context.main_loop, context.clock);
  co_return Result<>();
}

CoResult<> IsaFdc::co_stop() {
  Result<> r = co_await fdc.co_drain();
  co_return r;
}

Result<> IsaFdc::do_realize() {
  if (fallback == FloppyDriveType::kAuto)
    return fail(EINVAL, "Cannot choose a fallback FDrive type of 'auto'");
  if (iobase > 0xfff8) return fail(EINVAL, "isa-fdc: iobase ", iobase, " leaves no room for 8 ports");
  if (irq > 15) return fail(EINVAL, "isa-fdc: there is no ISA interrupt ", irq);
  if (dma != kNoDma && (dma > 7 || dma == 4)) return fail(EINVAL, "isa-fdc: there is no DMA channel ", dma);
  drives_ = std::make_shared<FloppyBus>(bus_name(id()));
  add_bus(drives_);
  drives_->fallback = fallback;
  drives_->bootindex = {bootindex_a, bootindex_b};
  fdc.irq = isa_bus().irq(irq);
  add_irq_output(fdc.irq);
  if (dma != kNoDma) {
    fdc.dma = isa_bus().dma[dma / 4];
    fdc.dma_channel = dma % 4;
  }
  fdc.start(*loop_, *clock_, *drives_);
  add_ports(static_cast<uint16_t>(iobase + 1), 5, low_, "fdc", {.impl_max = 1});
  add_ports(static_cast<uint16_t>(iobase + 7), 1, high_, "fdc", {.impl_max = 1});
  return {};
}

void IsaFdc::do_unrealize() {
  IsaDevice::do_unrealize();
  fdc.stop();
}

const VMState* IsaFdc::vmstate() const {
  return &kVmState;
}

void register_floppy_types(TypeRegistry& registry) {
  registry.add({&FloppyBus::kType, &FloppyDrive::kType, &IsaFdc::kType});
}

}  // namespace rhea
