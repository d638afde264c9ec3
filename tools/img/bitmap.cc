// rhea-img bitmap: the persistent dirty bitmaps of an image.
#include "block/graph/bitmap_ops.h"
#include "tools/img/bitmaps.h"
#include "tools/img/img.h"
#include "util/log.h"

namespace rhea::img {

namespace {

struct BitmapAction {
  int what;
  std::string source;  ///< kMerge
};

std::string_view action_name(int what) {
  switch (what) {
    case kAdd:
      return "add";
    case kRemove:
      return "remove";
    case kClear:
      return "clear";
    case kEnable:
      return "enable";
    case kDisable:
      return "disable";
    default:
      return "merge";
  }
}

Result<DirtyBitmap*> find_usable(BlockDriverState& node, const std::string& name) {
  DirtyBitmap* b = node.bitmaps().find(name);
  if (b == nullptr) return fail(ENOENT, "Dirty bitmap '", name, "' not found");
  TRY(check_bitmap(*b, kConsistent));
  return b;
}

CoResult<> co_act_on_bitmap(BlockDriverState& node, BlockDriverState& source, BitmapAction action,
                            std::string name, uint64_t granularity) {
  switch (action.what) {
    case kAdd:
      co_return co_await co_add_bitmap(node, name, granularity, true);
    case kRemove: {
      const DirtyBitmap* gone = node.bitmaps().find(name);
      if (gone == nullptr) co_return fail(ENOENT, "Dirty bitmap '", name, "' not found");
      co_await or_return(co_await node.co_remove_stored_bitmap(name));
      node.remove_bitmap(*gone);
      co_return Result<>();
    }
    default:
      break;
  }
  DirtyBitmap* b = co_await or_return(find_usable(node, name));
  switch (action.what) {
    case kClear:
      b->clear_all();
      break;
    case kEnable:
      b->set_enabled(true);
      break;
    case kDisable:
      b->set_enabled(false);
      break;
    default: {
      const DirtyBitmap* from = co_await or_return(find_usable(source, action.source));
      if (from->bytes() != b->bytes())
        co_return fail(EINVAL, "Bitmaps are of different sizes (destination size is ", b->bytes(),
                       ") and can't be merged");
      if (from != b) b->merge(*from);
    }
  }
  co_return Result<>();
}

}  // namespace

CoResult<> co_add_bitmap(BlockDriverState& node, std::string name, uint64_t granularity, bool enabled) {
  std::shared_ptr<DirtyBitmap> made =
      co_await or_return(co_await co_make_bitmap(node, std::move(name), granularity, true, enabled));
  node.add_bitmap(std::move(made));
  co_return Result<>();
}

int cmd_bitmap(Tool& tool, int argc, char** argv) {
  static constexpr option kLong[] = {
      {"add", no_argument, nullptr, kAdd},         {"remove", no_argument, nullptr, kRemove},
      {"clear", no_argument, nullptr, kClear},     {"enable", no_argument, nullptr, kEnable},
      {"disable", no_argument, nullptr, kDisable}, {"merge", required_argument, nullptr, kMerge}};
  ImageRequest request, source_request;
  std::vector<BitmapAction> actions;
  uint64_t granularity = 0;
  bool adds = false, merges = false;
  Options options(tool, request, argc, argv, "b:f:F:g:", kLong);
  for (int c = 0; (c = options.next()) != -1;) {
    switch (c) {
      case -2:
        return options.status();
      case 'b':
        source_request.name = options.value();
        break;
      case 'F':
        source_request.format = options.value();
        break;
      case 'g':
        if (!parse_size(options.value(), granularity) || granularity == 0)
          return report(Error(EINVAL, "Invalid granularity specified"));
        break;
      default:
        adds |= c == kAdd;
        merges |= c == kMerge;
        actions.push_back({c, c == kMerge ? options.value() : std::string()});
    }
  }
  if (options.index() != argc - 2) return usage_error("Expecting filename and bitmap name");
  if (actions.empty())
    return usage_error("Need at least one of --add, --remove, --clear, --enable, --disable, or --merge");
  if (granularity != 0 && !adds) return report(Error(EINVAL, "granularity only supported with --add"));
  if (!source_request.format.empty() && source_request.name.empty())
    return report(Error(EINVAL, "-F only supported with -b"));
  if (!source_request.name.empty() && !merges)
    return report(Error(EINVAL, "Merge bitmap source file only supported with --merge"));
  request.name = argv[options.index()];
  const std::string name = argv[options.index() + 1];
  request.writable = true;
  Result<std::unique_ptr<ToolImage>> image = tool.open(request);
  if (!image) return report(image.error());
  std::unique_ptr<ToolImage> source;
  if (!source_request.name.empty()) {
    Result<std::unique_ptr<ToolImage>> opened = tool.open(source_request);
    if (!opened) return report(opened.error());
    source = std::move(*opened);
  }
  BlockDriverState& node = (*image)->node();
  for (const BitmapAction& action : actions) {
    Result<> done =
        tool.run(co_act_on_bitmap(node, source ? source->node() : node, action, name, granularity));
    if (!done)
      return report(std::move(done).error().prepend(
          str_cat("Operation ", action_name(action.what), " on bitmap ", name, " failed: ")));
  }
  return 0;
}

CoResult<> co_copy_bitmaps(BlockDriverState& from, BlockDriverState& to, bool skip_broken) {
  for (const auto& b : from.bitmaps().all()) {
    if (b->inconsistent()) {
      if (!skip_broken)
        co_return Failure(Error(EINVAL, str_cat("Cannot copy inconsistent bitmap '", b->name(), "'"))
                              .with_hint("Try --skip-broken-bitmaps, or use 'qemu-img bitmap --remove'"));
      warn_report(str_cat("Skipping inconsistent bitmap '", b->name(), "'"));
      continue;
    }
    Result<> made = co_await co_add_bitmap(to, b->name(), b->granularity(), b->enabled());
    if (!made)
      co_return Failure(
          std::move(made).error().prepend(str_cat("Failed to create bitmap ", b->name(), ": ")));
    to.bitmaps().find(b->name())->merge(*b);
  }
  co_return Result<>();
}

}  // namespace rhea::img
