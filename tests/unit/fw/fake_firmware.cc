#include "tests/unit/fw/fake_firmware.h"

#include <numeric>

namespace rhea::test {
namespace {

std::string text_at(const Bytes& b, size_t at, size_t width) {
  std::string s(b.begin() + static_cast<long>(at), b.begin() + static_cast<long>(at + width));
  return s.substr(0, s.find('\0'));
}

uint8_t byte_sum(const Bytes& b, size_t start, size_t length) {
  return std::accumulate(b.begin() + static_cast<long>(start), b.begin() + static_cast<long>(start + length),
                         uint8_t{0}, [](uint8_t a, uint8_t c) { return static_cast<uint8_t>(a + c); });
}

std::string allocate(LinkedTables& out, const AcpiFiles& files, const Bytes& r) {
  std::string name = text_at(r, 4, 56);
  uint64_t alignment = read_le(r, 60, 4);
  uint64_t zone = read_le(r, 64, 1);
  if (out.files.contains(name)) return "allocated twice: " + name;
  if (name == kAcpiTablesFile && zone == 1) {
    out.files[name] = {0x7ffe'0000 / alignment * alignment, files.tables};
  } else if (name == kAcpiRsdpFile && zone == 2) {
    out.files[name] = {0xf5a00 / alignment * alignment, files.rsdp};
  } else {
    return "cannot allocate " + name;
  }
  return {};
}

std::string add_pointer(LinkedTables& out, const Bytes& r) {
  auto dest = out.files.find(text_at(r, 4, 56));
  auto source = out.files.find(text_at(r, 60, 56));
  uint64_t offset = read_le(r, 116, 4);
  unsigned size = static_cast<unsigned>(read_le(r, 120, 1));
  if (dest == out.files.end() || source == out.files.end()) return "pointer names an unknown file";
  Bytes& b = dest->second.bytes;
  if (offset + size > b.size()) return "pointer outside its file";
  uint64_t value = read_le(b, offset, size) + source->second.address;
  for (unsigned i = 0; i < size; i++) b[offset + i] = static_cast<uint8_t>(value >> (8 * i));
  return {};
}

std::string add_checksum(LinkedTables& out, const Bytes& r) {
  auto file = out.files.find(text_at(r, 4, 56));
  uint64_t at = read_le(r, 60, 4), start = read_le(r, 64, 4), length = read_le(r, 68, 4);
  if (file == out.files.end()) return "checksum of an unknown file";
  Bytes& b = file->second.bytes;
  if (at >= b.size() || start + length > b.size()) return "checksum outside its file";
  b[at] = static_cast<uint8_t>(b[at] - byte_sum(b, start, length));
  return {};
}

std::string run_one(LinkedTables& out, const AcpiFiles& files, const Bytes& record) {
  switch (read_le(record, 0, 4)) {
    case 0:
      return {};  // padding
    case 1:
      return allocate(out, files, record);
    case 2:
      return add_pointer(out, record);
    case 3:
      return add_checksum(out, record);
    default:
      return "unknown command";
  }
}

}  // namespace

uint64_t read_le(const Bytes& bytes, size_t offset, unsigned width) {
  if (offset > bytes.size() || width > bytes.size() - offset) return ~uint64_t{0};
  uint64_t v = 0;
  for (unsigned i = width; i-- > 0;) v = v << 8 | bytes[offset + i];
  return v;
}

LinkedTables run_linker(const AcpiFiles& files) {
  LinkedTables out;
  if (files.loader.size() % TableLinker::kRecordBytes != 0) out.error = "odd loader size";
  for (size_t at = 0; out.error.empty() && at < files.loader.size(); at += TableLinker::kRecordBytes) {
    auto first = files.loader.begin() + static_cast<long>(at);
    out.error = run_one(out, files, Bytes(first, first + TableLinker::kRecordBytes));
  }
  return out;
}

std::map<std::string, Bytes> walk_tables(const LinkedTables& linked) {
  std::map<std::string, Bytes> out;
  const LoadedFile& tables = linked.files.at(kAcpiTablesFile);
  const Bytes& rsdp = linked.files.at(kAcpiRsdpFile).bytes;
  auto fetch = [&](uint64_t address) {
    size_t offset = address - tables.address;
    size_t length = read_le(tables.bytes, offset + 4, 4);
    if (address < tables.address || length > tables.bytes.size() || offset > tables.bytes.size() - length) {
      out["error"] = Bytes{1};
      return Bytes{};
    }
    Bytes b(tables.bytes.begin() + static_cast<long>(offset),
            tables.bytes.begin() + static_cast<long>(offset + length));
    std::string signature = text_at(b, 0, 4);
    if (signature != "FACS" && byte_sum(b, 0, b.size()) != 0) out["error"] = Bytes{2};
    return out[signature] = b;
  };
  if (rsdp.size() != 20 || byte_sum(rsdp, 0, 20) != 0) out["error"] = Bytes{3};
  Bytes rsdt = fetch(read_le(rsdp, 16, 4));
  for (size_t at = 36; at < rsdt.size(); at += 4) fetch(read_le(rsdt, at, 4));
  if (out.contains("FACP")) {
    Bytes fadt = out["FACP"];
    fetch(read_le(fadt, 36, 4));
    fetch(read_le(fadt, 40, 4));
  }
  return out;
}

}  // namespace rhea::test
