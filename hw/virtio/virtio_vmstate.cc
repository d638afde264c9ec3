// The saved state of virtio devices, in QEMU 7.2's layout: the function's registers, the device's, one entry
// a queue, what the kind adds, then optional parts by name. Lists of queues in those always have 1024
// entries.
#include <algorithm>
#include <bit>

#include "hw/virtio/virtio_device.h"
#include "util/byteorder.h"

namespace rhea {

/// What is written and read, before it is believed.
struct VirtioWire {
  explicit VirtioWire(VirtioDevice& d) : device(d) {}
  VirtioDevice& device;

  uint8_t endian = 1;  ///< 1: little
  uint64_t features = 0;
  struct Queue {
    uint32_t size = 0, default_size = 0;
    uint64_t descriptors = 0, driver = 0, device = 0;
    uint16_t next = 0, used = 0;
    bool next_wrap = true, used_wrap = true;
    uint32_t in_use = 0;
    uint16_t vector = virtio::kNoVector;
  };
  std::array<Queue, virtio::kMaxQueues> queues{};
  bool have_areas = false, have_packed = false;
  bool broken = false, started = false, disabled = false;

  const VirtioTransport& transport() const { return *device.transport_; }
  bool offers(uint64_t feature) const { return (device.offered_features() & feature) != 0; }
  void collect();
  void save(StateWriter& out);
  Result<> load(StateReader& in, int version);
  Result<> check_queues() const;
  Result<> adopt(uint8_t status);
  Result<> adopt_queue(size_t n);
  uint16_t used_index(const Queue& q) const;
};

namespace {

using W = VirtioWire;
constexpr uint8_t kLittleEndian = 1;

/// A list with an entry for each of the 1024 queues there might be.
template <void (*Save)(const W::Queue&, StateWriter&), void (*Load)(W::Queue&, StateReader&)>
constexpr VMStateField queue_list(const char* name) {
  return {.name = name,
          .save =
              [](const void* o, StateWriter& out, const VMStateField&) {
                for (const W::Queue& q : static_cast<const W*>(o)->queues) Save(q, out);
              },
          .load = [](void* o, StateReader& in, const VMStateField&, int) -> Result<> {
            for (W::Queue& q : static_cast<W*>(o)->queues) Load(q, in);
            return {};
          }};
}

void put_areas(const W::Queue& q, StateWriter& out) {
  out.put_be64(q.driver);
  out.put_be64(q.device);
}
void get_areas(W::Queue& q, StateReader& in) {
  q.driver = in.get_be64();
  q.device = in.get_be64();
}
void put_default_size(const W::Queue& q, StateWriter& out) {
  out.put_be32(q.default_size);
}
void get_default_size(W::Queue& q, StateReader& in) {
  q.default_size = in.get_be32();
}
void put_packed(const W::Queue& q, StateWriter& out) {
  out.put_be16(q.next);
  out.put_u8(q.next_wrap ? 1 : 0);
  out.put_be16(q.used);
  out.put_u8(q.used_wrap ? 1 : 0);
  out.put_be32(q.in_use);
}
void get_packed(W::Queue& q, StateReader& in) {
  q.next = in.get_be16();
  q.next_wrap = in.get_u8() != 0;
  q.used = in.get_be16();
  q.used_wrap = in.get_u8() != 0;
  q.in_use = in.get_be32();
}

const W& wire(const void* o) {
  return *static_cast<const W*>(o);
}

constexpr VMStateField kEndianFields[] = {field<&W::endian>("device_endian")};
constexpr VMState kEndian{.name = "virtio/device_endian",
                          .fields = kEndianFields,
                          .needed = [](const void* o) { return wire(o).endian != kLittleEndian; },
                          .post_load = [](void* o, int) -> Result<> {
                            if (wire(o).endian != kLittleEndian)
                              return fail(EINVAL, "byte order ", wire(o).endian, " is not this machine's");
                            return {};
                          }};
constexpr VMStateField kFeatureFields[] = {field<&W::features>("guest_features")};
constexpr VMState kFeatures{.name = "virtio/64bit_features",
                            .fields = kFeatureFields,
                            .needed = [](const void* o) { return wire(o).offers(~uint64_t{0} << 32); }};
constexpr VMStateField kAreaFields[] = {queue_list<put_areas, get_areas>("vq")};
constexpr VMState kAreas{.name = "virtio/virtqueues",
                         .fields = kAreaFields,
                         .needed = [](const void* o) { return wire(o).offers(virtio::kVersion1); },
                         .post_load = [](void* o, int) -> Result<> {
                           static_cast<W*>(o)->have_areas = true;
                           return {};
                         }};
constexpr VMStateField kSizeFields[] = {queue_list<put_default_size, get_default_size>("vq")};
constexpr VMState kSizes{.name = "virtio/ringsize", .fields = kSizeFields, .needed = [](const void* o) {
                           return std::ranges::any_of(
                               wire(o).queues, [](const W::Queue& q) { return q.size != q.default_size; });
                         }};
constexpr VMStateField kBrokenFields[] = {field<&W::broken>("broken")};
constexpr VMState kBroken{
    .name = "virtio/broken", .fields = kBrokenFields, .needed = [](const void* o) { return wire(o).broken; }};
/// What the transport adds is a description of its own in this place.
constexpr VMStateField kExtraFields[] = {
    {.name = "extra_state",
     .save =
         [](const void* o, StateWriter& out, const VMStateField&) {
           auto& t = const_cast<VirtioTransport&>(wire(o).transport());
           vmstate_save(*t.extra_state(), t.extra_object(), out);
         },
     .load = [](void* o, StateReader& in, const VMStateField&, int) -> Result<> {
       auto& t = const_cast<VirtioTransport&>(wire(o).transport());
       if (t.extra_state() == nullptr) return fail(EINVAL, "the transport has none");
       return vmstate_load(*t.extra_state(), t.extra_object(), in, t.extra_state()->version);
     }}};
constexpr VMState kExtra{.name = "virtio/extra_state", .fields = kExtraFields, .needed = [](const void* o) {
                           return wire(o).transport().extra_state() != nullptr;
                         }};
constexpr VMStateField kStartedFields[] = {field<&W::started>("started")};
constexpr VMState kStarted{.name = "virtio/started", .fields = kStartedFields, .needed = [](const void* o) {
                             return wire(o).started;
                           }};
constexpr VMStateField kPackedFields[] = {queue_list<put_packed, get_packed>("vq")};
constexpr VMState kPacked{.name = "virtio/packed_virtqueues",
                          .fields = kPackedFields,
                          .needed = [](const void* o) { return wire(o).offers(virtio::kRingPacked); },
                          .post_load = [](void* o, int) -> Result<> {
                            static_cast<W*>(o)->have_packed = true;
                            return {};
                          }};
constexpr VMStateField kDisabledFields[] = {field<&W::disabled>("disabled")};
constexpr VMState kDisabled{.name = "virtio/disabled",
                            .fields = kDisabledFields,
                            .needed = [](const void* o) { return wire(o).disabled; }};
constexpr const VMState* kParts[] = {&kEndian, &kFeatures, &kAreas,  &kSizes,   &kBroken,
                                     &kExtra,  &kStarted,  &kPacked, &kDisabled};
constexpr VMState kVirtioState{.name = "virtio", .subsections = kParts};

}  // namespace

void VirtioWire::collect() {
  features = device.features_;
  broken = (device.status_ & virtio::kNeedsReset) != 0;
  started = device.use_started && (device.status_ & virtio::kDriverOk) != 0;
  for (size_t i = 0; i < device.queues_.size(); ++i) {
    const VirtioQueue& from = device.queues_[i];
    Queue& q = queues[i];
    q.size = from.size;
    q.default_size = from.max_size;
    q.vector = from.vector;
    if (from.enabled) {
      q.descriptors = from.descriptors;
      q.driver = from.driver;
      q.device = from.device;
    }
    RingPosition p;
    device.at_home(i, [&] {
      if (from.ring != nullptr) p = from.ring->position();
    });
    q.next = p.next;
    q.used = p.used;
    q.next_wrap = p.next_wrap;
    q.used_wrap = p.used_wrap;
    q.in_use = p.in_use;
  }
}

void VirtioWire::save(StateWriter& out) {
  collect();
  VirtioTransport& t = *device.transport_;
  t.save_head(out);
  out.put_u8(static_cast<uint8_t>(device.status_ & ~virtio::kNeedsReset));
  out.put_u8(t.registers().isr);
  out.put_be16(t.registers().queue_select);
  out.put_be32(static_cast<uint32_t>(features));
  std::array<uint8_t, 256> config{};
  device.fill_config(config);
  out.put_be32(device.config_bytes());
  out.put_bytes(std::span(config).first(device.config_bytes()));
  out.put_be32(static_cast<uint32_t>(device.queue_count()));
  const bool is_packed = (features & virtio::kRingPacked) != 0;
  for (size_t i = 0; i < device.queue_count(); ++i) {
    const Queue& q = queues[i];
    out.put_be32(q.size);
    out.put_be64(q.descriptors);
    out.put_be16(is_packed ? static_cast<uint16_t>(q.next | (q.next_wrap ? 0x8000 : 0)) : q.next);
    if (t.has_vectors()) out.put_be16(q.vector);
  }
  device.save_kind(out);
  vmstate_save(kVirtioState, this, out);
}

Result<> VirtioWire::load(StateReader& in, int version) {
  constexpr uint32_t kMaxConfig = 1 << 16;
  VirtioTransport& t = *device.transport_;
  device.set_status(0);
  TRY(t.load_head(in));
  const uint8_t status = in.get_u8();
  VirtioTransport::Registers registers;
  registers.isr = in.get_u8();
  registers.queue_select = in.get_be16();
  if (registers.queue_select >= virtio::kMaxQueues)
    return fail(EINVAL, "queue_sel ", registers.queue_select, " is too large");
  t.set_registers(registers);
  features = in.get_be32();
  const uint32_t config_bytes = in.get_be32();
  if (config_bytes > kMaxConfig) return fail(EINVAL, "configuration space of ", config_bytes, " bytes");
  std::array<uint8_t, 256> config{};
  for (uint32_t i = 0; i < config_bytes; ++i) {
    const uint8_t byte = in.get_u8();
    if (i < config.size()) config[i] = byte;
  }
  const uint32_t count = in.get_be32();
  if (count > device.queue_count())
    return fail(EINVAL, "it has ", count, " virtqueues and here ", device.queue_count());
  for (uint32_t i = 0; i < device.queue_count(); ++i) {
    queues[i].size = queues[i].default_size = device.queues_[i].max_size;
    if (i >= count) continue;
    queues[i].size = in.get_be32();
    queues[i].descriptors = in.get_be64();
    queues[i].next = in.get_be16();
    if (t.has_vectors()) queues[i].vector = in.get_be16();
  }
  device.features_ = features;  // the low half, which kinds' own layouts depend on
  TRY(device.load_kind(in, version));
  TRY(vmstate_load(kVirtioState, this, in, kVirtioState.version));
  if (!in.ok()) return fail(EINVAL, "the state ends too early");
  TRY(check_queues());
  TRY(adopt(status));
  TRY(device.kind_loaded(std::span(config).first(std::min<size_t>(config_bytes, config.size()))));
  if ((status & virtio::kDriverOk) != 0) device.driver_ready();
  t.state_loaded();
  device.update_serving();
  return {};
}

Result<> VirtioWire::check_queues() const {
  if ((features & ~device.offered_features()) != 0)
    return fail(EINVAL, "features 0x", hex(features & ~device.offered_features()), " are not offered here");
  const bool is_packed = (features & virtio::kRingPacked) != 0;
  if (is_packed && !have_packed) return fail(EINVAL, "positions of packed rings lack");
  for (size_t i = 0; i < device.queue_count(); ++i) {
    const Queue& q = queues[i];
    if (q.default_size != device.queues_[i].max_size)
      return fail(EINVAL, "VQ ", i, " has ", q.default_size, " entries and here ",
                  device.queues_[i].max_size);
    if (q.size == 0 || q.size > virtio::kMaxQueueSize || (!is_packed && !std::has_single_bit(q.size)))
      return fail(EINVAL, "VQ ", i, " has size ", q.size);
    if (q.descriptors == 0 && q.next != 0 && !is_packed)
      return fail(EINVAL, "VQ ", i, " address 0x0 inconsistent with Host index 0x", hex(q.next));
    if (is_packed && (q.next >= q.size || q.used >= q.size || q.in_use > q.size))
      return fail(EINVAL, "VQ ", i, " of size ", q.size, " stands at ", q.next, ", ", q.used, ", ", q.in_use);
  }
  return {};
}

/// Where the device's side of a split ring stands is in the ring itself; 0 where there is no memory.
uint16_t VirtioWire::used_index(const Queue& q) const {
  const GuestPlace place = GuestView(memory_space().view()).find_whole(q.device + 2, 2, false);
  return place.host != nullptr ? load_le<uint16_t>(place.host) : q.next;
}

Result<> VirtioWire::adopt(uint8_t status) {
  device.features_ = features;
  device.status_ = static_cast<uint8_t>(status & ~virtio::kNeedsReset);
  if (broken) device.status_ |= virtio::kNeedsReset;
  for (size_t i = 0; i < device.queue_count(); ++i) TRY(adopt_queue(i));
  return {};
}

Result<> VirtioWire::adopt_queue(size_t n) {
  Queue& q = queues[n];
  VirtioQueue& queue = device.queues_[n];
  const bool modern = (features & virtio::kVersion1) != 0;
  queue.size = static_cast<uint16_t>(q.size);
  queue.vector = q.vector;
  if (q.descriptors == 0) return {};
  queue.descriptors = q.descriptors;
  if (modern && have_areas) {
    queue.driver = q.driver;
    queue.device = q.device;
  } else {  // 2.7.2
    queue.driver = queue.descriptors + 16u * queue.size;
    queue.device = (queue.driver + 6 + 2u * queue.size + 4095) & ~GuestAddr{4095};
  }
  q.device = queue.device;
  queue.enabled = true;
  RingPosition position{
      .next = q.next, .used = q.used, .next_wrap = q.next_wrap, .used_wrap = q.used_wrap, .in_use = q.in_use};
  if ((features & virtio::kRingPacked) == 0) {
    position.used = used_index(q);
    position.next_wrap = position.used_wrap = true;
    position.in_use = static_cast<uint16_t>(position.next - position.used);
    if (position.in_use > queue.size)
      return fail(EINVAL, "VQ ", n, " size 0x", hex(queue.size), " < last_avail_idx 0x", hex(position.next),
                  " - used_idx 0x", hex(position.used));
  }
  device.start_queue(queue, position);
  return {};
}

void VirtioDevice::save_state(StateWriter& out) {
  const auto wire = std::make_unique<VirtioWire>(*this);
  wire->save(out);
}

Result<> VirtioDevice::load_state(StateReader& in, int version) {
  const auto wire = std::make_unique<VirtioWire>(*this);
  return wire->load(in, version);
}

// --- Elements that wait. They travel as their memory image on a 64-bit host: index, counts, then lists of
// 1024 addresses and 1024 (pointer, length) pairs, each for what is written first, then for what is read.

namespace {
constexpr size_t kListed = 1024, kElementHead = 16;
constexpr size_t kElementBytes = kElementHead + 2 * kListed * 8 + 2 * kListed * 16;
constexpr size_t kInAddr = kElementHead, kOutAddr = kInAddr + kListed * 8, kInPair = kOutAddr + kListed * 8,
                 kOutPair = kInPair + kListed * 16;
}  // namespace

void VirtioDevice::save_element(StateWriter& out, const RingElement& element) const {
  std::vector<uint8_t> image(kElementBytes);
  const size_t outs = element.out_pieces(), ins = element.piece_count() - outs;
  store_le<uint32_t>(&image[0], element.id);
  store_le<uint32_t>(&image[4], static_cast<uint32_t>(outs));
  store_le<uint32_t>(&image[8], static_cast<uint32_t>(ins));
  for (size_t i = 0; i < element.piece_count(); ++i) {
    const RingElement::GuestPiece piece = element.guest_piece(i);
    const size_t at = i < outs ? i : i - outs;
    store_le<uint64_t>(&image[(i < outs ? kOutAddr : kInAddr) + 8 * at], piece.addr);
    store_le<uint64_t>(&image[(i < outs ? kOutPair : kInPair) + 16 * at + 8], piece.bytes);
  }
  out.put_bytes(image);
  if ((offered_features() & virtio::kRingPacked) != 0) out.put_be32(element.slots);
}

Result<VirtioDevice::SavedElement> VirtioDevice::load_element(StateReader& in) const {
  std::vector<uint8_t> image(kElementBytes);
  in.get_bytes(image);
  SavedElement e;
  e.index = load_le<uint32_t>(&image[0]);
  const auto outs = load_le<uint32_t>(&image[4]), ins = load_le<uint32_t>(&image[8]);
  if (outs > kListed || ins > kListed || outs + ins > RingElement::kMaxPieces)
    return fail(EINVAL, "an element has ", outs, " + ", ins, " pieces");
  e.out_count = outs;
  for (size_t i = 0; i < outs; ++i)
    e.pieces.push_back(
        {load_le<uint64_t>(&image[kOutAddr + 8 * i]), load_le<uint64_t>(&image[kOutPair + 16 * i + 8])});
  for (size_t i = 0; i < ins; ++i)
    e.pieces.push_back(
        {load_le<uint64_t>(&image[kInAddr + 8 * i]), load_le<uint64_t>(&image[kInPair + 16 * i + 8])});
  if ((offered_features() & virtio::kRingPacked) != 0) e.slots = in.get_be32();
  return e;
}

Result<> VirtioDevice::restore_element(RingElement& element, const SavedElement& saved,
                                       const VirtioQueue& queue) const {
  if (queue.ring == nullptr || saved.index >= queue.size)
    return fail(EINVAL, "an element of number ", saved.index, " in a queue of ", queue.size);
  if (saved.slots == 0 || saved.slots > queue.ring->position().in_use)
    return fail(EINVAL, "an element has ", saved.slots, " slots");
  TRY(element.restore(GuestView(memory_space().view()), saved.pieces, saved.out_count));
  element.id = static_cast<uint16_t>(saved.index);
  element.slots = static_cast<uint16_t>(saved.slots);
  return {};
}

constexpr VMStateField kVirtioStateFields[1] = {
    {.name = "virtio",
     .save =
         [](const void* o, StateWriter& out, const VMStateField&) {
           const_cast<VirtioDevice*>(static_cast<const VirtioDevice*>(o))->save_state(out);
         },
     .load = [](void* o, StateReader& in, const VMStateField&, int version) -> Result<> {
       return static_cast<VirtioDevice*>(o)->load_state(in, version);
     }}};

}  // namespace rhea
