// System calls on KVM's descriptors.
#pragma once

#include "accel/kvm/kvm_uapi.h"

#include <cstdlib>
#include <memory>
#include <string_view>

#include "util/result.h"

namespace rhea {

/// The request's value (not negative), or -errno. Repeats what a signal interrupted.
int kvm_ioctl(int fd, unsigned long request, void* argument);
int kvm_ioctl(int fd, unsigned long request, unsigned long argument = 0);

/// The same as a Result; `what` is how the message names the request ("KVM_CREATE_VM").
template <class A>
Result<int> kvm_call(int fd, unsigned long request, std::string_view what, A argument) {
  int r = kvm_ioctl(fd, request, argument);
  if (r < 0) return fail_errno(-r, "KVM: ", what, " failed");
  return r;
}

/// The value of a capability, 0 if it is absent.
int kvm_capability(int fd, long capability);

/// A kernel structure with `count` elements of `Element` behind it, zeroed.
template <class Header, class Element>
class KvmArray {
 public:
  explicit KvmArray(size_t count) : p_(static_cast<Header*>(std::calloc(1, bytes(count)))) {
    if (p_ == nullptr) std::abort();  // a few pages
  }
  ~KvmArray() { std::free(p_); }
  KvmArray(const KvmArray&) = delete;
  KvmArray& operator=(const KvmArray&) = delete;
  Header* get() { return p_; }
  Header* operator->() { return p_; }
  static size_t bytes(size_t count) { return sizeof(Header) + count * sizeof(Element); }

 private:
  Header* p_;
};

}  // namespace rhea
