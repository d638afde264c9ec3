// What generated QAPI code stands on: reading typed values out of Json, writing them as text or as Json.
//
// For each schema type T the generator emits visit_members() (or, for an alternate, visit_alternate()) for
// the three visitors below; the templates here put them together with the builtin types.
#pragma once

#include <cassert>
#include <concepts>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "util/json.h"
#include "util/result.h"
#include "util/value_form.h"

namespace rhea {

/// A value on the heap, copied deeply: breaks recursion between schema types. Null only until it is first
/// set.
/// T may be incomplete until a Box of it is used. (No std::unique_ptr: being constexpr, it asks for T too
/// early.)
template <class T>
class Box {
 public:
  Box() = default;
  Box(T v) : p_(new T(std::move(v))) {}
  Box(const Box& o) : p_(o.p_ != nullptr ? new T(*o.p_) : nullptr) {}
  Box(Box&& o) noexcept : p_(std::exchange(o.p_, nullptr)) {}
  Box& operator=(Box o) noexcept {
    std::swap(p_, o.p_);
    return *this;
  }
  ~Box() { delete p_; }
  T& operator*() { return *p_; }
  const T& operator*() const { return *p_; }
  T* operator->() { return p_; }
  const T* operator->() const { return p_; }
  explicit operator bool() const { return p_ != nullptr; }
  T& emplace() {
    *this = Box(T());
    return *p_;
  }

 private:
  T* p_ = nullptr;
};

/// An enum of the schema: qapi_enum_names(E) gives the names in the order of its values.
template <class E>
concept QapiEnum = std::is_enum_v<E> && requires(E e) {
  { qapi_enum_names(e) } -> std::same_as<std::span<const std::string_view>>;
};

/// The schema's name of an enum value.
template <QapiEnum E>
std::string_view to_string(E e) {
  return qapi_enum_names(e)[static_cast<size_t>(e)];
}

/// The enum value the schema names `name`: `from_string<BlockdevDriver>("raw")`.
template <QapiEnum E>
std::optional<E> from_string(std::string_view name) {
  const auto names = qapi_enum_names(E{});
  for (size_t i = 0; i < names.size(); ++i)
    if (names[i] == name) return static_cast<E>(i);
  return std::nullopt;
}

namespace qapi {

/// `T` is `X` or `const X`; lets one visit_members() serve reading and writing.
template <class T, class X>
concept Like = std::same_as<std::remove_const_t<T>, X>;

template <class T>
inline constexpr bool kIsVector = false;
template <class T>
inline constexpr bool kIsVector<std::vector<T>> = true;
template <class T>
inline constexpr bool kIsBox = false;
template <class T>
inline constexpr bool kIsBox<Box<T>> = true;

/// The JSON kinds among which an alternate is decided.
enum class Kind : uint8_t { kNull, kBool, kInt, kNumber, kString, kArray, kObject };

/// Reads typed values out of a Json tree, which it consumes. After the first error everything is a no-op.
/// Names in errors are dotted paths from the root ("file.driver").
class Reader {
 public:
  explicit Reader(ValueForm form) : form_(form) {}
  static constexpr bool kReads = true;

  /// A member that must be there.
  template <class T>
  void member(const char* name, T& out) {
    if (Json* v = enter(name, true)) {
      value(*v, out);
      leave();
    }
  }
  /// A member that may be there.
  template <class T>
  void member(const char* name, std::optional<T>& out) {
    if (Json* v = enter(name, false)) {
      value(*v, out.emplace());
      leave();
    }
  }
  /// Members of schema type `size`: bytes, in kKeyval form with an optional suffix.
  void size_member(const char* name, uint64_t& out);
  void size_member(const char* name, std::optional<uint64_t>& out);

  /// Reads a union's branch X out of the object at hand.
  template <class X, class Variant>
  void branch(Variant& u) {
    if (ok()) visit_members(*this, u.template emplace<X>());
  }
  template <class Variant>
  void empty_branch(Variant& u) {
    u.template emplace<std::monostate>();
  }

