#include "util/result.h"

#include <cstring>

namespace rhea {

std::string_view error_class_name(ErrorClass c) {
  switch (c) {
    case ErrorClass::kCommandNotFound:
      return "CommandNotFound";
    case ErrorClass::kDeviceNotActive:
      return "DeviceNotActive";
    case ErrorClass::kDeviceNotFound:
      return "DeviceNotFound";
    case ErrorClass::kKVMMissingCap:
      return "KVMMissingCap";
    case ErrorClass::kGenericError:
      break;
  }
  return "GenericError";
}

Error::Error(int errnum, std::string message, ErrorClass cls)
    : rep_(new Rep{.errnum = errnum, .cls = cls, .message = std::move(message), .hint = {}}) {}

Error& Error::operator=(const Error& other) {
  if (this != &other) rep_ = std::make_unique<Rep>(*other.rep_);
  return *this;
}

Error&& Error::prepend(std::string_view prefix) && {
  rep_->message.insert(0, prefix);
  return std::move(*this);
}

Error&& Error::with_hint(std::string hint) && {
  rep_->hint = std::move(hint);
  return std::move(*this);
}

Error&& Error::with_class(ErrorClass cls) && {
  rep_->cls = cls;
  return std::move(*this);
}

std::string errno_text(int errnum) {
  char buf[128];
  return strerror_r(errnum, buf, sizeof buf);
}

}  // namespace rhea
