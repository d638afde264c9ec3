#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>

#include "block/graph/open.h"
#include "tools/nbd/nbd.h"
#include "util/thread_pool.h"

namespace rhea::nbd_tool {

Server::~Server() {
  stop();
  image_.reset();
}

void Server::stop() {
  std::ignore = tool_.run(nbd_.co_stop());
  if (!bound_path_.empty()) ::unlink(bound_path_.c_str());
  bound_path_.clear();
}

/// Only what lies behind the offset is offered.
Result<> Server::add_window() {
  const uint64_t whole = image_->bytes();
  if (options_.offset >= whole)
    return fail(EINVAL, "Offset (", options_.offset, ") has to be smaller than the image size (", whole, ")");
  OptionTree options;
  options.set("driver", "raw");
  options.set("offset", options_.offset);
  options.set("file", image_->node().name());
  options.set("read-only", options_.read_only);
  if (!options_.read_only) options.set("discard", options_.image.discard);
  ImageRequest request;
  request.options = std::move(options);
  request.writable = !options_.read_only;
  request.discard = options_.image.discard;
  std::unique_ptr<ToolImage> window = TRY(tool_.open(request));
  image_ = std::move(window);  // which keeps the image below open
  return {};
}

Result<> Server::open() {
  ImageRequest request = options_.image;
  if (!options_.detect_zeroes.empty()) request.options.set("detect-zeroes", options_.detect_zeroes);
  if (options_.detect_zeroes == "unmap" && request.discard != "unmap" && request.discard != "on")
    return fail(EINVAL,
                "setting detect-zeroes to unmap is not allowed without setting discard operation to unmap");
  Result<std::unique_ptr<ToolImage>> image = tool_.open(request);
  if (!image) {
    Error e = image.error();
    std::string text = e.message();
    if (const std::string prefix = str_cat("Could not open '", request.name, "': "); text.starts_with(prefix))
      text = text.substr(prefix.size());
    return Failure(Error(e.errnum(), str_cat("Failed to blk_new_open '", request.name, "': ", text))
                       .with_hint(e.hint()));
  }
  image_ = std::move(*image);
  if (!options_.snapshot.empty()) TRY(show_snapshot(tool_, options_.snapshot, *image_));
  if (options_.offset != 0) TRY(add_window());
  NbdExportConfig config;
  config.id = "rhea-nbd-export";
  config.name = options_.export_name;
  config.description = options_.description;
  config.writable = !options_.read_only;
  config.writethrough = !image_->backend().write_cache_enabled();
  config.allocation_depth = options_.allocation_depth;
  nbd_.start({.max_connections = options_.shared});
  return tool_.run(nbd_.co_add(image_->node(), std::move(config)));
}

Result<> Server::bind() {
  constexpr int kMostWaiting = 16;
  const int backlog = options_.shared == 0 ? kMostWaiting : static_cast<int>(std::min(options_.shared, 128u));
  Result<UniqueFd> fd = socket_listen(address_of(options_), backlog);
  if (!fd) {
    std::string text = fd.error().message();
    // A client's words for what a server does.
    return Failure(Error(fd.error().errnum(), std::move(text)));
  }
  bound_path_ = options_.socket;
  listeners_.push_back(std::move(*fd));
  return {};
}

void Server::begin() {
  nbd_.on_disconnect = [this](bool used) {
    if (used && nbd_.connections() == 0 && !options_.persistent) ended_ = true;
    tool_.loop().wake();
  };
  nbd_.listen(std::move(listeners_));
}

void Server::run() {
  sigset_t set;
  sigemptyset(&set);
  for (const int s : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, s);
  const UniqueFd signals(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  const std::unique_ptr<FdWatch> watch =
      tool_.loop().watch_fd(signals.get(), EPOLLIN, [this](uint32_t) { ended_ = true; });
  tool_.loop().make_current();
  while (!ended_) tool_.loop().run_once(true);
  stop();
}

}  // namespace rhea::nbd_tool
