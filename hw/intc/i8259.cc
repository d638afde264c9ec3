#include "hw/intc/i8259.h"

#include "util/log.h"

namespace rhea {

namespace {

constexpr uint8_t kSlaveInput = 2;
constexpr unsigned kNone = 8;
constexpr PropertyInfo kI8259Properties[] = {
    prop<&I8259::iobase>("iobase"), prop<&I8259::elcr_addr>("elcr_addr"),
    prop<&I8259::elcr_mask>("elcr_mask"), prop<&I8259::master>("master")};

constexpr VMStateField kI8259StateFields[] = {
    field<&I8259State::last_irr>("last_irr"),
    field<&I8259State::irr>("irr"),
    field<&I8259State::imr>("imr"),
    field<&I8259State::isr>("isr"),
    field<&I8259State::priority_add>("priority_add"),
    field<&I8259State::irq_base>("irq_base"),
    field<&I8259State::read_reg_select>("read_reg_select"),
    field<&I8259State::poll>("poll"),
    field<&I8259State::special_mask>("special_mask"),
    field<&I8259State::init_state>("init_state"),
    field<&I8259State::auto_eoi>("auto_eoi"),
    field<&I8259State::rotate_on_auto_eoi>("rotate_on_auto_eoi"),
    field<&I8259State::special_fully_nested_mode>("special_fully_nested_mode"),
    field<&I8259State::init4>("init4"),
    field<&I8259State::single_mode>("single_mode"),
    field<&I8259State::elcr>("elcr")};
Result<> check_state(void* object, int) {
  const auto& s = *static_cast<const I8259State*>(object);
  if (s.priority_add > 7) return fail(EINVAL, "priority ", int(s.priority_add), " is not an input");
  if (s.init_state > 3) return fail(EINVAL, "initialisation step ", int(s.init_state), " does not exist");
  return {};
}

}  // namespace

constexpr VMState kI8259StateVmState{
    .name = "i8259", .version = 1, .fields = kI8259StateFields, .post_load = check_state};

static constexpr TypeInfo kPicCommonType{.name = "pic-common", .parent = &IsaDevice::kType};
constexpr TypeInfo I8259::kType{
    .name = "isa-i8259",
    .parent = &kPicCommonType,
    .create = []() -> std::shared_ptr<Object> { return std::make_shared<I8259>(); },
    .properties = kI8259Properties,
    .description = "interrupt controller"};

Result<> I8259::do_realize() {
  if (iobase == kUnset) {
    iobase = master ? 0x20 : 0xa0;
    elcr_addr = master ? 0x4d0 : 0x4d1;
    // The timer, the keyboard, the cascade, the clock and the FPU are edge triggered for ever.
    elcr_mask = master ? 0xf8 : 0xde;
  }
  if (iobase > 0xfffe || (elcr_addr != kUnset && elcr_addr > 0xffff))
    return fail(EINVAL, "isa-i8259: ports outside the port space");
  add_irq_output(output);
  add_ports(static_cast<uint16_t>(iobase), 2, io_, "pic", {.impl_max = 1});
  if (elcr_addr != kUnset) add_ports(static_cast<uint16_t>(elcr_addr), 1, elcr_, "elcr", {.impl_max = 1});
  return {};
}

void I8259::reset() {
  clear(false);
  state.elcr = 0;
  output.lower();
}

void I8259::clear(bool keep_level_requests) {
  const uint8_t elcr = state.elcr;
  const uint8_t irr = keep_level_requests ? state.irr & elcr : 0;
  state = {};
  state.elcr = elcr;
  state.irr = irr;
}

// --- priorities

unsigned I8259::priority_of(uint8_t mask) const {
  for (unsigned p = 0; p < 8; ++p)
    if ((mask >> ((p + state.priority_add) & 7) & 1) != 0) return p;
  return kNone;
}

int I8259::highest_pending() const {
  const I8259State& s = state;
  const unsigned asked = priority_of(static_cast<uint8_t>(s.irr & ~s.imr));
  if (asked == kNone) return -1;
  uint8_t in_service = s.isr;
  if (s.special_mask != 0) in_service &= static_cast<uint8_t>(~s.imr);
  // Special fully nested: the slave's further requests pass while one of its own is in service.
  if (s.special_fully_nested_mode != 0 && master) in_service &= static_cast<uint8_t>(~(1u << kSlaveInput));
  if (asked >= priority_of(in_service)) return -1;
  return static_cast<int>((asked + s.priority_add) & 7);
}

void I8259::update() {
  output.set(highest_pending() >= 0 ? 1 : 0);
}

void I8259::irq_input(int n, int level) {
  if (n < 0 || n > 7) return;
  I8259State& s = state;
  const auto bit = static_cast<uint8_t>(1u << n);
  if (level != 0 && (s.last_irr & bit) == 0) ++counts_[static_cast<size_t>(n)];
  if ((s.elcr & bit) != 0) {
    s.irr = static_cast<uint8_t>(level != 0 ? s.irr | bit : s.irr & ~bit);
  } else if (level != 0 && (s.last_irr & bit) == 0) {
    s.irr |= bit;
  }
  s.last_irr = static_cast<uint8_t>(level != 0 ? s.last_irr | bit : s.last_irr & ~bit);
  update();
}

void I8259::take(unsigned n) {
  I8259State& s = state;
  const auto bit = static_cast<uint8_t>(1u << n);
  if (s.auto_eoi == 0)
    s.isr |= bit;
  else if (s.rotate_on_auto_eoi != 0)
    s.priority_add = static_cast<uint8_t>((n + 1) & 7);
  if ((s.elcr & bit) == 0) s.irr &= static_cast<uint8_t>(~bit);
  update();
}

uint8_t I8259::acknowledge() {
  const int pending = highest_pending();
  const unsigned n = pending < 0 ? 7 : static_cast<unsigned>(pending);
  if (pending >= 0) take(n);
  // The slave answers for the input it is wired to.
  if (pending == kSlaveInput && master && slave != nullptr) return slave->acknowledge();
  return static_cast<uint8_t>(state.irq_base + n);
}

// --- registers

uint8_t I8259::poll_word() {
  const int pending = highest_pending();
  if (pending < 0) return 0;
  take(static_cast<unsigned>(pending));
  return static_cast<uint8_t>(0x80 | pending);
}

uint64_t I8259::io_read(uint64_t offset, unsigned) {
  if (state.poll != 0) {
    state.poll = 0;
    return poll_word();
  }
  if (offset != 0) return state.imr;
  return state.read_reg_select != 0 ? state.isr : state.irr;
}

void I8259::io_write(uint64_t offset, uint64_t value, unsigned) {
  const auto byte = static_cast<uint8_t>(value);
  if (offset != 0)
    write_data(byte);
  else if ((byte & 0x10) != 0)
    write_icw1(byte);
  else if ((byte & 0x08) != 0)
    write_ocw3(byte);
  else
    write_ocw2(byte);
  update();
}

void I8259::write_icw1(uint8_t value) {
  clear(true);
  state.init_state = 1;
  state.init4 = value & 1;
  state.single_mode = value >> 1 & 1;
  if ((value & 0x08) != 0) log_guest_error("i8259: level triggering is chosen by ELCR, not by ICW1");
}

void I8259::write_data(uint8_t value) {
  I8259State& s = state;
  switch (s.init_state) {
    case 0:
      s.imr = value;
      break;
    case 1:
      s.irq_base = value & 0xf8;
      s.init_state = s.single_mode == 0 ? 2 : s.init4 != 0 ? 3 : 0;
      break;
    case 2:
      s.init_state = s.init4 != 0 ? 3 : 0;
      break;  // the wiring of the pair is fixed
    default:
      s.special_fully_nested_mode = value >> 4 & 1;
      s.auto_eoi = value >> 1 & 1;
      s.init_state = 0;
      break;
  }
}

void I8259::write_ocw3(uint8_t value) {
  if ((value & 0x04) != 0) state.poll = 1;
  if ((value & 0x02) != 0) state.read_reg_select = value & 1;
  if ((value & 0x40) != 0) state.special_mask = value >> 5 & 1;
}

void I8259::write_ocw2(uint8_t value) {
  I8259State& s = state;
  const unsigned level = value & 7u;
  const bool rotate = (value & 0x80) != 0;
  switch (value >> 5) {
    case 0:
    case 4:
      s.rotate_on_auto_eoi = rotate ? 1 : 0;
      break;
    case 1:
    case 5: {  // non-specific EOI: the one with the highest priority in service
      const unsigned p = priority_of(s.isr);
      if (p == kNone) break;
      const unsigned n = (p + s.priority_add) & 7;
      s.isr &= static_cast<uint8_t>(~(1u << n));
      if (rotate) s.priority_add = static_cast<uint8_t>((n + 1) & 7);
      break;
    }
    case 3:
    case 7:
      s.isr &= static_cast<uint8_t>(~(1u << level));
      if (rotate) s.priority_add = static_cast<uint8_t>((level + 1) & 7);
      break;
    case 6:
      s.priority_add = static_cast<uint8_t>((level + 1) & 7);
      break;
    default:
      break;  // no operation
  }
}

namespace {
constexpr VMStateField kI8259Fields[] = {struct_field<&I8259::state>("state", kI8259StateVmState)};
constexpr VMState kI8259VmState{
    .name = "i8259", .version = 1, .fields = kI8259Fields, .post_load = [](void* o, int) -> Result<> {
      const auto& pic = *static_cast<const I8259*>(o);
      pic.output.set(pic.asserted() ? 1 : 0);
      return {};
    }};
}  // namespace

const VMState* I8259::vmstate() const {
  return &kI8259VmState;
}

}  // namespace rhea
