// rhea-img check.
#include <cinttypes>
#include <cstdio>

#include "tools/img/img.h"
#include "util/log.h"

namespace rhea::img {

namespace {

// What scripts tell the outcomes apart by.
constexpr int kClean = 0, kCheckFailed = 1, kCorrupt = 2, kLeaks = 3, kUnsupported = 63;

Json to_json(const CheckResult& r, const std::string& filename, std::string_view format) {
  Json out = Json::object();
  if (r.image_end_offset != 0) out.set("image-end-offset", r.image_end_offset);
  if (r.total_clusters != 0) out.set("total-clusters", r.total_clusters);
  out.set("check-errors", r.check_errors);
  const std::pair<const char*, uint64_t> counts[] = {{"corruptions", r.corruptions},
                                                     {"leaks", r.leaks},
                                                     {"corruptions-fixed", r.corruptions_fixed},
                                                     {"leaks-fixed", r.leaks_fixed},
                                                     {"allocated-clusters", r.allocated_clusters},
                                                     {"fragmented-clusters", r.fragmented_clusters},
                                                     {"compressed-clusters", r.compressed_clusters}};
  for (const auto& [name, n] : counts)
    if (n != 0) out.set(name, n);
  out.set("filename", filename);
  out.set("format", format);
  return out;
}

void print(const CheckResult& r, bool quiet) {
  if (r.corruptions_fixed != 0 || r.leaks_fixed != 0) return;
  if (r.corruptions == 0 && r.leaks == 0 && r.check_errors == 0) {
    if (!quiet) std::printf("No errors were found on the image.\n");
    return;
  }
  if (r.corruptions != 0)
    std::printf("\n%" PRIu64
                " errors were found on the image.\nData may be corrupted, or further writes to the image may "
                "corrupt it.\n",
                r.corruptions);
  if (r.leaks != 0)
    std::printf(
        "\n%" PRIu64
        " leaked clusters were found on the image.\nThis means waste of disk space, but no harm to data.\n",
        r.leaks);
  if (r.check_errors != 0)
    std::printf("\n%" PRIu64 " internal errors have occurred during the check.\n", r.check_errors);
}

void print_totals(const CheckResult& r, bool quiet) {
  if (quiet) return;
  if (r.total_clusters != 0 && r.allocated_clusters != 0)
    std::printf(
        "%" PRIu64 "/%" PRIu64 " = %0.2f%% allocated, %0.2f%% fragmented, %0.2f%% compressed clusters\n",
        r.allocated_clusters, r.total_clusters,
        static_cast<double>(r.allocated_clusters) * 100.0 / static_cast<double>(r.total_clusters),
        static_cast<double>(r.fragmented_clusters) * 100.0 / static_cast<double>(r.allocated_clusters),
        static_cast<double>(r.compressed_clusters) * 100.0 / static_cast<double>(r.allocated_clusters));
  if (r.image_end_offset > 0) std::printf("Image end offset: %" PRIu64 "\n", r.image_end_offset);
}

}  // namespace

int cmd_check(Tool& tool, int argc, char** argv) {
  static constexpr option kLong[] = {{"repair", required_argument, nullptr, 'r'},
                                     {"output", required_argument, nullptr, kOutput}};
  ImageRequest request;
  request.for_check = true;
  CheckOptions check;
  bool json = false;
  Options options(tool, request, argc, argv, "f:r:T:qU", kLong);
  for (int c = 0; (c = options.next()) != -1;) {
    switch (c) {
      case -2:
        return options.status();
      case 'T':
        request.cache = options.value();
        break;
      case 'r': {
        const std::string_view what = options.value();
        if (what != "leaks" && what != "all")
          return usage_error(str_cat("Invalid argument to --repair: ", what, ": expecting leaks or all"));
        check.fix_leaks = true;
        check.fix_errors = what == "all";
        break;
      }
      case kOutput: {
        const std::optional<bool> o = parse_output(options.value());
        if (!o) return kCheckFailed;
        json = *o;
        break;
      }
    }
  }
  if (options.index() != argc - 1) return usage_error("Expecting one image file name");
  const bool quiet = options.quiet();
  request.name = argv[options.index()];
  request.writable = request.resizable = check.fix_leaks || check.fix_errors;
  Result<std::unique_ptr<ToolImage>> image = tool.open(request);
  if (!image) return report(image.error());
  const std::string format((*image)->node().driver().name);
  if (!quiet && !json)
    check.report = [](const std::string& line) { std::fprintf(stderr, "%s\n", line.c_str()); };
  Result<CheckResult> first = tool.run((*image)->node().co_check(check));
  if (!first) {
    if (first.error().errnum() == ENOTSUP) {
      error_report("This image format does not support checks");
      return kUnsupported;
    }
    return report(Error(first.error()).prepend("Check failed: "));
  }
  CheckResult r = *first;
  if (r.corruptions_fixed != 0 || r.leaks_fixed != 0) {
    const uint64_t corruptions_fixed = r.corruptions_fixed, leaks_fixed = r.leaks_fixed;
    if (!json && !quiet)
      std::printf("The following inconsistencies were found and repaired:\n\n    %" PRIu64
                  " leaked clusters\n    %" PRIu64
                  " corruptions\n\n"
                  "Double checking the fixed image now...\n",
                  leaks_fixed, corruptions_fixed);
    std::fflush(stdout);
    CheckOptions again = check;
    again.fix_leaks = again.fix_errors = false;
    Result<CheckResult> second = tool.run((*image)->node().co_check(again));
    if (!second) return report(second.error());
    r = *second;
    if (json) {
      r.leaks_fixed = leaks_fixed;
      r.corruptions_fixed = corruptions_fixed;
    }
  }
  if (json) {
    std::string text;
    to_json(r, request.name, format).write_pretty(text);
    std::printf("%s\n", text.c_str());
  } else {
    print(r, quiet);
    print_totals(r, quiet);
  }
  if (r.check_errors != 0) return kCheckFailed;
  if (r.corruptions != 0) return kCorrupt;
  return r.leaks != 0 ? kLeaks : kClean;
}

}  // namespace rhea::img
