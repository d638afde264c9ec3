// In which form the values of an option tree are written.
#pragma once

namespace rhea {

/// kTyped: JSON types as sent over QMP (true, 12). kKeyval: every scalar is a string ("on", "12"), as written
/// on a command line. Both describe the same thing and must give the same result.
enum class ValueForm : unsigned char { kTyped, kKeyval };

}  // namespace rhea
