// The properties of a device that holds a drive, their checks, and how it comes to its BlockBackend.
#pragma once

#include <array>
#include <memory>
#include <string>

#include "block/graph/block_backend.h"
#include "hw/block/hd_geometry.h"
#include "hw/core/device.h"

namespace rhea {

enum class BlockdevOnError : uint8_t { kAuto, kReport, kIgnore, kEnospc, kStop };
template <>
struct EnumTraits<BlockdevOnError> {
  static constexpr const char* kTypeName = "BlockdevOnError";
  static constexpr EnumName<BlockdevOnError> kNames[] = {{BlockdevOnError::kAuto, "auto"},
                                                         {BlockdevOnError::kReport, "report"},
                                                         {BlockdevOnError::kIgnore, "ignore"},
                                                         {BlockdevOnError::kEnospc, "enospc"},
                                                         {BlockdevOnError::kStop, "stop"}};
};

struct BlockConf {
  static constexpr uint64_t kUnsetGranularity = UINT32_MAX;
  std::string drive;  ///< name of a -drive or of a node
  OnOffAuto backend_defaults = OnOffAuto::kAuto;
  OnOffAuto write_cache = OnOffAuto::kAuto;
  OnOffAuto account_invalid = OnOffAuto::kAuto, account_failed = OnOffAuto::kAuto;
  BlockdevOnError rerror = BlockdevOnError::kAuto, werror = BlockdevOnError::kAuto;
  bool share_rw = false;
  uint64_t logical_block_size = 0, physical_block_size = 0;  ///< 0: 512
  uint64_t min_io_size = 0, opt_io_size = 0, discard_granularity = kUnsetGranularity;
  int32_t bootindex = -1;
  // Hard disks.
  uint32_t cyls = 0, heads = 0, secs = 0;
  uint32_t lcyls = 0, lheads = 0, lsecs = 0;
  HdGeometry geometry() const { return {cyls, heads, secs}; }
  HdGeometry legacy_geometry() const { return {lcyls, lheads, lsecs}; }
};

/// Sizes that contradict each other.
Result<> check_block_sizes(const BlockConf& conf);
/// Fills in the sizes nobody gave.
void default_block_sizes(BlockConf& conf);

/// What a kind of device asks of its drive.
struct BlockNeeds {
  const char* type;                ///< for messages: "ide-hd"
  bool may_be_absent = false;      ///< without `drive` it gets an empty one of its own
  bool read_only = false;          ///< never writes
  bool read_only_as_node = false;  ///< does without writing where the node cannot be written
  bool resizable = false;          ///< bears it that others change the size
};

/// A device's hold on its drive. Dies before the graph.
class BlockHold {
 public:
  /// Finds what `conf.drive` names, takes the permissions, sets policies and cache mode. Texts: "No drive
  /// specified", "Property 'ide-hd.drive' can't find value 'x'", "Drive 'x' is already in use by another
  /// device".
  CoResult<> co_find(BlockGraph& graph, const BlockConf& conf, BlockNeeds needs);
  BlockBackend* get() const { return blk_; }
  /// Lets go: a drive that its device outlives by a moment may be gone first.
  void release() {
    blk_ = nullptr;
    own_.reset();
  }

