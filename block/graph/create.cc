// Making images by the name of their driver.
#include "block/graph/block_graph.h"
#include "block/graph/image_ops.h"
#include "block/graph/node_opener.h"

namespace rhea {

Result<Preallocation> parse_preallocation(std::string_view text) {
  if (text.empty() || text == "off") return Preallocation::kOff;
  if (text == "metadata") return Preallocation::kMetadata;
  if (text == "falloc") return Preallocation::kFalloc;
  if (text == "full") return Preallocation::kFull;
  return fail(EINVAL, "Invalid parameter '", text, "'");
}

CoResult<> co_create_image_file(BlockGraph& graph, std::string_view driver, std::string filename,
                                OptionTree options) {
  const BlockDriver* d = graph.find_driver(driver);
  if (d == nullptr) co_return fail(EINVAL, "Unknown file format '", driver, "'");
  if (d->co_create == nullptr)
    co_return fail(ENOTSUP, "Format driver '", driver, "' does not support image creation");
  co_await or_return(co_await d->co_create(graph, filename, options));
  const std::vector<std::string> left = options.leftover();
  if (!left.empty()) co_return fail(EINVAL, "Invalid parameter '", left.front(), "'");
  co_return Result<>();
}

}  // namespace rhea
