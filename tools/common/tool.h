// What the image tools share: a loop, a graph, images opened as their options say, messages.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "block/graph/block_backend.h"
#include "block/graph/block_graph.h"
#include "block/graph/options.h"
#include "util/aio_context.h"
#include "util/co_sync.h"

namespace rhea {

class Tool;

/// How an image is to be opened.
struct ImageRequest {
  std::string name;    ///< a file name, or options where image_opts is set
  std::string format;  ///< empty: found out
  std::string cache = "writeback";
  std::string aio;  ///< empty: the default engine
  std::string discard = "unmap";
  bool image_opts = false;
  bool writable = false;
  bool resizable = false;
  bool force_share = false;
  bool no_backing = false;
  bool snapshot = false;
  bool copy_on_read = false;
  bool for_check = false;  ///< nothing is repaired at once
  bool quiet = false;      ///< no remark on a guessed format
  OptionTree options;      ///< more, which come before those above
};

/// An open image; closed by co_close() or its end.
class ToolImage {
 public:
  ToolImage(Tool& tool, std::string name, NodeRef node, PermPair perms);
  ToolImage(const ToolImage&) = delete;
  ~ToolImage();
  const std::string& name() const { return name_; }
  BlockBackend& backend() { return backend_; }
  BlockDriverState& node() { return *backend_.node(); }
  uint64_t bytes() { return node().total_bytes(); }

 private:
  friend class Tool;
  Tool& tool_;
  std::string name_;
  BlockBackend backend_;
};

class Tool {
 public:
  static Result<std::unique_ptr<Tool>> create();
  ~Tool();
  BlockGraph& graph() { return graph_; }
  AioContext& loop() { return *loop_; }

  /// Runs the loop until `work` ends.
  template <class T>
  Result<T> run(CoResult<T> work) {
    return run_to_completion(*loop_, std::move(work));
  }
  /// "Could not open '%s': …"
  Result<std::unique_ptr<ToolImage>> open(const ImageRequest& request);
  /// Changes what the user of an open image needs and allows.
  CoResult<> co_set_perm(BlockBackend& backend, PermPair perms);
  /// --object: "qom-type,id=…,property=…", or JSON.
  Result<> add_object(const std::string& text);

 private:
  explicit Tool(std::unique_ptr<AioContext> loop) : loop_(std::move(loop)), graph_(*loop_) {}
  CoResult<> co_insert(ToolImage& image, NodeRef node);
  CoResult<> co_remove(BlockBackend& backend);
  friend class ToolImage;
  std::unique_ptr<AioContext> loop_;
  BlockGraph graph_;
  bool types_registered_ = false;  ///< object types: only where somebody wants an object
};

/// The options "a=b,c=d" of -o; "help" asks for a list. Errors as for the command line.
Result<OptionTree> parse_tool_options(const std::string& text, bool* help);

/// Makes the image, which must be open for reading only, show its snapshot `which`: an id or name, or
/// "snapshot.id=…,snapshot.name=…". "Failed to load snapshot: …".
Result<> show_snapshot(Tool& tool, const std::string& which, ToolImage& image);

/// Prints `error` as the program does, and returns 1.
int report(const Error& error);

}  // namespace rhea
