// The qcow2 node as an image: its particulars, checks, snapshots, the name of its backing file.
#include "block/drivers/qcow2/check.h"
#include "block/drivers/qcow2/node.h"
#include "block/drivers/qcow2/snapshot.h"

namespace rhea::qcow2 {

CoResult<ImageDetails> Qcow2Node::co_details() {
  const Header h = image_.header_copy();  // requests may be under way
  ImageDetails d;
  d.cluster_bytes = h.cluster_bytes();
  d.vm_state_offset = vm_state_offset();
  d.dirty = (h.incompatible & kIncompatDirty) != 0;
  for (Snapshot& s : co_await or_return(co_await co_read_snapshots(image_)))
    d.snapshots.push_back({std::move(s.id), std::move(s.name), s.vm_state_bytes, s.date_s, s.date_ns,
                           s.vm_clock_ns, s.icount, s.disk_bytes});
  Json data = Json::object();
  data.set("compat", h.version >= 3 ? "1.1" : "0.10");
  data.set("compression-type", compression_name(h.compression));
  if (h.version >= 3) {
    data.set("lazy-refcounts", (h.compatible & kCompatLazyRefcounts) != 0);
  }
  if (Json list = bitmap_list(); !list.is_null()) data.set("bitmaps", std::move(list));
  data.set("refcount-bits", uint64_t{1} << h.refcount_order);
  if (h.version >= 3) {
    data.set("corrupt", (h.incompatible & kIncompatCorrupt) != 0 || image_.corrupt());
    data.set("extended-l2", h.extended_l2());
  }
  if (h.has_data_file()) {
    if (!h.data_file.empty()) data.set("data-file", h.data_file);
    data.set("data-file-raw", (h.autoclear & kAutoclearRawDataFile) != 0);
  }
  d.specific = Json::object();
  d.specific.set("type", "qcow2");
  d.specific.set("data", std::move(data));
  co_return d;
}

CoResult<CheckResult> Qcow2Node::co_check(CheckOptions options) {
  if (image_.writable()) co_await or_return(co_await image_.co_checkpoint(true));
  const bool fix = options.fix_errors;
  const CheckResult r = co_await or_return(co_await qcow2::co_check(image_, std::move(options)));
  Header& h = image_.header();
  const bool clean = r.corruptions == 0 && r.check_errors == 0;
  if (fix && clean && (h.incompatible & (kIncompatDirty | kIncompatCorrupt)) != 0) {
    h.incompatible &= ~(kIncompatDirty | kIncompatCorrupt);
    co_await or_return(co_await image_.co_write_header());
    co_await or_return(co_await image_.co_flush_children());
  }
  co_return r;
}

CoResult<> Qcow2Node::co_snapshot_create(ImageSnapshot info) {
  Snapshot s;
  s.id = info.id;
  s.name = std::move(info.name);
  s.date_s = info.date_s;
  s.date_ns = info.date_ns;
  s.vm_clock_ns = info.vm_clock_ns;
  s.vm_state_bytes = info.vm_state_bytes;
  s.icount = info.icount;
  co_return co_await qcow2::co_create_snapshot(image_, std::move(s));
}

CoResult<> Qcow2Node::co_snapshot_apply(const std::string& id) {
  const std::vector<Snapshot> all = co_await or_return(co_await co_read_snapshots(image_));
  for (const Snapshot& s : all) {
    if (s.id != id) continue;
    write_ended(ByteRange(0, total_bytes()));
    co_await or_return(co_await co_before_allocating());
    co_await or_return(co_await qcow2::co_apply_snapshot(image_, s));
    co_return co_await co_refresh_length();
  }
  co_return fail(ENOENT, "Can't find the snapshot");
}

CoResult<> Qcow2Node::co_snapshot_load(const std::string& id) {
  if (image_.writable()) co_return fail(EINVAL, "Device is not readonly");
  const std::vector<Snapshot> all = co_await or_return(co_await co_read_snapshots(image_));
  for (const Snapshot& s : all) {
    if (s.id != id) continue;
    co_await or_return(co_await qcow2::co_show_snapshot(image_, s));
    co_return co_await co_refresh_length();
  }
  co_return fail(ENOENT, "Can't find snapshot");
}

CoResult<> Qcow2Node::co_snapshot_delete(const std::string& id) {
  return qcow2::co_delete_snapshot(image_, id);
}

/// Machine state has L2 tables of its own, behind those of the disk.
uint64_t Qcow2Node::vm_state_offset() const {
  const Header& h = image_.header();
  return (h.virtual_bytes + h.l2_span() - 1) / h.l2_span() * h.l2_span();
}

CoResult<> Qcow2Node::co_load_vmstate(uint64_t at, IoVector iov) {
  if (at > kMaxNodeBytes - vm_state_offset()) co_return fail(EFBIG, "There is no machine state so far out");
  co_return co_await co_read_general(ByteRange(vm_state_offset() + at, iov.size()), iov);
}

CoResult<> Qcow2Node::co_save_vmstate(uint64_t at, IoVector iov) {
  const Header& h = image_.header();
  const uint64_t from = vm_state_offset();
  if (at > kMaxNodeBytes - from || iov.size() > kMaxNodeBytes - from - at)
    co_return fail(EFBIG, "Machine state cannot lie so far out");
  co_await or_return(co_await image_.co_grow_l1((from + at + iov.size() + h.l2_span() - 1) / h.l2_span()));
  set_written();
  co_return co_await co_pwritev(ByteRange(from + at, iov.size()), iov);
}

CoResult<> Qcow2Node::co_change_backing_name(BackingName name) {
  Header& h = image_.header();
  if ((h.autoclear & kAutoclearRawDataFile) != 0 && !name.file.empty())
    co_return fail(EINVAL, "Cannot set a backing file because data-file-raw is enabled");
  if (name.file.size() > kMaxBackingNameBytes) co_return fail(EINVAL, "Backing file name too long");
  const Header before = h;
  h.backing_file = name.file;
  h.backing_format = name.file.empty() ? std::string() : name.format;
  Result<> written = co_await image_.co_write_header();
  if (!written) {
    h = before;
    co_return written;
  }
  backing_name_ = std::move(name);
  co_return co_await image_.co_flush_children();
}

}  // namespace rhea::qcow2
