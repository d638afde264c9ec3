// Keys by name and by number. A number is the make code of scan code set 1, plus 0x80 for a prefix of 0xe0.
// Spec: IBM PS/2 Hardware Interface Technical Reference, "Keyboards"; Microsoft "Keyboard Scan Code
// Specification" 1.3a.
#pragma once

#include <cstdint>

#include "qapi/qapi_types_ui.h"

namespace rhea {

/// 0 if the key has no number.
uint8_t key_number(QKeyCode key);
/// kUnmapped if no key has the number.
QKeyCode key_of_number(int64_t number);
/// The key of a monitor's "sendkey": a name, or a number in C's notation; kUnmapped if it is none.
QKeyCode key_of_text(std::string_view text);

}  // namespace rhea
