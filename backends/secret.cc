#include "backends/secret.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "backends/aes_cbc.h"
#include "util/base64.h"
#include "util/unique_fd.h"

namespace rhea {

namespace {

constexpr size_t kMaxBytes = 1 << 20;  // of a file; a key or password is short

/// Strings are set before the object is completed; later changes would be changes of nothing.
template <std::string Secret::*Member>
constexpr PropertyInfo text(const char* name) {
  PropertyInfo info = prop<Member>(name);
  info.type = "string";
  return info;
}

Result<Secret::Bytes> decode(std::string_view text) {
  const std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=\r\n";
  if (text.find_first_not_of(kAlphabet) != std::string_view::npos)
    return fail(EINVAL, "Base64 data contains invalid characters");
  std::string plain(text);
  std::erase_if(plain, [](char c) { return c == '\r' || c == '\n'; });
  return base64_decode(plain);
}

Result<Secret::Bytes> read_file(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fail_errno(errno, "Unable to read ", path);
  Secret::Bytes out(kMaxBytes + 1);
  size_t done = 0;
  while (done < out.size()) {
    const ssize_t n = ::read(fd.get(), out.data() + done, out.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(errno, "Unable to read ", path);
    if (n == 0) break;
    done += static_cast<size_t>(n);
  }
  if (done > kMaxBytes)
    return fail(EFBIG, "Unable to read ", path, ": it is larger than ", kMaxBytes, " bytes");
  out.resize(done);
  return out;
}

bool is_utf8(const std::string& s) {
  std::string quoted;
  json_write_string(quoted, s);
  return quoted.find("\xef\xbf\xbd") == std::string::npos || s.find("\xef\xbf\xbd") != std::string::npos;
}

}  // namespace

constexpr PropertyInfo Secret::kProperties[] = {
    text<&Secret::data>("data"),
    text<&Secret::file>("file"),
    text<&Secret::keyid>("keyid"),
    text<&Secret::iv>("iv"),
    prop<&Secret::format>("format"),
    {.name = "loaded",
     .type = "bool",
     .get = [](const Object& o) -> Json { return static_cast<const Secret&>(o).content_.has_value(); },
     .set = [](Object&, std::string_view name, const Json& value, ValueForm form) -> Result<> {
       TRY(property_bool(name, value, form));  // an old way to ask for what happens anyway
       return {};
     }}};
static constexpr TypeInfo kSecretCommonType{
    .name = "secret_common", .parent = &Object::kType, .interfaces = UserCreatable::kInterfaces};
constexpr TypeInfo Secret::kType{
    .name = "secret",
    .parent = &kSecretCommonType,
    .create = []() -> std::shared_ptr<Object> { return std::make_shared<Secret>(); },
    .properties = Secret::kProperties,
    .user_creatable = true};

Secret::~Secret() {
  if (content_) explicit_bzero(content_->data(), content_->size());
  explicit_bzero(data.data(), data.size());
}

Result<Secret::Bytes> Secret::load() const {
  if (!file.empty() && !data.empty()) return fail(EINVAL, "'file' and 'data' are mutually exclusive");
  if (file.empty() && data.empty()) return fail(EINVAL, "Either 'file' or 'data' must be provided");
  Bytes raw = file.empty() ? Bytes(data.begin(), data.end()) : TRY(read_file(file));
  const std::string_view shown(reinterpret_cast<const char*>(raw.data()), raw.size());
  if (keyid.empty()) return format == SecretFormat::kBase64 ? decode(shown) : Result<Bytes>(std::move(raw));
  const Bytes key = TRY(lookup(keyid));
  if (key.size() != 32) return fail(EINVAL, "Key should be 32 bytes in length");
  if (iv.empty()) return fail(EINVAL, "IV is required to decrypt secret");
  const Bytes vector = TRY(decode(iv));
  if (format == SecretFormat::kBase64) raw = TRY(decode(shown));
  return aes256_cbc_decrypt(key, vector, raw);
}

Result<> Secret::complete() {
  content_ = TRY(load());
  return {};
}

Result<Secret::Bytes> Secret::lookup(std::string_view id) {
  const auto* secret = dynamic_cast<const Secret*>(qom_root().container("/objects").child(id));
  if (secret == nullptr || !secret->content_) return fail(ENOENT, "No secret with id '", id, "'");
  return *secret->content_;
}

Result<std::string> Secret::lookup_text(std::string_view id) {
  const Bytes content = TRY(lookup(id));
  std::string out(content.begin(), content.end());
  if (!is_utf8(out)) return fail(EINVAL, "Data from secret ", id, " is not valid UTF-8");
  return out;
}

}  // namespace rhea
