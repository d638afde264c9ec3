// rhea-img: makes, examines, converts and repairs disk images.
#include <cstdio>
#include <cstring>

#include "block/cache_mode.h"
#include "block/drivers/drivers.h"
#include "tools/img/img.h"
#include "util/log.h"

namespace rhea::img {

namespace {
constexpr Command kCommands[] = {
    {"amend", cmd_amend},   {"bench", cmd_bench},     {"bitmap", cmd_bitmap},    {"check", cmd_check},
    {"commit", cmd_commit}, {"compare", cmd_compare}, {"convert", cmd_convert},  {"create", cmd_create},
    {"dd", cmd_dd},         {"info", cmd_info},       {"map", cmd_map},          {"measure", cmd_measure},
    {"rebase", cmd_rebase}, {"resize", cmd_resize},   {"snapshot", cmd_snapshot}};
std::string program = "rhea-img";
}  // namespace

std::span<const Command> commands() {
  return kCommands;
}

int usage_error(const std::string& message) {
  error_report(message);
  std::fprintf(stderr, "Try '%s --help' for more information\n", program.c_str());
  return 1;
}

std::optional<bool> parse_output(const char* text) {
  if (std::strcmp(text, "json") == 0) return true;
  if (std::strcmp(text, "human") == 0) return false;
  error_report("--output must be used with human or json as argument.");
  return std::nullopt;
}

Options::Options(Tool& tool, ImageRequest& image, int argc, char** argv, const char* letters,
                 std::span<const option> more)
    : tool_(tool),
      image_(image),
      argc_(argc),
      argv_(argv),
      letters_(str_cat(":h", letters)),
      long_(more.begin(), more.end()) {
  const auto has = [&](const char* letter) { return letters_.find(letter) != std::string::npos; };
  if (has("f:")) long_.push_back({"format", required_argument, nullptr, 'f'});
  if (has("U")) long_.push_back({"force-share", no_argument, nullptr, 'U'});
  long_.push_back({"object", required_argument, nullptr, kObject});
  long_.push_back({"image-opts", no_argument, nullptr, kImageOpts});
  long_.push_back({"help", no_argument, nullptr, 'h'});
  long_.push_back({nullptr, 0, nullptr, 0});
  optind = 1;
}

int Options::next() {
  for (;;) {
    const int c = getopt_long(argc_, argv_, letters_.c_str(), long_.data(), nullptr);
    switch (c) {
      case 'f':
        image_.format = optarg;
        continue;
      case 'U':
        image_.force_share = true;
        continue;
      case 'q':
        quiet_ = true;
        continue;
      case 'p':
        progress_ = true;
        continue;
      case kImageOpts:
        image_.image_opts = true;
        continue;
      case kObject: {
        const Result<> made = tool_.add_object(optarg);
        if (made) continue;
        status_ = report(made.error());
        return -2;
      }
      case 't':
      case 'T':
        if (parse_cache_mode(optarg)) return c;
        error_report(str_cat("Invalid ", c == 'T' ? "source " : "", "cache option: ", optarg));
        status_ = 1;
        return -2;
      case 'h':
        print_help();
        return -2;
      case '?':
      case ':':
        break;
      default:
        return c;
    }
    status_ = 1;
    const std::string given = argv_[optind - 1];
    if (c == ':')
      usage_error(str_cat("missing argument for option '", given, "'"));
    else
      usage_error(str_cat("unrecognized option '", given, "'"));
    return -2;
  }
}

void print_help() {
  std::printf(
      "%s version " RHEA_VERSION
      "\n"
      "usage: %s [standard options] command [command options]\n"
      "Makes, examines, converts and repairs disk images\n\n"
      "    '-h', '--help'       display this help and exit\n"
      "    '-V', '--version'    output version information and exit\n\n"
      "Command syntax:\n"
      "  amend [--object objectdef] [--image-opts] [-p] [-q] [-f fmt] [-t cache] [--force] -o options "
      "filename\n"
      "  bench [-c count] [-d depth] [-f fmt] [--flush-interval=flush_interval] [-i aio] [-n] [--no-drain] "
      "[-o offset] [--pattern=pattern] [-q] [-s buffer_size] [-S step_size] [-t cache] [-w] [-U] filename\n"
      "  bitmap (--merge SOURCE | --add | --remove | --clear | --enable | --disable)... [-b source_file [-F "
      "source_fmt]] [-g granularity] [--object objectdef] [--image-opts | -f fmt] filename bitmap\n"
      "  check [--object objectdef] [--image-opts] [-q] [-f fmt] [--output=ofmt] [-r [leaks | all]] [-T "
      "src_cache] [-U] filename\n"
      "  commit [--object objectdef] [--image-opts] [-q] [-f fmt] [-t cache] [-b base] [-r rate_limit] [-d] "
      "[-p] filename\n"
      "  compare [--object objectdef] [--image-opts] [-f fmt] [-F fmt] [-T src_cache] [-p] [-q] [-s] [-U] "
      "filename1 filename2\n"
      "  convert [--object objectdef] [--image-opts] [--target-image-opts] [--target-is-zero] [--bitmaps] "
      "[-U] [-C] [-c] "
      "[-p] [-q] [-n] [-f fmt] [-t cache] [-T src_cache] [-O output_fmt] [-B backing_file [-F backing_fmt]] "
      "[-o options] [-l snapshot_param] [-S sparse_size] [-r rate_limit] [-m num_coroutines] [-W] "
      "[--salvage] filename [filename2 [...]] output_filename\n"
      "  create [--object objectdef] [-q] [-f fmt] [-b backing_file [-F backing_fmt]] [-u] [-o options] "
      "filename [size]\n"
      "  dd [--object objectdef] [--image-opts] [-U] [-f fmt] [-O output_fmt] [bs=block_size] [count=blocks] "
      "[skip=blocks] if=input of=output\n"
      "  info [--object objectdef] [--image-opts] [-f fmt] [--output=ofmt] [--backing-chain] [-U] filename\n"
      "  map [--object objectdef] [--image-opts] [-f fmt] [--start-offset=offset] [--max-length=len] "
      "[--output=ofmt] [-U] filename\n"
      "  measure [--output=ofmt] [-O output_fmt] [-o options] [--size N | [--object objectdef] "
      "[--image-opts] [-f fmt] [-l snapshot_param] filename]\n"
      "  rebase [--object objectdef] [--image-opts] [-U] [-q] [-f fmt] [-t cache] [-T src_cache] [-p] [-u] "
      "-b backing_file [-F backing_fmt] filename\n"
      "  resize [--object objectdef] [--image-opts] [-f fmt] [--preallocation=prealloc] [-q] [--shrink] "
      "filename [+ | -]size\n"
      "  snapshot [--object objectdef] [--image-opts] [-U] [-q] [-l | -a snapshot | -c snapshot | -d "
      "snapshot] filename\n"
      "\n",
      program.c_str(), program.c_str());
  Result<std::unique_ptr<Tool>> tool = Tool::create();
  if (!tool) return;
  std::vector<std::string> names;
  for (const BlockDriver* d : (*tool)->graph().drivers()) names.emplace_back(d->name);
  std::ranges::sort(names);
  std::printf("Supported formats:");
  for (const std::string& name : names) std::printf(" %s", name.c_str());
  std::printf("\n");
}

static int main(int argc, char** argv) {
  const char* slash = std::strrchr(argv[0], '/');
  program = slash != nullptr ? slash + 1 : argv[0];
  log_set_program(program);
  const std::vector<std::string> all(argv + 1, argv + argc);
  if (all.empty()) return usage_error("Not enough arguments");
  if (all[0] == "-h" || all[0] == "--help") {
    print_help();
    return 0;
  }
  if (all[0] == "-V" || all[0] == "--version") {
    std::printf("%s version " RHEA_VERSION "\n", program.c_str());
    return 0;
  }
  if (all[0].starts_with('-')) return usage_error(str_cat("unrecognized option '", all[0], "'"));
  for (const Command& c : kCommands) {
    if (all[0] != c.name) continue;
    Result<std::unique_ptr<Tool>> tool = Tool::create();
    if (!tool) return report(tool.error());
    return c.run(**tool, argc - 1, argv + 1);
  }
  return usage_error(str_cat("Command not found: ", all[0]));
}

}  // namespace rhea::img

int main(int argc, char** argv) {
  return rhea::img::main(argc, argv);
}
