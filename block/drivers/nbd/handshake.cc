#include "block/drivers/nbd/handshake.h"

#include <optional>

#include "block/export/nbd_protocol.h"
#include "util/byteorder.h"

namespace rhea {

using namespace nbd;

namespace {

template <class T>
void nbd_client_put(std::string& out, T value) {
  char bytes[sizeof value];
  store_be(bytes, value);
  out.append(bytes, sizeof bytes);
}

/// An answer to an option. What a server sends is hostile: its length is bounded before it is read.
struct NbdOptionReply {
  uint32_t type = 0;
  std::string data;
};

/// What the old handshake and the new one share.
class NbdNegotiation {
 public:
  explicit NbdNegotiation(SocketStream& stream) : stream_(stream) {}
  CoResult<> co_greet();
  bool oldstyle() const { return oldstyle_; }
  bool fixed() const { return fixed_; }
  CoResult<bool> co_ask_structured();
  /// Contexts the server has for an export; `query` empty: all of them.
  CoResult<> co_contexts(bool set, const std::string& query, NbdExportInfo& e);
  /// False: the server does not know the option.
  CoResult<bool> co_info_or_go(uint32_t option, NbdExportInfo& e);
  CoResult<> co_export_name(NbdExportInfo& e);
  CoResult<std::vector<NbdExportInfo>> co_names();
  CoResult<> co_oldstyle(NbdExportInfo& e);
  CoResult<> co_abort();

