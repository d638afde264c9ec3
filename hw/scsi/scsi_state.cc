// How a disk's state travels: section "scsi-disk", in QEMU 7.2's layout.
#include "hw/scsi/scsi_disk.h"

namespace rhea {

/// The fields in their order; collected before saving, believed after loading.
struct ScsiDiskWire {
  static constexpr size_t kSenseBytes = 96;
  ScsiDisk* disk = nullptr;
  uint8_t key = 0, asc = 0, ascq = 0;
  bool sense_is_attention = false;
  std::array<uint8_t, kSenseBytes> sense{};  ///< of a command whose status the initiator fetches: none here
  uint32_t sense_bytes = 0;
  ScsiDisk::Wire medium;

  void collect() {
    const Sense& attention = disk->attention();
    key = static_cast<uint8_t>(attention.key);
    asc = attention.asc;
    ascq = attention.ascq;
    disk->save_medium(medium);
  }
  Result<> believe() {
    if (key > 0x0f || sense_bytes > kSenseBytes)
      return fail(EINVAL, "sense key ", key, " or ", sense_bytes, " bytes of sense data");
    disk->set_attention({static_cast<SenseKey>(key), asc, ascq});
    return disk->load_medium(medium);
  }
  static void save_requests(const void* o, StateWriter& out, const VMStateField&) {
    ScsiDisk& disk = *static_cast<const ScsiDiskWire*>(o)->disk;
    disk.host().save_waiting(disk, out);
  }
  static Result<> load_requests(void* o, StateReader& in, const VMStateField&, int) {
    ScsiDisk& disk = *static_cast<ScsiDiskWire*>(o)->disk;
    return disk.host().load_waiting(disk, in);
  }
};

namespace {

using W = ScsiDiskWire;
constexpr VMStateField kUnitFields[] = {
    field<&W::key>("unit_attention.key"),
    field<&W::asc>("unit_attention.asc"),
    field<&W::ascq>("unit_attention.ascq"),
    field<&W::sense_is_attention>("sense_is_ua"),
    field<&W::sense>("sense"),
    field<&W::sense_bytes>("sense_len"),
    {.name = "requests", .save = W::save_requests, .load = W::load_requests},
};
constexpr VMState kUnit{.name = "SCSIDevice", .fields = kUnitFields};

using M = ScsiDisk::Wire;
constexpr VMStateField kMediumFields[] = {
    field<&M::media_changed>("media_changed"), field<&M::media_event>("media_event"),
    field<&M::eject_request>("eject_request"), field<&M::tray_open>("tray_open"),
    field<&M::tray_locked>("tray_locked"),
};
constexpr VMState kMedium{.name = "medium", .fields = kMediumFields};

/// A device's description has the device for its object: the wire stands between.
constexpr VMStateField kDiskFields[] = {
    {.name = "qdev",
     .save =
         [](const void* o, StateWriter& out, const VMStateField&) {
           W wire;
           wire.disk = static_cast<ScsiDisk*>(static_cast<Device*>(const_cast<void*>(o)));
           wire.collect();
           vmstate_save(kUnit, &wire, out);
           vmstate_save(kMedium, &wire.medium, out);
         },
     .load = [](void* o, StateReader& in, const VMStateField&, int) -> Result<> {
       W wire;
       wire.disk = static_cast<ScsiDisk*>(static_cast<Device*>(o));
       TRY(vmstate_load(kUnit, &wire, in, kUnit.version));
       TRY(vmstate_load(kMedium, &wire.medium, in, kMedium.version));
       return wire.believe();
     }},
};
constexpr VMState kDisk{.name = "scsi-disk", .version = 1, .minimum_version = 1, .fields = kDiskFields};

}  // namespace

const VMState* ScsiDisk::vmstate() const {
  return &kDisk;
}

}  // namespace rhea
