#include "hw/ide/ide_vmstate.h"

#include <algorithm>

#include "hw/ide/ide_cd.h"
#include "hw/ide/ide_hd.h"

namespace rhea {

namespace {

using W = IdeDriveWire;

/// Which step follows a PIO block, as numbered on the wire.
enum : uint8_t { kEndRead = 0, kEndWrite = 1, kEndStop = 2, kEndReply = 3, kEndPacket = 4, kEndNothing = 5 };

/// Kinds of requests that wait, as on the wire; bits.
enum : int32_t {
  kRetryDma = 0x08,
  kRetryPio = 0x10,
  kRetryRead = 0x20,
  kRetryFlush = 0x40,
  kRetryTrim = 0x80
};

using Kind = AtaTransfer::Kind;
using Then = PioTransfer::Then;

IdeCd* cd_of(const W& w) {
  return dynamic_cast<IdeCd*>(w.unit->drive);
}
IdeHd* hd_of(const IdeUnit& unit) {
  return dynamic_cast<IdeHd*>(unit.drive);
}

/// The code of a disk's request that waits for the machine, or for the bus master: being tried again, it
/// waits for it just so. 0: none, or none of that list.
int32_t retry_code(const IdeHd& hd) {
  const AtaTransfer* const t = hd.transfer().get();
  if (t == nullptr || (!hd.is_waiting() && !t->is_dma())) return 0;
  switch (t->kind) {
    case Kind::kDmaRead:
      return kRetryDma | kRetryRead;
    case Kind::kDmaWrite:
      return kRetryDma;
    case Kind::kTrim:
      return kRetryDma | kRetryTrim;
    case Kind::kPioRead:
      return kRetryPio | kRetryRead;
    case Kind::kPioWrite:
      return kRetryPio;
    case Kind::kFlush:
      return kRetryFlush;
    case Kind::kVerify:
      break;
  }
  return 0;
}

/// The unit whose request the channel's description tells of; null if none.
const IdeUnit* retry_unit(const IdeChannel& channel) {
  for (const IdeUnit& u : channel.units)
    if (const IdeHd* hd = hd_of(u); hd != nullptr && retry_code(*hd) != 0) return &u;
  return nullptr;
}

// --- saving

void put_registers(W& w, const TaskFile& r) {
  w.feature = r.feature;
  w.error = r.error;
  w.nsector = r.sector_count;
  w.sector = r.lba_low;
  w.lcyl = r.lba_mid;
  w.hcyl = r.lba_high;
  w.hob_feature = r.hob_feature;
  w.hob_nsector = r.hob_sector_count;
  w.hob_sector = r.hob_lba_low;
  w.hob_lcyl = r.hob_lba_mid;
  w.hob_hcyl = r.hob_lba_high;
  w.select = r.device;
  w.status = r.status;
}

void put_pio(W& w, const PioTransfer& pio, uint64_t unread) {
  w.have_pio = (w.status & ata::kDrq) != 0 && !pio.data.empty();
  if (!w.have_pio) return;
  w.io_buffer = pio.data;
  w.cur_io_buffer_offset = static_cast<int32_t>(pio.pos);
  w.cur_io_buffer_len = static_cast<int32_t>(pio.end - pio.pos);
  const size_t behind = pio.data.size() - pio.end;
  w.elementary_transfer_size = static_cast<int32_t>(behind);
  w.packet_transfer_size = static_cast<int32_t>(std::min<uint64_t>(behind + unread, INT32_MAX));
  switch (pio.then) {
    case Then::kNothing:
      w.end_transfer_fn_idx = kEndStop;
      break;
    case Then::kPacket:
      w.end_transfer_fn_idx = kEndPacket;
      break;
    case Then::kReply:
      w.end_transfer_fn_idx = kEndReply;
      break;
    case Then::kSectorsRead:
      w.end_transfer_fn_idx = kEndRead;
      break;
    case Then::kSectorsWritten:
      w.end_transfer_fn_idx = kEndWrite;
      break;
  }
}

void put_hd(W& w, IdeHd& hd) {
  w.identify_set = 1;
  w.identify_data = hd.identify();
  w.mult_sectors = hd.settings.multiple;
  w.max_sectors = hd.settings.max_sectors;
  w.smart_enabled = hd.smart.enabled;
  w.smart_autosave = hd.smart.autosave;
  w.smart_self_tests = hd.smart.self_tests;
  w.smart_log = hd.smart.log;
  w.have_ata = hd.settings.max_sectors != 0 || hd.smart != SmartState();
  const AtaTransfer* const t = hd.transfer().get();
  if (t == nullptr) return;
  w.lba48 = t->lba48 ? 1 : 0;
  if (t->is_pio()) {
    w.nsector = t->left;
    w.req_nb_sectors = static_cast<int32_t>(t->block);
  }
  if (t->kind == Kind::kPioWrite && hd.is_waiting()) {
    w.have_pio = true;
    w.io_buffer = t->data;
    w.cur_io_buffer_len = static_cast<int32_t>(t->data.size());
    w.end_transfer_fn_idx = kEndWrite;
  }
  const bool between_blocks = t->is_pio() && !hd.is_waiting();  // the guest's turn: pio_state has it
  if (between_blocks || retry_unit(*w.channel) == w.unit) return;
  w.have_ata = true;
  w.transfer_kind = static_cast<uint8_t>(t->kind);
  w.transfer_waiting = hd.is_waiting();
  w.transfer_block = t->block;
  w.transfer_left = t->left;
  w.transfer_lba = t->lba;
}

void put_cd(W& w, IdeCd& cd) {
  const Tray& tray = cd.atapi().tray;
  const TrayState& t = tray.state();
  w.identify_set = 1;
  w.identify_data = identify_packet_device(cd.atapi().identity, cd.mode);
  w.sense_key = static_cast<uint8_t>(cd.atapi().sense.key);
  w.asc = cd.atapi().sense.asc;
  w.cdrom_changed = static_cast<uint8_t>(t.change);
  w.tray_open = t.open;
  w.tray_locked = t.locked;
  w.new_media = t.new_medium_event;
  w.eject_request = t.eject_event;
  const auto& transfer = cd.transfer();
  if (transfer == nullptr) return;
  w.packet_dma = transfer->dma;
  w.packet_limit = transfer->limit;
  w.packet_lba = transfer->plan.lba;
  w.packet_sectors = transfer->plan.sectors;
  w.packet_sector_bytes = transfer->plan.sector_bytes;
  w.packet_buffer = transfer->buffered;
  w.packet_waiting = cd.is_waiting();
  if (w.packet_waiting && transfer->dma) {  // from the start again
    w.packet_lba = transfer->whole.lba;
    w.packet_sectors = transfer->whole.sectors;
    w.packet_buffer.clear();
  }
  if (w.packet_waiting && !transfer->dma) {
    const PioTransfer& pio = w.unit->pio;
    w.packet_buffer.assign(pio.data.begin() + static_cast<ptrdiff_t>(pio.pos), pio.data.end());
  }
  // QEMU's own fields say it all where one block is the whole rest.
  w.have_packet =
      w.packet_waiting || transfer->dma || w.packet_sectors != 0 || w.elementary_transfer_size != 0;
}

void clear(W& w) {
  IdeUnit* unit = w.unit;
  IdeChannel* channel = w.channel;
  w = W();
  w.unit = unit;
  w.channel = channel;
}

void pre_save(void* object) {
  W& w = *static_cast<W*>(object);
  clear(w);
  put_registers(w, w.unit->regs);
  IdeCd* cd = cd_of(w);
  const uint64_t unread = cd != nullptr && cd->transfer() != nullptr ? cd->transfer()->plan.bytes() : 0;
  put_pio(w, w.unit->pio, unread);
  if (cd != nullptr) put_cd(w, *cd);
  if (IdeHd* hd = hd_of(*w.unit)) put_hd(w, *hd);
}

Result<> pre_load(void* object) {
  clear(*static_cast<W*>(object));
  return {};
}

// --- loading

Result<TaskFile> registers_of(const W& w) {
  if (w.nsector > 65536) return fail(EINVAL, "sector count ", w.nsector);
  TaskFile r;
  r.feature = w.feature;
  r.error = w.error;
  r.sector_count = static_cast<uint8_t>(w.nsector);
  r.lba_low = w.sector;
  r.lba_mid = w.lcyl;
  r.lba_high = w.hcyl;
  r.hob_feature = w.hob_feature;
  r.hob_sector_count = w.hob_nsector;
  r.hob_lba_low = w.hob_sector;
  r.hob_lba_mid = w.hob_lcyl;
  r.hob_lba_high = w.hob_hcyl;
  r.device = w.select | ata::kDeviceOnes;
  r.status = w.status;
  return r;
}

Result<PioTransfer> pio_of(const W& w) {
  PioTransfer pio;
  if (!w.have_pio) return pio;
  const int64_t offset = w.cur_io_buffer_offset, length = w.cur_io_buffer_len,
                behind = w.elementary_transfer_size;
  constexpr int64_t kSize = W::kBufferBytes;
  if (offset < 0 || length <= 0 || behind < 0 || offset > kSize || length > kSize - offset ||
      behind > kSize - offset - length)
    return fail(EINVAL, "block of ", length, " bytes at ", offset, " and ", behind, " more do not fit ",
                kSize);
  switch (w.end_transfer_fn_idx) {
    case kEndPacket:
      if (offset + length != static_cast<int64_t>(kCdbBytes))
        return fail(EINVAL, "packet of ", offset + length, " bytes");
      pio.then = Then::kPacket;
      pio.from_host = true;
      break;
    case kEndRead:
    case kEndWrite:
      if (behind != 0 || (offset + length) % 512 != 0)
        return fail(EINVAL, "block of ", offset + length, " bytes is not of sectors");
      pio.from_host = w.end_transfer_fn_idx == kEndWrite;
      pio.then = pio.from_host ? Then::kSectorsWritten : Then::kSectorsRead;
      break;
    case kEndReply:
      pio.then = PioTransfer::Then::kReply;
      break;
    case kEndStop:
    case kEndNothing:
      pio.then = PioTransfer::Then::kNothing;
      break;
    default:
      return fail(EINVAL, "data phase ", w.end_transfer_fn_idx, " is not known");
  }
  pio.data = w.io_buffer;
  pio.data.resize(static_cast<size_t>(offset + length + behind));
  pio.pos = static_cast<size_t>(offset);
  pio.end = static_cast<size_t>(offset + length);
  return pio;
}

Result<std::shared_ptr<PacketTransfer>> transfer_of(const W& w, const PioTransfer& pio) {
  auto t = std::make_shared<PacketTransfer>();
  const bool replying = pio.then == PioTransfer::Then::kReply;
  if (!w.have_packet) {
    if (!replying) return std::shared_ptr<PacketTransfer>();
    if (w.packet_transfer_size != 0)
      return fail(EINVAL, w.packet_transfer_size, " bytes of the reply are missing");
    t->limit = 0xfffe;
    return t;
  }
  const uint64_t sectors = w.packet_sectors;
  if (w.packet_sector_bytes != kCdSectorBytes && w.packet_sector_bytes != kCdRawSectorBytes)
    return fail(EINVAL, "sectors of ", w.packet_sector_bytes, " bytes");
  if (sectors > UINT32_MAX - uint64_t{w.packet_lba})
    return fail(EINVAL, "sectors past the end of any medium");
  const bool by_pio = w.packet_waiting ? !w.packet_dma : replying && !pio.data.empty();
  if (w.packet_dma == by_pio || (w.packet_waiting && (!pio.data.empty() || sectors == 0)))
    return fail(EINVAL, "data phase by PIO and DMA at once, or by neither");
  if (!w.packet_dma && (w.packet_limit < 2 || w.packet_limit > 0xfffe))
    return fail(EINVAL, "byte count limit ", w.packet_limit);
  if (!w.packet_dma && !w.packet_waiting && !w.packet_buffer.empty())
    return fail(EINVAL, "bytes of a reply in two places");
  if (w.packet_dma && w.channel->dma == nullptr) return fail(EINVAL, "DMA without a bus master");
  t->dma = w.packet_dma;
  t->limit = w.packet_limit;
  t->plan = {w.packet_lba, w.packet_sectors, w.packet_sector_bytes};
  t->whole = t->plan;
  if (w.packet_dma) t->buffered = w.packet_buffer;
  return t;
}

/// What the channel told of this unit.
LoadedRetry retry_of(const W& w) {
  const LoadedRetry& r = w.channel->loaded_retry;
  return r.status != 0 && &w.channel->units[r.unit] == w.unit ? r : LoadedRetry();
}

Result<Kind> retry_kind(int32_t status) {
  switch (status) {
    case kRetryDma | kRetryRead:
      return Kind::kDmaRead;
    case kRetryDma:
      return Kind::kDmaWrite;
    case kRetryDma | kRetryTrim:
    case kRetryTrim:
      return Kind::kTrim;
    case kRetryPio | kRetryRead:
      return Kind::kPioRead;
    case kRetryPio:
      return Kind::kPioWrite;
    case kRetryFlush:
      return Kind::kFlush;
    default:
      return fail(EINVAL, "request of kind 0x", hex(static_cast<uint32_t>(status)),
                  " waits to be tried again");
  }
}

struct LoadedTransfer {
  std::shared_ptr<AtaTransfer> transfer;
  bool waiting = false;
};

/// The disk's command under way, wherever the stream tells of it; the address of PIO is that in the
/// registers.
Result<LoadedTransfer> ata_transfer_of(const W& w, const PioTransfer& pio) {
  LoadedTransfer out;
  const LoadedRetry retry = retry_of(w);
  const bool own = w.have_ata && w.transfer_kind != W::kNoTransfer;
  const bool sectors = pio.then == Then::kSectorsRead || pio.then == Then::kSectorsWritten;
  if (!own && retry.status == 0 && !sectors) return out;
  auto t = std::make_shared<AtaTransfer>();
  t->lba48 = w.lba48 != 0;
  t->block = static_cast<uint32_t>(std::max(w.req_nb_sectors, 1));
  t->left = w.nsector;
  if (own) {
    if (w.transfer_kind > static_cast<uint8_t>(Kind::kVerify))
      return fail(EINVAL, "transfer ", w.transfer_kind);
    t->kind = static_cast<Kind>(w.transfer_kind);
    t->block = w.transfer_block;
    t->left = w.transfer_left;
    t->lba = w.transfer_lba;
    out.waiting = w.transfer_waiting;
  } else if (retry.status != 0) {
    t->kind = TRY(retry_kind(retry.status));
    t->lba = retry.lba;
    if (!t->is_pio()) t->left = retry.sectors;
    out.waiting = true;
  } else {
    t->kind = pio.from_host ? Kind::kPioWrite : Kind::kPioRead;
  }
  if (t->left > 65536 || t->block < 1 || t->block > 256)
    return fail(EINVAL, t->left, " sectors in blocks of ", t->block);
  if (t->is_dma() && (w.channel->dma == nullptr || t->left == 0)) return fail(EINVAL, "DMA of nothing");
  const bool pio_write = t->kind == Kind::kPioWrite;
  if (sectors && (!t->is_pio() || pio_write != pio.from_host)) return fail(EINVAL, "data of another command");
  if (pio_write && (!sectors || pio.data.size() > uint64_t{t->left} * 512))
    return fail(EINVAL, pio.data.size(), " bytes for ", t->left, " sectors");
  if (out.waiting && !pio_write && !pio.data.empty()) return fail(EINVAL, "data before it has been read");
  if (out.waiting && t->is_pio() && t->left == 0) return fail(EINVAL, "no sector is left");
  out.transfer = std::move(t);
  return out;
}

Result<AtaSettings> settings_of(const W& w, const IdeHd& hd) {
  AtaSettings s;
  const auto multiple = static_cast<uint32_t>(w.mult_sectors);
  if (multiple > AtaSettings::kMaxMultiple || (multiple & (multiple - 1)) != 0)
    return fail(EINVAL, "blocks of ", w.mult_sectors, " sectors");
  s.multiple = static_cast<uint8_t>(multiple);
  s.translation = w.identify_set != 0 ? translation_of(w.identify_data) : hd.geometry();
  const HdGeometry& g = s.translation;
  if (g.cyls == 0 || g.heads == 0 || g.heads > 16 || g.secs == 0 || g.secs > 255)
    return fail(EINVAL, "geometry ", g.cyls, "/", g.heads, "/", g.secs);
  s.max_sectors = w.have_ata ? w.max_sectors : 0;
  if (s.max_sectors >= std::max<uint64_t>(hd.native_sectors(), 1))
    return fail(EINVAL, "more sectors than there are");
  return s;
}

/// Checks everything, then takes it over.
Result<> take_hd(const W& w, IdeHd& hd, const TaskFile& regs, PioTransfer pio) {
  TransferMode mode;
  if (w.identify_set != 0 && !transfer_mode_of(w.identify_data, mode))
    return fail(EINVAL, "identify data with an impossible transfer mode");
  const AtaSettings settings = TRY(settings_of(w, hd));
  LoadedTransfer loaded = TRY(ata_transfer_of(w, pio));
  hd.cancel();
  w.unit->regs = regs;
  hd.mode = mode;
  hd.settings = settings;
  hd.smart = SmartState();
  if (w.have_ata)
    hd.smart = {.enabled = w.smart_enabled,
                .autosave = w.smart_autosave,
                .self_tests = w.smart_self_tests,
                .log = w.smart_log};
  if (w.identify_set != 0) hd.set_write_cache(write_cache_of(w.identify_data));
  AtaTransfer* const t = loaded.transfer.get();
  const bool waits_with_data = t != nullptr && loaded.waiting && t->kind == Kind::kPioWrite;
  if (waits_with_data) t->data = std::move(pio.data), pio.clear();
  w.unit->pio = std::move(pio);
  if (t != nullptr && t->is_pio()) t->lba = hd.address(t->lba48);
  if (loaded.waiting) hd.set_waiting();
  hd.resume_transfer(std::move(loaded.transfer));
  return {};
}

/// Checks everything, then takes it over.
Result<> take_cd(const W& w, IdeCd& cd, const TaskFile& regs, PioTransfer pio) {
  TransferMode mode;
  if (w.identify_set != 0 && !transfer_mode_of(w.identify_data, mode))
    return fail(EINVAL, "identify data with an impossible transfer mode");
  if (w.cdrom_changed > 2) return fail(EINVAL, "medium change ", w.cdrom_changed);
  if (w.sense_key > 0x0f) return fail(EINVAL, "sense key ", w.sense_key);
  std::shared_ptr<PacketTransfer> transfer = TRY(transfer_of(w, pio));
  const bool waiting = transfer != nullptr && w.have_packet && w.packet_waiting;
  if (retry_of(w).status != 0 && !waiting)
    return fail(ENOTSUP, "a failed packet command waits to be tried again");
  cd.cancel();
  if (waiting) cd.set_waiting();
  if (waiting && !transfer->dma) pio.data = w.packet_buffer;
  w.unit->regs = regs;
  w.unit->pio = std::move(pio);
  cd.mode = mode;
  cd.atapi().sense = {static_cast<SenseKey>(w.sense_key), w.asc,
                      w.asc == asc::kRemovalPrevented ? sense::kRemovalPrevented.ascq : uint8_t{0}};
  cd.atapi().tray.restore({.open = w.tray_open,
                           .locked = w.tray_locked,
                           .eject_pending = w.eject_request,
                           .eject_event = w.eject_request,
                           .new_medium_event = w.new_media,
                           .change = static_cast<MediumChange>(w.cdrom_changed)});
  cd.resume_transfer(std::move(transfer));
  return {};
}

Result<> post_load(void* object, int /*version*/) {
  W& w = *static_cast<W*>(object);
  const TaskFile regs = TRY(registers_of(w));
  PioTransfer pio = TRY(pio_of(w));
  // A data phase needs its data, and a drive that is busy would be so for ever.
  const bool by_dma = (w.have_packet && w.packet_dma) || w.have_ata || retry_of(w).status != 0;
  if ((regs.status & ata::kDrq) != 0 && pio.data.empty() && !by_dma)
    return fail(EINVAL, "status 0x", hex(regs.status), " without data to transfer");
  IdeCd* const cd = cd_of(w);
  IdeHd* const hd = hd_of(*w.unit);
  const bool packet = pio.then == Then::kPacket || pio.then == Then::kReply;
  if (pio.then != Then::kNothing && (packet ? cd == nullptr : hd == nullptr))
    return fail(EINVAL, "data phase of a drive that is not there");
  if (cd != nullptr) {
    TRY(take_cd(w, *cd, regs, std::move(pio)));
  } else if (hd != nullptr) {
    TRY(take_hd(w, *hd, regs, std::move(pio)));
  } else {
    w.unit->regs = regs;
    w.unit->pio = std::move(pio);
  }
  clear(w);  // buffers are large
  return {};
}

// --- descriptions

/// The wire's buffer is of one size; what is not in use is zero.
constexpr VMStateField kIoBuffer{.name = "io_buffer",
                                 .save =
                                     [](const void* o, StateWriter& out, const VMStateField&) {
                                       const auto& buffer = static_cast<const W*>(o)->io_buffer;
                                       const size_t n = std::min(buffer.size(), W::kBufferBytes);
                                       out.put_bytes(std::span(buffer).first(n));
                                       out.buffer().resize(out.buffer().size() + (W::kBufferBytes - n));
                                     },
                                 .load = [](void* o, StateReader& in, const VMStateField&, int) -> Result<> {
                                   auto& w = *static_cast<W*>(o);
                                   if (in.left() < W::kBufferBytes)
                                     return fail(EINVAL, "stream is too short");
                                   w.io_buffer.resize(W::kBufferBytes);
                                   in.get_bytes(w.io_buffer);
                                   w.have_pio = true;
                                   return {};
                                 }};

constexpr VMStateField kPacketBuffer{
    .name = "buffer",
    .save =
        [](const void* o, StateWriter& out, const VMStateField&) {
          const auto& buffer = static_cast<const W*>(o)->packet_buffer;
          out.put_be32(static_cast<uint32_t>(buffer.size()));
          out.put_bytes(buffer);
        },
    .load = [](void* o, StateReader& in, const VMStateField&, int) -> Result<> {
      auto& w = *static_cast<W*>(o);
      const uint32_t bytes = in.get_be32();
      if (bytes > PioTransfer::kMaxBytes || bytes > in.left())
        return fail(EINVAL, bytes, " bytes are too many");
      w.packet_buffer.resize(bytes);
      in.get_bytes(w.packet_buffer);
      w.have_packet = true;
      return {};
    }};

constexpr VMStateField identify_field() {
  VMStateField f = field<&W::identify_data>("identify_data");
  f.exists = [](const void* o, int) { return static_cast<const W*>(o)->identify_set != 0; };
  return f;
}

/// The last field; that it came tells that the subsection did.
constexpr VMStateField ata_last_field() {
  VMStateField f = field<&W::transfer_lba>("lba");
  f.load = [](void* o, StateReader& in, const VMStateField&, int) -> Result<> {
    static_cast<W*>(o)->transfer_lba = in.get_be64();
    static_cast<W*>(o)->have_ata = true;
    return {};
  };
  return f;
}

constexpr VMStateField kPioFields[] = {
    field<&W::req_nb_sectors>("req_nb_sectors"),
    kIoBuffer,
    field<&W::cur_io_buffer_offset>("cur_io_buffer_offset"),
    field<&W::cur_io_buffer_len>("cur_io_buffer_len"),
    field<&W::end_transfer_fn_idx>("end_transfer_fn_idx"),
    field<&W::elementary_transfer_size>("elementary_transfer_size"),
    field<&W::packet_transfer_size>("packet_transfer_size"),
};
constexpr VMState kPioState{
    .name = "ide_drive/pio_state", .version = 1, .fields = kPioFields, .needed = [](const void* o) {
      return static_cast<const W*>(o)->have_pio;
    }};

constexpr VMStateField kTrayFields[] = {field<&W::tray_open>("tray_open"),
                                        field<&W::tray_locked>("tray_locked")};
constexpr VMState kTrayState{
    .name = "ide_drive/tray_state", .version = 1, .fields = kTrayFields, .needed = [](const void* o) {
      const auto* w = static_cast<const W*>(o);
      return w->tray_open || w->tray_locked;
    }};

constexpr VMStateField kGesnFields[] = {field<&W::new_media>("events.new_media"),
                                        field<&W::eject_request>("events.eject_request")};
constexpr VMState kGesnState{
    .name = "ide_drive/atapi/gesn_state", .version = 1, .fields = kGesnFields, .needed = [](const void* o) {
      const auto* w = static_cast<const W*>(o);
      return w->new_media || w->eject_request;
    }};

constexpr VMStateField kPacketFields[] = {
    field<&W::packet_dma>("dma"),
    field<&W::packet_limit>("limit"),
    field<&W::packet_lba>("lba"),
    field<&W::packet_sectors>("sectors"),
    field<&W::packet_sector_bytes>("sector_bytes"),
    kPacketBuffer,
    field<&W::packet_waiting>("waiting"),
};
constexpr VMState kPacketState{.name = "ide_drive/atapi/packet_state",
                               .version = 1,
                               .fields = kPacketFields,
                               .needed = [](const void* o) { return static_cast<const W*>(o)->have_packet; }};

constexpr VMStateField kAtaFields[] = {
    field<&W::max_sectors>("max_sectors"),
    field<&W::smart_enabled>("smart_enabled"),
    field<&W::smart_autosave>("smart_autosave"),
    field<&W::smart_self_tests>("smart_self_tests"),
    field<&W::smart_log>("smart_log"),
    field<&W::transfer_kind>("transfer"),
    field<&W::transfer_waiting>("waiting"),
    field<&W::transfer_block>("block"),
    field<&W::transfer_left>("left"),
    ata_last_field(),
};
constexpr VMState kAtaState{
    .name = "ide_drive/ata_state", .version = 1, .fields = kAtaFields, .needed = [](const void* o) {
      return static_cast<const W*>(o)->have_ata;
    }};

constexpr const VMState* kDriveSubsections[] = {&kPioState, &kTrayState, &kGesnState, &kPacketState,
                                                &kAtaState};
constexpr VMStateField kDriveFields[] = {
    field<&W::mult_sectors>("mult_sectors"),
    field<&W::identify_set>("identify_set"),
    identify_field(),
    field<&W::feature>("feature"),
    field<&W::error>("error"),
    field<&W::nsector>("nsector"),
    field<&W::sector>("sector"),
    field<&W::lcyl>("lcyl"),
    field<&W::hcyl>("hcyl"),
    field<&W::hob_feature>("hob_feature"),
    field<&W::hob_sector>("hob_sector"),
    field<&W::hob_nsector>("hob_nsector"),
    field<&W::hob_lcyl>("hob_lcyl"),
    field<&W::hob_hcyl>("hob_hcyl"),
    field<&W::select>("select"),
    field<&W::status>("status"),
    field<&W::lba48>("lba48"),
    field<&W::sense_key>("sense_key"),
    field<&W::asc>("asc"),
    field<&W::cdrom_changed>("cdrom_changed", 3),
};

// --- the channel

using B = IdeBusWire;

constexpr VMStateField kErrorFields[] = {
    field<&B::error_status>("error_status"),
    field<&B::retry_sector_num>("retry_sector_num", 2),
    field<&B::retry_nsector>("retry_nsector", 2),
    field<&B::retry_unit>("retry_unit", 2),
};
constexpr VMState kErrorState{
    .name = "ide_bus/error",
    .version = 2,
    .minimum_version = 1,
    .fields = kErrorFields,
    .needed = [](const void* o) { return static_cast<const B*>(o)->error_status != 0; }};
constexpr const VMState* kBusSubsections[] = {&kErrorState};
constexpr VMStateField kBusFields[] = {field<&B::cmd>("cmd"), field<&B::unit>("unit")};

void bus_pre_save(void* object) {
  B& b = *static_cast<B*>(object);
  b.cmd = b.channel->control();
  b.unit = static_cast<uint8_t>(b.channel->selected_unit());
  const IdeUnit* const unit = retry_unit(*b.channel);
  b.error_status = 0;
  if (unit == nullptr) return;
  const IdeHd& hd = *hd_of(*unit);
  b.error_status = retry_code(hd);
  b.retry_sector_num = static_cast<int64_t>(hd.transfer()->lba);
  b.retry_nsector = hd.transfer()->left;
  b.retry_unit = unit == &b.channel->units[0] ? 0 : 1;
}

Result<> bus_pre_load(void* object) {
  B& b = *static_cast<B*>(object);
  b = B{.channel = b.channel};
  b.channel->loaded_retry = LoadedRetry();
  return {};
}

Result<> bus_post_load(void* object, int /*version*/) {
  const B& b = *static_cast<B*>(object);
  if (b.unit > 1) return fail(EINVAL, "unit ", b.unit, " is selected");
  if (b.retry_unit > 1 || b.retry_sector_num < 0)
    return fail(EINVAL, "a request of unit ", b.retry_unit, " waits to be tried again");
  b.channel->restore(b.cmd, b.unit);
  b.channel->loaded_retry = {.status = b.error_status,
                             .lba = static_cast<uint64_t>(b.retry_sector_num),
                             .sectors = b.retry_nsector,
                             .unit = b.retry_unit};
  return {};
}

}  // namespace

constexpr VMState kIdeDriveVmState{.name = "ide_drive",
                                   .version = 3,
                                   .minimum_version = 3,
                                   .fields = kDriveFields,
                                   .subsections = kDriveSubsections,
                                   .pre_save = pre_save,
                                   .pre_load = pre_load,
                                   .post_load = post_load};

constexpr VMState kIdeBusVmState{.name = "ide_bus",
                                 .version = 1,
                                 .fields = kBusFields,
                                 .subsections = kBusSubsections,
                                 .pre_save = bus_pre_save,
                                 .pre_load = bus_pre_load,
                                 .post_load = bus_post_load};

}  // namespace rhea
