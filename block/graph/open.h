// The one way a node is opened: -drive, -blockdev, blockdev-add and the tools all come through here.
#pragma once

#include <string>

#include "block/graph/block_graph.h"

namespace rhea {

/// What to open. Either a reference to a node there is, or a file name and options.
struct OpenRequest {
  OpenRequest() = default;
  explicit OpenRequest(OptionTree o, std::string name = {})
      : filename(std::move(name)), options(std::move(o)) {}
  std::string filename;
  std::string reference;
  OptionTree options;
  /// The name came from a user, not from inside an image: only then `json:` and protocol prefixes count.
  bool user_supplied_name = true;
  /// The image is to be examined: nothing is repaired at once.
  bool for_check = false;
  /// What is read from the backing file is written to the image. "Can't use copy-on-read on read-only device"
  bool copy_on_read = false;
  AioDefault aio = AioDefault::kThreads;
};

/// Opens a node and what lies below it. The graph is locked only while edges and names change, so that a
/// hanging open() holds up nothing else. On failure the graph is as before. Main loop.
CoResult<NodeRef> co_open_node(BlockGraph& graph, OpenRequest request);

/// snapshot=on: a temporary image over `base`, gone when it is closed. "Could not get image size", "Could not
/// create temporary overlay '%s': ". Main loop.
CoResult<NodeRef> co_open_temporary_overlay(BlockGraph& graph, NodeRef base);

}  // namespace rhea
