// secret: a password or key that other parts use by its id, so that it need not stand on a command line in
// the clear.
#pragma once

#include <optional>
#include <vector>

#include "qom/user_creatable.h"

namespace rhea {

enum class SecretFormat : uint8_t { kRaw, kBase64 };
template <>
struct EnumTraits<SecretFormat> {
  static constexpr const char* kTypeName = "QCryptoSecretFormat";
  static constexpr EnumName<SecretFormat> kNames[] = {{SecretFormat::kRaw, "raw"},
                                                      {SecretFormat::kBase64, "base64"}};
};

/// Made with -object secret. Its data come from property data or from a file; with keyid they are encrypted
/// (AES-256-CBC, PKCS#7 padding) under another secret.
class Secret final : public UserCreatable {
 public:
  static const TypeInfo kType;  ///< "secret"
  const TypeInfo& type() const override { return kType; }
  ~Secret() override;

  Result<> complete() override;

  using Bytes = std::vector<uint8_t>;
  /// The content of the secret `id`: "No secret with id 'ID'".
  static Result<Bytes> lookup(std::string_view id);
  /// The same where it has to be text: "Data from secret ID is not valid UTF-8".
  static Result<std::string> lookup_text(std::string_view id);

  // Properties.
  std::string data, file, keyid, iv;
  SecretFormat format = SecretFormat::kRaw;

 private:
  static const PropertyInfo kProperties[];
  Result<Bytes> load() const;
  std::optional<Bytes> content_;
};

}  // namespace rhea
