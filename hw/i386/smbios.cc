// Spec: DMTF DSP0134 3.4; section numbers below are its.
#include "hw/i386/smbios.h"

#include <algorithm>
#include <numeric>

namespace rhea {
namespace {

constexpr uint64_t kMiB = 1024 * 1024, kGiB = 1024 * kMiB;
constexpr uint64_t kDimmBytes = 16 * kGiB;
enum Handle : uint16_t {
  kBiosHandle = 0x0000,
  kSystemHandle = 0x0100,
  kBaseboardHandle = 0x0200,
  kChassisHandle = 0x0300,
  kProcessorHandle = 0x0400,
  kArrayHandle = 0x1000,
  kDimmHandle = 0x1100,
  kMappedHandle = 0x1300,
  kBootHandle = 0x2000,
  kEndHandle = 0x7f00,
  kNoHandle = 0xfffe,
};

// One structure: a formatted area whose second byte is its own length, then its strings.
class Structure {
 public:
  Structure(uint8_t type, uint16_t handle) { area_.u8(type).u8(0).u16(handle); }
  ByteBuffer& area() { return area_; }
  // Appends the 1-based number of `s`, or 0 for an empty string.
  Structure& text(const std::string& s) {
    if (!s.empty()) strings_.push_back(s);
    area_.u8(s.empty() ? 0 : static_cast<uint8_t>(strings_.size()));
    return *this;
  }
  Bytes finish() {
    area_.patch_le(1, area_.size(), 1);
    for (const std::string& s : strings_) area_.text(s).u8(0);
    if (strings_.empty()) area_.u8(0);
    area_.u8(0);
    return area_.take();
  }

 private:
  ByteBuffer area_;
  std::vector<std::string> strings_;
};

class TableBuilder {
 public:
  void add(Structure s) {
    Bytes b = s.finish();
    largest_ = std::max(largest_, b.size());
    bytes_.insert(bytes_.end(), b.begin(), b.end());
    count_++;
  }
  size_t largest() const { return largest_; }
  size_t count() const { return count_; }
  Bytes& bytes() { return bytes_; }

