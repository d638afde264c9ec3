// HMP commands that look at guest memory, ports and expressions: x, xp, print, i, o, sum, gva2gpa, gpa2hva,
// gpa2hpa, memsave, pmemsave.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "accel/accel.h"
#include "accel/x86_paging.h"
#include "memory/memory.h"
#include "qapi/hmp_registry.h"
#include "system/disassembler.h"
#include "system/hmp_machine.h"
#include "util/unique_fd.h"

namespace rhea {

uint64_t read_physical(uint64_t address, unsigned bytes) {
  return memory_space().load(address, bytes);
}

namespace {

constexpr uint64_t kMaxShown = uint64_t{1} << 20;  // bytes that one command prints values of
constexpr size_t kMaxInstruction = 15;             // SDM 2.3.11

/// How the last command of this kind showed values: what the next one does if it does not say.
struct LastFormat {
  char format = 'x';
  uint8_t size = 4;
};

struct Shown {
  uint64_t count;
  char format;
  unsigned size;
};

Shown take_format(const HmpCall& call) {
  static LastFormat last;
  Shown out{1, last.format, last.size};
  if (const Json* fmt = call.args.find("fmt"); fmt != nullptr && fmt->is_object()) {
    out.count = static_cast<uint64_t>(fmt->find("count")->as_int());
    const std::string& letter = fmt->find("format")->as_string();
    if (!letter.empty()) out.format = letter[0];
    if (const auto size = static_cast<unsigned>(fmt->find("size")->as_int()); size != 0) out.size = size;
  }
  last = {out.format, static_cast<uint8_t>(out.size)};
  return out;
}

/// The processor the command is about; null if there is none.
Vcpu* vcpu_of(const HmpCall& call) {
  const auto index = static_cast<uint64_t>(call.cpu_index.value_or(0));
  Accelerator* accel = machine_accelerator();
  return accel != nullptr && index < accel->vcpus().size() ? accel->vcpus()[index].get() : nullptr;
}

/// Guest memory by physical or linear addresses.
class Reader {
 public:
  static Result<Reader> create(const HmpCall& call, bool physical) {
    Reader reader;
    if (physical) return reader;
    Vcpu* vcpu = vcpu_of(call);
    if (vcpu == nullptr) return fail(ENODEV, "No CPU available");
    reader.state_ = std::make_shared<const X86State>(TRY(vcpu->get_state()));
    return reader;
  }
  /// False if some of it is not there.
  bool read(uint64_t address, std::span<uint8_t> out) const {
    while (!out.empty()) {
      const size_t bytes = std::min<size_t>(out.size(), kPageSize - address % kPageSize);
      uint64_t physical = address;
      if (state_ != nullptr) {
        const auto at = x86_translate(*state_, address, read_physical);
        if (!at) return false;
        physical = *at;
      }
      if (memory_space().read(physical, out.data(), bytes) != MemResult::kOk) return false;
      out = out.subspan(bytes);
      address += bytes;
    }
    return true;
  }