 private:
  static constexpr uint32_t kMaxReplyBytes = 16 << 10;
  CoResult<> co_send(uint32_t option, std::string data);
  CoResult<NbdOptionReply> co_receive(uint32_t option);
  /// An error reply as an error; nothing for one that says the option is unknown.
  static Result<bool> check_error(uint32_t option, const NbdOptionReply& reply);
  static Result<> take_info(const std::string& data, NbdExportInfo& e);
  SocketStream& stream_;
  bool oldstyle_ = false, fixed_ = false, no_zeroes_ = false;
  uint64_t old_bytes_ = 0;
  uint16_t old_flags_ = 0;
};

CoResult<> NbdNegotiation::co_greet() {
  uint8_t raw[16];
  Result<> read = co_await stream_.co_read(raw, sizeof raw);
  if (!read) co_return Failure(std::move(read).error().prepend("Failed to read initial magic: "));
  if (const auto magic = load_be<uint64_t>(raw); magic != kInitMagic)
    co_return fail(EINVAL, "Bad initial magic received: 0x", hex(magic));
  const auto kind = load_be<uint64_t>(raw + 8);
  if (kind == kOldMagic) {
    oldstyle_ = true;
    uint8_t rest[12];
    co_await or_return(co_await stream_.co_read(rest, sizeof rest));
    old_bytes_ = load_be<uint64_t>(rest);
    const auto flags = load_be<uint32_t>(rest + 8);
    if (flags > UINT16_MAX) co_return fail(EINVAL, "Unexpected export flags ", flags);
    old_flags_ = static_cast<uint16_t>(flags);
    co_return co_await stream_.co_skip(124);
  }
  if (kind != kOptionMagic) co_return fail(EINVAL, "Bad server magic received: 0x", hex(kind));
  uint8_t raw_flags[2];
  co_await or_return(co_await stream_.co_read(raw_flags, sizeof raw_flags));
  const auto flags = load_be<uint16_t>(raw_flags);
  fixed_ = (flags & kFixedNewstyle) != 0;
  no_zeroes_ = (flags & kNoZeroes) != 0;
  uint8_t answer[4];
  store_be(answer, uint32_t{flags} & (kFixedNewstyle | kNoZeroes));
  co_return co_await stream_.co_write(answer, sizeof answer);
}

CoResult<> NbdNegotiation::co_send(uint32_t option, std::string data) {
  std::string out;
  nbd_client_put(out, kOptionMagic);
  nbd_client_put(out, option);
  nbd_client_put(out, static_cast<uint32_t>(data.size()));
  out += data;
  co_return co_await stream_.co_write(out.data(), out.size());
}

CoResult<NbdOptionReply> NbdNegotiation::co_receive(uint32_t option) {
  uint8_t raw[20];
  co_await or_return(co_await stream_.co_read(raw, sizeof raw));
  if (load_be<uint64_t>(raw) != kReplyMagic) co_return fail(EINVAL, "Unexpected option reply magic");
  if (const auto o = load_be<uint32_t>(raw + 8); o != option)
    co_return fail(EINVAL, "Unexpected option type ", o, ", expected ", option);
  NbdOptionReply reply;
  reply.type = load_be<uint32_t>(raw + 12);
  const auto bytes = load_be<uint32_t>(raw + 16);
  if (bytes > kMaxReplyBytes) co_return fail(EINVAL, "option reply of ", bytes, " bytes is too long");
  reply.data.resize(bytes);
  co_await or_return(co_await stream_.co_read(reply.data.data(), bytes));
  co_return std::move(reply);
}

Result<bool> NbdNegotiation::check_error(uint32_t option, const NbdOptionReply& reply) {
  if ((reply.type & rep::kErrorBit) == 0) return true;
  const std::string what = str_cat("option ", option, " (", option_name(option), ")");
  std::string text;
  switch (reply.type) {
    case rep::kUnsupported:
      return false;
    case rep::kPolicy:
      text = str_cat("Denied by server for ", what);
      break;
    case rep::kInvalid:
      text = str_cat("Invalid parameters for ", what);
      break;
    case rep::kPlatform:
      text = str_cat("Server lacks support for ", what);
      break;
    case rep::kTlsRequired:
      text = str_cat("Server requires TLS for ", what);
      break;
    case rep::kUnknown:
      text = "Requested export not available";
      break;
    case rep::kShutdown:
      text = str_cat("Server shutting down before ", what);
      break;
    case rep::kBlockSizeRequired:
      text = str_cat("Server requires INFO_BLOCK_SIZE for ", what);
      break;
    default:
      text = str_cat("Unknown error code when asking for ", what);
  }
  Error error(EINVAL, std::move(text));
  std::string hint;
  if (reply.type == rep::kTlsRequired) hint = "Did you forget a valid tls-creds?";
  if (!reply.data.empty())
    hint = str_cat(hint, hint.empty() ? "" : "\n", "server reported: ", reply.data.substr(0, kMaxString));
  return Failure(std::move(error).with_hint(std::move(hint)));
}

CoResult<bool> NbdNegotiation::co_ask_structured() {
  co_await or_return(co_await co_send(option::kStructuredReply, {}));
  const NbdOptionReply reply = co_await or_return(co_await co_receive(option::kStructuredReply));
  if (!co_await or_return(check_error(option::kStructuredReply, reply))) co_return false;
  if (reply.type != rep::kAck || !reply.data.empty())
    co_return fail(EINVAL, "Unexpected reply type ", reply.type, ", expected ", rep::kAck);
  co_return true;
}

CoResult<> NbdNegotiation::co_contexts(bool set, const std::string& query, NbdExportInfo& e) {
  const uint32_t opt = set ? option::kSetMetaContext : option::kListMetaContext;
  std::string data;
  nbd_client_put(data, static_cast<uint32_t>(e.name.size()));
  data += e.name;
  nbd_client_put(data, query.empty() ? 0u : 1u);
  if (!query.empty()) {
    nbd_client_put(data, static_cast<uint32_t>(query.size()));
    data += query;
  }
  co_await or_return(co_await co_send(opt, std::move(data)));
  constexpr size_t kMostContexts = 10000;
  for (size_t n = 0;; ++n) {
    const NbdOptionReply reply = co_await or_return(co_await co_receive(opt));
    if (!co_await or_return(check_error(opt, reply))) co_return Result<>();
    if (reply.type == rep::kAck) co_return Result<>();
    if (reply.type != rep::kMetaContext || reply.data.size() <= 4 || reply.data.size() > 4 + kMaxString ||
        n == kMostContexts)
      co_return fail(EINVAL, "Failed to negotiate query '", query,
                     "', server answered with unexpected context");
    std::string name = reply.data.substr(4);
    if (set && name == query) {
      if (e.has_context) co_return fail(EINVAL, "Server replied with more than one context");
      e.has_context = true;
      e.context = load_be<uint32_t>(reply.data.data());
    } else if (set) {
      co_return fail(EINVAL, "Failed to negotiate query '", query,
                     "', server answered with different context '", name, "'");
    } else {
      e.contexts.push_back(std::move(name));
    }
  }
}

Result<> NbdNegotiation::take_info(const std::string& data, NbdExportInfo& e) {
  if (data.size() < 2) return fail(EINVAL, "invalid length ", data.size(), " for option reply");
  const auto kind = load_be<uint16_t>(data.data());
  const char* at = data.data() + 2;
  const size_t left = data.size() - 2;
  if (kind == info::kExport) {
    if (left != 10) return fail(EINVAL, "Remaining export list length ", left, " is unexpected size");
    e.bytes = load_be<uint64_t>(at);
    e.flags = load_be<uint16_t>(at + 8);
  } else if (kind == info::kBlockSize) {
    if (left != 12) return fail(EINVAL, "remaining export info len ", left, " is unexpected size");
    e.min_block = load_be<uint32_t>(at);
    e.opt_block = load_be<uint32_t>(at + 4);
    e.max_block = load_be<uint32_t>(at + 8);
    if (e.min_block == 0 || (e.min_block & (e.min_block - 1)) != 0)
      return fail(EINVAL, "server minimum block size ", e.min_block, " is not a power of two");
    if (e.opt_block == 0 || (e.opt_block & (e.opt_block - 1)) != 0 || e.opt_block < e.min_block)
      return fail(EINVAL, "server preferred block size ", e.opt_block, " is not valid");
    if (e.max_block < e.min_block)
      return fail(EINVAL, "server maximum block size ", e.max_block, " is not valid");
    e.max_block -= e.max_block % e.min_block;
  } else if (kind == info::kDescription) {
    e.description.assign(at, left);
  }
  return {};
}

CoResult<bool> NbdNegotiation::co_info_or_go(uint32_t opt, NbdExportInfo& e) {
  std::string data;
  nbd_client_put(data, static_cast<uint32_t>(e.name.size()));
  data += e.name;
  const bool go = opt == option::kGo;
  nbd_client_put<uint16_t>(data, go ? 1 : 2);
  nbd_client_put(data, info::kBlockSize);
  if (!go) nbd_client_put(data, info::kDescription);
  co_await or_return(co_await co_send(opt, std::move(data)));
  bool told = false;
  constexpr int kMostReplies = 1000;
  for (int n = 0; n < kMostReplies; ++n) {
    const NbdOptionReply reply = co_await or_return(co_await co_receive(opt));
    if (!co_await or_return(check_error(opt, reply))) co_return false;
    if (reply.type == rep::kAck) {
      if (!told) co_return fail(EINVAL, "broken server omitted NBD_INFO_EXPORT");
      co_return true;
    }
    if (reply.type != rep::kInfo)
      co_return fail(EINVAL, "unexpected reply type ", reply.type, ", expected ", rep::kInfo);
    co_await or_return(take_info(reply.data, e));
    told |= load_be<uint16_t>(reply.data.data()) == info::kExport;
  }
  co_return fail(EINVAL, "server does not stop telling about the export");
}

CoResult<> NbdNegotiation::co_export_name(NbdExportInfo& e) {
  co_await or_return(co_await co_send(option::kExportName, e.name));
  uint8_t raw[10];
  Result<> read = co_await stream_.co_read(raw, sizeof raw);
  if (!read) co_return Failure(std::move(read).error().prepend("Failed to read export length: "));
  e.bytes = load_be<uint64_t>(raw);
  e.flags = load_be<uint16_t>(raw + 8);
  if (!no_zeroes_) co_await or_return(co_await stream_.co_skip(124));
  co_return Result<>();
}

CoResult<std::vector<NbdExportInfo>> NbdNegotiation::co_names() {
  co_await or_return(co_await co_send(option::kList, {}));
  std::vector<NbdExportInfo> out;
  constexpr size_t kMostExports = 10000;
  for (;;) {
    const NbdOptionReply reply = co_await or_return(co_await co_receive(option::kList));
    if (!co_await or_return(check_error(option::kList, reply)))
      co_return fail(ENOTSUP, "Server does not support export lists");
    if (reply.type == rep::kAck) co_return std::move(out);
    const uint32_t bytes = reply.data.size() >= 4 ? load_be<uint32_t>(reply.data.data()) : UINT32_MAX;
    if (reply.type != rep::kServer || bytes > reply.data.size() - 4 || out.size() == kMostExports)
      co_return fail(EINVAL, "incorrect option name length");
    NbdExportInfo e;
    e.name = reply.data.substr(4, bytes);
    e.description = reply.data.substr(4 + bytes);
    out.push_back(std::move(e));
  }
}

CoResult<> NbdNegotiation::co_oldstyle(NbdExportInfo& e) {
  if (!e.name.empty()) co_return fail(EINVAL, "Server does not support non-empty export names");
  e.bytes = old_bytes_;
  e.flags = old_flags_;
  co_return Result<>();
}

CoResult<> NbdNegotiation::co_abort() {
  if (oldstyle_ || !fixed_) co_return Result<>();
  co_return co_await co_send(option::kAbort, {});
}

}  // namespace

CoResult<NbdExportInfo> co_nbd_choose(SocketStream& stream, NbdWish wish) {
  NbdNegotiation n(stream);
  NbdExportInfo e;
  e.name = wish.export_name;
  co_await or_return(co_await n.co_greet());
  if (n.oldstyle()) {
    co_await or_return(co_await n.co_oldstyle(e));
    co_return std::move(e);
  }
  if (n.fixed()) {
    e.structured = co_await or_return(co_await n.co_ask_structured());
    if (e.structured && !wish.context.empty())
      co_await or_return(co_await n.co_contexts(true, wish.context, e));
    const bool chosen = co_await or_return(co_await n.co_info_or_go(option::kGo, e));
    if (chosen) co_return std::move(e);
  }
  co_await or_return(co_await n.co_export_name(e));
  co_return std::move(e);
}

CoResult<std::vector<NbdExportInfo>> co_nbd_list(SocketStream& stream) {
  NbdNegotiation n(stream);
  co_await or_return(co_await n.co_greet());
  std::vector<NbdExportInfo> all;
  if (n.oldstyle()) {
    NbdExportInfo e;
    co_await or_return(co_await n.co_oldstyle(e));
    all.push_back(std::move(e));
    co_return std::move(all);
  }
  if (!n.fixed()) co_return fail(ENOTSUP, "Server does not support export lists");
  const bool structured = co_await or_return(co_await n.co_ask_structured());
  all = co_await or_return(co_await n.co_names());
  for (NbdExportInfo& e : all) {
    e.structured = structured;
    const bool known = co_await or_return(co_await n.co_info_or_go(option::kInfo, e));
    if (known && structured) co_await or_return(co_await n.co_contexts(false, {}, e));
  }
  std::ignore = co_await n.co_abort();  // the server may be gone already
  co_return std::move(all);
}

}  // namespace rhea
