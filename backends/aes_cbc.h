// AES-256 in CBC mode: libnettle does it, loaded when the first secret is to be decrypted.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "util/result.h"

namespace rhea {

/// Decrypts `data` (whole blocks of 16 bytes) with a key of 32 bytes and an initialisation vector of 16, and
/// takes the PKCS#7 padding off. Main thread.
Result<std::vector<uint8_t>> aes256_cbc_decrypt(std::span<const uint8_t> key, std::span<const uint8_t> iv,
                                                std::span<const uint8_t> data);

}  // namespace rhea