 private:
  std::shared_ptr<const X86State> state_;
};

std::string shown_char(uint8_t c) {
  switch (c) {
    case '\'':
      return "'\\''";
    case '\\':
      return "'\\\\'";
    case '\n':
      return "'\\n'";
    case '\r':
      return "'\\r'";
    default:
      return c >= 32 && c < 127 ? fmt::format("'{}'", static_cast<char>(c)) : fmt::format("'\\x{:02x}'", c);
  }
}

int64_t sign_extended(uint64_t value, unsigned bytes) {
  const unsigned unused = 64 - 8 * bytes;
  return static_cast<int64_t>(value << unused) >> unused;
}

std::string shown_value(uint64_t value, const Shown& how) {
  const int decimal_digits = static_cast<int>((how.size * 8 * 10 + 32) / 33);
  switch (how.format) {
    case 'o':
      return fmt::format("{:>{}}", value == 0 ? "0" : fmt::format("0{:o}", value),
                         static_cast<int>((how.size * 8 + 2) / 3));
    case 'u':
      return fmt::format("{:{}}", value, decimal_digits);
    case 'd':
      return fmt::format("{:{}}", sign_extended(value, how.size), decimal_digits);
    case 'c':
      return shown_char(static_cast<uint8_t>(value));
    default:
      return fmt::format("0x{:0{}x}", value, static_cast<int>(how.size * 2));
  }
}

Result<> show_instructions(HmpCall& call, const Reader& memory, uint64_t address, uint64_t count) {
  Vcpu* vcpu = vcpu_of(call);
  const unsigned bits = vcpu != nullptr ? x86_code_bits(TRY(vcpu->get_state())) : 16;
  for (; count > 0 && call.out.size() < kMaxShown; --count) {
    std::array<uint8_t, kMaxInstruction> code{};
    size_t there = code.size();
    while (there > 0 && !memory.read(address, {code.data(), there})) --there;
    if (there == 0) {
      call.print("Cannot access memory\n");
      return {};
    }
    Instruction one = TRY(disassemble({code.data(), there}, address, bits));
    if (one.bytes == 0) one = {1, "(bad)"};
    std::string bytes;
    for (size_t i = 0; i < one.bytes; ++i) bytes += fmt::format("{:02x} ", code[i]);
    call.print(fmt::format("0x{:08x}:  {:<24} {}\n", address, bytes, one.text));
    address += one.bytes;
  }
  return {};
}

Result<> dump(HmpCall& call, bool physical) {
  const Shown how = take_format(call);
  auto address = static_cast<uint64_t>(call.number("addr"));
  const Reader memory = TRY(Reader::create(call, physical));
  if (how.format == 'i') return show_instructions(call, memory, address, how.count);
  Shown value = how;
  if (how.format == 'c') value.size = 1;
  const uint64_t line = value.size == 1 ? 8 : 16;
  uint64_t left = std::min(how.count, kMaxShown / value.size) * value.size;
  std::array<uint8_t, 16> bytes{};
  while (left > 0) {
    const uint64_t here = std::min(left, line);
    call.print(hex(address, 16), ":");
    if (!memory.read(address, {bytes.data(), here})) {
      call.print(" Cannot access memory\n");
      return {};
    }
    for (uint64_t at = 0; at < here; at += value.size) {
      uint64_t number = 0;
      for (unsigned i = 0; i < value.size; ++i) number |= uint64_t{bytes[at + i]} << (8 * i);
      call.print(" ", shown_value(number, value));
    }
    call.print("\n");
    address += here;
    left -= here;
  }
  if (how.count > kMaxShown / value.size) call.print("(stopped after ", kMaxShown, " bytes)\n");
  return {};
}

Result<> hmp_x(HmpCall& call) {
  return dump(call, false);
}

Result<> hmp_xp(HmpCall& call) {
  return dump(call, true);
}

Result<> hmp_print(HmpCall& call) {
  const int64_t value = call.number("val");
  const auto bits = static_cast<uint64_t>(value);
  const Json* fmt = call.args.find("fmt");
  const std::string letter = fmt != nullptr ? fmt->find("format")->as_string() : std::string();
  switch (letter.empty() ? 'd' : letter[0]) {
    case 'o':
      call.print(bits == 0 ? "0" : fmt::format("0{:o}", bits));
      break;
    case 'x':
      call.print(bits == 0 ? "0" : fmt::format("0x{:x}", bits));
      break;
    case 'u':
      call.print(bits);
      break;
    case 'c':
      call.print(shown_char(static_cast<uint8_t>(value)));
      break;
    default:
      call.print(value);
  }
  call.print("\n");
  return {};
}

char port_suffix(unsigned size) {
  return size == 2 ? 'w' : size == 4 ? 'l' : 'b';
}

/// Ports are 1, 2 or 4 bytes wide.
unsigned port_size(const Shown& how) {
  return how.size == 2 || how.size == 4 ? how.size : 1;
}

Result<> hmp_in(HmpCall& call) {
  const unsigned size = port_size(take_format(call));
  const auto port = static_cast<uint64_t>(call.number("addr")) & 0xffff;
  const uint64_t value = io_space().load(port, size);
  call.print(fmt::format("port{}[0x{:04x}] = 0x{:0{}x}\n", port_suffix(size), port, value, size * 2));
  return {};
}

Result<> hmp_out(HmpCall& call) {
  const unsigned size = port_size(take_format(call));
  const auto port = static_cast<uint64_t>(call.number("addr")) & 0xffff;
  io_space().store(port, static_cast<uint64_t>(call.number("val")), size);
  return {};
}

/// The checksum of the BSD command "sum".
Result<> hmp_sum(HmpCall& call) {
  auto address = static_cast<uint64_t>(call.number("start"));
  auto left = static_cast<uint64_t>(call.number("size"));
  uint16_t sum = 0;
  std::array<uint8_t, 4096> bytes{};
  while (left > 0) {
    const uint64_t here = std::min<uint64_t>(left, bytes.size());
    if (memory_space().read(address, bytes.data(), here) != MemResult::kOk)
      return fail(EFAULT, "Cannot access memory at 0x", hex(address));
    for (uint64_t i = 0; i < here; ++i)
      sum = static_cast<uint16_t>(static_cast<uint16_t>(sum >> 1 | sum << 15) + bytes[i]);
    address += here;
    left -= here;
  }
  call.print(fmt::format("{:05}\n", sum));
  return {};
}

Result<> hmp_gva2gpa(HmpCall& call) {
  Vcpu* vcpu = vcpu_of(call);
  if (vcpu == nullptr) return fail(ENODEV, "No CPU available");
  const X86State state = TRY(vcpu->get_state());
  const auto at = x86_translate(state, static_cast<uint64_t>(call.number("addr")), read_physical);
  if (at)
    call.print("gpa: ", *at == 0 ? "0" : str_cat("0x", hex(*at)), "\n");
  else
    call.print("Unmapped\n");
  return {};
}

/// The host's mapping of a guest-physical address, with the messages users know.
Result<AddressSpace::Mapping> host_mapping(uint64_t address) {
  const auto mapping = memory_space().map(address, 1, false);
  if (mapping.host != nullptr) return mapping;
  const auto view = memory_space().view();
  if (view->find(address) == nullptr) return fail(EFAULT, "No memory is mapped at address 0x", hex(address));
  return fail(EFAULT, "Memory at address 0x", hex(address), " is not RAM");
}

Result<> hmp_gpa2hva(HmpCall& call) {
  const auto address = static_cast<uint64_t>(call.number("addr"));
  const auto mapping = host_mapping(address);
  if (!mapping) {
    call.print(mapping.error().message(), "\n");
    return {};
  }
  call.print("Host virtual address for 0x", hex(address), " (", mapping->block->id(), ") is 0x",
             hex(reinterpret_cast<uintptr_t>(mapping->host)), "\n");
  return {};
}

/// The physical page of the host behind `host` (Linux, admin-guide/mm/pagemap).
Result<uint64_t> host_physical(const uint8_t* host) {
  const UniqueFd fd(::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
  if (!fd) return fail_errno(errno, "Cannot open /proc/self/pagemap");
  const auto page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  const auto at = reinterpret_cast<uintptr_t>(host);
  [[maybe_unused]] const uint8_t touched = *static_cast<const volatile uint8_t*>(host);
  uint64_t entry = 0;
  if (::pread(fd.get(), &entry, sizeof entry, static_cast<off_t>(at / page * sizeof entry)) !=
      static_cast<ssize_t>(sizeof entry))
    return fail_errno(errno, "Cannot read pagemap");
  constexpr uint64_t kPresent = uint64_t{1} << 63, kFrame = (uint64_t{1} << 55) - 1;
  if ((entry & kPresent) == 0) return fail(EFAULT, "Page not present");
  if ((entry & kFrame) == 0) return fail(EPERM, "Page frame numbers are hidden from this process");
  return (entry & kFrame) * page + at % page;
}

Result<> hmp_gpa2hpa(HmpCall& call) {
  const auto address = static_cast<uint64_t>(call.number("addr"));
  const auto mapping = host_mapping(address);
  if (!mapping) {
    call.print(mapping.error().message(), "\n");
    return {};
  }
  const uint64_t physical = TRY(host_physical(mapping->host));
  call.print("Host physical address for 0x", hex(address), " (", mapping->block->id(), ") is 0x",
             hex(physical), "\n");
  return {};
}

constexpr HmpCommand kHmpMemoryCommands[] = {
    {.name = "x",
     .args = "fmt:/,addr:l",
     .params = "/fmt addr",
     .help = "virtual memory dump starting at 'addr'",
     .run = hmp_x},
    {.name = "xp",
     .args = "fmt:/,addr:l",
     .params = "/fmt addr",
     .help = "physical memory dump starting at 'addr'",
     .run = hmp_xp},
    {.name = "print|p",
     .args = "fmt:/,val:l",
     .params = "/fmt expr",
     .help = "print expression value (use $reg for CPU register access)",
     .run = hmp_print},
    {.name = "i", .args = "fmt:/,addr:i", .params = "/fmt addr", .help = "I/O port read", .run = hmp_in},
    {.name = "o",
     .args = "fmt:/,addr:i,val:i",
     .params = "/fmt addr value",
     .help = "I/O port write",
     .run = hmp_out},
    {.name = "sum",
     .args = "start:i,size:i",
     .params = "addr size",
     .help = "compute the checksum of a memory region",
     .run = hmp_sum},
    {.name = "gva2gpa",
     .args = "addr:l",
     .params = "addr",
     .help = "print the guest physical address corresponding to a guest virtual address",
     .run = hmp_gva2gpa},
    {.name = "gpa2hva",
     .args = "addr:l",
     .params = "addr",
     .help = "print the host virtual address corresponding to a guest physical address",
     .run = hmp_gpa2hva},
    {.name = "gpa2hpa",
     .args = "addr:l",
     .params = "addr",
     .help = "print the host physical address corresponding to a guest physical address",
     .run = hmp_gpa2hpa},
};

}  // namespace

void register_memory_hmp(HmpRegistry& registry) {
  for (const auto& command : kHmpMemoryCommands) registry.add(command);
}

}  // namespace rhea
