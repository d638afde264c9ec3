#include "block/qmp/info_block.h"

#include "qapi/visit.h"

namespace rhea {

namespace {

void add_title(std::string& out, const BlockInfo* drive, const BlockDeviceInfo* medium) {
  if (drive != nullptr && !drive->device.empty()) {
    out += drive->device;
    if (medium != nullptr && medium->node_name) str_append(out, " (", *medium->node_name, ")");
  } else if (medium != nullptr && medium->node_name) {
    out += *medium->node_name;
  } else {
    out += drive != nullptr && drive->qdev ? *drive->qdev : "<anonymous>";
  }
  if (medium == nullptr) {
    out += ": [not inserted]\n";
    return;
  }
  str_append(out, ": ", medium->file, " (", medium->drv, medium->ro ? ", read-only" : "",
             medium->encrypted ? ", encrypted" : "", ")\n");
}

void add_drive(std::string& out, const BlockInfo& drive) {
  if (drive.qdev) str_append(out, "    Attached to:      ", *drive.qdev, "\n");
  if (drive.io_status && *drive.io_status != BlockDeviceIoStatus::kOk)
    str_append(out, "    I/O status:       ", to_string(*drive.io_status), "\n");
  if (drive.unplug) str_append(out, "    Unplug:           ", to_string(*drive.unplug), "\n");
  if (drive.removable)
    str_append(out, "    Removable device: ", drive.locked ? "" : "not ", "locked, tray ",
               drive.tray_open.value_or(false) ? "open" : "closed", "\n");
}

void add_medium(std::string& out, const BlockDeviceInfo& m) {
  str_append(out, "    Cache mode:       ", m.cache.writeback ? "writeback" : "writethrough",
             m.cache.direct ? ", direct" : "", m.cache.no_flush ? ", ignore flushes" : "", "\n");
  if (m.backing_file)
    str_append(out, "    Backing file:     ", *m.backing_file, " (chain depth: ", m.backing_file_depth,
               ")\n");
  if (m.detect_zeroes != BlockdevDetectZeroesOptions::kOff)
    str_append(out, "    Detect zeroes:    ", to_string(m.detect_zeroes), "\n");
  if (m.bps != 0 || m.bps_rd != 0 || m.bps_wr != 0 || m.iops != 0 || m.iops_rd != 0 || m.iops_wr != 0)
    str_append(out, "    I/O throttling:   bps=", m.bps, " bps_rd=", m.bps_rd, " bps_wr=", m.bps_wr,
               " bps_max=", m.bps_max.value_or(0), " bps_rd_max=", m.bps_rd_max.value_or(0),
               " bps_wr_max=", m.bps_wr_max.value_or(0), " iops=", m.iops, " iops_rd=", m.iops_rd,
               " iops_wr=", m.iops_wr, " iops_max=", m.iops_max.value_or(0),
               " iops_rd_max=", m.iops_rd_max.value_or(0), " iops_wr_max=", m.iops_wr_max.value_or(0),
               " iops_size=", m.iops_size.value_or(0), " group=", m.group.value_or(""), "\n");
}

void add_image(std::string& out, const ImageInfo& image) {
  str_append(out, "\nImages:\nimage: ", image.filename, "\nfile format: ", image.format,
             "\nvirtual size: ", size_text(static_cast<uint64_t>(image.virtual_size)), " (",
             image.virtual_size, " bytes)\n");
  str_append(out, "disk size: ",
             image.actual_size ? size_text(static_cast<uint64_t>(*image.actual_size)) : "unavailable", "\n");
}

void add_entry(std::string& out, const BlockInfo* drive, const BlockDeviceInfo* medium, bool verbose) {
  add_title(out, drive, medium);
  if (drive != nullptr) add_drive(out, *drive);
  if (medium == nullptr) return;
  add_medium(out, *medium);
  if (verbose) add_image(out, medium->image);
}

}  // namespace

std::string info_block_text(const InfoBlockRequest& request, const std::vector<BlockInfo>& drives,
                            const std::vector<BlockDeviceInfo>& nodes) {
  std::string out;
  if (!request.nodes) {
    for (const BlockInfo& drive : drives) {
      if (!request.name.empty() && drive.device != request.name) continue;
      if (&drive != &drives.front()) out += '\n';
      add_entry(out, &drive, drive.inserted ? &*drive.inserted : nullptr, request.verbose);
    }
    if (request.name.empty() || !out.empty()) return out;
  }
  for (const BlockDeviceInfo& node : nodes) {  // a name that is no drive's may be a node's
    if (!request.name.empty() && node.node_name != request.name) continue;
    if (&node != &nodes.front()) out += '\n';
    add_entry(out, nullptr, &node, request.verbose);
  }
  return out;
}

}  // namespace rhea
