// std::expected, or under compilers that cannot read libstdc++'s (clang 14) a stand-in with the part of it we
// use.
#pragma once

#if defined(__clang__) && __clang_major__ < 17

#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

namespace rhea::stdx {

template <class E>
class unexpected {
 public:
  explicit unexpected(E e) : error_(std::move(e)) {}
  E& error() & { return error_; }
  const E& error() const& { return error_; }
  E&& error() && { return std::move(error_); }

 private:
  E error_;
};

template <class T, class E>
class expected {
  using Stored = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

 public:
  using value_type = T;
  using error_type = E;
  expected() : v_(std::in_place_index<0>) {}
  template <class U = Stored>
  requires(!std::is_void_v<T> && std::is_constructible_v<Stored, U&&> &&
           !std::is_same_v<std::remove_cvref_t<U>, unexpected<E>> &&
           !std::is_base_of_v<expected, std::remove_cvref_t<U>>) expected(U&& value)
      : v_(std::in_place_index<0>, std::forward<U>(value)) {}
  expected(unexpected<E> u) : v_(std::in_place_index<1>, std::move(u).error()) {}

  bool has_value() const { return v_.index() == 0; }
  explicit operator bool() const { return has_value(); }
  decltype(auto) value() & { return get(*this); }
  decltype(auto) value() const& { return get(*this); }
  decltype(auto) value() && {
    if constexpr (!std::is_void_v<T>) return std::move(std::get<0>(v_));
  }
  template <class U = T>
  requires(!std::is_void_v<U>) U& operator*() & { return std::get<0>(v_); }
  template <class U = T>
  requires(!std::is_void_v<U>) const U& operator*() const& { return std::get<0>(v_); }
  template <class U = T>
  requires(!std::is_void_v<U>) U && operator*() && { return std::move(std::get<0>(v_)); }
  void operator*() const requires(std::is_void_v<T>) {}
  Stored* operator->() { return &std::get<0>(v_); }
  const Stored* operator->() const { return &std::get<0>(v_); }
  E& error() & { return std::get<1>(v_); }
  const E& error() const& { return std::get<1>(v_); }
  E&& error() && { return std::move(std::get<1>(v_)); }
  template <class U>
  T value_or(U&& other) const& {
    return has_value() ? std::get<0>(v_) : static_cast<T>(std::forward<U>(other));
  }
  template <class U>
  T value_or(U&& other) && {
    return has_value() ? std::move(std::get<0>(v_)) : static_cast<T>(std::forward<U>(other));
  }

 private:
  template <class Self>
  static decltype(auto) get(Self& self) {
    if constexpr (!std::is_void_v<T>) return (std::get<0>(self.v_));
  }
  std::variant<Stored, E> v_;
};

}  // namespace rhea::stdx

#else

#include <expected>

namespace rhea::stdx {
using std::expected;
using std::unexpected;
}  // namespace rhea::stdx

#endif
