// Instructions as text: capstone does it, loaded when the first one is wanted.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "util/result.h"

namespace rhea {

/// One instruction at the start of `code` for a processor in `bits` (16, 32, 64) mode, in AT&T syntax.
struct Instruction {
  size_t bytes = 0;  ///< 0: none is there
  std::string text;
};

/// Fails with the reason where the library cannot be loaded. Main thread.
Result<Instruction> disassemble(std::span<const uint8_t> code, uint64_t address, unsigned bits);

}  // namespace rhea
