// How the controller's state travels: section "fdc", version 2.
#include <algorithm>

#include "hw/floppy/fdc.h"
#include "hw/floppy/fdc_bits.h"

namespace rhea {

using namespace fdc;

namespace {

using S = FdcState;
using U = FdcUnit;

constexpr VMStateField kChangedFields[] = {field<&U::media_changed>("media_changed")};
constexpr VMState kChanged{
    .name = "fdrive/media_changed", .version = 1, .fields = kChangedFields, .needed = [](const void* o) {
      return static_cast<const U*>(o)->media_changed != 1;
    }};
constexpr VMStateField kRateFields[] = {field<&U::media_rate>("media_rate")};
constexpr VMState kRate{
    .name = "fdrive/media_rate", .version = 1, .fields = kRateFields, .needed = [](const void*) {
      return true;
    }};
constexpr VMStateField kPerpendicularFields[] = {field<&U::perpendicular>("perpendicular")};
constexpr VMState kPerpendicular{
    .name = "fdrive/perpendicular",
    .version = 1,
    .fields = kPerpendicularFields,
    .needed = [](const void* o) { return static_cast<const U*>(o)->perpendicular != 0; }};
constexpr const VMState* kUnitSubsections[] = {&kChanged, &kRate, &kPerpendicular};
constexpr VMStateField kUnitFields[] = {field<&U::head>("head"), field<&U::track>("track"),
                                        field<&U::sector>("sect")};
constexpr VMState kUnit{.name = "fdrive",
                        .version = 1,
                        .fields = kUnitFields,
                        .subsections = kUnitSubsections,
                        .pre_load = [](void* o) -> Result<> {
                          *static_cast<U*>(o) = U();
                          return {};
                        }};

constexpr VMStateField kResetFields[] = {field<&S::reset_sensei>("reset_sensei")};
constexpr VMState kReset{
    .name = "fdc/reset_sensei", .version = 1, .fields = kResetFields, .needed = [](const void* o) {
      return static_cast<const S*>(o)->reset_sensei != 0;
    }};
constexpr VMStateField kTimerFields[] = {field<&S::read_id_deadline_ns>("result_timer")};
constexpr VMState kTimer{
    .name = "fdc/result_timer", .version = 1, .fields = kTimerFields, .needed = [](const void* o) {
      return static_cast<const S*>(o)->read_id_deadline_ns >= 0;
    }};
// The phase follows from MSR. Others may send it all the same.
constexpr VMStateField kPhaseFields[] = {field<&S::phase>("phase")};
constexpr VMState kPhase{
    .name = "fdc/phase", .version = 1, .fields = kPhaseFields, .needed = [](const void*) { return false; }};
constexpr VMStateField kTransferFields[] = {field<&S::command>("command"), field<&S::fill>("fill"),
                                            field<&S::full>("full"), field<&S::last>("last")};
constexpr VMState kTransfer{
    .name = "fdc/transfer", .version = 1, .fields = kTransferFields, .needed = [](const void* o) {
      const auto& s = *static_cast<const S*>(o);
      return s.data_len != 0 && (s.full != 0 || s.fill != 0 || s.command != 0) && (s.msr & kMsrBusy) != 0;
    }};
constexpr const VMState* kSubsections[] = {&kReset, &kTimer, &kPhase, &kTransfer};
constexpr VMStateField kFdcVmstateFields[] = {
    field<&S::sra>("sra"),
    field<&S::srb>("srb"),
    field<&S::dor>("dor_vmstate"),
    field<&S::tdr>("tdr"),
    field<&S::dsr>("dsr"),
    field<&S::msr>("msr"),
    field<&S::status0>("status0"),
    field<&S::status1>("status1"),
    field<&S::status2>("status2"),
    field<&S::fifo>("fifo"),
    field<&S::data_pos>("data_pos"),
    field<&S::data_len>("data_len"),
    field<&S::data_state>("data_state"),
    field<&S::data_dir>("data_dir"),
    field<&S::eot>("eot"),
    field<&S::timer0>("timer0"),
    field<&S::timer1>("timer1"),
    field<&S::precomp>("precomp_trk"),
    field<&S::config>("config"),
    field<&S::lock>("lock"),
    field<&S::pwrd>("pwrd"),
    field<&S::num_floppies>("num_floppies"),
    struct_field<&S::units>("drives", kUnit, 1),
};

Result<> check_unit(const U& u) {
  if (u.head > 1 || u.sector > 63) return fail(EINVAL, "a head at side ", u.head, ", sector ", u.sector);
  return {};
}

}  // namespace

const VMState Fdc::kVmState{.name = "fdc",
                            .version = 2,
                            .fields = kFdcVmstateFields,
                            .subsections = kSubsections,
                            .pre_load = [](void* o) -> Result<> {
                              *static_cast<S*>(o) = S();
                              return {};
                            }};

void Fdc::before_save() {
  state.phase = static_cast<uint8_t>(phase());
  state.read_id_deadline_ns = read_id_timer_->deadline_ns();
  for (unsigned n = 0; n < FloppyBus::kDrives; ++n) {
    const FloppyDrive* d = bus_->drive(n);
    state.units[n].media_rate =
        d != nullptr && d->format() != nullptr ? static_cast<uint8_t>(d->format()->rate) : 0;
  }
}

Result<> Fdc::check_phase() const {
  constexpr uint32_t kLongest = 17;  // bytes of a command, or a result
  switch (phase()) {
    case FdcPhase::kCommand:
      if (state.data_pos > kLongest * 2 || state.data_len > kLongest)
        return fail(EINVAL, "byte ", state.data_pos, " of a command");
      break;
    case FdcPhase::kResult:
      if (state.data_len > kLongest || state.data_pos >= state.data_len)
        return fail(EINVAL, "byte ", state.data_pos, " of ", state.data_len, " of a result");
      break;
    case FdcPhase::kExecution:
      if (state.data_pos > state.data_len)
        return fail(EINVAL, "byte ", state.data_pos, " of ", state.data_len, " of a transfer");
      break;
  }
  return {};
}

Result<> Fdc::after_load() {
  const uint8_t full = state.full, last = state.last;
  cancel();
  state.full = full;
  state.last = last;
  if (state.num_floppies != FloppyBus::kDrives)
    return fail(EINVAL, "a controller of ", state.num_floppies, " drives");
  for (const U& u : state.units) TRY(check_unit(u));
  if (state.data_dir > static_cast<uint8_t>(FdcTransfer::kVerify))
    return fail(EINVAL, "transfer direction ", state.data_dir);
  if (state.reset_sensei < 0 || state.reset_sensei > 4)
    return fail(EINVAL, "reset_sensei ", state.reset_sensei);
  TRY(check_phase());
  update_irq();
  if (state.read_id_deadline_ns >= 0) {
    state.data_len = 0;
    read_id_timer_->arm(state.read_id_deadline_ns);
    return {};
  }
  sector_there_ = (state.msr & kMsrRqm) != 0 && direction() == FdcTransfer::kRead;
  if (!transferring()) return {};
  // Other devices may not be loaded yet: what follows waits for the loop.
  loop_->post([this, owner = owner_.weak_from_this()] {
    if (!owner.expired() && owner_.realized()) run();
  });
  return {};
}

}  // namespace rhea
