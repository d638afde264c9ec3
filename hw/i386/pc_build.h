// How the board makes its devices: for the files that build it.
#pragma once

#include "hw/i386/pc.h"

namespace rhea {

inline constexpr uint64_t kMiB = uint64_t{1} << 20, kGiB = uint64_t{1} << 30;
inline constexpr uint64_t kFourGiB = 4 * kGiB;

template <class T>
CoResult<T*> PcMachine::co_add(MachineContext& context, Bus* bus, std::function<void(T&)> configure,
                               const char* name) {
  auto device = co_await or_return(make_device(T::kType.name));
  auto& typed = static_cast<T&>(*device);
  if (configure) configure(typed);
  co_await or_return(co_await device->co_prepare(context.devices));
  Object& parent = qom_root().container("/machine/unattached");
  co_await or_return(add_device(device, bus, parent, name));
  co_return &typed;
}

}  // namespace rhea
