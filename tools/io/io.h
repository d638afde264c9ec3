// rhea-io: exercises an image request by request.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <span>

#include "tools/common/tool.h"

namespace rhea::io {

/// What the commands share: the open image, what is under way.
class Session {
 public:
  explicit Session(Tool& tool) : tool_(tool) {}
  Tool& tool() { return tool_; }
  ToolImage* image() { return image_.get(); }
  /// Opens in place of what is open. Prints what is wrong; false then.
  bool open(ImageRequest request);
  void close();
  const ImageRequest& request() const { return request_; }

  /// Runs one line: a command and its words. A command's status: 0, or negative where it failed.
  int run_line(const std::string& line);
  /// Obtains permissions a command needs. Prints what is wrong; false then.
  bool need(uint32_t perms);
  bool quit() const { return quit_; }
  void set_quit() { quit_ = true; }

  /// Starts `work`, which nobody waits for but aio_flush.
  void start(CoResult<> work, std::function<void(Result<>)> done);
  /// Waits for all of them.
  void wait_for_started();

 private:
  Tool& tool_;
  ImageRequest request_;
  std::unique_ptr<ToolImage> image_;
  Gate started_;
  bool quit_ = false;
};

using Words = std::vector<std::string>;
struct Command {
  const char* name;
  const char* alias;      ///< may be null
  const char* arguments;  ///< shown by help
  const char* one_line;
  const char* help;  ///< the long text; may be null
  int least, most;   ///< arguments; -1: any number
  bool needs_image;
  int (*run)(Session& session, const Words& words);
  uint32_t perms = 0;  ///< blk_perm of what it does to the image
};
std::span<const Command> commands();
const Command* find_command(const std::string& name);
/// "name args -- what it does"
void print_usage(const Command& command);

// Requests (requests.cc) and the rest (control.cc).
int cmd_read(Session& s, const Words& words);
int cmd_readv(Session& s, const Words& words);
int cmd_write(Session& s, const Words& words);
int cmd_writev(Session& s, const Words& words);
int cmd_aio_read(Session& s, const Words& words);
int cmd_aio_write(Session& s, const Words& words);
int cmd_aio_flush(Session& s, const Words& words);
int cmd_flush(Session& s, const Words& words);
int cmd_truncate(Session& s, const Words& words);
int cmd_length(Session& s, const Words& words);
int cmd_info(Session& s, const Words& words);
int cmd_discard(Session& s, const Words& words);
int cmd_alloc(Session& s, const Words& words);
int cmd_map(Session& s, const Words& words);
int cmd_open(Session& s, const Words& words);
int cmd_reopen(Session& s, const Words& words);
int cmd_close(Session& s, const Words& words);
int cmd_quit(Session& s, const Words& words);
int cmd_help(Session& s, const Words& words);
int cmd_sleep(Session& s, const Words& words);
int cmd_break(Session& s, const Words& words);
int cmd_remove_break(Session& s, const Words& words);
int cmd_resume(Session& s, const Words& words);
int cmd_wait_break(Session& s, const Words& words);
int cmd_abort(Session& s, const Words& words);
int cmd_sigraise(Session& s, const Words& words);

/// "64 KiB": the number and the largest unit that leaves it whole or three decimals.
std::string bytes_text(double bytes);
/// A size argument; prints what is wrong.
std::optional<uint64_t> size_argument(const std::string& text);

}  // namespace rhea::io
