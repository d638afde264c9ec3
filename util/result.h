// Errors are values: Result<T> is either a T or an Error.
#pragma once

#include <cerrno>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "util/expected.h"
#include "util/str.h"

namespace rhea {

/// The classes a QMP client can tell apart (QMP specification, "Error responses").
enum class ErrorClass : uint8_t {
  kGenericError,
  kCommandNotFound,
  kDeviceNotActive,
  kDeviceNotFound,
  kKVMMissingCap
};

/// The QMP name of `c`, such as "GenericError".
std::string_view error_class_name(ErrorClass c);

/// Why something failed: an errno value (positive), a phrase for people without a full stop, a class for
/// managers and optionally a hint (a whole sentence with advice). One pointer wide; copyable.
class [[nodiscard]] Error {
 public:
  Error(int errnum, std::string message, ErrorClass cls = ErrorClass::kGenericError);
  Error(const Error& other) : rep_(std::make_unique<Rep>(*other.rep_)) {}
  Error(Error&&) noexcept = default;
  Error& operator=(const Error& other);
  Error& operator=(Error&&) noexcept = default;

  int errnum() const { return rep_->errnum; }
  const std::string& message() const { return rep_->message; }
  const std::string& hint() const { return rep_->hint; }
  ErrorClass error_class() const { return rep_->cls; }
  /// Puts `prefix` before the message.
  Error&& prepend(std::string_view prefix) &&;
  Error&& with_hint(std::string hint) &&;
  Error&& with_class(ErrorClass cls) &&;

 private:
  struct Rep {
    int errnum;
    ErrorClass cls;
    std::string message;
    std::string hint;
  };
  std::unique_ptr<Rep> rep_;
};

template <class T = void>
class [[nodiscard]] Result : public stdx::expected<T, Error> {
 public:
  using stdx::expected<T, Error>::expected;
  Result(const Result&) = default;
  Result(Result&&) = default;
  Result& operator=(const Result&) = default;
  Result& operator=(Result&&) = default;
  Result() = default;
};

using Failure = stdx::unexpected<Error>;

/// A failure with the message made of `pieces`: `return fail(EINVAL, "Node '", name, "' not found");`
template <class... A>
Failure fail(int errnum, const A&... pieces) {
  return Failure(Error(errnum, str_cat(pieces...)));
}

/// Like fail(), with an error class of its own.
template <class... A>
Failure fail_class(ErrorClass cls, int errnum, const A&... pieces) {
  return Failure(Error(errnum, str_cat(pieces...), cls));
}

/// A failure with the message `pieces` followed by ": " and the text of errno value `errnum`.
template <class... A>
Failure fail_errno(int errnum, const A&... pieces);

/// The text of errno value `errnum`, thread safe.
std::string errno_text(int errnum);

template <class... A>
Failure fail_errno(int errnum, const A&... pieces) {
  return Failure(Error(errnum, str_cat(pieces..., ": ", errno_text(errnum))));
}

/// The value of `expr`, or returns its error from the enclosing (non-coroutine) function.
#define TRY(...)                                                  \
  ({                                                              \
    auto rhea_try_result = (__VA_ARGS__);                         \
    if (!rhea_try_result) [[unlikely]]                            \
      return ::rhea::Failure(std::move(rhea_try_result).error()); \
    std::move(rhea_try_result).value();                           \
  })

}  // namespace rhea
