// Keys of the X Window System, which VNC clients name, as keys of a US keyboard.
// Spec: X11 protocol, appendix A "KEYSYM Encoding".
#pragma once

#include <cstdint>

#include "qapi/qapi_types_ui.h"

namespace rhea {

/// The key that carries `keysym`, whatever modifiers it takes; kUnmapped if none does.
QKeyCode key_of_keysym(uint32_t keysym);

}  // namespace rhea
