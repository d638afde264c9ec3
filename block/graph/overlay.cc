// snapshot=on: a temporary image that takes all writes.
#include <unistd.h>

#include <cstdlib>

#include "block/graph/open.h"
#include "util/thread_pool.h"
#include "util/unique_fd.h"

namespace rhea {

namespace {

/// An empty file of a new name in the directory for large temporary files. Pool thread.
Result<std::string> make_temporary_file() {
  const char* directory = std::getenv("TMPDIR");
  std::string path = str_cat(directory != nullptr ? directory : "/var/tmp", "/vl.XXXXXX");
  const UniqueFd fd(::mkstemp(path.data()));
  if (fd.get() < 0) return fail_errno(errno, "Could not open temporary file '", path, "'");
  return path;
}

CoResult<NodeRef> co_overlay(BlockGraph& graph, const std::string& path, NodeRef base) {
  OptionTree making;
  making.set("size", str_cat(base->total_bytes()));
  Result<> made = co_await co_create_image_file(graph, "qcow2", path, std::move(making));
  if (!made)
    co_return Failure(
        std::move(made).error().prepend(str_cat("Could not create temporary overlay '", path, "': ")));
  OptionTree options;
  options.set("driver", "qcow2");
  options.set("file.driver", "file");
  options.set("file.filename", path);
  options.set("backing", base->name());
  options.set("cache.direct", false);
  options.set("cache.no-flush", true);
  options.set("discard", base->flags().unmap ? "unmap" : "ignore");
  OpenRequest request(std::move(options));
  co_return co_await co_open_node(graph, std::move(request));
}

}  // namespace

CoResult<NodeRef> co_open_temporary_overlay(BlockGraph& graph, NodeRef base) {
  if (base->total_bytes() == 0 && !base->is_inserted()) co_return fail(ENOMEDIUM, "Could not get image size");
  auto make = [] { return make_temporary_file(); };
  Result<std::string> path = co_await thread_pool().co_run(make);
  if (!path) co_return Failure(std::move(path).error().prepend("Could not get temporary filename: "));
  Result<NodeRef> node = co_await co_overlay(graph, *path, std::move(base));
  auto forget = [&] { return ::unlink(path->c_str()); };
  std::ignore = co_await thread_pool().co_run(forget);
  co_return node;
}

}  // namespace rhea
