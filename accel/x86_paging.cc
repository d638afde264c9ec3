#include "accel/x86_paging.h"

#include <array>

namespace rhea {

namespace {

constexpr uint64_t kCr0Pg = uint64_t{1} << 31, kCr4Pse = 1 << 4, kCr4Pae = 1 << 5, kCr4La57 = 1 << 12;
constexpr uint64_t kEferLma = 1 << 10;
constexpr uint64_t kX86PagingPresent = 1, kWritable = 2, kUser = 4, kLarge = 1 << 7;
constexpr uint64_t kAddressBits = 0x000f'ffff'ffff'f000;

/// How the tables are laid out in the present mode.
struct Layout {
  int levels;  ///< of tables, the one CR3 names included
  unsigned entry_bytes;
  unsigned index_bits;  ///< of a table that is full
  unsigned linear_bits;
  bool large4m;  ///< two-level tables with 4 MiB pages
  bool pae_top;  ///< the first table has four entries without rights
};

Layout layout_of(const X86State& s) {
  if ((s.efer & kEferLma) != 0 && (s.cr4 & kCr4La57) != 0) return {5, 8, 9, 57, false, false};
  if ((s.efer & kEferLma) != 0) return {4, 8, 9, 48, false, false};
  if ((s.cr4 & kCr4Pae) != 0) return {3, 8, 9, 32, false, true};
  return {2, 4, 10, 32, (s.cr4 & kCr4Pse) != 0, false};
}

uint64_t root_of(const X86State& s, const Layout& l) {
  if (l.pae_top) return s.cr3 & 0xffff'ffe0;
  return s.cr3 & (l.entry_bytes == 4 ? 0xffff'f000 : kAddressBits);
}

/// Address bits below those that the entry at `level` (the last level is 1) selects.
unsigned shift_at(const Layout& l, int level) {
  return 12 + l.index_bits * static_cast<unsigned>(level - 1);
}

bool maps_page(const Layout& l, int level, uint64_t entry) {
  if (level == 1) return true;
  if ((entry & kLarge) == 0) return false;
  if (l.entry_bytes == 4) return level == 2 && l.large4m;
  return level == 2 || (level == 3 && !l.pae_top);
}

uint64_t page_address(const Layout& l, int level, uint64_t entry) {
  const uint64_t mask = (uint64_t{1} << shift_at(l, level)) - 1;
  if (l.entry_bytes == 4 && level == 2)  // PSE-36: bits 39:32 stand in 20:13
    return (entry & 0xffc0'0000) | (entry >> 13 & 0xff) << 32;
  return (l.entry_bytes == 4 ? entry & 0xffff'f000 : entry & kAddressBits) & ~mask;
}

uint64_t canonical(const Layout& l, uint64_t linear) {
  if (l.linear_bits == 32 || (linear >> (l.linear_bits - 1) & 1) == 0) return linear;
  return linear | ~uint64_t{0} << l.linear_bits;
}

class Walker {
 public:
  Walker(const Layout& layout, const X86ReadPhysical& read, size_t max_tables,
         const std::function<bool(const X86Page&)>& visit)
      : l_(layout), read_(read), left_(max_tables), visit_(visit) {}

  /// False: stop.
  bool table(uint64_t address, int level, uint64_t linear, bool user, bool writable) {
    if (left_ == 0) return complete_ = false;
    --left_;
    const bool top_of_pae = l_.pae_top && level == 3;
    const unsigned entries = top_of_pae ? 4 : 1u << l_.index_bits;
    for (unsigned i = 0; i < entries; ++i) {
      const uint64_t entry = read_(address + uint64_t{i} * l_.entry_bytes, l_.entry_bytes);
      if ((entry & kX86PagingPresent) == 0) continue;
      const uint64_t here = linear | uint64_t{i} << shift_at(l_, level);
      const bool u = user && (top_of_pae || (entry & kUser) != 0);
      const bool w = writable && (top_of_pae || (entry & kWritable) != 0);
      if (!one(entry, level, here, u, w)) return false;
    }
    return true;
  }
  bool complete() const { return complete_; }

 private:
  bool one(uint64_t entry, int level, uint64_t linear, bool user, bool writable) {
    if (maps_page(l_, level, entry))
      return visit_({.linear = canonical(l_, linear),
                     .physical = page_address(l_, level, entry),
                     .bytes = uint64_t{1} << shift_at(l_, level),
                     .entry = entry,
                     .user = user,
                     .writable = writable});
    const uint64_t next = l_.entry_bytes == 4 ? entry & 0xffff'f000 : entry & kAddressBits;
    return table(next, level - 1, linear, user, writable);
  }

  const Layout& l_;
  const X86ReadPhysical& read_;
  size_t left_;
  const std::function<bool(const X86Page&)>& visit_;
  bool complete_ = true;
};

struct GprName {
  std::string_view wide, narrow, word;
};
constexpr std::array<GprName, 8> kX86PagingGprs = {{{"rax", "eax", "ax"},
                                                    {"rcx", "ecx", "cx"},
                                                    {"rdx", "edx", "dx"},
                                                    {"rbx", "ebx", "bx"},
                                                    {"rsp", "esp", "sp"},
                                                    {"rbp", "ebp", "fp"},
                                                    {"rsi", "esi", "si"},
                                                    {"rdi", "edi", "di"}}};
constexpr std::array<std::string_view, 6> kSegments = {"es", "cs", "ss", "ds", "fs", "gs"};

std::optional<uint64_t> segment_register(const X86State& s, std::string_view name) {
  for (size_t i = 0; i < kSegments.size(); ++i) {
    if (!name.starts_with(kSegments[i])) continue;
    const std::string_view part = name.substr(2);
    if (part.empty()) return s.seg[i].selector;
    if (part == ".base") return s.seg[i].base;
    if (part == ".limit") return s.seg[i].limit;
  }
  return std::nullopt;
}

std::optional<uint64_t> control_register(const X86State& s, std::string_view name) {
  struct Named {
    std::string_view name;
    uint64_t value;
  };
  const Named list[] = {{"eip", s.rip},          {"rip", s.rip}, {"pc", s.rip},    {"eflags", s.rflags},
                        {"rflags", s.rflags},    {"cr0", s.cr0}, {"cr2", s.cr2},   {"cr3", s.cr3},
                        {"cr4", s.cr4},          {"cr8", s.cr8}, {"efer", s.efer}, {"gdt.base", s.gdt.base},
                        {"idt.base", s.idt.base}};
  for (const Named& n : list)
    if (n.name == name) return n.value;
  return std::nullopt;
}

}  // namespace

bool x86_paging(const X86State& state) {
  return (state.cr0 & kCr0Pg) != 0;
}

std::optional<uint64_t> x86_translate(const X86State& state, uint64_t linear, const X86ReadPhysical& read) {
  if (!x86_paging(state)) return linear;
  const Layout l = layout_of(state);
  if (l.linear_bits == 32) linear &= 0xffff'ffff;
  if (l.linear_bits > 32 && canonical(l, linear & ((uint64_t{1} << l.linear_bits) - 1)) != linear)
    return std::nullopt;
  uint64_t table = root_of(state, l);
  for (int level = l.levels; level >= 1; --level) {
    const uint64_t mask = l.pae_top && level == 3 ? 3 : (uint64_t{1} << l.index_bits) - 1;
    const uint64_t index = linear >> shift_at(l, level) & mask;
    const uint64_t entry = read(table + index * l.entry_bytes, l.entry_bytes);
    if ((entry & kX86PagingPresent) == 0) return std::nullopt;
    if (maps_page(l, level, entry))
      return page_address(l, level, entry) | (linear & ((uint64_t{1} << shift_at(l, level)) - 1));
    table = l.entry_bytes == 4 ? entry & 0xffff'f000 : entry & kAddressBits;
  }
  return std::nullopt;
}

bool x86_for_each_page(const X86State& state, const X86ReadPhysical& read, size_t max_tables,
                       const std::function<bool(const X86Page&)>& visit) {
  if (!x86_paging(state)) return true;
  const Layout l = layout_of(state);
  Walker walker(l, read, max_tables, visit);
  walker.table(root_of(state, l), l.levels, 0, true, true);
  return walker.complete();
}

Result<uint64_t> x86_register(const X86State& state, std::string_view name) {
  for (size_t i = 0; i < kX86PagingGprs.size(); ++i)
    if (name == kX86PagingGprs[i].wide || name == kX86PagingGprs[i].narrow || name == kX86PagingGprs[i].word)
      return state.gpr[i];
  for (size_t i = 8; i < state.gpr.size(); ++i)
    if (name == str_cat("r", i)) return state.gpr[i];
  if (const auto value = segment_register(state, name)) return *value;
  if (const auto value = control_register(state, name)) return *value;
  return fail(ENOENT, "unknown register");
}

unsigned x86_code_bits(const X86State& state) {
  constexpr uint16_t kLong = 1 << 13, kBig = 1 << 14;
  const X86Segment& cs = state.seg[kCs];
  if ((state.efer & kEferLma) != 0 && (cs.flags & kLong) != 0) return 64;
  return (cs.flags & kBig) != 0 ? 32 : 16;
}

}  // namespace rhea
