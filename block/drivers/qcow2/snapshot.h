// Internal snapshots: the table that lists them, and what makes, applies and deletes one.
#pragma once

#include "block/drivers/qcow2/image.h"

namespace rhea::qcow2 {

/// An entry of the snapshot table.
struct Snapshot {
  uint64_t l1_offset = 0;
  uint32_t l1_entries = 0;
  std::string id;  ///< unique in the image, a number where this program made it
  std::string name;
  uint32_t date_s = 0, date_ns = 0;  ///< since 1970, UTC
  uint64_t vm_clock_ns = 0;
  uint64_t vm_state_bytes = 0;
  uint64_t disk_bytes = 0;
  uint64_t icount = UINT64_MAX;        ///< all ones: unknown
  std::vector<uint8_t> unknown_extra;  ///< what newer programs added
};

/// The image's table. Fails if an entry is bent.
CoResult<std::vector<Snapshot>> co_read_snapshots(Image& image);

/// Writes the table anew, with all fields that today's version has.
CoResult<> co_rewrite_snapshots(Image& image);

/// Makes a snapshot of the state at this moment; nothing may be in flight. `snapshot` has name, dates, vm
/// state size; id and places are filled in. EEXIST if the id is taken.
CoResult<> co_create_snapshot(Image& image, Snapshot snapshot);
/// The image becomes what it was. Nothing may be in flight.
CoResult<> co_apply_snapshot(Image& image, const Snapshot& snapshot);
/// What is read is the snapshot; the file stays as it is.
CoResult<> co_show_snapshot(Image& image, const Snapshot& snapshot);
CoResult<> co_delete_snapshot(Image& image, const std::string& id);

}  // namespace rhea::qcow2
