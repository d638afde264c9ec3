// rhea-img snapshot, resize.
#include <cstdio>
#include <ctime>

#include "tools/img/image_info.h"
#include "tools/img/img.h"
#include "util/log.h"

namespace rhea::img {

namespace {
/// By id, else by name.
const ImageSnapshot* find_snapshot(const std::vector<ImageSnapshot>& all, const std::string& what) {
  for (const ImageSnapshot& s : all)
    if (s.id == what) return &s;
  for (const ImageSnapshot& s : all)
    if (s.name == what) return &s;
  return nullptr;
}

int act(Tool& tool, ToolImage& image, int action, const std::string& name) {
  BlockDriverState& node = image.node();
  std::vector<ImageSnapshot> all;
  if (action != 'c') {
    Result<ImageReport> now = describe(tool, image);
    if (!now) return report(now.error());
    all = std::move(now->details.snapshots);
  }
  const ImageSnapshot* found = find_snapshot(all, name);
  switch (action) {
    case 'c': {
      ImageSnapshot fresh;
      fresh.name = name;
      timespec at = {};
      clock_gettime(CLOCK_REALTIME, &at);
      fresh.date_s = static_cast<uint32_t>(at.tv_sec);
      fresh.date_ns = static_cast<uint32_t>(at.tv_nsec / 1000 * 1000);
      fresh.icount = 0;
      Result<> made = tool.run(node.co_snapshot_create(fresh));
      if (made) return 0;
      const int e = made.error().errnum();
      return report(
          Error(e, str_cat("Could not create snapshot '", name, "': ", -e, " (", errno_text(e), ")")));
    }
    case 'a': {
      Result<> done = found != nullptr
                          ? tool.run(node.co_snapshot_apply(found->id))
                          : Result<>(fail(ENOENT, "Failed to load snapshot: ", errno_text(ENOENT)));
      if (done) return 0;
      return report(std::move(done).error().prepend(str_cat("Could not apply snapshot '", name, "': ")));
    }
    default: {
      if (found == nullptr)
        return report(Error(ENOENT, str_cat("Could not delete snapshot '", name, "': snapshot not found")));
      Result<> done = tool.run(node.co_snapshot_delete(found->id));
      if (done) return 0;
      return report(std::move(done).error().prepend(str_cat("Could not delete snapshot '", name, "': ")));
    }
  }
}
}  // namespace

int cmd_snapshot(Tool& tool, int argc, char** argv) {
  ImageRequest request;
  int action = 0;
  std::string name;
  Options options(tool, request, argc, argv, "f:la:c:d:qU");
  for (int c = 0; (c = options.next()) != -1;) {
    switch (c) {
      case -2:
        return options.status();
      default:
        if (action != 0) return usage_error("Cannot mix '-l', '-a', '-c', '-d'");
        action = c;
        if (c != 'l') name = options.value();
    }
  }
  if (options.index() != argc - 1) return usage_error("Expecting one image file name");
  request.name = argv[options.index()];
  request.writable = action != 0 && action != 'l';
  request.resizable = request.writable;
  Result<std::unique_ptr<ToolImage>> image = tool.open(request);
  if (!image) return report(image.error());
  if (request.writable) return act(tool, **image, action, name);
  Result<ImageReport> now = describe(tool, **image);
  if (!now) return report(now.error());
  if (!now->details.snapshots.empty()) std::fputs(snapshot_list(now->details.snapshots).c_str(), stdout);
  return 0;
}

int cmd_resize(Tool& tool, int argc, char** argv) {
  static constexpr option kLong[] = {{"preallocation", required_argument, nullptr, kPreallocation},
                                     {"shrink", no_argument, nullptr, kShrink}};
  // The size may begin with a minus sign, which is no option's.
  if (argc < 3) return usage_error("Not enough arguments");
  std::string size = argv[--argc];
  ImageRequest request;
  bool shrink = false;
  std::string preallocation = "off";
  Options options(tool, request, argc, argv, "f:q", kLong);
  for (int c = 0; (c = options.next()) != -1;) {
    switch (c) {
      case -2:
        return options.status();
      case kShrink:
        shrink = true;
        break;
      case kPreallocation:
        preallocation = options.value();
        break;
    }
  }
  if (options.index() != argc - 1) return usage_error("Expecting image file name and size");
  request.name = argv[options.index()];
  const Result<Preallocation> how = parse_preallocation(preallocation);
  if (!how) return report(Error(EINVAL, str_cat("Invalid preallocation mode '", preallocation, "'")));
  int relative = 0;
  if (size.starts_with('+') || size.starts_with('-')) {
    relative = size[0] == '+' ? 1 : -1;
    size.erase(0, 1);
  }
  uint64_t n = 0;
  if (!parse_size(size, n))
    return report(Error(EINVAL, str_cat("Parameter 'size' expects a non-negative number below 2^64")));
  request.writable = request.resizable = true;
  Result<std::unique_ptr<ToolImage>> image = tool.open(request);
  if (!image) return report(image.error());
  const uint64_t now = (*image)->bytes();
  if (relative < 0 && n >= now) return report(Error(EINVAL, "New image size must be positive"));
  uint64_t wanted = relative == 0 ? n : relative > 0 ? now + n : now - n;
  if (wanted == 0) return report(Error(EINVAL, "New image size must be positive"));
  if (wanted <= now && *how != Preallocation::kOff)
    return report(Error(EINVAL, "Preallocation can only be used for growing images"));
  if (wanted < now && !shrink) {
    warn_report(
        "Shrinking an image will delete all data beyond the shrunken image's end. Before performing such an "
        "operation, make sure there is no important data there.");
    error_report("Use the --shrink option to perform a shrink operation.");
    return 1;
  }
  wanted = (wanted + kSectorBytes - 1) / kSectorBytes * kSectorBytes;
  Result<> done = tool.run((*image)->backend().co_truncate(wanted, *how));
  if (!done) return report(done.error());
  if (!options.quiet()) std::printf("Image resized.\n");
  return 0;
}

}  // namespace rhea::img
