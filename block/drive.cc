#include "block/drive.h"

#include <algorithm>
#include <array>

#include "block/cache_mode.h"
#include "block/graph/open.h"
#include "util/log.h"

namespace rhea {

namespace {
constexpr std::array<std::string_view, 9> kInterfaceNames = {"none", "ide", "scsi",   "floppy", "pflash",
                                                             "mtd",  "sd",  "virtio", "xen"};
}  // namespace

std::string_view drive_interface_name(DriveInterface i) {
  return kInterfaceNames[static_cast<size_t>(i)];
}

int drive_units_per_bus(DriveInterface i) {
  if (i == DriveInterface::kIde) return 2;
  return i == DriveInterface::kScsi ? 7 : 0;
}

/// The options of one -drive on their way to a drive.
struct DriveSet::Request {
  explicit Request(OptionTree o) : options(std::move(o)) {}
  OptionTree options;
  DriveInterface interface = DriveInterface::kNone;
  bool is_cdrom = false;
  bool read_only = false;
  bool snapshot = false;
  bool copy_on_read = false;
  bool writeback = true;
  AioDefault aio_default = AioDefault::kThreads;
  std::string file;
  int bus = 0, unit = -1;
  ThrottleConfig limits;
  std::string throttle_group;  ///< empty: the drive's name
  bool count_invalid = true, count_failed = true;
  std::vector<uint32_t> intervals;  ///< of statistics, in seconds
  BlockErrorPolicy on_read = BlockErrorPolicy::kReport, on_write = BlockErrorPolicy::kEnospc;

