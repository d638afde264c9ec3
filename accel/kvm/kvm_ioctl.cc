#include "accel/kvm/kvm_ioctl.h"

#include <sys/ioctl.h>

namespace rhea {

int kvm_ioctl(int fd, unsigned long request, void* argument) {
  while (true) {
    int r = ioctl(fd, request, argument);
    if (r >= 0) return r;
    if (errno != EINTR) return -errno;
  }
}

int kvm_ioctl(int fd, unsigned long request, unsigned long argument) {
  return kvm_ioctl(fd, request, reinterpret_cast<void*>(argument));
}

int kvm_capability(int fd, long capability) {
  int r = kvm_ioctl(fd, KVM_CHECK_EXTENSION, static_cast<unsigned long>(capability));
  return r < 0 ? 0 : r;
}

}  // namespace rhea
