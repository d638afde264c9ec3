#include "chardev/chardev_hmp.h"

#include "chardev/char_options.h"
#include "chardev/chardev_set.h"
#include "qapi/hmp_registry.h"
#include "qapi/qapi_commands_char.h"

namespace rhea {

namespace {

Result<> hmp_chardev_add(HmpCall& call) {
  TRY(call.ctx.chardevs.add(call.str("args")));
  return {};
}

Result<> hmp_chardev_change(HmpCall& call) {
  CharOptions options = TRY(CharOptions::parse(call.str("args")));
  if (options.has("id")) return fail(EINVAL, "Invalid parameter 'id'");
  TRY(call.ctx.chardevs.change(call.str("id"), std::move(options)));
  return {};
}

Result<> hmp_chardev_remove(HmpCall& call) {
  return call.ctx.chardevs.remove(call.str("id"));
}

Result<> hmp_chardev_send_break(HmpCall& call) {
  ChardevSendBreakArgs args;
  args.id = call.str("id");
  return qmp_chardev_send_break(call.ctx, std::move(args));
}

Result<> hmp_ringbuf_write(HmpCall& call) {
  RingbufWriteArgs args;
  args.device = call.str("device");
  args.data = call.str("data");
  return qmp_ringbuf_write(call.ctx, std::move(args));
}

/// What would upset a terminal is shown as "\uXXXX", and a backslash doubled.
std::string printable(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\\')
      out += "\\\\";
    else if ((byte < 0x20 && c != '\n') || byte == 0x7f)
      str_append(out, "\\u", hex(byte, 4));
    else
      out += c;
  }
  return out;
}

Result<> hmp_ringbuf_read(HmpCall& call) {
  RingbufReadArgs args;
  args.device = call.str("device");
  args.size = call.number("size");
  const std::string bytes = TRY(qmp_ringbuf_read(call.ctx, std::move(args)));
  call.print(printable(bytes), "\n");
  return {};
}

constexpr HmpCommand kCommands[] = {
    {"chardev-add", "args:S", "args", "add chardev", hmp_chardev_add},
    {"chardev-change", "id:s,args:S", "id args", "change chardev", hmp_chardev_change},
    {"chardev-remove", "id:s", "id", "remove chardev", hmp_chardev_remove},
    {"chardev-send-break", "id:s", "id", "send a break on chardev", hmp_chardev_send_break},
    {"ringbuf_write", "device:s,data:S", "device data", "Write to a ring buffer character device",
     hmp_ringbuf_write},
    {"ringbuf_read", "device:s,size:i", "device size", "Read from a ring buffer character device",
     hmp_ringbuf_read},
};

}  // namespace

void register_chardev_hmp(HmpRegistry& registry) {
  for (const HmpCommand& command : kCommands) registry.add(command);
}

}  // namespace rhea
