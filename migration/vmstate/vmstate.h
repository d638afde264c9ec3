// How an object's state is described, and read from or written to a savevm stream (big endian, QEMU's field
// layouts).
//
// A description is a constant: `vmstate<T>("name", {.version = 1}, field<&T::a>("a"), array…)`. The stream is
// hostile: every length is bounded, every failure names section and field.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <vector>

#include "util/result.h"

namespace rhea {

/// Appends big-endian values to a buffer.
class StateWriter {
 public:
  void put_u8(uint8_t v) { out_.push_back(v); }
  void put_be16(uint16_t v) { put(v); }
  void put_be32(uint32_t v) { put(v); }
  void put_be64(uint64_t v) { put(v); }
  void put_bytes(std::span<const uint8_t> bytes) { out_.insert(out_.end(), bytes.begin(), bytes.end()); }
  std::vector<uint8_t>& buffer() { return out_; }

 private:
  template <class T>
  void put(T v) {
    for (int shift = (sizeof(T) - 1) * 8; shift >= 0; shift -= 8)
      out_.push_back(static_cast<uint8_t>(v >> shift));
  }
  std::vector<uint8_t> out_;
};

/// Reads big-endian values; past the end every read gives zero and ok() is false from then on.
class StateReader {
 public:
  explicit StateReader(std::span<const uint8_t> in) : in_(in) {}
  uint8_t get_u8() { return get<uint8_t>(); }
  uint16_t get_be16() { return get<uint16_t>(); }
  uint32_t get_be32() { return get<uint32_t>(); }
  uint64_t get_be64() { return get<uint64_t>(); }
  void get_bytes(std::span<uint8_t> out);
  /// The next byte, without taking it; -1 at the end.
  int peek(size_t ahead = 0) const { return at_ + ahead < in_.size() ? in_[at_ + ahead] : -1; }
  std::string_view peek_text(size_t ahead, size_t bytes) const;
  size_t offset() const { return at_; }
  size_t left() const { return in_.size() - at_; }
  bool ok() const { return ok_; }

