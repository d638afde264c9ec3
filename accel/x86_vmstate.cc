// How a processor's state travels in a stream.
#include <algorithm>

#include "accel/x86_state.h"

namespace rhea {

namespace {

constexpr VMStateField kSegmentFields[] = {
    field<&X86Segment::selector>("selector"), field<&X86Segment::base>("base"),
    field<&X86Segment::limit>("limit"), field<&X86Segment::flags>("flags"),
    field<&X86Segment::unusable>("unusable")};
constexpr VMState kSegmentVmState{.name = "x86-segment", .fields = kSegmentFields};

constexpr VMStateField kTableFields[] = {field<&X86Table::base>("base"), field<&X86Table::limit>("limit")};
constexpr VMState kTableVmState{.name = "x86-table", .fields = kTableFields};

using Ev = X86Events;
constexpr VMStateField kEventFields[] = {field<&Ev::exception_injected>("exception-injected"),
                                         field<&Ev::exception_pending>("exception-pending"),
                                         field<&Ev::exception_vector>("exception-vector"),
                                         field<&Ev::exception_has_error>("exception-has-error"),
                                         field<&Ev::exception_has_payload>("exception-has-payload"),
                                         field<&Ev::exception_error>("exception-error"),
                                         field<&Ev::exception_payload>("exception-payload"),
                                         field<&Ev::interrupt_injected>("interrupt-injected"),
                                         field<&Ev::interrupt_soft>("interrupt-soft"),
                                         field<&Ev::interrupt_vector>("interrupt-vector"),
                                         field<&Ev::interrupt_shadow>("interrupt-shadow"),
                                         field<&Ev::nmi_injected>("nmi-injected"),
                                         field<&Ev::nmi_pending>("nmi-pending"),
                                         field<&Ev::nmi_masked>("nmi-masked"),
                                         field<&Ev::sipi_vector>("sipi-vector"),
                                         field<&Ev::smm>("smm"),
                                         field<&Ev::smm_pending>("smm-pending"),
                                         field<&Ev::smm_inside_nmi>("smm-inside-nmi"),
                                         field<&Ev::smm_latched_init>("smm-latched-init"),
                                         field<&Ev::triple_fault_pending>("triple-fault-pending")};
constexpr VMState kEventsVmState{.name = "x86-events", .fields = kEventFields};

/// Byte vectors: their length, then the bytes.
template <auto Member, uint32_t Max>
constexpr VMStateField bytes_field(const char* name) {
  return {.name = name,
          .save =
              [](const void* o, StateWriter& out, const VMStateField&) {
                const std::vector<uint8_t>& bytes = static_cast<const X86State*>(o)->*Member;
                out.put_be32(static_cast<uint32_t>(bytes.size()));
                out.put_bytes(bytes);
              },
          .load = [](void* o, StateReader& in, const VMStateField& self, int) -> Result<> {
            uint32_t length = in.get_be32();
            if (length > Max || length > in.left())
              return fail(EINVAL, "field '", self.name, "': ", length, " bytes are too many");
            std::vector<uint8_t>& bytes = static_cast<X86State*>(o)->*Member;
            bytes.resize(length);
            in.get_bytes(bytes);
            return {};
          }};
}

constexpr VMStateField kMsrsField{
    .name = "msrs",
    .save =
        [](const void* o, StateWriter& out, const VMStateField&) {
          const auto& msrs = static_cast<const X86State*>(o)->msrs;
          out.put_be32(static_cast<uint32_t>(msrs.size()));
          for (const X86Msr& m : msrs) {
            out.put_be32(m.index);
            out.put_be64(m.value);
          }
        },
    .load = [](void* o, StateReader& in, const VMStateField& self, int) -> Result<> {
      uint32_t count = in.get_be32();
      if (count > kMaxMsrs || count * 12 > in.left())
        return fail(EINVAL, "field '", self.name, "': ", count, " MSRs are too many");
      auto& msrs = static_cast<X86State*>(o)->msrs;
      msrs.resize(count);
      for (X86Msr& m : msrs) {
        m.index = in.get_be32();
        m.value = in.get_be64();
      }
      return {};
    }};

Result<> check_state(void* object, int) {
  const auto& s = *static_cast<const X86State*>(object);
  if (s.mp_state > X86MpState::kSipiReceived)
    return fail(EINVAL, "processor state ", static_cast<int>(s.mp_state), " is not known");
  if (s.xsave.size() < kXsaveLegacyBytes)
    return fail(EINVAL, "XSAVE area of ", s.xsave.size(), " bytes is too small");
  if (!s.lapic.empty() && s.lapic.size() != 1024)
    return fail(EINVAL, "local APIC page of ", s.lapic.size(), " bytes");
  return {};
}

constexpr VMStateField kFields[] = {field<&X86State::gpr>("gpr"),
                                    field<&X86State::rip>("rip"),
                                    field<&X86State::rflags>("rflags"),
                                    struct_field<&X86State::seg>("segments", kSegmentVmState),
                                    struct_field<&X86State::ldt>("ldt", kSegmentVmState),
                                    struct_field<&X86State::tr>("tr", kSegmentVmState),
                                    struct_field<&X86State::gdt>("gdt", kTableVmState),
                                    struct_field<&X86State::idt>("idt", kTableVmState),
                                    field<&X86State::cr0>("cr0"),
                                    field<&X86State::cr2>("cr2"),
                                    field<&X86State::cr3>("cr3"),
                                    field<&X86State::cr4>("cr4"),
                                    field<&X86State::cr8>("cr8"),
                                    field<&X86State::efer>("efer"),
                                    field<&X86State::apic_base>("apic-base"),
                                    field<&X86State::interrupt_bitmap>("interrupt-bitmap"),
                                    field<&X86State::dr>("dr"),
                                    field<&X86State::dr6>("dr6"),
                                    field<&X86State::dr7>("dr7"),
                                    field<&X86State::xcr0>("xcr0"),
                                    bytes_field<&X86State::xsave, kXsaveMaxBytes>("xsave"),
                                    kMsrsField,
                                    bytes_field<&X86State::lapic, 1024>("lapic"),
                                    struct_field<&X86State::events>("events", kEventsVmState),
                                    field<&X86State::mp_state>("mp-state"),
                                    field<&X86State::tsc_khz>("tsc-khz")};

}  // namespace

constinit const VMState kX86StateVmState{
    .name = "x86-cpu", .version = 1, .fields = kFields, .post_load = check_state};

}  // namespace rhea
