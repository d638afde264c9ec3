// How the UART's state travels: section "serial".
#include "hw/char/uart16550.h"

namespace rhea {

namespace {

using S = UartState;

Result<> check_fifo(void* object, int) {
  const auto& f = *static_cast<const UartFifo*>(object);
  if (f.head < UartFifo::kBytes && f.num <= UartFifo::kBytes) return {};
  return fail(EINVAL, "FIFO position ", f.head, "/", f.num, " is outside its ", UartFifo::kBytes, " bytes");
}

constexpr VMStateField kFifoFields[] = {field<&UartFifo::data>("data"), field<&UartFifo::head>("head"),
                                        field<&UartFifo::num>("num")};
constexpr VMState kFifo{.name = "Fifo8", .version = 1, .fields = kFifoFields, .post_load = check_fifo};

/// What an interrupt's pending flag is if the stream does not carry it.
bool iir_says(const S& s, uint8_t id) {
  return (s.iir & 0x0f) == id;
}
const S& cast(const void* object) {
  return *static_cast<const S*>(object);
}

constexpr VMStateField kThrFields[] = {field<&S::thr_ipending>("thr_ipending")};
constexpr VMState kThr{.name = "serial/thr_ipending", .fields = kThrFields, .needed = [](const void* o) {
                         return (cast(o).thr_ipending != 0) != iir_says(cast(o), 0x02);
                       }};
constexpr VMStateField kTsrFields[] = {field<&S::tsr_retry>("tsr_retry"), field<&S::thr>("thr"),
                                       field<&S::tsr>("tsr")};
constexpr VMState kTsr{.name = "serial/tsr", .fields = kTsrFields, .needed = [](const void* o) {
                         return cast(o).tsr_retry != 0;
                       }};
constexpr VMStateField kRecvFields[] = {struct_field<&S::recv_fifo>("recv_fifo", kFifo)};
constexpr VMState kRecv{.name = "serial/recv_fifo", .fields = kRecvFields, .needed = [](const void* o) {
                          return cast(o).recv_fifo.num != 0;
                        }};
constexpr VMStateField kXmitFields[] = {struct_field<&S::xmit_fifo>("xmit_fifo", kFifo)};
constexpr VMState kXmit{.name = "serial/xmit_fifo", .fields = kXmitFields, .needed = [](const void* o) {
                          return cast(o).xmit_fifo.num != 0;
                        }};
constexpr VMStateField kTimerFields[] = {field<&S::timeout_deadline_ns>("fifo_timeout_timer")};
constexpr VMState kTimer{.name = "serial/fifo_timeout_timer",
                         .fields = kTimerFields,
                         .needed = [](const void* o) { return cast(o).timeout_deadline_ns >= 0; }};
constexpr VMStateField kTimeoutFields[] = {field<&S::timeout_ipending>("timeout_ipending")};
constexpr VMState kTimeout{
    .name = "serial/timeout_ipending", .fields = kTimeoutFields, .needed = [](const void* o) {
      return (cast(o).timeout_ipending != 0) != iir_says(cast(o), 0x0c);
    }};
constexpr VMStateField kPollFields[] = {field<&S::poll_msl>("poll_msl"),
                                        field<&S::poll_deadline_ns>("modem_status_poll")};
constexpr VMState kPoll{.name = "serial/poll", .fields = kPollFields, .needed = [](const void* o) {
                          return cast(o).poll_msl >= 0;
                        }};

constexpr const VMState* kSubsections[] = {&kThr, &kTsr, &kRecv, &kXmit, &kTimer, &kTimeout, &kPoll};
constexpr VMStateField kUart16550StateFields[] = {field<&S::divider>("divider", 2),
                                                  field<&S::rbr>("rbr"),
                                                  field<&S::ier>("ier"),
                                                  field<&S::iir>("iir"),
                                                  field<&S::lcr>("lcr"),
                                                  field<&S::mcr>("mcr"),
                                                  field<&S::lsr>("lsr"),
                                                  field<&S::msr>("msr"),
                                                  field<&S::scr>("scr"),
                                                  field<&S::fcr>("fcr_vmstate", 3)};

}  // namespace

constexpr VMState kUartStateVmState{.name = "serial",
                                    .version = 3,
                                    .minimum_version = 2,
                                    .fields = kUart16550StateFields,
                                    .subsections = kSubsections,
                                    .pre_load = [](void* object) -> Result<> {
                                      *static_cast<S*>(object) = {};
                                      static_cast<S*>(object)->thr_ipending = -1;
                                      static_cast<S*>(object)->timeout_ipending = -1;
                                      return {};
                                    },
                                    .post_load = [](void* object, int) -> Result<> {
                                      auto& s = *static_cast<S*>(object);
                                      if (s.thr_ipending == -1) s.thr_ipending = iir_says(s, 0x02);
                                      if (s.timeout_ipending == -1) s.timeout_ipending = iir_says(s, 0x0c);
                                      s.ier &= 0x0f;
                                      s.mcr &= 0x1f;
                                      return {};
                                    }};

}  // namespace rhea