 private:
  template <class T>
  T get() {
    if (left() < sizeof(T)) {
      ok_ = false;
      at_ = in_.size();
      return 0;
    }
    uint64_t v = 0;
    for (size_t i = 0; i < sizeof(T); ++i) v = v << 8 | in_[at_++];
    return static_cast<T>(v);
  }
  std::span<const uint8_t> in_;
  size_t at_ = 0;
  bool ok_ = true;
};

struct VMState;

/// One field, type-erased: how to write it, how to read it.
struct VMStateField {
  const char* name;
  void (*save)(const void* object, StateWriter& out, const VMStateField& self);
  Result<> (*load)(void* object, StateReader& in, const VMStateField& self, int version);
  const VMState* nested = nullptr;  ///< description of a struct field
  int since_version = 0;            ///< absent from streams of an earlier version
  bool (*exists)(const void* object, int version) = nullptr;
  uint32_t count = 0;  ///< padding: bytes
};

/// A description of one object's state: the section (or subsection) `name` at `version`.
struct VMState {
  const char* name;
  int version = 1;
  int minimum_version = 0;  ///< oldest version that can still be read (0: only `version`)
  std::span<const VMStateField> fields;
  std::span<const VMState* const> subsections = {};
  bool (*needed)(const void* object) = nullptr;  ///< subsections: sent only if true
  void (*pre_save)(void* object) = nullptr;
  Result<> (*pre_load)(void* object) = nullptr;
  Result<> (*post_load)(void* object,
                        int version) = nullptr;  ///< validates, recomputes; touches no other object
  const char* unmigratable = nullptr;            ///< a reason; such a device blocks migration
};

/// Writes `object` (fields, then the subsections that are needed, each framed as the stream format says).
void vmstate_save(const VMState& vms, void* object, StateWriter& out);
/// Reads what vmstate_save() wrote with `version`. On failure `object` may be half-loaded: the caller
/// discards the machine, or resets the device before anything else touches it.
Result<> vmstate_load(const VMState& vms, void* object, StateReader& in, int version);

// --- descriptions, typed
// ----------------------------------------------------------------------------------------------

namespace detail {

template <class C, class T>
C vm_class_of(T C::*);
template <class C, class T>
T vm_type_of(T C::*);

template <class T>
struct IsStdArray : std::false_type {};
template <class T, size_t N>
struct IsStdArray<std::array<T, N>> : std::true_type {};

template <class T>
void vm_save_value(const T& v, StateWriter& out) {
  if constexpr (std::is_same_v<T, bool>)
    out.put_u8(v ? 1 : 0);
  else if constexpr (IsStdArray<T>::value) {
    for (const auto& e : v) vm_save_value(e, out);
  } else if constexpr (std::is_array_v<T>) {
    for (const auto& e : v) vm_save_value(e, out);
  } else if constexpr (std::is_enum_v<T>) {
    vm_save_value(static_cast<std::underlying_type_t<T>>(v), out);
  } else {
    static_assert(std::is_integral_v<T>);
    if constexpr (sizeof(T) == 1)
      out.put_u8(static_cast<uint8_t>(v));
    else if constexpr (sizeof(T) == 2)
      out.put_be16(static_cast<uint16_t>(v));
    else if constexpr (sizeof(T) == 4)
      out.put_be32(static_cast<uint32_t>(v));
    else
      out.put_be64(static_cast<uint64_t>(v));
  }
}

template <class T>
void vm_load_value(T& v, StateReader& in) {
  if constexpr (std::is_same_v<T, bool>)
    v = in.get_u8() != 0;
  else if constexpr (IsStdArray<T>::value) {
    for (auto& e : v) vm_load_value(e, in);
  } else if constexpr (std::is_array_v<T>) {
    for (auto& e : v) vm_load_value(e, in);
  } else if constexpr (std::is_enum_v<T>) {
    std::underlying_type_t<T> raw{};
    vm_load_value(raw, in);
    v = static_cast<T>(raw);  // post_load checks the range
  } else {
    if constexpr (sizeof(T) == 1)
      v = static_cast<T>(in.get_u8());
    else if constexpr (sizeof(T) == 2)
      v = static_cast<T>(in.get_be16());
    else if constexpr (sizeof(T) == 4)
      v = static_cast<T>(in.get_be32());
    else
      v = static_cast<T>(in.get_be64());
  }
}

}  // namespace detail

/// A scalar, enum, bool or array of them, at its own width.
template <auto Member>
constexpr VMStateField field(const char* name, int since_version = 0) {
  using C = decltype(detail::vm_class_of(Member));
  return {.name = name,
          .save = [](const void* o, StateWriter& out,
                     const VMStateField&) { detail::vm_save_value(static_cast<const C*>(o)->*Member, out); },
          .load = [](void* o, StateReader& in, const VMStateField&, int) -> Result<> {
            detail::vm_load_value(static_cast<C*>(o)->*Member, in);
            return {};
          },
          .since_version = since_version};
}

/// A scalar sent at another width or form than it is kept: `Wire` is the integer type on the wire.
template <auto Member, class Wire>
constexpr VMStateField field_as(const char* name, int since_version = 0) {
  using C = decltype(detail::vm_class_of(Member));
  using T = decltype(detail::vm_type_of(Member));
  return {.name = name,
          .save =
              [](const void* o, StateWriter& out, const VMStateField&) {
                detail::vm_save_value(static_cast<Wire>(static_cast<const C*>(o)->*Member), out);
              },
          .load = [](void* o, StateReader& in, const VMStateField& self, int) -> Result<> {
            Wire wire{};
            detail::vm_load_value(wire, in);
            static_cast<C*>(o)->*Member = static_cast<T>(wire);
            if (static_cast<Wire>(static_cast<C*>(o)->*Member) != wire)
              return fail(EINVAL, "field '", self.name, "' is out of range");
            return {};
          },
          .since_version = since_version};
}

/// A member struct (or array of structs) with a description of its own, written in place.
template <auto Member>
constexpr VMStateField struct_field(const char* name, const VMState& nested, int since_version = 0) {
  using C = decltype(detail::vm_class_of(Member));
  using T = decltype(detail::vm_type_of(Member));
  return {.name = name,
          .save =
              [](const void* o, StateWriter& out, const VMStateField& self) {
                auto& m = const_cast<C*>(static_cast<const C*>(o))->*Member;
                if constexpr (detail::IsStdArray<T>::value || std::is_array_v<T>) {
                  for (auto& e : m) vmstate_save(*self.nested, &e, out);
                } else {
                  vmstate_save(*self.nested, &m, out);
                }
              },
          .load = [](void* o, StateReader& in, const VMStateField& self, int) -> Result<> {
            auto& m = static_cast<C*>(o)->*Member;
            if constexpr (detail::IsStdArray<T>::value || std::is_array_v<T>) {
              for (auto& e : m) TRY(vmstate_load(*self.nested, &e, in, self.nested->version));
            } else {
              TRY(vmstate_load(*self.nested, &m, in, self.nested->version));
            }
            return {};
          },
          .nested = &nested,
          .since_version = since_version};
}

/// Bytes QEMU sends that mean nothing here: written as zero, skipped when read.
constexpr VMStateField padding(uint32_t bytes, int since_version = 0) {
  return {.name = "unused",
          .save =
              [](const void*, StateWriter& out, const VMStateField& self) {
                for (uint32_t i = 0; i < self.count; ++i) out.put_u8(0);
              },
          .load = [](void*, StateReader& in, const VMStateField& self, int) -> Result<> {
            for (uint32_t i = 0; i < self.count; ++i) in.get_u8();
            return {};
          },
          .since_version = since_version,
          .count = bytes};
}

}  // namespace rhea
