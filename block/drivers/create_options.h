// Creation of images by the built-in drivers: their options, and the steps they share.
#pragma once

#include "block/graph/block_graph.h"
#include "block/graph/image_ops.h"

namespace rhea {

inline constexpr CreateOption kFileCreateOptions[] = {
    {"extent_size_hint", CreateOption::Type::kSize, "Extent size hint for the image file, 0 to disable"},
    {"nocow", CreateOption::Type::kBool, "Turn off copy-on-write (valid only on btrfs)"},
    {"preallocation", CreateOption::Type::kString, "Preallocation mode (allowed values: off, falloc, full)"},
    {"size", CreateOption::Type::kSize, "Virtual disk size"},
};
inline constexpr CreateOption kRawCreateOptions[] = {
    {"size", CreateOption::Type::kSize, "Virtual disk size"}};

/// In the order people see them when an image is made. What is not there yet is not listed.
inline constexpr CreateOption kQcow2CreateOptions[] = {
    {"backing_file", CreateOption::Type::kString, "File name of a base image"},
    {"backing_fmt", CreateOption::Type::kString, "Image format of the base image"},
    {"cluster_size", CreateOption::Type::kSize, "qcow2 cluster size", "65536"},
    {"compat", CreateOption::Type::kString, "Compatibility level (v2 [0.10] or v3 [1.1])"},
    {"compression_type", CreateOption::Type::kString, "Compression method used for image cluster compression",
     "zlib"},
    {"data_file", CreateOption::Type::kString, "File name of an external data file"},
    {"data_file_raw", CreateOption::Type::kBool, "The external data file must stay valid as a raw image"},
    {"extended_l2", CreateOption::Type::kBool, "Extended L2 tables", "off"},
    {"lazy_refcounts", CreateOption::Type::kBool, "Postpone refcount updates", "off"},
    {"preallocation", CreateOption::Type::kString,
     "Preallocation mode (allowed values: off, metadata, falloc, full)"},
    {"refcount_bits", CreateOption::Type::kNumber, "Width of a reference count entry in bits", "16"},
    {"size", CreateOption::Type::kSize, "Virtual disk size"},
};

/// What can be changed of an image that is there.
inline constexpr CreateOption kQcow2AmendOptions[] = {
    {"backing_file", CreateOption::Type::kString, "File name of a base image"},
    {"backing_fmt", CreateOption::Type::kString, "Image format of the base image"},
    {"compat", CreateOption::Type::kString, "Compatibility level (v2 [0.10] or v3 [1.1])"},
    {"data_file", CreateOption::Type::kString, "File name of an external data file"},
    {"data_file_raw", CreateOption::Type::kBool, "The external data file must stay valid as a raw image"},
    {"lazy_refcounts", CreateOption::Type::kBool, "Postpone refcount updates", "off"},
    {"refcount_bits", CreateOption::Type::kNumber, "Width of a reference count entry in bits", "16"},
    {"size", CreateOption::Type::kSize, "Virtual disk size"},
};

/// The protocol driver that storage named `filename` belongs to. "Unknown protocol '%s'".
Result<const BlockDriver*> protocol_of(BlockGraph& graph, const std::string& filename);
/// Makes the storage `filename` with the driver its name calls for.
CoResult<> co_create_protocol(BlockGraph& graph, const std::string& filename, OptionTree& options);

// BlockDriver::co_create of the drivers.
CoResult<> co_create_file(BlockGraph& graph, const std::string& filename, OptionTree& options);
CoResult<> co_create_raw(BlockGraph& graph, const std::string& filename, OptionTree& options);
CoResult<> co_create_qcow2(BlockGraph& graph, const std::string& filename, OptionTree& options);
// BlockDriver::co_blockdev_create of the drivers.
CoResult<> co_blockdev_create_file(BlockGraph& graph, OptionTree& options);
CoResult<> co_blockdev_create_qcow2(BlockGraph& graph, OptionTree& options);

/// Opens the node that a BlockdevRef called `name` among `options` means.
CoResult<NodeRef> co_open_ref(BlockGraph& graph, OptionTree& options, const std::string& name);

}  // namespace rhea
