// New files, and raw images in them.
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>

#include "block/drivers/create_options.h"
#include "block/drivers/drivers.h"
#include "block/graph/io.h"
#include "block/graph/node_opener.h"
#include "block/graph/open.h"
#include "util/thread_pool.h"
#include "util/unique_fd.h"

namespace rhea {

namespace {

struct FileRequest {
  std::string path;
  uint64_t bytes = 0;
  uint64_t extent_size_hint = 0;
  Preallocation preallocation = Preallocation::kOff;
  bool nocow = false;
};

Result<> write_all_zeroes(int fd, uint64_t bytes) {
  const std::vector<char> zeroes(1u << 20);
  for (uint64_t done = 0; done < bytes;) {
    const ssize_t n =
        pwrite(fd, zeroes.data(), std::min<uint64_t>(zeroes.size(), bytes - done), static_cast<off_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return fail_errno(n < 0 ? errno : EIO, "Could not write zeros for preallocation");
    done += static_cast<uint64_t>(n);
  }
  return fsync(fd) == 0 ? Result<>() : Result<>(fail_errno(errno, "Could not flush file to disk"));
}

/// Whoever reads past the page cache finds out the alignment by trying; a hole would let anything through.
void allocate_first_block(int fd, uint64_t bytes) {
  constexpr size_t kLargestBlock = 4096;
  const std::array<char, kLargestBlock> zeroes = {};
  const size_t n = bytes >= kLargestBlock ? kLargestBlock : std::min<size_t>(bytes, kSectorBytes);
  if (n != 0) std::ignore = pwrite(fd, zeroes.data(), n, 0);  // only a help
}

/// Pool thread: opening and preallocating may take long.
Result<> make_file(const FileRequest& r) {
  constexpr mode_t kMode = 0644;
  const UniqueFd fd(open(r.path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, kMode));
  if (!fd) return fail_errno(errno, "Could not create '", r.path, "'");
  struct stat st = {};
  if (fstat(fd.get(), &st) != 0) return fail_errno(errno, "Could not create '", r.path, "'");
  if (!S_ISREG(st.st_mode)) return {};  // a device keeps its length
  if (r.nocow) {
    int attributes =
        0;  // only an empty file can become one that is not copied on write; elsewhere it means nothing
    if (ftruncate(fd.get(), 0) == 0 && ioctl(fd.get(), FS_IOC_GETFLAGS, &attributes) == 0) {
      attributes |= FS_NOCOW_FL;
      std::ignore = ioctl(fd.get(), FS_IOC_SETFLAGS, &attributes);
    }
  }
  if (ftruncate(fd.get(), 0) != 0) return fail_errno(errno, "Could not resize file");
  if (r.preallocation == Preallocation::kFull) return write_all_zeroes(fd.get(), r.bytes);
  if (r.preallocation == Preallocation::kFalloc && r.bytes != 0) {
    const int error = posix_fallocate(fd.get(), 0, static_cast<off_t>(r.bytes));
    if (error != 0) return fail_errno(error, "Could not preallocate data for the new file");
    return {};
  }
  if (ftruncate(fd.get(), static_cast<off_t>(r.bytes)) != 0)
    return fail_errno(errno, "Could not resize file");
  allocate_first_block(fd.get(), r.bytes);
  return {};
}

}  // namespace

CoResult<> co_create_file(BlockGraph&, const std::string& filename, OptionTree& options) {
  FileRequest r;
  r.path = filename.starts_with("file:") ? filename.substr(5) : filename;
  r.bytes = (co_await or_return(options.take_size("size"))).value_or(0);
  r.nocow = (co_await or_return(options.take_bool("nocow"))).value_or(false);
  r.extent_size_hint = (co_await or_return(options.take_size("extent_size_hint"))).value_or(0);
  const std::string how = (co_await or_return(options.take_string("preallocation"))).value_or("off");
  r.preallocation = co_await or_return(parse_preallocation(how));
  if (r.preallocation == Preallocation::kMetadata)
    co_return fail(EINVAL, "Unsupported preallocation mode 'metadata'");
  auto work = [&] { return make_file(r); };
  co_return co_await thread_pool().co_run(work);
}

CoResult<> co_blockdev_create_file(BlockGraph& graph, OptionTree& options) {
  const std::string filename = (co_await or_return(options.take_string("filename"))).value_or("");
  if (const Json* hint = options.get("extent-size-hint"); hint != nullptr)
    options.set("extent_size_hint", *hint);
  co_return co_await co_create_file(graph, filename, options);
}

CoResult<NodeRef> co_open_ref(BlockGraph& graph, OptionTree& options, const std::string& name) {
  OpenRequest request(options.extract(name));
  if (options.has(name)) request.reference = *co_await or_return(options.take_string(name));
  co_return co_await co_open_node(graph, std::move(request));
}

/// A raw image is a file as long as the disk.
CoResult<> co_create_raw(BlockGraph& graph, const std::string& filename, OptionTree& options) {
  const uint64_t bytes = (co_await or_return(options.take_size("size"))).value_or(0);
  options.set("size", bytes / kSectorBytes * kSectorBytes == bytes
                          ? bytes
                          : (bytes / kSectorBytes + 1) * kSectorBytes);
  co_return co_await co_create_protocol(graph, filename, options);
}

namespace {
/// Storage of a fixed size becomes an image where it is: its head is made zero, so that nothing old is found
/// there.
CoResult<> co_create_in_place(BlockGraph& graph, const BlockDriver& d, const std::string& filename,
                              OptionTree& options) {
  const uint64_t bytes = (co_await or_return(options.take_size("size"))).value_or(0);
  const std::string how = (co_await or_return(options.take_string("preallocation"))).value_or("off");
  const std::string prefix = str_cat("Protocol driver '", d.name, "' does not support image creation, and ");
  if (how != "off") co_return fail(ENOTSUP, prefix, "only preallocation mode 'off' is supported");
  OptionTree node_options;
  node_options.set("driver", d.name);
  OpenRequest request(std::move(node_options), filename);
  Result<NodeRef> opened = co_await co_open_node(graph, std::move(request));
  if (!opened)
    co_return Failure(std::move(opened).error().prepend(str_cat(prefix, "opening the image failed: ")));
  BlockDriverState& node = **opened;
  if (node.total_bytes() < bytes) co_await or_return(co_await co_node_truncate(node, bytes));
  const ByteRange head{0, std::min(node.total_bytes(), kSectorBytes)};
  if (head.bytes != 0) co_await or_return(co_await co_node_pwrite_zeroes(node, head, true));
  co_return co_await co_node_flush(node);
}
}  // namespace

CoResult<> co_create_protocol(BlockGraph& graph, const std::string& filename, OptionTree& options) {
  const BlockDriver* d = co_await or_return(protocol_of(graph, filename));
  if (d->co_create != nullptr) co_return co_await d->co_create(graph, filename, options);
  co_return co_await co_create_in_place(graph, *d, filename, options);
}

Result<const BlockDriver*> protocol_of(BlockGraph& graph, const std::string& filename) {
  struct stat st = {};
  const bool there = stat(filename.c_str(), &st) == 0;
  if (there && (S_ISBLK(st.st_mode) || S_ISCHR(st.st_mode)))
    if (const BlockDriver* d = graph.find_driver("host_device")) return d;
  const std::string_view prefix = protocol_prefix(filename);
  if (prefix.empty()) return graph.find_driver("file");
  for (const BlockDriver* d : graph.drivers())
    if (d->speaks(prefix)) return d;
  return fail(EINVAL, "Unknown protocol '", prefix, "'");
}

}  // namespace rhea
