// Loads and stores of fixed byte order, at any alignment.
#pragma once

#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>

namespace rhea {

static_assert(std::endian::native == std::endian::little, "x86-64 host");

template <std::unsigned_integral T>
T load_le(const void* p) {
  T v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

template <std::unsigned_integral T>
void store_le(void* p, T v) {
  std::memcpy(p, &v, sizeof v);
}

template <std::unsigned_integral T>
constexpr T byte_swapped(T v) {
  if constexpr (sizeof(T) == 2)
    return __builtin_bswap16(v);
  else if constexpr (sizeof(T) == 4)
    return __builtin_bswap32(v);
  else if constexpr (sizeof(T) == 8)
    return __builtin_bswap64(v);
  else
    return v;
}

template <std::unsigned_integral T>
T load_be(const void* p) {
  return byte_swapped(load_le<T>(p));
}

template <std::unsigned_integral T>
void store_be(void* p, T v) {
  store_le(p, byte_swapped(v));
}

}  // namespace rhea
