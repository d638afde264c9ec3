#include "hw/block/pflash_cfi01.h"

#include <bit>
#include <cstring>

#include "block/graph/block_graph.h"
#include "util/log.h"

namespace rhea {

namespace {
constexpr uint64_t kMaxBytes = uint64_t{64} << 20;
constexpr uint8_t kReady = 0x80, kEraseError = 0x20, kProgramError = 0x10;  // status, table 17

// Commands, table 11.
constexpr uint8_t kArray = 0xff, kProgram = 0x40, kProgramAlternative = 0x10, kErase = 0x20,
                  kClearStatus = 0x50, kLock = 0x60, kReadStatus = 0x70, kReadId = 0x90, kQuery = 0x98,
                  kBuffer = 0xe8, kConfirm = 0xd0;

using P = PflashState;
constexpr VMStateField kStateFields[] = {field<&P::write_cycle>("wcycle"), field<&P::command>("cmd"),
                                         field<&P::status>("status"), field<&P::counter>("counter")};
constexpr VMState kState{.name = "state", .fields = kStateFields};
constexpr VMStateField kFields[] = {struct_field<&PflashCfi01::state>("state", kState)};
}  // namespace

constexpr VMState PflashCfi01::kVmState{.name = "pflash_cfi01",
                                        .version = 1,
                                        .minimum_version = 1,
                                        .fields = kFields,
                                        .post_load = [](void* o, int) -> Result<> {
                                          auto& flash = *static_cast<PflashCfi01*>(o);
                                          if (flash.state.write_cycle > 3)
                                            return fail(EINVAL, "there is no write cycle ",
                                                        flash.state.write_cycle);
                                          if (flash.state.command == 0)
                                            flash.show_array();
                                          else
                                            flash.show_registers();
                                          return {};
                                        }};

constexpr PropertyInfo PflashCfi01::kProperties[] = {
    prop<&PflashCfi01::drive>("drive", "Node name or ID of a block device to use as a backend"),
    prop<&PflashCfi01::sector_bytes>("sector-length"),
    prop<&PflashCfi01::name>("name"),
};
constexpr TypeInfo PflashCfi01::kType{
    .name = "cfi.pflash01",
    .parent = &Device::kType,
    .create = []() -> std::shared_ptr<Object> { return std::make_shared<PflashCfi01>(); },
    .properties = PflashCfi01::kProperties,
    .category = DeviceCategory::kStorage};

// --- the disk

CoResult<> PflashCfi01::co_find_backend(BlockGraph& graph) {
  GraphWriteLock lock = co_await or_return(co_await graph.co_lock());
  BlockDriverState* node = nullptr;
  if (BlockBackend* named = graph.find_backend(drive)) {
    if (named->has_device()) co_return fail(EBUSY, "Drive '", drive, "' is already in use by another device");
    blk_ = named;
    node = named->node();
  } else {
    node = graph.find_node(drive);
    if (node == nullptr)
      co_return fail(ENODEV, "Property 'cfi.pflash01.drive' can't find value '", drive, "'");
  }
  PermPair perms;
  read_only_ = node != nullptr && node->read_only();
  perms.perm = blk_perm::kConsistentRead | (read_only_ ? 0u : blk_perm::kWrite);
  perms.shared = blk_perm::kConsistentRead | blk_perm::kWriteUnchanged;
  if (blk_ != nullptr) {
    Result<> allowed = co_await blk_->co_set_perm(lock, perms);
    co_return allowed;
  }
  auto backend = std::make_unique<BlockBackend>(graph, "", perms);
  Result<> inserted = co_await backend->co_insert(lock, *node);
  co_await or_return(std::move(inserted));
  own_ = std::move(backend);
  blk_ = own_.get();
  co_return Result<>();
}

CoResult<> PflashCfi01::co_read_all() {
  const Result<uint64_t> length = blk_->getlength();
  if (!length)
    co_return fail(length.error().errnum(), "can't get size of block device ", name, ": ",
                   length.error().message());
  const uint64_t bytes = *length;
  if (bytes == 0 || bytes % sector_bytes != 0) {
    Error error(EINVAL, str_cat("system firmware block device ", name, " has invalid size ", bytes));
    co_return Failure(std::move(error).with_hint(
        str_cat("info: its size must be a non-zero multiple of 0x", hex(sector_bytes))));
  }
  if (bytes > kMaxBytes) co_return fail(EFBIG, name, ": ", bytes, " bytes are more than a flash may have");
  array_ = co_await or_return(RamBlock::create(str_cat("system.", name), bytes));
  const IoVector all(array_->host(), bytes);
  Result<> read = co_await blk_->co_peek(ByteRange{0, bytes}, all);
  if (!read) co_return fail(read.error().errnum(), "failed to read the initial flash content");
  co_return Result<>();
}

CoResult<> PflashCfi01::co_prepare(DeviceContext& context) {
  loop_ = &context.main_loop;
  Result<> found = co_await co_find_backend(context.block);
  co_await or_return(std::move(found));
  Result<> read = co_await co_read_all();
  co_await or_return(std::move(read));
  co_return Result<>();
}

/// Sector by sector, until the disk has all.
CoResult<> PflashCfi01::co_write_back() {
  std::vector<uint8_t> sector(sector_bytes);
  while (!unsaved_.empty()) {
    const uint64_t at = *unsaved_.begin();
    unsaved_.erase(unsaved_.begin());
    std::memcpy(sector.data(), array_->host() + at, sector_bytes);
    const IoVector data(sector.data(), sector.size());
    Result<> written = co_await blk_->co_pwritev(ByteRange{at, sector_bytes}, data);
    if (!written) {
      error_report(str_cat(name, ": writing the sector at ", at, " failed: ", written.error().message()));
      state.status |= kProgramError;
    }
  }
  saving_ = false;
  co_return Result<>();
}

void PflashCfi01::mark(uint64_t offset) {
  array_->mark_dirty(offset, 1);
  if (!unsaved_.insert(offset / sector_bytes * sector_bytes).second || saving_) return;
  saving_ = true;
  work_.enter();
  loop_->post([this] {
    work_.spawn(co_write_back());
    work_.leave();
  });
}

CoResult<> PflashCfi01::co_stop() {
  return work_.co_close();
}

// --- life

Result<> PflashCfi01::do_realize() {
  if (array_ == nullptr || system == nullptr) return fail(EINVAL, "cfi.pflash01 has not been given its disk");
  if (sector_bytes == 0 || !std::has_single_bit(sector_bytes) || sector_bytes > array_->size())
    return fail(EINVAL, "cfi.pflash01: sectors of ", sector_bytes, " bytes do not do");
  array_region_ = MemoryRegion::rom(str_cat("system.", name), array_, this);
  register_region_ =
      MemoryRegion::io(str_cat("system.", name, "-registers"), array_->size(), *this, {.impl_max = 1});
  register_region_->set_enabled(false);
  system->add_subregion(end - array_->size(), *array_region_, 1);
  system->add_subregion(end - array_->size(), *register_region_, 2);
  return {};
}

void PflashCfi01::do_unrealize() {
  register_region_.reset();
  array_region_.reset();
}

void PflashCfi01::reset() {
  state = {};
  state.status = kReady;
  if (array_region_ != nullptr) show_array();
}

void PflashCfi01::show_array() {
  state.command = 0;
  state.write_cycle = 0;
  register_region_->set_enabled(false);
}

void PflashCfi01::show_registers() {
  register_region_->set_enabled(true);
}

// --- reads

/// JESD68.01, tables 1 to 3: what the chip can do, for drivers that ask.
uint8_t PflashCfi01::query_byte(uint64_t offset) const {
  const uint64_t blocks = array_->size() / sector_bytes - 1;
  switch (offset) {
    case 0x10:
      return 'Q';
    case 0x11:
      return 'R';
    case 0x12:
      return 'Y';
    case 0x13:
      return 0x01;  // Intel/Sharp extended command set
    case 0x15:
      return 0x31;  // its own table
    case 0x1b:
      return 0x45;  // 4.5 V to 5.5 V
    case 0x1c:
      return 0x55;
    case 0x1f:
    case 0x20:
      return 0x07;  // 128 us a write, typically
    case 0x21:
      return 0x0a;  // 1 s a block
    case 0x23:
    case 0x24:
    case 0x25:
      return 0x04;  // 16 times that at most
    case 0x27:
      return static_cast<uint8_t>(std::bit_width(array_->size() - 1));
    case 0x2a:
      return 0x08;  // 256 bytes in one buffered write
    case 0x2c:
      return 0x01;  // one kind of blocks
    case 0x2d:
      return static_cast<uint8_t>(blocks);
    case 0x2e:
      return static_cast<uint8_t>(blocks >> 8);
    case 0x2f:
      return static_cast<uint8_t>(sector_bytes >> 8);
    case 0x30:
      return static_cast<uint8_t>(sector_bytes >> 16);
    case 0x31:
      return 'P';
    case 0x32:
      return 'R';
    case 0x33:
      return 'I';
    case 0x34:
      return '1';
    case 0x35:
      return '0';
    default:
      return 0;
  }
}

uint64_t PflashCfi01::mmio_read(uint64_t offset, unsigned) {
  switch (state.command) {
    case 0:
      return array_->host()[offset];
    case kReadId:
      return 0;  // no maker, no lock
    case kQuery:
      return query_byte(offset & 0xff);
    default:
      return state.status;
  }
}

// --- writes

void PflashCfi01::program(uint64_t offset, uint8_t value) {
  state.status |= kReady;
  if (read_only_) {
    state.status |= kProgramError;
    return;
  }
  array_->host()[offset] = value;
  mark(offset);
}

void PflashCfi01::erase(uint64_t offset) {
  state.status |= kReady;
  if (read_only_) {
    state.status |= kEraseError;
    return;
  }
  const uint64_t at = offset / sector_bytes * sector_bytes;
  std::memset(array_->host() + at, 0xff, sector_bytes);
  array_->mark_dirty(at, sector_bytes);
  mark(at);
}

void PflashCfi01::command_written(uint8_t value) {
  switch (value) {
    case kProgram:
    case kProgramAlternative:
      state.command = kProgramAlternative;
      state.write_cycle = 1;
      return;
    case kErase:
    case kLock:
      state.command = value;
      state.write_cycle = 1;
      return;
    case kBuffer:
      state.status |= kReady;
      state.command = value;
      state.write_cycle = 1;
      return;
    case kReadStatus:
    case kReadId:
    case kQuery:
      state.command = value;
      return;
    case kClearStatus:
      state.status = 0;
      return show_array();
    default:
      return show_array();  // kArray, and what is no command
  }
}

/// The second write of a command.
void PflashCfi01::confirm_written(uint64_t offset, uint8_t value) {
  if (state.command == kBuffer) {
    state.counter = value;
    state.write_cycle = 2;
    return;
  }
  state.write_cycle = 0;
  if (state.command == kProgramAlternative) return program(offset, value);
  if (value == kArray) return show_array();
  if (state.command == kErase && value == kConfirm) return erase(offset);
  if (state.command == kLock && (value == kConfirm || value == 0x01)) {
    state.status |= kReady;
    return;
  }
  log_guest_error("pflash: command 0x", hex(state.command), " was followed by 0x", hex(value));
  show_array();
}

void PflashCfi01::buffer_written(uint64_t offset, uint8_t value) {
  if (state.write_cycle == 2) {
    program(offset, value);
    if (state.counter == 0)
      state.write_cycle = 3;
    else
      --state.counter;
    return;
  }
  state.write_cycle = 0;
  if (value != kConfirm) {
    log_guest_error("pflash: a buffered write ended with 0x", hex(value));
    show_array();
  }
}

void PflashCfi01::mmio_write(uint64_t offset, uint64_t value, unsigned size) {
  for (unsigned i = 0; i < size && offset + i < array_->size(); ++i) {
    const auto byte = static_cast<uint8_t>(value >> (8 * i));
    const bool was_array = state.command == 0;
    if (state.write_cycle == 0)
      command_written(byte);
    else if (state.write_cycle == 1)
      confirm_written(offset + i, byte);
    else
      buffer_written(offset + i, byte);
    if (was_array && state.command != 0) show_registers();
  }
}

const VMState* PflashCfi01::vmstate() const {
  return &kVmState;
}

}  // namespace rhea