 private:
  CoResult<> co_take(BlockGraph& graph, const BlockConf& conf, BlockNeeds needs, PermPair perms);
  BlockBackend* blk_ = nullptr;
  std::unique_ptr<BlockBackend> own_;  ///< where no -drive made it
};

/// The geometry a disk shows: the user's, within `limits`, or a guess from its first sector.
CoResult<HdGeometry> co_disk_geometry(const BlockConf& conf, BlockBackend& blk, HdGeometryLimits limits);

namespace detail {

/// The property that is `Field` of the BlockConf `Conf` of a device.
template <auto Conf, auto Field>
constexpr PropertyInfo conf_prop(const char* name, const char* description = nullptr) {
  using C = std::remove_pointer_t<decltype(class_of_member(Conf))>;
  using T = decltype(type_of_member(Field));
  return {.name = name,
          .type = property_type_name<T>(),
          .description = description,
          .get = [](const Object& o) -> Json {
            return property_to_json<T>((static_cast<const C&>(o).*Conf).*Field);
          },
          .set = [](Object& o, std::string_view n, const Json& value, ValueForm form) -> Result<> {
            (static_cast<C&>(o).*Conf).*Field = TRY(property_from_json<T>(n, value, form));
            return {};
          }};
}

Result<uint64_t> block_size_from_json(std::string_view name, const Json& value, ValueForm form,
                                      bool power_of_two);

template <auto Conf, auto Field, bool kPowerOfTwo = false>
constexpr PropertyInfo conf_size(const char* name, const char* description = nullptr) {
  using C = std::remove_pointer_t<decltype(class_of_member(Conf))>;
  PropertyInfo info = conf_prop<Conf, Field>(name, description);
  info.type = "size";
  info.set = [](Object& o, std::string_view n, const Json& value, ValueForm form) -> Result<> {
    (static_cast<C&>(o).*Conf).*Field = TRY(block_size_from_json(n, value, form, kPowerOfTwo));
    return {};
  };
  return info;
}

}  // namespace detail

/// The properties every drive has, of the member `Conf`.
template <auto Conf>
inline constexpr std::array block_conf_properties = {
    detail::conf_prop<Conf, &BlockConf::drive>("drive",
                                               "Node name or ID of a block device to use as a backend"),
    detail::conf_prop<Conf, &BlockConf::backend_defaults>("backend_defaults", "on/off/auto"),
    detail::conf_size<Conf, &BlockConf::logical_block_size, true>("logical_block_size",
                                                                  "A power of two between 512 B and 2 MiB"),
    detail::conf_size<Conf, &BlockConf::physical_block_size, true>("physical_block_size",
                                                                   "A power of two between 512 B and 2 MiB"),
    detail::conf_size<Conf, &BlockConf::min_io_size>("min_io_size"),
    detail::conf_size<Conf, &BlockConf::opt_io_size>("opt_io_size"),
    detail::conf_size<Conf, &BlockConf::discard_granularity>("discard_granularity"),
    detail::conf_prop<Conf, &BlockConf::write_cache>("write-cache", "on/off/auto"),
    detail::conf_prop<Conf, &BlockConf::share_rw>("share-rw"),
    detail::conf_prop<Conf, &BlockConf::account_invalid>("account-invalid", "on/off/auto"),
    detail::conf_prop<Conf, &BlockConf::account_failed>("account-failed", "on/off/auto"),
    detail::conf_prop<Conf, &BlockConf::rerror>("rerror",
                                                "Error handling policy, report/ignore/enospc/stop/auto"),
    detail::conf_prop<Conf, &BlockConf::werror>("werror",
                                                "Error handling policy, report/ignore/enospc/stop/auto"),
    detail::conf_prop<Conf, &BlockConf::bootindex>("bootindex"),
};

/// The properties of hard disks besides.
template <auto Conf>
inline constexpr std::array hd_conf_properties = {
    detail::conf_prop<Conf, &BlockConf::cyls>("cyls"),
    detail::conf_prop<Conf, &BlockConf::heads>("heads"),
    detail::conf_prop<Conf, &BlockConf::secs>("secs"),
    detail::conf_prop<Conf, &BlockConf::lcyls>("lcyls"),
    detail::conf_prop<Conf, &BlockConf::lheads>("lheads"),
    detail::conf_prop<Conf, &BlockConf::lsecs>("lsecs"),
};

/// One table out of several.
template <size_t... N>
constexpr auto join_properties(const std::array<PropertyInfo, N>&... parts) {
  std::array<PropertyInfo, (N + ...)> all{};
  size_t at = 0;
  (std::copy(parts.begin(), parts.end(), all.begin() + (at += N) - N), ...);
  return all;
}

}  // namespace rhea