  Result<> take_kind(DriveInterface default_interface);
  Result<> take_cache();
  Result<> take_error_policies();
  Result<> take_access();
  Result<> take_limits();
  Result<> take_stats();
  Result<int> take_int(std::string_view key, int fallback);
  /// Removes an option that is not for the node.
  template <class T>
  Result<std::optional<T>> own(Result<std::optional<T>> value, std::string_view key) {
    options.erase(key);
    return value;
  }
  Result<std::optional<std::string>> own_string(std::string_view key) {
    return own(options.take_string(key), key);
  }
  Result<std::optional<bool>> own_bool(std::string_view key) { return own(options.take_bool(key), key); }
};

Result<int> DriveSet::Request::take_int(std::string_view key, int fallback) {
  const auto value = TRY(own(options.take_number(key), key));
  if (!value) return fallback;
  constexpr uint64_t kMost = 1'000'000;
  if (*value > kMost) return fail(EINVAL, "Parameter '", key, "' expects a number up to ", kMost);
  return static_cast<int>(*value);
}

Result<> DriveSet::Request::take_kind(DriveInterface default_interface) {
  const std::string media = TRY(own_string("media")).value_or("disk");
  if (media != "disk" && media != "cdrom") return fail(EINVAL, "'", media, "' invalid media");
  is_cdrom = media == "cdrom";
  interface = default_interface;
  if (const auto name = TRY(own_string("if"))) {
    const auto* it = std::ranges::find(kInterfaceNames, *name);
    if (it == kInterfaceNames.end()) return fail(EINVAL, "unsupported bus type '", *name, "'");
    interface = static_cast<DriveInterface>(it - kInterfaceNames.begin());
  }
  return {};
}

Result<> DriveSet::Request::take_cache() {
  if (const auto mode = TRY(own_string("cache"))) {
    const CacheMode cache = TRY(parse_cache_mode(*mode));
    writeback = cache.writeback;
    options.set_default("cache.direct", cache.direct, OptionOrigin::kExplicit);
    options.set_default("cache.no-flush", cache.no_flush, OptionOrigin::kExplicit);
  }
  writeback = TRY(own_bool("cache.writeback")).value_or(writeback);
  return {};
}

Result<> DriveSet::Request::take_error_policies() {
  auto parse = [](const std::string& text, bool is_read) -> Result<BlockErrorPolicy> {
    if (text == "ignore") return BlockErrorPolicy::kIgnore;
    if (!is_read && text == "enospc") return BlockErrorPolicy::kEnospc;
    if (text == "stop") return BlockErrorPolicy::kStop;
    if (text == "report") return BlockErrorPolicy::kReport;
    return fail(EINVAL, "'", text, "' invalid ", is_read ? "read" : "write", " error action");
  };
  if (const auto text = TRY(own_string("werror"))) on_write = TRY(parse(*text, false));
  if (const auto text = TRY(own_string("rerror"))) on_read = TRY(parse(*text, true));
  return {};
}

/// throttling.*, and the names these had before.
Result<> DriveSet::Request::take_limits() {
  static constexpr std::pair<std::string_view, std::string_view> kOldNames[] = {
      {"iops", "iops-total"},
      {"iops_rd", "iops-read"},
      {"iops_wr", "iops-write"},
      {"bps", "bps-total"},
      {"bps_rd", "bps-read"},
      {"bps_wr", "bps-write"},
      {"iops_max", "iops-total-max"},
      {"iops_rd_max", "iops-read-max"},
      {"iops_wr_max", "iops-write-max"},
      {"bps_max", "bps-total-max"},
      {"bps_rd_max", "bps-read-max"},
      {"bps_wr_max", "bps-write-max"},
      {"iops_size", "iops-size"},
      {"group", "group"}};
  for (const auto& [old_name, name] : kOldNames) {
    if (!options.has(old_name)) continue;
    const std::string key = str_cat("throttling.", name);
    if (options.has(key))
      return fail(EINVAL, "'", key, "' and its alias '", old_name, "' can't be used at the same time");
    options.set(key, *options.get(old_name));
    options.erase(old_name);
  }
  auto take = [&](std::string_view name, int64_t& out) -> Result<> {
    const std::string key = str_cat("throttling.", name);
    const auto value = TRY(own(options.take_number(key), key));
    if (value) out = static_cast<int64_t>(std::min<uint64_t>(*value, INT64_MAX));
    return {};
  };
  static constexpr std::pair<ThrottleRate, std::string_view> kRates[] = {
      {ThrottleRate::kBpsTotal, "bps-total"}, {ThrottleRate::kBpsRead, "bps-read"},
      {ThrottleRate::kBpsWrite, "bps-write"}, {ThrottleRate::kIopsTotal, "iops-total"},
      {ThrottleRate::kIopsRead, "iops-read"}, {ThrottleRate::kIopsWrite, "iops-write"}};
  for (const auto& [rate, name] : kRates) {
    ThrottleLimit& limit = limits[rate];
    TRY(take(name, limit.avg));
    TRY(take(str_cat(name, "-max"), limit.max));
    TRY(take(str_cat(name, "-max-length"), limit.burst_s));
  }
  TRY(take("iops-size", limits.op_bytes));
  throttle_group = TRY(own_string("throttling.group")).value_or("");
  return limits.check();
}

Result<> DriveSet::Request::take_stats() {
  count_invalid = TRY(own_bool("stats-account-invalid")).value_or(true);
  count_failed = TRY(own_bool("stats-account-failed")).value_or(true);
  for (unsigned i = 0;; ++i) {
    const std::string key = str_cat("stats-intervals.", i);
    const Json* value = options.get(key);
    if (value == nullptr) return {};
    const std::string text = value->is_string() ? value->as_string() : value->dump();
    uint64_t seconds = 0;
    if (!parse_u64(text, seconds) || seconds == 0 || seconds > UINT32_MAX)
      return fail(EINVAL, "Invalid interval length: ", text);
    intervals.push_back(static_cast<uint32_t>(seconds));
    options.erase(key);
  }
}

Result<> DriveSet::Request::take_access() {
  if (options.has("readonly")) {  // the old spelling
    if (options.has("read-only"))
      return fail(EINVAL, "'read-only' and its alias 'readonly' can't be used at the same time");
    options.set("read-only", *options.get("readonly"));
    options.erase("readonly");
  }
  read_only = TRY(own_bool("read-only")).value_or(false) || is_cdrom;
  copy_on_read = TRY(own_bool("copy-on-read")).value_or(false);
  if (copy_on_read && read_only) {
    warn_report("disabling copy-on-read on read-only drive");
    copy_on_read = false;
  }
  snapshot = TRY(own_bool("snapshot")).value_or(false) && !read_only;
  if (const Json* aio = options.get("aio")) {
    const std::string mode = aio->is_string() ? aio->as_string() : std::string();
    if (mode != "threads" && mode != "native" && mode != "io_uring")
      return fail(EINVAL, "invalid aio option");
    if (!options.has("filename")) {  // it is for whatever host files there are below
      options.erase("aio");
      aio_default = mode == "native"     ? AioDefault::kNative
                    : mode == "io_uring" ? AioDefault::kIoUring
                                         : AioDefault::kThreads;
    }
  }
  if (const auto format = TRY(own_string("format"))) {
    if (options.has("driver")) return fail(EINVAL, "Cannot specify both 'driver' and 'format'");
    options.set("driver", *format);
  }
  return {};
}

Result<> DriveSet::take_place(Request& r) const {
  const int per_bus = drive_units_per_bus(r.interface);
  r.bus = TRY(r.take_int("bus", 0));
  r.unit = TRY(r.take_int("unit", -1));
  const int index = TRY(r.take_int("index", -1));
  if (index != -1) {
    if (r.bus != 0 || r.unit != -1) return fail(EINVAL, "index cannot be used with bus and unit");
    r.bus = per_bus != 0 ? index / per_bus : 0;
    r.unit = per_bus != 0 ? index % per_bus : index;
  }
  if (r.unit == -1) {
    for (r.unit = 0; find(r.interface, r.bus, r.unit) != nullptr;) {
      if (++r.unit != per_bus) continue;
      r.unit = 0;
      ++r.bus;
    }
  }
  if (per_bus != 0 && r.unit >= per_bus)
    return fail(EINVAL, "unit ", r.unit, " too big (max is ", per_bus - 1, ")");
  if (find(r.interface, r.bus, r.unit) != nullptr)
    return fail(EINVAL, "drive with bus=", r.bus, ", unit=", r.unit, " (index=", index, ") exists");
  return {};
}

Result<std::string> DriveSet::choose_name(Request& r) const {
  std::string name = TRY(r.own_string("id")).value_or("");
  if (name.empty()) {
    const bool has_media = r.interface == DriveInterface::kIde || r.interface == DriveInterface::kScsi;
    name = drive_interface_name(r.interface);
    if (drive_units_per_bus(r.interface) != 0) str_append(name, r.bus);
    if (has_media) name += r.is_cdrom ? "-cd" : "-hd";
    str_append(name, r.unit);
  } else if (!is_well_formed_id(name)) {
    return Failure(
        Error(EINVAL, "Parameter 'id' expects an identifier")
            .with_hint("Identifiers consist of letters, digits, '-', '.', '_', starting with a letter."));
  }
  if (graph_.find_backend(name) != nullptr) return fail(EEXIST, "Duplicate ID '", name, "' for drive");
  return name;
}

DriveInfo* DriveSet::find(DriveInterface interface, int bus, int unit) const {
  for (const auto& d : drives_)
    if (d->interface == interface && d->bus == bus && d->unit == unit) return d.get();
  return nullptr;
}

DriveInfo* DriveSet::find(const BlockBackend& backend) const {
  for (const auto& d : drives_)
    if (d->backend.get() == &backend) return d.get();
  return nullptr;
}

CoResult<std::unique_ptr<BlockBackend>> DriveSet::co_make_backend(GraphWriteLock& lock, const Request& r,
                                                                  const std::string& name,
                                                                  const NodeRef& node) {
  if (graph_.find_node(name) != nullptr)
    co_return fail(EINVAL, "Device name '", name, "' conflicts with an existing node name");
  if (graph_.find_backend(name) != nullptr) co_return fail(EEXIST, "Duplicate ID '", name, "' for drive");
  const uint32_t perm = blk_perm::kConsistentRead | (r.read_only ? 0 : blk_perm::kWrite);
  auto backend = std::make_unique<BlockBackend>(graph_, name, PermPair{perm, blk_perm::kAll});
  backend->set_write_cache_enabled(r.writeback);
  backend->set_error_policy(r.on_read, r.on_write);
  backend->set_read_only_default(r.read_only);
  backend->accounting().set_counted(r.count_invalid, r.count_failed);
  for (const uint32_t seconds : r.intervals) backend->accounting().add_interval(seconds);
  if (node) co_await or_return(co_await backend->co_insert(lock, *node));
  if (r.limits.any()) {
    backend->throttle().join(get_throttle_group(r.throttle_group.empty() ? name : r.throttle_group));
    backend->throttle().group()->set_limits(r.limits);
  }
  co_return std::move(backend);
}

CoResult<DriveInfo*> DriveSet::co_add(Json options, DriveInterface default_interface) {
  Request r(OptionTree::from_json(options));
  co_await or_return(r.take_kind(default_interface));
  co_await or_return(take_place(r));
  const std::string name = co_await or_return(choose_name(r));
  r.file = (co_await or_return(r.own_string("file"))).value_or("");
  co_await or_return(r.take_cache());
  co_await or_return(r.take_error_policies());
  co_await or_return(r.take_access());
  co_await or_return(r.take_limits());
  co_await or_return(r.take_stats());

  NodeRef node;
  const bool only_cache =
      std::ranges::all_of(r.options.entries(), [](const auto& e) { return e.key.starts_with("cache."); });
  if (!r.file.empty() || !only_cache) {
    r.options.set("read-only", r.read_only || r.snapshot);
    r.options.set_default("auto-read-only", true, OptionOrigin::kDefault);
    OpenRequest request(std::move(r.options), r.file);
    request.copy_on_read = r.copy_on_read && !r.snapshot;
    request.aio = r.aio_default;
    node = co_await or_return(co_await co_open_node(graph_, std::move(request)));
  }
  if (r.snapshot && node)
    node = co_await or_return(co_await co_open_temporary_overlay(graph_, std::move(node)));
  GraphWriteLock lock = co_await or_return(co_await graph_.co_lock());
  Result<std::unique_ptr<BlockBackend>> backend = co_await co_make_backend(lock, r, name, node);
  if (!backend) {
    node.reset();
    co_await or_return(co_await graph_.co_reap(lock));
  }
  auto drive = std::make_unique<DriveInfo>();
  drive->interface = r.interface;
  drive->bus = r.bus;
  drive->unit = r.unit;
  drive->is_cdrom = r.is_cdrom;
  drive->backend = co_await or_return(std::move(backend));
  drives_.push_back(std::move(drive));
  co_return drives_.back().get();
}

void DriveSet::erase(const DriveInfo* drive) {
  std::erase_if(drives_, [&](const auto& d) { return d.get() == drive; });
}

void DriveSet::drop_orphans() {
  std::erase_if(drives_,
                [](const auto& d) { return d->backend->name().empty() && !d->backend->has_device(); });
}

CoResult<> DriveSet::co_delete(std::string id) {
  GraphWriteLock lock = co_await or_return(co_await graph_.co_lock());
  drop_orphans();
  BlockBackend* backend = graph_.find_backend(id);
  if (backend == nullptr)
    co_return fail_class(ErrorClass::kDeviceNotFound, ENODEV, "Device '", id, "' not found");
  DriveInfo* drive = find(*backend);
  if (drive == nullptr) co_return fail(ENOTSUP, "Deleting device added with blockdev-add is not supported");
  if (backend->unplug.pending) {
    backend->unplug.drive_goes_too = true;
    co_return Result<>();
  }
  if (backend->node() != nullptr) co_await or_return(co_await backend->co_remove(lock));
  backend->make_anonymous();
  drive->bus = drive->unit = -1;  // its place is free
  if (backend->has_device())
    backend->set_error_policy(BlockErrorPolicy::kReport, BlockErrorPolicy::kReport);
  else
    erase(drive);
  co_return Result<>();
}

CoResult<> DriveSet::co_release(BlockBackend& backend) {
  GraphWriteLock lock = co_await or_return(co_await graph_.co_lock());
  DriveInfo* drive = find(backend);
  if (drive == nullptr) co_return Result<>();
  backend.make_anonymous();
  drive->bus = drive->unit = -1;
  if (backend.node() == nullptr) co_return Result<>();
  co_return co_await backend.co_remove(lock);
}

CoResult<> DriveSet::co_forget(DriveInfo& drive) {
  GraphWriteLock lock = co_await or_return(co_await graph_.co_lock());
  if (drive.backend->node() != nullptr) co_await or_return(co_await drive.backend->co_remove(lock));
  erase(&drive);
  co_return Result<>();
}

}  // namespace rhea
