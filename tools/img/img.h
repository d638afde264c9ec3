// rhea-img's commands. Each gets its arguments, its own name first, and returns the exit status.
#pragma once

#include <getopt.h>

#include <optional>
#include <span>

#include "tools/common/tool.h"

namespace rhea::img {

struct Command {
  const char* name;
  int (*run)(Tool& tool, int argc, char** argv);
};
std::span<const Command> commands();

int cmd_amend(Tool& tool, int argc, char** argv);
int cmd_bench(Tool& tool, int argc, char** argv);
int cmd_bitmap(Tool& tool, int argc, char** argv);
int cmd_check(Tool& tool, int argc, char** argv);
int cmd_commit(Tool& tool, int argc, char** argv);
int cmd_compare(Tool& tool, int argc, char** argv);
int cmd_convert(Tool& tool, int argc, char** argv);
int cmd_create(Tool& tool, int argc, char** argv);
int cmd_dd(Tool& tool, int argc, char** argv);
int cmd_info(Tool& tool, int argc, char** argv);
int cmd_map(Tool& tool, int argc, char** argv);
int cmd_measure(Tool& tool, int argc, char** argv);
int cmd_rebase(Tool& tool, int argc, char** argv);
int cmd_resize(Tool& tool, int argc, char** argv);
int cmd_snapshot(Tool& tool, int argc, char** argv);

/// Steps through a command's options as getopt_long does. What most commands take is dealt with here, where
/// the command's letters name it: -f (also --format), -U (--force-share) and --image-opts go into the image's
/// request, -q and -p are remembered, --object makes the object. What is unknown is reported.
class Options {
 public:
  Options(Tool& tool, ImageRequest& image, int argc, char** argv, const char* letters,
          std::span<const option> more = {});
  /// The next option's letter or value, -1 after the last. -2: ended, exit with status().
  int next();
  int status() const { return status_; }
  const char* value() const { return optarg; }
  int index() const { return optind; }
  bool quiet() const { return quiet_; }
  bool progress() const { return progress_ && !quiet_; }

 private:
  Tool& tool_;
  ImageRequest& image_;
  int argc_;
  char** argv_;
  std::string letters_;
  std::vector<option> long_;
  int status_ = 0;
  bool quiet_ = false, progress_ = false;
};

/// Long options without a letter.
enum LongOption : int {
  kObject = 256,
  kImageOpts,
  kTargetImageOpts,
  kOutput,
  kBackingChain,
  kSizeOption,
  kShrink,
  kPreallocation,
  kForce,
  kStartOffset,
  kMaxLength,
  kTargetIsZero,
  kSalvage,
  kBitmaps,
  kSkipBroken,
  kFlushInterval,
  kNoDrain,
  kPattern,
  kMerge,
  kAdd,
  kRemove,
  kClear,
  kEnable,
  kDisable
};

/// Prints the message and the way to help; returns 1.
int usage_error(const std::string& message);
/// "human" or "json"; prints what is wrong.
std::optional<bool> parse_output(const char* text);
void print_help();
/// "  name=<type>   - what it does", a line each.
void print_option_list(std::span<const CreateOption> options);
/// The list of options `format` takes at creation.
int print_create_options(Tool& tool, const std::string& format, const std::string& filename);

}  // namespace rhea::img
