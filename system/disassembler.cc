#include "system/disassembler.h"

#include <capstone/capstone.h>
#include <dlfcn.h>

namespace rhea {

namespace {

constexpr const char* kLibrary = "libcapstone.so.4";

/// The functions used, of a library that stays loaded.
struct Capstone {
  decltype(&cs_open) open = nullptr;
  decltype(&cs_option) option = nullptr;
  decltype(&cs_disasm) disasm = nullptr;
  decltype(&cs_free) free = nullptr;
  decltype(&cs_close) close = nullptr;
};

template <class F>
bool find(void* library, const char* name, F& out) {
  out = reinterpret_cast<F>(::dlsym(library, name));
  return out != nullptr;
}

Result<const Capstone*> load() {
  static Capstone functions;
  if (functions.close != nullptr) return &functions;
  void* library = ::dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr)
    return fail(ENOENT, "instructions cannot be shown without ", kLibrary, " (package libcapstone4)");
  Capstone found;
  if (!find(library, "cs_open", found.open) || !find(library, "cs_option", found.option) ||
      !find(library, "cs_disasm", found.disasm) || !find(library, "cs_free", found.free) ||
      !find(library, "cs_close", found.close))
    return fail(ENOENT, kLibrary, " lacks a function");
  functions = found;
  return &functions;
}

cs_mode mode_of(unsigned bits) {
  return bits == 64 ? CS_MODE_64 : bits == 32 ? CS_MODE_32 : CS_MODE_16;
}

}  // namespace

Result<Instruction> disassemble(std::span<const uint8_t> code, uint64_t address, unsigned bits) {
  const Capstone* cs = TRY(load());
  csh handle = 0;
  if (cs->open(CS_ARCH_X86, mode_of(bits), &handle) != CS_ERR_OK)
    return fail(EIO, kLibrary, " does not know this processor");
  cs->option(handle, CS_OPT_SYNTAX, CS_OPT_SYNTAX_ATT);
  cs_insn* found = nullptr;
  Instruction out;
  if (const size_t count = cs->disasm(handle, code.data(), code.size(), address, 1, &found); count != 0) {
    out.bytes = found->size;
    std::string name = found->mnemonic;
    name.resize(std::max<size_t>(name.size(), 8), ' ');
    out.text = str_cat(name, " ", found->op_str);
    cs->free(found, count);
  }
  cs->close(&handle);
  return out;
}

}  // namespace rhea
