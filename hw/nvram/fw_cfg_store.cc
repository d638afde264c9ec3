#include "hw/nvram/fw_cfg_store.h"

#include <algorithm>
#include <array>
#include <utility>

#include "util/byteorder.h"

namespace rhea {
namespace {

constexpr uint16_t kNumberMask = 0x3fff;  // bit 15: architecture's own item; bit 14: former write channel
enum DmaControl : uint32_t { kError = 1, kRead = 2, kSkip = 4, kSelect = 8, kWrite = 16 };
constexpr size_t kDescriptorBytes = 16;
// More zeros than this past the end of an item are no firmware's wish and would hold the machine lock.
constexpr uint32_t kMaxZeroFill = 64 << 20;
constexpr std::array<uint8_t, 4096> kZeros{};

}  // namespace

// A descriptor, copied out of guest memory once. guest-controlled
struct FwCfgStore::Transfer {
  uint32_t control = 0;
  uint32_t length = 0;
  uint64_t address = 0;
};

void FwCfgStore::set(FwCfgKey key, Bytes data) {
  items_[std::to_underlying(key)].data = std::move(data);
}
void FwCfgStore::set_u16(FwCfgKey key, uint16_t value) {
  set(key, ByteBuffer().u16(value).take());
}
void FwCfgStore::set_u32(FwCfgKey key, uint32_t value) {
  set(key, ByteBuffer().u32(value).take());
}
void FwCfgStore::set_u64(FwCfgKey key, uint64_t value) {
  set(key, ByteBuffer().u64(value).take());
}
void FwCfgStore::set_string(FwCfgKey key, std::string_view text) {
  set(key, ByteBuffer().text(text).u8(0).take());
}

Result<> FwCfgStore::add_file(std::string name, Bytes data, FileOptions options) {
  if (name.empty() || name.size() > kMaxNameBytes || name.find('\0') != std::string::npos) {
    return fail(EINVAL, "fw_cfg file name '", name, "' must have 1 to ", kMaxNameBytes, " characters");
  }
  if (has_file(name)) return fail(EEXIST, "duplicate fw_cfg file name: ", name);
  if (files_.size() >= file_slots_) {
    return fail(ENOSPC, "no fw_cfg file slot left for '", name, "': all ", file_slots_, " are used");
  }
  files_.emplace(std::move(name), Item{std::move(data), std::move(options)});
  rebuild_directory();
  return {};
}

Result<> FwCfgStore::replace_file(std::string_view name, Bytes data) {
  auto it = files_.find(name);
  if (it == files_.end()) return fail(ENOENT, "no fw_cfg file '", name, "'");
  size_t before = visible_size(it->second);
  it->second.data = std::move(data);
  if (visible_size(it->second) != before) rebuild_directory();
  return {};
}

const Bytes* FwCfgStore::file(std::string_view name) const {
  auto it = files_.find(name);
  return it == files_.end() ? nullptr : &it->second.data;
}

const Bytes* FwCfgStore::item(FwCfgKey key) const {
  auto it = items_.find(std::to_underlying(key));
  return it == items_.end() ? nullptr : &it->second.data;
}

size_t FwCfgStore::visible_file_size(std::string_view name) const {
  auto it = files_.find(name);
  return it == files_.end() ? 0 : visible_size(it->second);
}

std::vector<std::string> FwCfgStore::file_names() const {
  std::vector<std::string> names;
  for (auto& [name, item] : files_) names.push_back(name);
  return names;
}

size_t FwCfgStore::visible_size(const Item& item) {
  size_t unit = std::max<size_t>(item.options.unit, 1);
  return (item.data.size() + unit - 1) / unit * unit;
}

// Count, then size, number, two reserved bytes and a 56-byte name each: all big-endian.
void FwCfgStore::rebuild_directory() {
  ByteBuffer b;
  b.be(files_.size(), 4);
  uint16_t key = std::to_underlying(FwCfgKey::kFirstFile);
  for (auto& [name, item] : files_) {
    b.be(visible_size(item), 4).be(key++, 2).be(0, 2).fixed(name, kMaxNameBytes + 1);
  }
  set(FwCfgKey::kFileDirectory, b.take());
}

FwCfgStore::Item* FwCfgStore::file_by_key(uint16_t key) {
  size_t index = size_t{key} - std::to_underlying(FwCfgKey::kFirstFile);
  if (key < std::to_underlying(FwCfgKey::kFirstFile) || index >= files_.size()) return nullptr;
  return &std::next(files_.begin(), static_cast<long>(index))->second;
}

FwCfgStore::Item* FwCfgStore::selected() {
  auto it = items_.find(cursor_.key);
  return it != items_.end() ? &it->second : file_by_key(cursor_.key);
}

void FwCfgStore::run_before_select() {
  std::vector<Callback> callbacks;  // copies: a callback replaces files
  if (cursor_.key == std::to_underlying(FwCfgKey::kFileDirectory)) {
    for (auto& [name, item] : files_) callbacks.push_back(item.options.before_select);
  } else if (Item* item = file_by_key(cursor_.key)) {
    callbacks.push_back(item->options.before_select);
  }
  for (Callback& callback : callbacks) {
    if (callback) callback();
  }
}

void FwCfgStore::select(uint16_t key) {
  bool exists = (key & kNumberMask) < std::to_underlying(FwCfgKey::kFirstFile) + file_slots_;
  cursor_ = {exists ? key : std::to_underlying(FwCfgKey::kInvalid), 0};
  run_before_select();
}

size_t FwCfgStore::remaining() {
  Item* item = selected();
  size_t size = item ? visible_size(*item) : 0;
  return cursor_.offset < size ? size - cursor_.offset : 0;
}

std::span<const uint8_t> FwCfgStore::stored(size_t bytes) {
  Item* item = selected();
  if (!item || cursor_.offset >= item->data.size()) return {};
  return std::span<const uint8_t>(item->data)
      .subspan(cursor_.offset)
      .first(std::min<size_t>(bytes, item->data.size() - cursor_.offset));
}

uint8_t FwCfgStore::read_byte() {
  std::span<const uint8_t> byte = stored(1);
  uint8_t value = byte.empty() ? 0 : byte[0];
  advance(std::min<size_t>(remaining(), 1));
  return value;
}

bool FwCfgStore::copy_out(FwCfgMemory& memory, const Transfer& t) {
  std::span<const uint8_t> have = stored(t.length);
  if (!have.empty() && !memory.write(t.address, have)) return false;
  size_t zeros = t.length - have.size();
  if (zeros > kMaxZeroFill) return false;
  for (size_t done = 0; done < zeros;) {
    size_t step = std::min(zeros - done, kZeros.size());
    if (!memory.write(t.address + have.size() + done, std::span(kZeros).first(step))) return false;
    done += step;
  }
  advance(std::min<size_t>(remaining(), t.length));
  return true;
}

bool FwCfgStore::copy_in(FwCfgMemory& memory, const Transfer& t) {
  Item* item = selected();
  if (!item || !item->options.writable || t.length > stored(t.length).size()) return false;
  Bytes data(t.length);  // no larger than the item
  if (!memory.read(t.address, data)) return false;
  std::copy(data.begin(), data.end(), item->data.begin() + static_cast<long>(cursor_.offset));
  advance(t.length);
  if (Callback callback = item->options.after_write) callback();
  return true;
}

// Read goes before write, write before skip; with none of them set nothing moves.
bool FwCfgStore::run(FwCfgMemory& memory, const Transfer& t) {
  if (t.control & kSelect) select(static_cast<uint16_t>(t.control >> 16));
  if (t.length > ~t.address) return false;
  if (t.control & kRead) return copy_out(memory, t);
  if (t.control & kWrite) return copy_in(memory, t);
  if (t.control & kSkip) advance(std::min<size_t>(remaining(), t.length));
  return true;
}

void FwCfgStore::dma(FwCfgMemory& memory, uint64_t descriptor) {
  std::array<uint8_t, kDescriptorBytes> raw{};
  std::array<uint8_t, 4> result{};
  if (descriptor > ~uint64_t{0} - kDescriptorBytes) return;  // no place for an answer
  bool good = memory.read(descriptor, raw);
  if (good) {
    good = run(memory, {load_be<uint32_t>(&raw[0]), load_be<uint32_t>(&raw[4]), load_be<uint64_t>(&raw[8])});
  }
  store_be<uint32_t>(result.data(), good ? 0 : uint32_t{kError});
  std::ignore = memory.write(descriptor, result);  // a descriptor outside RAM has no reader
}

}  // namespace rhea