 private:
  Bytes bytes_;
  size_t largest_ = 0, count_ = 0;
};

Structure bios(const SmbiosBios& c) {  // 7.1
  constexpr uint64_t kNoCharacteristics = 1u << 3;
  constexpr uint8_t kVirtualMachine = 1u << 4, kTargetedContent = 1u << 2, kUefi = 1u << 3;
  Structure s(0, kBiosHandle);
  s.text(c.vendor).text(c.version);
  s.area().u16(0xe800);
  s.text(c.date);
  s.area().u8(0).u64(kNoCharacteristics).u8(0);
  s.area().u8(static_cast<uint8_t>(kVirtualMachine | kTargetedContent | (c.uefi ? kUefi : 0)));
  s.area().u8(c.major_release).u8(c.minor_release).u8(0xff).u8(0xff);
  return s;
}

// The first three fields are little-endian (7.2.1).
void append_uuid(ByteBuffer& b, const std::array<uint8_t, 16>& uuid) {
  for (size_t at : {3, 2, 1, 0, 5, 4, 7, 6}) b.u8(uuid[at]);
  b.raw(std::span(uuid).subspan(8));
}

Structure system(const SmbiosSystem& c, const std::array<uint8_t, 16>& uuid) {  // 7.2
  constexpr uint8_t kPowerSwitch = 6;
  Structure s(1, kSystemHandle);
  s.text(c.manufacturer).text(c.product).text(c.version).text(c.serial);
  append_uuid(s.area(), uuid);
  s.area().u8(kPowerSwitch);
  s.text(c.sku).text(c.family);
  return s;
}

Structure baseboard(const SmbiosBaseboard& c) {  // 7.3
  constexpr uint8_t kHosting = 1, kMotherboard = 0x0a;
  Structure s(2, kBaseboardHandle);
  s.text(c.manufacturer).text(c.product).text(c.version).text(c.serial).text(c.asset_tag);
  s.area().u8(kHosting);
  s.text(c.location);
  s.area().u16(kChassisHandle).u8(kMotherboard).u8(0);
  return s;
}

Structure chassis(const SmbiosChassis& c) {  // 7.4
  constexpr uint8_t kOther = 1, kSafe = 3, kSecurityUnknown = 2;
  Structure s(3, kChassisHandle);
  s.text(c.manufacturer);
  s.area().u8(kOther);
  s.text(c.version).text(c.serial).text(c.asset_tag);
  s.area().u8(kSafe).u8(kSafe).u8(kSafe).u8(kSecurityUnknown).u32(0).u8(0).u8(0).u8(0).u8(0);
  s.text(c.sku);
  return s;
}

uint8_t count8(uint32_t n) {
  return static_cast<uint8_t>(std::min<uint32_t>(n, 0xff));
}

Structure processor(const SmbiosConfig& c, uint32_t socket) {  // 7.5
  constexpr uint8_t kCentral = 3, kFamilyOther = 1, kPopulatedEnabled = 0x41, kUpgradeOther = 1;
  constexpr uint16_t kNoCache = 0xffff, kCharacteristicsUnknown = 1u << 1;
  const SmbiosProcessor& p = c.processor;
  Structure s(4, static_cast<uint16_t>(kProcessorHandle + socket));
  s.text(p.socket_prefix + " " + std::to_string(socket));
  s.area().u8(kCentral).u8(kFamilyOther);
  s.text(p.manufacturer);
  s.area().u32(p.cpuid_eax).u32(p.cpuid_edx);
  s.text(p.version);
  s.area().u8(0).u16(0).u16(p.speed_mhz).u16(p.speed_mhz).u8(kPopulatedEnabled).u8(kUpgradeOther);
  s.area().u16(kNoCache).u16(kNoCache).u16(kNoCache).u8(0).u8(0).u8(0);
  uint8_t cores = count8(c.cores_per_socket);
  s.area().u8(cores).u8(cores).u8(count8(c.cores_per_socket * c.threads_per_core));
  s.area().u16(kCharacteristicsUnknown).u16(kFamilyOther);
  return s;
}

Structure memory_array(uint64_t ram, uint16_t dimms) {  // 7.17
  constexpr uint8_t kOnBoard = 1, kSystemMemory = 3, kMultiBitEcc = 6;
  constexpr uint32_t kUseExtended = 0x8000'0000;
  uint64_t kib = ram / 1024;
  Structure s(16, kArrayHandle);
  s.area().u8(kOnBoard).u8(kSystemMemory).u8(kMultiBitEcc);
  s.area().u32(kib < kUseExtended ? static_cast<uint32_t>(kib) : kUseExtended);
  s.area().u16(kNoHandle).u16(dimms).u64(kib < kUseExtended ? 0 : ram);
  return s;
}

Structure memory_device(uint16_t index, uint64_t bytes) {  // 7.18
  constexpr uint8_t kFormDimm = 9, kTypeRam = 7;
  constexpr uint16_t kUnknownWidth = 0xffff, kDetailOther = 1u << 1, kUseExtended = 0x7fff;
  uint64_t mib = bytes / kMiB;
  bool extended = mib >= kUseExtended;
  Structure s(17, static_cast<uint16_t>(kDimmHandle + index));
  s.area().u16(kArrayHandle).u16(kNoHandle).u16(kUnknownWidth).u16(kUnknownWidth);
  s.area().u16(extended ? kUseExtended : static_cast<uint16_t>(mib)).u8(kFormDimm).u8(0);
  s.text("DIMM " + std::to_string(index)).text("");
  s.area().u8(kTypeRam).u16(kDetailOther).u16(0);
  s.text("QEMU").text("").text("").text("");
  s.area().u8(0).u32(extended ? static_cast<uint32_t>(mib) : 0).u16(0).u16(0).u16(0).u16(0);
  return s;
}

Structure mapped_address(uint16_t index, uint64_t first, uint64_t bytes) {  // 7.20
  constexpr uint32_t kUseExtended = 0xffff'ffff;
  uint64_t end = first + bytes - 1;
  bool extended = end / 1024 >= kUseExtended;
  Structure s(19, static_cast<uint16_t>(kMappedHandle + index));
  s.area().u32(extended ? kUseExtended : static_cast<uint32_t>(first / 1024));
  s.area().u32(extended ? kUseExtended : static_cast<uint32_t>(end / 1024));
  s.area().u16(kArrayHandle).u8(1).u64(extended ? first : 0).u64(extended ? end : 0);
  return s;
}

Structure boot_information() {  // 7.33
  Structure s(32, kBootHandle);
  s.area().zeros(6).u8(0);
  return s;
}

void add_memory(TableBuilder& t, const SmbiosConfig& c) {
  uint64_t ram = c.ram_below_4g + c.ram_above_4g;
  uint16_t dimms = static_cast<uint16_t>(std::min<uint64_t>((ram + kDimmBytes - 1) / kDimmBytes, 0x200));
  t.add(memory_array(ram, dimms));
  for (uint16_t i = 0; i < dimms; i++) {
    uint64_t left = ram - i * kDimmBytes;
    t.add(memory_device(i, i + 1 == dimms ? left : kDimmBytes));
  }
  uint16_t regions = 0;
  if (c.ram_below_4g != 0) t.add(mapped_address(regions++, 0, c.ram_below_4g));
  if (c.ram_above_4g != 0) t.add(mapped_address(regions++, 4 * kGiB, c.ram_above_4g));
}

uint8_t checksum(const Bytes& b, size_t from) {
  auto sum = std::accumulate(b.begin() + static_cast<long>(from), b.end(), 0u);
  return static_cast<uint8_t>(0x100 - (sum & 0xff));
}

Bytes entry_point(const TableBuilder& t, size_t length) {  // 5.2.1
  constexpr uint8_t kMajor = 2, kMinor = 8, kBytes = 0x1f;
  constexpr size_t kChecksumAt = 4, kIntermediate = 0x10, kIntermediateChecksumAt = 0x15;
  ByteBuffer b;
  b.text("_SM_").u8(0).u8(kBytes).u8(kMajor).u8(kMinor).u16(static_cast<uint16_t>(t.largest()));
  b.u8(0).zeros(5);
  b.text("_DMI_").u8(0).u16(static_cast<uint16_t>(length)).u32(0);
  b.u16(static_cast<uint16_t>(t.count())).u8(kMajor << 4 | kMinor);
  b.patch_le(kIntermediateChecksumAt, checksum(b.bytes(), kIntermediate), 1);
  b.patch_le(kChecksumAt, checksum(b.bytes(), 0), 1);
  return b.take();
}

Result<> check_texts(const SmbiosConfig& c) {
  std::vector<const std::string*> texts{
      &c.system.manufacturer, &c.system.product,         &c.system.version,       &c.system.serial,
      &c.system.sku,          &c.system.family,          &c.chassis.manufacturer, &c.chassis.version,
      &c.chassis.serial,      &c.chassis.asset_tag,      &c.chassis.sku,          &c.processor.manufacturer,
      &c.processor.version,   &c.processor.socket_prefix};
  if (c.bios) texts.insert(texts.end(), {&c.bios->vendor, &c.bios->version, &c.bios->date});
  if (c.baseboard) {
    const SmbiosBaseboard& b = *c.baseboard;
    texts.insert(texts.end(),
                 {&b.manufacturer, &b.product, &b.version, &b.serial, &b.asset_tag, &b.location});
  }
  for (const std::string* s : texts) {
    if (s->find('\0') != std::string::npos) return fail(EINVAL, "SMBIOS string holds a NUL character");
  }
  return {};
}

}  // namespace

Result<SmbiosFiles> build_smbios(const SmbiosConfig& config) {
  TRY(check_texts(config));
  if (config.sockets > 0x0c00) return fail(E2BIG, "SMBIOS cannot describe ", config.sockets, " sockets");
  TableBuilder t;
  if (config.bios) t.add(bios(*config.bios));
  t.add(system(config.system, config.uuid));
  if (config.baseboard) t.add(baseboard(*config.baseboard));
  t.add(chassis(config.chassis));
  for (uint32_t i = 0; i < config.sockets; i++) t.add(processor(config, i));
  add_memory(t, config);
  t.add(boot_information());
  t.add(Structure(127, kEndHandle));
  if (t.bytes().size() > 0xffff) {
    return fail(E2BIG, "SMBIOS tables of ", t.bytes().size(), " bytes exceed 65535 bytes");
  }
  SmbiosFiles files;
  files.anchor = entry_point(t, t.bytes().size());
  files.tables = std::move(t.bytes());
  return files;
}

}  // namespace rhea