  void value(Json& v, bool& out);
  void value(Json& v, int64_t& out);
  void value(Json& v, uint64_t& out);
  void value(Json& v, int8_t& out) { narrow(v, out, INT8_MIN, INT8_MAX, "int8_t"); }
  void value(Json& v, int16_t& out) { narrow(v, out, INT16_MIN, INT16_MAX, "int16_t"); }
  void value(Json& v, int32_t& out) { narrow(v, out, INT32_MIN, INT32_MAX, "int32_t"); }
  void value(Json& v, uint8_t& out) { narrow(v, out, 0, UINT8_MAX, "uint8_t"); }
  void value(Json& v, uint16_t& out) { narrow(v, out, 0, UINT16_MAX, "uint16_t"); }
  void value(Json& v, uint32_t& out) { narrow(v, out, 0, UINT32_MAX, "uint32_t"); }
  void value(Json& v, double& out);
  void value(Json& v, std::string& out);
  void value(Json& v, std::nullptr_t& out);
  void value(Json& v, Json& out) { out = std::move(v); }
  template <class T>
  void value(Json& v, T& out) {
    if constexpr (QapiEnum<T>) {
      out = static_cast<T>(enum_value(v, qapi_enum_names(out)));
    } else if constexpr (kIsVector<T>) {
      read_list(v, out);
    } else if constexpr (kIsBox<T>) {
      value(v, out.emplace());
    } else if constexpr (requires(Reader & r) { visit_alternate(r, v, out); }) {
      visit_alternate(*this, v, out);
    } else if (begin_object(v)) {
      visit_members(*this, out);
      end_object();
    }
  }

  /// For alternates: what `v` is, and the refusal (`expected` is the alternate's name).
  Kind kind(const Json& v) const;
  bool keyval() const { return form_ == ValueForm::kKeyval; }
  void wrong_type(std::string_view expected);

  bool ok() const { return !error_; }
  Error take_error() { return std::move(*error_); }

 private:
  struct Object {
    Json::Object* members;
    size_t path_length;  ///< of the path when it was entered
    std::vector<bool> used;
    size_t used_count = 0;
  };
  struct Step {
    const char* name;  ///< null for a list element
    size_t index;
  };

  template <class T>
  void read_list(Json& v, std::vector<T>& out) {
    if (!v.is_array()) return wrong_type("array");
    auto& items = v.as_array();
    out.reserve(items.size());
    for (size_t i = 0; i < items.size() && ok(); ++i) {
      path_.push_back({nullptr, i});
      value(items[i], out.emplace_back());
      path_.pop_back();
    }
  }
  template <class T>
  void narrow(const Json& v, T& out, int64_t min, int64_t max, const char* type) {
    out = static_cast<T>(checked(v, min, max, type));
  }
  Json* enter(const char* name, bool required);
  void leave() { path_.pop_back(); }
  bool begin_object(Json& v);
  void end_object();
  bool whole_number(const Json& v, int64_t& out, uint64_t& positive);
  int64_t checked(const Json& v, int64_t min, int64_t max, const char* type);
  unsigned enum_value(const Json& v, std::span<const std::string_view> names);
  void size_value(const Json& v, uint64_t& out);
  std::string path() const;
  std::string enum_path() const;
  void refuse(std::string message);

  ValueForm form_;
  std::vector<Step> path_;
  std::vector<Object> objects_;
  std::optional<Error> error_;
};

/// What both writers share: turns typed values into begin/key/scalar/end calls of `Self`.
template <class Self>
class WriterBase {
 public:
  static constexpr bool kReads = false;

  template <class T>
  void member(const char* name, const T& v) {
    self().key(name);
    value(v);
  }
  template <class T>
  void member(const char* name, const std::optional<T>& v) {
    if (v) member(name, *v);
  }
  template <class T>
  void size_member(const char* name, const T& v) {
    member(name, v);
  }
  template <class X, class Variant>
  void branch(const Variant& u) {
    const X* x = std::get_if<X>(&u);
    assert(x != nullptr && "the branch of a union must be the one its tag names");
    if (x != nullptr) visit_members(self(), *x);
  }
  template <class Variant>
  void empty_branch(const Variant&) {}

