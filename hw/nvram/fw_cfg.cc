#include "hw/nvram/fw_cfg.h"

#include <array>
#include <string_view>

#include "util/byteorder.h"

namespace rhea {
namespace {

constexpr uint64_t kDataPort = 0x510, kDataBytes = 2;
constexpr uint64_t kDmaPort = 0x514, kDmaBytes = 8;
constexpr uint16_t kMinFileSlots = 0x10;
constexpr uint16_t kMaxFileSlots = 0x3fff - 0x20;  // what the selector's 14 bits leave
constexpr std::string_view kDmaSignature = "QEMU CFG";
constexpr uint64_t kPage = 4096;

// DMA goes through the machine's view of memory, so it reaches only what the guest could.
class SpaceMemory final : public FwCfgMemory {
 public:
  explicit SpaceMemory(AddressSpace& space) : space_(space) {}
  bool read(uint64_t address, std::span<uint8_t> out) override {
    return space_.read(address, out.data(), out.size()) == MemResult::kOk;
  }
  bool write(uint64_t address, std::span<const uint8_t> data) override {
    return space_.write(address, data.data(), data.size()) == MemResult::kOk;
  }

 private:
  AddressSpace& space_;
};

}  // namespace

struct FwCfgIo::Description {
  static FwCfgIo& self(void* o) { return *static_cast<FwCfgIo*>(o); }
  static const FwCfgIo& self(const void* o) { return *static_cast<const FwCfgIo*>(o); }

  static constexpr PropertyInfo kProperties[] = {
      prop<&FwCfgIo::dma_enabled_>("dma_enabled"),
      prop<&FwCfgIo::file_slots_>("x-file-slots"),
  };

  static constexpr VMStateField kDmaFields[] = {field<&FwCfgIo::dma_address_>("dma_addr")};
  static constexpr VMState kDma = {
      .name = "fw_cfg/dma",
      .version = 1,
      .fields = kDmaFields,
      .needed = [](const void* o) { return self(o).dma_enabled_; },
  };

  // Sizes of the ACPI files. Ours are rebuilt when selected; the numbers are sent for whoever needs them.
  static constexpr VMStateField kAcpiFields[] = {field<&FwCfgIo::tables_bytes_>("table_mr_size"),
                                                 field<&FwCfgIo::loader_bytes_>("linker_mr_size"),
                                                 field<&FwCfgIo::rsdp_bytes_>("rsdp_mr_size")};
  static constexpr VMState kAcpi = {
      .name = "fw_cfg/acpi_mr",
      .version = 1,
      .fields = kAcpiFields,
      .needed =
          [](const void* o) {
            const FwCfgIo& s = self(o);
            return (s.tables_bytes_ | s.loader_bytes_ | s.rsdp_bytes_) % kPage != 0;
          },
  };

  static constexpr VMStateField kFields[] = {field<&FwCfgIo::saved_entry_>("cur_entry"),
                                             field<&FwCfgIo::saved_offset_>("cur_offset")};
  static constexpr const VMState* kSubsections[] = {&kDma, &kAcpi};
  static constexpr VMState kVmState = {
      .name = "fw_cfg",
      .version = 2,
      .fields = kFields,
      .subsections = kSubsections,
      .pre_save = [](void* o) { self(o).before_save(); },
      .post_load = [](void* o, int) -> Result<> {
        FwCfgIo& s = self(o);
        s.store_.set_cursor({s.saved_entry_, s.saved_offset_});  // any value is safe
        return {};
      },
  };
};

static constexpr TypeInfo kFwCfgType{.name = "fw_cfg", .parent = &Device::kSysBusType};
const TypeInfo FwCfgIo::kType = {
    .name = "fw_cfg_io",
    .parent = &kFwCfgType,
    .create = []() -> std::shared_ptr<Object> { return std::make_shared<FwCfgIo>(); },
    .properties = FwCfgIo::Description::kProperties,
};

const VMState* FwCfgIo::vmstate() const {
  return &Description::kVmState;
}

void FwCfgIo::before_save() {
  FwCfgStore::Cursor cursor = store_.cursor();
  saved_entry_ = cursor.key;
  saved_offset_ = cursor.offset;
  tables_bytes_ = store_.visible_file_size("etc/acpi/tables");
  loader_bytes_ = store_.visible_file_size("etc/table-loader");
  rsdp_bytes_ = store_.visible_file_size("etc/acpi/rsdp");
}

Result<> FwCfgIo::do_realize() {
  if (!io_ || !memory_) return fail(EINVAL, "fw_cfg is not connected to memory");
  if (file_slots_ < kMinFileSlots || file_slots_ > kMaxFileSlots) {
    return fail(EINVAL, "\"x-file-slots\" must be ", kMinFileSlots, " to ", kMaxFileSlots);
  }
  store_.set_file_slots(file_slots_);
  AccessRules data_rules{.valid_min = 1, .valid_max = 2, .impl_min = 1, .impl_max = 2};
  data_region_ = MemoryRegion::io("fwcfg", kDataBytes, data_handler_, data_rules);
  io_->add_subregion(kDataPort, *data_region_);
  if (!dma_enabled_) return {};
  AccessRules dma_rules{.valid_min = 1, .valid_max = 8, .impl_min = 1, .impl_max = 8};
  dma_region_ = MemoryRegion::io("fwcfg.dma", kDmaBytes, dma_handler_, dma_rules);
  io_->add_subregion(kDmaPort, *dma_region_);
  return {};
}

void FwCfgIo::do_unrealize() {
  data_region_.reset();
  dma_region_.reset();
}

void FwCfgIo::reset() {
  store_.set_cursor({});
  dma_address_ = 0;
}

// Both ports read the next byte; wider reads do not exist.
uint64_t FwCfgIo::data_read(uint64_t /*offset*/, unsigned size) {
  return size == 1 ? store_.read_byte() : ~uint64_t{0};
}

void FwCfgIo::data_write(uint64_t offset, uint64_t value, unsigned size) {
  if (offset == 0 && size == 2) store_.select(static_cast<uint16_t>(value));
}

uint64_t FwCfgIo::dma_read(uint64_t offset, unsigned size) {
  uint64_t value = 0;
  for (unsigned i = 0; i < size && offset + i < kDmaSignature.size(); i++) {
    value |= uint64_t{static_cast<uint8_t>(kDmaSignature[offset + i])} << (8 * i);
  }
  return value;
}

// The register is big-endian: the half at offset 0 holds the upper 32 bits.
void FwCfgIo::dma_write(uint64_t offset, uint64_t value, unsigned size) {
  if (size == 4 && offset == 0) {
    dma_address_ = uint64_t{byte_swapped(static_cast<uint32_t>(value))} << 32;
  } else if (size == 4 && offset == 4) {
    dma_address_ |= byte_swapped(static_cast<uint32_t>(value));
    start_dma();
  } else if (size == 8 && offset == 0) {
    dma_address_ = byte_swapped(value);
    start_dma();
  }
}

void FwCfgIo::start_dma() {
  uint64_t descriptor = dma_address_;
  dma_address_ = 0;
  SpaceMemory memory(*memory_);
  store_.dma(memory, descriptor);
}

void register_nvram_types() {
  TypeRegistry::instance().add(FwCfgIo::kType);
}

}  // namespace rhea
