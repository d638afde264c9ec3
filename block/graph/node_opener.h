// NodeOpener: the steps of opening one node, in their fixed order (block/graph/open.h).
#pragma once

#include <optional>

#include "block/graph/open.h"

namespace rhea {

/// What a child takes over from the node above it where its own options are silent.
struct ParentOptions {
  OpenFlags flags;
  uint32_t role = 0;
};

class NodeOpener {
 public:
  NodeOpener(BlockGraph& graph, OpenRequest request, const ParentOptions* parent)
      : graph_(graph),
        parent_(parent),
        filename_(std::move(request.filename)),
        reference_(std::move(request.reference)),
        options_(std::move(request.options)),
        user_supplied_name_(request.user_supplied_name) {
    flags_.for_check = request.for_check;
    flags_.copy_on_read = request.copy_on_read;
    flags_.aio = parent != nullptr ? parent->flags.aio : request.aio;
  }
  CoResult<NodeRef> co_run();

 private:
  // In the order they run.
  CoResult<NodeRef> co_find_reference();
  Result<> merge_json_filename();
  void inherit();
  CoResult<> co_fill_options();
  CoResult<> co_guess_protocol(const std::string& name, bool parse_filename);
  Result<> take_flags();
  void handle_backing();
  CoResult<> co_open_file_child();
  CoResult<> co_probe();
  Result<> check_common();
  CoResult<> co_open_driver();
  CoResult<> co_open_backing();
  CoResult<> co_finish_node();
  Result<> check_leftover() const;

  BlockGraph& graph_;
  const ParentOptions* parent_;
  std::string filename_;
  std::string reference_;
  OptionTree options_;
  bool user_supplied_name_;
  bool protocol_ = false;
  bool no_backing_ = false;
  const BlockDriver* driver_ = nullptr;
  OptionTree explicit_options_;
  OptionTree effective_options_;
  OpenFlags flags_;
  std::string node_name_;
  NodeRef file_;
  NodeRef node_;
};

/// Options a child takes over from its parent where it says nothing itself.
void inherit_options(OptionTree& options, const ParentOptions& parent);
/// Takes the generic options that all nodes have; the rest of `flags` stays as it is.
Result<> take_open_flags(OptionTree& options, OpenFlags& flags);
/// The same for "discard" and "detect-zeroes".
Result<> take_data_flags(OptionTree& options, OpenFlags& flags);

/// Takes the options `name` and below `name` out of `options` and opens what they and `filename` describe;
/// null if there is nothing to open.
CoResult<NodeRef> co_open_child_node(BlockGraph& graph, OptionTree& options, const std::string& name,
                                     ParentOptions parent, std::string filename, bool user_supplied_name);

/// `name` as seen from the image `base`: absolute names and those with a protocol stay as they are.
/// "Cannot use relative backing file names for '%s'".
Result<std::string> resolve_backing_name(const std::string& base, const std::string& name);

/// "nbd" of "nbd:rest"; empty if `filename` names no protocol (a colon only counts before the first slash).
std::string_view protocol_prefix(std::string_view filename);

/// The format an image that begins with `head` has: a registered driver, or null with `foreign` set if it is
/// a format this program does not know how to read, or null.
const BlockDriver* probe_format(const BlockGraph& graph, std::span<const uint8_t> head, bool* foreign);
/// True if `head` would be taken for something else than a raw image.
bool looks_formatted(const BlockGraph& graph, std::span<const uint8_t> head);

}  // namespace rhea
