#include "hw/misc/pc_testdev.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

namespace rhea {

namespace {
constexpr uint16_t kPort = 0xe0, kFlushPort = 0xe4, kBytePort = 0xe8, kLinePorts = 0x2000;
constexpr uint16_t kLines = 24;
constexpr uint64_t kMemoryBase = 0xff00'0000;
constexpr AccessRules kUpToDword{.valid_max = 4, .impl_max = 4};

/// `bytes` stay inside: regions split what crosses their end.
template <size_t N>
uint64_t load_bytes(const std::array<uint8_t, N>& from, uint64_t offset, unsigned bytes) {
  uint64_t value = 0;
  std::memcpy(&value, &from[offset], std::min<size_t>(bytes, N - offset));
  return value;
}
template <size_t N>
void store_bytes(std::array<uint8_t, N>& to, uint64_t offset, uint64_t value, unsigned bytes) {
  std::memcpy(&to[offset], &value, std::min<size_t>(bytes, N - offset));
}

constexpr VMState kPcTestdevVmState{.name = "pc-testdev", .unmigratable = "its memory is a test's own"};
}  // namespace

constexpr TypeInfo PcTestdev::kType{
    .name = "pc-testdev",
    .parent = &IsaDevice::kType,
    .create = []() -> std::shared_ptr<Object> { return std::make_shared<PcTestdev>(); },
    .user_creatable = true,
    .category = DeviceCategory::kMisc};

Result<> PcTestdev::do_realize() {
  add_ports(kPort, 4, port_io_, "pc-testdev-ioport", kUpToDword);
  add_ports(kFlushPort, 4, flush_io_, "pc-testdev-flush-page",
            {.valid_min = 4, .valid_max = 4, .impl_max = 4});
  add_ports(kBytePort, 4, byte_io_, "pc-testdev-ioport-byte", {.valid_max = 4, .impl_max = 1});
  add_ports(kLinePorts, kLines, line_io_, "pc-testdev-irq-line", {.valid_max = 1, .impl_max = 1});
  memory_region_ = MemoryRegion::io("pc-testdev-iomem", memory_.size(), memory_io_);
  system_memory().add_subregion(kMemoryBase, *memory_region_, 1);
  return {};
}

void PcTestdev::do_unrealize() {
  memory_region_.reset();
  IsaDevice::do_unrealize();
}

uint64_t PcTestdev::port_read(uint64_t offset, unsigned size) {
  return load_bytes(port_, offset, size);
}

void PcTestdev::port_write(uint64_t offset, uint64_t value, unsigned size) {
  store_bytes(port_, offset, value, size);
}

/// Takes the page away from the guest's second-level tables for a moment.
void PcTestdev::flush_page(uint64_t, uint64_t address, unsigned) {
  const auto host_page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  const AddressSpace::Mapping page = memory_space().map(address & ~(host_page - 1), host_page, true);
  if (page.host == nullptr || page.bytes < host_page) return;
  mprotect(page.host, host_page, PROT_NONE);
  mprotect(page.host, host_page, PROT_READ | PROT_WRITE);
}

void PcTestdev::set_line(uint64_t line, uint64_t level, unsigned) {
  if (line < 16) isa_bus().irq(static_cast<unsigned>(line)).set(level != 0 ? 1 : 0);
}

uint64_t PcTestdev::memory_read(uint64_t offset, unsigned size) {
  return load_bytes(memory_, offset, size);
}

void PcTestdev::memory_write(uint64_t offset, uint64_t value, unsigned size) {
  store_bytes(memory_, offset, value, size);
}

const VMState* PcTestdev::vmstate() const {
  return &kPcTestdevVmState;
}

}  // namespace rhea