  template <class T>
  void value(const T& v) {
    if constexpr (std::same_as<T, bool> || std::integral<T> || std::floating_point<T> ||
                  std::same_as<T, std::string> || std::same_as<T, Json> || std::same_as<T, std::nullptr_t>) {
      self().scalar(v);
    } else if constexpr (QapiEnum<T>) {
      self().scalar(to_string(v));
    } else if constexpr (kIsVector<T>) {
      self().begin('[');
      for (const auto& item : v) {
        self().next_item();
        value(item);
      }
      self().end(']');
    } else if constexpr (kIsBox<T>) {
      value(*v);
    } else if constexpr (requires(Self & w) { visit_alternate(w, v); }) {
      visit_alternate(self(), v);
    } else {
      self().begin('{');
      visit_members(self(), v);
      self().end('}');
    }
  }

 private:
  Self& self() { return static_cast<Self&>(*this); }
};

/// Appends the JSON text of a value, in the spelling Json::write() has.
class TextWriter : public WriterBase<TextWriter> {
 public:
  explicit TextWriter(std::string& out) : out_(out) {}
  void key(std::string_view name) {
    separate();
    out_ += '"';
    out_ += name;
    out_ += "\": ";
  }
  void next_item() { separate(); }
  void begin(char c) {
    out_ += c;
    first_ = true;
  }
  void end(char c) {
    out_ += c;
    first_ = false;
  }
  void scalar(bool v) { out_ += v ? "true" : "false"; }
  template <std::integral T>
  requires(!std::same_as<T, bool>) void scalar(T v) {
    if constexpr (std::signed_integral<T>)
      integer(static_cast<int64_t>(v));
    else
      integer(static_cast<uint64_t>(v));
  }
  void scalar(double v) { Json(v).write(out_); }
  void scalar(std::string_view v) { json_write_string(out_, v); }
  void scalar(const std::string& v) { json_write_string(out_, v); }
  void scalar(const Json& v) { v.write(out_); }
  void scalar(std::nullptr_t) { out_ += "null"; }

 private:
  void separate() {
    if (!first_) out_ += ", ";
    first_ = false;
  }
  void integer(int64_t v);
  void integer(uint64_t v);
  std::string& out_;
  bool first_ = true;
};

/// Builds the Json tree of a value.
class TreeWriter : public WriterBase<TreeWriter> {
 public:
  void key(const char* name) { key_ = name; }
  void next_item() {}
  void begin(char c) { open_.push_back({key_, c == '{' ? Json::object() : Json::array()}); }
  void end(char) {
    Open done = std::move(open_.back());
    open_.pop_back();
    key_ = done.key;
    add(std::move(done.value));
  }
  template <class T>
  void scalar(const T& v) {
    add(Json(v));
  }
  Json take() { return std::move(result_); }

 private:
  struct Open {
    const char* key;
    Json value;
  };
  void add(Json v);
  std::vector<Open> open_;
  const char* key_ = nullptr;
  Json result_;
};

}  // namespace qapi

/// The typed value in `value`, which is consumed. Errors are those QMP clients know: "Parameter 'x' is
/// missing", "Invalid parameter type for 'x', expected: string", "Parameter 'x' is unexpected",
/// "Parameter 'x' does not accept value 'v'".
template <class T>
Result<T> from_json(Json value, ValueForm form = ValueForm::kTyped) {
  qapi::Reader reader(form);
  T out{};
  reader.value(value, out);
  if (!reader.ok()) return Failure(reader.take_error());
  return out;
}

template <class T>
Json to_json(const T& v) {
  qapi::TreeWriter writer;
  writer.value(v);
  return writer.take();
}

/// Appends the JSON text of `v`.
template <class T>
void write_json(std::string& out, const T& v) {
  qapi::TextWriter(out).value(v);
}

}  // namespace rhea
