// Making a qcow2 image from its -o options: the storage, the empty image, what is allocated beforehand.
#include "block/drivers/create_options.h"
#include "block/drivers/qcow2/create.h"
#include "block/drivers/qcow2/measure.h"
#include "block/drivers/qcow2/node.h"
#include "block/graph/open.h"

namespace rhea {

namespace {

using qcow2::CreateOptions;

constexpr PermPair kCreator{blk_perm::kConsistentRead | blk_perm::kWrite | blk_perm::kResize, blk_perm::kAll};

Result<CreateOptions> take(OptionTree& options) {
  CreateOptions o;
  o.virtual_bytes = TRY(options.take_size("size")).value_or(0);
  o.virtual_bytes = (o.virtual_bytes + kSectorBytes - 1) / kSectorBytes * kSectorBytes;
  o.cluster_bytes = TRY(options.take_size("cluster_size")).value_or(65536);
  o.refcount_bits = static_cast<uint32_t>(
      std::min<uint64_t>(TRY(options.take_number("refcount_bits")).value_or(16), UINT32_MAX));
  o.lazy_refcounts = TRY(options.take_bool("lazy_refcounts")).value_or(false);
  o.extended_l2 = TRY(options.take_bool("extended_l2")).value_or(false);
  o.backing_file = TRY(options.take_string("backing_file")).value_or("");
  o.backing_format = TRY(options.take_string("backing_fmt")).value_or("");
  const auto data_file = TRY(options.take_string("data_file"));
  o.has_data_file = data_file.has_value();
  o.data_file = data_file.value_or("");
  o.data_file_raw = TRY(options.take_bool("data_file_raw")).value_or(false);
  const std::string compat = TRY(options.take_string("compat")).value_or("1.1");
  if (compat == "0.10" || compat == "v2")
    o.version = 2;
  else if (compat != "1.1" && compat != "v3")
    return fail(EINVAL, "Invalid parameter '", compat, "'");
  const std::string how = TRY(options.take_string("compression_type")).value_or("zlib");
  if (how == "zstd")
    o.compression = qcow2::Compression::kZstd;
  else if (how != "zlib")
    return fail(EINVAL, "Invalid parameter '", how, "'");
  return o;
}

/// Runs `work` with a backend on `node`.
template <class F>
CoResult<> co_with_backend(BlockGraph& graph, NodeRef node, F& work) {
  BlockBackend backend(graph, "", kCreator);
  {
    GraphWriteLock lock = co_await or_return(co_await graph.co_lock());
    co_await or_return(co_await backend.co_insert(lock, *node));
  }
  Result<> done = co_await work(backend);
  node.reset();
  GraphWriteLock lock = co_await or_return(co_await graph.co_lock());
  co_await or_return(co_await backend.co_remove(lock));
  co_return done;
}

/// The same with a node just opened, which is closed again.
template <class F>
CoResult<> co_with_backend(BlockGraph& graph, OptionTree options, std::string filename, F& work) {
  OpenRequest request(std::move(options), std::move(filename));
  NodeRef node = co_await or_return(co_await co_open_node(graph, std::move(request)));
  co_return co_await co_with_backend(graph, std::move(node), work);
}

struct WriteEmptyImage {
  CreateOptions options;
  CoResult<> operator()(BlockBackend& file) { return qcow2::co_create_image(file, options); }
};

/// Gives every guest cluster a place; what is there reads as zeroes.
struct Preallocate {
  Preallocation how;
  CoResult<> operator()(BlockBackend& disk) {
    return static_cast<qcow2::Qcow2Node*>(disk.node())->co_preallocate(0, disk.node()->total_bytes(), how);
  }
};

/// The options of blockdev-create, by the names take() knows them by.
Result<OptionTree> as_create_options(OptionTree& options) {
  OptionTree out;
  for (const auto& [theirs, ours] : {std::pair("size", "size"),
                                     {"cluster-size", "cluster_size"},
                                     {"refcount-bits", "refcount_bits"},
                                     {"lazy-refcounts", "lazy_refcounts"},
                                     {"extended-l2", "extended_l2"},
                                     {"backing-file", "backing_file"},
                                     {"backing-fmt", "backing_fmt"},
                                     {"data-file-raw", "data_file_raw"},
                                     {"version", "compat"},
                                     {"compression-type", "compression_type"},
                                     {"preallocation", "preallocation"}}) {
    const Json* value = options.get(theirs);
    if (value == nullptr) continue;
    out.set(ours, *value);
    options.erase(theirs);
  }
  return out;
}

Result<> check_blockdev_create(const OptionTree& options, const CreateOptions& o, Preallocation how) {
  const Json* size = options.get("size");
  if (size != nullptr && size->is_int() && static_cast<uint64_t>(size->as_int()) % kSectorBytes != 0)
    return fail(EINVAL, "The image size must be a multiple of 512 bytes");
  if (o.version < 3 && options.has("refcount_bits") && o.refcount_bits != 16)
    return fail(
        EINVAL,
        "Different refcount widths than 16 bits require compatibility level 1.1 or above (use version=v3 "
        "or greater)");
  if (!o.backing_format.empty() && o.backing_file.empty())
    return fail(EINVAL, "Backing format cannot be used without backing file");
  TRY(qcow2::check_create_options(o));
  if (how != Preallocation::kOff && !o.backing_file.empty() && !o.extended_l2)
    return fail(EINVAL,
                "Backing file and preallocation can only be used at the same time if extended_l2 is enabled");
  return {};
}

}  // namespace

CoResult<> co_blockdev_create_qcow2(BlockGraph& graph, OptionTree& options) {
  OptionTree given = co_await or_return(as_create_options(options));
  const OptionTree kept = given;
  CreateOptions o = co_await or_return(take(given));
  const std::string how_text = (co_await or_return(given.take_string("preallocation"))).value_or("off");
  const Preallocation how = co_await or_return(parse_preallocation(how_text));
  NodeRef file = co_await or_return(co_await co_open_ref(graph, options, "file"));
  NodeRef data;
  if (options.has("data-file") || options.has_below("data-file")) {
    data = co_await or_return(co_await co_open_ref(graph, options, "data-file"));
    o.has_data_file = true;
    o.data_file = data->filename();
  }
  co_await or_return(check_blockdev_create(kept, o, how));
  const uint64_t bytes = o.virtual_bytes;
  WriteEmptyImage write{std::move(o)};
  co_await or_return(co_await co_with_backend(graph, file, write));
  if (how == Preallocation::kOff || bytes == 0) co_return Result<>();
  Preallocate fill{how};
  OptionTree image;
  image.set("driver", "qcow2");
  image.set("file", file->name());
  if (data) image.set("data-file", data->name());
  image.set("backing", Json());
  co_return co_await co_with_backend(graph, std::move(image), std::string(), fill);
}

namespace qcow2 {

Result<Measure> measure(OptionTree& options) {
  const CreateOptions o = TRY(take(options));
  TRY(check_create_options(o));
  const auto text = TRY(options.take_string("preallocation"));
  const Preallocation how = TRY(parse_preallocation(text.value_or("off")));
  Measure m;
  m.cluster_bytes = o.cluster_bytes;
  m.preallocated = how == Preallocation::kFalloc || how == Preallocation::kFull;
  const uint64_t size = o.cluster_bytes, entry = o.extended_l2 ? 16 : 8;
  const auto clusters = [&](uint64_t bytes) { return (bytes + size - 1) / size; };
  const uint64_t guest = clusters(o.virtual_bytes);
  const uint64_t l2 = clusters(guest * entry), l1 = clusters(l2 * 8);
  if (l2 * 8 > kMaxL1Bytes)
    return fail(EFBIG, "The image size is too large (try using a larger cluster size)");
  const uint64_t per_block = size * 8 / o.refcount_bits, data = o.has_data_file ? 0 : guest;
  uint64_t tables = 1, blocks = 1;
  for (;;) {  // until table and blocks count themselves
    const uint64_t all = 1 + l1 + l2 + data + tables + blocks;
    const uint64_t need_blocks = (all + per_block - 1) / per_block, need_tables = clusters(need_blocks * 8);
    if (need_blocks <= blocks && need_tables <= tables) break;
    blocks = std::max(blocks, need_blocks);
    tables = std::max(tables, need_tables);
  }
  m.metadata_bytes = (1 + l1 + l2 + tables + blocks) * size;
  m.data_bytes = data * size;
  return m;
}

}  // namespace qcow2

CoResult<> co_create_qcow2(BlockGraph& graph, const std::string& filename, OptionTree& options) {
  CreateOptions o = co_await or_return(take(options));
  const std::string how = (co_await or_return(options.take_string("preallocation"))).value_or("off");
  const Preallocation preallocation = co_await or_return(parse_preallocation(how));
  co_await or_return(qcow2::check_create_options(o));
  if (preallocation != Preallocation::kOff && !o.backing_file.empty() && !o.extended_l2)
    co_return fail(
        EINVAL, "Backing file and preallocation can only be used at the same time if extended_l2 is enabled");
  if (o.has_data_file) {
    OptionTree data;
    data.set("size", o.data_file_raw ? o.virtual_bytes : uint64_t{0});
    co_await or_return(co_await co_create_protocol(graph, o.data_file, data));
  }
  OptionTree below;
  for (const OptionTree::Entry& e : options.entries())
    if (!e.consumed) below.set(e.key, e.value);
  co_await or_return(co_await co_create_protocol(graph, filename, below));
  for (const OptionTree::Entry& e : below.entries())
    if (e.consumed) std::ignore = options.take_string(e.key);
  const uint64_t bytes = o.virtual_bytes;
  WriteEmptyImage write{std::move(o)};
  OptionTree plain;
  const BlockDriver* protocol = co_await or_return(protocol_of(graph, filename));
  plain.set("driver", protocol->name);
  co_await or_return(co_await co_with_backend(graph, std::move(plain), filename, write));
  if (preallocation == Preallocation::kOff || bytes == 0) co_return Result<>();
  Preallocate fill{preallocation};
  OptionTree image;
  image.set("driver", "qcow2");
  image.set("backing", Json());
  co_return co_await co_with_backend(graph, std::move(image), filename, fill);
}

}  // namespace rhea
