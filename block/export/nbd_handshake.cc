// The fixed newstyle handshake: options until the client has chosen an export.
#include <algorithm>

#include "block/export/nbd_connection.h"
#include "util/byteorder.h"

namespace rhea {

using namespace nbd;

namespace {

template <class T>
void nbd_put(std::string& out, T value) {
  char bytes[sizeof value];
  store_be(bytes, value);
  out.append(bytes, sizeof bytes);
}

/// Takes an option's data apart; every step may find that they are too short.
class NbdOptionReader {
 public:
  explicit NbdOptionReader(std::string_view data) : left_(data) {}
  template <class T>
  std::optional<T> take() {
    if (left_.size() < sizeof(T)) return std::nullopt;
    const T value = load_be<T>(left_.data());
    left_.remove_prefix(sizeof(T));
    return value;
  }
  /// A string behind its length.
  std::optional<std::string> take_string() {
    const auto bytes = take<uint32_t>();
    if (!bytes || *bytes > kMaxString || *bytes > left_.size()) return std::nullopt;
    std::string text(left_.substr(0, *bytes));
    left_.remove_prefix(*bytes);
    return text;
  }
  bool empty() const { return left_.empty(); }

 private:
  std::string_view left_;
};

}  // namespace

CoResult<> NbdConnection::co_run() {
  bool chosen = false;
  {
    // A client that says nothing must not hold a place for ever.
    Timer limit(stream_.loop(), realtime_clock(), [this] { shutdown(); });
    limit.arm_in(kHandshakeNs);
    chosen = co_await or_return(co_await co_handshake());
  }
  if (!chosen) co_return Result<>();
  Result<> end = co_await co_transmit();
  shutdown();
  co_await or_return(co_await gate_.co_close());
  co_return end;
}

uint16_t NbdConnection::transmission_flags(const NbdExport& exported) const {
  return exported.flags() | (structured_ ? flag::kSendDf : 0);
}

void NbdConnection::choose(std::shared_ptr<NbdExport> exported) {
  // Contexts belong to the name they were chosen for.
  if (context_export_ != exported->config().name) contexts_ = 0;
  export_ = std::move(exported);
}

CoResult<bool> NbdConnection::co_handshake() {
  std::string greeting;
  nbd_put(greeting, kInitMagic);
  nbd_put(greeting, kOptionMagic);
  nbd_put<uint16_t>(greeting, kFixedNewstyle | kNoZeroes);
  co_await or_return(co_await stream_.co_write(greeting.data(), greeting.size()));
  uint8_t raw_flags[4];
  co_await or_return(co_await stream_.co_read(raw_flags, sizeof raw_flags));
  const auto client = load_be<uint32_t>(raw_flags);
  if ((client & ~uint32_t{kFixedNewstyle | kNoZeroes}) != 0)
    co_return fail(EPROTO, "Unknown client flags 0x", hex(client), " received");
  fixed_newstyle_ = (client & kFixedNewstyle) != 0;
  no_zeroes_ = (client & kNoZeroes) != 0;
  for (;;) {
    uint8_t raw[16];
    if (!co_await or_return(co_await stream_.co_read_or_end(raw, sizeof raw))) co_return false;
    if (load_be<uint64_t>(raw) != kOptionMagic) co_return fail(EPROTO, "Bad magic received");
    const OptionHead head{load_be<uint32_t>(raw + 8), load_be<uint32_t>(raw + 12)};
    if (head.bytes > kMaxPayload) co_return fail(EPROTO, "len (", head.bytes, ") is larger than max len");
    if (!fixed_newstyle_ && head.option != option::kExportName)
      co_return fail(EPROTO, "Unsupported option 0x", hex(head.option));
    if (co_await or_return(co_await co_option(head))) co_return true;
    if (head.option == option::kAbort) co_return false;
  }
}

/// True: the transmission phase begins.
CoResult<bool> NbdConnection::co_option(OptionHead head) {
  if (head.bytes > kMaxOptionBytes) {
    if (head.option == option::kExportName) co_return fail(EPROTO, "Bad length received");
    co_await or_return(co_await stream_.co_skip(head.bytes));
    co_await or_return(co_await co_refuse(head.option, rep::kTooBig, "option data too long"));
    co_return false;
  }
  std::string data(head.bytes, 0);
  co_await or_return(co_await stream_.co_read(data.data(), data.size()));
  const auto name = std::string(option_name(head.option));
  switch (head.option) {
    case option::kExportName:
      co_return co_await co_export_name(data);
    case option::kAbort:
      std::ignore = co_await co_reply(head.option, rep::kAck);  // the client need not read it
      co_return false;
    case option::kList:
      co_await or_return(co_await co_list(head.option, data));
      co_return false;
    case option::kInfo:
    case option::kGo:
      co_return co_await co_info_or_go(head.option, std::move(data));
    case option::kStartTls:
      co_await or_return(co_await co_refuse(head.option, rep::kPolicy, "TLS not configured"));
      co_return false;
    case option::kStructuredReply:
      if (!data.empty()) {
        co_await or_return(co_await co_refuse(head.option, rep::kInvalid,
                                              str_cat("option '", name, "' has unexpected length")));
      } else if (structured_) {
        co_await or_return(
            co_await co_refuse(head.option, rep::kInvalid, "structured reply already negotiated"));
      } else {
        structured_ = true;
        co_await or_return(co_await co_reply(head.option, rep::kAck));
      }
      co_return false;
    case option::kListMetaContext:
    case option::kSetMetaContext:
      co_await or_return(co_await co_meta_context(head.option, std::move(data)));
      co_return false;
    default:
      co_await or_return(co_await co_refuse(head.option, rep::kUnsupported,
                                            str_cat("Unsupported option ", head.option, " (", name, ")")));
      co_return false;
  }
}

CoResult<> NbdConnection::co_reply(uint32_t option, uint32_t type, std::string data) {
  std::string out;
  nbd_put(out, kReplyMagic);
  nbd_put(out, option);
  nbd_put(out, type);
  nbd_put(out, static_cast<uint32_t>(data.size()));
  out += data;
  co_return co_await stream_.co_write(out.data(), out.size());
}

CoResult<> NbdConnection::co_refuse(uint32_t option, uint32_t type, std::string message) {
  if (message.size() > kMaxString) message.resize(kMaxString);
  co_return co_await co_reply(option, type, std::move(message));
}

/// The old way to choose, which has no way to refuse but hanging up.
CoResult<bool> NbdConnection::co_export_name(const std::string& name) {
  if (name.size() > kMaxString) co_return fail(EPROTO, "Bad length received");
  std::shared_ptr<NbdExport> e = server_.find_name(name);
  if (!e) co_return fail(ENOENT, "export not found");
  std::string out;
  nbd_put(out, e->bytes());
  nbd_put(out, transmission_flags(*e));
  constexpr size_t kPadding = 124;
  if (!no_zeroes_) out.append(kPadding, '\0');
  choose(std::move(e));
  co_await or_return(co_await stream_.co_write(out.data(), out.size()));
  co_return true;
}

CoResult<> NbdConnection::co_list(uint32_t option, const std::string& data) {
  if (!data.empty())
    co_return co_await co_refuse(option, rep::kInvalid, "option 'list' has unexpected length");
  const auto all = server_.exports();
  for (const auto& e : all) {
    if (e->shutting_down || e->backend().node() == nullptr) continue;
    std::string item;
    nbd_put(item, static_cast<uint32_t>(e->config().name.size()));
    item += e->config().name;
    item += e->config().description;
    co_await or_return(co_await co_reply(option, rep::kServer, std::move(item)));
  }
  co_return co_await co_reply(option, rep::kAck);
}

CoResult<bool> NbdConnection::co_info_or_go(uint32_t option, std::string data) {
  NbdOptionReader reader(data);
  const auto name = reader.take_string();
  const auto count = name ? reader.take<uint16_t>() : std::nullopt;
  bool wants_name = false, wants_block_size = false, good = count.has_value();
  for (unsigned i = 0; good && i < *count; ++i) {
    const auto wanted = reader.take<uint16_t>();
    good = wanted.has_value();
    wants_name |= wanted == info::kName;
    wants_block_size |= wanted == info::kBlockSize;
  }
  if (!good || !reader.empty()) {
    co_await or_return(co_await co_refuse(
        option, rep::kInvalid, str_cat("option '", option_name(option), "' has inconsistent length")));
    co_return false;
  }
  std::shared_ptr<NbdExport> e = server_.find_name(*name);
  if (!e) {
    co_await or_return(
        co_await co_refuse(option, rep::kUnknown, str_cat("export '", *name, "' not present")));
    co_return false;
  }
  auto put_info = [&](uint16_t kind, auto... parts) {
    std::string out;
    nbd_put(out, kind);
    (nbd_put(out, parts), ...);
    return out;
  };
  if (wants_name) {
    std::string text = put_info(info::kName);
    text += e->config().name;
    co_await or_return(co_await co_reply(option, rep::kInfo, std::move(text)));
  }
  if (!e->config().description.empty()) {
    std::string text = put_info(info::kDescription);
    text += e->config().description;
    co_await or_return(co_await co_reply(option, rep::kInfo, std::move(text)));
  }
  // A client that does not ask may send requests of any alignment; the layer below copes with them.
  const uint32_t least = option == option::kInfo || wants_block_size ? e->min_block() : 1;
  std::string sizes = put_info(info::kBlockSize, least, e->preferred_block(), e->max_block());
  co_await or_return(co_await co_reply(option, rep::kInfo, std::move(sizes)));
  std::string place = put_info(info::kExport, e->bytes(), transmission_flags(*e));
  co_await or_return(co_await co_reply(option, rep::kInfo, std::move(place)));
  if (option == option::kInfo) {
    co_await or_return(co_await co_reply(option, rep::kAck));
    co_return false;
  }
  choose(std::move(e));
  co_await or_return(co_await co_reply(option, rep::kAck));
  co_return true;
}

/// Which contexts `query` means, as bits; "base:" and "qemu:" mean all below in a list.
static uint32_t nbd_matching_contexts(const NbdExport& e, std::string_view query, bool list) {
  uint32_t found = 0;
  for (uint32_t i = 0; i < nbd_context::kCount; ++i) {
    const std::string name = e.context_name(i);
    if (name.empty()) continue;
    const bool prefix = query.ends_with(':') && name.starts_with(query);
    if (name == query || (list && prefix)) found |= 1u << i;
  }
  return found;
}

CoResult<> NbdConnection::co_meta_context(uint32_t option, std::string data) {
  const bool list = option == option::kListMetaContext;
  if (!list) contexts_ = 0;
  if (!structured_)
    co_return co_await co_refuse(
        option, rep::kInvalid,
        str_cat("request option '", option_name(option), "' when structured reply is not negotiated"));
  NbdOptionReader reader(data);
  const auto name = reader.take_string();
  const auto count = name ? reader.take<uint32_t>() : std::nullopt;
  if (!count)
    co_return co_await co_refuse(option, rep::kInvalid,
                                 str_cat("option '", option_name(option), "' has inconsistent length"));
  const std::shared_ptr<NbdExport> e = server_.find_name(*name);
  if (!e) co_return co_await co_refuse(option, rep::kUnknown, str_cat("export '", *name, "' not present"));
  uint32_t found = 0;
  if (list && *count == 0)
    for (uint32_t i = 0; i < nbd_context::kCount; ++i)
      if (!e->context_name(i).empty()) found |= 1u << i;
  for (uint32_t i = 0; i < *count; ++i) {
    const auto query = reader.take_string();
    if (!query)
      co_return co_await co_refuse(option, rep::kInvalid,
                                   str_cat("option '", option_name(option), "' has inconsistent length"));
    found |= nbd_matching_contexts(*e, *query, list);
  }
  for (uint32_t i = 0; i < nbd_context::kCount; ++i) {
    if ((found & (1u << i)) == 0) continue;
    std::string item;
    nbd_put(item, list ? 0u : i);
    item += e->context_name(i);
    co_await or_return(co_await co_reply(option, rep::kMetaContext, std::move(item)));
  }
  if (!list) {
    contexts_ = found;
    context_export_ = *name;
  }
  co_return co_await co_reply(option, rep::kAck);
}

}  // namespace rhea
