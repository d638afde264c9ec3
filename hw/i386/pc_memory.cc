// RAM, firmware and flash of the board.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "hw/block/pflash_cfi01.h"
#include "hw/i386/pc_build.h"
#include "hw/mem/pc_dimm.h"
#include "hw/nvram/fw_cfg.h"
#include "memory/backend.h"
#include "util/log.h"

namespace rhea {

namespace {

constexpr uint64_t kMaxFirmwareBytes = 16 * kMiB;
constexpr uint64_t kFirmwareLowBytes = 128 * 1024;  // what shows below 1 MiB

}  // namespace

/// What does not fit below the hole for PCI moves above 4 GiB; a board with that much RAM leaves a whole GiB
/// to PCI, so that the rest begins at a GiB.
uint64_t PcMachine::low_ram_bytes(uint64_t ram_bytes) const {
  uint64_t limit = max_ram_below_4g != 0 ? max_ram_below_4g : 0xe000'0000;
  if (ram_bytes < limit) return ram_bytes;
  if (version_.gigabyte_align) {
    limit = std::min(limit, 3 * kGiB);
    if (limit % kGiB != 0)
      warn_report(str_cat("Large machine and max_ram_below_4g (", max_ram_below_4g,
                          ") not a multiple of 1G; possible bad performance."));
  }
  return std::min(ram_bytes, limit);
}

/// All of RAM: one block, or that of each NUMA node after the other.
Result<> PcMachine::build_ram(MachineContext& context) {
  const MachineConfig& c = context.config;
  const bool by_nodes =
      std::ranges::any_of(c.numa.nodes, [](const NumaNode& n) { return !n.memdev.empty(); });
  if (!by_nodes) {
    MachineRam ram{.backend = memory_backend,
                   .default_id = machine_class().default_ram_id,
                   .bytes = c.ram_bytes,
                   .mem_path = c.mem_path,
                   .prealloc = c.mem_prealloc,
                   .merge = mem_merge,
                   .dump = dump_guest_core};
    ram_ = MemoryRegion::ram("pc.ram", TRY(machine_ram(ram)));
    return {};
  }
  if (!memory_backend.empty())
    return fail(EINVAL, "'-machine memory-backend' and '-numa memdev' properties are mutually exclusive");
  ram_ = MemoryRegion::container("pc.ram", c.ram_bytes);
  uint64_t at = 0;
  for (const NumaNode& node : c.numa.nodes) {
    if (node.memdev.empty()) continue;
    node_ram_.push_back(MemoryRegion::ram(node.memdev, TRY(claim_memory_backend(node.memdev))));
    ram_->add_subregion(at, *node_ram_.back());
    at += node.bytes;
  }
  return {};
}

Result<> PcMachine::build_memory(MachineContext& context) {
  const uint64_t bytes = context.config.ram_bytes;
  below_4g_ = low_ram_bytes(bytes);
  above_4g_ = bytes - below_4g_;
  TRY(build_ram(context));
  const MemoryTransaction transaction;
  ram_low_ = MemoryRegion::alias("ram-below-4g", *ram_, 0, below_4g_);
  system_memory().add_subregion(0, *ram_low_);
  if (above_4g_ != 0) {
    ram_high_ = MemoryRegion::alias("ram-above-4g", *ram_, below_4g_, above_4g_);
    system_memory().add_subregion(kFourGiB, *ram_high_);
  }
  // Modules that come later have their addresses behind the RAM, from a GiB on.
  const MachineConfig& c = context.config;
  memory_devices().set_up(kFourGiB + (above_4g_ + kGiB - 1) / kGiB * kGiB,
                          std::max(c.max_ram_bytes, bytes) - bytes, c.memory_slots,
                          static_cast<uint32_t>(c.numa.nodes.size()));
  if (memory_devices().region() != nullptr)
    system_memory().add_subregion(memory_devices().base(), *memory_devices().region());
  // What no other region claims belongs to the PCI bus.
  pci_memory_ = MemoryRegion::container("pci", MemoryRegion::kWholeSpace);
  system_memory().add_subregion(0, *pci_memory_, -1);
  return {};
}

Result<> PcMachine::load_firmware(MachineContext& context) {
  std::string name = context.config.firmware;
  if (name.empty()) name = version_.small_firmware ? "bios.bin" : "bios-256k.bin";
  const std::string path = context.config.find_data_file(name);
  if (path.empty())
    return fail(ENOENT, "could not load PC BIOS '", name,
                "': no such file in the firmware directories (package seabios has it)");
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat st {};
  if (!fd || ::fstat(fd.get(), &st) < 0) return fail_errno(errno, "could not load PC BIOS '", path, "'");
  const auto bytes = static_cast<uint64_t>(st.st_size);
  if (bytes == 0 || bytes % 65536 != 0 || bytes > kMaxFirmwareBytes)
    return fail(EINVAL, "could not load PC BIOS '", path, "': its size (", bytes,
                ") is no multiple of 64 KiB up to 16 MiB");
  firmware_block_ = TRY(RamBlock::create("pc.bios", bytes));
  for (uint64_t done = 0; done < bytes;) {
    const ssize_t n =
        ::pread(fd.get(), firmware_block_->host() + done, bytes - done, static_cast<off_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return fail_errno(n < 0 ? errno : EIO, "could not load PC BIOS '", path, "'");
    done += static_cast<uint64_t>(n);
  }
  const MemoryTransaction transaction;
  firmware_ = MemoryRegion::rom("pc.bios", firmware_block_);
  const uint64_t low = std::min(bytes, kFirmwareLowBytes);
  firmware_low_ = MemoryRegion::alias("isa-bios", *firmware_, bytes - low, low);
  pci_memory_->add_subregion(kFourGiB - bytes, *firmware_);
  pci_memory_->add_subregion(kMiB - low, *firmware_low_, 1);
  return {};
}

/// The firmware's last 128 KiB show below 1 MiB, as a copy: they stay readable while the flash takes
/// commands.
Result<> PcMachine::show_firmware_low(const RamBlock& flash) {
  const uint64_t low = std::min(flash.size(), kFirmwareLowBytes);
  firmware_block_ = TRY(RamBlock::create("isa-bios", low));
  std::memcpy(firmware_block_->host(), flash.host() + flash.size() - low, low);
  firmware_low_ = MemoryRegion::rom("isa-bios", firmware_block_);
  pci_memory_->add_subregion(kMiB - low, *firmware_low_, 1);
  return {};
}

/// Flash in place of the firmware of -bios: unit 0 ends at 4 GiB, unit 1 below it.
CoResult<> PcMachine::co_map_flash(MachineContext& context) {
  if (pflash0.empty() && pflash1.empty()) co_return Result<>();
  if (pflash0.empty()) co_return fail(EINVAL, "pflash1 requires pflash0");
  GuestAddr end = kFourGiB;
  for (const std::string* drive : {&pflash0, &pflash1}) {
    if (drive->empty()) continue;
    const bool first = drive == &pflash0;
    std::function<void(PflashCfi01&)> wire = [&](PflashCfi01& d) {
      d.name = first ? "flash0" : "flash1";
      d.drive = *drive;
      d.system = pci_memory_.get();
      d.end = end;
    };
    if (first) {
      const MemoryTransaction transaction;
      firmware_low_.reset();
      firmware_.reset();
    }
    PflashCfi01* flash = co_await or_return(co_await co_add<PflashCfi01>(context, nullptr, wire));
    if (first) co_await or_return(show_firmware_low(*flash->array()));
    end -= flash->array()->size();
    if (kFourGiB - end > kMaxFirmwareBytes)
      co_return fail(EINVAL, "combined size of system firmware exceeds ", kMaxFirmwareBytes, " bytes");
  }
  co_return Result<>();
}

std::vector<MachineRom> PcMachine::roms() const {
  std::vector<MachineRom> out;
  if (firmware_block_ != nullptr)
    out.push_back({.name = config->firmware,
                   .address = kFourGiB - firmware_block_->size(),
                   .file = {},
                   .bytes = firmware_block_->size()});
  for (const char* name : {"etc/acpi/tables", "etc/table-loader", "etc/acpi/rsdp"})
    if (fw_cfg_ != nullptr && fw_cfg_->store().visible_file_size(name) != 0)  // else not built yet
      out.push_back({.name = name,
                     .address = std::nullopt,
                     .file = name,
                     .bytes = fw_cfg_->store().visible_file_size(name)});
  return out;
}

}  // namespace rhea
