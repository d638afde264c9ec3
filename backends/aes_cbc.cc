#include "backends/aes_cbc.h"

#include <dlfcn.h>
#include <nettle/aes.h>
#include <nettle/cbc.h>

#include <cstring>

namespace rhea {

namespace {

constexpr const char* kLibrary = "libnettle.so.8";

struct Nettle {
  decltype(&nettle_aes256_set_decrypt_key) set_key = nullptr;
  decltype(&nettle_aes256_decrypt) decrypt = nullptr;
  decltype(&nettle_cbc_decrypt) cbc = nullptr;
};

template <class F>
bool find(void* library, const char* name, F& out) {
  out = reinterpret_cast<F>(::dlsym(library, name));
  return out != nullptr;
}

Result<const Nettle*> load() {
  static Nettle functions;
  if (functions.cbc != nullptr) return &functions;
  void* library = ::dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
  Nettle found;
  if (library == nullptr || !find(library, "nettle_aes256_set_decrypt_key", found.set_key) ||
      !find(library, "nettle_aes256_decrypt", found.decrypt) ||
      !find(library, "nettle_cbc_decrypt", found.cbc))
    return fail(ENOENT, "secrets cannot be decrypted without ", kLibrary, " (package libnettle8)");
  functions = found;
  return &functions;
}

}  // namespace

Result<std::vector<uint8_t>> aes256_cbc_decrypt(std::span<const uint8_t> key, std::span<const uint8_t> iv,
                                                std::span<const uint8_t> data) {
  if (key.size() != AES256_KEY_SIZE) return fail(EINVAL, "Key should be 32 bytes in length");
  if (iv.size() != AES_BLOCK_SIZE) return fail(EINVAL, "IV should be 16 bytes in length not ", iv.size());
  if (data.size() % AES_BLOCK_SIZE != 0)
    return fail(EINVAL, "Length ", data.size(), " must be a multiple of block size 16");
  const Nettle* nettle = TRY(load());
  aes256_ctx context;
  nettle->set_key(&context, key.data());
  std::array<uint8_t, AES_BLOCK_SIZE> chain{};
  std::memcpy(chain.data(), iv.data(), iv.size());
  std::vector<uint8_t> out(data.size());
  nettle->cbc(&context, reinterpret_cast<nettle_cipher_func*>(nettle->decrypt), AES_BLOCK_SIZE, chain.data(),
              out.size(), out.data(), data.data());
  explicit_bzero(&context, sizeof context);
  if (out.empty()) return out;
  const unsigned padding = out.back();
  if (padding == 0 || padding > AES_BLOCK_SIZE || padding > out.size())
    return fail(EINVAL, "Incorrect number of padding bytes (", padding, ") found on decrypted data");
  out.resize(out.size() - padding);
  return out;
}

}  // namespace rhea
