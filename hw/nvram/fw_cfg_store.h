// What a fw_cfg device serves: numbered items and named files, and the guest's cursor in them.
// Spec: docs/specs/fw_cfg in QEMU's documentation ("QEMU Firmware Configuration Device").
//
// Knows nothing of ports and buses; the device around it (hw/nvram/fw_cfg.h) decodes registers. Home:
// whoever holds the machine lock.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "util/byte_buffer.h"
#include "util/result.h"

namespace rhea {

// Numbered items that firmware knows by number.
enum class FwCfgKey : uint16_t {
  kSignature = 0x00,
  kFeatures = 0x01,
  kUuid = 0x02,
  kRamSize = 0x03,
  kNoGraphic = 0x04,
  kCpuCount = 0x05,
  kMachineId = 0x06,
  kKernelAddress = 0x07,
  kKernelSize = 0x08,
  kKernelCommandLine = 0x09,
  kInitrdAddress = 0x0a,
  kInitrdSize = 0x0b,
  kBootDevice = 0x0c,
  kNuma = 0x0d,
  kBootMenu = 0x0e,
  kMaxCpus = 0x0f,
  kKernelEntry = 0x10,
  kKernelData = 0x11,
  kInitrdData = 0x12,
  kCommandLineAddress = 0x13,
  kCommandLineSize = 0x14,
  kCommandLineData = 0x15,
  kSetupAddress = 0x16,
  kSetupSize = 0x17,
  kSetupData = 0x18,
  kFileDirectory = 0x19,
  kFirstFile = 0x20,
  kInvalid = 0xffff,
  // Items of the PC architecture.
  kIrq0Override = 0x8002,
  kHpet = 0x8004,
};

// What the store needs of guest RAM for DMA; addresses are guest-physical and guest-controlled. Each call
// either moves the whole span or returns false.
class FwCfgMemory {
 public:
  virtual ~FwCfgMemory() = default;
  virtual bool read(uint64_t address, std::span<uint8_t> out) = 0;
  virtual bool write(uint64_t address, std::span<const uint8_t> data) = 0;
};

class FwCfgStore {
 public:
  static constexpr size_t kMaxNameBytes = 55;  // plus the NUL
  using Callback = std::function<void()>;

  struct FileOptions {
    bool writable = false;  // the guest may write by DMA; the size stays
    uint32_t unit = 1;  // the guest sees the size rounded up to a multiple of this; the rest reads as zeros
    // Runs each time the guest selects the file or the directory, and may call replace_file: contents are
    // built when first wanted.
    Callback before_select;
    Callback after_write;  // runs after each DMA write by the guest
  };

  // `file_slots` is how many named files fit; the guest's numbering space depends on it.
  explicit FwCfgStore(uint16_t file_slots = 0x20) : file_slots_(file_slots) {}
  FwCfgStore(const FwCfgStore&) = delete;  // callbacks refer to the store
  FwCfgStore& operator=(const FwCfgStore&) = delete;

  // Sets a numbered item, replacing what was there.
  void set(FwCfgKey key, Bytes data);
  void set_u16(FwCfgKey key, uint16_t value);
  void set_u32(FwCfgKey key, uint32_t value);
  void set_u64(FwCfgKey key, uint64_t value);
  void set_string(FwCfgKey key, std::string_view text);  // stored with its NUL

  // Adds a named file. Files are numbered in the order of their names, so add all before the guest runs.
  // Error: the name is taken, empty or too long, or all slots are used.
  Result<> add_file(std::string name, Bytes data, FileOptions options);
  Result<> add_file(std::string name, Bytes data) { return add_file(std::move(name), std::move(data), {}); }
  // Replaces the contents of a file; a cursor in it keeps its offset. Error: no such file.
  Result<> replace_file(std::string_view name, Bytes data);
  bool has_file(std::string_view name) const { return files_.find(name) != files_.end(); }
  // The contents of a file or item as the guest would read them now; null if there is none.
  const Bytes* file(std::string_view name) const;
  const Bytes* item(FwCfgKey key) const;
  // The size in bytes that the directory shows for a file, rounded up to its unit; zero if there is none.
  size_t visible_file_size(std::string_view name) const;
  uint16_t file_slots() const { return file_slots_; }
  // Before any file is added.
  void set_file_slots(uint16_t slots) { file_slots_ = slots; }
  std::vector<std::string> file_names() const;

  // --- The guest's side ---------------------------------------------------------------------
  // Moves the cursor to the start of item `key`. An unknown number is remembered and reads as zeros; one
  // outside the numbering space selects nothing.
  void select(uint16_t key);
  // The next byte of the selected item, zero past its end.
  uint8_t read_byte();
  // Runs the DMA transfer whose 16-byte descriptor is at `descriptor` and writes its result back there.
  void dma(FwCfgMemory& memory, uint64_t descriptor);

  // The cursor, for reset and for migration. Any value is acceptable.
  struct Cursor {
    uint16_t key = 0;
    uint32_t offset = 0;
  };
  Cursor cursor() const { return cursor_; }
  void set_cursor(Cursor c) { cursor_ = c; }

 private:
  struct Item {
    Bytes data;
    FileOptions options;
  };
  struct Transfer;
  Item* selected();
  Item* file_by_key(uint16_t key);
  static size_t visible_size(const Item& item);
  void rebuild_directory();
  void run_before_select();
  bool run(FwCfgMemory& memory, const Transfer& t);
  bool copy_out(FwCfgMemory& memory, const Transfer& t);
  bool copy_in(FwCfgMemory& memory, const Transfer& t);
  size_t remaining();  // bytes between the cursor and the visible end of the selected item
  std::span<const uint8_t> stored(size_t bytes);  // up to `bytes` real bytes at the cursor
  void advance(size_t bytes) { cursor_.offset += static_cast<uint32_t>(bytes); }

  uint16_t file_slots_;
  std::map<uint16_t, Item> items_;                  // numbered
  std::map<std::string, Item, std::less<>> files_;  // file i in name order has number kFirstFile + i
  Cursor cursor_;
};

}  // namespace rhea
