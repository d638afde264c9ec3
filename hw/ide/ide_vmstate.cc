#include "hw/ide/ide_vmstate.h"

#include <algorithm>

#include "hw/ide/ide_cd.h"

namespace rhea {

namespace {

using W = IdeDriveWire;

/// Which step follows a PIO block, as numbered on the wire.
enum : uint8_t { kEndNothing = 5, kEndReply = 3, kEndPacket = 4, kEndStop = 2 };

IdeCd* cd_of(const W& w) {
  return dynamic_cast<IdeCd*>(w.unit->drive);
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
  w.end_transfer_fn_idx = pio.then == PioTransfer::Then::kPacket  ? kEndPacket
                          : pio.then == PioTransfer::Then::kReply ? kEndReply
                                                                  : kEndStop;
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
  // QEMU's own fields say it all where one block is the whole rest.
  w.have_packet = transfer->dma || w.packet_sectors != 0 || w.elementary_transfer_size != 0;
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
}

Result<> pre_load(void* object) {
  clear(*static_cast<W*>(object));
  return {};
}

// --- loading

Result<TaskFile> registers_of(const W& w) {
  if (w.nsector > 256) return fail(EINVAL, "sector count ", w.nsector);
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
      pio.then = PioTransfer::Then::kPacket;
      pio.from_host = true;
      break;
    case kEndReply:
      pio.then = PioTransfer::Then::kReply;
      break;
    case kEndStop:
    case kEndNothing:
      pio.then = PioTransfer::Then::kNothing;
      break;
    default:
      return fail(EINVAL, "data phase ", w.end_transfer_fn_idx, " is not one of a CD drive");
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
  if (w.packet_dma == !pio.data.empty() || w.packet_dma == replying)
    return fail(EINVAL, "data phase by PIO and DMA at once, or by neither");
  if (!w.packet_dma && (w.packet_limit < 2 || w.packet_limit > 0xfffe || !w.packet_buffer.empty()))
    return fail(EINVAL, "byte count limit ", w.packet_limit);
  if (w.packet_dma && w.channel->dma == nullptr) return fail(EINVAL, "DMA without a bus master");
  t->dma = w.packet_dma;
  t->limit = w.packet_limit;
  t->plan = {w.packet_lba, w.packet_sectors, w.packet_sector_bytes};
  t->buffered = w.packet_buffer;
  return t;
}

/// Checks everything, then takes it over.
Result<> take_cd(const W& w, IdeCd& cd, const TaskFile& regs, PioTransfer pio) {
  TransferMode mode;
  if (w.identify_set != 0 && !transfer_mode_of(w.identify_data, mode))
    return fail(EINVAL, "identify data with an impossible transfer mode");
  if (w.cdrom_changed > 2) return fail(EINVAL, "medium change ", w.cdrom_changed);
  if (w.sense_key > 0x0f) return fail(EINVAL, "sense key ", w.sense_key);
  std::shared_ptr<PacketTransfer> transfer = TRY(transfer_of(w, pio));
  cd.cancel();
  w.unit->regs = regs;
  w.unit->pio = std::move(pio);
  cd.mode = mode;
  cd.atapi().sense = {static_cast<SenseKey>(w.sense_key), w.asc};
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
  if ((regs.status & ata::kDrq) != 0 && pio.data.empty() && !(w.have_packet && w.packet_dma))
    return fail(EINVAL, "status 0x", hex(regs.status), " without data to transfer");
  if (pio.then != PioTransfer::Then::kNothing && w.unit->drive == nullptr)
    return fail(EINVAL, "data phase of a drive that is not there");
  if (IdeCd* cd = cd_of(w)) {
    TRY(take_cd(w, *cd, regs, std::move(pio)));
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
};
constexpr VMState kPacketState{.name = "ide_drive/atapi/packet_state",
                               .version = 1,
                               .fields = kPacketFields,
                               .needed = [](const void* o) { return static_cast<const W*>(o)->have_packet; }};

constexpr const VMState* kDriveSubsections[] = {&kPioState, &kTrayState, &kGesnState, &kPacketState};
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
constexpr VMState kErrorState{.name = "ide_bus/error",
                              .version = 2,
                              .minimum_version = 1,
                              .fields = kErrorFields,
                              .needed = [](const void*) { return false; }};
constexpr const VMState* kBusSubsections[] = {&kErrorState};
constexpr VMStateField kBusFields[] = {field<&B::cmd>("cmd"), field<&B::unit>("unit")};

void bus_pre_save(void* object) {
  B& b = *static_cast<B*>(object);
  b.cmd = b.channel->control();
  b.unit = static_cast<uint8_t>(b.channel->selected_unit());
}

Result<> bus_pre_load(void* object) {
  B& b = *static_cast<B*>(object);
  b.error_status = 0;
  return {};
}

Result<> bus_post_load(void* object, int /*version*/) {
  const B& b = *static_cast<B*>(object);
  if (b.unit > 1) return fail(EINVAL, "unit ", b.unit, " is selected");
  if (b.error_status != 0) return fail(ENOTSUP, "a failed request waits to be tried again");
  b.channel->restore(b.cmd, b.unit);
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
