// screendump: what a display shows, as a file.
#include <fcntl.h>
#include <unistd.h>

#include "qapi/hmp_registry.h"
#include "qapi/qapi_commands_ui.h"
#include "ui/console.h"
#include "ui/input.h"
#include "ui/picture.h"
#include "util/fdset.h"
#include "util/thread_pool.h"
#include "util/unique_fd.h"

namespace rhea {

namespace {

Result<> write_file(int fd, const std::vector<uint8_t>& data) {
  for (size_t done = 0; done < data.size();) {
    const ssize_t n = ::write(fd, &data[done], data.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(errno, "failed to write the picture");
    done += static_cast<size_t>(n);
  }
  return {};
}

Result<Console*> chosen_console(const std::optional<std::string>& device, std::optional<int64_t> head) {
  if (device) return find_console(*device, head.value_or(0));
  if (head) return fail(EINVAL, "'head' must be specified together with 'device'");
  if (consoles().empty()) return fail(ENODEV, "There is no console to take a screendump from");
  return consoles().front();
}

/// The picture is taken at once; the file is opened and written where it may block.
CoResult<> co_screendump(std::string filename, std::optional<std::string> device, std::optional<int64_t> head,
                         ImageFormat format) {
  Console* console = co_await or_return(chosen_console(device, head));
  console->refresh(!console->watched());
  auto surface = std::make_shared<const Surface>(console->surface());
  auto work = [&]() -> Result<> {
    const std::vector<uint8_t> data =
        format == ImageFormat::kPng ? TRY(encode_png(*surface)) : encode_ppm(*surface);
    const UniqueFd fd(open_file(filename, O_WRONLY | O_CREAT | O_TRUNC));
    if (!fd) return fail_errno(errno, "failed to open file '", filename, "'");
    return write_file(fd.get(), data);
  };
  co_return co_await thread_pool().co_run(work);
}

CoResult<> hmp_screendump(HmpCall& call) {
  std::optional<std::string> device;
  std::optional<int64_t> head;
  if (call.has("device")) device = std::string(call.str("device"));
  if (call.has("head")) head = call.number("head");
  ImageFormat format = ImageFormat::kPpm;
  if (call.has("format")) {
    const auto named = from_string<ImageFormat>(call.str("format"));
    if (!named) co_return fail(EINVAL, "invalid parameter value: ", call.str("format"));
    format = *named;
  }
  auto work = co_screendump(std::string(call.str("filename")), std::move(device), head, format);
  co_return co_await std::move(work);
}

constexpr HmpCommand kCommand{
    "screendump",
    "filename:F,format:-fs,device:s?,head:i?",
    "filename [-f format] [device [head]]",
    "save screen from head 'head' of display device 'device' in specified format 'format' as image "
    "'filename' (default: ppm)",
    nullptr,
    hmp_screendump};

}  // namespace

CoResult<> qmp_screendump(QmpContext&, ScreendumpArgs args) {
  auto work = co_screendump(std::move(args.filename), std::move(args.device), args.head,
                            args.format.value_or(ImageFormat::kPpm));
  co_return co_await std::move(work);
}

Result<DisplayOptions> qmp_query_display_options(QmpContext&) {
  DisplayOptions options;
  options.type = DisplayType::kNone;
  return options;
}

void hmp_register_screendump(HmpRegistry& registry) {
  registry.add(kCommand);
}

}  // namespace rhea
